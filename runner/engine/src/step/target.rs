//! Names of services and hosts that steps use, checked before anything starts.

use std::collections::BTreeSet;

use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::source::Span;

/// What a name must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A service, whose containers are meant (`exec`, `logs`).
    Service,
    /// A host name in the stack: a service, an alias, a stub, a declared name.
    Host,
}

/// A name that a step uses.
#[derive(Debug, Clone)]
pub struct Target {
    /// The name.
    pub name: String,
    /// The port, when it is said.
    pub port: Option<u16>,
    /// What it must be.
    pub kind: TargetKind,
    /// Where it stands.
    pub span: Span,
}

/// The names that a stack will have.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Services.
    pub services: BTreeSet<String>,
    /// Other host names: aliases, container names, stubs, declared names.
    pub hosts: BTreeSet<String>,
}

/// Reports every name that the stack will not have.
pub fn check_targets(targets: &[Target], known: &Known) -> Vec<Problem> {
    let mut problems = Vec::new();
    for t in targets {
        let there = known.services.contains(&t.name)
            || (t.kind == TargetKind::Host && known.hosts.contains(&t.name));
        if there {
            continue;
        }
        let (what, all): (&str, Vec<&str>) = match t.kind {
            TargetKind::Service => (
                "service",
                known.services.iter().map(String::as_str).collect(),
            ),
            TargetKind::Host => (
                "host",
                known
                    .services
                    .union(&known.hosts)
                    .map(String::as_str)
                    .collect(),
            ),
        };
        let p = Problem::at(
            ProblemKind::UnknownReference,
            &t.span,
            format!("the stack has no {what} `{}`", t.name),
        );
        problems.push(match nearest(&t.name, all.iter().copied()) {
            Some(n) => p.help(format!("did you mean `{n}`?")),
            None if t.kind == TargetKind::Host => p.help(format!(
                "steps reach services ({}) and names that `egress` of mirror.yaml declares",
                all.join(", ")
            )),
            None => p.help(format!("services: {}", all.join(", "))),
        });
    }
    problems
}
