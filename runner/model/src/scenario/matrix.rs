//! `matrix`: one scenario for each combination of values.

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::read::Reader;
use crate::diag::{Problem, ProblemKind, nearest};
use crate::yaml::{Entry, Node};

/// Combinations of a scenario at most.
const MOST: usize = 1_000;

/// The values of one combination, by the names of the matrix.
pub(super) type Combination = IndexMap<String, Json>;

impl Reader<'_> {
    /// All combinations of a matrix, as GitHub Actions makes them: the product of the lists,
    /// without what `exclude` matches, and with what `include` adds.
    pub(super) fn matrix(&mut self, node: &Node) -> Vec<Combination> {
        let Some(map) = node.as_map().filter(|m| !m.is_empty()) else {
            self.problem(
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!(
                        "`matrix` is a mapping of names to lists, found {}",
                        node.kind()
                    ),
                )
                .help("write `matrix: { payment: [card, invoice], country: [DE, CH] }`"),
            );
            return Vec::new();
        };
        let mut axes: Vec<(String, Vec<Json>)> = Vec::new();
        let (mut include, mut exclude) = (Vec::new(), Vec::new());
        for (key, entry) in &map.0 {
            match key.as_str() {
                "include" => include = self.combinations(entry, None),
                "exclude" => {}
                _ => {
                    self.variable_name(key, &entry.key);
                    axes.extend(self.axis(key, entry));
                }
            }
        }
        if let Some(entry) = map.0.get("exclude") {
            let names: Vec<&str> = axes.iter().map(|(n, _)| n.as_str()).collect();
            exclude = self.combinations(entry, Some(&names));
        }
        let count = axes
            .iter()
            .try_fold(1usize, |n, (_, v)| n.checked_mul(v.len()))
            .unwrap_or(usize::MAX)
            .saturating_add(include.len());
        if count > MOST {
            let text = format!("this matrix has {count} combinations; at most {MOST} are run");
            self.problem(
                Problem::at(ProblemKind::TooLarge, &node.span, text)
                    .help("leave values out, or split the scenario"),
            );
            return Vec::new();
        }
        let mut all: Vec<Combination> = if axes.is_empty() {
            Vec::new()
        } else {
            vec![Combination::new()]
        };
        for (name, values) in &axes {
            all = all
                .into_iter()
                .flat_map(|c| {
                    values.iter().map(move |v| {
                        let mut c = c.clone();
                        c.insert(name.clone(), v.clone());
                        c
                    })
                })
                .collect();
        }
        all.retain(|c| !exclude.iter().any(|x| matches(c, x)));
        for extra in include {
            if !all.contains(&extra) {
                all.push(extra);
            }
        }
        self.same_names(node, &all);
        if all.is_empty() && self.problems.is_empty() {
            let text = "no combination of this matrix is left";
            self.problem(
                Problem::at(ProblemKind::InvalidValue, &node.span, text)
                    .help("`exclude` takes all of them away"),
            );
        }
        all
    }

    fn axis(&mut self, key: &str, entry: &Entry) -> Option<(String, Vec<Json>)> {
        match entry.node.as_seq() {
            Some(items) if !items.is_empty() => {
                Some((key.to_owned(), items.iter().map(Node::to_json).collect()))
            }
            _ => {
                let found = match entry.node.as_seq() {
                    Some(_) => "an empty one",
                    None => entry.node.kind(),
                };
                let text = format!("`{key}` of the matrix is a list of values, found {found}");
                self.problem(Problem::at(ProblemKind::WrongType, &entry.node.span, text));
                None
            }
        }
    }

    /// The list under `include` or `exclude`.
    fn combinations(&mut self, entry: &Entry, names: Option<&[&str]>) -> Vec<Combination> {
        let single = std::slice::from_ref(&entry.node);
        let items = entry.node.as_seq().unwrap_or(single);
        let mut all = Vec::new();
        for item in items {
            let Some(map) = item.as_map().filter(|m| !m.is_empty()) else {
                let text = format!(
                    "a combination is a mapping of names to values, found {}",
                    item.kind()
                );
                self.problem(Problem::at(ProblemKind::WrongType, &item.span, text));
                continue;
            };
            let mut combination = Combination::new();
            for (key, e) in &map.0 {
                match names {
                    Some(known) if !known.contains(&key.as_str()) => {
                        let text = format!("the matrix has no `{key}`");
                        let p = Problem::at(ProblemKind::UnknownReference, &e.key, text);
                        self.problem(match nearest(key, known.iter().copied()) {
                            Some(n) => p.help(format!("did you mean `{n}`?")),
                            None => p.help(format!("it has: {}", known.join(", "))),
                        });
                    }
                    Some(_) => {}
                    None => self.variable_name(key, &e.key),
                }
                combination.insert(key.clone(), e.node.to_json());
            }
            all.push(combination);
        }
        all
    }

    /// Every combination must have every name: steps use them all.
    fn same_names(&mut self, node: &Node, all: &[Combination]) {
        let Some(first) = all.first() else { return };
        for c in &all[1..] {
            let missing = first
                .keys()
                .find(|k| !c.contains_key(*k))
                .or_else(|| c.keys().find(|k| !first.contains_key(*k)));
            if let Some(name) = missing {
                let text = format!(
                    "`{name}` is not in all combinations of the matrix ({})",
                    title(c)
                );
                self.problem(
                    Problem::at(ProblemKind::Missing, &node.span, text)
                        .help("name all values in each entry of `include`"),
                );
                return;
            }
        }
    }
}

/// `payment=card, country=DE`.
pub(super) fn title(c: &Combination) -> String {
    let parts: Vec<String> = c
        .iter()
        .map(|(k, v)| match v {
            Json::String(s) => format!("{k}={s}"),
            other => format!("{k}={other}"),
        })
        .collect();
    parts.join(", ")
}

fn matches(c: &Combination, pattern: &Combination) -> bool {
    pattern.iter().all(|(k, v)| c.get(k) == Some(v))
}
