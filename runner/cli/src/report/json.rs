//! The outcome of a run as one JSON document, for programs.

use std::io;

use prodmirror_model::event::Outcome;
use prodmirror_model::summary::{Case, Status, Step, Summary};
use serde_json::{Value, json};

use super::{Kind, Reporter, Target};

/// One JSON document.
pub const KIND: Kind = Kind {
    name: "json",
    help: "one JSON document: totals, cases, steps, what did not hold",
    make: |target| Box::new(Json { target }),
};

struct Json {
    target: Target,
}

impl Reporter for Json {
    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(&document(summary)).map_err(io::Error::other)?;
        text.push(b'\n');
        self.target.put(&text)
    }
}

fn document(summary: &Summary) -> Value {
    let t = summary.totals();
    json!({
        "v": 1,
        "run": summary.run,
        "version": summary.version,
        "project": summary.project,
        "seed": summary.seed,
        "started": summary.started,
        "took_ms": summary.end.map_or(summary.last_ms, |e| e.took_ms),
        "finished": summary.end.is_some(),
        "clean": summary.end.map(|e| e.clean),
        "interrupted": summary.end.map(|e| e.interrupted),
        "exit": summary.end.map(|e| e.exit),
        "totals": {
            "all": t.all(),
            "passed": t.passed,
            "failed": t.failed,
            "errored": t.errored,
            "timed_out": t.timed_out,
            "skipped": t.skipped,
            "not_run": t.not_run,
            "flaky": t.flaky,
        },
        "properties": summary.properties,
        "cases": summary.cases.iter().map(case).collect::<Vec<_>>(),
        "egress": summary.egress.iter().map(|e| json!({
            "stack": e.stack,
            "service": e.service,
            "protocol": e.protocol,
            "target": e.target,
            "by": e.by,
            "count": e.count,
        })).collect::<Vec<_>>(),
        "warnings": summary.warnings,
    })
}

fn case(c: &Case) -> Value {
    json!({
        "file": c.id.file,
        "name": c.id.name,
        "outcome": match c.status {
            Status::Ended(o) => outcome(o),
            Status::NotRun => "not_run",
            Status::Running => "not_finished",
        },
        "flaky": c.is_flaky(),
        "attempts": c.earlier.len() + usize::from(c.status != Status::NotRun),
        "took_ms": c.took_ms,
        "reason": (c.verdict() != Outcome::Passed).then(|| c.why()),
        "rerun": c.rerun,
        "stack": c.stack,
        "steps": c.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

fn step(s: &Step) -> Value {
    json!({
        "position": s.position,
        "title": s.title,
        "kind": s.kind,
        "place": s.place,
        "outcome": s.outcome.map(outcome),
        "took_ms": s.took_ms,
        "attempts": s.attempts,
        "error": s.error,
        "mismatches": s.mismatches,
    })
}

fn outcome(o: Outcome) -> &'static str {
    match o {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Errored => "errored",
        Outcome::TimedOut => "timed_out",
        Outcome::Skipped => "skipped",
    }
}
