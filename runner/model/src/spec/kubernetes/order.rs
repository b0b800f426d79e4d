//! What runs before what: the hooks of Helm.

use super::build::{Build, text_list};
use super::dict::Dict;
use super::pod::is_suspended;
use super::workload::{Kind, Workload};
use crate::fidelity::{Class, Severity};
use crate::source::Span;
use crate::yaml::{Node, Value};

const HOOK: &str = "helm.sh/hook";
const WEIGHT: &str = "helm.sh/hook-weight";

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    After,
    Never,
}

fn when(workload: &Workload<'_>) -> Option<When> {
    let hook = workload.object.annotations.get(HOOK)?;
    let has = |name: &str| hook.split(',').any(|h| h.trim() == name);
    Some(if has("pre-install") || has("pre-upgrade") {
        When::Before
    } else if has("post-install") || has("post-upgrade") {
        When::After
    } else {
        When::Never
    })
}

/// A workload with what it is called.
type Named<'n> = (&'n Workload<'n>, &'n str);

/// Lets the workloads that are hooks run before or after all others, in the order of their
/// weights, as Helm does. Those for tests, rollbacks and removal do not run.
pub fn hooks(build: &mut Build<'_>, names: &[String]) {
    let cluster = build.cluster;
    let all: Vec<Named<'_>> = cluster
        .workloads
        .iter()
        .zip(names.iter().map(String::as_str))
        .collect();
    // What waits for somebody who starts it is waited for by nobody.
    let runs = |w: &Workload<'_>| w.kind != Kind::CronJob && !is_suspended(w);
    let of = |wanted: Option<When>| -> Vec<Named<'_>> {
        let chosen = all.iter().copied();
        let mut chosen: Vec<_> = chosen
            .filter(|(w, _)| when(w) == wanted && runs(w))
            .collect();
        if wanted.is_some() {
            chosen.sort_by_key(|(w, _)| (weight(w), w.name()));
        }
        chosen
    };
    for (workload, base) in all.iter().filter(|(w, _)| when(w) == Some(When::Never)) {
        never(build, workload, base);
    }
    let (before, ordinary, after) = (of(Some(When::Before)), of(None), of(Some(When::After)));
    in_order(build, &before);
    for service in others(build, &before) {
        for hook in &before {
            wait_for(build, &service, hook);
        }
    }
    in_order(build, &after);
    for hook in &after {
        for service in parts(build, hook.1, false) {
            for (_, base) in &ordinary {
                for on in parts(build, base, true) {
                    depend(build, &service, &on, "service_started");
                }
            }
        }
    }
}

/// Helm takes what is no number as 0.
fn weight(workload: &Workload<'_>) -> i64 {
    let weight = workload.object.annotations.get(WEIGHT);
    weight.and_then(|w| w.trim().parse().ok()).unwrap_or(0)
}

/// The services of a workload that do something, or only those that it is for.
fn parts(build: &Build<'_>, base: &str, main: bool) -> Vec<String> {
    let parts = build.parts.iter();
    parts
        .filter(|(name, part)| {
            part.base == base && (part.is_main || !main) && !is_agent(build, name)
        })
        .map(|(name, _)| name.clone())
        .collect()
}

/// The services of all workloads but these.
fn others(build: &Build<'_>, but: &[Named<'_>]) -> Vec<String> {
    let is_other = |base: &str| !but.iter().any(|(_, b)| *b == base);
    let parts = build.parts.iter();
    parts
        .filter(|(name, part)| is_other(&part.base) && !is_agent(build, name))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Holders and fronts wait for nothing.
fn is_agent(build: &Build<'_>, service: &str) -> bool {
    build.beyond.is_ours(service)
}

/// Lets each hook wait for the one before.
fn in_order(build: &mut Build<'_>, hooks: &[Named<'_>]) {
    for pair in hooks.windows(2) {
        let [first, next] = pair else { continue };
        for service in parts(build, next.1, false) {
            wait_for(build, &service, first);
        }
    }
}

/// Lets a service wait until a hook has done its work. Helm waits for the end of jobs and pods;
/// of all else it asks only that it is there.
fn wait_for(build: &mut Build<'_>, service: &str, (workload, base): &Named<'_>) {
    let condition = match workload.kind {
        Kind::Job | Kind::Pod => "service_completed_successfully",
        _ => "service_started",
    };
    for on in parts(build, base, true) {
        depend(build, service, &on, condition);
    }
}

/// A hook that runs neither when a chart is installed nor when it is upgraded.
fn never(build: &mut Build<'_>, workload: &Workload<'_>, base: &str) {
    for (service, node) in build.services.iter_mut() {
        let is_part = build.parts.get(service).is_some_and(|p| p.base == base);
        if let Some(map) = node.as_map_mut().filter(|_| is_part) {
            let span = Span::generated();
            map.insert("profiles", text_list(["jobs"], &span));
        }
    }
    let hook = workload.object.annotations.get(HOOK);
    let object = super::at::At::of(&workload.object.node);
    let at = object.get("metadata").get("annotations").get(HOOK);
    let record = build.record(
        (&format!("service:{base}"), HOOK),
        (Class::Dropped, Severity::Info),
        (
            hook.map_or("", String::as_str),
            "it does not run when the chart is installed",
        ),
        at.span(),
    );
    record.raise = "let it run with the profile `jobs`: `profiles: [jobs]` in mirror.yaml".into();
}

fn depend(build: &mut Build<'_>, service: &str, on: &str, condition: &str) {
    let Some(target) = build.services.get(on) else {
        return;
    };
    let span = target.span.clone();
    let Some(map) = build.services.get_mut(service).and_then(Node::as_map_mut) else {
        return;
    };
    let mut entry = Dict::at(&span);
    entry.text("condition", condition, &span);
    if !map.contains_key("depends_on") {
        map.insert("depends_on", Node::map(span.clone()));
    }
    if let Some(Value::Map(depends)) = map.get_mut("depends_on").map(|n| &mut n.value) {
        depends.insert(on, entry.done());
    }
}
