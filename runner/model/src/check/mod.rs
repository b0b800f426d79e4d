//! What must hold of a step's result: expressions (CEL) and matchers.
//!
//! Everything is compiled when the scenario is read. All that does not hold is told at once,
//! with both sides and the path inside the value.

mod diff;
mod expectation;
mod explain;
mod expr;
mod matcher;
mod path;
pub mod predicate;
mod resolve;
mod show;
mod source;
mod unparse;

#[cfg(test)]
mod tests;

pub use expectation::{Expectation, read as read_expectations};
pub use expr::Expr;
pub use matcher::Matcher;
pub use path::JsonPath;
pub use show::show;
pub use source::{Capture, Source};

use crate::diag::Problem;
use crate::event::Mismatch;
use crate::template::{Document, Scope};

/// What a set of expectations came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// All that did not hold.
    pub mismatches: Vec<Mismatch>,
}

/// Checks all expectations against a result.
///
/// # Errors
/// A template in an expected value that has no value.
pub fn check(
    expectations: &[Expectation],
    document: &Document,
    scope: &Scope,
) -> Result<Verdict, Problem> {
    let mut mismatches = Vec::new();
    for e in expectations {
        mismatches.extend(e.check(document, scope)?);
    }
    Ok(Verdict { mismatches })
}

impl Verdict {
    /// Whether everything held.
    pub fn holds(&self) -> bool {
        self.mismatches.is_empty()
    }
}
