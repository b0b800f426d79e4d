//! Ingresses: a host that leads to one service is a name of that service; what else they say is
//! done by a gateway, where one is needed.

mod rules;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ServicePort;
use regex::Regex;
use serde_json::json;

use self::rules::{Backend, PathKind, Rule};
use super::build::Build;
use super::cluster::{Cluster, Service};
use super::dict::{Dict, texts};
use super::network::{self, CLUSTER};
use crate::fidelity::{Class, Severity};
use crate::source::Span;
use crate::spec::{Front, FrontMode};

/// The port by which a host is called.
pub const PORT: u16 = 80;
/// What the service of the gateway is called, if nobody else is.
const GATEWAY: &str = "ingress";

/// The hosts of all Ingresses: what one says of a host, another one may add to.
#[derive(Debug, Default)]
pub struct Hosts {
    rules: Vec<Rule>,
    /// Those that are names of a service.
    pub reached: BTreeSet<String>,
    /// Those that the gateway answers for, with its name.
    gateway: Option<(String, BTreeSet<String>)>,
}

/// A host that leads to one port of a Service.
pub struct Lead {
    /// The host.
    pub host: String,
    /// The port of the Service.
    pub port: ServicePort,
    /// Where the host is declared.
    pub span: Span,
}

impl Hosts {
    /// Gathers them.
    pub fn of(cluster: &Cluster<'_>) -> Self {
        let objects = cluster.all("Ingress");
        Self {
            rules: objects.flat_map(|o| rules::of(cluster, o)).collect(),
            ..Self::default()
        }
    }

    /// What each host leads to. None for one whose paths are rewritten: it is no mere name.
    fn backends(&self) -> BTreeMap<&str, Option<BTreeSet<&Backend>>> {
        let mut all: BTreeMap<&str, Option<BTreeSet<&Backend>>> = BTreeMap::new();
        for rule in self.rules.iter().filter(|r| r.is_for_one_host()) {
            let known = all
                .entry(&rule.host)
                .or_insert_with(|| Some(BTreeSet::new()));
            match (&mut *known, rule.is_plain()) {
                (Some(backends), true) => drop(backends.insert(&rule.backend)),
                _ => *known = None,
            }
        }
        all
    }

    /// The hosts that lead to a Service and to nothing else.
    pub fn of_service(&self, service: &Service<'_>) -> Vec<Lead> {
        let (name, namespace) = (&service.object.name, &service.object.namespace);
        let lead = |(host, backends): (&str, Option<BTreeSet<&Backend>>)| {
            let backends = backends.filter(|b| b.len() == 1)?;
            let backend = backends.first()?;
            if (&backend.service, &backend.namespace) != (name, namespace) {
                return None;
            }
            let mut ports = service.spec.ports.iter().flatten();
            let rule = self.rules.iter().find(|r| r.host == host)?;
            Some(Lead {
                host: host.to_owned(),
                port: ports.find(|p| p.port.to_string() == backend.port)?.clone(),
                span: rule.at.clone(),
            })
        };
        self.backends().into_iter().filter_map(lead).collect()
    }

    /// Whether a rule is kept by a name alone.
    fn is_a_name(&self, rule: &Rule) -> bool {
        self.reached.contains(&rule.host)
    }
}

/// Where the gateway finds what a rule leads to: `orders.shop.svc.cluster.local:8080`. None where
/// no pod of the files is there, or the rule is one that nobody understands.
fn leads_to(cluster: &Cluster<'_>, rule: &Rule) -> Option<String> {
    let backend = &rule.backend;
    let is_it = |s: &&Service<'_>| {
        s.object.name == backend.service && s.object.namespace == backend.namespace
    };
    let service = cluster.services.iter().find(is_it)?;
    let mut workloads = cluster.workloads.iter();
    let workload = workloads.find(|w| service.selects(w))?;
    let mut ports = service.spec.ports.iter().flatten();
    let port = ports.find(|p| p.port.to_string() == backend.port)?;
    let target = network::target(workload, port)?;
    // There is nothing before the pods of a headless Service.
    let port = match service.is_headless() {
        true => i32::from(target),
        false => port.port,
    };
    let is_read = rule.kind != PathKind::Regex || Regex::new(&rule.path).is_ok();
    let host = format!(
        "{}.{}.svc.cluster.local",
        backend.service, backend.namespace
    );
    is_read.then(|| format!("{host}:{port}"))
}

/// Adds the gateway, if there is a rule that is more than a name of a service.
pub fn gateway(build: &mut Build<'_>) {
    let cluster = build.cluster;
    let hosts = &build.hosts;
    let led = hosts
        .rules
        .iter()
        .filter_map(|r| Some((r, leads_to(cluster, r)?)));
    let mut led: Vec<(&Rule, String)> = led.collect();
    // What it does that names do not.
    let Some(at) = led
        .iter()
        .find(|(r, _)| !hosts.is_a_name(r))
        .map(|(r, _)| r.at.clone())
    else {
        return;
    };
    // Of the rules of a host the first that fits counts: whole paths, then the longest.
    led.sort_by_key(|(r, _)| (r.kind, std::cmp::Reverse(r.path.len())));
    let routes = led.iter().map(|(r, to)| {
        let mut route = json!({"kind": r.kind.name(), "to": to});
        for (key, value) in [("host", &r.host), ("path", &r.path)] {
            if !value.is_empty() {
                route[key] = json!(value);
            }
        }
        if let Some(rewrite) = &r.rewrite {
            route["rewrite"] = json!(rewrite);
        }
        route.to_string()
    });
    let forwards: Vec<String> = routes.collect();
    let own = led
        .iter()
        .filter(|(r, _)| r.is_for_one_host() && !hosts.is_a_name(r));
    let names: BTreeSet<String> = own.map(|(r, _)| r.host.clone()).collect();
    let name = build.free_name(GATEWAY, &at);
    let mut service = Dict::at(&at);
    service.text("image", "prodmirror/agent", &at);
    let mut network = Dict::at(&at);
    let aliases: Vec<String> = names.iter().cloned().collect();
    network.list("aliases", texts(aliases, &at), &at);
    let mut networks = Dict::at(&at);
    let of_all = match cluster.namespaces.len() {
        0 | 1 => "default",
        _ => CLUSTER,
    };
    networks.dict(of_all, network);
    service.dict("networks", networks);
    let mut port = Dict::at(&at);
    port.int("target", i64::from(PORT), &at);
    service.list("ports", vec![port.done()], &at);
    build.add(&name, service, (&name, false));
    let does = FrontMode::Gateway;
    build
        .beyond
        .fronts
        .insert(name.clone(), Front { at, does, forwards });
    build.hosts.gateway = Some((name, names));
}

const MISSING: &str = "a path leads to a port that no pod of these files has, or is no regular expression: nobody answers there";
const BY_NAMES: &str = "its hosts are names of the services that they lead to, on port 80: TLS and what the controller's annotations ask for are not in the mirror";
const BY_GATEWAY: &str = "the tool's own gateway leads its hosts and paths to the services, on port 80: TLS and what further annotations of the controller ask for are not in the mirror";

/// Says what becomes of every Ingress.
pub fn records(build: &mut Build<'_>) {
    let cluster = build.cluster;
    for object in cluster.all("Ingress") {
        let hosts = &build.hosts;
        let of_object = |r: &&Rule| r.of == object.title();
        let own: Vec<&Rule> = hosts.rules.iter().filter(of_object).collect();
        let is_led = |r: &&Rule| hosts.is_a_name(r) || leads_to(cluster, r).is_some();
        let is_whole = !own.is_empty() && own.iter().all(is_led);
        let by_names = own.iter().all(|r| hosts.is_a_name(r));
        let (class, severity, reason) = match (is_whole, by_names) {
            (false, _) => (Class::Dropped, Severity::High, MISSING),
            (true, true) => (Class::Substituted, Severity::Medium, BY_NAMES),
            (true, false) => (Class::Substituted, Severity::Medium, BY_GATEWAY),
        };
        let actual = answers(hosts, &own);
        let record = build.record(
            (&object.title(), "rules"),
            (class, severity),
            ("", reason),
            object.span(),
        );
        record.actual = actual;
    }
}

/// The hosts of rules that somebody answers for, and the gateway, if it is it.
fn answers(hosts: &Hosts, own: &[&Rule]) -> String {
    let mut names: Vec<&str> = Vec::new();
    let gateway = hosts.gateway.as_ref();
    for rule in own {
        let by_gateway = gateway.is_some_and(|(_, names)| names.contains(&rule.host));
        let is_new = !names.contains(&rule.host.as_str());
        if is_new && (by_gateway || hosts.is_a_name(rule)) {
            names.push(&rule.host);
        }
    }
    let is_more = own.iter().any(|r| !hosts.is_a_name(r));
    if let Some((name, _)) = gateway.filter(|_| is_more) {
        names.insert(0, name);
    }
    names.join(", ")
}
