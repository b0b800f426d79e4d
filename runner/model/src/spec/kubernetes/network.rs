//! Names and ports: what Services make of pods.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServicePort;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::at::At;
use super::build::Build;
use super::cluster::{Cluster, Service};
use super::dict::{Dict, list, texts};
use super::ingress::{self, Lead};
use super::pod::Pod;
use super::policy::{self, Endpoint};
use super::workload::{Kind, Workload};
use crate::fidelity::{Class, Severity};
use crate::source::Span;
use crate::spec::{Front, FrontMode};
use crate::yaml::Node;

/// Where all namespaces meet.
pub const CLUSTER: &str = "cluster";

/// The names and ports of a pod.
#[derive(Debug, Default)]
pub struct Net {
    /// Names in its own namespace.
    short: Vec<(String, Span)>,
    /// Names in the whole cluster.
    full: Vec<(String, Span)>,
    /// Ports of Services that are not the pod's own, with where they lead.
    pub forwards: Vec<String>,
    /// Where the first of these is declared.
    pub forwards_at: Option<Span>,
    /// Ports that are reached from outside: published, target, protocol, place.
    published: Vec<(i32, u16, String, Span)>,
}

/// A port of a Service with where it leads in a pod.
struct Route {
    port: u16,
    target: u16,
    protocol: String,
}

/// The names and ports of a pod.
pub fn of(build: &mut Build<'_>, pod: &Pod<'_>) -> Net {
    let mut net = Net::default();
    let cluster = build.cluster;
    let workload = pod.workload;
    for service in cluster.services_of(workload) {
        if stands_apart(cluster, service, workload) {
            names(pod, service, (false, true), &mut net);
            if pod.has_siblings {
                // By this name the front finds all of them.
                let span = service.object.span().clone();
                net.short.push((pod.base.clone(), span));
            }
            continue;
        }
        names(pod, service, (true, true), &mut net);
        if !service.is_headless() {
            for (i, port) in service.spec.ports.iter().flatten().enumerate() {
                let at = service.object.spec().get("ports").item(i);
                let Some(route) = route(build, pod, port, at) else {
                    continue;
                };
                if route.port != route.target {
                    let forward = format!("{}={}/{}", route.port, route.target, route.protocol);
                    if !net.forwards.contains(&forward) {
                        net.forwards.push(forward);
                        net.forwards_at.get_or_insert_with(|| at.span().clone());
                    }
                }
                publish(service, port, &route, at, &mut net);
            }
        }
    }
    for (i, c) in workload.pod.containers.iter().enumerate() {
        for (j, p) in c.ports.iter().flatten().enumerate() {
            let at = workload
                .spec()
                .get("containers")
                .item(i)
                .get("ports")
                .item(j);
            if let (Some(host), Ok(target)) = (p.host_port, u16::try_from(p.container_port)) {
                let protocol = p.protocol.as_deref().unwrap_or("TCP").to_ascii_lowercase();
                let span = at.get("hostPort").span().clone();
                net.published.push((host, target, protocol, span));
            }
        }
    }
    for service in cluster.services_of(workload) {
        if !stands_apart(cluster, service, workload) {
            for lead in build.hosts.of_service(service) {
                if let Some(target) = target(workload, &lead.port)
                    && net.add_public(&lead, target, &own_ports(workload))
                {
                    build.hosts.reached.insert(lead.host);
                }
            }
        }
    }
    net
}

impl Net {
    /// Adds a host by which the whole cluster, and what is outside of it, calls the pod; unless
    /// the port by which it is called is already another one's.
    fn add_public(&mut self, lead: &Lead, target: u16, own: &[i32]) -> bool {
        let forward = format!("{}={target}/tcp", ingress::PORT);
        let taken = format!("{}=", ingress::PORT);
        let mut known = self.forwards.iter();
        let known = known.find(|f| f.starts_with(&taken) && f.ends_with("/tcp"));
        let is_own = own.contains(&i32::from(ingress::PORT));
        match known {
            Some(known) if *known == forward => {}
            Some(_) => return false,
            None if target == ingress::PORT => {}
            None if is_own => return false,
            None => {
                self.forwards.push(forward);
                let span = || lead.span.clone();
                self.forwards_at.get_or_insert_with(span);
            }
        }
        self.full.push((lead.host.clone(), lead.span.clone()));
        true
    }
}

/// The names that a Service gives: its own, and those of each of its pods.
fn names(pod: &Pod<'_>, service: &Service<'_>, (own, each): (bool, bool), net: &mut Net) {
    let (name, namespace) = (&service.object.name, &service.object.namespace);
    let span = service.object.span();
    let mut hosts: Vec<String> = own.then(String::new).into_iter().collect();
    let spec = &pod.workload.pod;
    let subdomain = match pod.workload.kind {
        Kind::StatefulSet => {
            let at = pod.workload.object.spec().get("serviceName");
            at.node().and_then(Node::as_str)
        }
        _ => spec.subdomain.as_deref(),
    };
    if each && subdomain == Some(name) {
        let host = match pod.workload.kind {
            Kind::StatefulSet => Some(pod.name.as_str()),
            _ => spec.hostname.as_deref(),
        };
        hosts.extend(host.map(|h| format!("{h}.")));
    }
    for host in hosts {
        net.short.push((format!("{host}{name}"), span.clone()));
        for end in ["", ".svc", ".svc.cluster.local"] {
            net.full
                .push((format!("{host}{name}.{namespace}{end}"), span.clone()));
        }
    }
}

/// The port of a pod that a port of a Service leads to.
pub fn target(workload: &Workload<'_>, port: &ServicePort) -> Option<u16> {
    let number = match &port.target_port {
        None => port.port,
        Some(IntOrString::Int(0)) => port.port,
        Some(IntOrString::Int(n)) => *n,
        Some(IntOrString::String(name)) => match name.parse::<i32>() {
            Ok(n) => n,
            Err(_) => named_port(workload, name)?,
        },
    };
    u16::try_from(number).ok().filter(|n| *n > 0)
}

/// A port of a pod by its name.
pub fn named_port(workload: &Workload<'_>, name: &str) -> Option<i32> {
    let containers = workload.pod.containers.iter().chain(workload.sidecars());
    let mut ports = containers.flat_map(|c| c.ports.iter().flatten());
    ports
        .find(|p| p.name.as_deref() == Some(name))
        .map(|p| p.container_port)
}

fn route(build: &mut Build<'_>, pod: &Pod<'_>, port: &ServicePort, at: At<'_>) -> Option<Route> {
    let protocol = port
        .protocol
        .as_deref()
        .unwrap_or("TCP")
        .to_ascii_lowercase();
    let number = u16::try_from(port.port).ok().filter(|n| *n > 0);
    let (Some(number), Some(target)) = (number, target(pod.workload, port)) else {
        build.record(
            (&pod.object(), &format!("ports[{}]", port.port)),
            (Class::Dropped, Severity::High),
            (
                &port.port.to_string(),
                "no container of the pod has the port that the Service sends to",
            ),
            at.get("targetPort").span(),
        );
        return None;
    };
    if protocol == "sctp" && number != target {
        build.record(
            (&pod.object(), &format!("ports[{number}]")),
            (Class::Dropped, Severity::High),
            ("SCTP", "SCTP is not passed on to another port"),
            at.span(),
        );
        return None;
    }
    Some(Route {
        port: number,
        target,
        protocol,
    })
}

fn publish(service: &Service<'_>, port: &ServicePort, route: &Route, at: At<'_>, net: &mut Net) {
    let published = match service.spec.type_.as_deref() {
        Some("LoadBalancer") => Some(port.port),
        Some("NodePort") => port.node_port,
        _ => None,
    };
    if let Some(published) = published {
        let protocol = route.protocol.clone();
        net.published
            .push((published, route.target, protocol, at.span().clone()));
    }
}

/// The ports that the containers of a pod say they have.
fn own_ports(workload: &Workload<'_>) -> Vec<i32> {
    let containers = workload.pod.containers.iter().chain(workload.sidecars());
    let ports = containers.flat_map(|c| c.ports.iter().flatten());
    ports.map(|p| p.container_port).collect()
}

/// Whether a Service needs an address of its own: the pod itself uses the number of one of its
/// ports for something else.
pub fn stands_apart(cluster: &Cluster<'_>, service: &Service<'_>, workload: &Workload<'_>) -> bool {
    if service.is_headless() {
        return false;
    }
    let own = own_ports(workload);
    let mut led: BTreeMap<(i32, &str), u16> = BTreeMap::new();
    for other in cluster.services_of(workload).filter(|s| !s.is_headless()) {
        let is_this = std::ptr::eq(other, service);
        for port in other.spec.ports.iter().flatten() {
            let Some(target) = target(workload, port) else {
                continue;
            };
            let key = (port.port, port.protocol.as_deref().unwrap_or("TCP"));
            let differs = i32::from(target) != port.port;
            if is_this {
                let taken = led.get(&key).is_some_and(|t| *t != target);
                if taken || (differs && own.contains(&port.port)) {
                    return true;
                }
            }
            led.entry(key).or_insert(target);
        }
        if is_this {
            break;
        }
    }
    false
}

/// Adds a service that stands before pods with an address of its own.
pub fn apart(build: &mut Build<'_>, service: &Service<'_>, pod: &Pod<'_>) {
    let span = service.object.span();
    let mut net = Net::default();
    names(pod, service, (true, false), &mut net);
    let owner = match pod.has_siblings {
        true => &pod.base,
        false => pod.owner(),
    };
    let mut forwards = Vec::new();
    for (i, port) in service.spec.ports.iter().flatten().enumerate() {
        let at = service.object.spec().get("ports").item(i);
        if let Some(r) = route(build, pod, port, at) {
            forwards.push(format!("{}={owner}:{}/{}", r.port, r.target, r.protocol));
            let to_front = Route {
                target: r.port,
                ..r
            };
            publish(service, port, &to_front, at, &mut net);
        }
    }
    for lead in build.hosts.of_service(service) {
        let Some(target) = target(pod.workload, &lead.port) else {
            continue;
        };
        let forward = format!("{}={owner}:{target}/tcp", ingress::PORT);
        let taken = format!("{}=", ingress::PORT);
        let mut known = forwards.iter();
        let known = known.find(|f| f.starts_with(&taken) && f.ends_with("/tcp"));
        match known {
            Some(known) if *known != forward => continue,
            Some(_) => {}
            None => forwards.push(forward),
        }
        net.full.push((lead.host.clone(), lead.span));
        build.hosts.reached.insert(lead.host);
    }
    let mut dict = Dict::at(span);
    dict.text("image", "prodmirror/agent", span);
    // However many pods there are, there is one front.
    let alone = Pod {
        replicas: 1,
        ..pod.clone()
    };
    attach(build, &alone, Some(&net), &mut dict);
    let name = build.free_name(&format!("{}-front", service.object.name), span);
    build.add(&name, dict, (&pod.base, false));
    let at = span.clone();
    build.endpoints.push(Endpoint {
        service: name.clone(),
        workload: policy::number_of(build.cluster, pod.workload),
        forwards: forwards.clone(),
        is_front: true,
    });
    build.beyond.fronts.insert(
        name,
        Front {
            at,
            does: FrontMode::Front,
            forwards,
        },
    );
}

/// Attaches a service to the networks of its pod, with the pod's names if it holds them.
pub fn attach(build: &Build<'_>, pod: &Pod<'_>, net: Option<&Net>, service: &mut Dict) {
    let span = pod.workload.object.span();
    let namespaces = &build.cluster.namespaces;
    let aliases = |names: &[&(String, Span)]| {
        let mut dict = Dict::at(span);
        let mut seen: Vec<&str> = Vec::new();
        let mut nodes = Vec::new();
        for (name, span) in names {
            if !seen.contains(&name.as_str()) {
                seen.push(name);
                nodes.push(Node::str(name.clone(), span.clone()));
            }
        }
        dict.list("aliases", nodes, span);
        dict.done()
    };
    let empty = Net::default();
    let is_host = pod.workload.pod.host_network == Some(true);
    let names = net.unwrap_or(&empty);
    let mut networks = Dict::at(span);
    let all: Vec<_> = names.short.iter().chain(&names.full).collect();
    if is_host && all.is_empty() {
        // The policy takes it away, and says so.
        let at = pod.workload.spec().get("hostNetwork");
        service.text("network_mode", "host", at.span());
    } else if namespaces.len() <= 1 {
        if !all.is_empty() {
            networks.node("default", aliases(&all));
        }
    } else {
        let full: Vec<_> = names.full.iter().collect();
        networks.node(&format!("ns-{}", pod.workload.namespace()), aliases(&all));
        networks.node(CLUSTER, aliases(&full));
    }
    service.dict("networks", networks);
    if let Some(net) = net.filter(|_| pod.replicas == 1) {
        ports(net, service, span);
    }
}

fn ports(net: &Net, service: &mut Dict, span: &Span) {
    let mut seen = Vec::new();
    let mut nodes = Vec::new();
    for (published, target, protocol, span) in &net.published {
        let key = (*published, protocol);
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        let mut port = Dict::at(span);
        port.int("target", i64::from(*target), span);
        port.text("published", published.to_string(), span);
        port.text("protocol", protocol.clone(), span);
        nodes.push(port.done());
    }
    service.list("ports", nodes, span);
}

/// The networks of the document, where there are several namespaces.
pub fn networks(cluster: &Cluster<'_>) -> Option<Dict> {
    if cluster.namespaces.len() <= 1 {
        return None;
    }
    let span = Span::generated();
    let mut networks = Dict::at(&span);
    networks.node(CLUSTER, Node::map(span.clone()));
    for namespace in &cluster.namespaces {
        networks.node(&format!("ns-{namespace}"), Node::map(span.clone()));
    }
    Some(networks)
}

/// Names, resolver and further hosts that belong to a pod's network.
pub fn resolver(pod: &Pod<'_>, service: &mut Dict) {
    let (spec, at) = (&pod.workload.pod, pod.workload.spec());
    if pod.replicas == 1 {
        let name = spec.hostname.clone().unwrap_or_else(|| pod.name.clone());
        let name = name.get(..63).unwrap_or(&name).trim_end_matches(['-', '.']);
        service.text(
            "hostname",
            name.replace('.', "-"),
            at.get("hostname").span(),
        );
    }
    let mut hosts = Vec::new();
    for (i, alias) in spec.host_aliases.iter().flatten().enumerate() {
        let at = at.get("hostAliases").item(i);
        for name in alias.hostnames.iter().flatten() {
            hosts.push(Node::str(format!("{name}={}", alias.ip), at.span().clone()));
        }
    }
    service.list("extra_hosts", hosts, at.get("hostAliases").span());
    if let Some(dns) = &spec.dns_config {
        let at = at.get("dnsConfig");
        let mut add = |key: &str, values: Vec<String>, at: At<'_>| {
            if !values.is_empty() {
                service.node(key, list(texts(values, at.span()), at.span()));
            }
        };
        let options = dns.options.iter().flatten().filter_map(|o| {
            let name = o.name.clone()?;
            Some(match &o.value {
                Some(value) => format!("{name}:{value}"),
                None => name,
            })
        });
        add(
            "dns",
            dns.nameservers.clone().unwrap_or_default(),
            at.get("nameservers"),
        );
        add(
            "dns_search",
            dns.searches.clone().unwrap_or_default(),
            at.get("searches"),
        );
        add("dns_opt", options.collect(), at.get("options"));
    }
}

/// What becomes of Services that send to no pod of the mirror.
pub fn unselected(build: &mut Build<'_>) {
    let cluster = build.cluster;
    for service in &cluster.services {
        let (object, spec) = (service.object, &service.spec);
        let at = object.spec();
        if cluster.workloads.iter().any(|w| service.selects(w)) {
            super::fields::service(build, service);
            continue;
        }
        let name = format!("kubernetes-service:{}", object.name);
        if service.is_external() {
            let to = spec.external_name.clone().unwrap_or_default();
            let record = build.record(
                (&name, "externalName"),
                (Class::Dropped, Severity::High),
                (
                    &to,
                    "it leads out of the cluster, and the mirror has nothing there",
                ),
                at.get("externalName").span(),
            );
            record.raise = format!(
                "declare who answers in mirror.yaml: egress: {{ \"{}:PORT\": {{ stub: FILE }} }}",
                object.name
            );
        } else if spec.selector.as_ref().is_none_or(BTreeMap::is_empty) {
            let record = build.record(
                (&name, "selector"),
                (Class::Dropped, Severity::High),
                (
                    "",
                    "it has no selector: what it leads to is outside of these files",
                ),
                object.span(),
            );
            record.raise = format!(
                "declare who answers in mirror.yaml: egress: {{ \"{}:PORT\": {{ stub: FILE }} }}",
                object.name
            );
        } else {
            build.record(
                (&name, "selector"),
                (Class::Dropped, Severity::Medium),
                ("", "no pod of these files has the labels that it selects"),
                at.get("selector").span(),
            );
        }
    }
}
