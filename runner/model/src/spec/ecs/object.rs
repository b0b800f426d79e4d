//! Objects of the source, every key of which is either read or reported.

use std::collections::BTreeSet;

use super::notes::Notes;
use crate::fidelity::Severity;
use crate::source::Span;
use crate::yaml::{Mapping, Node, Spanned};

/// An object, and which of its keys were read.
pub(super) struct Object<'n> {
    map: &'n Mapping,
    /// Where it stands.
    pub span: &'n Span,
    path: String,
    read: BTreeSet<&'static str>,
}

impl<'n> Object<'n> {
    /// The object in a node; `path` is how messages call it. Null is none.
    pub fn of(node: &'n Node, path: &str, notes: &mut Notes) -> Option<Self> {
        if node.is_null() {
            return None;
        }
        let Some(map) = node.as_map() else {
            let path = if path.is_empty() { "it" } else { path };
            notes.wrong_type(path, node, "an object");
            return None;
        };
        Some(Self {
            map,
            span: &node.span,
            path: path.to_owned(),
            read: BTreeSet::new(),
        })
    }

    /// The path of a key.
    pub fn path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// A value that is not null.
    pub fn node(&mut self, key: &'static str) -> Option<&'n Node> {
        self.read.insert(key);
        self.map.get(key).filter(|n| !n.is_null())
    }

    /// A text; numbers and booleans count as what they are written as.
    pub fn text(&mut self, key: &'static str, notes: &mut Notes) -> Option<Spanned<String>> {
        let node = self.node(key)?;
        match node.scalar_text() {
            Some(text) => Some(Spanned::new(text, node.span.clone())),
            None => {
                notes.wrong_type(&self.path(key), node, "a string");
                None
            }
        }
    }

    /// A text that is not empty: ECS takes an empty one for an absent one.
    pub fn word(&mut self, key: &'static str, notes: &mut Notes) -> Option<Spanned<String>> {
        self.text(key, notes).filter(|t| !t.is_empty())
    }

    /// A whole number; one in a string counts.
    pub fn int(&mut self, key: &'static str, notes: &mut Notes) -> Option<Spanned<i64>> {
        let node = self.node(key)?;
        let text = node.as_str().map(str::trim);
        match node.as_int().or_else(|| text.and_then(|t| t.parse().ok())) {
            Some(value) => Some(Spanned::new(value, node.span.clone())),
            None => {
                notes.wrong_type(&self.path(key), node, "a whole number");
                None
            }
        }
    }

    /// A whole number that may not be negative.
    pub fn count(&mut self, key: &'static str, notes: &mut Notes) -> Option<Spanned<i64>> {
        let value = self.int(key, notes)?;
        if value.value < 0 {
            let path = self.path(key);
            notes.invalid(&value.span, format!("`{path}` is negative"));
            return None;
        }
        Some(value)
    }

    /// A boolean; one in a string counts.
    pub fn flag(&mut self, key: &'static str, notes: &mut Notes) -> Option<Spanned<bool>> {
        let node = self.node(key)?;
        let text = node.as_str().and_then(|t| t.parse().ok());
        match node.as_bool().or(text) {
            Some(value) => Some(Spanned::new(value, node.span.clone())),
            None => {
                notes.wrong_type(&self.path(key), node, "true or false");
                None
            }
        }
    }

    /// The items of a list; none when it is absent.
    pub fn list(&mut self, key: &'static str, notes: &mut Notes) -> &'n [Node] {
        let Some(node) = self.node(key) else {
            return &[];
        };
        node.as_seq().unwrap_or_else(|| {
            notes.wrong_type(&self.path(key), node, "a list");
            &[]
        })
    }

    /// A list of texts.
    pub fn texts(&mut self, key: &'static str, notes: &mut Notes) -> Vec<Spanned<String>> {
        let path = self.path(key);
        let items = self.list(key, notes).iter().enumerate();
        items
            .filter_map(|(i, node)| match node.scalar_text() {
                Some(text) => Some(Spanned::new(text, node.span.clone())),
                None => {
                    notes.wrong_type(&format!("{path}[{i}]"), node, "a string");
                    None
                }
            })
            .collect()
    }

    /// An object in this one.
    pub fn object(&mut self, key: &'static str, notes: &mut Notes) -> Option<Object<'n>> {
        let path = self.path(key);
        Object::of(self.node(key)?, &path, notes)
    }

    /// A list of objects.
    pub fn objects(&mut self, key: &'static str, notes: &mut Notes) -> Vec<Object<'n>> {
        let path = self.path(key);
        let items = self.list(key, notes).iter().enumerate();
        items
            .filter_map(|(i, node)| Object::of(node, &format!("{path}[{i}]"), notes))
            .collect()
    }

    /// Reports a value that the mirror goes without, when there is one.
    pub fn drop(&mut self, key: &'static str, severity: Severity, reason: &str, notes: &mut Notes) {
        let path = self.path(key);
        if let Some(node) = self.node(key) {
            let empty = node.as_seq().is_some_and(<[Node]>::is_empty)
                || node.as_map().is_some_and(Mapping::is_empty)
                || node.as_str() == Some("");
            if !empty {
                notes.dropped(severity, &path, node, reason);
            }
        }
    }

    /// Reports all keys that nobody has read.
    pub fn finish(self, notes: &mut Notes) {
        for (key, entry) in &self.map.0 {
            if self.read.contains(key.as_str()) || entry.node.is_null() {
                continue;
            }
            let path = self.path(key);
            let node = Node::new(crate::yaml::Value::Null, entry.key.clone());
            let reason = "this version does not know the key";
            notes.dropped(could_mean(key), &path, &node, reason);
        }
    }
}

/// How much an unknown key could matter, by its name.
fn could_mean(key: &str) -> Severity {
    let key = key.to_ascii_lowercase();
    let grave = [
        "secur",
        "privileg",
        "capab",
        "network",
        "role",
        "secret",
        "credential",
        "user",
        "command",
        "entrypoint",
        "environment",
        "volume",
        "mount",
        "depend",
        "health",
    ];
    if grave.iter().any(|part| key.contains(part)) {
        Severity::High
    } else {
        Severity::Medium
    }
}
