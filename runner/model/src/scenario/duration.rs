//! Durations as people write them: `800ms`, `30s`, `1m30s`.

use std::time::Duration;

use crate::diag::{Problem, ProblemKind};
use crate::yaml::{Node, Value};

/// The longest duration that is taken.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

/// Reads a duration.
///
/// # Errors
/// A number without a unit, or a text that is no duration.
pub fn read(node: &Node) -> Result<Duration, Problem> {
    match &node.value {
        Value::Str(s) => parse(s).map_err(|m| {
            Problem::at(ProblemKind::InvalidValue, &node.span, m)
                .help("write a number with a unit: `800ms`, `30s`, `1m30s`")
        }),
        Value::Int { raw, .. } | Value::Float { raw, .. } => Err(Problem::at(
            ProblemKind::WrongType,
            &node.span,
            format!("the duration `{raw}` has no unit"),
        )
        .help(format!(
            "write `{raw}s` for seconds or `{raw}ms` for milliseconds"
        ))),
        _ => Err(Problem::at(
            ProblemKind::WrongType,
            &node.span,
            format!("expected a duration such as `30s`, found {}", node.kind()),
        )),
    }
}

/// Parses a duration.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text.trim()) {
        Ok(d) if d > LONGEST => Err(format!("the duration `{text}` is longer than a week")),
        Ok(d) => Ok(d),
        Err(_) => Err(format!("`{text}` is not a duration")),
    }
}
