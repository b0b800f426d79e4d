//! Names that templates and expressions use, against those that are there by then.

use std::collections::BTreeSet;

use super::types::{Body, KindInfo, Loop, Over, Scenario, Step};
use crate::check::Expr;
use crate::diag::{Problem, ProblemKind, nearest};
use crate::source::Span;
use crate::template::{Data, is_reserved};
use crate::yaml::{Node, Value};

/// Reports every name that is not defined where it is used.
///
/// Captures and names under `set` that nothing uses are doubtful: most often a name is
/// misspelt where it is used, or an expectation was forgotten.
pub(super) fn check(s: &Scenario, kinds: &[KindInfo], problems: &mut Vec<Problem>) {
    let mut checker = Checker {
        kinds,
        known: Known::default(),
        problems,
        used: BTreeSet::new(),
        captured: Vec::new(),
    };
    let given = s.params.iter().map(|p| &p.value);
    let given = given.chain(s.matrix.keys()).chain(s.load.keys());
    checker
        .known
        .names
        .extend(given.chain(s.fake.keys()).cloned());
    if !s.flag_values.is_empty() {
        checker.known.names.insert("flags".to_owned());
    }
    if let Some(e) = s.skip.as_ref().and_then(|k| k.condition.as_ref()) {
        // Before the scenario begins only what stands in the file is known.
        let mut scoped = checker.known.clone();
        scoped.names.extend(s.vars.keys().cloned());
        let known = std::mem::replace(&mut checker.known, scoped);
        checker.expression(e, &[]);
        checker.known = known;
    }
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
    for (_, e) in &s.outputs {
        checker.expression(e, &[]);
    }
    checker.unused();
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
    /// Names that something uses.
    used: BTreeSet<String>,
    /// Names that steps capture, with their places.
    captured: Vec<(String, Span)>,
}

impl Checker<'_> {
    fn step(&mut self, step: &Step) {
        let fields = self.fields(&step.body);
        let skip = step.skip.as_ref().and_then(|s| s.condition.as_ref());
        for e in [step.condition.as_ref(), skip].into_iter().flatten() {
            self.expression(e, &[]);
        }
        if let Some(e) = step.retry.as_ref().and_then(|r| r.unless.as_ref()) {
            self.expression(e, &["error", "attempt"]);
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
            Body::Again { .. } | Body::Assert => {}
            Body::Group { steps, .. } => steps.iter().for_each(|s| self.step(s)),
            Body::Loop(l) => self.looped(l),
            Body::Use(u) => {
                let mut used = Vec::new();
                u.with.iter().for_each(|(_, d)| d.roots(&mut used));
                self.all(used, &[]);
            }
            Body::Set(values) => {
                for (name, data) in values {
                    let mut used = Vec::new();
                    data.roots(&mut used);
                    self.all(used, &[]);
                    self.known.names.insert(name.clone());
                }
            }
            Body::Print(data) => {
                let mut used = Vec::new();
                data.roots(&mut used);
                self.all(used, &[]);
            }
        }
        let mut used = Vec::new();
        step.expect.iter().for_each(|e| e.roots(&mut used));
        step.capture.iter().for_each(|c| c.roots(&mut used));
        self.all(used, &fields);
        for c in &step.capture {
            self.captured.push((c.name.clone(), c.span.clone()));
            self.known.names.insert(c.name.clone());
        }
        self.known
            .steps
            .extend(step.id.iter().map(|i| i.value.clone()));
    }

    fn looped(&mut self, l: &Loop) {
        let mut used = Vec::new();
        match &l.over {
            Over::Value(d) => d.roots(&mut used),
            Over::Expr(e) => e.roots(&mut used),
            Over::Times(_) | Over::Range { .. } => {}
        }
        self.all(used, &[]);
        let is_new = self.known.names.insert(l.name.clone());
        self.known.names.insert("each".into());
        l.steps.iter().for_each(|s| self.step(s));
        if is_new {
            self.known.names.remove(&l.name);
        }
    }

    fn unused(&mut self) {
        if self.used.contains("*") {
            return;
        }
        for (name, span) in std::mem::take(&mut self.captured) {
            if !self.used.contains(&name) && !is_reserved(&name) {
                let text = format!("`{name}` is captured, and nothing uses it");
                self.problems.push(
                    Problem::at(ProblemKind::Unused, &span, text)
                        .warning()
                        .help("expect something of it, or remove it"),
                );
            }
        }
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
            Body::Use(_) => vec!["outputs", "duration"],
            Body::Group { .. } | Body::Loop(_) | Body::Set(_) | Body::Print(_) | Body::Assert => {
                Vec::new()
            }
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
        self.used.insert(match name.split_once('.') {
            Some(("vars", var)) => var.to_owned(),
            _ if name == "vars" => "*".to_owned(),
            _ => name.to_owned(),
        });
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
