//! Kubernetes manifests: as they are written, or as `helm template` and `kustomize build` print
//! them.
//!
//! Pods become services, Services names and ports, ConfigMaps and secrets files and variables.
//! The typed form of an object has its values, the tree of its file their places.

mod at;
mod build;
mod cluster;
mod container;
mod dict;
mod downward;
mod env;
mod expand;
mod fields;
mod files;
mod ingress;
mod kinds;
mod links;
mod names;
mod network;
mod objects;
mod order;
mod pod;
mod policy;
mod probe;
mod quantity;
mod security;
mod selector;
mod supply;
#[cfg(test)]
mod tests;
mod volume;
mod workload;

use super::{Format, Sources, Translation};
use crate::diag::Problems;
use crate::fidelity::{Class, Severity};
use crate::source::Span;
use crate::yaml::{Node, Value};

use self::build::Build;
use self::cluster::Cluster;
use self::dict::Dict;
use self::supply::Supply;

/// Kubernetes manifests.
pub const FORMAT: Format = Format {
    name: "kubernetes",
    title: "Kubernetes manifests",
    sniff: objects::sniff,
    read,
};

/// Translates manifests that belong together.
fn read(sources: &Sources<'_>) -> Result<Translation, Problems> {
    let mut problems = Problems::default();
    let supply = Supply::of(sources.supply, &mut problems);
    let objects = objects::read(&sources.files, supply.release_namespace(), &mut problems);
    unrendered(&objects, &mut problems);
    let cluster = Cluster::of(&objects, &mut problems);
    let mut build = Build::new(&cluster, supply, sources.secrets);
    let dropped = objects.iter().filter_map(kinds::dropped);
    build.records.extend(dropped);
    let named = names::assign(&cluster);
    build.reserve(&named);
    for (workload, base) in cluster.workloads.iter().zip(&named) {
        let pods = pod::translate(&mut build, workload, base);
        scheduled(&mut build, workload, base);
        for service in cluster.services_of(workload) {
            let apart = network::stands_apart(&cluster, service, workload);
            if let Some(pod) = pods.first().filter(|_| apart) {
                network::apart(&mut build, service, pod);
            }
        }
    }
    network::unselected(&mut build);
    ingress::gateway(&mut build);
    ingress::records(&mut build);
    policy::links(&mut build);
    order::hooks(&mut build, &named);
    problems.0.append(&mut build.problems.0);
    if problems.has_errors() {
        return Err(problems);
    }
    let mut translation = Translation::empty();
    translation.warnings = problems.0;
    translation.document = document(&mut build, &cluster, sources);
    translation.beyond = build.beyond;
    translation.records = build.records;
    Ok(translation)
}

/// Objects that only a tool turns into manifests.
fn unrendered(objects: &[objects::Object], problems: &mut Problems) {
    let kustomization = |o: &&objects::Object| {
        o.group == "kustomize.config.k8s.io" || (o.kind == "Kustomization" && o.group.is_empty())
    };
    for object in objects.iter().filter(kustomization) {
        problems.push(objects::unbuilt(object.span()));
    }
}

/// Jobs that wait for a time, or for somebody who starts them.
fn scheduled(build: &mut Build<'_>, workload: &workload::Workload<'_>, base: &str) {
    let at = workload.object.spec();
    let (field, why) = match workload.kind {
        workload::Kind::CronJob => ("schedule", "it runs when it is asked for"),
        _ if pod::is_suspended(workload) => ("suspend", "it is suspended"),
        _ => return,
    };
    let declared = at.get(field).node().and_then(Node::scalar_text);
    let record = build.record(
        (&format!("service:{base}"), field),
        (Class::Dropped, Severity::Medium),
        (&declared.unwrap_or_default(), why),
        at.get(field).span(),
    );
    record.raise = "let it run with the profile `jobs`: `profiles: [jobs]` in mirror.yaml".into();
}

fn document(build: &mut Build<'_>, cluster: &Cluster<'_>, sources: &Sources<'_>) -> Node {
    let span = Span::generated();
    let mut document = Dict::at(&span);
    document.text("name", project_name(sources.project), &span);
    let take =
        |m: &mut crate::yaml::Mapping| Node::new(Value::Map(std::mem::take(m)), Span::generated());
    let sections = [
        ("services", &mut build.services),
        ("volumes", &mut build.volumes),
        ("configs", &mut build.configs),
        ("secrets", &mut build.secrets),
    ];
    for (key, section) in sections {
        if !section.is_empty() {
            document.node(key, take(section));
        } else if key == "services" {
            // Whoever misses them is shown the first file.
            let first = sources.files.first();
            let span = first.map_or_else(Span::generated, |f| Span::in_line(&f.file, 1, 1, 1));
            document.node(key, Node::map(span));
        }
    }
    if let Some(networks) = network::networks(cluster) {
        document.dict("networks", networks);
    }
    document.done()
}

/// A name that Compose takes.
fn project_name(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let name: String = lower.chars().filter(|c| fits(*c)).collect();
    match name.trim_start_matches(['-', '_']) {
        "" => "mirror".to_owned(),
        name => name.to_owned(),
    }
}
