//! Filters of dates.

use jiff::Timestamp;

use super::{Boxed, Filter, Made, Simple, text_of, value, wrong};
use crate::check::moment;
use crate::check::subject::Subject;
use crate::diag::{Problem, ProblemKind};
use crate::yaml::Node;

#[derive(Debug)]
struct Parse(String);

#[derive(Debug)]
struct Format(String);

pub(super) fn parse_date(node: &Node) -> Result<Boxed, Problem> {
    Ok(Box::new(Parse(format(node, "parse_date")?)))
}

pub(super) fn format_date(node: &Node) -> Result<Boxed, Problem> {
    Ok(Box::new(Format(format(node, "format_date")?)))
}

/// A format that says at least one part of a date.
fn format(node: &Node, name: &str) -> Result<String, Problem> {
    let text = node
        .as_str()
        .ok_or_else(|| wrong(node, &format!("`{name}` takes a format")))?;
    check_format(text, node)?;
    Ok(text.to_owned())
}

/// Refuses a format that no date can be written by.
pub(crate) fn check_format(text: &str, node: &Node) -> Result<(), Problem> {
    let bad = |why: String| {
        Problem::at(
            ProblemKind::InvalidValue,
            &node.span,
            format!("`{text}` is no format of a date: {why}"),
        )
        .help("for example: '%Y-%m-%d', '%d.%m.%Y %H:%M', '%a, %d %b %Y'")
    };
    if !text.contains('%') {
        return Err(bad("it has no part such as %Y".into()));
    }
    moment::write(text, Timestamp::UNIX_EPOCH)
        .map(|_| ())
        .map_err(bad)
}

impl Filter for Parse {
    fn apply<'a>(&self, v: Subject<'a>) -> Result<Made<'a>, String> {
        let at = moment::parse(&self.0, text_of(&v)?)
            .map_err(|why| format!("a date of the format {} ({why})", self.0))?;
        value(at.to_string())
    }
}

const WANTED: &str = "a timestamp or a date";

impl Filter for Format {
    fn apply<'a>(&self, v: Subject<'a>) -> Result<Made<'a>, String> {
        let at = moment::moment(&v.json()).ok_or(WANTED)?;
        value(moment::write(&self.0, at)?)
    }
}

pub(super) fn days_from_now() -> Boxed {
    Box::new(Simple(|v| {
        let at = moment::moment(&v.json()).ok_or(WANTED)?;
        let hours = at.duration_since(Timestamp::now()).as_hours();
        value(hours / 24)
    }))
}
