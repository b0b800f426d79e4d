//! `race` and `parallel`.

use std::time::Duration;

use super::read::Reader;
use super::types::{Branch, Race, Step};
use crate::diag::{Problem, ProblemKind};
use crate::yaml::Node;

/// Branches that are taken at most.
const MOST_BRANCHES: usize = 64;
/// Runs that are taken at most.
const MOST_RUNS: u32 = 10_000;
/// Keys of a race.
const RACE: [&str; 6] = ["branches", "runs", "seed", "spread", "before", "after"];

impl Reader<'_> {
    pub(super) fn race(&mut self, node: &Node, path: &str) -> Option<Race> {
        let Some(map) = node.as_map() else {
            self.problem(
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("a race is a mapping, found {}", node.kind()),
                )
                .help("write `race: { branches: [ { step: a }, { step: a } ], runs: 50 }`"),
            );
            return None;
        };
        for (key, entry) in map.0.iter().filter(|(k, _)| !RACE.contains(&k.as_str())) {
            self.problems
                .push(self.unknown_key(key, &entry.key, "a race", &RACE));
        }
        let before = self.inner_steps(map.get("before"), &format!("{path}.race.before"));
        let Some(list) = map.get("branches") else {
            self.problem(
                Problem::at(
                    ProblemKind::Missing,
                    &node.span,
                    "the race has no `branches`",
                )
                .help("a race runs at least two branches at the same time"),
            );
            return None;
        };
        let branches = self.branches(list, &format!("{path}.race"));
        if branches.len() < 2 && list.as_seq().is_none_or(|s| s.len() < 2) {
            self.problem(
                Problem::at(
                    ProblemKind::InvalidValue,
                    &list.span,
                    "a race needs at least two branches",
                )
                .help("name the same step twice to run it against itself"),
            );
        }
        let after = self.inner_steps(map.get("after"), &format!("{path}.race.after"));
        let runs = match map.get("runs") {
            None => 10,
            Some(n) => match n
                .as_int()
                .and_then(|i| u32::try_from(i).ok())
                .filter(|i| (1..=MOST_RUNS).contains(i))
            {
                Some(i) => i,
                None => {
                    self.problem(Problem::at(
                        ProblemKind::InvalidValue,
                        &n.span,
                        format!("`runs` is a number from 1 to {MOST_RUNS}"),
                    ));
                    1
                }
            },
        };
        let seed = map.get("seed").and_then(|n| {
            let seed = n.as_int().and_then(|i| u64::try_from(i).ok());
            if seed.is_none() {
                self.problem(Problem::at(
                    ProblemKind::WrongType,
                    &n.span,
                    "`seed` is a whole number",
                ));
            }
            seed
        });
        let spread = self
            .duration(map.get("spread"))
            .unwrap_or(Duration::from_millis(2));
        Some(Race {
            before,
            branches,
            after,
            runs,
            seed,
            spread,
        })
    }

    /// `parallel: [step, [step, step]]`, or `parallel: { branches: … }`.
    pub(super) fn parallel(&mut self, node: &Node, path: &str) -> Option<Vec<Branch>> {
        let list = node.get("branches").unwrap_or(node);
        if let Some(map) = node.as_map() {
            for (key, entry) in map.0.iter().filter(|(k, _)| *k != "branches") {
                self.problems
                    .push(self.unknown_key(key, &entry.key, "`parallel`", &["branches"]));
            }
        }
        if list.as_seq().is_none_or(<[Node]>::is_empty) {
            self.problem(
                Problem::at(
                    ProblemKind::WrongType,
                    &list.span,
                    format!("`parallel` is a list of branches, found {}", list.kind()),
                )
                .help("each branch is a step or a list of steps"),
            );
            return None;
        }
        Some(self.branches(list, &format!("{path}.parallel")))
    }

    fn branches(&mut self, list: &Node, path: &str) -> Vec<Branch> {
        let Some(items) = list.as_seq() else {
            self.problem(Problem::at(
                ProblemKind::WrongType,
                &list.span,
                format!("`branches` is a list, found {}", list.kind()),
            ));
            return Vec::new();
        };
        if items.len() > MOST_BRANCHES {
            self.problem(Problem::at(
                ProblemKind::TooLarge,
                &list.span,
                format!(
                    "{} branches; at most {MOST_BRANCHES} run at the same time",
                    items.len()
                ),
            ));
            return Vec::new();
        }
        items
            .iter()
            .enumerate()
            .map(|(i, n)| {
                let at = format!("{path}[{i}]");
                let steps = match n.as_seq() {
                    Some(_) => self.inner_steps(Some(n), &at),
                    None => self.step(n, &at).into_iter().collect(),
                };
                Branch { steps }
            })
            .filter(|b| !b.steps.is_empty())
            .collect()
    }

    pub(super) fn inner_steps(&mut self, node: Option<&Node>, path: &str) -> Vec<Step> {
        let Some(node) = node else { return Vec::new() };
        let single = std::slice::from_ref(node);
        let items = node.as_seq().unwrap_or(single);
        items
            .iter()
            .enumerate()
            .filter_map(|(i, n)| self.step(n, &format!("{path}[{i}]")))
            .collect()
    }
}
