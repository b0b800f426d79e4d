//! `format`, `before`, `after`, `within`.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use super::{Finding, Predicate};
use crate::check::filter::time::check_format;
use crate::check::moment::{self, moment, when};
use crate::check::show::{kind, show};
use crate::diag::{Problem, ProblemKind};
use crate::source::Span;
use crate::template::{Data, Scope, Text};
use crate::yaml::Node;

#[derive(Debug)]
struct Format(String);

pub(super) fn format(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    let Some(text) = node.as_str() else {
        return Err(super::wrong_type(
            node,
            "`format` takes a format such as '%Y-%m-%d'",
        ));
    };
    check_format(text, node).map_err(|p| vec![p])?;
    Ok(Box::new(Format(text.to_owned())))
}

impl Predicate for Format {
    fn check(
        &self,
        value: Option<&Json>,
        _: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let Some(actual) = value else { return Ok(()) };
        let why = match actual.as_str() {
            None => Some(format!("this is {}", kind(actual))),
            Some(s) => match moment::fits(&self.0, s) {
                Ok(()) => return Ok(()),
                // The library's words are about its own parts; where dates are meant, a
                // date in another format is what helps.
                Err(_) => moment(actual).map(|t| {
                    let same = moment::write(&self.0, t).unwrap_or_default();
                    format!("in this format it would be {}", Json::from(same))
                }),
            },
        };
        out.push(
            Finding::new("", format!("a date of the format {}", self.0), show(actual)).hint(why),
        );
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

#[derive(Debug)]
struct Beside {
    than: Data,
    side: Side,
}

pub(super) fn before(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    beside(node, Side::Before, "before")
}

pub(super) fn after(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    beside(node, Side::After, "after")
}

fn beside(node: &Node, side: Side, name: &str) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    let than = Data::new(node)?;
    if let Some(plain) = than.plain() {
        known(plain, node, name)?;
    }
    Ok(Box::new(Beside { than, side }))
}

/// Refuses what is no point in time before anything runs.
fn known(plain: &Json, node: &Node, name: &str) -> Result<(), Vec<Problem>> {
    if when(plain, Timestamp::UNIX_EPOCH).is_some() {
        return Ok(());
    }
    Err(vec![
        Problem::at(
            ProblemKind::InvalidValue,
            &node.span,
            format!(
                "`{name}` takes a point in time, and {} is none",
                show(plain)
            ),
        )
        .help("write now, now + 1h, 2024-02-29, 2024-02-29T12:00:00Z, or seconds since 1970"),
    ])
}

/// The value as a point in time, or a finding that it is none.
fn time_of(actual: &Json, expected: String, out: &mut Vec<Finding>) -> Option<Timestamp> {
    let at = moment(actual);
    if at.is_none() {
        out.push(Finding::new("", expected, show(actual)).hint(Some(format!(
            "this is {}, not a date or time",
            kind(actual)
        ))));
    }
    at
}

/// A point in time of the scenario, and how messages tell it.
fn reference(rendered: &Json, now: Timestamp) -> Result<(Timestamp, String), Problem> {
    let at = when(rendered, now).ok_or_else(|| {
        Problem::new(
            ProblemKind::InvalidValue,
            format!("{} is no point in time", show(rendered)),
        )
        .help("write now, now + 1h, 2024-02-29, 2024-02-29T12:00:00Z, or seconds since 1970")
    })?;
    let text = match rendered.as_str() {
        Some(s) if s.trim().starts_with("now") => format!("{} ({at})", s.trim()),
        Some(s) => s.to_owned(),
        None => format!("{rendered} ({at})"),
    };
    Ok((at, text))
}

impl Predicate for Beside {
    fn check(
        &self,
        value: Option<&Json>,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let rendered = self.than.render(scope)?;
        let Some(actual) = value else { return Ok(()) };
        let (than, text) = reference(&rendered, Timestamp::now())?;
        let words = match self.side {
            Side::Before => "before",
            Side::After => "after",
        };
        let expected = format!("a time {words} {text}");
        let Some(at) = time_of(actual, expected.clone(), out) else {
            return Ok(());
        };
        let holds = match self.side {
            Side::Before => at < than,
            Side::After => at > than,
        };
        if !holds {
            let hint = (at == than).then(|| "it is the same time".to_owned());
            out.push(Finding::new("", expected, show(actual)).hint(hint));
        }
        Ok(())
    }

    fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.than.roots(to);
    }
}

#[derive(Debug)]
struct Within(Text);

pub(super) fn within(node: &Node) -> Result<Box<dyn Predicate>, Vec<Problem>> {
    let Some(text) = node.as_str() else {
        return Err(super::wrong_type(
            node,
            "`within` takes how far and from what: `5s of now`",
        ));
    };
    if !text.contains("{{") {
        span(text, Timestamp::UNIX_EPOCH).map_err(|p| vec![p.or_at(&node.span)])?;
    }
    Ok(Box::new(Within(
        Text::new(text, &node.span).map_err(|p| vec![p])?,
    )))
}

/// `5s of now`: how far, from when, and how messages tell that.
fn span(text: &str, now: Timestamp) -> Result<(SignedDuration, Timestamp, String), Problem> {
    let bad = || {
        Problem::new(
            ProblemKind::InvalidValue,
            format!("`within` takes how far and from what, and `{text}` is not that"),
        )
        .help("write `within: 5s of now` or `within: 1day of 2024-02-29T12:00:00Z`")
    };
    let (far, from) = text.split_once(" of ").ok_or_else(bad)?;
    let far_by = moment::duration(far).ok_or_else(bad)?;
    let (from, words) = reference(&Json::from(from.trim()), now).map_err(|_| bad())?;
    Ok((far_by, from, format!("{} of {words}", far.trim())))
}

impl Predicate for Within {
    fn check(
        &self,
        value: Option<&Json>,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        let text = self.0.render(scope)?;
        let Some(actual) = value else { return Ok(()) };
        let (far, from, words) = span(&text, Timestamp::now())?;
        let expected = format!("a time within {words}");
        let Some(at) = time_of(actual, expected.clone(), out) else {
            return Ok(());
        };
        let distance = at.duration_since(from);
        if distance.abs() > far {
            let side = if distance.is_negative() {
                "before"
            } else {
                "after"
            };
            // Parts of a second matter only where seconds are asked about.
            let whole = std::time::Duration::from_millis(
                u64::try_from(distance.abs().as_millis()).unwrap_or(u64::MAX),
            );
            let hint = format!("it is {} {side} that", humantime::format_duration(whole));
            out.push(Finding::new("", expected, show(actual)).hint(Some(hint)));
        }
        Ok(())
    }

    fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.0.roots(to);
    }
}
