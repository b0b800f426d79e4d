//! The findings for people: by object, the serious ones with the lines that they are about.

use std::fmt::Write as _;

use prodmirror_model::audit::Finding;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::fidelity::Severity;

use super::{Report, words};
use crate::explain;
use crate::report::look::{Look, count};

/// All findings that count, and how many there are.
pub fn text(report: &Report<'_>, look: Look) -> String {
    let mut out = String::new();
    let mut object = "";
    for f in report.audit.open() {
        if f.object != object {
            let _ = writeln!(out, "{}", look.strong(&title(&f.object)));
            object = &f.object;
        }
        if f.severity >= Severity::Medium {
            out.push_str(&explain::one(&problem(f, report), look, report.redactor));
        } else {
            out.push_str(&line(f, report, look));
        }
    }
    suppressed(report, look, &mut out);
    out.push_str(&totals(report, look));
    out
}

/// `service:db` as people say it.
fn title(object: &str) -> String {
    match object.split_once(':') {
        Some((kind, name)) => format!("{kind} {name}"),
        None => object.to_owned(),
    }
}

fn problem(f: &Finding, report: &Report<'_>) -> Problem {
    let (message, why, fix) = words(f, report.redactor);
    let mut p = Problem::at(
        ProblemKind::InvalidValue,
        &f.span,
        format!("{} · {} · {message}", f.severity, f.rule.id),
    )
    .help(format!("{why}\n→ {fix}"));
    if f.severity < Severity::High {
        p = p.warning();
    }
    for (span, what) in &f.related {
        p = p.related(span, what.clone());
    }
    p
}

fn line(f: &Finding, report: &Report<'_>, look: Look) -> String {
    let (message, _, fix) = words(f, report.redactor);
    let place = if f.span.is_real() {
        f.span.to_string()
    } else {
        String::new()
    };
    let fix = fix.lines().next().unwrap_or_default().to_owned();
    format!(
        "  {} · {} · {message}\n    {}\n    → {fix}\n\n",
        f.severity,
        f.rule.id,
        look.faint(&place),
    )
}

fn suppressed(report: &Report<'_>, look: Look, out: &mut String) {
    for f in &report.audit.findings {
        if let Some(because) = &f.suppressed {
            let text = format!("off: {} on {}: {because}", f.rule.id, title(&f.object));
            let _ = writeln!(out, "{}", look.faint(&report.redactor.redact(&text)));
        }
    }
}

fn totals(report: &Report<'_>, look: Look) -> String {
    let since = report
        .base
        .map_or(String::new(), |rev| format!(" since {rev}"));
    let services = report.audit.open().count();
    if services == 0 {
        return format!("{}\n", look.good(&format!("nothing was found{since}")));
    }
    let mut parts = Vec::new();
    for (severity, n) in report.audit.totals().into_iter().rev() {
        let text = format!("{n} {severity}");
        parts.push(match severity {
            Severity::Blocker | Severity::High => look.alarm(&text),
            Severity::Medium => look.notice(&text),
            _ => text,
        });
    }
    format!(
        "{}{since}: {}\n",
        count(services, "finding"),
        parts.join(", ")
    )
}
