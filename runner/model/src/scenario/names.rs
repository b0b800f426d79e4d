//! Names that templates and expressions use, against those that are there by then.

use std::collections::BTreeSet;

use super::types::{Body, KindInfo, Scenario, Step};
use crate::check::Expr;
use crate::diag::{Problem, ProblemKind, nearest};
use crate::source::Span;
use crate::template::{Data, is_reserved};
use crate::yaml::{Node, Value};

/// Reports every name that is not defined where it is used.
pub(super) fn check(s: &Scenario, kinds: &[KindInfo], problems: &mut Vec<Problem>) {
    let mut checker = Checker {
        kinds,
        known: Known::default(),
        problems,
    };
    for (name, data) in &s.vars {
        let mut used = Vec::new();
        data.roots(&mut used);
        checker.all(used, &[]);
        checker.known.names.insert(name.clone());
    }
    for step in &s.setup {
        checker.step(step);
    }
    let before_steps = checker.known.clone();
    for step in &s.invariants {
        checker.step(step);
    }
    checker.known = before_steps;
    for step in s.steps.iter().chain(&s.finally) {
        checker.step(step);
    }
}

#[derive(Debug, Clone, Default)]
struct Known {
    names: BTreeSet<String>,
    steps: BTreeSet<String>,
}

struct Checker<'a> {
    kinds: &'a [KindInfo],
    known: Known,
    problems: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    fn step(&mut self, step: &Step) {
        let fields = self.fields(&step.body);
        if let Some(e) = &step.condition {
            self.expression(e, &[]);
        }
        match &step.body {
            Body::Kind { node, .. } => self.node(node),
            Body::Race(race) => {
                let outer = self.known.clone();
                race.before.iter().for_each(|s| self.step(s));
                self.branches(race.branches.iter().map(|b| b.steps.as_slice()));
                race.after.iter().for_each(|s| self.step(s));
                self.known = outer;
            }
            Body::Parallel(branches) => {
                self.branches(branches.iter().map(|b| b.steps.as_slice()));
            }
            Body::Again { .. } => {}
        }
        let mut used = Vec::new();
        step.expect.iter().for_each(|e| e.roots(&mut used));
        step.capture.iter().for_each(|c| c.roots(&mut used));
        self.all(used, &fields);
        self.known
            .names
            .extend(step.capture.iter().map(|c| c.name.clone()));
        self.known
            .steps
            .extend(step.id.iter().map(|i| i.value.clone()));
    }

    /// A branch does not see what another one captures; afterwards all of it is there.
    fn branches<'s>(&mut self, branches: impl Iterator<Item = &'s [Step]>) {
        let before = self.known.clone();
        let mut after = before.clone();
        for steps in branches {
            self.known = before.clone();
            steps.iter().for_each(|s| self.step(s));
            after.names.append(&mut self.known.names);
            after.steps.append(&mut self.known.steps);
        }
        self.known = after;
    }

    fn fields(&self, body: &Body) -> Vec<&'static str> {
        match body {
            Body::Kind { kind, .. } => self
                .kinds
                .iter()
                .find(|k| k.name == kind.value)
                .map_or_else(Vec::new, |k| k.fields.to_vec()),
            Body::Race(_) => vec!["branches", "run", "runs", "hits", "duration"],
            Body::Parallel(_) => vec!["branches", "duration"],
            // What it may use was checked where its expectations were read.
            Body::Again { .. } => self
                .kinds
                .iter()
                .flat_map(|k| k.fields.iter().copied())
                .collect(),
        }
    }

    fn expression(&mut self, e: &Expr, fields: &[&str]) {
        let mut used = Vec::new();
        e.roots(&mut used);
        self.all(used, fields);
    }

    /// The templates of a body. What does not compile is reported when the body is decoded.
    fn node(&mut self, node: &Node) {
        match &node.value {
            Value::Str(_) => {
                if let Ok(data) = Data::new(node) {
                    let mut used = Vec::new();
                    data.roots(&mut used);
                    self.all(used, &[]);
                }
            }
            Value::Seq(items) => items.iter().for_each(|n| self.node(n)),
            Value::Map(m) => m.0.values().for_each(|e| self.node(&e.node)),
            _ => {}
        }
    }

    fn all(&mut self, used: Vec<(String, Span)>, fields: &[&str]) {
        for (name, span) in used {
            self.one(&name, &span, fields);
        }
    }

    fn one(&mut self, name: &str, span: &Span, fields: &[&str]) {
        let (what, known, wanted): (&str, Vec<&str>, &str) = match name.split_once('.') {
            Some(("steps", id)) => {
                if self.known.steps.contains(id) {
                    return;
                }
                (
                    "step",
                    self.known.steps.iter().map(String::as_str).collect(),
                    id,
                )
            }
            Some(("vars", var)) => {
                if self.known.names.contains(var) {
                    return;
                }
                (
                    "name",
                    self.known.names.iter().map(String::as_str).collect(),
                    var,
                )
            }
            _ => {
                if fields.contains(&name) || self.known.names.contains(name) || is_reserved(name) {
                    return;
                }
                let known = fields
                    .iter()
                    .copied()
                    .chain(self.known.names.iter().map(String::as_str));
                ("name", known.collect(), name)
            }
        };
        let message = match what {
            "step" => format!("no step before this one has the id `{wanted}`"),
            _ => format!("`{wanted}` is not defined here"),
        };
        let p = Problem::at(ProblemKind::UnknownReference, span, message);
        self.problems
            .push(match nearest(wanted, known.iter().copied()) {
                Some(n) => p.help(format!("did you mean `{n}`?")),
                None if known.is_empty() => {
                    p.help("define it under `vars`, or `capture` it in an earlier step")
                }
                None => p.help(format!("defined here: {}", known.join(", "))),
            });
    }
}
