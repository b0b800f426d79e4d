//! Declared destinations outside of the mirror: their stubs become services.

use std::collections::BTreeMap;

use serde_json::json;

use super::holders::run_agent;
use super::rule::Report;
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::{Class, Record, Severity};
use crate::mirror::{Attachment, FileObject, FileUse, Mirror, Service, Sourced};
use crate::project::{Egress, Fate, Project, Stub};
use crate::source::Span;
use crate::stack::extension::{Extension, StubSpec};

/// Where a stub finds its configuration in its container.
pub const STUB_CONFIG: &str = "/stub.json";

/// A stand-in: all declared ports of one host that answer in the same way.
struct Group<'p> {
    host: &'p str,
    stub: &'p Stub,
    ports: Vec<(u16, bool)>,
    at: &'p Egress,
}

/// Adds a service for each declared stub, under the name of the host that it stands for.
///
/// Stubs take part in every network that production does not declare internal: what could
/// reach the host there can reach its stub here, and nothing else can.
pub fn apply(
    mirror: &mut Mirror,
    project: &Project,
    helper: &Helper<'_>,
    extension: &mut Extension,
    report: &mut Report,
) {
    for e in &project.egress {
        record(e, report);
        if matches!(e.fate, Fate::Deny) {
            extension.egress.deny.push(e.to.to_string());
        }
    }
    let taken = names_of(mirror);
    for group in groups(project) {
        if let Some(owner) = taken.get(group.host) {
            report.problems.push(
                Problem::at(
                    ProblemKind::Conflict,
                    &group.at.at.span,
                    format!(
                        "`{}` is a name of service `{owner}` in the mirror",
                        group.host
                    ),
                )
                .help("a destination outside of the mirror needs a name of its own"),
            );
            continue;
        }
        let name = free_name(mirror, "stub", group.host);
        add(mirror, &group, &name, helper);
        extension.stubs.insert(
            name.clone(),
            StubSpec {
                host: group.host.to_owned(),
                ports: group.ports.iter().map(|(p, _)| *p).collect(),
                tls: group
                    .ports
                    .iter()
                    .filter(|(_, tls)| *tls)
                    .map(|(p, _)| *p)
                    .collect(),
                config: name,
            },
        );
    }
}

fn groups(project: &Project) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for e in &project.egress {
        let Fate::Stub { stub, tls } = &e.fate else {
            continue;
        };
        match groups
            .iter_mut()
            .find(|g| g.host == e.to.host && same(g.stub, stub))
        {
            Some(g) => g.ports.push((e.to.port, *tls)),
            None => groups.push(Group {
                host: &e.to.host,
                stub,
                ports: vec![(e.to.port, *tls)],
                at: e,
            }),
        }
    }
    groups
}

/// Whether two stubs answer alike, wherever they are written.
fn same(a: &Stub, b: &Stub) -> bool {
    a.mail == b.mail
        && a.agent_config("", &[]) == b.agent_config("", &[])
        && a.raw.as_ref().map(|r| (r.kind, &r.text)) == b.raw.as_ref().map(|r| (r.kind, &r.text))
}

fn record(e: &Egress, report: &mut Report) {
    let (class, severity, actual, reason) = match &e.fate {
        Fate::Stub { .. } => (
            Class::Substituted,
            Severity::Medium,
            "a stub",
            "nothing of the mirror reaches production",
        ),
        Fate::Allow => (
            Class::Mirrored,
            Severity::Info,
            "the real one",
            "allowed in mirror.yaml",
        ),
        Fate::Deny => (
            Class::Dropped,
            Severity::Medium,
            "",
            "denied in mirror.yaml",
        ),
    };
    let object = format!("external:{}", e.to.host);
    let mut r = Record::new(object, format!("port {}", e.to.port), class, severity).at(&e.at.span);
    r.declared = e.to.to_string();
    r.actual = actual.to_owned();
    r.reason = match &e.because {
        Some(because) => format!("{reason}: {because}"),
        None => reason.to_owned(),
    };
    r.rule = "egress".to_owned();
    report.records.push(r);
}

/// Every name by which services of the mirror are reached, with its service.
pub fn names_of(mirror: &Mirror) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (key, s) in &mirror.services {
        let mut add = |name: &str| {
            names
                .entry(name.to_ascii_lowercase())
                .or_insert_with(|| key.clone());
        };
        add(key);
        s.container_name.iter().for_each(|n| add(n));
        s.network.hostname.iter().for_each(|n| add(n));
        if let (Some(h), Some(d)) = (&s.network.hostname, &s.network.domainname) {
            add(&format!("{}.{}", h.value, d.value));
        }
        for a in s.network.attachments.values() {
            a.aliases.iter().for_each(|n| add(n));
        }
        for l in s.network.links.iter().filter_map(|l| l.alias.as_ref()) {
            add(l);
        }
    }
    names
}

fn add(mirror: &mut Mirror, group: &Group<'_>, name: &str, helper: &Helper<'_>) {
    let ports: Vec<u16> = group.ports.iter().map(|(p, _)| *p).collect();
    let at = group.at.at.span.clone();
    let text = |t: &str| Sourced::new(t.to_owned(), at.clone());
    let config = group.stub.agent_config(group.host, &ports);
    let mut s = helper.service(mirror, name, &at, ("stub", STUB_CONFIG), &config);
    s.network.expose = ports.iter().map(|p| text(&p.to_string())).collect();
    for key in used_networks(mirror, helper.closed) {
        let attachment = Attachment {
            explicit: true,
            declared: Sourced::new((), at.clone()),
            aliases: vec![text(group.host)],
            ..Attachment::default()
        };
        s.network.attachments.insert(key, attachment);
    }
    mirror.services.insert(name.to_owned(), s);
}

/// A name for the service that stands for a host, which nothing in the mirror has yet.
pub(super) fn free_name(mirror: &Mirror, kind: &str, host: &str) -> String {
    let base = format!("{kind}-{}", host.replace(['.', '_'], "-"));
    let numbered = (2..).map(|n| format!("{base}-{n}"));
    let mut names = std::iter::once(base.clone()).chain(numbered);
    let free = |name: &String| {
        !mirror.services.contains_key(name) && !mirror.config_files.contains_key(name)
    };
    names.find(free).unwrap_or(base)
}

/// The networks with services in which production can reach what is outside.
pub(super) fn used_networks(mirror: &Mirror, closed: &[String]) -> Vec<String> {
    mirror
        .networks
        .keys()
        .filter(|key| !closed.contains(key))
        .filter(|key| {
            let mut services = mirror.services.values();
            services.any(|s| s.network.attachments.contains_key(*key))
        })
        .cloned()
        .collect()
}

/// What services that the agent plays are made from.
pub struct Helper<'h> {
    /// Reference of the agent's image.
    pub agent_image: &'h str,
    /// Networks that production itself keeps closed.
    pub closed: &'h [String],
    /// Name of the stack.
    pub stack: &'h str,
}

impl Helper<'_> {
    /// A service in which the agent runs in a mode, without networks. Its configuration is put
    /// into the mirror, under the service's name.
    pub(super) fn service(
        &self,
        mirror: &mut Mirror,
        name: &str,
        at: &Span,
        (mode, config_path): (&str, &str),
        config: &serde_json::Value,
    ) -> Service {
        let text = |t: &str| Sourced::new(t.to_owned(), at.clone());
        let mut s = Service {
            name: text(name),
            ..Service::default()
        };
        run_agent(
            &mut s,
            self.agent_image,
            &[mode, "--config", config_path],
            at,
        );
        // It stands in several networks and must not route between them.
        let sysctl = ("net.ipv4.ip_forward".to_owned(), text("0"));
        s.security.sysctls.extend([sysctl]);
        let file = FileUse {
            source: Some(text(name)),
            target: Some(text(config_path)),
            ..FileUse::default()
        };
        s.config_files = vec![Sourced::new(file, at.clone())];
        let object = FileObject {
            declared: Sourced::new((), at.clone()),
            content: Some(Sourced::new(pretty(config), at.clone())),
            ..FileObject::default()
        };
        mirror.config_files.insert(name.to_owned(), object);
        s
    }
}

fn pretty(config: &serde_json::Value) -> String {
    serde_json::to_string_pretty(config).unwrap_or_else(|_| json!({}).to_string()) + "\n"
}
