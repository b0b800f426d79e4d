//! Which service each container is.

use std::collections::HashMap;

use crate::yaml::Node;

use super::capture::{Capture, bare_id};
use super::field::{key_of, map, object, text};
use super::labels;

/// A container and what it is in production.
#[derive(Debug)]
pub(super) struct Container<'c> {
    /// Its inspection.
    pub node: &'c Node,
    /// `Config`: what the image says, merged with what was asked for.
    pub config: &'c Node,
    /// `HostConfig`: what was asked of the host.
    pub host: &'c Node,
    /// The inspection of its image, when the capture has it.
    pub image: Option<&'c Node>,
    /// Its name, without the slash.
    pub name: &'c str,
    /// Its identity.
    pub id: &'c str,
    /// The service that it is a container of.
    pub service: String,
    /// The project that the service belongs to.
    pub project: Option<&'c str>,
    /// Its number among the containers of the service, from 1.
    pub number: i64,
}

impl<'c> Container<'c> {
    /// A label of the container.
    pub fn label(&self, name: &str) -> Option<&'c str> {
        text(object(self.config, "Labels"), name)
    }

    /// The config that its image brings, when the capture has it.
    pub fn image_config(&self) -> Option<&'c Node> {
        self.image.map(|i| object(i, "Config"))
    }

    /// The identity as the engine shortens it: the first twelve digits.
    pub fn short_id(&self) -> &'c str {
        self.id.get(..12).unwrap_or(self.id)
    }

    /// `service:NAME`
    pub fn object(&self) -> String {
        format!("service:{}", self.service)
    }
}

/// All containers, each with its service. A command that somebody ran by `docker compose run`
/// is no part of production.
pub(super) fn identify(capture: &Capture) -> Vec<Container<'_>> {
    let mut all: Vec<Container<'_>> = capture
        .containers
        .iter()
        .filter(|n| !is_one_off(n))
        .map(|node| identity(node, capture))
        .collect();
    separate(&mut all);
    all.sort_by_key(|c| c.number);
    all
}

/// Whether a container is a command that was run once by hand.
pub(super) fn is_one_off(node: &Node) -> bool {
    let labels = object(object(node, "Config"), "Labels");
    text(labels, labels::ONE_OFF).is_some_and(|v| v.eq_ignore_ascii_case("true"))
}

fn identity<'c>(node: &'c Node, capture: &'c Capture) -> Container<'c> {
    let config = object(node, "Config");
    let name = text(node, "Name").unwrap_or("").trim_start_matches('/');
    let id = text(node, "Id").map_or("", bare_id);
    let found = labels::service(object(config, "Labels"));
    let service = match found.service {
        Some(service) => key_of(&service),
        None => key_of(name),
    };
    let service = if service.is_empty() {
        format!("container-{}", id.get(..12).unwrap_or("unnamed"))
    } else {
        service
    };
    Container {
        node,
        config,
        host: object(node, "HostConfig"),
        image: capture.image(node),
        name,
        id,
        service,
        project: found.project,
        number: found.number,
    }
}

/// Services of one name in several projects get names of their own.
fn separate(all: &mut [Container<'_>]) {
    let mut first: HashMap<String, Option<&str>> = HashMap::new();
    for c in all.iter_mut() {
        let project = *first.entry(c.service.clone()).or_insert(c.project);
        if project != c.project {
            c.service = match c.project {
                Some(other) => format!("{}-{}", key_of(other), c.service),
                None => format!("{}-{}", c.service, c.short_id()),
            };
        }
    }
}

/// The container that a reference (`container:…`) means: an identity, its beginning, or a name.
pub(super) fn find<'a, 'c>(all: &'a [Container<'c>], reference: &str) -> Option<&'a Container<'c>> {
    let reference = reference.trim_start_matches('/');
    let long = reference.len() >= 12;
    all.iter()
        .find(|c| c.name == reference || (long && !c.id.is_empty() && c.id.starts_with(reference)))
}

/// The name of the project that most containers belong to.
pub(super) fn project<'c>(all: &[Container<'c>]) -> Option<&'c str> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for name in all.iter().filter_map(|c| c.project) {
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, n)) => *n += 1,
            None => counts.push((name, 1)),
        }
    }
    let most = counts.iter().map(|(_, n)| *n).max()?;
    let first = counts.into_iter().find(|(_, n)| *n == most);
    first.map(|(name, _)| name)
}

/// Whether a container has a mount of its own at a path.
pub(super) fn mounts_at(node: &Node, target: &str) -> bool {
    let mounts = super::field::list(node, "Mounts");
    mounts
        .iter()
        .any(|m| text(m, "Destination") == Some(target))
        || map(object(node, "HostConfig"), "Tmpfs").contains_key(target)
}
