//! `explain`: where a value of production comes from, and what the stack makes of it.

use std::fmt::Write as _;

use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::event::Place;
use prodmirror_model::explain::{Explained, explain};
use prodmirror_model::fidelity::{Class, Record};
use prodmirror_model::plain::visible;
use prodmirror_model::redact::Redactor;
use prodmirror_model::source::Span;
use serde_json::{Value, json};

use super::Session;
use super::engine::host_arch;
use crate::args::{ExplainArgs, Format};
use crate::exit::Exit;
use crate::explain as drawing;
use crate::open::Opened;

/// Explains one value. What is wrong elsewhere in the project does not matter here.
pub fn run(session: &Session, args: &ExplainArgs) -> Exit {
    let opened = match Opened::open(&session.global, &session.context, host_arch()) {
        Ok(opened) => opened,
        Err(problems) => {
            session.tell(&problems, &Redactor::new());
            return Exit::Invalid;
        }
    };
    let redactor = &opened.redactor;
    let explained = match explain(&opened.project, &opened.compiled, &args.path) {
        Ok(explained) => explained,
        Err(problem) => {
            session.tell(&Problems::from(problem), redactor);
            return Exit::Invalid;
        }
    };
    if session.global.format == Format::Json {
        let mut value = as_json(&explained);
        drawing::redact_value(&mut value, redactor);
        session.print(&format!("{value}\n"));
    } else {
        session.print(&human(session, &explained, redactor));
    }
    Exit::Ok
}

fn as_json(e: &Explained) -> Value {
    let place = |span: &Span| span.is_real().then(|| Place::from(span));
    let history: Vec<Value> = e
        .history
        .iter()
        .map(|step| json!({ "what": step.what, "place": place(&step.span) }))
        .collect();
    json!({
        "path": e.path,
        "value": e.value,
        "place": place(&e.span),
        "history": history,
        "stack": e.stack,
        "fidelity": e.records,
    })
}

fn human(session: &Session, e: &Explained, redactor: &Redactor) -> String {
    let said = format!("{} = {}", e.path, shown(&e.value));
    // Only the drawing is used; nothing is wrong here.
    let mut places = Problem::at(ProblemKind::Deprecated, &first_line(&e.span), said)
        .warning()
        .label("production says it here");
    for step in &e.history {
        if step.span.is_real() {
            places = places.related(&first_line(&step.span), &step.what);
        }
    }
    let mut out = drawing::places(&places, session.look(), redactor);
    let mut tail = String::new();
    for step in e.history.iter().filter(|s| !s.span.is_real()) {
        let _ = writeln!(tail, "{}", step.what);
    }
    match &e.stack {
        Some(stack) => {
            let _ = writeln!(tail, "in the stack: {}", shown(stack));
        }
        None => tail.push_str("in the stack: the same\n"),
    }
    if e.records.is_empty() {
        tail.push_str("fidelity: nothing differs from production\n");
    } else {
        tail.push_str("fidelity:\n");
    }
    for r in &e.records {
        tail.push_str(&record(r));
    }
    out.push_str(&visible(&redactor.redact(&tail)));
    out
}

/// A value on one line; texts without quotes.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The first line of a place: a whole service would be all that is seen.
fn first_line(span: &Span) -> Span {
    if span.end_line <= span.line {
        return span.clone();
    }
    Span::in_line(&span.file, span.line, span.col, 1)
}

fn record(r: &Record) -> String {
    let class = match r.class {
        Class::Mirrored => "mirrored",
        Class::Substituted => "substituted",
        Class::Dropped => "dropped",
        Class::Unknown => "unknown",
    };
    let mut line = format!("  {} is {class} ({})", r.field, r.severity);
    if !r.actual.is_empty() {
        let _ = write!(line, " by {}", r.actual);
    }
    if !r.reason.is_empty() {
        let _ = write!(line, ": {}", r.reason);
    }
    if let Some(because) = &r.accepted {
        let _ = write!(line, " (accepted: {because})");
    }
    line.push('\n');
    line
}
