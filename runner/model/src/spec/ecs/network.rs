//! What belongs to whoever owns the network of a container: names, ports, name servers.

use super::compose::Part;
use super::linux;
use super::notes::{Fact, Notes};
use super::object::Object;
use super::task::Mode;
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::Severity;
use crate::source::Span;
use crate::yaml::{Mapping, Node, Spanned, Value};

/// The network half of one or several containers.
#[derive(Debug, Default)]
pub(super) struct Network {
    part: Part,
    ports: Vec<Node>,
    seen: Vec<(i64, String)>,
    aliases: Vec<Spanned<String>>,
}

impl Network {
    /// Takes over what a container says about its network.
    pub fn take(&mut self, container: &mut Object<'_>, mode: Mode, notes: &mut Notes) -> Mapping {
        let (net, other) = linux::sysctls(container, notes);
        self.part.map("sysctls", net);
        self.part.texts("dns", container.texts("dnsServers", notes));
        let search = container.texts("dnsSearchDomains", notes);
        self.part.texts("dns_search", search);
        self.hosts(container, notes);
        let hostname = container.word("hostname", notes);
        if self.part.0.get("hostname").is_none() {
            self.part.text("hostname", hostname);
        }
        for port in container.objects("portMappings", notes) {
            self.port(port, mode, notes);
        }
        other
    }

    fn hosts(&mut self, container: &mut Object<'_>, notes: &mut Notes) {
        let mut hosts = Vec::new();
        for mut host in container.objects("extraHosts", notes) {
            let name = host.word("hostname", notes);
            let address = host.word("ipAddress", notes);
            let span = host.span.clone();
            host.finish(notes);
            match (name, address) {
                (Some(name), Some(address)) => {
                    let text = format!("{}={}", name.value, address.value);
                    hosts.push(Node::str(text, span));
                }
                _ => notes.invalid(&span, "an extra host has a `hostname` and an `ipAddress`"),
            }
        }
        self.part.list("extra_hosts", hosts);
    }

    fn port(&mut self, mut port: Object<'_>, mode: Mode, notes: &mut Notes) {
        let span = port.span.clone();
        let target = port.count("containerPort", notes);
        let host = port.count("hostPort", notes).filter(|p| p.value > 0);
        let protocol = port.word("protocol", notes);
        let name = port.word("name", notes);
        let app_protocol = port.word("appProtocol", notes);
        let range = port.word("containerPortRange", notes);
        port.finish(notes);
        if let Some(range) = range {
            let fact = Fact {
                field: &format!("portMappings[{}]", range.as_str()),
                declared: range.value.clone(),
                actual: "",
                reason: "ranges of ports are not published; peers reach them all the same",
                span: &range.span,
            };
            return notes.substituted(Severity::Info, fact);
        }
        let Some(target) = target.filter(|p| (1..=65535).contains(&p.value)) else {
            return notes.invalid(
                &span,
                "a port mapping has a `containerPort` from 1 to 65535",
            );
        };
        let kind = protocol.as_ref().map_or("tcp", |p| p.as_str()).to_owned();
        let key = (target.value, kind);
        if self.seen.contains(&key) {
            return;
        }
        self.seen.push(key);
        let published = match mode {
            Mode::Bridge => host,
            // The port of the task's own address; ECS takes no other.
            Mode::AwsVpc | Mode::Host => Some(target.clone()),
            Mode::None => return,
        };
        let mut part = Part::default();
        part.text("name", name);
        part.set("target", Node::int(target.value, target.span));
        if let Some(p) = published {
            part.set("published", Node::str(p.value.to_string(), p.span));
        }
        part.text("protocol", protocol);
        part.text("app_protocol", app_protocol);
        self.ports.push(part.node(&span));
    }

    /// Adds names by which others reach it.
    pub fn aliases(&mut self, names: impl IntoIterator<Item = Spanned<String>>) {
        for name in names {
            if !self.aliases.iter().any(|a| a.value == name.value) {
                self.aliases.push(name);
            }
        }
    }

    /// Writes it into the service that owns the network.
    pub fn write(self, service: &mut Part, span: &Span) {
        for (key, entry) in self.part.0.0 {
            match (service.0.get_mut(&key), entry.node.value) {
                (
                    Some(Node {
                        value: Value::Map(old),
                        ..
                    }),
                    Value::Map(new),
                ) => old.0.extend(new.0),
                (_, value) => service.set(&key, Node::new(value, entry.node.span)),
            }
        }
        service.list("ports", self.ports);
        let mut own = Part::default();
        own.texts("aliases", self.aliases);
        // A foreign network has no names of ours.
        if !own.0.is_empty() && service.0.get("network_mode").is_none() {
            let mut networks = Part::default();
            networks.set("default", own.node(span));
            service.set("networks", networks.node(span));
        }
    }
}

/// Links, which only tasks with bridge networks have.
pub(super) fn links(
    container: &mut Object<'_>,
    service: &mut Part,
    mode: Mode,
    key_of: impl Fn(&str) -> Option<String>,
    notes: &mut Notes,
) {
    let links = container.texts("links", notes);
    if mode != Mode::Bridge {
        if let Some(first) = links.first() {
            let node = Node::str(first.value.clone(), first.span.clone());
            let reason = "ECS refuses links outside of bridge networks";
            notes.dropped(Severity::Medium, "links", &node, reason);
        }
        return;
    }
    let mut found = Vec::new();
    for link in links {
        let (name, alias) = link.split_once(':').unwrap_or((&link, &link));
        match key_of(name) {
            Some(key) => found.push(Node::str(format!("{key}:{alias}"), link.span)),
            None => notes.refuse(unknown_container(name, &link.span)),
        }
    }
    service.list("links", found);
}

/// A container that its task does not have.
pub(super) fn unknown_container(name: &str, span: &Span) -> Problem {
    Problem::at(
        ProblemKind::UnknownReference,
        span,
        format!("the task has no container `{name}`"),
    )
}
