//! The differences as one JSON document.

use std::collections::BTreeMap;

use prodmirror_model::compare::{Change, Shown};
use serde_json::{Value, json};

use super::Report;
use super::side::Environment;

/// Version of the document's shape.
const VERSION: u32 = 1;

/// All differences.
pub fn text(report: &Report<'_>) -> String {
    let mut totals: BTreeMap<&str, usize> = BTreeMap::new();
    for c in &report.comparison.changes {
        *totals.entry(c.aspect).or_default() += 1;
    }
    let changes: Vec<Value> = report
        .comparison
        .changes
        .iter()
        .map(|c| one(c, report))
        .collect();
    let document = json!({
        "version": VERSION,
        "a": side(report.a),
        "b": side(report.b),
        "totals": totals,
        "changes": changes,
    });
    format!("{document}\n")
}

fn side(e: &Environment) -> Value {
    json!({ "name": e.name, "root": e.prefix })
}

fn one(c: &Change, report: &Report<'_>) -> Value {
    let redact = |t: &str| report.redactor.redact(t).into_owned();
    let shown = |s: &Option<Shown>| {
        s.as_ref()
            .map(|s| json!({ "text": redact(&s.text), "place": s.place }))
    };
    json!({
        "object": c.object,
        "aspect": c.aspect,
        "field": c.field,
        "kind": c.kind,
        "a": shown(&c.left),
        "b": shown(&c.right),
        "means": redact(&c.means),
        "diff": c.diff.iter().map(|l| redact(l)).collect::<Vec<_>>(),
    })
}
