//! `matches`, `not_matches`, `starts_with`, `ends_with`.

use std::sync::OnceLock;

use regex::Regex;
use serde_json::Value as Json;

use super::{Finding, Predicate};
use crate::check::show::{kind, show};
use crate::diag::{Problem, ProblemKind};
use crate::source::Span;
use crate::template::{Scope, Text};
use crate::yaml::Node;

/// A regular expression: checked when it is read, built when it is first used.
#[derive(Debug)]
pub struct Pattern {
    source: String,
    built: OnceLock<Regex>,
}

impl Pattern {
    /// Reads a regular expression.
    ///
    /// # Errors
    /// Where it is not valid.
    pub fn read(node: &Node) -> Result<Self, Problem> {
        let source = node.as_str().ok_or_else(|| {
            Problem::at(
                ProblemKind::WrongType,
                &node.span,
                format!("a regular expression is a text, found {}", node.kind()),
            )
        })?;
        match regex_syntax::parse(source) {
            Ok(_) => Ok(Self {
                source: source.to_owned(),
                built: OnceLock::new(),
            }),
            Err(e) => Err(Problem::at(
                ProblemKind::Syntax,
                &node.span,
                format!("invalid regular expression: {}", reason(&e)),
            )
            .help("in YAML, single quotes keep backslashes as they are: '\\d+'")),
        }
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The expression itself.
    pub fn regex(&self) -> &Regex {
        self.built.get_or_init(|| {
            // What parses can still be too large when it is built; then nothing matches it.
            Regex::new(&self.source).unwrap_or_else(|_| never())
        })
    }
}

#[expect(clippy::expect_used, reason = "a constant pattern")]
fn never() -> Regex {
    Regex::new(r"[^\s\S]").expect("valid")
}

fn reason(e: &regex_syntax::Error) -> String {
    match e {
        regex_syntax::Error::Parse(e) => e.kind().to_string(),
        regex_syntax::Error::Translate(e) => e.kind().to_string(),
        other => other.to_string(),
    }
}

#[derive(Debug)]
struct Matches(Pattern, bool);

pub(super) fn matches(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    Pattern::read(node)
        .map(|p| Box::new(Matches(p, true)) as _)
        .map_err(|p| vec![p])
}

pub(super) fn not_matches(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    Pattern::read(node)
        .map(|p| Box::new(Matches(p, false)) as _)
        .map_err(|p| vec![p])
}

impl Predicate for Matches {
    fn check(
        &self,
        value: Option<&Json>,
        _: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let Some(actual) = value else { return Ok(()) };
        let words = if self.1 {
            "a text that matches"
        } else {
            "a text that does not match"
        };
        let expected = format!("{words} {}", self.0.source);
        match actual {
            Json::String(s) if self.0.regex().is_match(s) == self.1 => {}
            Json::String(_) => out.push(Finding::new("", expected, show(actual))),
            // Numbers are matched as they are written.
            Json::Number(n) if self.0.regex().is_match(&n.to_string()) == self.1 => {}
            other => out.push(
                Finding::new("", expected, show(actual))
                    .hint(Some(format!("this is {}", kind(other)))),
            ),
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Affix(Text, bool);

pub(super) fn starts_with(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    Ok(Box::new(Affix(text(node)?, true)))
}

pub(super) fn ends_with(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    Ok(Box::new(Affix(text(node)?, false)))
}

/// Digits alone are a number to YAML, and meant as they are written.
fn text(node: &Node) -> Result<Text, Vec<Problem>> {
    let is_flag = node.is_null() || node.as_bool().is_some();
    match node.scalar_text() {
        Some(s) if !is_flag => Text::new(s, &node.span).map_err(|p| vec![p]),
        _ => Err(super::wrong_type(node, "a text is expected")),
    }
}

impl Predicate for Affix {
    fn check(
        &self,
        value: Option<&Json>,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let part = self.0.render(scope)?;
        let Some(actual) = value else { return Ok(()) };
        let holds = actual.as_str().is_some_and(|s| {
            if self.1 {
                s.starts_with(&part)
            } else {
                s.ends_with(&part)
            }
        });
        if !holds {
            let words = if self.1 { "starts" } else { "ends" };
            let hint = (!actual.is_string()).then(|| format!("this is {}", kind(actual)));
            out.push(
                Finding::new(
                    "",
                    format!("a text that {words} with {}", Json::from(part)),
                    show(actual),
                )
                .hint(hint),
            );
        }
        Ok(())
    }

    fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.0.roots(to);
    }
}
