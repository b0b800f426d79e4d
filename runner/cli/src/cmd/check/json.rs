//! The problems as one JSON document.

use prodmirror_model::diag::Problem;
use prodmirror_model::source::Span;
use serde_json::{Value, json};

use super::{Report, rules};
use crate::explain::redact_value;

/// All problems, with all their places.
pub fn text(report: &Report<'_>) -> String {
    let problems = &report.problems.0;
    let errors = problems.iter().filter(|p| p.is_error()).count();
    let all: Vec<Value> = problems.iter().map(|p| one(p, report)).collect();
    let mut document = json!({
        "errors": errors,
        "warnings": problems.len() - errors,
        "problems": all,
    });
    if let Some(fidelity) = report.fidelity {
        let mut value = serde_json::to_value(fidelity).unwrap_or(Value::Null);
        redact_value(&mut value, report.redactor);
        document["fidelity"] = value;
    }
    format!("{document}\n")
}

fn one(p: &Problem, report: &Report<'_>) -> Value {
    let related: Vec<Value> = p
        .related
        .iter()
        .map(|(span, what)| {
            let mut v = place(span);
            v["message"] = json!(what);
            v
        })
        .collect();
    // The fields that every command writes, and what only programs want.
    let mut v = serde_json::to_value(p).unwrap_or(Value::Null);
    v["rule"] = json!(rules::id(p.kind));
    v["end_line"] = json!(p.span.as_ref().map(|s| s.end_line));
    v["end_column"] = json!(p.span.as_ref().map(|s| s.end_col));
    v["related"] = json!(related);
    redact_value(&mut v, report.redactor);
    v
}

fn place(span: &Span) -> Value {
    json!({
        "file": span.file.name,
        "line": span.line,
        "column": span.col,
        "end_line": span.end_line,
        "end_column": span.end_col,
    })
}
