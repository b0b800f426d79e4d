//! What a matcher or a capture looks at.

use serde_json::Value as Json;

use super::expr::Expr;
use super::path::JsonPath;
use super::predicate::Pattern;
use crate::diag::{Problem, ProblemKind, nearest};
use crate::event::Mismatch;
use crate::source::Span;
use crate::template::{Document, Scope};
use crate::yaml::{Mapping, Node};

/// A part of a step's result.
#[derive(Debug)]
pub enum Source {
    /// JSONPath into `json`, or into the whole result where it has no `json`.
    JsonPath(JsonPath),
    /// A header by its name.
    Header(String),
    /// The value of an expression.
    Value(Expr),
    /// A field of the result.
    Field(String),
}

/// Keys that name a source.
pub(crate) const SOURCES: [&str; 3] = ["jsonpath", "header", "value"];

/// Whether a key names a source, given the fields of a kind's result.
pub(crate) fn is_source(key: &str, fields: &[&str]) -> bool {
    SOURCES.contains(&key) || fields.contains(&key)
}

impl Source {
    /// Reads the source that a key names; for a plain field its value is not looked at.
    pub(crate) fn read(key: &str, node: &Node) -> Result<Self, Problem> {
        let text = || {
            node.as_str().ok_or_else(|| {
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("`{key}` takes a text, found {}", node.kind()),
                )
            })
        };
        match key {
            "jsonpath" => JsonPath::new(text()?, &node.span).map(Source::JsonPath),
            "header" => Ok(Source::Header(text()?.to_ascii_lowercase())),
            "value" => Expr::new(text()?, &node.span).map(Source::Value),
            field => Ok(Source::Field(field.to_owned())),
        }
    }

    /// Gives what it finds in a result; `None` when it is not there.
    ///
    /// # Errors
    /// An expression that has no value.
    pub fn with<T>(
        &self,
        document: &Document,
        scope: &Scope,
        use_it: impl FnOnce(Option<&Json>) -> T,
    ) -> Result<T, Mismatch> {
        match self {
            Source::JsonPath(path) => match document.get("json") {
                Some(json) => Ok(path.with(json, use_it)),
                None => {
                    let whole = Json::Object(document.fields.clone());
                    Ok(path.with(&whole, use_it))
                }
            },
            Source::Header(name) => Ok(use_it(
                document.get("headers").and_then(|h| h.get(name.as_str())),
            )),
            Source::Field(name) => Ok(use_it(document.get(name))),
            Source::Value(e) => e.value(document, scope).map(|v| use_it(Some(&v))),
        }
    }

    /// Its name in a mismatch.
    pub fn label(&self) -> String {
        match self {
            Source::JsonPath(p) => p.source().to_owned(),
            Source::Header(name) => format!("header {name}"),
            Source::Value(e) => e.source().to_owned(),
            Source::Field(name) => name.clone(),
        }
    }

    /// Its class in a mismatch.
    pub fn class(&self) -> &str {
        match self {
            Source::JsonPath(_) => "jsonpath",
            Source::Header(_) => "header",
            Source::Value(_) => "expression",
            Source::Field(name) => name,
        }
    }

    /// The names that it uses.
    pub fn roots(&self, to: &mut Vec<(String, Span)>) {
        if let Source::Value(e) = self {
            e.roots(to);
        }
    }
}

/// `capture: {name: …}`: where a value for later comes from.
#[derive(Debug)]
pub struct Capture {
    /// The name that it gets.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    source: Source,
    regex: Option<(Pattern, usize)>,
    default: Option<Json>,
}

impl Capture {
    /// Reads one capture: an expression, or a mapping with a source and, for a part of a
    /// text, `regex` (and `group`).
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
            regex: None,
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
        let (mut regex, mut group, mut default) = (None, None, None);
        for (key, entry) in &map.0 {
            match key.as_str() {
                "regex" => match Pattern::read(&entry.node) {
                    Ok(p) => regex = Some(p),
                    Err(p) => problems.push(p),
                },
                "group" => group = entry.node.as_int().and_then(|n| usize::try_from(n).ok()),
                "default" => default = Some(entry.node.to_json()),
                k if is_source(k, fields) => {
                    if capture.is_some() {
                        problems.push(Problem::at(
                            ProblemKind::Conflict,
                            &entry.key,
                            "a capture has one source",
                        ));
                    }
                    match Source::read(k, &entry.node) {
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
                c.regex = regex.map(|r| (r, group.unwrap_or(usize::from(true))));
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
        let missing = |actual: String| Mismatch {
            expectation: format!("capture {}", self.name),
            kind: "capture".into(),
            place: Some((&self.span).into()),
            expected: format!("a value at {}", self.source.label()),
            actual,
            path: None,
            hint: None,
        };
        let found = self.source.with(document, scope, |v| v.cloned());
        let found = match (found, &self.default) {
            (Ok(Some(v)), _) => v,
            (_, Some(d)) => return Ok(d.clone()),
            (Ok(None), None) => return Err(missing("nothing is there".into())),
            (Err(m), None) => return Err(m),
        };
        let Some((pattern, group)) = &self.regex else {
            return Ok(found);
        };
        let text = match &found {
            Json::String(s) => s.clone(),
            other => other.to_string(),
        };
        let part = pattern.regex().captures(&text).and_then(|c| {
            // Without a group of its own, the whole match is meant.
            c.get(if c.len() > 1 { *group } else { 0 })
                .map(|m| m.as_str().to_owned())
        });
        match (part, &self.default) {
            (Some(p), _) => Ok(Json::String(p)),
            (None, Some(d)) => Ok(d.clone()),
            (None, None) => Err(missing(format!(
                "{} does not match {}",
                super::show(&found),
                pattern.source()
            ))),
        }
    }

    /// The names that it uses.
    pub fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.source.roots(to);
    }
}

fn unknown(key: &str, span: &Span, fields: &[&str]) -> Problem {
    let known = || {
        SOURCES
            .into_iter()
            .chain(["regex", "group", "default"])
            .chain(fields.iter().copied())
    };
    let p = Problem::at(
        ProblemKind::UnknownKey,
        span,
        format!("unknown key `{key}` in a capture"),
    );
    match nearest(key, known()) {
        Some(n) => p.help(format!("did you mean `{n}`?")),
        None => p.help(format!(
            "known here: {}",
            known().collect::<Vec<_>>().join(", ")
        )),
    }
}
