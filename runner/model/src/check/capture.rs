//! Where a value for later comes from.

use serde_json::Value as Json;

use super::expr::Expr;
use super::filter::Filters;
use super::predicate::Pattern;
use super::source::{Source, all_sources, is_source};
use crate::diag::{Problem, ProblemKind, nearest};
use crate::event::Mismatch;
use crate::source::Span;
use crate::template::{Data, Document, Scope};
use crate::yaml::{Mapping, Node};

/// Keys of a capture beside its source.
const KEYS: [&str; 4] = ["regex", "group", "filters", "default"];

/// `capture: {name: …}`: where a value for later comes from.
#[derive(Debug)]
pub struct Capture {
    /// The name that it gets.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    source: Source,
    filters: Filters,
    default: Option<Data>,
}

impl Capture {
    /// Reads one capture: an expression, or a mapping with a source and, for a part of a
    /// text, `regex` (and `group`), then `filters`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(
        name: &str,
        span: &Span,
        node: &Node,
        fields: &[&str],
    ) -> Result<Self, Vec<Problem>> {
        let made = |source| Self {
            name: name.to_owned(),
            span: span.clone(),
            source,
            filters: Filters::default(),
            default: None,
        };
        if let Some(text) = node.as_str() {
            if let Some(path) = text.strip_prefix('$') {
                return Err(vec![
                    Problem::at(
                        ProblemKind::InvalidValue,
                        &node.span,
                        "a capture's text is an expression, and this is a JSONPath",
                    )
                    .help(format!(
                        "write `{name}: {{ jsonpath: {text} }}`, or the expression `json{path}`"
                    )),
                ]);
            }
            return Expr::new(text, &node.span)
                .map(Source::Value)
                .map(made)
                .map_err(|p| vec![p]);
        }
        let Some(map) = node.as_map() else {
            return Err(vec![Problem::at(
                ProblemKind::WrongType,
                &node.span,
                format!(
                    "a capture is an expression or a mapping such as `{{ jsonpath: $.id }}`, found {}",
                    node.kind()
                ),
            )]);
        };
        Self::read_map(map, node, fields, made)
    }

    fn read_map(
        map: &Mapping,
        node: &Node,
        fields: &[&str],
        made: impl Fn(Source) -> Self,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut capture: Option<Self> = None;
        let (mut regex, mut group, mut filters, mut default) = (None, None, None, None);
        for (key, entry) in &map.0 {
            match key.as_str() {
                "regex" => match Pattern::read(&entry.node) {
                    Ok(p) => regex = Some(p),
                    Err(p) => problems.push(p),
                },
                "group" => group = entry.node.as_int().and_then(|n| usize::try_from(n).ok()),
                "filters" => match Filters::read(&entry.node) {
                    Ok(f) => filters = Some(f),
                    Err(p) => problems.extend(p),
                },
                "default" => match Data::new(&entry.node) {
                    Ok(d) => default = Some(d),
                    Err(p) => problems.extend(p),
                },
                k if is_source(k, fields) => {
                    if capture.is_some() {
                        problems.push(Problem::at(
                            ProblemKind::Conflict,
                            &entry.key,
                            "a capture has one source",
                        ));
                    }
                    match Source::read(k, &entry.node, fields) {
                        Ok(s) => capture = Some(made(s)),
                        Err(p) => problems.push(p),
                    }
                }
                k => problems.push(unknown(k, &entry.key, fields)),
            }
        }
        if capture.is_none() && problems.is_empty() && regex.is_some() && fields.contains(&"body") {
            capture = Some(made(Source::Field("body".into())));
        }
        match capture {
            Some(mut c) if problems.is_empty() => {
                c.filters = filters.unwrap_or_default();
                if let Some(r) = regex {
                    c.filters = c.filters.after_regex(r, group);
                }
                c.default = default;
                Ok(c)
            }
            _ => {
                if problems.is_empty() {
                    problems.push(
                        Problem::at(ProblemKind::Missing, &node.span, "this capture says nothing about where the value comes from")
                            .help("write `jsonpath: $.id`, `header: location`, or `value:` with an expression"),
                    );
                }
                Err(problems)
            }
        }
    }

    /// The value.
    ///
    /// # Errors
    /// Why there is none.
    pub fn take(&self, document: &Document, scope: &Scope) -> Result<Json, Mismatch> {
        let found = self.source.with(document, scope, |found| {
            let there = found.is_some();
            let made = self.filters.apply(found, scope);
            made.map(|f| (there, f.value.map(super::Subject::into_json), f.lost))
        });
        let none = match found {
            Ok(Ok((_, Some(value), _))) => return Ok(value),
            Ok(Ok((true, None, lost))) => {
                self.missing(lost.unwrap_or_else(|| "nothing is there".into()), None)
            }
            Ok(Ok((false, None, _))) => {
                self.missing("nothing is there".into(), self.source.why_nothing(document))
            }
            Ok(Err(refused)) => {
                let mut m = self.missing(refused.actual, None);
                m.expected = refused.expected;
                m
            }
            Err(m) => m,
        };
        match &self.default {
            Some(d) => d.render(scope).map_err(|p| self.missing(p.message, p.help)),
            None => Err(none),
        }
    }

    fn missing(&self, actual: String, hint: Option<String>) -> Mismatch {
        Mismatch {
            expectation: format!("capture {}", self.name),
            kind: "capture".into(),
            place: Some((&self.span).into()),
            expected: format!("a value at {}", self.source.label()),
            actual,
            path: None,
            hint,
        }
    }

    /// The names that it uses.
    pub fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.source.roots(to);
        self.filters.roots(to);
        if let Some(d) = &self.default {
            d.roots(to);
        }
    }
}

fn unknown(key: &str, span: &Span, fields: &[&str]) -> Problem {
    let known: Vec<&str> = all_sources(fields)
        .into_iter()
        .chain(KEYS.into_iter().filter(|k| *k != "regex"))
        .collect();
    let p = Problem::at(
        ProblemKind::UnknownKey,
        span,
        format!("unknown key `{key}` in a capture"),
    );
    let other = match key {
        "path" | "json_path" => Some("jsonpath"),
        "filter" | "pipe" => Some("filters"),
        _ => nearest(key, known.iter().copied()),
    };
    match other {
        Some(n) => p.help(format!("did you mean `{n}`?")),
        None => p.help(format!("known here: {}", known.join(", "))),
    }
}
