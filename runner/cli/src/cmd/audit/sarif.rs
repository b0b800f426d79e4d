//! The findings as SARIF 2.1.0, the format of code scanning.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use prodmirror_model::audit::{Finding, RULES, Rule};
use prodmirror_model::fidelity::Severity;
use prodmirror_model::source::Span;
use serde_json::{Map, Value, json};

use super::{Report, words};

/// What a path may not hold in a URI.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b':');

/// One run with all rules and all findings.
pub fn text(report: &Report<'_>) -> String {
    let results: Vec<Value> = report
        .audit
        .findings
        .iter()
        .map(|f| result(f, report))
        .collect();
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
            "automationDetails": { "id": format!("prodmirror/audit/{}/", name(report)) },
            // Columns count characters, not UTF-16 units.
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    format!("{document}\n")
}

/// The project file as the repository calls it: it tells the audits of several projects apart.
fn name(report: &Report<'_>) -> String {
    report.path(&report.project.file.name)
}

fn rule(r: &Rule) -> Value {
    json!({
        "id": r.id,
        "shortDescription": { "text": r.what },
        "fullDescription": { "text": format!("{}: {}.", capital(r.what), r.why) },
        "help": {
            "text": format!("{}. What to do: {}.", capital(r.why), r.fix),
            "markdown": format!("{}.\n\n**What to do:** {}.", capital(r.why), r.fix),
        },
        "defaultConfiguration": { "level": level(r.severity) },
        "properties": {
            "severity": r.severity,
            "security-severity": score(r.severity),
            "tags": ["production", "configuration"],
        },
    })
}

fn result(f: &Finding, report: &Report<'_>) -> Value {
    let (message, why, fix) = words(f, report.redactor);
    let mut out = Map::new();
    out.insert("ruleId".into(), json!(f.rule.id));
    let index = RULES.iter().position(|r| r.id == f.rule.id);
    out.insert("ruleIndex".into(), json!(index));
    out.insert("level".into(), json!(level(f.severity)));
    let text = format!(
        "{}. {}. What to do: {fix}",
        capital(&message),
        capital(&why)
    );
    out.insert("message".into(), json!({ "text": text }));
    out.insert("locations".into(), json!([location(f, report)]));
    let related: Vec<Value> = f
        .related
        .iter()
        .enumerate()
        .map(|(id, (span, what))| {
            json!({
                "id": id,
                "physicalLocation": physical(span, report),
                "message": { "text": report.redactor.redact(what) },
            })
        })
        .collect();
    if !related.is_empty() {
        out.insert("relatedLocations".into(), json!(related));
    }
    let prints = BTreeMap::from([("prodmirrorFinding/v1", &f.fingerprint)]);
    out.insert("partialFingerprints".into(), json!(prints));
    if report.base.is_some() {
        out.insert("baselineState".into(), json!("new"));
    }
    if let Some(because) = &f.suppressed {
        let because = report.redactor.redact(because);
        out.insert(
            "suppressions".into(),
            json!([{ "kind": "external", "status": "accepted", "justification": because }]),
        );
    }
    out.insert(
        "properties".into(),
        json!({ "severity": f.severity, "object": f.object, "field": f.field }),
    );
    Value::Object(out)
}

fn location(f: &Finding, report: &Report<'_>) -> Value {
    let mut out = Map::new();
    // What no line says is shown at the project file: viewers drop results without a place.
    let physical = if f.span.is_real() {
        physical(&f.span, report)
    } else {
        json!({
            "artifactLocation": { "uri": uri(&name(report)) },
            "region": { "startLine": 1 },
        })
    };
    out.insert("physicalLocation".into(), physical);
    out.insert(
        "logicalLocations".into(),
        json!([{ "fullyQualifiedName": format!("{}.{}", f.object, f.field), "kind": "member" }]),
    );
    Value::Object(out)
}

fn physical(span: &Span, report: &Report<'_>) -> Value {
    let mut region = json!({ "startLine": span.line, "startColumn": span.col.max(1) });
    if span.end_line > span.line || (span.end_line == span.line && span.end_col > span.col) {
        region["endLine"] = json!(span.end_line);
        region["endColumn"] = json!(span.end_col);
    }
    json!({
        "artifactLocation": { "uri": uri(&report.path(&span.file.name)) },
        "region": region,
    })
}

/// A path as a URI that is relative to the repository.
pub fn uri(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info | Severity::Low => "note",
        Severity::Medium => "warning",
        Severity::High | Severity::Blocker => "error",
    }
}

/// The number by which GitHub sorts results that concern security.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "0.0",
        Severity::Low => "2.0",
        Severity::Medium => "5.0",
        Severity::High => "7.5",
        Severity::Blocker => "9.0",
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
