//! Expectations, matchers and captures.

use serde_json::{Map, Value, json};

use crate::check::predicate::KINDS;

/// Sources that every result has.
const SOURCES: [(&str, &str); 3] = [
    (
        "jsonpath",
        "A JSONPath (RFC 9535) into `json`, or into the whole result where it has none",
    ),
    ("header", "A header of the response, by its name"),
    ("value", "The value of an expression"),
];

/// Types and formats that `type` knows.
pub(crate) const TYPES: [&str; 14] = [
    "text",
    "string",
    "number",
    "integer",
    "boolean",
    "list",
    "array",
    "object",
    "null",
    "uuid",
    "date",
    "timestamp",
    "ip",
    "base64",
];

fn template() -> Value {
    json!({ "type": "string", "pattern": "\\{\\{" })
}

/// What a predicate takes.
fn predicate(name: &str) -> Value {
    let regex = || json!({ "type": "string", "examples": ["^[a-z]+$"] });
    match name {
        "one_of" | "unordered" => json!({ "anyOf": [{ "type": "array" }, template()] }),
        "approx" => json!({
            "type": "object",
            "properties": {
                "value": { "description": "Near this number", "type": ["number", "string"] },
                "within": {
                    "description": "At most so far away: a number, or a percentage",
                    "type": ["number", "string"],
                    "examples": [0.5, "1%"],
                },
            },
            "required": ["value"],
            "additionalProperties": false,
        }),
        "matches" | "not_matches" => regex(),
        "length" => json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "$ref": "#/$defs/predicates" },
        ] }),
        "empty" | "exists" => json!({ "type": "boolean" }),
        "type" => json!({ "enum": TYPES }),
        "schema" => json!({ "type": ["object", "boolean"] }),
        "each" | "any" | "not" => json!({ "$ref": "#/$defs/predicates" }),
        _ => json!({}),
    }
}

fn all_predicates() -> Map<String, Value> {
    KINDS
        .iter()
        .map(|k| {
            let mut schema = predicate(k.name);
            schema["description"] = json!(format!("Holds when the value {}", k.help));
            (k.name.to_owned(), schema)
        })
        .collect()
}

/// A mapping in which every key is a predicate.
pub(super) fn predicates() -> Value {
    json!({
        "description": "What is asked of a value",
        "type": "object",
        "properties": all_predicates(),
        "minProperties": 1,
        "additionalProperties": false,
    })
}

/// Sources of a kind's result: those that all have, and its fields.
fn sources(fields: &[&str]) -> Map<String, Value> {
    let mut all: Map<String, Value> = SOURCES
        .iter()
        .map(|(name, help)| {
            let schema = json!({ "type": "string", "description": help });
            ((*name).to_owned(), schema)
        })
        .collect();
    for field in fields {
        let schema = json!({ "description": format!("The field `{field}` of the result: a value, or predicates") });
        all.entry(*field).or_insert(schema);
    }
    all
}

/// One expectation on a result that has these fields.
pub(super) fn expectation(fields: &[&str]) -> Value {
    let mut properties = sources(fields);
    let any_source: Vec<Value> = properties
        .keys()
        .filter(|k| !KINDS.iter().any(|p| p.name == *k))
        .map(|k| json!({ "required": [k] }))
        .collect();
    for k in KINDS {
        let to = format!("#/$defs/predicates/properties/{}", k.name);
        properties.insert(k.name.to_owned(), json!({ "$ref": to }));
    }
    let matcher = json!({
        "type": "object",
        "properties": properties,
        "anyOf": any_source,
        "additionalProperties": false,
        // `jsonpath`, `header` and `value` ask nothing by themselves.
        "allOf": SOURCES.iter().map(|(s, _)| json!({
            "if": { "required": [s] },
            "then": { "minProperties": 2 },
        })).collect::<Vec<_>>(),
    });
    json!({ "anyOf": [{ "$ref": "#/$defs/expression" }, matcher] })
}

/// `expect` of a step of a kind.
pub(super) fn expect(kind: &str) -> Value {
    let one = json!({ "$ref": format!("#/$defs/expectation.{kind}") });
    json!({
        "description": "What must hold of the result: an expression, a matcher, or a list of them",
        "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }],
        "examples": [
            "status == 201",
            ["status == 201", { "jsonpath": "$.items", "contains": { "sku": "A1" } }],
        ],
    })
}

/// `capture` of a step whose result has these fields.
pub(super) fn capture(fields: &[&str]) -> Value {
    let mut properties = sources(fields);
    let more = [
        (
            "regex",
            json!({ "type": "string", "description": "The part of the text that this regular expression finds" }),
        ),
        (
            "group",
            json!({ "type": "integer", "minimum": 0, "description": "Which group of it; 1 unless said" }),
        ),
        (
            "default",
            json!({ "description": "The value when there is none" }),
        ),
    ];
    let sources: Vec<Value> = properties
        .keys()
        .map(String::as_str)
        .chain(["regex"])
        .map(|k| json!({ "required": [k] }))
        .collect();
    for (name, schema) in more {
        properties.insert(name.to_owned(), schema);
    }
    json!({
        "description": "Values of the result for later steps, by name",
        "type": "object",
        "propertyNames": { "$ref": "#/$defs/name" },
        "additionalProperties": { "anyOf": [
            { "type": "string", "pattern": "^[^$]" },
            {
                "type": "object",
                "properties": properties,
                "anyOf": sources,
                "additionalProperties": false,
            },
        ] },
        "examples": [{ "order_id": { "jsonpath": "$.id" }, "first": "json.items[0].sku" }],
    })
}
