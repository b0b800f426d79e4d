//! The schema of scenario files.

use serde_json::{Map, Value, json};

use super::flow::{self, ENVELOPE, RACE, SECTIONS, STEP, USELESS};
use super::shape::{Shape, definitions, free, of_keys};
use super::{DIALECT, expect};
use crate::template::RESERVED;

/// What is known of a step kind.
#[derive(Debug, Clone, Copy)]
pub struct KindDoc {
    /// Its key.
    pub name: &'static str,
    /// What it does.
    pub help: &'static str,
    /// A step, as YAML.
    pub example: &'static str,
    /// The fields of its result, each with one line of help.
    pub fields: &'static [(&'static str, &'static str)],
    /// Why it is not to be relied on yet.
    pub experimental: Option<&'static str>,
    /// What it takes; absent = it is not known, and anything is taken.
    pub args: Option<Shape>,
}

/// The schema of scenario files with these kinds.
pub fn scenario(kinds: &[KindDoc]) -> Value {
    let mut defs = definitions();
    defs.insert(
        "name".into(),
        json!({
            "description": "A name in templates and expressions",
            "type": "string",
            "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
            "not": { "enum": RESERVED },
        }),
    );
    defs.extend(expect::definitions());
    for k in kinds {
        let mut schema = k.args.map_or_else(|| json!({}), Shape::schema);
        schema["description"] = json!(described(k));
        if let Some(example) = example(k) {
            schema["examples"] = json!([example]);
        }
        defs.insert(format!("kind.{}", k.name), schema);
    }
    defs.insert(
        "branch".into(),
        json!({
            "description": "A step, or steps in order",
            "anyOf": [{ "$ref": "#/$defs/step" }, { "type": "array", "items": { "$ref": "#/$defs/step" } }],
        }),
    );
    defs.insert("race".into(), race());
    defs.insert("parallel".into(), parallel());
    let fields = fields(kinds);
    for (kind, fields) in &fields {
        defs.insert(format!("expectation.{kind}"), expect::expectation(fields));
        defs.insert(format!("capture.{kind}"), expect::capture(fields));
    }
    defs.insert("step".into(), step(kinds));
    let mut schema = of_keys(ENVELOPE, true);
    for (name, help) in SECTIONS {
        schema["properties"][name] = json!({
            "description": help,
            "type": "array",
            "items": { "$ref": "#/$defs/step" },
        });
    }
    schema["properties"]["steps"]["minItems"] = json!(1);
    schema["properties"]["invariants"]["items"] = json!({
        "allOf": [{ "$ref": "#/$defs/step" }, { "required": ["expect"] }],
    });
    flow::of_envelope(&mut schema);
    // A file that `include` names may be a list of steps; the keys are those of a mapping only.
    schema["type"] = json!(["object", "array"]);
    schema["items"] = json!({ "$ref": "#/$defs/step" });
    schema["minItems"] = json!(1);
    let mut out = Map::new();
    out.insert("$schema".into(), json!(DIALECT));
    out.insert("title".into(), json!("prodmirror scenario"));
    out.insert(
        "description".into(),
        json!("What users may expect of a stack: one YAML document of a scenario file, or a list of steps for `include`"),
    );
    if let Value::Object(o) = schema {
        out.extend(o);
    }
    out.insert("$defs".into(), Value::Object(defs));
    Value::Object(out)
}

/// What a kind does and gives.
fn described(k: &KindDoc) -> String {
    let names: Vec<&str> = k.fields.iter().map(|(n, _)| *n).collect();
    let doubt = match k.experimental {
        Some(why) => format!("Experimental: {why}. "),
        None => String::new(),
    };
    format!("{doubt}{} (result: {})", k.help, names.join(", "))
}

/// A kind's own example of its arguments.
fn example(k: &KindDoc) -> Option<Value> {
    let file = crate::source::SourceFile::new("example", k.example);
    let node = crate::yaml::parse_one(&file).ok()?;
    Some(node.get(k.name)?.to_json())
}

fn race() -> Value {
    let mut schema = of_keys(RACE, false);
    for (name, help) in [
        ("before", "Steps before every run"),
        ("after", "Steps after every run: what must hold then"),
    ] {
        schema["properties"][name] = json!({ "description": help, "$ref": "#/$defs/branch" });
    }
    schema["properties"]["branches"] = json!({
        "description": "What runs at the same time",
        "type": "array",
        "items": { "$ref": "#/$defs/branch" },
        "minItems": 2,
        "maxItems": 64,
    });
    schema["required"] = json!(["branches"]);
    schema["description"] = json!("Branches at the same time, over and over");
    schema
}

fn parallel() -> Value {
    let branches = json!({
        "type": "array",
        "items": { "$ref": "#/$defs/branch" },
        "minItems": 1,
        "maxItems": 64,
    });
    json!({
        "description": "Branches at the same time",
        "anyOf": [branches, {
            "type": "object",
            "properties": { "branches": branches },
            "required": ["branches"],
            "additionalProperties": false,
        }],
    })
}

/// The fields of the results of each kind of step.
type Results = Vec<(&'static str, Vec<(&'static str, &'static str)>)>;

fn fields(kinds: &[KindDoc]) -> Results {
    let mut all: Results = kinds.iter().map(|k| (k.name, k.fields.to_vec())).collect();
    let flow = flow::RESULTS.iter().map(|(n, f)| (*n, f.to_vec()));
    all.extend(flow);
    // A step that is run again may be any.
    let mut union: Vec<(&str, &str)> = Vec::new();
    for (field, help) in all.iter().flat_map(|(_, fields)| fields) {
        match union.iter_mut().find(|(n, _)| n == field) {
            Some((_, known)) if known != help => *known = "what the step that is meant gives",
            Some(_) => {}
            None => union.push((field, help)),
        }
    }
    all.push(("step", union));
    all
}

fn step(kinds: &[KindDoc]) -> Value {
    let mut schema = of_keys(STEP, true);
    schema["properties"]["id"]["$ref"] = json!("#/$defs/name");
    schema["properties"]["expect"] = json!({ "description": "What must hold of the result: an expression, a matcher, or a list of them" });
    schema["properties"]["capture"] =
        json!({ "description": "Values of the result for later steps, by name" });
    for k in kinds {
        schema["properties"][k.name] = json!({ "$ref": format!("#/$defs/kind.{}", k.name) });
    }
    for (name, body) in flow::properties() {
        schema["properties"][name] = body;
    }
    flow::of_step(&mut schema);
    let all: Vec<&str> = kinds.iter().map(|k| k.name).chain(flow::bodies()).collect();
    schema["description"] = json!("A step: one thing to do, and what must hold of its result");
    // Exactly one of them: a step does one thing.
    let one: Vec<Value> = all.iter().map(|k| json!({ "required": [k] })).collect();
    schema["oneOf"] = json!(one);
    let useless = |kind: &str| USELESS.iter().find(|(k, _)| *k == kind);
    let mut rules: Vec<Value> = all
        .iter()
        .map(|kind| {
            let then = match useless(kind) {
                Some((_, keys)) => keys
                    .iter()
                    .map(|k| ((*k).to_owned(), json!(false)))
                    .collect(),
                None => Map::from_iter([
                    ("expect".to_owned(), expect::expect(kind)),
                    (
                        "capture".to_owned(),
                        json!({ "$ref": format!("#/$defs/capture.{kind}") }),
                    ),
                ]),
            };
            json!({ "if": { "required": [kind] }, "then": { "properties": then } })
        })
        .collect();
    // What waits for itself needs no `expect`.
    let itself = [
        "expect", "logs", "step", "steps", "include", "use", "assert",
    ];
    let itself: Vec<Value> = itself.iter().map(|k| json!({ "required": [k] })).collect();
    rules.push(json!({
        "if": { "required": ["eventually"] },
        "then": { "anyOf": itself },
    }));
    schema["allOf"] = json!(rules);
    schema["patternProperties"] = free();
    schema
}
