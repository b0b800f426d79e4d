//! Parameters: from the text of a request to the values that schemas are about.

use serde_json::{Map, Value as Json};

use super::schema::Way;
use super::spec::Spec;
use crate::check::predicate::Finding;
use crate::diag::nearest;

/// What a request carries, by where it stands.
pub(super) struct Given {
    pub path: Vec<(String, String)>,
    pub query: Vec<(String, String)>,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub cookies: Vec<(String, String)>,
}

/// Headers that OpenAPI says are not parameters.
const NOT_PARAMETERS: [&str; 3] = ["accept", "content-type", "authorization"];

/// Tells all violations of parameters.
pub(super) fn check(
    spec: &Spec,
    item: &Json,
    operation: &Json,
    given: &Given,
    out: &mut Vec<Finding>,
) {
    let parameters = all(spec, item, operation);
    let mut described: Vec<String> = Vec::new();
    for p in &parameters {
        let (Some(name), Some(place)) = (text(p, "name"), text(p, "in")) else {
            continue;
        };
        if place == "header" && NOT_PARAMETERS.iter().any(|n| n.eq_ignore_ascii_case(name)) {
            continue;
        }
        let values = match place {
            "path" => picked(&given.path, name),
            "query" => picked(&given.query, name),
            "header" => picked(&given.headers, &name.to_ascii_lowercase()),
            "cookie" => picked(&given.cookies, name),
            _ => continue,
        };
        let style = text(p, "style").unwrap_or(match place {
            "query" | "cookie" => "form",
            _ => "simple",
        });
        let deep = style == "deepObject";
        if place == "query" {
            described.push(if deep {
                format!("{name}[")
            } else {
                name.to_owned()
            });
        }
        let at = format!("request.{place}.{name}");
        let schema = p.get("schema").map(|s| spec.resolve(s));
        if deep {
            let object = deep_object(spec, schema, name, &given.query);
            if object.is_empty() {
                missing(p, &at, out);
            } else if let Some(own) = p.get("schema") {
                spec.schemas
                    .check(own, Way::Request, &Json::Object(object), &at, out);
            }
            continue;
        }
        if values.is_empty() {
            // A form of an object has its properties as parameters of their own.
            let spread = style == "form" && schema.is_some_and(|s| kinds(s).contains(&"object"));
            if spread {
                let names = properties(schema);
                described.extend(names.iter().cloned());
                let there = given.query.iter().any(|(k, _)| names.contains(k));
                if there {
                    continue;
                }
            }
            missing(p, &at, out);
            continue;
        }
        if let Some(own) = p.get("schema") {
            let explode = p
                .get("explode")
                .and_then(Json::as_bool)
                .unwrap_or(style == "form");
            let value = value_of(spec, schema, &values, style, explode);
            spec.schemas.check(own, Way::Request, &value, &at, out);
        }
    }
    let keys = keys_of_security(spec);
    for (name, value) in &given.query {
        let known = described.iter().any(|d| match d.strip_suffix('[') {
            Some(deep) => name.strip_prefix(deep).is_some_and(|r| r.starts_with('[')),
            None => d == name,
        });
        if known || keys.contains(name) {
            continue;
        }
        let hint =
            nearest(name, described.iter().map(String::as_str)).map(|n| format!("it has `{n}`"));
        out.push(
            Finding::new(
                format!("request.query.{name}"),
                "no such parameter, by the OpenAPI file",
                Json::from(value.as_str()).to_string(),
            )
            .hint(hint),
        );
    }
}

fn missing(p: &Json, at: &str, out: &mut Vec<Finding>) {
    if p.get("required") == Some(&Json::Bool(true)) {
        out.push(Finding::new(at, "a required parameter", "nothing"));
    }
}

fn text<'j>(node: &'j Json, key: &str) -> Option<&'j str> {
    node.get(key).and_then(Json::as_str)
}

/// Those of the operation take the place of those of the path.
fn all<'s>(spec: &'s Spec, item: &'s Json, operation: &'s Json) -> Vec<&'s Json> {
    let of = |node: &'s Json| {
        node.get("parameters")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
            .map(|p| spec.resolve(p))
    };
    let mut found: Vec<&Json> = of(operation).collect();
    for p in of(item) {
        let same = |q: &&Json| q.get("name") == p.get("name") && q.get("in") == p.get("in");
        if !found.iter().any(same) {
            found.push(p);
        }
    }
    found
}

fn picked<'g>(given: &'g [(String, String)], name: &str) -> Vec<&'g str> {
    given
        .iter()
        .filter(|(k, _)| k == name)
        .map(|(_, v)| v.as_str())
        .collect()
}

/// The types that a schema may have.
pub(super) fn kinds(schema: &Json) -> Vec<&str> {
    match schema.get("type") {
        Some(Json::String(t)) => vec![t],
        Some(Json::Array(types)) => types.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

fn properties(schema: Option<&Json>) -> Vec<String> {
    schema
        .and_then(|s| s.get("properties"))
        .and_then(Json::as_object)
        .map(|o| o.keys().cloned().collect())
        .unwrap_or_default()
}

fn value_of(
    spec: &Spec,
    schema: Option<&Json>,
    values: &[&str],
    style: &str,
    explode: bool,
) -> Json {
    let Some(schema) = schema else {
        return Json::from(values[0]);
    };
    if !kinds(schema).contains(&"array") {
        return scalar(spec, schema, values[0]);
    }
    let nothing = Json::Null;
    let items = spec.resolve(schema.get("items").unwrap_or(&nothing));
    let separator = match style {
        "spaceDelimited" => ' ',
        "pipeDelimited" => '|',
        _ => ',',
    };
    let parts: Vec<&str> = if style == "form" && explode {
        values.to_vec()
    } else {
        values.iter().flat_map(|v| v.split(separator)).collect()
    };
    parts
        .into_iter()
        .map(|v| scalar(spec, items, v.trim()))
        .collect()
}

/// A text as the type that its schema asks for; what does not fit stays a text, which the
/// schema then refuses.
pub(super) fn scalar(spec: &Spec, schema: &Json, text: &str) -> Json {
    let mut types = kinds(schema);
    for key in ["allOf", "anyOf", "oneOf"] {
        for inner in schema
            .get(key)
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            types.extend(kinds(spec.resolve(inner)));
        }
    }
    let number = || {
        serde_json::from_str::<Json>(text)
            .ok()
            .filter(Json::is_number)
    };
    for t in types {
        let read = match t {
            "integer" | "number" => number(),
            "boolean" => text.parse::<bool>().ok().map(Json::from),
            "null" if text.is_empty() => Some(Json::Null),
            _ => None,
        };
        if let Some(v) = read {
            return v;
        }
    }
    Json::from(text)
}

/// `filter[state]=paid` as an object.
fn deep_object(
    spec: &Spec,
    schema: Option<&Json>,
    name: &str,
    query: &[(String, String)],
) -> Map<String, Json> {
    let nothing = Json::Null;
    query
        .iter()
        .filter_map(|(k, v)| {
            let key = k.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?;
            let inner = schema
                .and_then(|s| s.get("properties"))
                .and_then(|p| p.get(key))
                .unwrap_or(&nothing);
            Some((key.to_owned(), scalar(spec, spec.resolve(inner), v)))
        })
        .collect()
}

/// Query parameters that carry API keys.
fn keys_of_security(spec: &Spec) -> Vec<String> {
    let schemes = spec.root.pointer("/components/securitySchemes");
    schemes
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .map(|(_, s)| spec.resolve(s))
        .filter(|s| text(s, "in") == Some("query"))
        .filter_map(|s| text(s, "name").map(str::to_owned))
        .collect()
}
