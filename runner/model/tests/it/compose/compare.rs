//! Where two JSON documents differ.

use serde_json::Value;

/// The differences, each as a path and both sides; empty when the documents are equal.
pub fn differences(want: &Value, got: &Value) -> Vec<String> {
    let mut out = Vec::new();
    walk("", want, got, &mut out);
    out
}

fn walk(path: &str, want: &Value, got: &Value, out: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                match b.get(key) {
                    Some(other) => walk(&format!("{path}.{key}"), value, other, out),
                    None => out.push(format!("  {path}.{key}: missing, want {value}")),
                }
            }
            for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                out.push(format!("  {path}.{key}: too much: {value}"));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (x, y)) in a.iter().zip(b).enumerate() {
                walk(&format!("{path}[{i}]"), x, y, out);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        _ if want == got => {}
        _ => out.push(format!("  {path}: want {want}, got {got}")),
    }
}

/// The same document with every `$$` single and every `@CORPUS@` replaced.
pub fn restored(value: Value, corpus: &str) -> Value {
    let text = |s: String| s.replace("$$", "$").replace("@CORPUS@", corpus);
    match value {
        Value::String(s) => Value::String(text(s)),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|v| restored(v, corpus)).collect())
        }
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(k, v)| (text(k), restored(v, corpus)))
                .collect(),
        ),
        other => other,
    }
}
