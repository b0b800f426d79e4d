//! Log lines as a person reads them: structured ones unfolded, those that tell of trouble kept.

use std::fmt::Write as _;

use prodmirror_model::summary::LogLine;
use serde_json::{Map, Value};

/// Names under which loggers write a line's level.
const LEVEL: &[&str] = &["level", "severity", "lvl", "levelname", "log.level"];
/// Names under which loggers write a line's message.
const MESSAGE: &[&str] = &["message", "msg", "event", "ev"];
/// What a reader does not need beside the service's name and the moment.
const KNOWN: &[&str] = &[
    "time",
    "timestamp",
    "ts",
    "@timestamp",
    "asctime",
    "service",
    "release",
    "version",
    "logger",
    "hostname",
    "pid",
    "v",
];
/// Characters of a value that is likely an identity of a machine's making.
const LONG: usize = 24;
/// Words that tell of trouble, in lower case.
const TROUBLE: &[&str] = &[
    "error",
    "exception",
    "traceback",
    "fatal",
    "panic",
    "warn",
    "critical",
    "refused",
    "denied",
    "failed",
    "failure",
    "timeout",
    "timed out",
];

/// The line, and when it is a JSON object: its level, its message, and the rest as `name=value`.
pub fn readable(line: &str) -> String {
    let structured = line
        .trim_start()
        .starts_with('{')
        .then(|| serde_json::from_str::<Map<String, Value>>(line).ok())
        .flatten();
    let Some(mut fields) = structured else {
        return line.to_owned();
    };
    let mut take = |names: &[&str]| {
        let name = names.iter().find(|n| fields.contains_key(**n))?;
        fields.shift_remove(*name).map(|v| plain(&v))
    };
    let mut out = String::new();
    for part in [take(LEVEL).map(|l| l.to_uppercase()), take(MESSAGE)] {
        if let Some(part) = part.filter(|p| !p.is_empty()) {
            let gap = if out.is_empty() { "" } else { " " };
            let _ = write!(out, "{gap}{part}");
        }
    }
    let mut rest: Vec<(&str, String, u8)> = fields
        .iter()
        .filter(|(name, _)| !KNOWN.contains(&name.as_str()))
        .map(|(name, value)| {
            let value = plain(value);
            match cause(&value) {
                Some(cause) => (name.as_str(), cause.to_owned(), 1),
                None => (
                    name.as_str(),
                    value.clone(),
                    if value.len() > LONG { 2 } else { 0 },
                ),
            }
        })
        .collect();
    // Long ones say little to a reader, and the end of the line may be cut off.
    rest.sort_by_key(|(_, _, last)| *last);
    for (name, value, _) in rest {
        let gap = if out.is_empty() { "" } else { " " };
        let _ = write!(out, "{gap}{name}={value}");
    }
    if out.is_empty() { line.to_owned() } else { out }
}

/// Of a traceback of Python the error that it ends with.
fn cause(text: &str) -> Option<&str> {
    if !text.starts_with("Traceback (most recent call last)") {
        return None;
    }
    let (_, frame) = text.rsplit_once("\n  File \"")?;
    let mut after = frame.lines().skip(1);
    after.find(|l| !l.is_empty() && !l.starts_with(' '))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    }
}

fn tells_of_trouble(line: &LogLine) -> bool {
    let text = line.line.to_lowercase();
    TROUBLE.iter().any(|word| text.contains(word))
}

/// At most `limit` of the lines, in their order: those that tell of trouble before others,
/// later ones before earlier ones. `None` stands where lines were left out.
pub fn telling<'a>(lines: &[&'a LogLine], limit: usize) -> Vec<Option<&'a LogLine>> {
    let mut ranked: Vec<usize> = (0..lines.len()).collect();
    ranked.sort_by_key(|&i| (!tells_of_trouble(lines[i]), std::cmp::Reverse(i)));
    ranked.truncate(limit);
    ranked.sort_unstable();
    let mut out = Vec::with_capacity(ranked.len() + 2);
    let mut next = 0;
    for i in ranked {
        if i != next {
            out.push(None);
        }
        out.push(Some(lines[i]));
        next = i + 1;
    }
    if next != lines.len() {
        out.push(None);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structured_lines_are_unfolded() {
        for (line, want) in [
            ("plain text", "plain text"),
            (
                r#"{"time":"2026-01-01T00:00:00Z","level":"info","message":"order paid","order_id":7,"ok":true}"#,
                "INFO order paid order_id=7 ok=true",
            ),
            (
                r#"{"msg":"x","items":[1,{"a":null}]}"#,
                r#"x items=[1,{"a":null}]"#,
            ),
            (
                r#"{"id":"0123456789abcdef0123456789abcdef","status":201}"#,
                "status=201 id=0123456789abcdef0123456789abcdef",
            ),
            (
                r#"{"msg":"failed","id":"0123456789abcdef0123456789abcdef","error":"Traceback (most recent call last):\n  File \"/a.py\", line 1, in f\n    g()\nKeyError: 'x'\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/a.py\", line 3, in f\n    h()\n    ^^^\nSyntaxError: at \":\"\nLINE 3:   x\n     ^"}"#,
                r#"failed error=SyntaxError: at ":" id=0123456789abcdef0123456789abcdef"#,
            ),
            (
                r#"{"msg":"x","error":"Traceback (most recent call last), cut"}"#,
                "x error=Traceback (most recent call last), cut",
            ),
            (r#"{"time":"now"}"#, r#"{"time":"now"}"#),
            (r#"{"broken": "#, r#"{"broken": "#),
            ("{}", "{}"),
            ("[1]", "[1]"),
        ] {
            assert_eq!(readable(line), want);
        }
    }

    #[test]
    fn trouble_stays_and_gaps_are_shown() {
        let all: Vec<LogLine> = (0..10)
            .map(|i| LogLine {
                ms: i,
                service: "web".into(),
                replica: 1,
                stream: "stdout".into(),
                line: if i == 2 {
                    "Traceback (most".into()
                } else {
                    format!("line {i}")
                },
            })
            .collect();
        let lines: Vec<&LogLine> = all.iter().collect();
        let shown: Vec<Option<u64>> = telling(&lines, 3).iter().map(|l| l.map(|l| l.ms)).collect();
        assert_eq!(shown, [None, Some(2), None, Some(8), Some(9)]);
        assert_eq!(telling(&lines, 10).len(), 10);
        assert!(telling(&[], 3).is_empty());
    }
}
