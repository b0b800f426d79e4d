//! Fields of the engine's JSON, in which null, zero and empty mean the same: nothing was said.

use std::sync::LazyLock;

use crate::source::Span;
use crate::yaml::{Mapping, Node, Value};

static EMPTY_MAP: LazyLock<Mapping> = LazyLock::new(Mapping::default);
static EMPTY_NODE: LazyLock<Node> = LazyLock::new(|| Node::map(Span::generated()));

/// Whether a value says something.
pub(super) fn says(node: &Node) -> bool {
    match &node.value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Int { value, .. } => *value != 0,
        Value::Float { value, .. } => *value != 0.0,
        Value::Str(s) => !s.is_empty(),
        Value::Seq(items) => items.iter().any(says),
        Value::Map(map) => !map.is_empty(),
    }
}

/// The value of a key, when it says something.
pub(super) fn filled<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    node.get(key).filter(|n| says(n))
}

/// The text of a key, when it is not empty.
pub(super) fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key)
        .and_then(Node::as_str)
        .filter(|s| !s.is_empty())
}

/// The whole number of a key, when it is not zero.
pub(super) fn int(node: &Node, key: &str) -> Option<i64> {
    node.get(key).and_then(Node::as_int).filter(|n| *n != 0)
}

/// Whether a switch is on.
pub(super) fn is_on(node: &Node, key: &str) -> bool {
    matches!(node.get(key).map(|n| &n.value), Some(Value::Bool(true)))
}

/// The items of a list; none when there is no list.
pub(super) fn list<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    node.get(key).and_then(Node::as_seq).unwrap_or_default()
}

/// The entries of a mapping; none when there is no mapping.
pub(super) fn map<'n>(node: &'n Node, key: &str) -> &'n Mapping {
    node.get(key).and_then(Node::as_map).unwrap_or(&EMPTY_MAP)
}

/// The object of a key; an empty one when there is none.
pub(super) fn object<'n>(node: &'n Node, key: &str) -> &'n Node {
    node.get(key)
        .filter(|n| n.as_map().is_some())
        .unwrap_or(&EMPTY_NODE)
}

/// The texts of a list (or the one text that old engines wrote there).
pub(super) fn texts<'n>(node: &'n Node, key: &str) -> Vec<&'n str> {
    match node.get(key) {
        Some(n) if n.as_str().is_some() => text(node, key).into_iter().collect(),
        _ => list(node, key).iter().filter_map(Node::as_str).collect(),
    }
}

/// A list of texts with their places.
pub(super) fn copy_texts(node: &Node) -> Node {
    let items = match node.as_seq() {
        Some(items) => items
            .iter()
            .filter(|n| n.as_str().is_some())
            .cloned()
            .collect(),
        None => vec![node.clone()],
    };
    Node::new(Value::Seq(items), node.span.clone())
}

/// A mapping of texts with their places; other scalars become text.
pub(super) fn copy_mapping(node: &Node) -> Node {
    let mut out = Node::map(node.span.clone());
    if let (Some(from), Some(to)) = (node.as_map(), out.as_map_mut()) {
        for (name, value) in from.iter() {
            let text = value.scalar_text().unwrap_or_default();
            to.insert(name, Node::str(text, value.span.clone()));
        }
    }
    out
}

/// A mapping of some values at a place.
pub(super) fn mapping<const N: usize>(span: &Span, entries: [(&str, Option<Node>); N]) -> Node {
    let mut out = Node::map(span.clone());
    if let Some(map) = out.as_map_mut() {
        for (key, node) in entries {
            if let Some(node) = node {
                map.insert(key, node);
            }
        }
    }
    out
}

/// What a record shows of a value: never much.
pub(super) fn shown(node: &Node) -> String {
    const LONGEST: usize = 60;
    let text = match &node.value {
        Value::Seq(_) | Value::Map(_) => node.to_json().to_string(),
        _ => node.scalar_text().unwrap_or_default(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// A name as Compose allows it for services, networks and volumes.
pub(super) fn key_of(name: &str) -> String {
    let key: String = name
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => c,
            _ => '-',
        })
        .collect();
    key.trim_start_matches(['-', '.', '_']).to_owned()
}

/// Whether a name is one that the engine made up for a volume without one.
pub(super) fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit())
}
