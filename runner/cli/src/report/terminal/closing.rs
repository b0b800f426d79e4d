//! The last words about a run.

use prodmirror_model::event::Outcome;
use prodmirror_model::plain::visible;
use prodmirror_model::summary::{Case, Status};

use super::Terminal;
use crate::report::look::{Look, count, short, time_of};

impl Terminal {
    /// Totals, each case that did not pass, what is left, and where the reports are.
    pub(super) fn end(&self) -> String {
        let s = &self.summary;
        let mut out = String::new();
        if !s.cases.is_empty() {
            let rule = "─".repeat(self.look.width.clamp(20, 100));
            out.push_str(&format!("{}\n", self.look.faint(&rule)));
            out.push_str(&self.totals());
            for case in &s.cases {
                if !matches!(case.verdict(), Outcome::Passed | Outcome::Skipped) {
                    out.push_str(&self.reminder(case));
                }
            }
        }
        if let Some(end) = s.end {
            if end.interrupted {
                out.push_str(&self.note("stopped", "the run was interrupted"));
            }
            if !end.clean {
                out.push_str(&self.note(
                    "left",
                    "not everything could be removed from the engine; `prodmirror gc` tries again",
                ));
            }
        }
        for (kind, path) in &self.reports {
            let kind = self.look.faint(&format!("{kind:>7}"));
            out.push_str(&format!("{kind} {}\n", path.display()));
        }
        out
    }

    fn totals(&self) -> String {
        let t = self.summary.totals();
        let took = self.summary.end.map_or(self.summary.last_ms, |e| e.took_ms);
        let look = self.look;
        let errors = if t.errored == 1 { "error" } else { "errors" };
        let mut parts = Vec::new();
        let mut part = |n: usize, what: &str, paint: fn(Look, &str) -> String| {
            if n > 0 {
                parts.push(paint(look, &format!("{n} {what}")));
            }
        };
        let passed = match t.flaky {
            0 => "passed".to_owned(),
            n => format!("passed ({n} flaky)"),
        };
        part(t.passed, &passed, Look::good);
        part(t.failed, "failed", Look::alarm);
        part(t.timed_out, "timed out", Look::alarm);
        part(t.errored, errors, Look::alarm);
        part(t.not_run, "not run", Look::alarm);
        part(t.skipped, "skipped", Look::notice);
        format!(
            "{} [{:>9}] {}: {}\n",
            look.strong("Summary"),
            time_of(took),
            count(t.all(), "scenario"),
            parts.join(", ")
        )
    }

    fn reminder(&self, case: &Case) -> String {
        let room = self.look.width.saturating_sub(8).max(40);
        let why = visible(&case.why()).replace('\n', " ");
        let verdict = if matches!(case.status, Status::Ended(_)) {
            self.look.verdict(case.verdict())
        } else {
            self.look.notice("NOT RUN")
        };
        format!(
            "{verdict} {}  {}\n        {}\n",
            self.look.faint(&visible(&case.id.file)),
            visible(&case.id.name).replace('\n', " "),
            self.look.faint(&short(&why, room))
        )
    }
}
