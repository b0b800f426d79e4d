//! The problems as annotations for GitHub Actions.

use std::fmt::Write as _;

use prodmirror_model::event::Place;

use super::{Report, rules};
use crate::report::github::command;

/// One workflow command for each problem, at its place.
pub fn text(report: &Report<'_>) -> String {
    let mut out = String::new();
    for p in &report.problems.0 {
        let place = p.span.as_ref().map(|span| Place {
            file: report.paths.whole(&span.file.name),
            ..Place::from(span)
        });
        let mut text = p.message.clone();
        for (span, what) in &p.related {
            let file = report.paths.whole(&span.file.name);
            let _ = write!(text, "\n{file}:{}:{}: {what}", span.line, span.col);
        }
        if let Some(help) = &p.help {
            let _ = write!(text, "\nhelp: {help}");
        }
        let level = if p.is_error() { "error" } else { "warning" };
        let text = report.redactor.redact(&text);
        out.push_str(&command(level, place.as_ref(), rules::id(p.kind), &text));
    }
    out
}
