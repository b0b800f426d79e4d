//! The schema of scenario files.

use serde_json::{Map, Value, json};

use super::shape::{
    Arg, Shape, definitions, duration, either, flag, free, integer, of_keys, text, word,
};
use super::{DIALECT, expect};

/// What is known of a step kind.
#[derive(Debug, Clone, Copy)]
pub struct KindDoc {
    /// Its key.
    pub name: &'static str,
    /// What it does.
    pub help: &'static str,
    /// A step, as YAML.
    pub example: &'static str,
    /// The fields of its result.
    pub fields: &'static [&'static str],
    /// What it takes; absent = it is not known, and anything is taken.
    pub args: Option<Shape>,
}

/// Keys of the envelope that take no steps.
pub(super) const ENVELOPE: &[Arg] = &[
    text(
        "scenario",
        "The name: one sentence that says what users expect. Unique in its file",
    )
    .required()
    .eg("\"a customer buys two mugs\""),
    text("description", "More words for people"),
    either(
        "labels",
        "Words for selection",
        &[Shape::Text, Shape::List(&Shape::Text)],
    )
    .eg("[\"checkout\"]"),
    super::shape::map("data", "Snapshots of data volumes, by volume", &Shape::Text)
        .eg("{\"orders-db\": \"orders-2026-11\"}"),
    super::shape::pairs(
        "vars",
        "Variables; later ones may use earlier ones. `--var` replaces a variable that stands here",
    )
    .eg("{\"sku\": \"A1\"}"),
    super::shape::object(
        "requires",
        "What it needs to make sense",
        &[
            either(
                "services",
                "It is skipped where the stack does not have these services",
                &[Shape::Text, Shape::List(&Shape::Text)],
            )
            .eg("[\"worker\"]"),
            either(
                "data",
                "It is an error where the data has less",
                &[Shape::Text, Shape::List(&Shape::Text)],
            )
            .eg("\"orders >= 1000000 rows\""),
        ],
    ),
    super::shape::choice(
        "isolation",
        "A stack of its own (scenario), one for the file (file), or one for all that say so (shared)",
        &["scenario", "file", "shared"],
    ),
    super::shape::map(
        "flags",
        "Feature flags: a value that this scenario is run with, or a list of those that it is run with in turn",
        &Shape::Any,
    )
    .eg("{\"checkout_v2\": [\"on\", \"off\"]}"),
    duration(
        "timeout",
        "How long all of it may take; 10 minutes unless said",
    )
    .eg("\"2m\""),
];

/// Keys of the envelope that take steps.
pub(super) const SECTIONS: [(&str, &str); 4] = [
    (
        "invariants",
        "Steps with `expect` that are checked after every step",
    ),
    ("setup", "Steps before the steps"),
    ("steps", "The steps"),
    (
        "finally",
        "Steps that run whatever happened, for at most a minute",
    ),
];

/// Keys of a step beside its kind, `expect` and `capture` apart.
pub(super) const STEP: &[Arg] = &[
    word(
        "id",
        "A name: `steps.<id>` is the step's result for later ones, and `step: <id>` runs it again",
    )
    .eg("\"order\""),
    text("name", "What it does, for people and reports"),
    super::shape::calc("if", "The step is skipped unless this expression is true")
        .eg("\"order_id != 0\""),
    either(
        "retry",
        "Tries again when no answer came",
        &[
            Shape::Integer(0, 1000),
            Shape::Object(&[
                integer("times", "Attempts after the first", 0, 1000),
                duration("delay", "Before the second attempt"),
                Arg {
                    name: "backoff",
                    help: "By how much the delay grows each time",
                    shape: Shape::Number(1),
                    required: false,
                    example: "2",
                },
                duration("max_delay", "The longest delay"),
            ]),
        ],
    )
    .eg("3"),
    either(
        "eventually",
        "Tries again until the expectations hold",
        &[
            Shape::Duration,
            Shape::Object(&[
                duration("within", "How long to try").required(),
                duration("every", "From one attempt to the next"),
            ]),
        ],
    )
    .eg("{\"within\": \"30s\", \"every\": \"500ms\"}"),
    duration("timeout", "How long one attempt may take; 30 s unless said"),
    flag(
        "soft",
        "The scenario goes on when the step fails, and fails in the end",
    ),
];

/// Keys of a race that take no steps.
pub(super) const RACE: &[Arg] = &[
    integer("runs", "How many runs", 1, 10_000).eg("50"),
    integer(
        "seed",
        "Seed of the branches' order and offsets",
        0,
        i64::MAX,
    ),
    duration("spread", "How far apart the branches start at most"),
];

/// Fields of the results of flow.
const RACE_FIELDS: [&str; 5] = ["branches", "run", "runs", "hits", "duration"];
const PARALLEL_FIELDS: [&str; 2] = ["branches", "duration"];

/// The schema of scenario files with these kinds.
pub fn scenario(kinds: &[KindDoc]) -> Value {
    let mut defs = definitions();
    defs.insert(
        "name".into(),
        json!({
            "description": "A name in templates and expressions",
            "type": "string",
            "pattern": "^[A-Za-z_][A-Za-z0-9_]*$",
            "not": { "enum": ["steps", "vars", "secrets", "race"] },
        }),
    );
    defs.insert("predicates".into(), expect::predicates());
    for k in kinds {
        let mut schema = k.args.map_or_else(|| json!({}), Shape::schema);
        schema["description"] = json!(format!("{} (result: {})", k.help, k.fields.join(", ")));
        if let Some(example) = example(k) {
            schema["examples"] = json!([example]);
        }
        defs.insert(format!("kind.{}", k.name), schema);
    }
    let mut branch = json!({
        "description": "A step, or steps in order",
        "anyOf": [{ "$ref": "#/$defs/step" }, { "type": "array", "items": { "$ref": "#/$defs/step" } }],
    });
    defs.insert("branch".into(), branch.take());
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
    schema["properties"]["scenario"]["pattern"] = json!("\\S");
    schema["properties"]["vars"]["propertyNames"] = json!({ "$ref": "#/$defs/name" });
    schema["properties"]["invariants"]["items"] = json!({
        "allOf": [{ "$ref": "#/$defs/step" }, { "required": ["expect"] }],
    });
    schema["required"] = json!(["scenario", "steps"]);
    let mut out = Map::new();
    out.insert("$schema".into(), json!(DIALECT));
    out.insert("title".into(), json!("prodmirror scenario"));
    out.insert(
        "description".into(),
        json!("What users may expect of a stack: one YAML document of a scenario file"),
    );
    if let Value::Object(o) = schema {
        out.extend(o);
    }
    out.insert("$defs".into(), Value::Object(defs));
    Value::Object(out)
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

/// The fields of the result of each kind of step.
fn fields(kinds: &[KindDoc]) -> Vec<(&'static str, Vec<&'static str>)> {
    let mut all: Vec<(&str, Vec<&str>)> =
        kinds.iter().map(|k| (k.name, k.fields.to_vec())).collect();
    let mut union: Vec<&str> = kinds
        .iter()
        .flat_map(|k| k.fields.iter().copied())
        .collect();
    union.extend(RACE_FIELDS);
    all.push(("race", RACE_FIELDS.to_vec()));
    all.push(("parallel", PARALLEL_FIELDS.to_vec()));
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
    for flow in ["race", "parallel"] {
        schema["properties"][flow] = json!({ "$ref": format!("#/$defs/{flow}") });
    }
    schema["properties"]["step"] = json!({
        "description": "The id of an earlier step that is run again",
        "type": "string",
        "examples": ["order"],
    });
    let all: Vec<&str> = kinds
        .iter()
        .map(|k| k.name)
        .chain(["race", "parallel", "step"])
        .collect();
    schema["description"] = json!("A step: one thing to do, and what must hold of its result");
    // Exactly one of them: a step does one thing.
    let one: Vec<Value> = all.iter().map(|k| json!({ "required": [k] })).collect();
    schema["oneOf"] = json!(one);
    let mut rules: Vec<Value> = all
        .iter()
        .map(|kind| {
            json!({
                "if": { "required": [kind] },
                "then": { "properties": {
                    "expect": expect::expect(kind),
                    "capture": { "$ref": format!("#/$defs/capture.{kind}") },
                } },
            })
        })
        .collect();
    // What waits for itself needs no `expect`.
    rules.push(json!({
        "if": { "required": ["eventually"] },
        "then": { "anyOf": [
            { "required": ["expect"] }, { "required": ["logs"] }, { "required": ["step"] },
        ] },
    }));
    schema["allOf"] = json!(rules);
    schema["patternProperties"] = free();
    schema
}
