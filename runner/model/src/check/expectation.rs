//! `expect`: one expectation or a list of them.

use super::expr::Expr;
use super::matcher::Matcher;
use super::openapi::OpenApi;
use super::snapshot::Snapshot;
use crate::diag::{Problem, ProblemKind};
use crate::event::Mismatch;
use crate::source::Span;
use crate::template::{Document, Scope};
use crate::yaml::{Node, Value};

/// What must hold of a result.
#[derive(Debug)]
pub enum Expectation {
    /// An expression that must be true.
    Expr(Expr),
    /// A matcher.
    Matcher(Matcher),
    /// The result is as a file says.
    Snapshot(Box<Snapshot>),
    /// The request and the response are as an OpenAPI file says.
    OpenApi(Box<OpenApi>),
}

/// Reads the value of `expect`. `fields` are those of the kind's result.
///
/// # Errors
/// All that is wrong, and a value that expects nothing.
pub fn read(node: &Node, fields: &[&str]) -> Result<Vec<Expectation>, Vec<Problem>> {
    read_under("expect", node, fields)
}

/// As [`read`], of the value of another key.
///
/// # Errors
/// As [`read`].
pub fn read_under(
    key: &str,
    node: &Node,
    fields: &[&str],
) -> Result<Vec<Expectation>, Vec<Problem>> {
    let nothing = || {
        vec![
            Problem::at(
                ProblemKind::Missing,
                &node.span,
                format!("`{key}` is empty, so this step would pass whatever comes"),
            )
            .help("say what must hold, such as `- status == 200`, or remove the key"),
        ]
    };
    match &node.value {
        Value::Null => Err(nothing()),
        Value::Seq(items) if items.is_empty() => Err(nothing()),
        Value::Map(m) if m.is_empty() => Err(nothing()),
        Value::Str(s) if s.trim().is_empty() => Err(nothing()),
        Value::Seq(items) => {
            let mut all = Vec::with_capacity(items.len());
            let mut problems = Vec::new();
            for item in items {
                match one(item, fields) {
                    Ok(e) => all.push(e),
                    Err(p) => problems.extend(p),
                }
            }
            if problems.is_empty() {
                Ok(all)
            } else {
                Err(problems)
            }
        }
        _ => one(node, fields).map(|e| vec![e]),
    }
}

fn one(node: &Node, fields: &[&str]) -> Result<Expectation, Vec<Problem>> {
    match &node.value {
        Value::Str(s) => Expr::new(s, &node.span).map(Expectation::Expr).map_err(|p| vec![p]),
        Value::Map(m) if m.contains_key("snapshot") && !fields.contains(&"snapshot") => {
            Snapshot::read(m, &node.span, fields).map(|s| Expectation::Snapshot(Box::new(s)))
        }
        Value::Map(m) if m.contains_key("openapi") => {
            OpenApi::read(m, &node.span, fields).map(|o| Expectation::OpenApi(Box::new(o)))
        }
        Value::Map(m) => Matcher::read(m, &node.span, fields).map(Expectation::Matcher),
        Value::Int { raw, .. } if fields.contains(&"status") => Err(vec![
            Problem::at(ProblemKind::WrongType, &node.span, format!("`{raw}` alone says nothing"))
                .help(format!("write `status == {raw}`")),
        ]),
        _ => Err(vec![
            Problem::at(
                ProblemKind::WrongType,
                &node.span,
                format!("an expectation is an expression or a matcher, found {}", node.kind()),
            )
            .help("write an expression such as `status == 200`, or a matcher such as `{ jsonpath: $.id, exists: true }`"),
        ]),
    }
}

impl Expectation {
    /// Tells all that does not hold.
    ///
    /// # Errors
    /// A template in an expected value that has no value.
    pub fn check(&self, document: &Document, scope: &Scope) -> Result<Vec<Mismatch>, Problem> {
        match self {
            Expectation::Expr(e) => Ok(e.check(document, scope)),
            Expectation::Matcher(m) => m.check(document, scope),
            Expectation::Snapshot(s) => s.check(document, scope, false),
            Expectation::OpenApi(o) => Ok(o.check(document, scope)),
        }
    }

    /// The names that it uses.
    pub fn roots(&self, to: &mut Vec<(String, Span)>) {
        match self {
            Expectation::Expr(e) => e.roots(to),
            Expectation::Matcher(m) => m.roots(to),
            Expectation::Snapshot(s) => s.roots(to),
            Expectation::OpenApi(_) => {}
        }
    }
}
