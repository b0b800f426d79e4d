//! A value together with where it came from.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::source::Span;
use crate::yaml::{Node, Via};

/// A value with its provenance. Two are equal when their values are, wherever they stand.
#[derive(Clone)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub span: Span,
    /// How it came from there (interpolation, `extends`, a default…), newest first.
    pub via: Option<Arc<Via>>,
}

impl<T> Sourced<T> {
    /// A value at a place.
    pub fn new(value: T, span: Span) -> Self {
        Self {
            value,
            span,
            via: None,
        }
    }

    /// A value that no file holds.
    pub fn generated(value: T) -> Self {
        Self::new(value, Span::generated())
    }

    /// A value that stands where a node stands.
    pub fn of_node(value: T, node: &Node) -> Self {
        Self {
            value,
            span: node.span.clone(),
            via: node.via.clone(),
        }
    }

    /// Another value with the same provenance.
    pub fn with<U>(&self, value: U) -> Sourced<U> {
        Sourced {
            value,
            span: self.span.clone(),
            via: self.via.clone(),
        }
    }
}

impl<T> Deref for Sourced<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Default> Default for Sourced<T> {
    fn default() -> Self {
        Self::generated(T::default())
    }
}

impl<T: PartialEq> PartialEq for Sourced<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Sourced<T> {}

impl<T: fmt::Debug> fmt::Debug for Sourced<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)?;
        if self.span.is_real() {
            write!(f, " @ {}", self.span)?;
        }
        Ok(())
    }
}

impl<T: fmt::Display> fmt::Display for Sourced<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T> From<T> for Sourced<T> {
    fn from(value: T) -> Self {
        Self::generated(value)
    }
}
