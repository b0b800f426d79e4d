//! What Swarm adds to the services of a stack, once all of its files are merged.

use super::placeholder::{self, Task};
use super::{Fact, Stacks};
use crate::fidelity::{Class, Severity};
use crate::source::Span;
use crate::yaml::{Mapping, Node, Value, ViaKind};

/// Makes explicit what Swarm adds; `stack` is the name that the stack is deployed under.
pub(crate) fn finish(document: &mut Node, stack: &str, stacks: &mut Stacks) {
    let services = document.as_map_mut().and_then(|m| m.get_mut("services"));
    let names = stacks.services.clone();
    for (name, service) in services
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Mapping::iter_mut)
    {
        let span = service.span.clone();
        if let (true, Some(map)) = (names.iter().any(|n| n == name), service.as_map_mut()) {
            let mut of = Of {
                name,
                span: &span,
                stacks,
            };
            of.deploy(map);
            of.names(map, stack);
            of.files(map);
            of.templates(map, stack);
        }
    }
}

/// A service that is being finished.
struct Of<'a> {
    name: &'a str,
    span: &'a Span,
    stacks: &'a mut Stacks,
}

impl Of<'_> {
    fn record(&mut self, class: Class, severity: Severity, fact: Fact<'_>) {
        let object = format!("service:{}", self.name);
        self.stacks.record(class, severity, object, fact);
    }

    fn implied(&self, value: Value) -> Node {
        Node::new(value, self.span.clone()).via(ViaKind::Default, self.span.clone())
    }

    /// Replicas, reservations and restarts.
    fn deploy(&mut self, service: &mut Mapping) {
        if service.get("deploy").is_none_or(Node::is_null) {
            service.insert("deploy", self.implied(Value::Map(Mapping::default())));
        }
        let Some(deploy) = service.get_mut("deploy").and_then(Node::as_map_mut) else {
            return;
        };
        if let Some(mode) = deploy
            .get("mode")
            .filter(|m| m.as_str().is_some_and(|m| m.starts_with("global")))
        {
            let fact = Fact {
                field: "deploy.mode",
                declared: mode.scalar_text().unwrap_or_default(),
                actual: "one container".to_owned(),
                reason: "the mirror is one node",
                span: &mode.span.clone(),
            };
            self.record(Class::Substituted, Severity::Info, fact);
        }
        let resources = deploy.get_mut("resources").and_then(Node::as_map_mut);
        if let Some(reserved) = resources.and_then(|r| r.remove("reservations")) {
            let fact = Fact {
                field: "deploy.resources.reservations",
                declared: reserved.to_json().to_string(),
                actual: String::new(),
                reason: "Swarm chooses a node by it; the container does not get it",
                span: &reserved.span,
            };
            self.record(Class::Dropped, Severity::Info, fact);
        }
        if !deploy.contains_key("restart_policy") {
            let mut policy = Mapping::default();
            policy.insert("condition", self.implied(Value::Str("any".to_owned())));
            deploy.insert("restart_policy", self.implied(Value::Map(policy)));
        }
    }

    /// Names on the networks: `tasks.web` are all containers of `web`, and so is `web` without
    /// a virtual address.
    fn names(&mut self, service: &mut Mapping, stack: &str) {
        let replicas = service.get("deploy").and_then(|d| d.get("replicas"));
        let several = replicas.and_then(Node::as_int).is_some_and(|n| n > 1);
        let mode = service.get("deploy").and_then(|d| d.get("endpoint_mode"));
        let virtual_address = mode.and_then(Node::as_str) != Some("dnsrr");
        if several && virtual_address {
            let fact = Fact {
                field: "deploy.endpoint_mode",
                declared: "vip: one address before all containers".to_owned(),
                actual: "the addresses of all containers, in turn".to_owned(),
                reason: "the mirror has no load balancer of Swarm",
                span: &mode.map_or(self.span, |m| &m.span).clone(),
            };
            self.record(Class::Substituted, Severity::Low, fact);
        }
        let own = [
            format!("tasks.{}", self.name),
            format!("{stack}_{}", self.name),
        ];
        if service.get("networks").is_none_or(Node::is_null) {
            let mut networks = Mapping::default();
            networks.insert("default", self.implied(Value::Map(Mapping::default())));
            service.insert("networks", self.implied(Value::Map(networks)));
        }
        let networks = service.get_mut("networks").and_then(Node::as_map_mut);
        for (_, attachment) in networks.into_iter().flat_map(Mapping::iter_mut) {
            if attachment.is_null() {
                attachment.value = Value::Map(Mapping::default());
            }
            let Some(map) = attachment.as_map_mut() else {
                continue;
            };
            if map.get("aliases").is_none_or(Node::is_null) {
                map.insert("aliases", self.implied(Value::Seq(Vec::new())));
            }
            let aliases = map.get_mut("aliases").and_then(Node::as_seq_mut);
            if let Some(aliases) = aliases {
                for name in &own {
                    if !aliases.iter().any(|a| a.as_str() == Some(name)) {
                        aliases.push(self.implied(Value::Str(name.clone())));
                    }
                }
            }
        }
    }

    /// Configs and secrets are root's and readable for all, unless the stack says otherwise.
    fn files(&mut self, service: &mut Mapping) {
        for key in ["configs", "secrets"] {
            let items = service.get_mut(key).and_then(Node::as_seq_mut);
            for item in items.into_iter().flatten().filter_map(Node::as_map_mut) {
                for (owner, id) in [("uid", "0"), ("gid", "0")] {
                    if item.get(owner).is_none_or(Node::is_null) {
                        item.insert(owner, self.implied(Value::Str(id.to_owned())));
                    }
                }
                if item.get("mode").is_none_or(Node::is_null) {
                    let value = Value::Int {
                        value: 0o444,
                        raw: "0444".to_owned(),
                    };
                    item.insert("mode", self.implied(value));
                }
            }
        }
    }

    /// Templates in the environment, the host name and the mounts.
    fn templates(&mut self, service: &mut Mapping, stack: &str) {
        for key in ["environment", "hostname", "volumes"] {
            if let Some(node) = service.get_mut(key) {
                self.fill(node, key, stack);
            }
        }
    }

    fn fill(&mut self, node: &mut Node, field: &str, stack: &str) {
        match &mut node.value {
            Value::Seq(items) => {
                for (i, n) in items.iter_mut().enumerate() {
                    self.fill(n, &format!("{field}[{i}]"), stack);
                }
            }
            Value::Map(map) => {
                for (key, n) in map.iter_mut() {
                    self.fill(n, &format!("{field}.{key}"), stack);
                }
            }
            Value::Str(text) => {
                let task = Task {
                    stack,
                    service: self.name,
                };
                let Some(filled) = placeholder::fill(text, &task) else {
                    return;
                };
                let declared = std::mem::replace(text, filled.text.clone());
                let (class, severity, reason) = match (&filled.unknown, filled.by_replica) {
                    (Some(_), _) => (
                        Class::Unknown,
                        Severity::High,
                        "this template is not known here; it stays as it is",
                    ),
                    (None, true) => (
                        Class::Substituted,
                        Severity::Medium,
                        "Swarm fills it in for each container; here it is that of the first one for all",
                    ),
                    (None, false) => (
                        Class::Substituted,
                        Severity::Low,
                        "Swarm fills it in by its own node",
                    ),
                };
                let fact = Fact {
                    field,
                    declared,
                    actual: filled.text,
                    reason,
                    span: &node.span,
                };
                self.record(class, severity, fact);
            }
            _ => {}
        }
    }
}
