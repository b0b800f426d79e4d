//! `length`, `size`, `empty`.

use serde_json::Value as Json;

use super::{Asked, Finding, Predicate, read_all};
use crate::check::show::{kind, show};
use crate::check::subject::show_bytes;
use crate::diag::Problem;
use crate::source::Span;
use crate::template::Scope;
use crate::yaml::Node;

#[derive(Debug)]
enum Length {
    Exactly(i64),
    Such(Vec<Asked>),
}

pub(super) fn length(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    match (node.as_int(), node.as_map()) {
        (Some(n), _) if n >= 0 => Ok(Box::new(Length::Exactly(n))),
        (_, Some(m)) => Ok(Box::new(Length::Such(read_all(m)?))),
        _ => Err(super::wrong_type(
            node,
            "a length is a number, or predicates such as `{ gt: 2 }`",
        )),
    }
}

fn size(value: &Json) -> Option<usize> {
    match value {
        Json::String(s) => Some(s.chars().count()),
        Json::Array(a) => Some(a.len()),
        Json::Object(o) => Some(o.len()),
        _ => None,
    }
}

impl Predicate for Length {
    fn check(
        &self,
        value: Option<&Json>,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let Some(actual) = value else { return Ok(()) };
        let Some(n) = size(actual) else {
            out.push(
                Finding::new("", "a text, list or object", show(actual))
                    .hint(Some(format!("this is {}", kind(actual)))),
            );
            return Ok(());
        };
        self.compare("length", n, || show(actual), scope, out)
    }

    fn check_bytes(
        &self,
        bytes: &[u8],
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        self.compare("length", bytes.len(), || show_bytes(bytes), scope, out)
    }

    fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.names(to);
    }
}

impl Length {
    fn compare(
        &self,
        word: &str,
        n: usize,
        shown: impl Fn() -> String,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let told = || format!("{word} {n}: {}", shown());
        match self {
            Length::Exactly(wanted) => {
                if i64::try_from(n) != Ok(*wanted) {
                    out.push(Finding::new("", format!("{word} {wanted}"), told()));
                }
            }
            Length::Such(asked) => {
                let mut inner = Vec::new();
                for a in asked {
                    a.check(Some(&Json::from(n)), scope, &mut inner)?;
                }
                out.extend(inner.into_iter().map(|f| Finding {
                    expected: format!("{word} {}", f.expected),
                    actual: told(),
                    ..f
                }));
            }
        }
        Ok(())
    }

    fn names(&self, to: &mut Vec<(String, Span)>) {
        if let Length::Such(asked) = self {
            asked.iter().for_each(|a| a.roots(to));
        }
    }
}

/// How many bytes.
#[derive(Debug)]
struct Bytes(Length);

pub(super) fn bytes(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    match (node.as_int(), node.as_map()) {
        (Some(n), _) if n >= 0 => Ok(Box::new(Bytes(Length::Exactly(n)))),
        (_, Some(m)) => Ok(Box::new(Bytes(Length::Such(read_all(m)?)))),
        _ => Err(super::wrong_type(
            node,
            "a size is a number of bytes, or predicates such as `{ lt: 1000 }`",
        )),
    }
}

impl Predicate for Bytes {
    fn check(
        &self,
        value: Option<&Json>,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let Some(actual) = value else { return Ok(()) };
        match actual.as_str() {
            Some(s) => self.0.compare("size", s.len(), || show(actual), scope, out),
            None => {
                let hint = match actual {
                    Json::Array(_) | Json::Object(_) => {
                        format!("this is {}; `length` counts its items", kind(actual))
                    }
                    _ => format!("this is {}", kind(actual)),
                };
                out.push(Finding::new("", "a text or bytes", show(actual)).hint(Some(hint)));
                Ok(())
            }
        }
    }

    fn check_bytes(
        &self,
        bytes: &[u8],
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        self.0
            .compare("size", bytes.len(), || show_bytes(bytes), scope, out)
    }

    fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.0.names(to);
    }
}

#[derive(Debug)]
struct Empty(bool);

pub(super) fn empty(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    match node.as_bool() {
        Some(b) => Ok(Box::new(Empty(b))),
        None => Err(super::wrong_type(node, "`empty` takes true or false")),
    }
}

impl Predicate for Empty {
    fn check(
        &self,
        value: Option<&Json>,
        _: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let Some(actual) = value else { return Ok(()) };
        let is = actual.is_null() || size(actual) == Some(0);
        if is != self.0 {
            out.push(Finding::new(
                "",
                if self.0 { "empty" } else { "not empty" },
                show(actual),
            ));
        }
        Ok(())
    }
}
