//! Destinations that `mirror.yaml` allows: relays are their only way out.
//!
//! A service of the stack finds the destination's name at a relay in its own networks. That
//! relay leads each allowed port to a second one, which alone is in a network that is not
//! internal and nowhere else: there the name means the real host. (One relay for both would
//! find itself under the name.)

use std::collections::BTreeMap;

use serde_json::json;

use super::egress::{Helper, free_name, used_networks};
use super::rule::Report;
use crate::diag::{Problem, ProblemKind, Problems};
use crate::mirror::{Attachment, HostEntry, Mirror, NamespaceMode, Network, Service, Sourced};
use crate::project::{Egress, Fate, Project};
use crate::source::Span;
use crate::stack::extension::Extension;

/// The network that leads out, and the service in it.
pub const WAY_OUT: &str = "prodmirror-egress";
/// Where a relay finds its configuration in its container.
pub const RELAY_CONFIG: &str = "/relay.json";
/// The first port between the relays.
const FIRST_PORT: u16 = 10001;

/// The addresses that production gives to names by `extra_hosts`, by name.
pub fn pinned(production: &Mirror) -> BTreeMap<String, Vec<Sourced<HostEntry>>> {
    let mut pinned: BTreeMap<String, Vec<Sourced<HostEntry>>> = BTreeMap::new();
    let services = production.services.values();
    for entry in services.flat_map(|s| &s.network.extra_hosts) {
        let same = pinned.entry(entry.host.to_ascii_lowercase()).or_default();
        if same.iter().all(|e| e.address != entry.address) {
            same.push(entry.clone());
        }
    }
    pinned
}

/// Adds the relays of all allowed destinations, and their network.
pub fn apply(
    mirror: &mut Mirror,
    project: &Project,
    pinned: &BTreeMap<String, Vec<Sourced<HostEntry>>>,
    helper: &Helper<'_>,
    extension: &mut Extension,
    report: &mut Report,
) {
    let allowed: Vec<&Egress> = project
        .egress
        .iter()
        .filter(|e| matches!(e.fate, Fate::Allow))
        .collect();
    let Some(first) = allowed.first() else { return };
    let found = refusals(mirror, project, &allowed, pinned);
    if found.has_errors() {
        report.problems.0.extend(found.0);
        return;
    }
    let mut behind = Vec::new();
    let mut hosts: BTreeMap<&str, Vec<(u16, u16, &Span)>> = BTreeMap::new();
    for (e, port) in allowed.iter().zip(FIRST_PORT..) {
        extension.egress.allow.push(e.to.to_string());
        behind.push((port, e.to.to_string()));
        let ports = hosts.entry(&e.to.host).or_default();
        ports.push((e.to.port, port, &e.at.span));
    }
    let used = used_networks(mirror, helper.closed);
    for (host, ports) in &hosts {
        let at = ports[0].2;
        let name = free_name(mirror, "egress", host);
        let leads = ports
            .iter()
            .map(|(p, to, _)| (*p, format!("{WAY_OUT}:{to}")));
        let mut relay = relay(helper, &name, host, leads.collect(), at, mirror);
        for key in &used {
            let aliases = vec![Sourced::new((*host).to_owned(), at.clone())];
            relay.network.attachments.insert(
                key.clone(),
                Attachment {
                    aliases,
                    ..in_network(at)
                },
            );
        }
        // Last, so that it is the stack's networks in which the relay is found.
        let out = Attachment {
            priority: Some(Sourced::new(-1, at.clone())),
            ..in_network(at)
        };
        relay.network.attachments.insert(WAY_OUT.to_owned(), out);
        mirror.services.insert(name, relay);
    }
    let at = &first.at.span;
    let mut last = relay(helper, WAY_OUT, WAY_OUT, behind, at, mirror);
    let known = hosts.keys().filter_map(|host| pinned.get(*host));
    last.network.extra_hosts = known.flatten().cloned().collect();
    last.network
        .attachments
        .insert(WAY_OUT.to_owned(), in_network(at));
    mirror.services.insert(WAY_OUT.to_owned(), last);
    let network = Network {
        declared: Sourced::new((), at.clone()),
        name: Some(format!("{}_{WAY_OUT}", helper.stack).into()),
        internal: Some(Sourced::new(false, at.clone())),
        ipam: Some(crate::mirror::Ipam::default().into()),
        ..Network::default()
    };
    mirror.networks.insert(WAY_OUT.to_owned(), network);
}

fn in_network(at: &Span) -> Attachment {
    Attachment {
        explicit: true,
        declared: Sourced::new((), at.clone()),
        ..Attachment::default()
    }
}

/// A relay that leads each port to a destination; its configuration is put into the mirror.
fn relay(
    helper: &Helper<'_>,
    name: &str,
    called: &str,
    ports: Vec<(u16, String)>,
    at: &Span,
    mirror: &mut Mirror,
) -> Service {
    let leads: Vec<_> = ports
        .iter()
        .map(|(port, to)| json!({ "port": port, "to": to }))
        .collect();
    let config = json!({ "name": called, "ports": leads });
    let mut service = helper.service(mirror, name, at, ("relay", RELAY_CONFIG), &config);
    service.network.expose = ports
        .iter()
        .map(|(port, _)| Sourced::new(port.to_string(), at.clone()))
        .collect();
    // It stands in two networks, and must not route between them.
    let forward = Sourced::new("0".to_owned(), at.clone());
    service
        .security
        .sysctls
        .insert("net.ipv4.ip_forward".to_owned(), forward);
    service
}

/// What keeps allowed destinations from being allowed.
fn refusals(
    mirror: &Mirror,
    project: &Project,
    allowed: &[&Egress],
    pinned: &BTreeMap<String, Vec<Sourced<HostEntry>>>,
) -> Problems {
    let mut problems = Problems::default();
    let names = super::names_of(mirror);
    for e in allowed {
        let host = e.to.host.as_str();
        let mut refuse = |kind, why: String, help: &str| {
            problems.push(Problem::at(kind, &e.at.span, why).help(help));
        };
        if e.to.is_address() {
            let why =
                format!("only a destination with a name can be allowed; `{host}` is an address");
            refuse(
                ProblemKind::Unsupported,
                why,
                "allow a name, have the service use it, and give it the address in production's `extra_hosts`",
            );
        }
        if let Some(owner) = names.get(host) {
            let why = format!("`{host}` is a name of service `{owner}` in the mirror");
            let help = "a destination outside of the mirror needs a name of its own";
            refuse(ProblemKind::Conflict, why, help);
        }
        let stub = |o: &&Egress| o.to.host == host && matches!(o.fate, Fate::Stub { .. });
        if project.egress.iter().any(|o| stub(&o)) {
            let why =
                format!("`{host}` has a stub for another port: one host is either real or a stub");
            let help = "give each port of this host a stub, or allow them all";
            refuse(ProblemKind::Conflict, why, help);
        }
        if let Some([one, other, ..]) = pinned.get(host).map(Vec::as_slice) {
            let why = format!(
                "production's `extra_hosts` give `{host}` both {} and {}: which is allowed?",
                one.address, other.address
            );
            refuse(
                ProblemKind::Conflict,
                why,
                "give it the same address everywhere",
            );
        }
    }
    let network = mirror.networks.get(WAY_OUT).map(|n| &n.declared.span);
    let service = mirror.services.get(WAY_OUT).map(|s| &s.name.span);
    for span in network.into_iter().chain(service) {
        let why = format!("`{WAY_OUT}` is what the mirror calls its way to allowed destinations");
        problems.push(Problem::at(ProblemKind::Conflict, span, why).help("give it another name"));
    }
    problems
}

/// Takes the way out from a stack that was read back, when nothing but the relays that this
/// module made is in it, as it made them. Gives what else there is.
pub fn seal(stack: &mut Mirror, expected: &Mirror) -> Problems {
    let mut problems = Problems::default();
    if !expected.networks.contains_key(WAY_OUT) {
        return problems;
    }
    let inside = |s: &Service| s.network.attachments.contains_key(WAY_OUT);
    let found: Vec<String> = stack
        .services
        .iter()
        .filter(|(_, s)| inside(s))
        .map(|(key, _)| key.clone())
        .collect();
    for key in found {
        let made = expected.services.get(&key).filter(|s| inside(s));
        let same = made.is_some_and(|made| {
            stack
                .services
                .get(&key)
                .is_some_and(|s| describe(s) == describe(made))
                && content(stack, &key) == content(expected, &key)
        });
        if same {
            stack.services.shift_remove(&key);
        } else if let Some(s) = stack.services.get(&key) {
            problems.push(forbidden(&key, &s.name.span));
        }
    }
    for (key, s) in &stack.services {
        if let Some(mode) = &s.network.mode
            && let NamespaceMode::Service(other) = &mode.value
            && expected.services.get(other).is_some_and(inside)
        {
            problems.push(forbidden(key, &mode.span));
        }
    }
    if problems.0.is_empty() {
        stack.networks.shift_remove(WAY_OUT);
    }
    problems
}

fn forbidden(service: &str, at: &Span) -> Problem {
    let what =
        format!("service `{service}` would be in the network that leads to allowed destinations");
    Problem::at(ProblemKind::Forbidden, at, what)
        .help("a template may neither change the relays nor put others into their network")
}

/// All of a relay that decides what it does and where it is.
fn describe(s: &Service) -> impl PartialEq + use<> {
    let texts = |list: &[Sourced<String>]| -> Vec<String> {
        list.iter().map(|t| t.value.clone()).collect()
    };
    let hosts = s.network.extra_hosts.iter().map(|e| e.value.to_string());
    let files = s.config_files.iter().map(|f| {
        let text = |t: &Option<Sourced<String>>| t.as_ref().map(|t| t.value.clone());
        (text(&f.source), text(&f.target))
    });
    let networks: std::collections::BTreeSet<_> = s.network.attachments.keys().cloned().collect();
    (
        s.image.reference.as_ref().map(|r| r.value.clone()),
        s.process.command.value.clone(),
        s.process.entrypoint.value.clone(),
        (texts(&s.security.cap_add), texts(&s.security.cap_drop)),
        s.security
            .sysctls
            .iter()
            .map(|(k, v)| (k.clone(), v.value.clone()))
            .collect::<Vec<_>>(),
        (hosts.collect::<Vec<_>>(), networks),
        (files.collect::<Vec<_>>(), s.mounts.list.len(), s.env.len()),
        s.network.mode.is_some(),
    )
}

fn content(mirror: &Mirror, key: &str) -> Option<String> {
    let object = mirror.config_files.get(key)?;
    object.content.as_ref().map(|c| c.value.clone())
}

#[cfg(test)]
mod tests;
