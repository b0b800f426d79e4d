//! A schema of OpenAPI as a JSON Schema that stands alone.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json, json};

use super::openapi::Api;

/// Keys of OpenAPI that say nothing about a value.
const SAYS_NOTHING: [&str; 8] = [
    "discriminator",
    "xml",
    "externalDocs",
    "example",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// The schema with everything that it refers to under `$defs`.
pub fn converted(api: &Api, schema: &Json) -> Json {
    let mut wanted: Vec<String> = Vec::new();
    let mut out = one(api, schema, &mut wanted);
    let mut done: BTreeSet<String> = BTreeSet::new();
    let mut defs = Map::new();
    while let Some(pointer) = wanted.pop() {
        if !done.insert(pointer.clone()) {
            continue;
        }
        if let Some(found) = api.at(&pointer) {
            defs.insert(name(&pointer), one(api, found, &mut wanted));
        }
    }
    if !defs.is_empty()
        && let Some(o) = out.as_object_mut()
    {
        o.insert("$defs".into(), Json::Object(defs));
    }
    out
}

/// What a schema at a pointer is called under `$defs`.
fn name(pointer: &str) -> String {
    match pointer.strip_prefix("/components/schemas/") {
        Some(name) if !name.contains('/') => name.replace("~1", "_").replace("~0", "~"),
        _ => pointer.trim_start_matches('/').replace(['/', '~'], "_"),
    }
}

/// `wanted` are pointers of schemas that it refers to.
fn one(api: &Api, schema: &Json, wanted: &mut Vec<String>) -> Json {
    let Some(map) = schema.as_object() else {
        return schema.clone();
    };
    if let Some(pointer) = map
        .get("$ref")
        .and_then(Json::as_str)
        .and_then(|r| r.strip_prefix('#'))
    {
        wanted.push(pointer.to_owned());
        let to = format!("#/$defs/{}", name(pointer).replace('~', "~0"));
        return json!({ "$ref": to });
    }
    // What stands in another file is not looked at.
    if map.contains_key("$ref") {
        return json!({});
    }
    let mut out = Map::new();
    for (key, value) in map {
        if SAYS_NOTHING.contains(&key.as_str()) || key.starts_with("x-") || key == "nullable" {
            continue;
        }
        let new = match key.as_str() {
            "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
                let all = value.as_object().into_iter().flatten();
                // What is only ever sent is in no answer.
                let read = all.filter(|(_, v)| api.follow(v)["writeOnly"] != true);
                Json::Object(
                    read.map(|(k, v)| (k.clone(), one(api, v, wanted)))
                        .collect(),
                )
            }
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => value
                .as_array()
                .into_iter()
                .flatten()
                .map(|v| one(api, v, wanted))
                .collect(),
            "items"
            | "not"
            | "additionalProperties"
            | "contains"
            | "if"
            | "then"
            | "else"
            | "propertyNames" => one(api, value, wanted),
            "required" => {
                let properties = &map.get("properties");
                let sent = |n: &Json| {
                    let of = n.as_str().and_then(|n| properties.and_then(|p| p.get(n)));
                    of.is_some_and(|v| api.follow(v)["writeOnly"] == true)
                };
                value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|n| !sent(n))
                    .cloned()
                    .collect()
            }
            _ => value.clone(),
        };
        out.insert(key.clone(), new);
    }
    if api.is_old() {
        modernise(map, &mut out);
    }
    Json::Object(out)
}

/// What OpenAPI 3.0 says differently from JSON Schema.
fn modernise(map: &Map<String, Json>, out: &mut Map<String, Json>) {
    for (exclusive, bound) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        match out.get(exclusive) {
            Some(Json::Bool(true)) => {
                match out.remove(bound) {
                    Some(n) => out.insert(exclusive.into(), n),
                    None => out.remove(exclusive),
                };
            }
            Some(Json::Bool(false)) => {
                out.remove(exclusive);
            }
            _ => {}
        }
    }
    if map.get("nullable") != Some(&Json::Bool(true)) {
        return;
    }
    if let Some(kind) = out.get("type").cloned().filter(Json::is_string) {
        out.insert("type".into(), json!([kind, "null"]));
        if let Some(Json::Array(values)) = out.get_mut("enum")
            && !values.contains(&Json::Null)
        {
            values.push(Json::Null);
        }
    } else {
        let inner = Json::Object(std::mem::take(out));
        out.insert("anyOf".into(), json!([inner, { "type": "null" }]));
    }
}
