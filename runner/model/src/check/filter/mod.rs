//! Filters: what is made of a value before it is asked about or captured, one after the
//! other. One line for each in [`FILTERS`].

mod code;
mod convert;
pub(super) mod list;
mod text;
pub(super) mod time;

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value as Json;

use super::predicate::Pattern;
use super::subject::Subject;
use crate::diag::{Problem, ProblemKind, nearest};
use crate::source::Span;
use crate::template::{Data, Scope, has_tags};
use crate::yaml::Node;

/// What a filter made of a value.
#[derive(Debug)]
pub enum Made<'a> {
    /// A value.
    Value(Subject<'a>),
    /// Nothing, with the reason: an empty list has no first item.
    Nothing(String),
}

/// A filter with its argument.
pub(super) trait Filter: fmt::Debug + Send + Sync {
    /// Makes something of a value.
    ///
    /// # Errors
    /// What it takes, when it cannot take this value.
    fn apply<'a>(&self, value: Subject<'a>) -> Result<Made<'a>, String>;
}

/// A kind of filter.
pub struct FilterKind {
    /// Its name.
    pub name: &'static str,
    /// Its argument as it is written; empty when it takes none.
    pub argument: &'static str,
    /// What it makes, for messages and the reference.
    pub help: &'static str,
    read: Read,
}

type Boxed = Box<dyn Filter>;

/// How a filter is read.
#[derive(Clone, Copy)]
enum Read {
    /// It takes no argument.
    Plain(fn() -> Boxed),
    /// It must have one.
    With(fn(&Node) -> Result<Boxed, Problem>),
    /// `default`, which is asked when there is no value.
    Default,
}

macro_rules! filters {
    ($($name:literal $argument:literal $read:expr, $help:literal;)*) => {
        &[$(FilterKind { name: $name, argument: $argument, help: $help, read: $read }),*]
    };
}

use Read::{Plain, With};

/// All filters.
pub static FILTERS: &[FilterKind] = filters![
    "first" "" Plain(list::first), "the first item of a list";
    "last" "" Plain(list::last), "the last item of a list";
    "nth" "2" With(list::nth), "an item of a list, from 0; from the end when below";
    "count" "" Plain(list::count), "how many items, keys, characters or bytes";
    "keys" "" Plain(list::keys), "the keys of an object";
    "values" "" Plain(list::values), "the values of an object";
    "sort" "" Plain(list::sort), "a list in ascending order";
    "unique" "" Plain(list::unique), "a list without items that were there before";
    "join" "', '" With(list::join), "a list as one text";
    "split" "','" With(text::split), "a text as a list";
    "trim" "" Plain(text::trim), "a text without blanks around it";
    "lower" "" Plain(text::lower), "a text in lower case";
    "upper" "" Plain(text::upper), "a text in upper case";
    "replace" "{ from: a, to: b }" With(text::replace), "a text with a part (or a `regex`) replaced everywhere";
    "regex" "'id=(\\d+)'" With(text::regex), "the first group (or `group`) of a regular expression in a text";
    "jsonpath" "$.id" With(convert::jsonpath), "what a JSONPath finds; a text is read as JSON first";
    "xpath" "//h1" With(convert::xpath), "what an XPath finds in a text of XML or HTML";
    "to_int" "" Plain(convert::to_int), "a whole number, of a text or by cutting off decimals";
    "to_float" "" Plain(convert::to_float), "a number with decimals";
    "to_text" "" Plain(convert::to_text), "a text; bytes must be UTF-8";
    "to_json" "" Plain(convert::to_json), "the value of a text of JSON";
    "parse_date" "'%d.%m.%Y'" With(time::parse_date), "the timestamp (RFC 3339) of a text of this format";
    "format_date" "'%Y-%m-%d'" With(time::format_date), "a timestamp as a text of this format";
    "days_from_now" "" Plain(time::days_from_now), "whole days from now to a timestamp; below 0 when it is past";
    "url_encode" "" Plain(code::url_encode), "a text with `%` for what a URL cannot hold";
    "url_decode" "" Plain(code::url_decode), "a text without such `%`";
    "url_param" "page" With(code::url_param), "a parameter of the query of a URL";
    "html_escape" "" Plain(code::html_escape), "a text with `&lt;` and the like";
    "html_unescape" "" Plain(code::html_unescape), "a text without them";
    "base64_encode" "" Plain(code::base64_encode), "a text or bytes as base64";
    "base64_decode" "" Plain(code::base64_decode), "the text of base64, or bytes where it is none";
    "base64url_encode" "" Plain(code::base64url_encode), "the same for URLs";
    "base64url_decode" "" Plain(code::base64url_decode), "the same for URLs, as in tokens";
    "hex_encode" "" Plain(code::hex_encode), "a text or bytes as hexadecimal digits";
    "hex_decode" "" Plain(code::hex_decode), "the text of hexadecimal digits, or bytes where it is none";
    "sha256" "" Plain(code::sha256), "the SHA-256 of a text or bytes, as hexadecimal digits";
    "default" "none" Read::Default, "this, where there is no value";
];

#[derive(Debug)]
enum Step {
    Filter(&'static str, Boxed),
    Default(Data),
}

/// `filters`: what is made of a value, in order.
#[derive(Debug, Default)]
pub struct Filters(Vec<Step>);

/// What came out of filters.
#[derive(Debug)]
pub struct Filtered<'a> {
    /// The value, if one is left.
    pub value: Option<Subject<'a>>,
    /// Which filter left none, and why.
    pub lost: Option<String>,
}

/// A value that a filter does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What the filter takes.
    pub expected: String,
    /// What it was given.
    pub actual: String,
}

impl Filters {
    /// Reads a list of filters, or a single one.
    ///
    /// # Errors
    /// Unknown filters, and arguments that they do not take.
    pub fn read(node: &Node) -> Result<Self, Vec<Problem>> {
        let one = [node];
        let nodes: Vec<&Node> = match node.as_seq() {
            Some(items) => items.iter().collect(),
            None => one.to_vec(),
        };
        let mut steps = Vec::with_capacity(nodes.len());
        let mut problems = Vec::new();
        for n in nodes {
            match read_step(n) {
                Ok(s) => steps.push(s),
                Err(p) => problems.extend(p),
            }
        }
        if steps.is_empty() && problems.is_empty() {
            problems.push(
                Problem::at(ProblemKind::Missing, &node.span, "`filters` is empty")
                    .help("write `filters: [ trim, to_int ]`, or remove the key"),
            );
        }
        if problems.is_empty() {
            Ok(Self(steps))
        } else {
            Err(problems)
        }
    }

    /// Applies them all.
    ///
    /// # Errors
    /// A filter that does not take what it was given.
    pub fn apply<'a>(
        &self,
        value: Option<Subject<'a>>,
        scope: &Scope,
    ) -> Result<Filtered<'a>, Refused> {
        let mut now = Filtered { value, lost: None };
        for step in &self.0 {
            match (step, now.value.take()) {
                (Step::Default(d), None) => {
                    let value = d.render(scope).map_err(|p| Refused {
                        expected: "the value of `default`".into(),
                        actual: p.message,
                    })?;
                    now = Filtered {
                        value: Some(Subject::own(value)),
                        lost: None,
                    };
                }
                (Step::Default(_), value) => now.value = value,
                (Step::Filter(..), None) => {}
                (Step::Filter(name, f), Some(value)) => {
                    let shown = value.show();
                    match f.apply(value) {
                        Ok(Made::Value(v)) => now.value = Some(v),
                        Ok(Made::Nothing(why)) if self.0.len() == 1 => now.lost = Some(why),
                        Ok(Made::Nothing(why)) => now.lost = Some(format!("`{name}`: {why}")),
                        Err(takes) => {
                            return Err(Refused {
                                expected: format!("{takes} for `{name}`"),
                                actual: shown,
                            });
                        }
                    }
                }
            }
        }
        Ok(now)
    }

    /// Puts `regex` before all others.
    pub(super) fn after_regex(mut self, pattern: Pattern, group: Option<usize>) -> Self {
        self.0
            .insert(0, Step::Filter("regex", text::part(pattern, group)));
        self
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names that they use.
    pub fn roots(&self, to: &mut Vec<(String, Span)>) {
        for step in &self.0 {
            if let Step::Default(d) = step {
                d.roots(to);
            }
        }
    }
}

fn read_step(node: &Node) -> Result<Step, Vec<Problem>> {
    if let Some(name) = node.as_str() {
        let kind = kind(name, &node.span)?;
        return match kind.read {
            Plain(make) => Ok(Step::Filter(kind.name, make())),
            With(_) | Read::Default => Err(vec![
                Problem::at(
                    ProblemKind::Missing,
                    &node.span,
                    format!("the filter `{name}` needs an argument"),
                )
                .help(format!("write `{name}: {}`", kind.argument)),
            ]),
        };
    }
    let (key, entry) = match node.as_map().map(|m| (m.len(), m.0.iter().next())) {
        Some((1, Some(pair))) => pair,
        _ => {
            return Err(vec![
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!(
                        "a filter is a name, or a name with its argument, found {}",
                        node.kind()
                    ),
                )
                .help("write `filters: [ { regex: 'id=(\\d+)' }, to_int ]`"),
            ]);
        }
    };
    let kind = kind(key, &entry.key)?;
    match kind.read {
        Read::Default => Data::new(&entry.node).map(Step::Default),
        With(read) => {
            if let Some(p) = template_in(&entry.node, key) {
                return Err(vec![p]);
            }
            read(&entry.node)
                .map(|f| Step::Filter(kind.name, f))
                .map_err(|p| vec![with_example(p, kind)])
        }
        // `trim: true` is as good as `trim`.
        Plain(make) if entry.node.is_null() || entry.node.as_bool() == Some(true) => {
            Ok(Step::Filter(kind.name, make()))
        }
        Plain(_) => Err(vec![
            Problem::at(
                ProblemKind::InvalidValue,
                &entry.node.span,
                format!("the filter `{key}` takes no argument"),
            )
            .help(format!("write `{key}` alone")),
        ]),
    }
}

fn template_in(node: &Node, name: &str) -> Option<Problem> {
    let found = match (node.as_str(), node.as_map(), node.as_seq()) {
        (Some(s), _, _) => has_tags(s).then_some(node),
        (_, Some(m), _) => {
            m.0.values()
                .map(|e| &e.node)
                .find(|n| n.as_str().is_some_and(has_tags))
        }
        (_, _, Some(items)) => items.iter().find(|n| n.as_str().is_some_and(has_tags)),
        _ => None,
    }?;
    Some(
        Problem::at(
            ProblemKind::Unsupported,
            &found.span,
            format!("the argument of the filter `{name}` is taken as it stands, without templates"),
        )
        .help("only `default` takes a template"),
    )
}

fn kind(name: &str, span: &Span) -> Result<&'static FilterKind, Vec<Problem>> {
    if let Some(k) = FILTERS.iter().find(|k| k.name == name) {
        return Ok(k);
    }
    let other = match name {
        "length" | "size" | "len" => Some("count"),
        "int" | "toInt" | "integer" | "to_integer" => Some("to_int"),
        "float" | "toFloat" | "to_number" | "number" | "double" => Some("to_float"),
        "text" | "string" | "to_string" | "toString" => Some("to_text"),
        "json" | "parse_json" | "from_json" => Some("to_json"),
        "date" | "toDate" | "to_date" => Some("parse_date"),
        "format" | "strftime" | "dateFormat" => Some("format_date"),
        "daysAfterNow" | "daysBeforeNow" => Some("days_from_now"),
        "urlEncode" | "urlencode" => Some("url_encode"),
        "urlDecode" | "urldecode" => Some("url_decode"),
        "urlQueryParam" | "query_param" => Some("url_param"),
        "base64" | "base64Encode" => Some("base64_encode"),
        "base64Decode" | "unbase64" => Some("base64_decode"),
        "hex" | "toHex" => Some("hex_encode"),
        "lowercase" | "downcase" => Some("lower"),
        "uppercase" | "upcase" => Some("upper"),
        "strip" => Some("trim"),
        "distinct" | "uniq" => Some("unique"),
        "replaceRegex" | "sub" | "gsub" => Some("replace"),
        "index" | "at" => Some("nth"),
        "xml" | "css" => Some("xpath"),
        "path" => Some("jsonpath"),
        _ => nearest(name, FILTERS.iter().map(|k| k.name)),
    };
    let p = Problem::at(
        ProblemKind::UnknownKey,
        span,
        format!("unknown filter `{name}`"),
    );
    Err(vec![match other {
        Some(n) => p.help(format!("did you mean `{n}`?")),
        None => p.help(format!(
            "known here: {}",
            FILTERS
                .iter()
                .map(|k| k.name)
                .collect::<Vec<_>>()
                .join(", ")
        )),
    }])
}

/// Says how a filter is written, where nothing better is said.
fn with_example(mut p: Problem, kind: &FilterKind) -> Problem {
    if p.help.is_none() {
        p.help = Some(format!("for example: `{}: {}`", kind.name, kind.argument));
    }
    p
}

/// An argument of the wrong type.
fn wrong(node: &Node, what: &str) -> Problem {
    Problem::at(
        ProblemKind::WrongType,
        &node.span,
        format!("{what}, found {}", node.kind()),
    )
}

/// A filter that is a function without an argument.
#[derive(Clone, Copy)]
struct Simple(for<'a> fn(Subject<'a>) -> Result<Made<'a>, String>);

impl fmt::Debug for Simple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Simple")
    }
}

impl Filter for Simple {
    fn apply<'a>(&self, value: Subject<'a>) -> Result<Made<'a>, String> {
        (self.0)(value)
    }
}

fn value<'a>(json: impl Into<Json>) -> Result<Made<'a>, String> {
    Ok(Made::Value(Subject::own(json)))
}

/// The text of a value, for filters that take text.
fn text_of<'s>(subject: &'s Subject<'_>) -> Result<&'s str, String> {
    match subject {
        Subject::Json(j) => j.as_str().ok_or_else(|| "a text".to_owned()),
        Subject::Bytes(b) => {
            std::str::from_utf8(b).map_err(|_| "a text (these bytes are not UTF-8)".into())
        }
    }
}

/// The bytes of a text, or bytes.
fn bytes_of<'s>(subject: &'s Subject<'_>) -> Result<&'s [u8], String> {
    match subject {
        Subject::Json(j) => j
            .as_str()
            .map(str::as_bytes)
            .ok_or_else(|| "a text or bytes".to_owned()),
        Subject::Bytes(b) => Ok(b),
    }
}

/// Bytes as a text, where they are one.
fn text_or_bytes<'a>(bytes: Vec<u8>) -> Result<Made<'a>, String> {
    Ok(Made::Value(match String::from_utf8(bytes) {
        Ok(s) => Subject::own(s),
        Err(e) => Subject::bytes(e.into_bytes()),
    }))
}
