//! Annotations for GitHub Actions.

use prodmirror_model::event::Place;
use prodmirror_model::fidelity::Severity;

use super::{Report, words};
use crate::report::github::command;

/// One workflow command for each finding that counts.
pub fn text(report: &Report<'_>) -> String {
    let mut out = String::new();
    for f in report.audit.open() {
        let (message, why, fix) = words(f, report.redactor);
        let place = f.span.is_real().then(|| Place {
            file: report.path(&f.span.file.name),
            ..Place::from(&f.span)
        });
        let title = format!("{} ({})", f.rule.id, f.severity);
        let text = format!("{message}\nwhy: {why}\nfix: {fix}");
        out.push_str(&command(level(f.severity), place.as_ref(), &title, &text));
    }
    out
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info | Severity::Low => "notice",
        Severity::Medium => "warning",
        Severity::High | Severity::Blocker => "error",
    }
}
