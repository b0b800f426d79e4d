//! The findings as one JSON document.

use prodmirror_model::audit::Finding;
use serde_json::{Value, json};

use super::{Report, words};

/// Version of the document's shape.
const VERSION: u32 = 1;

/// All findings, those that are suppressed too.
pub fn text(report: &Report<'_>) -> String {
    let totals: serde_json::Map<String, Value> = report
        .audit
        .totals()
        .into_iter()
        .map(|(severity, n)| (severity.to_string(), json!(n)))
        .collect();
    let findings: Vec<Value> = report
        .audit
        .findings
        .iter()
        .map(|f| one(f, report))
        .collect();
    let warnings: Vec<Value> = report
        .audit
        .warnings
        .0
        .iter()
        .filter_map(|p| serde_json::to_value(p).ok())
        .collect();
    let document = json!({
        "version": VERSION,
        "base": report.base,
        "totals": totals,
        "suppressed": report.audit.findings.iter().filter(|f| f.suppressed.is_some()).count(),
        "findings": findings,
        "warnings": warnings,
    });
    format!("{document}\n")
}

fn one(f: &Finding, report: &Report<'_>) -> Value {
    let mut v = serde_json::to_value(f).unwrap_or(Value::Null);
    let (message, why, fix) = words(f, report.redactor);
    v["message"] = json!(message);
    v["why"] = json!(why);
    v["fix"] = json!(fix);
    v["related"] = f
        .related
        .iter()
        .map(|(span, what)| {
            let what = report.redactor.redact(what);
            json!({ "file": span.file.name, "line": span.line, "column": span.col, "what": what })
        })
        .collect();
    v
}
