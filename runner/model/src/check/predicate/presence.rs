//! `exists`, `type`.

use serde_json::Value as Json;

use super::{Finding, Predicate};
use crate::check::show::{kind, show};
use crate::diag::{Problem, ProblemKind, nearest};
use crate::template::Scope;
use crate::yaml::Node;

#[derive(Debug)]
struct Exists(bool);

pub(super) fn exists(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    match node.as_bool() {
        Some(b) => Ok(Box::new(Exists(b))),
        None => Err(super::wrong_type(node, "`exists` takes true or false")),
    }
}

impl Predicate for Exists {
    fn check(
        &self,
        value: Option<&Json>,
        _: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        match (self.0, value) {
            (true, None) => out.push(Finding::new("", "a value", "nothing is there")),
            (false, Some(v)) => out.push(Finding::new("", "nothing", show(v))),
            _ => {}
        }
        Ok(())
    }
}

type Test = fn(&Json) -> bool;

/// Names of types and formats.
const TYPES: &[(&str, Test)] = &[
    ("text", Json::is_string),
    ("string", Json::is_string),
    ("number", Json::is_number),
    ("integer", |v| v.as_i64().is_some() || v.as_u64().is_some()),
    ("boolean", Json::is_boolean),
    ("list", Json::is_array),
    ("array", Json::is_array),
    ("object", Json::is_object),
    ("null", Json::is_null),
    ("uuid", |v| v.as_str().is_some_and(is_uuid)),
    ("date", |v| {
        v.as_str()
            .is_some_and(|s| s.len() == 10 && s.parse::<jiff::civil::Date>().is_ok())
    }),
    ("timestamp", |v| {
        v.as_str()
            .is_some_and(|s| s.parse::<jiff::Timestamp>().is_ok())
    }),
    ("ip", |v| {
        v.as_str()
            .is_some_and(|s| s.parse::<std::net::IpAddr>().is_ok())
    }),
    ("base64", |v| v.as_str().is_some_and(is_base64)),
];

#[derive(Debug)]
struct TypeOf(&'static str, Test);

pub(super) fn type_of(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    let Some(name) = node.as_str() else {
        let mut problems = super::wrong_type(node, "`type` takes the name of a type");
        if node.is_null() {
            problems[0].help = Some("write \"null\" in quotes for the type null".into());
        }
        return Err(problems);
    };
    match TYPES.iter().find(|(n, _)| *n == name) {
        Some((n, test)) => Ok(Box::new(TypeOf(n, *test))),
        None => {
            let known = TYPES.iter().map(|(n, _)| *n);
            let help = match nearest(name, known.clone()) {
                Some(n) => format!("did you mean `{n}`?"),
                None => format!("known here: {}", known.collect::<Vec<_>>().join(", ")),
            };
            Err(vec![
                Problem::at(
                    ProblemKind::InvalidValue,
                    &node.span,
                    format!("unknown type `{name}`"),
                )
                .help(help),
            ])
        }
    }
}

impl Predicate for TypeOf {
    fn check(
        &self,
        value: Option<&Json>,
        _: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        if let Some(v) = value.filter(|v| !(self.1)(v)) {
            out.push(
                Finding::new("", format!("a value of type {}", self.0), show(v))
                    .hint(Some(format!("this is {}", kind(v)))),
            );
        }
        Ok(())
    }
}

fn is_uuid(s: &str) -> bool {
    s.len() == 36
        && s.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

fn is_base64(s: &str) -> bool {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(s).is_ok()
}
