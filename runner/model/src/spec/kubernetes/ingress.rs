//! Ingresses: a host that leads to one service is a name of that service.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ServicePort;
use k8s_openapi::api::networking::v1::{IngressBackend, IngressRule, IngressSpec};

use super::build::Build;
use super::cluster::{Cluster, Service};
use super::objects::Object;
use crate::fidelity::{Class, Severity};
use crate::source::Span;
use crate::yaml::from_node;

/// The port by which a host is called.
pub const PORT: u16 = 80;

/// What a path of a host leads to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Backend {
    namespace: String,
    /// Empty where it is no Service.
    service: String,
    /// Number of the Service's port, or what is written where it has no such port.
    port: String,
}

/// The hosts of all Ingresses: what one says of a host, another one may add to.
#[derive(Debug, Default)]
pub struct Hosts {
    backends: BTreeMap<String, BTreeSet<Backend>>,
    places: BTreeMap<String, Span>,
    /// Those that are names of a service.
    pub reached: BTreeSet<String>,
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

fn rules(object: &Object) -> Vec<IngressRule> {
    let spec = object.spec().node().map(from_node::<IngressSpec>);
    let spec = spec.and_then(Result::ok);
    spec.and_then(|s| s.rules).unwrap_or_default()
}

/// The host of a rule, unless it is for many.
fn host_of(rule: &IngressRule) -> Option<&str> {
    let host = rule.host.as_deref()?;
    (!host.is_empty() && !host.contains('*')).then_some(host)
}

impl Hosts {
    /// Gathers them.
    pub fn of(cluster: &Cluster<'_>) -> Self {
        let mut hosts = Self::default();
        for object in cluster.all("Ingress") {
            for rule in rules(object) {
                let Some(host) = host_of(&rule) else { continue };
                let paths = rule.http.iter().flat_map(|h| &h.paths);
                let backends = paths.map(|p| backend(cluster, &object.namespace, &p.backend));
                let all = hosts.backends.entry(host.to_owned()).or_default();
                all.extend(backends);
                let span = || object.span().clone();
                hosts.places.entry(host.to_owned()).or_insert_with(span);
            }
        }
        hosts
    }

    /// The hosts that lead to a Service and to nothing else.
    pub fn of_service(&self, service: &Service<'_>) -> Vec<Lead> {
        let (name, namespace) = (&service.object.name, &service.object.namespace);
        let lead = |(host, backends): (&String, &BTreeSet<Backend>)| {
            let backend = backends.first().filter(|_| backends.len() == 1)?;
            if (&backend.service, &backend.namespace) != (name, namespace) {
                return None;
            }
            let mut ports = service.spec.ports.iter().flatten();
            Some(Lead {
                host: host.clone(),
                port: ports.find(|p| p.port.to_string() == backend.port)?.clone(),
                span: self.places.get(host)?.clone(),
            })
        };
        self.backends.iter().filter_map(lead).collect()
    }

    fn leads_to_several(&self, host: &str) -> bool {
        self.backends.get(host).is_some_and(|b| b.len() > 1)
    }
}

fn backend(cluster: &Cluster<'_>, namespace: &str, backend: &IngressBackend) -> Backend {
    let of = backend.service.as_ref();
    let service = of.map(|s| s.name.clone()).unwrap_or_default();
    let port = of.and_then(|s| s.port.as_ref());
    let number = port.and_then(|p| p.number);
    let name = port.and_then(|p| p.name.clone());
    // A port has a number and may have a name: either is the same port.
    let mut services = cluster.services.iter();
    let known = services.find(|s| s.object.namespace == namespace && s.object.name == service);
    let mut ports = known
        .into_iter()
        .flat_map(|s| s.spec.ports.iter().flatten());
    let known = ports.find(|p| Some(p.port) == number || (name.is_some() && p.name == name));
    let number = known.map(|p| p.port).or(number);
    Backend {
        namespace: namespace.to_owned(),
        service,
        port: number.map_or(name.unwrap_or_default(), |n| n.to_string()),
    }
}

/// Says what becomes of every Ingress.
pub fn records(build: &mut Build<'_>) {
    let cluster = build.cluster;
    for object in cluster.all("Ingress") {
        let rules = rules(object);
        let hosts: Vec<&str> = rules.iter().filter_map(host_of).collect();
        let mut reached: Vec<&str> = Vec::new();
        for host in &hosts {
            if build.hosts.reached.contains(*host) && !reached.contains(host) {
                reached.push(host);
            }
        }
        let (class, severity, reason) = if hosts.iter().any(|h| build.hosts.leads_to_several(h)) {
            (
                Class::Dropped,
                Severity::High,
                "paths of one host lead to several services: the mirror has no such controller, so services are called directly",
            )
        } else if hosts.is_empty() || hosts.len() < rules.len() {
            (
                Class::Dropped,
                Severity::High,
                "it has rules for any host: the mirror has no such controller, so services are called directly",
            )
        } else if !hosts.iter().all(|h| reached.contains(h)) {
            (
                Class::Dropped,
                Severity::High,
                "a host leads to a port that no pod of these files has, or on which port 80 is another one's",
            )
        } else {
            (
                Class::Substituted,
                Severity::Medium,
                "its hosts are names of the services that they lead to, on port 80: TLS and what the controller's annotations ask for are not in the mirror",
            )
        };
        let actual = reached.join(", ");
        let record = build.record(
            (&object.title(), "rules"),
            (class, severity),
            ("", reason),
            object.span(),
        );
        record.actual = actual;
    }
}
