//! What a matcher or a capture looks at.

use serde_json::Value as Json;

use super::cookie;
use super::expr::Expr;
use super::path::JsonPath;
use super::predicate::Pattern;
use super::subject::Subject;
use super::xpath::{Markup, XPath};
use crate::diag::{Problem, ProblemKind, nearest};
use crate::event::Mismatch;
use crate::source::Span;
use crate::template::{Document, Scope};
use crate::yaml::Node;

/// A part of a step's result.
#[derive(Debug)]
pub enum Source {
    /// JSONPath into `json`, or into the whole result where it has no `json`.
    JsonPath(JsonPath),
    /// XPath into `body`.
    XPath(XPath),
    /// A header by its name.
    Header(String),
    /// A cookie that the response sets, or one of its attributes.
    Cookie(cookie::Wanted),
    /// What a regular expression finds in `body`: its first group.
    Regex(Pattern),
    /// The bytes of `body`.
    Bytes,
    /// A fact of the server's certificate.
    Certificate(&'static str),
    /// The value of an expression.
    Value(Expr),
    /// A field of the result.
    Field(String),
}

/// Keys that name a source, each with the field that it needs.
pub(crate) const SOURCES: [(&str, Option<&str>); 8] = [
    ("jsonpath", None),
    ("header", None),
    ("value", None),
    ("xpath", Some("body")),
    ("cookie", Some("headers")),
    ("regex", Some("body")),
    ("bytes", Some("body")),
    ("certificate", Some("certificate")),
];

/// Facts of a certificate.
pub(crate) const CERTIFICATE: [&str; 7] = [
    "subject",
    "issuer",
    "start_date",
    "expire_date",
    "serial_number",
    "subject_alt_name",
    "sha256",
];

/// Whether a key names a source, given the fields of a kind's result.
pub(crate) fn is_source(key: &str, fields: &[&str]) -> bool {
    is_own_source(key, fields) || fields.contains(&key)
}

/// Whether a key names a source that is no plain field.
pub(crate) fn is_own_source(key: &str, fields: &[&str]) -> bool {
    SOURCES
        .iter()
        .any(|(name, needs)| *name == key && needs.is_none_or(|n| fields.contains(&n)))
}

/// All keys that name a source.
pub(crate) fn all_sources<'a>(fields: &[&'a str]) -> Vec<&'a str> {
    SOURCES
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| is_own_source(name, fields))
        .chain(fields.iter().copied().filter(|f| !is_own_source(f, fields)))
        .collect()
}

impl Source {
    /// Reads the source that a key names; for a plain field its value is not looked at.
    pub(crate) fn read(key: &str, node: &Node, fields: &[&str]) -> Result<Self, Problem> {
        let text = || {
            node.as_str().ok_or_else(|| {
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("`{key}` takes a text, found {}", node.kind()),
                )
            })
        };
        if !is_own_source(key, fields) {
            return Ok(Source::Field(key.to_owned()));
        }
        match key {
            "jsonpath" => JsonPath::new(text()?, &node.span).map(Source::JsonPath),
            "xpath" => XPath::new(text()?, &node.span).map(Source::XPath),
            "header" => Ok(Source::Header(text()?.to_ascii_lowercase())),
            "cookie" => cookie::Wanted::read(text()?, &node.span).map(Source::Cookie),
            "regex" => Pattern::read(node).map(Source::Regex),
            "value" => Expr::new(text()?, &node.span).map(Source::Value),
            "bytes" => Ok(Source::Bytes),
            "certificate" => certificate(text()?, &node.span),
            field => Ok(Source::Field(field.to_owned())),
        }
    }

    /// Gives what it finds in a result; `None` when it is not there.
    ///
    /// # Errors
    /// An expression that has no value, and a text that is not what an XPath needs.
    pub fn with<T>(
        &self,
        document: &Document,
        scope: &Scope,
        use_it: impl FnOnce(Option<Subject<'_>>) -> T,
    ) -> Result<T, Mismatch> {
        let field = |name: &str| document.get(name);
        match self {
            Source::JsonPath(path) => match field("json") {
                Some(json) => Ok(path.with(json, |v| use_it(v.map(Subject::of)))),
                None => {
                    let whole = Json::Object(document.fields.clone());
                    Ok(path.with(&whole, |v| use_it(v.map(Subject::of))))
                }
            },
            Source::XPath(path) => {
                let text = field("body").and_then(Json::as_str).unwrap_or_default();
                match path.find(text, markup(document)) {
                    Ok(found) => Ok(use_it(found.map(Subject::own))),
                    Err(why) => Err(self.none(why)),
                }
            }
            Source::Header(name) => Ok(use_it(
                field("headers")
                    .and_then(|h| h.get(name.as_str()))
                    .map(Subject::of),
            )),
            Source::Cookie(wanted) => Ok(use_it(wanted.find(document).map(Subject::own))),
            Source::Regex(pattern) => {
                let text = field("body").and_then(Json::as_str).unwrap_or_default();
                let found = pattern
                    .regex()
                    .captures(text)
                    .and_then(|c| c.get(usize::from(c.len() > 1)))
                    .map(|m| m.as_str());
                Ok(use_it(found.map(Subject::own)))
            }
            Source::Bytes => Ok(use_it(match (&document.raw, field("body")) {
                (Some(raw), _) => Some(Subject::Bytes(raw.as_ref().into())),
                (None, Some(Json::String(s))) => Some(Subject::Bytes(s.as_bytes().into())),
                _ => None,
            })),
            Source::Certificate(fact) => Ok(use_it(
                field("certificate")
                    .and_then(|c| c.get(*fact))
                    .map(Subject::of),
            )),
            Source::Field(name) => Ok(use_it(field(name).map(Subject::of))),
            Source::Value(e) => e
                .value(document, scope)
                .map(|v| use_it(Some(Subject::own(v)))),
        }
    }

    fn none(&self, actual: String) -> Mismatch {
        Mismatch {
            expectation: self.label(),
            kind: self.class().into(),
            place: None,
            expected: "a value".into(),
            actual,
            path: Some(self.label()),
            hint: None,
        }
    }

    /// Its name in a mismatch.
    pub fn label(&self) -> String {
        match self {
            Source::JsonPath(p) => p.source().to_owned(),
            Source::XPath(p) => p.source().to_owned(),
            Source::Header(name) => format!("header {name}"),
            Source::Cookie(wanted) => format!("cookie {wanted}"),
            Source::Regex(p) => format!("regex {}", p.source()),
            Source::Bytes => "bytes".into(),
            Source::Certificate(fact) => format!("certificate {fact}"),
            Source::Value(e) => e.source().to_owned(),
            Source::Field(name) => name.clone(),
        }
    }

    /// Its class in a mismatch.
    pub fn class(&self) -> &str {
        match self {
            Source::JsonPath(_) => "jsonpath",
            Source::XPath(_) => "xpath",
            Source::Header(_) => "header",
            Source::Cookie(_) => "cookie",
            Source::Regex(_) => "regex",
            Source::Bytes => "bytes",
            Source::Certificate(_) => "certificate",
            Source::Value(_) => "expression",
            Source::Field(name) => name,
        }
    }

    /// Why there may be nothing, where that is no secret.
    pub(crate) fn why_nothing(&self, document: &Document) -> Option<String> {
        match self {
            Source::JsonPath(_) => Some("the path finds nothing in the JSON of the result".into()),
            Source::XPath(_) => Some("the path finds nothing in the body".into()),
            Source::Header(name) => {
                let headers = document.get("headers")?.as_object()?;
                let near = nearest(name, headers.keys().map(String::as_str))?;
                Some(format!("there is `{near}`"))
            }
            Source::Cookie(wanted) => wanted.why_nothing(document),
            Source::Regex(_) => Some("the body does not match".into()),
            Source::Certificate(_) => Some("the connection has no TLS".into())
                .filter(|_| document.get("certificate").is_none_or(Json::is_null)),
            _ => None,
        }
    }

    /// The names that it uses.
    pub fn roots(&self, to: &mut Vec<(String, Span)>) {
        if let Source::Value(e) = self {
            e.roots(to);
        }
    }
}

fn certificate(fact: &str, span: &Span) -> Result<Source, Problem> {
    match CERTIFICATE.iter().find(|f| **f == fact) {
        Some(f) => Ok(Source::Certificate(f)),
        None => {
            let p = Problem::at(
                ProblemKind::InvalidValue,
                span,
                format!("a certificate has no `{fact}`"),
            );
            Err(match nearest(fact, CERTIFICATE) {
                Some(n) => p.help(format!("did you mean `{n}`?")),
                None => p.help(format!("it has {}", CERTIFICATE.join(", "))),
            })
        }
    }
}

/// What the response says that its body is.
fn markup(document: &Document) -> Markup {
    let kind = document
        .get("headers")
        .and_then(|h| h.get("content-type"))
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_ascii_lowercase();
    match kind.split(';').next().unwrap_or_default().trim() {
        "text/html" => Markup::Html,
        k if k.ends_with("/xml") || k.ends_with("+xml") => Markup::Xml,
        _ => Markup::Unknown,
    }
}
