//! The problems as SARIF 2.1.0, the format of code scanning.

use prodmirror_model::diag::Problem;
use prodmirror_model::plain::visible;
use prodmirror_model::source::Span;
use serde_json::{Map, Value, json};

use super::rules::{self, RULES, Rule};
use super::{Paths, Report};
use crate::cmd::audit::uri;

/// One run with all rules and all problems.
pub fn text(report: &Report<'_>) -> String {
    let problems = &report.problems.0;
    let results: Vec<Value> = problems.iter().map(|p| result(p, report)).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "prodmirror",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": RULES.iter().map(rule).collect::<Vec<_>>(),
            }},
            "automationDetails": { "id": format!("prodmirror/check/{}/", report.paths.project()) },
            // Columns count characters, not UTF-16 units.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{document}\n")
}

fn rule(r: &Rule) -> Value {
    json!({
        "id": r.id,
        "shortDescription": { "text": r.what },
        "fullDescription": { "text": format!("{}.", r.what) },
        "help": { "text": format!("{}.", r.fix) },
        "defaultConfiguration": { "level": "error" },
    })
}

fn result(p: &Problem, report: &Report<'_>) -> Value {
    let clean = |text: &str| visible(&report.redactor.redact(text)).into_owned();
    let id = rules::id(p.kind);
    let mut message = clean(&p.message);
    if let Some(help) = &p.help {
        message = format!("{message}\nWhat to do: {}", clean(help));
    }
    let mut out = Map::new();
    out.insert("ruleId".into(), json!(id));
    let index = RULES.iter().position(|r| r.id == id);
    out.insert("ruleIndex".into(), json!(index));
    let level = if p.is_error() { "error" } else { "warning" };
    out.insert("level".into(), json!(level));
    out.insert("message".into(), json!({ "text": message }));
    let place = match &p.span {
        Some(span) => physical(span, &report.paths),
        // Viewers drop results without a place; what is of no line is of the project.
        None => json!({
            "artifactLocation": { "uri": uri(&report.paths.project()) },
            "region": { "startLine": 1 },
        }),
    };
    out.insert("locations".into(), json!([{ "physicalLocation": place }]));
    let related: Vec<Value> = p
        .related
        .iter()
        .enumerate()
        .map(|(id, (span, what))| {
            json!({
                "id": id,
                "physicalLocation": physical(span, &report.paths),
                "message": { "text": clean(what) },
            })
        })
        .collect();
    if !related.is_empty() {
        out.insert("relatedLocations".into(), json!(related));
    }
    Value::Object(out)
}

fn physical(span: &Span, paths: &Paths) -> Value {
    let mut region = json!({ "startLine": span.line, "startColumn": span.col.max(1) });
    if span.end_line > span.line || (span.end_line == span.line && span.end_col > span.col) {
        region["endLine"] = json!(span.end_line);
        region["endColumn"] = json!(span.end_col);
    }
    json!({
        "artifactLocation": { "uri": uri(&paths.whole(&span.file.name)) },
        "region": region,
    })
}

impl Paths {
    /// The project file as the repository calls it.
    fn project(&self) -> String {
        self.whole(&self.project)
    }
}
