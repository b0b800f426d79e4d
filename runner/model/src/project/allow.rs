//! What the project allows by name although it leads out of the mirror.

use std::cell::Cell;

use serde::Deserialize;

use super::decode::{Named, entries, keep, known_keys, mapping};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::yaml::{Mapping, Node, Spanned, from_node};

/// The kinds of objects that something can be allowed for.
pub const OBJECTS: [&str; 5] = ["services", "networks", "volumes", "configs", "secrets"];

/// One thing that is allowed for one object: `rule`, or `rule=value` for one value of it.
#[derive(Debug, Clone)]
pub struct Permit {
    /// As it is written, with its place.
    pub at: Spanned<String>,
    /// The rule's name.
    pub rule: String,
    /// The one value that is allowed; absent = every value of the rule.
    pub value: Option<String>,
    /// Why, as the project says.
    pub because: Option<String>,
    used: Cell<bool>,
}

impl PartialEq for Permit {
    fn eq(&self, other: &Self) -> bool {
        (&self.rule, &self.value) == (&other.rule, &other.value)
    }
}

/// Everything that is allowed, by kind of object and object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Allow {
    kinds: Vec<(&'static str, Vec<Named<Vec<Permit>>>)>,
}

impl Allow {
    /// The permit for a rule and value of an object, which is noted as used.
    pub fn permits(&self, kind: &str, object: &str, rule: &str, value: &str) -> Option<&Permit> {
        self.all().find_map(|(k, o, p)| {
            let fits = k == kind
                && o.as_str() == object
                && p.rule == rule
                && p.value.as_deref().is_none_or(|v| v == value);
            fits.then(|| {
                p.used.set(true);
                p
            })
        })
    }

    /// Every permit with its kind of object and its object.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Spanned<String>, &Permit)> {
        self.kinds.iter().flat_map(|(kind, objects)| {
            objects
                .iter()
                .flat_map(move |o| o.value.iter().map(move |p| (*kind, &o.name, p)))
        })
    }

    /// Permits that nothing has asked for since this was read.
    pub fn unused(&self) -> impl Iterator<Item = (&'static str, &Spanned<String>, &Permit)> {
        self.all().filter(|(_, _, p)| !p.used.get())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
struct Written {
    rule: Spanned<String>,
    #[serde(default)]
    because: Option<String>,
}

/// Reads the section `allow`.
pub(super) fn read(top: &Mapping, problems: &mut Problems) -> Allow {
    let Some(node) = top.get("allow") else {
        return Allow::default();
    };
    let Some(map) = mapping(node, "`allow`", problems) else {
        return Allow::default();
    };
    known_keys(map, &OBJECTS, "`allow`", problems);
    let kinds = OBJECTS
        .iter()
        .map(|kind| {
            let objects = entries(map, kind, problems, |_, node, problems| {
                Some(permits(node, problems))
            });
            (*kind, objects)
        })
        .collect();
    Allow { kinds }
}

/// A list of rules (or of `{ rule, because }`), or a mapping from rules to reasons.
fn permits(node: &Node, problems: &mut Problems) -> Vec<Permit> {
    if let Some(map) = node.as_map() {
        return map
            .0
            .iter()
            .filter_map(|(rule, entry)| {
                let at = Spanned::new(rule.clone(), entry.key.clone());
                let because = keep(from_node(&entry.node), problems)?;
                Some(permit(at, because))
            })
            .collect();
    }
    let items = match node.as_seq() {
        Some(items) => items,
        None if node.is_null() => &[],
        None => std::slice::from_ref(node),
    };
    items
        .iter()
        .filter_map(|item| {
            if item.as_map().is_some() {
                let w: Written = keep(from_node(item), problems)?;
                return Some(permit(w.rule, w.because));
            }
            let Some(text) = item.as_str() else {
                problems.push(
                    Problem::at(
                        ProblemKind::WrongType,
                        &item.span,
                        format!("a rule's name is a string, not {}", item.kind()),
                    )
                    .help("write `rule`, `rule=value` or { rule: …, because: … }"),
                );
                return None;
            };
            Some(permit(
                Spanned::new(text.to_owned(), item.span.clone()),
                None,
            ))
        })
        .collect()
}

fn permit(at: Spanned<String>, because: Option<String>) -> Permit {
    let (rule, value) = match at.split_once('=') {
        Some((rule, value)) => (rule.trim().to_owned(), Some(value.trim().to_owned())),
        None => (at.trim().to_owned(), None),
    };
    Permit {
        rule,
        value,
        because,
        used: Cell::new(false),
        at,
    }
}
