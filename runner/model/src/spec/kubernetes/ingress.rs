//! Ingresses: a host that leads to one service is a name of that service.

use k8s_openapi::api::networking::v1::{IngressBackend, IngressSpec};

use super::build::Build;
use super::cluster::Service;
use super::network::{Net, named_port};
use super::objects::Object;
use super::pod::Pod;
use crate::fidelity::{Class, Severity};
use crate::yaml::from_node;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

const PORT: u16 = 80;

/// A host with the one backend that it leads to.
struct Rule {
    host: String,
    service: String,
    number: Option<i32>,
    name: Option<String>,
}

fn spec_of(object: &Object) -> Option<IngressSpec> {
    from_node(object.spec().node()?).ok()
}

/// The hosts of an Ingress that lead to one service each, whatever the path.
fn simple(object: &Object) -> Vec<Rule> {
    let Some(spec) = spec_of(object) else {
        return Vec::new();
    };
    let rules = spec.rules.iter().flatten();
    rules
        .filter_map(|rule| {
            let host = rule.host.as_ref().filter(|h| !h.contains('*'))?;
            let paths = &rule.http.as_ref()?.paths;
            let mut backends: Vec<&IngressBackend> = paths.iter().map(|p| &p.backend).collect();
            backends.dedup();
            let [backend] = backends.as_slice() else {
                return None;
            };
            let service = backend.service.as_ref()?;
            let port = service.port.as_ref();
            Some(Rule {
                host: host.clone(),
                service: service.name.clone(),
                number: port.and_then(|p| p.number),
                name: port.and_then(|p| p.name.clone()),
            })
        })
        .collect()
}

/// Gives a pod the hosts that lead to it.
pub fn names(build: &mut Build<'_>, pod: &Pod<'_>, net: &mut Net) {
    let cluster = build.cluster;
    let namespace = pod.workload.namespace();
    let ingresses = cluster.all("Ingress").filter(|i| i.namespace == namespace);
    for object in ingresses {
        for rule in simple(object) {
            let mut services = cluster.services_of(pod.workload);
            let Some(service) = services.find(|s| s.object.name == rule.service) else {
                continue;
            };
            if let Some(target) = target(pod, service, &rule) {
                net.add_public(&rule.host, PORT, target, object.span());
            }
        }
    }
}

/// The port of the pod that a rule leads to in the end.
fn target(pod: &Pod<'_>, service: &Service<'_>, rule: &Rule) -> Option<u16> {
    let ports = service.spec.ports.iter().flatten();
    let port = ports
        .into_iter()
        .find(|p| Some(p.port) == rule.number || (rule.name.is_some() && p.name == rule.name))?;
    let number = match &port.target_port {
        Some(IntOrString::Int(n)) => *n,
        Some(IntOrString::String(name)) => named_port(pod.workload, name)?,
        None => port.port,
    };
    u16::try_from(number).ok()
}

/// Says what becomes of every Ingress.
pub fn records(build: &mut Build<'_>) {
    let cluster = build.cluster;
    for object in cluster.all("Ingress") {
        let hosts: Vec<String> = simple(object).into_iter().map(|r| r.host).collect();
        let rules = spec_of(object).map_or(0, |s| s.rules.map_or(0, |r| r.len()));
        let whole = rules > 0 && hosts.len() == rules;
        let (class, severity, reason) = if whole {
            (
                Class::Substituted,
                Severity::Medium,
                "its hosts are names of the services that they lead to, on port 80: TLS and what the controller's annotations ask for are not in the mirror",
            )
        } else {
            (
                Class::Dropped,
                Severity::High,
                "it leads paths of one host to several services: the mirror has no such controller, so services are called directly",
            )
        };
        let record = build.record(
            (&object.title(), "rules"),
            (class, severity),
            ("", reason),
            object.span(),
        );
        record.actual = hosts.join(", ");
    }
}
