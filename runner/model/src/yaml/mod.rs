//! YAML as a tree in which every value knows its place.
//!
//! One tree serves production specs (which need tags, raw scalars and provenance) and our
//! own files (which are decoded from it with serde, see [`de`]).

pub mod de;
pub mod json;
pub mod layout;
mod libyaml;
mod parse;
mod scalar;

use std::sync::Arc;

use indexmap::IndexMap;

pub use de::{Spanned, from_node};
pub use json::parse_all as parse_json;
pub use parse::{parse_all, parse_one};
pub use scalar::resolve_plain;

use crate::source::Span;

/// How a value came to stand where it stands, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// What happened to the value.
    pub what: ViaKind,
    /// Where that stands (the alias, the `extends`, the variable's definition).
    pub span: Span,
    /// What happened before.
    pub before: Option<Arc<Via>>,
}

impl Drop for Via {
    /// Long histories are let go one by one, not each inside of the one before.
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(mut via) = next.and_then(Arc::into_inner) {
            next = via.before.take();
        }
    }
}

/// The ways a value can come to its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViaKind {
    /// `*name`
    Alias,
    /// `<<: *name`
    MergeKey,
    /// `${NAME}`; says where the variable's value came from.
    Variable {
        /// The variable's name.
        name: String,
        /// `shell`, a dotenv file's name, `default`, or `unset`.
        from: String,
    },
    /// `extends`
    Extends,
    /// `include`
    Include,
    /// A later file of several, whose value took the place of (or was merged with) the span's.
    Override,
    /// Read from an `env_file`.
    EnvFile,
    /// Taken from another object.
    Reference {
        /// Which, and which part of it (`ConfigMap shop, key LOG_LEVEL`).
        of: String,
    },
    /// Supplied by the format's or the tool's rules.
    Default,
    /// Given by `mirror.yaml` (`supply`), because the format cannot hold it.
    Supply,
}

impl ViaKind {
    /// What happened, in words that stand beside the place where it did.
    pub fn words(&self) -> String {
        match self {
            Self::Alias => "through this alias".to_owned(),
            Self::MergeKey => "merged in by `<<`".to_owned(),
            Self::Variable { name, from } => match from.as_str() {
                "default" => format!("`{name}` is not set; the default beside it is taken"),
                "unset" => format!("`{name}` is not set; the empty string is taken"),
                "shell" => format!("`{name}` comes from the shell"),
                "reader" => format!("`{name}` is set by the reader"),
                file => format!("`{name}` comes from {file}"),
            },
            Self::Extends => "through `extends`".to_owned(),
            Self::Include => "through `include`".to_owned(),
            Self::Override => "a later file took the place of this".to_owned(),
            Self::EnvFile => "from an env file".to_owned(),
            Self::Reference { of } => format!("taken from {of}"),
            Self::Default => "it goes without saying".to_owned(),
            Self::Supply => "`supply` in mirror.yaml gives it".to_owned(),
        }
    }
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it was written.
    pub span: Span,
    /// How it came here.
    pub via: Option<Arc<Via>>,
    /// An application tag such as `!reset`, without core-schema tags.
    pub tag: Option<String>,
}

/// The kinds of values.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// null
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number; `raw` is as it was written.
    Int {
        /// Its value.
        value: i64,
        /// Its text.
        raw: String,
    },
    /// Any other number; `raw` is as it was written.
    Float {
        /// Its value.
        value: f64,
        /// Its text.
        raw: String,
    },
    /// Text.
    Str(String),
    /// A sequence.
    Seq(Vec<Node>),
    /// A mapping in the order in which it was written.
    Map(Mapping),
}

/// A mapping with string keys that keeps its order and the places of its keys.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Mapping(pub IndexMap<String, Entry>);

/// A value of a mapping and the place of its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key stands.
    pub key: Span,
    /// Whether the key was written as a string (not as a number, boolean or null).
    pub key_is_string: bool,
    /// The value.
    pub node: Node,
}

impl Mapping {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.0.get(key).map(|e| &e.node)
    }

    /// The value of a key, to change.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.get_mut(key).map(|e| &mut e.node)
    }

    /// Sets a key; the key's place is the value's.
    pub fn insert(&mut self, key: impl Into<String>, node: Node) {
        let entry = Entry {
            key: node.span.clone(),
            key_is_string: true,
            node,
        };
        self.0.insert(key.into(), entry);
    }

    /// Takes a key out, keeping the order of the others.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        self.0.shift_remove(key).map(|e| e.node)
    }

    /// Whether the key is there.
    pub fn contains_key(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.0.iter().map(|(k, e)| (k.as_str(), &e.node))
    }

    /// Keys and values in order, values to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Node)> {
        self.0.iter_mut().map(|(k, e)| (k.as_str(), &mut e.node))
    }

    /// Keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Node {
    /// A value at a place.
    pub fn new(value: Value, span: Span) -> Self {
        Self {
            value,
            span,
            via: None,
            tag: None,
        }
    }

    /// A value that no file holds.
    pub fn generated(value: Value) -> Self {
        Self::new(value, Span::generated())
    }

    /// A string at a place.
    pub fn str(text: impl Into<String>, span: Span) -> Self {
        Self::new(Value::Str(text.into()), span)
    }

    /// A whole number at a place.
    pub fn int(value: i64, span: Span) -> Self {
        Self::new(
            Value::Int {
                value,
                raw: value.to_string(),
            },
            span,
        )
    }

    /// A boolean at a place.
    pub fn bool(value: bool, span: Span) -> Self {
        Self::new(Value::Bool(value), span)
    }

    /// An empty mapping at a place.
    pub fn map(span: Span) -> Self {
        Self::new(Value::Map(Mapping::default()), span)
    }

    /// Notes how this value came to its place.
    #[must_use]
    pub fn via(mut self, what: ViaKind, span: Span) -> Self {
        self.add_via(what, span);
        self
    }

    /// Notes how this value came to its place.
    pub fn add_via(&mut self, what: ViaKind, span: Span) {
        self.via = Some(Arc::new(Via {
            what,
            span,
            before: self.via.take(),
        }));
    }

    /// Notes for every scalar in this value how it came to its place.
    pub fn add_via_leaves(&mut self, what: &ViaKind, span: &Span) {
        match &mut self.value {
            Value::Seq(items) if !items.is_empty() => {
                items.iter_mut().for_each(|n| n.add_via_leaves(what, span));
            }
            Value::Map(map) if !map.is_empty() => {
                map.iter_mut()
                    .for_each(|(_, n)| n.add_via_leaves(what, span));
            }
            _ => self.add_via(what.clone(), span.clone()),
        }
    }

    /// How it came to its place, newest first.
    pub fn history(&self) -> impl Iterator<Item = &Via> {
        std::iter::successors(self.via.as_deref(), |v| v.before.as_deref())
    }

    /// Whether both are the same value, wherever they stand. The order of keys and the way
    /// in which a number is written do not matter.
    pub fn same_value(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int { value: a, .. }, Value::Int { value: b, .. }) => a == b,
            (Value::Float { value: a, .. }, Value::Float { value: b, .. }) => a == b,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::Seq(a), Value::Seq(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_value(b))
            }
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .all(|(k, v)| b.get(k).is_some_and(|w| v.same_value(w)))
            }
            _ => false,
        }
    }

    /// The text, when it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(s) => Some(s),
            _ => None,
        }
    }

    /// Any scalar but null as the text that was written (`8080`, `1.10`, `true`).
    pub fn scalar_text(&self) -> Option<String> {
        match &self.value {
            Value::Str(s) => Some(s.clone()),
            Value::Bool(b) => Some(b.to_string()),
            Value::Int { raw, .. } | Value::Float { raw, .. } => Some(raw.clone()),
            Value::Null | Value::Seq(_) | Value::Map(_) => None,
        }
    }

    /// The whole number, when it is one.
    pub fn as_int(&self) -> Option<i64> {
        match &self.value {
            Value::Int { value, .. } => Some(*value),
            _ => None,
        }
    }

    /// The boolean, when it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match &self.value {
            Value::Bool(b) => Some(*b),
            _ => None,
        }
    }

    /// The items, when it is a sequence.
    pub fn as_seq(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Seq(items) => Some(items),
            _ => None,
        }
    }

    /// The items, to change.
    pub fn as_seq_mut(&mut self) -> Option<&mut Vec<Node>> {
        match &mut self.value {
            Value::Seq(items) => Some(items),
            _ => None,
        }
    }

    /// The mapping, when it is one.
    pub fn as_map(&self) -> Option<&Mapping> {
        match &self.value {
            Value::Map(m) => Some(m),
            _ => None,
        }
    }

    /// The mapping, to change.
    pub fn as_map_mut(&mut self) -> Option<&mut Mapping> {
        match &mut self.value {
            Value::Map(m) => Some(m),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The value of a key, when this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map().and_then(|m| m.get(key))
    }

    /// The value under a chain of keys.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |n, k| n.get(k))
    }

    /// What kind of value it is, in words for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Int { .. } => "an integer",
            Value::Float { .. } => "a number",
            Value::Str(_) => "a string",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The same value as JSON, without places.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as J;
        match &self.value {
            Value::Null => J::Null,
            Value::Bool(b) => J::Bool(*b),
            Value::Int { value, .. } => J::from(*value),
            Value::Float { value, .. } => {
                serde_json::Number::from_f64(*value).map_or(J::Null, J::Number)
            }
            Value::Str(s) => J::String(s.clone()),
            Value::Seq(items) => J::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(m) => {
                J::Object(m.iter().map(|(k, v)| (k.to_owned(), v.to_json())).collect())
            }
        }
    }

    /// A JSON value as a node; every part of it stands at `span`.
    pub fn from_json(json: &serde_json::Value, span: &Span) -> Self {
        use serde_json::Value as J;
        let value = match json {
            J::Null => Value::Null,
            J::Bool(b) => Value::Bool(*b),
            J::Number(n) => match n.as_i64() {
                Some(value) => Value::Int {
                    value,
                    raw: n.to_string(),
                },
                None => Value::Float {
                    value: n.as_f64().unwrap_or(f64::NAN),
                    raw: n.to_string(),
                },
            },
            J::String(s) => Value::Str(s.clone()),
            J::Array(items) => Value::Seq(items.iter().map(|v| Self::from_json(v, span)).collect()),
            J::Object(o) => {
                let mut m = Mapping::default();
                for (k, v) in o {
                    m.insert(k.clone(), Self::from_json(v, span));
                }
                Value::Map(m)
            }
        };
        Self::new(value, span.clone())
    }
}
