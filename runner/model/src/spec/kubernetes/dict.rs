//! Writing the translated document: mappings and lists whose values have places.

use crate::source::Span;
use crate::yaml::{Mapping, Node, Value};

/// A mapping in the making.
#[derive(Debug, Clone)]
pub struct Dict {
    map: Mapping,
    span: Span,
}

impl Dict {
    /// An empty one, which stands for what is at a place.
    pub fn at(span: &Span) -> Self {
        Self {
            map: Mapping::default(),
            span: span.clone(),
        }
    }

    /// Sets a key.
    pub fn node(&mut self, key: &str, node: Node) -> &mut Self {
        self.map.insert(key, node);
        self
    }

    /// Sets a key to a text.
    pub fn text(&mut self, key: &str, text: impl Into<String>, span: &Span) -> &mut Self {
        self.node(key, Node::str(text, span.clone()))
    }

    /// Sets a key to a whole number.
    pub fn int(&mut self, key: &str, value: i64, span: &Span) -> &mut Self {
        self.node(key, Node::int(value, span.clone()))
    }

    /// Sets a key to a boolean.
    pub fn bool(&mut self, key: &str, value: bool, span: &Span) -> &mut Self {
        self.node(key, Node::bool(value, span.clone()))
    }

    /// Sets a key to a list, unless that is empty.
    pub fn list(&mut self, key: &str, items: Vec<Node>, span: &Span) -> &mut Self {
        if !items.is_empty() {
            self.node(key, list(items, span));
        }
        self
    }

    /// Sets a key to a mapping, unless that is empty.
    pub fn dict(&mut self, key: &str, dict: Self) -> &mut Self {
        if !dict.map.is_empty() {
            self.node(key, dict.done());
        }
        self
    }

    /// Whether a key is set.
    pub fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// The finished mapping.
    pub fn done(self) -> Node {
        Node::new(Value::Map(self.map), self.span)
    }
}

/// A list at a place.
pub fn list(items: Vec<Node>, span: &Span) -> Node {
    Node::new(Value::Seq(items), span.clone())
}

/// A list of texts.
pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>, span: &Span) -> Vec<Node> {
    let texts = texts.into_iter();
    texts.map(|t| Node::str(t, span.clone())).collect()
}
