//! Expectations, matchers and captures.

use serde_json::{Map, Value, json};

use crate::check::filter::FILTERS;
use crate::check::predicate::{KINDS, types};
use crate::check::snapshot::FORM_NAMES;
use crate::check::{CERTIFICATE, is_own_source};

/// Sources that are no fields of a result, each with what it finds.
pub(crate) const SOURCES: [(&str, &str); 8] = [
    (
        "jsonpath",
        "A JSONPath (RFC 9535) into `json`, or into the whole result where it has none",
    ),
    ("header", "A header of the response, by its name"),
    ("value", "The value of an expression"),
    ("xpath", "An XPath 1.0 into a body of XML or HTML"),
    (
        "cookie",
        "A cookie that this response sets, or an attribute of it: `session[Max-Age]`",
    ),
    (
        "regex",
        "What a regular expression finds in `body`: its first group",
    ),
    ("bytes", "The bytes of `body`"),
    ("certificate", "A fact of the server's certificate"),
];

/// Fields of a result, each with one line of help.
pub(super) type Fields<'f> = &'f [(&'f str, &'f str)];

fn template() -> Value {
    json!({ "type": "string", "pattern": "\\{\\{" })
}

/// What a predicate takes.
fn predicate(name: &str) -> Value {
    let text = |example: &str| json!({ "type": "string", "examples": [example] });
    let scalar = || json!({ "type": ["string", "number", "boolean"] });
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
        "matches" | "not_matches" => text("^[a-z]+$"),
        "format" => text("%Y-%m-%d"),
        "within" => text("5s of now"),
        "starts_with" | "ends_with" => scalar(),
        "before" | "after" => json!({
            "type": ["string", "integer"],
            "examples": ["now", "now - 2days", "2024-02-29T12:00:00Z"],
        }),
        "sha256" => json!({ "type": ["string", "integer"] }),
        "length" | "size" => json!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "$ref": "#/$defs/predicates" },
        ] }),
        "empty" | "exists" | "unique" => json!({ "type": "boolean" }),
        "sorted" => json!({ "enum": [true, "asc", "desc"] }),
        "type" => {
            let one = json!({ "enum": types().collect::<Vec<_>>() });
            json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
        }
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

/// What a filter takes.
fn argument(name: &str) -> Value {
    let regex = json!({ "type": "string" });
    match name {
        "nth" => json!({ "type": "integer" }),
        "replace" => json!({ "anyOf": [
            { "type": "array", "minItems": 2, "maxItems": 2 },
            {
                "type": "object",
                "properties": { "from": {}, "regex": regex, "to": {} },
                "required": ["to"],
                "oneOf": [{ "required": ["from"] }, { "required": ["regex"] }],
                "additionalProperties": false,
            },
        ] }),
        "regex" => json!({ "anyOf": [
            regex,
            {
                "type": "object",
                "properties": { "pattern": regex, "group": { "type": "integer", "minimum": 0 } },
                "required": ["pattern"],
                "additionalProperties": false,
            },
        ] }),
        "default" => json!({}),
        _ => json!({ "type": "string" }),
    }
}

/// `filters`: one, or a list.
fn filters() -> Value {
    let (plain, with): (Vec<_>, Vec<_>) = FILTERS.iter().partition(|f| f.argument.is_empty());
    let names: Vec<Value> = plain
        .iter()
        .map(|f| json!({ "const": f.name, "description": format!("Makes {}", f.help) }))
        .collect();
    let mut arguments = Map::new();
    for f in with {
        let mut schema = argument(f.name);
        schema["description"] = json!(format!("Makes {}: `{}: {}`", f.help, f.name, f.argument));
        arguments.insert(f.name.to_owned(), schema);
    }
    for f in plain {
        arguments.insert(f.name.to_owned(), json!({ "enum": [true, null] }));
    }
    let one = json!({ "anyOf": [
        { "oneOf": names },
        {
            "type": "object",
            "properties": arguments,
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": false,
        },
    ] });
    json!({
        "description": "What is made of the value first, one filter after the other",
        "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }],
        "examples": [["trim", "to_int"], [{ "split": "," }, "first"]],
    })
}

/// `mask`: one, or a list.
fn masks() -> Value {
    let one = json!({ "anyOf": [
        { "enum": FORM_NAMES },
        { "type": "string", "pattern": "^\\$" },
        {
            "type": "object",
            "properties": { "matches": { "type": "string", "description": "What this regular expression finds in texts" } },
            "required": ["matches"],
            "additionalProperties": false,
        },
    ] });
    json!({
        "description": "What differs from run to run and is left out: JSONPaths, forms, regular expressions",
        "anyOf": [one, { "type": "array", "items": one }],
        "examples": [["$.id", "uuid", "timestamp"]],
    })
}

/// `openapi`: a file, or a file and an operation.
fn openapi() -> Value {
    json!({
        "description": "The request and the response are as an OpenAPI file says",
        "type": "object",
        "properties": { "openapi": {
            "anyOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": {
                        "file": { "type": "string", "description": "The file, beside the scenario's" },
                        "operation": { "type": "string", "description": "The operationId that it must be" },
                    },
                    "required": ["file"],
                    "additionalProperties": false,
                },
            ],
            "examples": ["openapi.yaml"],
        } },
        "required": ["openapi"],
        "additionalProperties": false,
    })
}

/// Definitions that expectations and captures refer to.
pub(super) fn definitions() -> Vec<(String, Value)> {
    let mut defs = vec![
        (
            "predicates".to_owned(),
            json!({
                "description": "What is asked of a value",
                "type": "object",
                "properties": all_predicates(),
                "minProperties": 1,
                "additionalProperties": false,
            }),
        ),
        (
            "asked".to_owned(),
            json!({ "anyOf": KINDS.iter().map(|k| json!({ "required": [k.name] })).collect::<Vec<_>>() }),
        ),
        ("filters".to_owned(), filters()),
        ("masks".to_owned(), masks()),
        ("openapi".to_owned(), openapi()),
    ];
    for (name, help) in SOURCES {
        let mut schema = match name {
            "certificate" => json!({ "enum": CERTIFICATE }),
            "bytes" => json!({}),
            _ => json!({ "type": "string" }),
        };
        schema["description"] = json!(help);
        defs.push((format!("source.{name}"), schema));
    }
    defs
}

/// Sources of a kind's result: those that it has, and its fields.
fn sources(fields: Fields<'_>) -> Map<String, Value> {
    let names: Vec<&str> = fields.iter().map(|(n, _)| *n).collect();
    let mut all = Map::new();
    for (name, _) in SOURCES.iter().filter(|(n, _)| is_own_source(n, &names)) {
        let to = format!("#/$defs/source.{name}");
        all.insert((*name).to_owned(), json!({ "$ref": to }));
    }
    for (field, help) in fields {
        let schema = json!({ "description": format!("The field `{field}` of the result: {help}") });
        all.entry(*field).or_insert(schema);
    }
    all
}

/// One expectation on a result that has these fields.
pub(super) fn expectation(fields: Fields<'_>) -> Value {
    let has = |name: &str| fields.iter().any(|(n, _)| *n == name);
    let mut properties = sources(fields);
    let any_source: Vec<Value> = properties
        .keys()
        .map(|k| json!({ "required": [k] }))
        .collect();
    for k in KINDS {
        // A field that is called like a predicate is either.
        let to = format!("#/$defs/predicates/properties/{}", k.name);
        properties
            .entry(k.name)
            .or_insert_with(|| json!({ "$ref": to }));
    }
    if !has("filters") {
        properties.insert("filters".into(), json!({ "$ref": "#/$defs/filters" }));
    }
    // These ask nothing by themselves.
    let silent: Vec<Value> = properties
        .keys()
        .filter(|k| *k != "bytes" && SOURCES.iter().any(|(s, _)| s == k))
        .map(|k| {
            json!({
                "if": { "required": [k] },
                "then": { "$ref": "#/$defs/asked" },
            })
        })
        .collect();
    let matcher = json!({
        "type": "object",
        "properties": properties,
        "anyOf": any_source,
        "additionalProperties": false,
        "allOf": silent,
    });
    let mut ways = vec![json!({ "$ref": "#/$defs/expression" }), matcher];
    if !has("snapshot") {
        ways.push(snapshot(fields));
    }
    if has("request") {
        ways.push(json!({ "$ref": "#/$defs/openapi" }));
    }
    json!({ "anyOf": ways })
}

fn snapshot(fields: Fields<'_>) -> Value {
    let mut properties = sources(fields);
    for (name, _) in fields {
        // The snapshot says what is expected of a field.
        if let Some(schema) = properties
            .get_mut(*name)
            .filter(|s| s.get("$ref").is_none())
        {
            schema["type"] = json!("null");
        }
    }
    properties.insert(
        "snapshot".into(),
        json!({
            "description": "The result is as the file of this name says; true: the step's id",
            "anyOf": [{ "const": true }, { "type": "string", "pattern": "^[^.{}/]" }],
            "examples": ["order"],
        }),
    );
    properties.insert("mask".into(), json!({ "$ref": "#/$defs/masks" }));
    properties
        .entry("filters")
        .or_insert_with(|| json!({ "$ref": "#/$defs/filters" }));
    json!({
        "type": "object",
        "properties": properties,
        "required": ["snapshot"],
        "additionalProperties": false,
    })
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
pub(super) fn capture(fields: Fields<'_>) -> Value {
    let mut properties = sources(fields);
    let sources: Vec<Value> = properties
        .keys()
        .map(|k| json!({ "required": [k] }))
        .collect();
    let more = [
        (
            "regex",
            json!({ "type": "string", "description": "The part of the text that this regular expression finds" }),
        ),
        (
            "group",
            json!({ "type": "integer", "minimum": 0, "description": "Which group of it; 1 unless said" }),
        ),
        ("filters", json!({ "$ref": "#/$defs/filters" })),
        (
            "default",
            json!({ "description": "The value when there is none" }),
        ),
    ];
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
