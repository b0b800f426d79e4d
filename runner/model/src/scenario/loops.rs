//! `for_each`, `repeat`, and steps as one step.

use super::read::Reader;
use super::step::KEYS;
use super::types::{Body, Loop, Over, Step};
use crate::check::Expr;
use crate::diag::{Problem, ProblemKind};
use crate::template::Data;
use crate::yaml::{Mapping, Node, Spanned};

/// Turns of all loops of a scenario together, where they are known before.
const MOST_TURNS: u64 = 100_000;

impl Reader<'_> {
    /// Whether a step is done more than once.
    pub(super) fn is_loop(map: &Mapping) -> bool {
        map.contains_key("for_each") || map.contains_key("repeat")
    }

    /// A step under `for_each` or `repeat`: the loop around it, and it.
    pub(super) fn looped(&mut self, map: &Mapping, node: &Node, path: &str) -> Option<Step> {
        if let (Some(a), Some(b)) = (map.0.get("for_each"), map.0.get("repeat")) {
            let p = Problem::at(
                ProblemKind::Conflict,
                &b.key,
                "a step has `for_each` or `repeat`, not both",
            )
            .related(&a.key, "`for_each` is here")
            .help("put the inner one into `steps`");
            self.problem(p);
        }
        let (name, over) = if let Some(n) = map.get("for_each") {
            self.for_each(n)?
        } else {
            ("item".to_owned(), self.repeat(map.get("repeat")?)?)
        };
        let around = self.turns;
        if let Some(turns) = over.turns() {
            self.turns = self.turns.saturating_mul(turns.max(1));
            if self.turns > MOST_TURNS {
                let at = map.get("for_each").or(map.get("repeat"))?;
                let text = format!(
                    "with the loops around it this comes to {} turns; at most {MOST_TURNS} are run",
                    self.turns
                );
                self.problem(
                    Problem::at(ProblemKind::TooLarge, &at.span, text)
                        .help("load belongs to a load generator: run one with `container`"),
                );
                self.turns = around;
                return None;
            }
        }
        let inner = self.plain_step(map, node, &format!("{path}.each"));
        self.turns = around;
        let mut inner = inner?;
        Some(Step {
            path: path.to_owned(),
            span: inner.span.clone(),
            id: None,
            name: inner.name.take(),
            expect: Vec::new(),
            capture: Vec::new(),
            retry: None,
            eventually: None,
            timeout: None,
            soft: std::mem::take(&mut inner.soft),
            condition: inner.condition.take(),
            skip: inner.skip.take(),
            body: Body::Loop(Loop {
                over,
                name,
                steps: vec![inner],
            }),
        })
    }

    fn for_each(&mut self, node: &Node) -> Option<(String, Over)> {
        if node.as_seq().is_some() || node.as_str().is_some() {
            return Some(("item".into(), self.over(node)?));
        }
        let one = node.as_map().filter(|m| m.len() == 1);
        let Some((name, entry)) = one.and_then(|m| m.0.first()) else {
            self.problem(
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("`for_each` names what it goes over, found {}", node.kind()),
                )
                .help("write `for_each: { sku: [A1, B2] }`, or a list whose items are then `item`"),
            );
            return None;
        };
        self.variable_name(name, &entry.key);
        Some((name.clone(), self.over(&entry.node)?))
    }

    fn over(&mut self, node: &Node) -> Option<Over> {
        if let Some(text) = node.as_str() {
            if !text.contains("{{") {
                return match Expr::new(text, &node.span) {
                    Ok(e) => Some(Over::Expr(e)),
                    Err(p) => {
                        self.problem(p);
                        None
                    }
                };
            }
        } else if let Some(map) = node.as_map()
            && map.contains_key("from")
            && map.contains_key("to")
        {
            return self.range(map, node);
        } else if node.as_seq().is_none() && node.as_map().is_none() {
            self.problem(
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("`for_each` goes over a list, found {}", node.kind()),
                )
                .help("write a list, an expression, or `{ from: 1, to: 10 }`"),
            );
            return None;
        }
        match Data::new(node) {
            Ok(d) => Some(Over::Value(d)),
            Err(p) => {
                self.problems.extend(p);
                None
            }
        }
    }

    fn range(&mut self, map: &Mapping, node: &Node) -> Option<Over> {
        const KNOWN: [&str; 3] = ["from", "to", "by"];
        for (key, e) in map.0.iter().filter(|(k, _)| !KNOWN.contains(&k.as_str())) {
            self.problems
                .push(self.unknown_key(key, &e.key, "a range", &KNOWN));
        }
        let number = |key: &str| map.get(key).map(|n| n.as_int());
        match (number("from"), number("to"), number("by")) {
            (Some(Some(from)), Some(Some(to)), by @ (None | Some(Some(1..) | Some(..=-1)))) => {
                let by = by.flatten().unwrap_or(if to < from { -1 } else { 1 });
                Some(Over::Range { from, to, by })
            }
            _ => {
                self.problem(Problem::at(
                    ProblemKind::InvalidValue,
                    &node.span,
                    "a range has whole numbers, and `by` is not 0",
                ));
                None
            }
        }
    }

    fn repeat(&mut self, node: &Node) -> Option<Over> {
        match node.as_int().and_then(|n| u64::try_from(n).ok()) {
            Some(n) if n >= 1 => Some(Over::Times(n)),
            _ => {
                self.problem(
                    Problem::at(
                        ProblemKind::WrongType,
                        &node.span,
                        format!("`repeat` is how often, at least 1, found {}", found(node)),
                    )
                    .help("write `repeat: 3`; `eventually` repeats until something holds"),
                );
                None
            }
        }
    }

    /// `steps` inside of a step.
    pub(super) fn group(&mut self, node: &Node, path: &str) -> Option<Body> {
        if node.as_seq().is_none_or(<[Node]>::is_empty) {
            self.problem(
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("`steps` is a list of steps, found {}", found(node)),
                )
                .help("steps under one key share its `if`, `for_each`, `soft` and `eventually`"),
            );
            return None;
        }
        let steps = self.inner_steps(Some(node), &format!("{path}.steps"));
        Some(Body::Group {
            key: "steps",
            steps,
        })
    }

    /// `set`.
    pub(super) fn set(&mut self, node: &Node) -> Option<Body> {
        let Some(map) = node.as_map().filter(|m| !m.is_empty()) else {
            self.problem(
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!(
                        "`set` is a mapping of names to values, found {}",
                        found(node)
                    ),
                )
                .help("write `set: { total: \"{{ price * 2 }}\" }`"),
            );
            return None;
        };
        let mut values = Vec::new();
        for (name, entry) in &map.0 {
            self.variable_name(name, &entry.key);
            match Data::new(&entry.node) {
                Ok(d) => values.push((name.clone(), d)),
                Err(p) => self.problems.extend(p),
            }
        }
        Some(Body::Set(values))
    }

    /// `print`.
    pub(super) fn print(&mut self, node: &Node) -> Option<Body> {
        match Data::new(node) {
            Ok(d) => Some(Body::Print(d)),
            Err(p) => {
                self.problems.extend(p);
                None
            }
        }
    }

    /// Keys of a step that say nothing beside a body that has no result of its own.
    pub(super) fn useless_keys(&mut self, map: &Mapping, body: &Body) {
        let useless: &[&str] = match body {
            Body::Group { .. } => &["expect", "capture", "retry"],
            Body::Set(_) | Body::Print(_) => {
                &["expect", "retry", "eventually", "timeout", "capture"]
            }
            Body::Assert => &["expect", "capture", "retry"],
            _ => &[],
        };
        debug_assert!(useless.iter().all(|k| KEYS.contains(k)));
        for key in useless {
            if let Some(e) = map.0.get(*key) {
                let what = body.kind();
                let p = Problem::at(
                    ProblemKind::Conflict,
                    &e.key,
                    format!("`{key}` has no meaning beside `{what}`, which has no result"),
                );
                self.problem(match (*key, body) {
                    ("expect", Body::Group { .. }) => {
                        p.help("give the expectations to the steps inside, or add an `assert`")
                    }
                    _ => p.help("remove it, or give it to the step that it is about"),
                });
            }
        }
    }

    /// `skip`: why, or `{ if: expression, reason: why }`.
    pub(super) fn skip(&mut self, node: Option<&Node>) -> Option<super::types::Skip> {
        let node = node?;
        if let Some(skipped) = node.as_bool() {
            return skipped.then(|| super::types::Skip {
                reason: "skipped".into(),
                condition: None,
            });
        }
        if let Some(reason) = node.as_str() {
            return Some(super::types::Skip {
                reason: reason.to_owned(),
                condition: None,
            });
        }
        let Some(map) = node.as_map() else {
            self.problem(
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("`skip` says why, found {}", node.kind()),
                )
                .help("write `skip: until the card terminal answers`, or `{ if: expression, reason: why }`"),
            );
            return None;
        };
        const KNOWN: [&str; 2] = ["if", "reason"];
        for (key, e) in map.0.iter().filter(|(k, _)| !KNOWN.contains(&k.as_str())) {
            self.problems
                .push(self.unknown_key(key, &e.key, "`skip`", &KNOWN));
        }
        let reason = map.get("reason").and_then(Node::scalar_text);
        Some(super::types::Skip {
            condition: self.condition(map.get("if")),
            reason: reason.unwrap_or_else(|| "skipped by its condition".into()),
        })
    }

    /// The names under `params`.
    pub(super) fn params(&mut self, node: Option<&Node>) -> Vec<Spanned<String>> {
        let params = self.texts(node, "params");
        for p in &params {
            self.variable_name(&p.value, &p.span);
        }
        params
    }
}

fn found(node: &Node) -> String {
    match node.as_seq() {
        Some([]) => "an empty list".into(),
        _ => match node.scalar_text() {
            Some(t) if !t.is_empty() && t.len() < 40 => format!("`{t}`"),
            _ => node.kind().to_owned(),
        },
    }
}
