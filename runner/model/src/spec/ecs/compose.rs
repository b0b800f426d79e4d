//! Parts of a document with the keys of a Compose file.

use crate::source::Span;
use crate::yaml::{Entry, Mapping, Node, Spanned, Value, ViaKind};

/// A mapping that is being put together.
#[derive(Debug, Default)]
pub(super) struct Part(pub Mapping);

impl Part {
    /// Sets a key.
    pub fn set(&mut self, key: &str, node: Node) {
        self.0.insert(key, node);
    }

    /// Sets a key to a text, when there is one.
    pub fn text(&mut self, key: &str, value: Option<Spanned<String>>) {
        if let Some(v) = value {
            self.set(key, Node::str(v.value, v.span));
        }
    }

    /// Sets a key to a boolean, when there is one.
    pub fn flag(&mut self, key: &str, value: Option<Spanned<bool>>) {
        if let Some(v) = value {
            self.set(key, Node::bool(v.value, v.span));
        }
    }

    /// Sets a key to a list of texts, when it is not empty.
    pub fn texts(&mut self, key: &str, values: Vec<Spanned<String>>) {
        let items = values.into_iter().map(|v| Node::str(v.value, v.span));
        self.list(key, items.collect());
    }

    /// Sets a key to a list, when it is not empty; adds to one that is there.
    pub fn list(&mut self, key: &str, items: Vec<Node>) {
        let Some(span) = items.first().map(|n| n.span.clone()) else {
            return;
        };
        match self.0.get_mut(key).and_then(Node::as_seq_mut) {
            Some(list) => list.extend(items),
            None => self.set(key, Node::new(Value::Seq(items), span)),
        }
    }

    /// Sets a key to a mapping, when it is not empty; adds to one that is there.
    pub fn map(&mut self, key: &str, map: Mapping) {
        let Some(span) = map.0.values().next().map(|e| e.node.span.clone()) else {
            return;
        };
        match self.0.get_mut(key).and_then(Node::as_map_mut) {
            Some(old) => old.0.extend(map.0),
            None => self.set(key, Node::new(Value::Map(map), span)),
        }
    }

    /// The whole as a node.
    pub fn node(self, span: &Span) -> Node {
        Node::new(Value::Map(self.0), span.clone())
    }
}

/// A value that nobody wrote; `span` is what implies it.
pub(super) fn implied(node: Node) -> Node {
    let span = node.span.clone();
    node.via(ViaKind::Default, span)
}

/// Sets a key whose own place is known.
pub(super) fn put(map: &mut Mapping, key: &Spanned<String>, node: Node) {
    let entry = Entry {
        key: key.span.clone(),
        key_is_string: true,
        node,
    };
    map.0.insert(key.value.clone(), entry);
}
