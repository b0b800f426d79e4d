//! `flags`: the values of feature flags that a scenario is run with.

use indexmap::IndexMap;

use super::read::Reader;
use crate::diag::{Problem, ProblemKind};
use crate::flags::{Choice, Variant};
use crate::source::Span;
use crate::yaml::{Entry, Node};

/// Cases of a scenario at most.
const MOST: usize = 1_000;

impl Reader<'_> {
    /// The combinations of flags of a scenario, of which each is a case; one without choices
    /// when it has to do with no flag.
    pub(super) fn flag_combinations(&mut self, node: &Node, matrix: usize) -> Vec<Vec<Choice>> {
        let none = vec![Vec::new()];
        // A fragment has those of who uses it.
        if node.get("fragment").is_some() {
            return none;
        }
        let own = match node.as_map().and_then(|m| m.0.get("flags")) {
            Some(entry) => self.own_flags(entry),
            None => IndexMap::new(),
        };
        let choices = self.files.flags.clone();
        let all = choices.unwrap_or_default().combinations(&own);
        if all.len().saturating_mul(matrix.max(1)) > MOST {
            let text = format!(
                "this scenario has {} combinations of flags{}; at most {MOST} cases are run",
                all.len(),
                if matrix > 1 {
                    " for each of its matrix"
                } else {
                    ""
                }
            );
            let span = Span::in_line(&node.span.file, node.span.line, node.span.col, 1);
            self.problem(
                Problem::at(ProblemKind::TooLarge, &span, text)
                    .help("name fewer flags under `matrix` of `flags`, or fewer values"),
            );
            return none;
        }
        all
    }

    /// `flags: { checkout_v2: [on, off], express: true }`.
    fn own_flags(&mut self, entry: &Entry) -> IndexMap<String, Vec<Variant>> {
        let mut own: IndexMap<String, Vec<Variant>> = IndexMap::new();
        let Some(map) = entry.node.as_map() else {
            let text = format!(
                "`flags` is a mapping of flags to values, found {}",
                entry.node.kind()
            );
            self.problem(
                Problem::at(ProblemKind::WrongType, &entry.node.span, text)
                    .help("write `flags: { checkout_v2: [on, off] }`, or with one value `{ checkout_v2: on }`"),
            );
            return own;
        };
        for (name, e) in &map.0 {
            let single = std::slice::from_ref(&e.node);
            let items = e.node.as_seq().unwrap_or(single);
            if items.is_empty() || e.node.is_null() {
                let text = format!("`{name}` has no value: the flag would never be served");
                self.problem(Problem::at(ProblemKind::Missing, &e.node.span, text));
                continue;
            }
            for item in items {
                if let Some(variant) = self.flag_value(name, &e.key, item) {
                    let values = own.entry(name.clone()).or_default();
                    if !values.contains(&variant) {
                        values.push(variant);
                    }
                }
            }
        }
        own
    }

    fn flag_value(&mut self, name: &str, key: &Span, item: &Node) -> Option<Variant> {
        let asked = item.to_json();
        let Some(choices) = self.files.flags.clone() else {
            // Whoever reads a file without its project cannot know the flags.
            return Some(Variant::unknown(&asked));
        };
        match choices.variant(name, &asked) {
            Ok(variant) => Some(variant),
            Err(p) => {
                let at = if p.kind == ProblemKind::InvalidValue {
                    &item.span
                } else {
                    key
                };
                self.problem(p.or_at(at));
                None
            }
        }
    }
}
