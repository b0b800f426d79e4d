//! Annotations for GitHub Actions: workflow commands on standard output, and a summary page.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;

use prodmirror_model::event::{Outcome, Place};
use prodmirror_model::plain::visible;
use prodmirror_model::summary::{Case, Summary};

use super::Reporter;
use super::failure::{self, Depth};
use super::look::{Look, count, time_of, word};

/// Writes annotations when the run is over.
pub struct Github {
    step_summary: Option<PathBuf>,
}

impl Github {
    /// `step_summary` is the file that `GITHUB_STEP_SUMMARY` names.
    pub fn new(step_summary: Option<PathBuf>) -> Self {
        Self { step_summary }
    }
}

impl Reporter for Github {
    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(annotations(summary).as_bytes())?;
        out.flush()?;
        if let Some(path) = &self.step_summary {
            let mut file = std::fs::File::options()
                .create(true)
                .append(true)
                .open(path)?;
            file.write_all(page(summary).as_bytes())?;
        }
        Ok(())
    }
}

/// One workflow command for each thing that went wrong, at its place.
pub fn annotations(summary: &Summary) -> String {
    let mut out = String::new();
    for case in &summary.cases {
        if matches!(case.verdict(), Outcome::Passed | Outcome::Skipped) {
            if case.is_flaky() {
                let why = case.earlier.first().map(|a| a.why()).unwrap_or_default();
                let text = format!("passed only when it was tried again: {why}");
                out.push_str(&command("warning", None, &case.id.name, &text));
            }
            continue;
        }
        annotate(summary, case, &mut out);
    }
    for warning in &summary.warnings {
        out.push_str(&command("warning", None, "prodmirror", warning));
    }
    out
}

fn annotate(summary: &Summary, case: &Case, out: &mut String) {
    let before = out.len();
    for step in case.steps.iter().filter(|s| s.is_bad()) {
        for m in &step.mismatches {
            let place = m.place.as_ref().or(step.place.as_ref());
            let mut text = format!(
                "{}\nexpected: {}\nactual:   {}",
                m.expectation, m.expected, m.actual
            );
            if let Some(hint) = &m.hint {
                let _ = write!(text, "\nhint: {hint}");
            }
            out.push_str(&command("error", place, &case.id.name, &text));
        }
        if step.mismatches.is_empty() {
            let text = step.error.clone().unwrap_or_else(|| case.why());
            out.push_str(&command(
                "error",
                step.place.as_ref(),
                &case.id.name,
                &format!("{}: {text}", step.title),
            ));
        }
    }
    if out.len() == before {
        let place = Place {
            file: case.id.file.clone(),
            line: 1,
            column: 1,
        };
        let text = match summary.stack_failure(case) {
            Some(f) => f.reason.clone(),
            None => case.why(),
        };
        out.push_str(&command("error", Some(&place), &case.id.name, &text));
    }
}

/// A workflow command. `level` is `error`, `warning` or `notice`.
pub fn command(level: &str, place: Option<&Place>, title: &str, message: &str) -> String {
    let mut out = format!("::{level} ");
    if let Some(p) = place {
        let _ = write!(
            out,
            "file={},line={},col={},",
            property(&p.file),
            p.line,
            p.column
        );
    }
    let _ = writeln!(out, "title={}::{}", property(title), data(message));
    out
}

fn data(text: &str) -> String {
    visible(text)
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// The job's summary page, in Markdown.
fn page(summary: &Summary) -> String {
    let t = summary.totals();
    let took = summary.end.map_or(summary.last_ms, |e| e.took_ms);
    let mut out = format!(
        "### {} {}: {} passed",
        if t.good() { "✅" } else { "❌" },
        escaped(&summary.project),
        count(t.passed, "scenario"),
    );
    for (n, what) in [
        (t.failed, "failed"),
        (t.timed_out, "timed out"),
        (t.errored + t.not_run, "with errors"),
        (t.skipped, "skipped"),
        (t.flaky, "flaky"),
    ] {
        if n > 0 {
            let _ = write!(out, ", {n} {what}");
        }
    }
    let _ = writeln!(out, " in {}\n", time_of(took));
    for case in &summary.cases {
        if matches!(case.verdict(), Outcome::Passed | Outcome::Skipped) {
            continue;
        }
        let text = failure::explain(summary, case, Look::PLAIN, Depth::SCREEN);
        let _ = writeln!(
            out,
            "<details><summary>{} <b>{}</b> {}</summary>\n\n<pre>{}</pre>\n</details>\n",
            word(case.verdict()),
            escaped(&case.id.name),
            escaped(&case.id.file),
            escaped(&text)
        );
    }
    out
}

fn escaped(text: &str) -> String {
    visible(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
