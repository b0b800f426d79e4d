//! A service in the making, of one container.

use crate::fidelity::{Class, Record, Severity};
use crate::source::Span;
use crate::yaml::{Mapping, Node};

use super::container::Container;

/// Name of the rule in records.
pub(super) const RULE: &str = "inspect";

/// What one container becomes.
pub(super) struct Draft<'c> {
    /// The container.
    pub c: &'c Container<'c>,
    /// The keys of a Compose service.
    pub out: Mapping,
    /// What is not mirrored as it is.
    pub records: Vec<Record>,
    /// Paths in the container at which something is mounted.
    pub targets: Vec<String>,
}

impl<'c> Draft<'c> {
    /// Nothing yet.
    pub fn new(c: &'c Container<'c>) -> Self {
        Self {
            c,
            out: Mapping::default(),
            records: Vec::new(),
            targets: Vec::new(),
        }
    }

    /// Sets a key.
    pub fn set(&mut self, key: &str, node: Node) {
        self.out.insert(key, node);
    }

    /// Adds to a list.
    pub fn push(&mut self, key: &str, node: Node) {
        if !self.out.contains_key(key) {
            let list = Node::new(crate::yaml::Value::Seq(Vec::new()), node.span.clone());
            self.out.insert(key, list);
        }
        if let Some(items) = self.out.get_mut(key).and_then(Node::as_seq_mut) {
            items.push(node);
        }
    }

    /// Notes what became of a fact; the caller says the rest.
    pub fn note(
        &mut self,
        field: impl Into<String>,
        class: Class,
        severity: Severity,
        span: &Span,
    ) -> &mut Record {
        let mut record = Record::new(self.c.object(), field, class, severity).at(span);
        RULE.clone_into(&mut record.rule);
        self.records.push(record);
        let last = self.records.len() - 1;
        &mut self.records[last]
    }

    /// Notes something that the engine tells of the container's life.
    pub fn life(&mut self, field: &str, severity: Severity, span: &Span, what: String) {
        let record = self.note(field, Class::Unknown, severity, span);
        record.reason = what;
    }
}
