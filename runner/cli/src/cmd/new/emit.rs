//! A draft as the text of a scenario file.

use std::fmt::Write as _;

use prodmirror_model::yaml::{Value as Yaml, resolve_plain};
use serde_json::Value as Json;

use super::draft::{Auth, Body, Draft, Sql, Step, template};

/// How long a value in one line may be.
const WIDTH: usize = 96;

/// The whole file.
pub fn file(draft: &Draft, name: &str) -> String {
    let mut out = String::new();
    for line in &draft.about {
        let _ = writeln!(out, "# {}", one_line(line));
    }
    let secrets: Vec<&str> = draft.secrets.names().collect();
    if !secrets.is_empty() {
        out.push_str(
            "# Values that do not belong into a file; mirror.yaml gives them, for example:\n",
        );
        let all: Vec<String> = secrets
            .iter()
            .map(|s| format!("{s}: {{ stub: … }}"))
            .collect();
        let _ = writeln!(out, "#   secrets: {{ {} }}", all.join(", "));
    }
    if !out.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(out, "scenario: {}", plain(name));
    if !draft.vars.is_empty() {
        out.push_str("vars:\n");
        for (name, value) in &draft.vars {
            let _ = writeln!(out, "  {name}:{}", value_of(value, 2));
        }
    }
    out.push_str("steps:\n");
    for (i, step) in draft.steps.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        one(step, &mut out);
    }
    out
}

fn one(step: &Step, out: &mut String) {
    for note in &step.notes {
        let _ = writeln!(out, "  # {}", one_line(note));
    }
    let mut lines: Vec<String> = Vec::new();
    if let Some(name) = &step.name {
        lines.push(format!("name: {}", plain(name)));
    }
    if let Some(timeout) = &step.timeout {
        lines.push(format!("timeout: {timeout}"));
    }
    lines.push(step.sql.as_ref().map_or_else(|| http(step), sql));
    if !step.expect.is_empty() || step.schema.is_some() {
        let mut text = String::from("expect:");
        for e in &step.expect {
            let _ = write!(text, "\n      - {e}");
        }
        if let Some(schema) = &step.schema {
            let _ = write!(
                text,
                "\n      - jsonpath: $\n        schema:{}",
                literal(schema, 8)
            );
        }
        for hint in &step.hints {
            let _ = write!(text, "\n      # {}", one_line(hint));
        }
        lines.push(text);
    }
    if !step.capture.is_empty() {
        let mut text = String::from("capture:");
        for (name, from) in &step.capture {
            let _ = write!(text, "\n      {name}: {from}");
        }
        lines.push(text);
    }
    for (i, line) in lines.iter().enumerate() {
        let dash = if i == 0 { "  - " } else { "    " };
        let _ = writeln!(out, "{dash}{line}");
    }
}

fn sql(sql: &Sql) -> String {
    let mut keys = vec![
        format!("service: {}", plain(&sql.service)),
        format!("query: {}", quoted(&template(&sql.query))),
    ];
    if !sql.params.is_empty() {
        let all: Vec<String> = sql.params.iter().map(in_line).collect();
        keys.push(format!("params: [{}]", all.join(", ")));
    }
    let one = keys.join(", ");
    if one.len() < WIDTH {
        return format!("sql: {{ {one} }}");
    }
    format!("sql:\n      {}", keys.join("\n      "))
}

fn http(step: &Step) -> String {
    let mut keys: Vec<(&str, String)> = Vec::new();
    let has_body = !matches!(step.body, Body::None);
    let usual = if has_body { "POST" } else { "GET" };
    if step.method != usual {
        keys.push(("method", format!(" {}", plain(&step.method))));
    }
    keys.push(("url", format!(" {}", quoted(&template(&step.url)))));
    if !step.headers.is_empty() {
        let all: Vec<(String, String)> = step
            .headers
            .iter()
            .map(|(n, v)| (plain(n), text(v)))
            .collect();
        keys.push(("headers", mapping(&all, 6)));
    }
    match &step.auth {
        Some(Auth::Basic(user, password)) => {
            let mut inner = format!("user: {}", text(user));
            if let Some(p) = password {
                let _ = write!(inner, ", password: {}", text(p));
            }
            keys.push(("auth", format!(" {{ basic: {{ {inner} }} }}")));
        }
        Some(Auth::Bearer(token)) => keys.push(("auth", format!(" {{ bearer: {} }}", text(token)))),
        None => {}
    }
    match &step.body {
        Body::None => {}
        Body::Json(json) => keys.push(("json", value_of(json, 6))),
        Body::Form(pairs) => {
            let all: Vec<(String, String)> =
                pairs.iter().map(|(n, v)| (plain(n), text(v))).collect();
            keys.push(("form", mapping(&all, 6)));
        }
        Body::Text(body) => keys.push(("body", format!(" {}", quoted(&template(body))))),
    }
    if let Some(n) = step.redirects {
        keys.push(("redirects", format!(" {n}")));
    }
    if step.http2 {
        keys.push(("version", " \"2\"".into()));
    }
    if step.insecure {
        keys.push(("verify", " false".into()));
    }
    if let Some(t) = &step.connect_timeout {
        keys.push(("connect_timeout", format!(" {t}")));
    }
    let one: Vec<String> = keys.iter().map(|(k, v)| format!("{k}:{v}")).collect();
    let one = one.join(", ");
    if one.len() < WIDTH && !one.contains('\n') {
        return format!("http: {{ {one} }}");
    }
    let mut out = String::from("http:");
    for (key, value) in keys {
        let _ = write!(out, "\n      {key}:{value}");
    }
    out
}

/// Names with values that are written already, in one line or one line each.
fn mapping(all: &[(String, String)], indent: usize) -> String {
    let one: Vec<String> = all.iter().map(|(k, v)| format!("{k}: {v}")).collect();
    let line = format!(" {{ {} }}", one.join(", "));
    if line.len() < WIDTH {
        return line;
    }
    let pad = " ".repeat(indent + 2);
    one.iter().map(|l| format!("\n{pad}{l}")).collect()
}

/// A value behind `key:`, whose texts are templates.
pub fn value_of(json: &Json, indent: usize) -> String {
    value(json, indent, &|s| text(s))
}

/// A value in one line, whose texts are templates.
pub fn in_line(json: &Json) -> String {
    flow(json, &|s| text(s))
}

/// A value behind `key:`, whose texts are what they are.
fn literal(json: &Json, indent: usize) -> String {
    value(json, indent, &|s| plain(s))
}

fn value(json: &Json, indent: usize, write: &dyn Fn(&str) -> String) -> String {
    let line = flow(json, write);
    let pad = " ".repeat(indent + 2);
    match json {
        Json::Object(map) if !map.is_empty() && line.len() > WIDTH => map
            .iter()
            .map(|(k, v)| format!("\n{pad}{}:{}", plain(k), value(v, indent + 2, write)))
            .collect(),
        Json::Array(items) if !items.is_empty() && line.len() > WIDTH => items
            .iter()
            .map(|v| {
                let inner = value(v, indent + 4, write);
                // The first key of a mapping stands behind the dash.
                match inner.strip_prefix('\n') {
                    Some(block) => format!("\n{pad}- {}", block.trim_start_matches(' ')),
                    None => format!("\n{pad}-{inner}"),
                }
            })
            .collect(),
        _ => format!(" {line}"),
    }
}

fn flow(json: &Json, write: &dyn Fn(&str) -> String) -> String {
    match json {
        Json::Object(map) if map.is_empty() => "{}".into(),
        Json::Object(map) => {
            let all: Vec<String> = map
                .iter()
                .map(|(k, v)| format!("{}: {}", plain(k), flow(v, write)))
                .collect();
            format!("{{ {} }}", all.join(", "))
        }
        Json::Array(items) => {
            let all: Vec<String> = items.iter().map(|v| flow(v, write)).collect();
            format!("[{}]", all.join(", "))
        }
        Json::String(s) => write(s),
        other => other.to_string(),
    }
}

/// A text with templates in it.
pub fn text(s: &str) -> String {
    plain(&template(s))
}

/// A text, in quotes where it needs them.
pub fn plain(s: &str) -> String {
    let bare = s.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/')
        && s.chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ' '))
        && !s.ends_with(' ')
        && !s.contains("  ");
    // YAML 1.1, which others read, takes these for booleans.
    let word = ["y", "n", "yes", "no", "on", "off"].contains(&s.to_ascii_lowercase().as_str());
    match bare && !word && matches!(resolve_plain(s), Yaml::Str(_)) {
        true => s.to_owned(),
        false => quoted(s),
    }
}

/// A text in double quotes.
pub fn quoted(s: &str) -> String {
    let mut out = String::from("\"");
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Whether YAML gives back exactly this JSON.
pub fn fits(json: &Json) -> bool {
    fn look(json: &Json, depth: usize) -> bool {
        match json {
            Json::Number(n) => {
                let text = n.to_string();
                let digits = text.chars().filter(char::is_ascii_digit).count();
                n.as_i64().is_some() || (text.contains(['.', 'e', 'E']) && digits <= 15)
            }
            Json::Array(a) => depth < 60 && a.iter().all(|v| look(v, depth + 1)),
            Json::Object(o) => depth < 60 && o.values().all(|v| look(v, depth + 1)),
            _ => true,
        }
    }
    look(json, 0)
}
