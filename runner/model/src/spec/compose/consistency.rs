//! Whether a project fits together: references, exclusions, cycles.

use std::collections::{BTreeMap, HashMap};

use super::select::Disabled;
use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::source::Span;
use crate::yaml::{Mapping, Node, Value};

/// Everything that does not fit together in a project. `models` are those that it declares.
pub(super) fn check(root: &mut Node, disabled: &Disabled, models: &Mapping) -> Problems {
    let mut check = Check {
        root,
        disabled,
        models,
        problems: Problems::default(),
    };
    for (name, service) in map_of(root, "services").iter() {
        check.service(name, service);
    }
    check.secrets();
    let mut problems = check.problems;
    problems.0.sort_by_key(|p| {
        let place = p.span.as_ref();
        place.map(|s| (s.file.name.clone(), s.line, s.col))
    });
    if !problems.has_errors() {
        problems.0.extend(cycle(map_of(root, "services")));
    }
    if !problems.has_errors() {
        carry_scale(root);
    }
    problems
}

static NOTHING: std::sync::LazyLock<Mapping> = std::sync::LazyLock::new(Mapping::default);

fn map_of<'n>(node: &'n Node, key: &str) -> &'n Mapping {
    node.get(key).and_then(Node::as_map).unwrap_or(&NOTHING)
}

fn list_of<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    node.get(key).and_then(Node::as_seq).unwrap_or(&[])
}

fn text_of<'n>(node: &'n Node, key: &str) -> &'n str {
    node.get(key).and_then(Node::as_str).unwrap_or("")
}

struct Check<'a> {
    root: &'a Node,
    disabled: &'a Disabled,
    models: &'a Mapping,
    problems: Problems,
}

impl Check<'_> {
    fn add(&mut self, kind: ProblemKind, at: &Node, what: String) {
        self.problems.push(Problem::at(kind, &at.span, what));
    }

    fn service(&mut self, name: &str, service: &Node) {
        self.image_or_build(name, service);
        self.networks(name, service);
        self.references(name, service);
        self.dependencies(name, service);
        self.limits(name, service);
        self.mounts(name, service);
        let test = service.at(&["healthcheck", "test"]).and_then(Node::as_seq);
        if let Some(first) = test.and_then(|t| t.first())
            && !matches!(first.as_str(), Some("CMD" | "CMD-SHELL" | "NONE"))
        {
            self.problems.push(
                Problem::at(
                    ProblemKind::InvalidValue,
                    &first.span,
                    format!("`services.{name}.healthcheck.test` begins with neither CMD, CMD-SHELL nor NONE"),
                )
                .help("write [CMD, program, argument…], or one text for a shell"),
            );
        }
        for watch in service
            .at(&["develop", "watch"])
            .and_then(Node::as_seq)
            .unwrap_or(&[])
        {
            let action = text_of(watch, "action");
            if text_of(watch, "target").is_empty() && !matches!(action, "rebuild" | "restart") {
                let what = format!("service `{name}`: watching to `{action}` needs a target");
                self.add(ProblemKind::Missing, watch, what);
            }
        }
    }

    fn image_or_build(&mut self, name: &str, service: &Node) {
        let build = service.get("build");
        if build.is_none()
            && text_of(service, "image").is_empty()
            && service.get("provider").is_none()
        {
            self.problems.push(
                Problem::at(
                    ProblemKind::Missing,
                    &service.span,
                    format!("service `{name}` has neither an image nor a build"),
                )
                .help("a file that only changes other files is read together with them"),
            );
        }
        let Some(build) = build else {
            return;
        };
        if !text_of(build, "dockerfile_inline").is_empty()
            && !text_of(build, "dockerfile").is_empty()
        {
            let what = format!("service `{name}` has both a dockerfile and an inline one");
            self.add(ProblemKind::Conflict, build, what);
        }
        for (_, context) in map_of(build, "additional_contexts").iter() {
            let Some(other) = context.as_str().and_then(|c| c.strip_prefix("service:")) else {
                continue;
            };
            match map_of(self.root, "services").get(other) {
                None => self.unknown("service", other, "services", context, name),
                Some(service) if service.get("build").is_none() => {
                    let what = format!("service `{name}` builds on `{other}`, which is not built");
                    self.add(ProblemKind::InvalidValue, context, what);
                }
                Some(_) => {}
            }
        }
        let platforms = list_of(build, "platforms");
        let platform = text_of(service, "platform");
        if !platforms.is_empty()
            && !platform.is_empty()
            && !platforms.iter().any(|p| p.as_str() == Some(platform))
        {
            let what = format!("service `{name}` is not built for its platform `{platform}`");
            self.add(ProblemKind::Conflict, build, what);
        }
    }

    fn networks(&mut self, name: &str, service: &Node) {
        let networks = map_of(service, "networks");
        if let (Some(mode), false) = (service.get("network_mode"), networks.is_empty()) {
            let what = format!("service `{name}` has both `network_mode` and `networks`");
            self.add(ProblemKind::Conflict, mode, what);
        }
        for (network, entry) in &networks.0 {
            if !map_of(self.root, "networks").contains_key(network) {
                let at = Node::new(Value::Null, entry.key.clone());
                self.unknown("network", network, "networks", &at, name);
            }
        }
    }

    fn references(&mut self, name: &str, service: &Node) {
        for mount in list_of(service, "volumes") {
            let source = text_of(mount, "source");
            if text_of(mount, "type") == "volume"
                && !source.is_empty()
                && !map_of(self.root, "volumes").contains_key(source)
            {
                self.unknown("volume", source, "volumes", mount, name);
            }
        }
        for (model, entry) in &map_of(service, "models").0 {
            if !self.models.contains_key(model) {
                let at = Node::new(Value::Null, entry.key.clone());
                self.unknown("model", model, "models", &at, name);
            }
        }
        let build = service
            .get("build")
            .map_or(&[][..], |b| list_of(b, "secrets"));
        for (what, kind, grants) in [
            ("build secret", "secrets", build),
            ("config", "configs", list_of(service, "configs")),
            ("secret", "secrets", list_of(service, "secrets")),
        ] {
            for grant in grants {
                let source = text_of(grant, "source");
                if !map_of(self.root, kind).contains_key(source) {
                    self.unknown(what, source, kind, grant, name);
                }
            }
        }
    }

    fn dependencies(&mut self, name: &str, service: &Node) {
        for (other, entry) in &map_of(service, "depends_on").0 {
            if map_of(self.root, "services").contains_key(other) {
                continue;
            }
            let at = Node::new(Value::Null, entry.key.clone());
            match self.disabled.get(other) {
                Some(_) if entry.node.get("required").and_then(Node::as_bool) == Some(false) => {}
                Some(service) => {
                    let profiles: Vec<&str> = list_of(service, "profiles")
                        .iter()
                        .filter_map(Node::as_str)
                        .collect();
                    self.problems.push(
                        Problem::at(
                            ProblemKind::UnknownReference,
                            &entry.key,
                            format!(
                                "service `{name}` depends on `{other}`, whose profile is not active"
                            ),
                        )
                        .help(format!(
                            "activate one of its profiles: {}",
                            profiles.join(", ")
                        )),
                    );
                }
                None => self.unknown("service", other, "services", &at, name),
            }
        }
    }

    fn unknown(&mut self, what: &str, wanted: &str, kind: &str, at: &Node, service: &str) {
        let mut problem = Problem::at(
            ProblemKind::UnknownReference,
            &at.span,
            format!("service `{service}` names the {what} `{wanted}`, which is not declared"),
        );
        problem = match nearest(wanted, map_of(self.root, kind).keys()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!("declare it under `{kind}:` at the top of the file")),
        };
        self.problems.push(problem);
    }

    /// The same limit in two places must be the same.
    fn limits(&mut self, name: &str, service: &Node) {
        let scale = service.get("scale").and_then(Node::as_int);
        let replicas = service.at(&["deploy", "replicas"]).and_then(Node::as_int);
        if let (Some(node), Some(a), Some(b)) = (service.get("scale"), scale, replicas)
            && a != b
        {
            let what = format!("service `{name}`: `scale` and `deploy.replicas` differ");
            self.add(ProblemKind::Conflict, node, what);
        }
        for (number, at) in [
            (scale, service.get("scale")),
            (replicas, service.at(&["deploy", "replicas"])),
        ] {
            if let (Some(..0), Some(at)) = (number, at) {
                let what = format!("service `{name}` cannot run fewer than no times");
                self.add(ProblemKind::InvalidValue, at, what);
            }
        }
        for (key, side, below) in [
            ("cpus", "limits", "cpus"),
            ("mem_limit", "limits", "memory"),
            ("mem_reservation", "reservations", "memory"),
            ("pids_limit", "limits", "pids"),
        ] {
            let Some(own) = service.get(key) else {
                continue;
            };
            let Some(resources) = service.at(&["deploy", "resources", side]) else {
                continue;
            };
            if !resources.get(below).is_some_and(|n| n.same_value(own)) {
                self.problems.push(
                    Problem::at(
                        ProblemKind::Conflict,
                        &own.span,
                        format!(
                            "service `{name}`: `{key}` and `deploy.resources.{side}.{below}` differ"
                        ),
                    )
                    .related(&resources.span, "the other is here")
                    .help("set one of them, or both to the same"),
                );
            }
        }
        if scale.or(replicas).unwrap_or(1) > 1 && !text_of(service, "container_name").is_empty() {
            let what = format!(
                "service `{name}` runs several times, but `container_name` can name one container only"
            );
            self.add(
                ProblemKind::Conflict,
                service.get("container_name").unwrap_or(service),
                what,
            );
        }
    }

    fn mounts(&mut self, name: &str, service: &Node) {
        let mut taken: HashMap<&str, &Node> = HashMap::new();
        let tmpfs = list_of(service, "tmpfs").iter().map(|node| {
            let path = node.as_str().unwrap_or("");
            (path.split(':').next().unwrap_or(path), node)
        });
        let volumes = list_of(service, "volumes")
            .iter()
            .map(|node| (text_of(node, "target"), node));
        for (path, node) in tmpfs.chain(volumes) {
            if let Some(first) = taken.insert(path, node) {
                self.problems.push(
                    Problem::at(
                        ProblemKind::Conflict,
                        &node.span,
                        format!("service `{name}` mounts two things at `{path}`"),
                    )
                    .related(&first.span, "the first"),
                );
            }
        }
    }

    fn secrets(&mut self) {
        for (name, secret) in map_of(self.root, "secrets").iter() {
            let external = secret.get("external").and_then(Node::as_bool) == Some(true);
            if !external
                && text_of(secret, "file").is_empty()
                && text_of(secret, "environment").is_empty()
            {
                let what = format!("the secret `{name}` has neither a file nor a variable");
                self.add(ProblemKind::Missing, secret, what);
            }
        }
    }
}

/// A circle of dependencies, if there is one.
fn cycle(services: &Mapping) -> Option<Problem> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        Open,
        Done,
    }
    let mut states: BTreeMap<&str, State> = BTreeMap::new();
    let mut names: Vec<&str> = services.keys().collect();
    names.sort_unstable();
    for start in names {
        if states.contains_key(start) {
            continue;
        }
        // Each service on the way with those of its dependencies that are still to be seen.
        let mut way: Vec<(&str, Vec<(&str, &Span)>)> = vec![(start, edges(services, start))];
        states.insert(start, State::Open);
        while let Some((name, rest)) = way.last_mut() {
            let Some((next, span)) = rest.pop() else {
                states.insert(name, State::Done);
                way.pop();
                continue;
            };
            match states.get(next) {
                Some(State::Done) => {}
                Some(State::Open) => {
                    let from = way.iter().position(|(n, _)| *n == next).unwrap_or(0);
                    let mut circle: Vec<&str> = way[from..].iter().map(|(n, _)| *n).collect();
                    circle.push(next);
                    return Some(
                        Problem::at(
                            ProblemKind::Cycle,
                            span,
                            format!(
                                "services depend on each other in a circle: {}",
                                circle.join(" -> ")
                            ),
                        )
                        .help("nothing could start first: remove one of these `depends_on`"),
                    );
                }
                None => {
                    states.insert(next, State::Open);
                    way.push((next, edges(services, next)));
                }
            }
        }
    }
    None
}

fn edges<'n>(services: &'n Mapping, name: &str) -> Vec<(&'n str, &'n Span)> {
    let Some(service) = services.get(name) else {
        return Vec::new();
    };
    let entries = map_of(service, "depends_on").0.iter();
    let mut edges: Vec<_> = entries.map(|(n, e)| (n.as_str(), &e.key)).collect();
    edges.retain(|(n, _)| services.contains_key(n));
    edges.sort_by(|a, b| b.0.cmp(a.0));
    edges
}

/// `scale` is also the number of replicas of a service that has `deploy`.
fn carry_scale(root: &mut Node) {
    let services = root.as_map_mut().and_then(|m| m.get_mut("services"));
    for (_, service) in services
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Mapping::iter_mut)
    {
        let scale = service.get("scale").cloned();
        let deploy = service.as_map_mut().and_then(|m| m.get_mut("deploy"));
        if let (Some(scale), Some(deploy)) = (scale, deploy.and_then(Node::as_map_mut)) {
            deploy.insert("replicas", scale);
        }
    }
}

/// Refuses two services with the same container name.
pub(super) fn container_names(root: &Node) -> Option<Problem> {
    let mut taken: HashMap<&str, &Node> = HashMap::new();
    for (name, service) in map_of(root, "services").iter() {
        let Some(node) = service.get("container_name") else {
            continue;
        };
        if let Some(first) = taken.insert(node.as_str().unwrap_or(""), node) {
            return Some(
                Problem::at(
                    ProblemKind::Conflict,
                    &node.span,
                    format!("service `{name}` has the container name of another one"),
                )
                .related(&first.span, "the other one"),
            );
        }
    }
    None
}
