//! One thing that is true of a service on one side.

use super::Side;
use crate::mirror::Service;
use crate::policy::External;
use crate::source::Span;

/// A group of facts of one kind.
#[derive(Debug)]
pub struct Aspect {
    /// Its name in reports.
    pub id: &'static str,
    /// What a difference in it means.
    pub means: &'static str,
    /// Finds its facts.
    pub facts: fn(&mut Case<'_>),
}

/// A fact.
#[derive(Debug, Clone)]
pub struct Fact {
    /// The aspect that it belongs to.
    pub aspect: &'static str,
    /// The field, in the words of the spec, with dots. It is the same on both sides.
    pub field: String,
    /// What it says.
    pub value: Value,
    /// Where.
    pub span: Span,
}

/// What a fact says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text that may be shown.
    Text(String),
    /// A secret: compared, never shown.
    Secret {
        /// The value, with references in the place of declared secrets.
        text: String,
        /// What may be said of it: where it comes from.
        kind: String,
        /// The hosts that it names, which are no secret.
        hosts: Vec<String>,
    },
    /// The content of a file that may be shown but for its secrets.
    Lines(String),
    /// The content of a file that no person reads: how many bytes, and their SHA-256.
    Bytes {
        /// How many.
        length: u64,
        /// Their SHA-256, hexadecimal.
        sha256: String,
    },
}

/// A service whose facts are gathered.
pub struct Case<'c> {
    /// Its name.
    pub name: &'c str,
    /// The service.
    pub service: &'c Service,
    /// Its side.
    pub side: Side<'c>,
    /// All hosts outside of the side's mirror.
    pub externals: &'c [External],
    /// The service in the normal form of Compose.
    pub document: &'c serde_json::Value,
    pub(super) aspect: &'static str,
    pub(super) facts: Vec<Fact>,
}

impl Case<'_> {
    /// Adds a fact that may be shown.
    pub fn put(&mut self, field: impl Into<String>, text: impl Into<String>, span: &Span) {
        self.add(field, Value::Text(text.into()), span);
    }

    /// Adds a fact.
    pub fn add(&mut self, field: impl Into<String>, value: Value, span: &Span) {
        self.facts.push(Fact {
            aspect: self.aspect,
            field: field.into(),
            value,
            span: span.clone(),
        });
    }
}
