//! Filters that read a value as another type.

use serde_json::{Number, Value as Json};

use super::{Boxed, Filter, Made, Simple, text_of, value, wrong};
use crate::check::path::JsonPath;
use crate::check::subject::Subject;
use crate::check::xpath::{Markup, XPath};
use crate::diag::Problem;
use crate::yaml::Node;

pub(super) fn to_int() -> Boxed {
    Box::new(Simple(|v| {
        const WANTED: &str = "a whole number";
        match v.json().as_ref() {
            Json::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
                (Some(i), _, _) => value(i),
                (_, Some(u), _) => value(u),
                (_, _, Some(f)) if f.abs() < 9.2e18 => value(f.trunc() as i64),
                _ => Err(WANTED.into()),
            },
            Json::Bool(b) => value(i64::from(*b)),
            Json::String(s) => match (s.trim().parse::<i64>(), s.trim().parse::<u64>()) {
                (Ok(i), _) => value(i),
                (_, Ok(u)) => value(u),
                _ => Err("the text of a whole number".into()),
            },
            _ => Err(WANTED.into()),
        }
    }))
}

pub(super) fn to_float() -> Boxed {
    Box::new(Simple(|v| {
        let json = v.json();
        let n = match json.as_ref() {
            Json::Number(n) => n.as_f64(),
            Json::String(s) => s.trim().parse::<f64>().ok(),
            _ => None,
        };
        match n.and_then(Number::from_f64) {
            Some(n) => value(Json::Number(n)),
            None => Err("a number, or the text of one".into()),
        }
    }))
}

pub(super) fn to_text() -> Boxed {
    Box::new(Simple(|v| match &v {
        Subject::Bytes(_) => value(text_of(&v)?),
        Subject::Json(j) => match j.as_ref() {
            Json::String(s) => value(s.as_str()),
            other => value(other.to_string()),
        },
    }))
}

pub(super) fn to_json() -> Boxed {
    Box::new(Simple(|v| match parsed(&v) {
        Some(json) => value(json),
        None => Err("a text of JSON".into()),
    }))
}

fn parsed(v: &Subject<'_>) -> Option<Json> {
    serde_json::from_str(text_of(v).ok()?).ok()
}

#[derive(Debug)]
struct Path(JsonPath);

pub(super) fn jsonpath(node: &Node) -> Result<Boxed, Problem> {
    let text = node
        .as_str()
        .ok_or_else(|| wrong(node, "`jsonpath` takes a text"))?;
    Ok(Box::new(Path(JsonPath::new(text, &node.span)?)))
}

impl Filter for Path {
    fn apply<'a>(&self, v: Subject<'a>) -> Result<Made<'a>, String> {
        let json = match &v {
            Subject::Json(j) if !j.is_string() => std::borrow::Cow::Borrowed(j.as_ref()),
            _ => std::borrow::Cow::Owned(parsed(&v).ok_or("a value or a text of JSON")?),
        };
        match self.0.find(&json) {
            Some(found) => value(found),
            None => Ok(Made::Nothing(format!("{} finds nothing", self.0.source()))),
        }
    }
}

#[derive(Debug)]
struct Xml(XPath);

pub(super) fn xpath(node: &Node) -> Result<Boxed, Problem> {
    let text = node
        .as_str()
        .ok_or_else(|| wrong(node, "`xpath` takes a text"))?;
    Ok(Box::new(Xml(XPath::new(text, &node.span)?)))
}

impl Filter for Xml {
    fn apply<'a>(&self, v: Subject<'a>) -> Result<Made<'a>, String> {
        let found = self
            .0
            .find(text_of(&v)?, Markup::Unknown)
            .map_err(|why| format!("XML or HTML ({why})"))?;
        match found {
            Some(found) => value(found),
            None => Ok(Made::Nothing(format!("{} finds nothing", self.0.source()))),
        }
    }
}
