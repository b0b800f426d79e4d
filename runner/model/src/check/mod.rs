//! What must hold of a step's result: expressions (CEL) and matchers.
//!
//! Everything is compiled when the scenario is read. All that does not hold is told at once,
//! with both sides and the path inside the value.

mod capture;
mod cookie;
mod diff;
mod expectation;
mod explain;
mod expr;
pub mod filter;
mod hooks;
mod matcher;
mod moment;
pub mod openapi;
mod path;
pub mod predicate;
mod resolve;
mod show;
pub mod snapshot;
mod source;
mod subject;
mod types;
mod unparse;
mod work;
mod xpath;

#[cfg(test)]
mod tests;

pub use capture::Capture;
pub use expectation::{
    Expectation, read as read_expectations, read_under as read_expectations_under,
};
pub use expr::Expr;
pub use filter::Filters;
pub use hooks::Hooks;
pub use matcher::Matcher;
pub use path::JsonPath;
pub use show::show;
pub use source::Source;
#[cfg(test)]
pub(crate) use source::all_sources as sources;
pub(crate) use source::{CERTIFICATE, is_own_source};
pub use subject::{Subject, hex};
pub use xpath::{Markup, XPath};

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
    let is_snapshot = |e: &&Expectation| matches!(e, Expectation::Snapshot(_));
    for e in expectations.iter().filter(|e| !is_snapshot(e)) {
        mismatches.extend(e.check(document, scope)?);
    }
    // A result that is wrong anyway does not become a snapshot.
    let may_write = mismatches.is_empty();
    for e in expectations.iter().filter(is_snapshot) {
        if let Expectation::Snapshot(s) = e {
            mismatches.extend(s.check(document, scope, may_write)?);
        }
    }
    Ok(Verdict { mismatches })
}

impl Verdict {
    /// Whether everything held.
    pub fn holds(&self) -> bool {
        self.mismatches.is_empty()
    }
}
