//! Labels by which tools find their containers again.

use crate::yaml::{Node, Value};

use super::container::Container;
use super::field::{map, mapping, object, text};

/// Set on containers of `docker compose run`.
pub(super) const ONE_OFF: &str = "com.docker.compose.oneoff";
/// What a service waits for: `db:service_healthy:false,cache:service_started:true`.
pub(super) const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// Where the Compose file was.
pub(super) const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// Hash of the config that a container was made from.
pub(super) const CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// The key of a network.
pub(super) const NETWORK: &str = "com.docker.compose.network";
/// The key of a volume.
pub(super) const VOLUME: &str = "com.docker.compose.volume";

/// Prefixes of labels that tools set for themselves.
const OF_TOOLS: [&str; 5] = [
    "com.docker.compose.",
    "com.docker.stack.",
    "com.docker.swarm.",
    "com.docker.desktop.",
    "desktop.docker.io/",
];

/// What labels say of a container's place.
pub(super) struct Found<'l> {
    /// The service.
    pub service: Option<String>,
    /// Its project.
    pub project: Option<&'l str>,
    /// The container's number in the service.
    pub number: i64,
}

/// The service of a container: as Compose or Swarm labelled it.
pub(super) fn service(labels: &Node) -> Found<'_> {
    let compose = text(labels, "com.docker.compose.service");
    if let Some(name) = compose {
        let number = text(labels, "com.docker.compose.container-number");
        return Found {
            service: Some(name.to_owned()),
            project: text(labels, "com.docker.compose.project"),
            number: number.and_then(|n| n.parse().ok()).unwrap_or(1),
        };
    }
    let project = text(labels, "com.docker.stack.namespace");
    let swarm = text(labels, "com.docker.swarm.service.name").map(|name| {
        let short = project.and_then(|p| name.strip_prefix(p)?.strip_prefix('_'));
        short.unwrap_or(name).to_owned()
    });
    let slot = text(labels, "com.docker.swarm.task.name").and_then(|t| t.rsplit('.').nth(1));
    Found {
        service: swarm,
        project,
        number: slot.and_then(|s| s.parse().ok()).unwrap_or(1),
    }
}

/// Whether a tool set the label for itself.
pub(super) fn is_of_a_tool(name: &str) -> bool {
    OF_TOOLS.iter().any(|prefix| name.starts_with(prefix))
}

/// The labels that were asked for: not a tool's, and not the image's.
pub(super) fn own(c: &Container<'_>) -> Option<Node> {
    let labels = c.config.get("Labels")?;
    let of_image = c.image_config().map(|i| map(i, "Labels"));
    let mut out = Node::map(labels.span.clone());
    let to = out.as_map_mut()?;
    for (name, value) in map(c.config, "Labels").iter() {
        let images = of_image
            .and_then(|l| l.get(name))
            .is_some_and(|l| l.same_value(value));
        if !is_of_a_tool(name) && !images {
            to.insert(name, value.clone());
        }
    }
    (!to.is_empty()).then_some(out)
}

/// A service that must have come to a state first.
pub(super) struct Dependency<'l> {
    /// The service, as its project calls it.
    pub service: &'l str,
    /// What Compose would be told.
    pub node: Node,
}

/// What a service waits for, as its label says.
pub(super) fn dependencies<'c>(c: &Container<'c>) -> Vec<Dependency<'c>> {
    let Some(label) = object(c.config, "Labels").get(DEPENDS_ON) else {
        return Vec::new();
    };
    let entries = label.as_str().unwrap_or("").split(',');
    entries
        .filter_map(|entry| {
            let mut parts = entry.trim().split(':');
            let service = parts.next().filter(|s| !s.is_empty())?;
            let known = [
                "service_started",
                "service_healthy",
                "service_completed_successfully",
            ];
            let condition = parts.next().filter(|c| known.contains(c));
            let restart = parts.next() == Some("true");
            let text = |t: &str| Node::str(t, label.span.clone());
            let node = mapping(
                &label.span,
                [
                    ("condition", Some(text(condition.unwrap_or(known[0])))),
                    (
                        "restart",
                        restart.then(|| Node::new(Value::Bool(true), label.span.clone())),
                    ),
                ],
            );
            Some(Dependency { service, node })
        })
        .collect()
}
