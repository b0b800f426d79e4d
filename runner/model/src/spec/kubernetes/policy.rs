//! NetworkPolicies: which pods may open connections to which, and on which ports.
//!
//! Policies only allow. A pod that none selects for a direction is open in that direction; one
//! that some select may do what any of them allows
//! (<https://kubernetes.io/docs/concepts/services-networking/network-policies/>).

mod ports;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};

use self::ports::Ports;
use super::build::Build;
use super::cluster::Cluster;
use super::fields;
use super::objects::Object;
use super::selector::{Labels, keys, selects};
use super::workload::Workload;
use crate::diag::Problem;
use crate::fidelity::{Class, Severity};
use crate::stack::extension::Link;
use crate::yaml::{Node, from_node};

/// The label that every namespace has.
const NAME_OF_NAMESPACE: &str = "kubernetes.io/metadata.name";

/// A service by which pods of a workload are reached.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The service that has the address.
    pub service: String,
    /// Number of its workload in the cluster.
    pub workload: usize,
    /// Ports by which it is called that lead to other ones: `80=8080/tcp`, `80=web:8080/tcp`.
    pub forwards: Vec<String>,
    /// Whether it is a front with an address of its own: all that it takes is for the pods.
    pub is_front: bool,
}

/// The two directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

/// A policy that was read.
struct Policy<'o> {
    object: &'o Object,
    spec: NetworkPolicySpec,
}

/// A rule of a direction: these peers (none: all), at these ports (none: all).
type Rule<'p> = (
    Option<&'p Vec<NetworkPolicyPeer>>,
    Option<&'p Vec<NetworkPolicyPort>>,
);

impl Policy<'_> {
    /// Whether it is about a direction: by default about what comes in, and about what goes out
    /// when it has rules for that.
    fn is_about(&self, way: Way) -> bool {
        match (&self.spec.policy_types, way) {
            (Some(types), Way::In) if !types.is_empty() => types.iter().any(|t| t == "Ingress"),
            (Some(types), Way::Out) if !types.is_empty() => types.iter().any(|t| t == "Egress"),
            (_, Way::In) => true,
            (_, Way::Out) => self.spec.egress.as_ref().is_some_and(|e| !e.is_empty()),
        }
    }

    fn selects(&self, workload: &Workload<'_>) -> bool {
        let selector = self.spec.pod_selector.as_ref();
        workload.namespace() == self.object.namespace
            && !is_on_node(workload)
            && selector.is_none_or(|s| selects(s, &workload.labels))
    }

    fn rules(&self, way: Way) -> Vec<Rule<'_>> {
        match way {
            Way::In => {
                let rules = self.spec.ingress.iter().flatten();
                rules.map(|r| (r.from.as_ref(), r.ports.as_ref())).collect()
            }
            Way::Out => {
                let rules = self.spec.egress.iter().flatten();
                rules.map(|r| (r.to.as_ref(), r.ports.as_ref())).collect()
            }
        }
    }
}

/// Pods in the node's own network are nobody's business: policies neither bind nor name them.
fn is_on_node(workload: &Workload<'_>) -> bool {
    workload.pod.host_network == Some(true)
}

/// A pod as policies see it.
struct Peer<'p> {
    namespace: &'p str,
    labels: &'p Labels,
}

/// What is known of namespaces.
struct Namespaces(BTreeMap<String, Labels>);

impl Namespaces {
    fn of(cluster: &Cluster<'_>) -> Self {
        let labels = |o: &Object| -> Labels {
            let at = super::at::At::of(&o.node).get("metadata").get("labels");
            at.node()
                .and_then(|n| from_node(n).ok())
                .unwrap_or_default()
        };
        let declared = cluster.all("Namespace");
        Self(declared.map(|o| (o.name.clone(), labels(o))).collect())
    }

    fn labels(&self, namespace: &str) -> Labels {
        let mut labels = self.0.get(namespace).cloned().unwrap_or_default();
        labels.insert(NAME_OF_NAMESPACE.to_owned(), namespace.to_owned());
        labels
    }
}

/// All policies of the files.
struct Policies<'o> {
    all: Vec<Policy<'o>>,
    namespaces: Namespaces,
}

impl Policies<'_> {
    /// The policies that bind a workload in a direction.
    fn binding(&self, way: Way, workload: &Workload<'_>) -> Vec<&Policy<'_>> {
        let all = self.all.iter();
        all.filter(|p| p.is_about(way) && p.selects(workload))
            .collect()
    }

    fn is_peer(&self, policy: &Policy<'_>, peer: &NetworkPolicyPeer, pod: &Peer<'_>) -> bool {
        if let Some(block) = &peer.ip_block {
            return holds_pods(block);
        }
        let in_namespace = match &peer.namespace_selector {
            Some(selector) => selects(selector, &self.namespaces.labels(pod.namespace)),
            None => pod.namespace == policy.object.namespace,
        };
        let selector = peer.pod_selector.as_ref();
        in_namespace && selector.is_none_or(|s| selects(s, pod.labels))
    }

    /// The ports at which policies let a pod be reached by, or reach, a peer.
    fn ports(
        &self,
        (way, policies): (Way, &[&Policy<'_>]),
        peer: &Peer<'_>,
        listening: &Workload<'_>,
    ) -> Ports {
        if policies.is_empty() {
            return Ports::All;
        }
        let mut ports = Ports::none();
        for policy in policies {
            for (peers, at) in policy.rules(way) {
                let named = |p: &NetworkPolicyPeer| self.is_peer(policy, p, peer);
                if is_all(peers) || peers.into_iter().flatten().any(named) {
                    ports.add(Ports::of(at, listening));
                }
            }
        }
        ports
    }

    /// The ports at which policies let a pod reach what is outside of the cluster.
    fn outside(&self, policies: &[&Policy<'_>], workload: &Workload<'_>) -> Ports {
        let mut ports = Ports::none();
        for policy in policies {
            for (peers, at) in policy.rules(Way::Out) {
                let mut blocks = peers
                    .into_iter()
                    .flatten()
                    .filter_map(|p| p.ip_block.as_ref());
                if is_all(peers) || blocks.any(|b| !is_private(&b.cidr)) {
                    ports.add(Ports::of(at, workload));
                }
            }
        }
        ports
    }

    /// Whether policies let a pod ask for names: the cluster's DNS is a pod like all others.
    fn may_ask_names(&self, policies: &[&Policy<'_>], workload: &Workload<'_>) -> bool {
        let labels: Labels = [("k8s-app".to_owned(), "kube-dns".to_owned())].into();
        let dns = Peer {
            namespace: "kube-system",
            labels: &labels,
        };
        let mut all = policies.iter().flat_map(|p| {
            let rules = p.rules(Way::Out).into_iter();
            rules.map(move |(peers, ports)| (*p, peers, ports))
        });
        all.any(|(policy, peers, ports)| {
            let is_dns =
                |p: &NetworkPolicyPeer| p.ip_block.is_some() || self.is_peer(policy, p, &dns);
            let is_named = is_all(peers) || peers.into_iter().flatten().any(is_dns);
            is_named && ports::hold_dns(ports, workload)
        })
    }
}

fn is_all<T>(list: Option<&Vec<T>>) -> bool {
    list.is_none_or(Vec::is_empty)
}

/// Whether a block of addresses holds the pods of the cluster. What addresses they have is not
/// said anywhere: only the block of all addresses is sure to.
fn holds_pods(block: &IPBlock) -> bool {
    let mut but = block.except.iter().flatten();
    matches!(block.cidr.as_str(), "0.0.0.0/0" | "::/0") && !but.any(|cidr| is_private(cidr))
}

/// Whether a block lies in the addresses of private networks.
fn is_private(cidr: &str) -> bool {
    let (address, prefix) = cidr.split_once('/').unwrap_or((cidr, "32"));
    let Ok(address) = address.parse::<Ipv4Addr>() else {
        return cidr.to_ascii_lowercase().starts_with('f');
    };
    let prefix: u8 = prefix.parse().unwrap_or(32);
    let [a, b, ..] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    prefix >= 8
        && (address.is_private() || address.is_loopback() || address.is_link_local() || shared)
}

fn read<'o>(cluster: &Cluster<'o>, problems: &mut Vec<Problem>) -> Policies<'o> {
    let mut all = Vec::new();
    for object in cluster.all("NetworkPolicy") {
        let spec = object.spec().node().map(from_node::<NetworkPolicySpec>);
        match spec.unwrap_or_else(|| Ok(NetworkPolicySpec::default())) {
            Ok(spec) => all.push(Policy { object, spec }),
            Err(p) => {
                let message = format!("the NetworkPolicy `{}`: {}", object.name, p.message);
                problems.push(Problem { message, ..p });
            }
        }
    }
    Policies {
        all,
        namespaces: Namespaces::of(cluster),
    }
}

/// Says which service may open connections to which, where policies restrict it.
pub fn links(build: &mut Build<'_>) {
    let cluster = build.cluster;
    let policies = read(cluster, &mut build.problems.0);
    if policies.all.is_empty() {
        return;
    }
    records(build, &policies);
    let of_way = |way| -> Vec<Vec<&Policy<'_>>> {
        let workloads = cluster.workloads.iter();
        workloads.map(|w| policies.binding(way, w)).collect()
    };
    let (incoming, outgoing) = (of_way(Way::In), of_way(Way::Out));
    let endpoints = std::mem::take(&mut build.endpoints);
    for from in endpoints.iter().filter(|e| !e.is_front) {
        let source = &cluster.workloads[from.workload];
        let out = &outgoing[from.workload];
        let mut limits: BTreeMap<(Ports, String), Vec<String>> = BTreeMap::new();
        for to in &endpoints {
            let target = &cluster.workloads[to.workload];
            let into = &incoming[to.workload];
            if is_on_node(source) || is_on_node(target) || (out.is_empty() && into.is_empty()) {
                continue;
            }
            let (us, them) = (peer(source), peer(target));
            let mut ports = policies.ports((Way::Out, out), &them, target);
            ports.keep(&policies.ports((Way::In, into), &us, target));
            if ports != Ports::All {
                let by = titles(out.iter().chain(into));
                let of = (ports.through(&to.forwards, to.is_front), by);
                limits.entry(of).or_default().push(to.service.clone());
            }
        }
        let limits = limits.into_iter();
        let mut links: Vec<Link> = limits
            .map(|((ports, by), to)| Link {
                to,
                outside: false,
                ports: ports.texts(),
                by,
            })
            .collect();
        if !out.is_empty() {
            let ports = policies.outside(out, source);
            if ports != Ports::All {
                links.push(Link {
                    to: Vec::new(),
                    outside: true,
                    ports: ports.texts(),
                    by: titles(out.iter()),
                });
            }
        }
        if !links.is_empty() {
            let all = &mut build.beyond.extension.links;
            all.insert(from.service.clone(), links);
        }
    }
    build.endpoints = endpoints;
    for (workload, out) in cluster.workloads.iter().zip(&outgoing) {
        if !out.is_empty() && !policies.may_ask_names(out, workload) {
            nameless(build, workload, out);
        }
    }
}

fn peer<'w>(workload: &'w Workload<'_>) -> Peer<'w> {
    Peer {
        namespace: workload.namespace(),
        labels: &workload.labels,
    }
}

fn titles<'p>(policies: impl Iterator<Item = &'p &'p Policy<'p>>) -> String {
    let mut titles: Vec<String> = Vec::new();
    for policy in policies {
        let title = policy.object.title();
        if !titles.contains(&title) {
            titles.push(title);
        }
    }
    titles.join(", ")
}

/// A pod that may reach others, but may not ask for their addresses.
fn nameless(build: &mut Build<'_>, workload: &Workload<'_>, policies: &[&Policy<'_>]) {
    let Some(first) = policies.first() else {
        return;
    };
    let at = first.object.spec();
    let by = titles(policies.iter());
    let record = build.record(
        (&workload.object.title(), "dns"),
        (Class::Dropped, Severity::High),
        (
            &by,
            "no rule lets its pods ask the cluster's DNS (UDP 53): in production they find no name, in the mirror they do",
        ),
        at.get("egress").span(),
    );
    record.raise =
        "allow UDP and TCP 53 to the pods `k8s-app: kube-dns` of the namespace `kube-system`"
            .into();
}

/// Says what becomes of every policy.
fn records(build: &mut Build<'_>, policies: &Policies<'_>) {
    let cluster = build.cluster;
    for policy in &policies.all {
        let object = policy.object;
        let title = object.title();
        let at = object.spec();
        if let (Some(node), Ok(typed)) = (at.node(), serde_json::to_value(&policy.spec)) {
            fields::unknown(build, &title, node, &typed, "spec");
        }
        if !cluster.workloads.iter().any(|w| policy.selects(w)) {
            build.record(
                (&title, "podSelector"),
                (Class::Dropped, Severity::Info),
                ("", "it selects no pod of these files"),
                at.get("podSelector").span(),
            );
            continue;
        }
        let record = build.record(
            (&title, "spec"),
            (Class::Substituted, Severity::Low),
            (
                "",
                "what it denies is refused at once, where production lets the caller wait; steps of scenarios are not held to it",
            ),
            object.span(),
        );
        record.actual = "kept by the sandbox of each pod".into();
        unsaid(build, policies, policy);
    }
}

/// What a policy asks for that is in none of the files.
fn unsaid(build: &mut Build<'_>, policies: &Policies<'_>, policy: &Policy<'_>) {
    let cluster = build.cluster;
    let title = policy.object.title();
    for (way, key, list) in [(Way::In, "ingress", "from"), (Way::Out, "egress", "to")] {
        if !policy.is_about(way) {
            continue;
        }
        for (i, (peers, _)) in policy.rules(way).into_iter().enumerate() {
            let at = policy.object.spec().get(key).item(i).get(list);
            for (j, peer) in peers.into_iter().flatten().enumerate() {
                let at = at.item(j);
                let block = peer.ip_block.as_ref().filter(|b| is_private(&b.cidr));
                if let Some(block) = block {
                    build.record(
                        (&title, &format!("{key}[{i}].{list}[{j}].ipBlock")),
                        (Class::Dropped, Severity::Medium),
                        (
                            &block.cidr,
                            "no file says who has these addresses in production: it allows nobody here",
                        ),
                        at.get("ipBlock").span(),
                    );
                }
                let selector = peer.namespace_selector.iter();
                let mut asked = selector.flat_map(keys).filter(|k| *k != NAME_OF_NAMESPACE);
                let is_unknown = |n: &&&str| !policies.namespaces.0.contains_key(**n);
                let unknown = cluster.namespaces.iter().find(is_unknown);
                if let (Some(label), Some(namespace)) = (asked.next(), unknown) {
                    let why = format!(
                        "the namespace `{namespace}` is in none of the files, so nobody knows whether it has the label: it is taken to have none"
                    );
                    let record = build.record(
                        (&title, &format!("{key}[{i}].{list}[{j}].namespaceSelector")),
                        (Class::Dropped, Severity::Medium),
                        (label, &why),
                        at.get("namespaceSelector").span(),
                    );
                    record.raise = "add the manifest of the namespace to `production`".into();
                }
            }
        }
    }
}

/// The number of a workload in its cluster.
pub fn number_of(cluster: &Cluster<'_>, workload: &Workload<'_>) -> usize {
    let mut all = cluster.workloads.iter();
    let is_it = |w: &Workload<'_>| {
        let (a, b) = (w.object, workload.object);
        std::ptr::eq::<Node>(&raw const a.node, &raw const b.node)
    };
    all.position(is_it).unwrap_or_default()
}
