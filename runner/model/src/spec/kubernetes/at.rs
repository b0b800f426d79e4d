//! Places in a manifest: the typed form of an object has its values, the tree has where they
//! stand.

use crate::source::Span;
use crate::yaml::Node;

/// A place in a tree. Where the path leads to nothing, it is the last place that is there.
#[derive(Debug, Clone, Copy)]
pub struct At<'n> {
    node: Option<&'n Node>,
    span: &'n Span,
}

impl<'n> At<'n> {
    /// The place of a node.
    pub fn of(node: &'n Node) -> Self {
        Self {
            node: Some(node),
            span: &node.span,
        }
    }

    /// The place of a key's value.
    pub fn get(self, key: &str) -> Self {
        self.to(self.node.and_then(|n| n.get(key)))
    }

    /// The place of an item of a list.
    pub fn item(self, index: usize) -> Self {
        let items = self.node.and_then(Node::as_seq);
        self.to(items.and_then(|items| items.get(index)))
    }

    fn to(self, node: Option<&'n Node>) -> Self {
        Self {
            node,
            span: node.map_or(self.span, |n| &n.span),
        }
    }

    /// The node, if the path led to one.
    pub fn node(self) -> Option<&'n Node> {
        self.node
    }

    /// The place in the file.
    pub fn span(self) -> &'n Span {
        self.span
    }

    /// The place of a key itself.
    pub fn key(self, key: &str) -> &'n Span {
        let map = self.node.and_then(Node::as_map);
        map.and_then(|m| m.0.get(key)).map_or(self.span, |e| &e.key)
    }
}
