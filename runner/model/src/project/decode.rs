//! Decoding a mapping key by key, so that one bad value does not hide the next.

use serde::Deserialize;

use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::yaml::{Mapping, Node, Spanned, from_node};

/// A value and the name it was given, with the name's place.
#[derive(Debug, Clone, PartialEq)]
pub struct Named<T> {
    /// The key.
    pub name: Spanned<String>,
    /// What it names.
    pub value: T,
}

/// The value that a name was given.
pub fn find<'a, T>(entries: &'a [Named<T>], name: &str) -> Option<&'a T> {
    entries
        .iter()
        .find(|e| e.name.value == name)
        .map(|e| &e.value)
}

/// The mapping of a node; null counts as empty.
pub(super) fn mapping<'n>(
    node: &'n Node,
    what: &str,
    problems: &mut Problems,
) -> Option<&'n Mapping> {
    if node.is_null() {
        return None;
    }
    let map = node.as_map();
    if map.is_none() {
        problems.push(Problem::at(
            ProblemKind::WrongType,
            &node.span,
            format!("{what} is a mapping, not {}", node.kind()),
        ));
    }
    map
}

/// Reports keys that the format does not have; `x-` keys are free.
pub(super) fn known_keys(map: &Mapping, known: &[&str], what: &str, problems: &mut Problems) {
    for (key, entry) in &map.0 {
        if known.contains(&key.as_str()) || key.starts_with("x-") {
            continue;
        }
        let help = match nearest(key, known.iter().copied()) {
            Some(k) => format!("did you mean `{k}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        problems.push(
            Problem::at(
                ProblemKind::UnknownKey,
                &entry.key,
                format!("{what} has no key `{key}`"),
            )
            .help(help),
        );
    }
}

/// One value of a mapping, decoded; `None` when it is absent, null or wrong.
pub(super) fn value<'n, T: Deserialize<'n>>(
    map: &'n Mapping,
    key: &str,
    problems: &mut Problems,
) -> Option<T> {
    let node = map.get(key).filter(|n| !n.is_null())?;
    keep(from_node(node).map_err(|p| under(p, key)), problems)
}

/// A string, or a list of strings.
pub(super) fn one_or_many(
    map: &Mapping,
    key: &str,
    problems: &mut Problems,
) -> Vec<Spanned<String>> {
    let Some(node) = map.get(key).filter(|n| !n.is_null()) else {
        return Vec::new();
    };
    let items = match node.as_seq() {
        Some(items) => items,
        None => std::slice::from_ref(node),
    };
    items
        .iter()
        .filter_map(|n| keep(from_node(n).map_err(|p| under(p, key)), problems))
        .collect()
}

/// Every entry of a mapping under `key`, each decoded by `read`.
pub(super) fn entries<T>(
    map: &Mapping,
    key: &str,
    problems: &mut Problems,
    read: impl Fn(&Spanned<String>, &Node, &mut Problems) -> Option<T>,
) -> Vec<Named<T>> {
    let Some(node) = map.get(key) else {
        return Vec::new();
    };
    let Some(map) = mapping(node, &format!("`{key}`"), problems) else {
        return Vec::new();
    };
    map.0
        .iter()
        .filter_map(|(name, entry)| {
            let name = Spanned::new(name.clone(), entry.key.clone());
            let value = read(&name, &entry.node, problems)?;
            Some(Named { name, value })
        })
        .collect()
}

/// Keeps a result's value, or its problem.
pub(super) fn keep<T>(result: Result<T, Problem>, problems: &mut Problems) -> Option<T> {
    match result {
        Ok(v) => Some(v),
        Err(p) => {
            problems.push(p);
            None
        }
    }
}

/// Puts a key before the path of a problem.
pub(super) fn under(mut p: Problem, key: &str) -> Problem {
    if p.kind != ProblemKind::UnknownKey {
        p.message = match p.message.strip_prefix('`') {
            Some(rest) if rest.starts_with('[') => format!("`{key}{rest}"),
            Some(rest) => format!("`{key}.{rest}"),
            None => format!("`{key}`: {}", p.message),
        };
    }
    p
}
