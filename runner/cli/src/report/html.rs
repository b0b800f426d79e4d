//! A report to look at: one HTML file that needs nothing else.

use std::io;

use prodmirror_model::event::Outcome;
use prodmirror_model::plain::visible;
use prodmirror_model::summary::{Attempt, Case, LogLine, Stack, Status, Step, Summary};
use serde_json::{Value, json};

use super::look::{count, time, time_of, word};
use super::{Kind, Reporter, Target};

/// One HTML file.
pub const KIND: Kind = Kind {
    name: "html",
    help: "one HTML file that needs nothing else",
    make: |target| Box::new(Html { target }),
};

const NAME: &str = "report.html";
const TEMPLATE: &str = include_str!("../../../../templates/report.html.tera");

struct Html {
    target: Target,
}

impl Reporter for Html {
    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        self.target.put(render(summary)?.as_bytes())
    }
}

fn render(summary: &Summary) -> io::Result<String> {
    let mut tera = tera::Tera::default();
    tera.autoescape_on(vec![".html"]);
    tera.add_raw_template(NAME, TEMPLATE)
        .map_err(|e| io::Error::other(e.to_string()))?;
    let context = tera::Context::from_serialize(&document(summary))
        .map_err(|e| io::Error::other(e.to_string()))?;
    tera.render(NAME, &context)
        .map_err(|e| io::Error::other(e.to_string()))
}

/// All that the template shows, as text that is ready to be shown.
fn document(summary: &Summary) -> Value {
    let t = summary.totals();
    let span = summary.last_ms.max(1) as f64;
    json!({
        "project": show(&summary.project),
        "run": show(&summary.run),
        "version": show(&summary.version),
        "seed": summary.seed.to_string(),
        "started": summary.started.map_or_else(String::new, |t| {
            t.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
        }),
        "took": time_of(summary.end.map_or(summary.last_ms, |e| e.took_ms)),
        "good": t.good(),
        "ended": summary.end.is_some(),
        "interrupted": summary.end.is_some_and(|e| e.interrupted),
        "unclean": summary.end.is_some_and(|e| !e.clean),
        "all": count(t.all(), "scenario"),
        "totals": totals(summary),
        "timeline": timeline(summary, span),
        "suites": summary.suites().iter().map(|(file, cases)| json!({
            "file": show(file),
            "cases": cases.iter().map(|c| case(summary, c)).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "stacks": summary.stacks.iter().map(stack).collect::<Vec<_>>(),
        "egress": summary.egress.iter().map(|e| json!({
            "service": show(&e.service),
            "target": show(&e.target),
            "by": show(&e.by),
            "protocol": show(&e.protocol),
            "count": e.count.to_string(),
        })).collect::<Vec<_>>(),
        "warnings": summary.warnings.iter().map(|w| show(w)).collect::<Vec<_>>(),
        "properties": summary.properties.iter()
            .map(|(k, v)| json!({ "name": show(k), "value": show(v) }))
            .collect::<Vec<_>>(),
    })
}

/// Numbers are given as text: the JSON library keeps them in a form that templates cannot read.
fn totals(summary: &Summary) -> Vec<Value> {
    let t = summary.totals();
    [
        (t.passed, "passed", "good"),
        (t.failed, "failed", "bad"),
        (t.timed_out, "timed out", "bad"),
        (t.errored, "errors", "bad"),
        (t.not_run, "not run", "bad"),
        (t.skipped, "skipped", "notice"),
        (t.flaky, "flaky", "notice"),
    ]
    .into_iter()
    .filter(|(n, ..)| *n > 0)
    .map(|(n, word, class)| json!({ "n": n.to_string(), "word": word, "class": class }))
    .collect()
}

/// Bars over the time of the run, in percent: stacks while they start, cases while they run.
fn timeline(summary: &Summary, span: f64) -> Vec<Value> {
    let bar = |label: String, class: &str, from: u64, took: u64| {
        let from_percent = (from as f64 / span * 100.0).clamp(0.0, 100.0);
        let width = (took as f64 / span * 100.0).clamp(0.2, 100.0 - from_percent.min(99.8));
        json!({
            "label": label,
            "class": class,
            "from": format!("{from_percent:.2}"),
            "width": format!("{width:.2}"),
            "took": time_of(took),
        })
    };
    let stacks = summary.stacks.iter().map(|s| {
        let took = s
            .ready_ms
            .unwrap_or_else(|| if s.failure.is_some() { 1 } else { 0 });
        let class = if s.failure.is_some() { "bad" } else { "start" };
        (
            s.started_ms,
            bar(
                format!("start {}", show(&s.name)),
                class,
                s.started_ms,
                took,
            ),
        )
    });
    let cases = summary.cases.iter().filter_map(|c| {
        let from = c.started_ms?;
        let took = match c.status {
            Status::Ended(_) => c.took_ms,
            _ => summary.last_ms.saturating_sub(from),
        };
        Some((from, bar(show(&c.id.name), class(c.verdict()), from, took)))
    });
    let mut all: Vec<(u64, Value)> = stacks.chain(cases).collect();
    all.sort_by_key(|(from, _)| *from);
    all.into_iter().map(|(_, v)| v).collect()
}

fn case(summary: &Summary, c: &Case) -> Value {
    let failure = summary.stack_failure(c);
    json!({
        "name": show(&c.id.name),
        "word": if matches!(c.status, Status::Ended(_)) { word(c.verdict()) } else { "NOT RUN" },
        "class": class(c.verdict()),
        "open": !matches!(c.verdict(), Outcome::Passed | Outcome::Skipped),
        "flaky": c.is_flaky(),
        "took": time_of(c.took_ms),
        "why": show(&c.why()),
        "rerun": c.rerun.as_deref().map(show),
        "stack": c.stack.as_deref().map(show),
        "stack_failure": failure.map(|f| json!({
            "service": f.service.as_deref().map(show),
            "reason": show(&f.reason),
            "log": show(&f.log.join("\n")),
        })),
        "steps": c.steps.iter().map(|s| step(summary, s)).collect::<Vec<_>>(),
        "earlier": c.earlier.iter().map(attempt).collect::<Vec<_>>(),
    })
}

fn attempt(a: &Attempt) -> Value {
    json!({
        "word": a.outcome.map_or("CUT OFF", word),
        "took": time_of(a.took_ms),
        "why": show(&a.why()),
    })
}

fn step(summary: &Summary, s: &Step) -> Value {
    json!({
        "position": show(&s.position),
        "title": show(&s.title),
        "kind": show(&s.kind),
        "word": s.outcome.map_or("CUT OFF", word),
        "class": s.outcome.map_or("notice", class),
        "bad": s.is_bad(),
        "took": time(s.took_ms),
        "attempts": (s.attempts > 1).then(|| s.attempts.to_string()),
        "place": s.place.as_ref().map(|p| format!("{}:{}", show(&p.file), p.line)),
        "error": s.error.as_deref().map(show),
        "mismatches": s.mismatches.iter().map(|m| json!({
            "expectation": show(&m.expectation),
            "expected": show(&m.expected),
            "actual": show(&m.actual),
            "path": m.path.as_deref().map(show),
            "hint": m.hint.as_deref().map(show),
            "place": m.place.as_ref()
                .map(|p| format!("{}:{}:{}", show(&p.file), p.line, p.column)),
            "source": m.place.as_ref()
                .and_then(|p| summary.source_line(&p.file, p.line))
                .map(show),
        })).collect::<Vec<_>>(),
        "evidence": s.evidence.iter().filter(|e| !e.text.is_empty()).map(|e| json!({
            "title": show(&e.title),
            "text": show(&e.text),
        })).collect::<Vec<_>>(),
        "logs": lines(s.logs.iter()),
    })
}

fn stack(s: &Stack) -> Value {
    json!({
        "name": show(&s.name),
        "ready": s.ready_ms.map(time_of),
        "stopped": s.stopped_ms.map(time_of),
        "failed": s.failure.is_some(),
        "services": s.services.iter().map(|v| json!({
            "name": show(&v.name),
            "state": v.state().map_or_else(|| "not started".into(), |x| {
                format!("{x:?}").to_lowercase()
            }),
        })).collect::<Vec<_>>(),
        "log": lines(s.log.iter()),
    })
}

fn lines<'a>(all: impl Iterator<Item = &'a LogLine>) -> Vec<Value> {
    all.map(|l| {
        json!({
            "at": format!("{:.3}", l.ms as f64 / 1000.0),
            "who": format!("{}-{}", show(&l.service), l.replica),
            "text": show(&l.line),
        })
    })
    .collect()
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "good",
        Outcome::Skipped => "notice",
        Outcome::Failed | Outcome::Errored | Outcome::TimedOut => "bad",
    }
}

/// Text as HTML can hold it: two code points are no characters there either.
fn show(text: &str) -> String {
    visible(text).replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
