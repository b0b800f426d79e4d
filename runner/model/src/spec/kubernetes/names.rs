//! What workloads are called: by the name under which others reach them, where there is one.

use std::collections::{BTreeMap, BTreeSet};

use super::build::plain_key;
use super::cluster::Cluster;
use super::network::stands_apart;
use super::workload::Workload;

/// The names of the services of workloads, in their order.
///
/// A service's name leads to it in the mirror, so it is the name of the Service that sends to
/// it, when one sends to it alone; otherwise the workload's.
pub fn assign(cluster: &Cluster<'_>) -> Vec<String> {
    let wanted: Vec<String> = cluster
        .workloads
        .iter()
        .map(|w| wanted(cluster, w))
        .collect();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for name in &wanted {
        *count.entry(name).or_default() += 1;
    }
    let mut taken = BTreeSet::new();
    let mut names = Vec::new();
    for (w, name) in cluster.workloads.iter().zip(&wanted) {
        let mut name = match count.get(name.as_str()) {
            Some(1) => name.clone(),
            // Several want the name: it is the one's that is called so.
            _ => own_name(cluster, w),
        };
        if !taken.insert(name.clone()) {
            name = format!("{name}-{}", w.object.kind.to_ascii_lowercase());
            let mut n = 2;
            while !taken.insert(name.clone()) {
                name = format!("{name}-{n}");
                n += 1;
            }
        }
        names.push(name);
    }
    names
}

fn wanted(cluster: &Cluster<'_>, workload: &Workload<'_>) -> String {
    let name = workload.name();
    let services: Vec<_> = cluster.services_of(workload).collect();
    let alone = |s: &&&super::cluster::Service<'_>| {
        cluster.workloads.iter().filter(|w| s.selects(w)).count() == 1
    };
    let own = services.iter().find(|s| s.object.name == name);
    let service = own.or_else(|| services.iter().find(alone));
    let chosen = match service {
        Some(s) if !stands_apart(cluster, s, workload) => s.object.name.as_str(),
        Some(_) => return plain_key(&format!("{name}-pods")),
        None => name,
    };
    plain_key(chosen)
}

/// The workload's own name, with its namespace where others have the same.
fn own_name(cluster: &Cluster<'_>, workload: &Workload<'_>) -> String {
    let name = workload.name();
    let mut same = cluster.workloads.iter().filter(|w| w.name() == name);
    let elsewhere = same.any(|w| w.namespace() != workload.namespace());
    match elsewhere {
        true => plain_key(&format!("{name}-{}", workload.namespace())),
        false => plain_key(name),
    }
}
