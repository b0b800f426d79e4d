//! A value that a schema of OpenAPI allows.

use serde_json::{Map, Value as Json, json};

use super::openapi::Api;

/// Nesting beyond this is cut: schemas may contain themselves.
const DEEP: usize = 12;

/// A value that a schema allows: its example, its default, or the plainest of its type.
pub fn sample(api: &Api, schema: &Json) -> Json {
    made(api, schema, 0)
}

fn made(api: &Api, schema: &Json, depth: usize) -> Json {
    let schema = api.follow(schema);
    if depth > DEEP {
        return Json::Null;
    }
    for key in ["example", "default", "const"] {
        if let Some(value) = schema.get(key) {
            return value.clone();
        }
    }
    for key in ["examples", "enum"] {
        if let Some(value) = schema[key].get(0) {
            return value.clone();
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut all = Map::new();
        for part in parts {
            match made(api, part, depth + 1) {
                Json::Object(fields) => all.extend(fields),
                other if parts.len() == 1 => return other,
                _ => {}
            }
        }
        if let Json::Object(own) = object(api, schema, depth) {
            all.extend(own);
        }
        return Json::Object(all);
    }
    for key in ["oneOf", "anyOf"] {
        let parts = schema[key].as_array().into_iter().flatten();
        let mut parts = parts.filter(|p| p["type"] != "null");
        if let Some(first) = parts.next() {
            return made(api, first, depth + 1);
        }
    }
    let types = match &schema["type"] {
        Json::Array(all) => all.iter().filter_map(Json::as_str).find(|t| *t != "null"),
        one => one.as_str(),
    };
    match types {
        Some("object") => object(api, schema, depth),
        Some("array") => {
            let least = schema["minItems"].as_u64().unwrap_or(1).clamp(1, 10);
            let item = made(api, &schema["items"], depth + 1);
            match item.is_null() {
                true => json!([]),
                false => (0..least).map(|_| item.clone()).collect(),
            }
        }
        Some("string") => json!(text(schema)),
        Some("integer" | "number") => number(schema),
        Some("boolean") => json!(true),
        Some(_) => Json::Null,
        None if schema.get("properties").is_some() => object(api, schema, depth),
        None if schema.get("items").is_some() => json!([made(api, &schema["items"], depth + 1)]),
        None => json!("x"),
    }
}

fn object(api: &Api, schema: &Json, depth: usize) -> Json {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    let mut fields = Map::new();
    for (name, of) in schema["properties"].as_object().into_iter().flatten() {
        let of = api.follow(of);
        if of["readOnly"] == true {
            continue;
        }
        // What need not be there is shown only where that does not go deep.
        if depth > 3 && !required.contains(&name.as_str()) {
            continue;
        }
        let value = made(api, of, depth + 1);
        if !value.is_null() || required.contains(&name.as_str()) {
            fields.insert(name.clone(), value);
        }
    }
    Json::Object(fields)
}

fn text(schema: &Json) -> String {
    let value = match schema["format"].as_str() {
        Some("date-time") => "2026-01-31T12:00:00Z",
        Some("date") => "2026-01-31",
        Some("time") => "12:00:00Z",
        Some("duration") => "PT1M",
        Some("uuid") => "3f2b8c1e-4d5a-4b6c-8d7e-9f0a1b2c3d4e",
        Some("email") => "ann@example.com",
        Some("uri" | "url") => "https://example.com/",
        Some("hostname") => "example.com",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        Some("byte") => "dGV4dA==",
        _ => "text",
    };
    let length = |key: &str| schema[key].as_u64().and_then(|n| usize::try_from(n).ok());
    let least = length("minLength").unwrap_or(0).min(4096);
    let mut value = value.to_owned();
    while value.chars().count() < least {
        value.push('x');
    }
    match length("maxLength") {
        Some(most) => value.chars().take(most).collect(),
        None => value,
    }
}

fn number(schema: &Json) -> Json {
    let bound = |key: &str| schema[key].as_f64();
    let whole = schema["type"] == "integer";
    let mut value = bound("minimum").unwrap_or(1.0).max(f64::MIN);
    match (&schema["exclusiveMinimum"], bound("exclusiveMinimum")) {
        (Json::Bool(true), _) => value += 1.0,
        (_, Some(n)) => value = n + 1.0,
        _ => {}
    }
    if let Some(most) = bound("maximum").filter(|m| value > *m) {
        value = most;
    }
    if let Some(step) = bound("multipleOf").filter(|s| *s > 0.0) {
        value = (value / step).ceil() * step;
    }
    match whole || value.fract() == 0.0 {
        true => json!(value as i64),
        false => json!(value),
    }
}
