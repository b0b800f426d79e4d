//! `sha256`.

use serde_json::Value as Json;

use super::{Finding, Predicate};
use crate::check::show::{kind, show};
use crate::check::subject::{self, show_bytes};
use crate::diag::{Problem, ProblemKind};
use crate::source::Span;
use crate::template::{Scope, Text};
use crate::yaml::Node;

#[derive(Debug)]
struct Sha256(Text);

pub(super) fn sha256(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    // Digits alone are a number to YAML.
    let Some(text) = node.scalar_text() else {
        return Err(super::wrong_type(
            node,
            "`sha256` takes 64 hexadecimal digits",
        ));
    };
    if !text.contains("{{") && subject::unhex(&text).is_none_or(|b| b.len() != 32) {
        return Err(vec![
            Problem::at(
                ProblemKind::InvalidValue,
                &node.span,
                format!(
                    "a SHA-256 has 64 hexadecimal digits, and this is {} characters",
                    text.chars().count()
                ),
            )
            .help("`sha256sum FILE` tells that of a file; other hashes: filter the value first"),
        ]);
    }
    Ok(Box::new(Sha256(
        Text::new(text, &node.span).map_err(|p| vec![p])?,
    )))
}

impl Sha256 {
    fn compare(
        &self,
        bytes: &[u8],
        shown: impl Fn() -> String,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let wanted = self.0.render(scope)?;
        let actual = subject::sha256(bytes);
        if !wanted.trim().eq_ignore_ascii_case(&actual) {
            out.push(Finding::new(
                "",
                format!("SHA-256 {}", wanted.trim()),
                format!("SHA-256 {actual} of {}", shown()),
            ));
        }
        Ok(())
    }
}

impl Predicate for Sha256 {
    fn check(
        &self,
        value: Option<&Json>,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let Some(actual) = value else { return Ok(()) };
        match actual.as_str() {
            Some(s) => self.compare(s.as_bytes(), || show(actual), scope, out),
            None => {
                out.push(
                    Finding::new("", "a text or bytes", show(actual))
                        .hint(Some(format!("this is {}", kind(actual)))),
                );
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
        self.compare(bytes, || show_bytes(bytes), scope, out)
    }

    fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.0.roots(to);
    }
}
