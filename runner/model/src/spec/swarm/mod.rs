//! Stack files as `docker stack deploy` reads them: the grammar of Compose, with other rules.
//!
//! The files go through the Compose reader, for which they are marked; this module takes out
//! what Swarm ignores, refuses what it refuses, and makes explicit what it adds.

mod finish;
mod keys;
mod placeholder;

use crate::diag::Problem;
use crate::fidelity::{Class, Record, Severity};
use crate::source::{SourceFile, Span};
use crate::yaml::{self, Node};

pub(crate) use finish::finish;
pub(crate) use keys::check;

/// Its name in `mirror.yaml`.
pub const NAME: &str = "swarm";

/// What reading stack files finds out.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    /// Facts that differ, or that Swarm itself ignores.
    pub records: Vec<Record>,
    /// Services that stack files declare.
    pub services: Vec<String>,
    /// Everything that refuses the files.
    pub problems: Vec<Problem>,
}

impl Stacks {
    fn record(&mut self, class: Class, severity: Severity, object: String, fact: Fact<'_>) {
        let mut record = Record::new(object, fact.field, class, severity).at(fact.span);
        record.declared = fact.declared;
        record.actual = fact.actual;
        record.reason = fact.reason.to_owned();
        record.rule = NAME.to_owned();
        let same = |r: &Record| r.object == record.object && r.field == record.field;
        if !self.records.iter().any(same) {
            self.records.push(record);
        }
    }
}

/// A fact and what became of it.
struct Fact<'f> {
    field: &'f str,
    declared: String,
    actual: String,
    reason: &'f str,
    span: &'f Span,
}

/// Whether a file can only be a stack file: it says what only Swarm honours, and nothing that
/// only Compose does. Any doubt makes it a Compose file.
pub fn looks_like(file: &std::sync::Arc<SourceFile>) -> bool {
    let text = &file.text;
    let hints = ["deploy:", "overlay", "external:", "endpoint_mode:"];
    if !text.contains("services:") || !hints.iter().any(|hint| text.contains(hint)) {
        return false;
    }
    let Ok(document) = yaml::parse_one(file) else {
        return false;
    };
    let services = document.get("services").and_then(Node::as_map);
    let Some(services) = services else {
        return false;
    };
    let of_compose = keys::of_compose(&document)
        || services.iter().any(|(_, s)| {
            let map = s.as_map();
            map.is_some_and(|m| m.keys().any(keys::says_compose))
        });
    !of_compose && (services.iter().any(|(_, s)| of_swarm(s)) || has_swarm_objects(&document))
}

fn of_swarm(service: &Node) -> bool {
    let deploy = |path: &[&str]| service.get("deploy").and_then(|d| d.at(path)).is_some();
    let mode = service.at(&["deploy", "mode"]).and_then(Node::as_str);
    mode.is_some_and(|m| m != "replicated")
        || deploy(&["placement", "constraints"])
        || deploy(&["endpoint_mode"])
}

/// Overlay networks of the stack's own, and secrets that are kept in Swarm.
fn has_swarm_objects(document: &Node) -> bool {
    let any = |section: &str, test: &dyn Fn(&Node) -> bool| {
        let map = document.get(section).and_then(Node::as_map);
        map.is_some_and(|m| m.iter().any(|(_, n)| test(n)))
    };
    let external = |n: &Node| {
        let external = n.get("external");
        external.is_some_and(|e| e.as_bool() == Some(true) || e.as_map().is_some())
    };
    any("networks", &|n| {
        n.get("driver").and_then(Node::as_str) == Some("overlay")
    }) || any("secrets", &external)
        || any("configs", &external)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_surely_a_stack_is_one() {
        let sure = [
            "services: {a: {image: x, deploy: {mode: global}}}",
            "services: {a: {image: x, deploy: {placement: {constraints: [a == b]}}}}",
            "services: {a: {image: x}}\nnetworks: {n: {driver: overlay}}",
            "services: {a: {image: x}}\nsecrets: {s: {external: true}}",
        ];
        let not = [
            "services: {a: {image: x, deploy: {replicas: 2}}}",
            "services: {a: {image: x, build: ., deploy: {mode: global}}}",
            "services: {a: {image: x, depends_on: [b], deploy: {mode: global}}, b: {image: x}}",
            "services: {a: {image: x, restart: always, deploy: {mode: global}}}",
            "name: p\nservices: {a: {image: x, deploy: {mode: global}}}",
            "services: {a: {image: x}}\nnetworks: {n: {external: true}}",
            "services: {a: {image: x, deploy: {mode: global}",
        ];
        for text in sure {
            assert!(looks_like(&SourceFile::new("s", text)), "{text}");
        }
        for text in not {
            assert!(!looks_like(&SourceFile::new("s", text)), "{text}");
        }
    }
}
