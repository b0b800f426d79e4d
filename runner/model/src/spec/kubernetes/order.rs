//! What runs before what: the hooks of Helm.

use super::build::Build;
use super::dict::Dict;
use crate::yaml::{Node, Value};

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    After,
    Never,
}

fn when(hook: &str) -> When {
    let has = |name: &str| hook.split(',').any(|h| h.trim() == name);
    if has("pre-install") || has("pre-upgrade") {
        When::Before
    } else if has("post-install") || has("post-upgrade") {
        When::After
    } else {
        When::Never
    }
}

/// Lets the workloads that are hooks run before or after all others, as Helm does. Those for
/// tests, rollbacks and removal do not run.
pub fn hooks(build: &mut Build<'_>, names: &[String]) {
    let cluster = build.cluster;
    let hook = |w: &super::workload::Workload<'_>| {
        let hook = w.object.annotations.get("helm.sh/hook");
        hook.map(|h| when(h))
    };
    let of = |wanted: Option<When>| -> Vec<String> {
        let workloads = cluster.workloads.iter().zip(names);
        workloads
            .filter(|(w, _)| hook(w) == wanted)
            .map(|(_, name)| name.clone())
            .collect()
    };
    let (ordinary, before) = (of(None), of(Some(When::Before)));
    let after = of(Some(When::After));
    for name in of(Some(When::Never)) {
        for (service, node) in build.services.iter_mut() {
            let mine = service == name || service.starts_with(&format!("{name}-"));
            let map = node.as_map_mut().filter(|_| mine);
            if let Some(map) = map {
                let span = crate::source::Span::generated();
                map.insert("profiles", super::build::text_list(["jobs"], &span));
            }
        }
    }
    for first in &before {
        let all: Vec<String> = build.services.keys().map(str::to_owned).collect();
        for service in all {
            let is_first = before
                .iter()
                .any(|b| service == *b || service.starts_with(&format!("{b}-")));
            let is_agent = build.beyond.holders.contains_key(&service)
                || build.beyond.fronts.contains_key(&service);
            if !is_first && !is_agent {
                depend(build, &service, first, "service_completed_successfully");
            }
        }
    }
    for last in &after {
        for service in &ordinary {
            depend(build, last, service, "service_started");
        }
    }
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
