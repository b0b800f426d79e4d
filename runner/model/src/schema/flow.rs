//! Tables and schemas of what is the language itself: the envelope of a scenario, the keys
//! around a step, and the bodies that are no kinds.

use serde_json::{Value, json};

use super::expect;
use super::shape::{
    Arg, Shape, any, arg, calc, choice, duration, either, flag, integer, list, map, object,
    of_keys, pairs, text, word,
};
use crate::scenario::FAKE_WORDS;

/// One text, or several.
const TEXTS: &[Shape] = &[Shape::Text, Shape::List(&Shape::Text)];

/// Turns of a loop that are run at most.
const MOST_TURNS: i64 = 100_000;

/// What is left out, and why.
const SKIP: Arg = either(
    "skip",
    "Why it is left out for now; or the expression by which it is",
    &[
        Shape::Word,
        Shape::Flag,
        Shape::Object(&[
            calc("if", "It is left out when this is true"),
            text("reason", "Why").or("`skipped by its condition`"),
        ]),
    ],
)
.eg("\"until the card terminal answers\"");

/// Keys of the envelope that take no steps.
pub(super) const ENVELOPE: &[Arg] = &[
    text(
        "scenario",
        "The name: one sentence that says what users expect. Unique in its file",
    )
    .eg("\"a customer buys two mugs\""),
    text(
        "fragment",
        "The name of steps that scenarios `use`, in the place of `scenario`",
    )
    .eg("\"a customer logs in\""),
    text("description", "More words for people"),
    either("labels", "Words for selection", TEXTS).eg("[\"checkout\"]"),
    map("data", "Snapshots of data volumes, by volume", &Shape::Text)
        .eg("{\"orders-db\": \"orders-2026-11\"}"),
    map(
        "flags",
        "Feature flags: a value that this scenario is run with, or a list of those that it is run with in turn",
        &Shape::Any,
    )
    .eg("{\"checkout_v2\": [\"on\", \"off\"]}"),
    any(
        "matrix",
        "Names with lists of values: the scenario is run for each combination, without `exclude`, with `include`",
    )
    .eg("{\"payment\": [\"card\", \"invoice\"], \"country\": [\"DE\", \"CH\"]}"),
    either(
        "params",
        "Names that a fragment needs: `with` gives their values",
        TEXTS,
    )
    .eg("[\"user\"]"),
    map(
        "outputs",
        "What a fragment gives to the step that uses it: names with expressions",
        &Shape::Calc,
    )
    .eg("{\"token\": \"steps.login.json.token\"}"),
    map(
        "load",
        "Data files beside the scenario's, as variables: .csv, .tsv, .json, .jsonl, .yaml",
        &Shape::Pattern(r"\.([cC][sS][vV]|[tT][sS][vV]|[jJ][sS][oO][nN][lL]?|[nN][dD][jJ][sS][oO][nN]|[yY][aA]?[mM][lL])$"),
    )
    .eg("{\"orders\": \"data/orders.csv\"}"),
    any("fake", "Variables that look real, drawn by the seed of the run")
        .eg("{\"customer\": \"name\", \"qty\": {\"int\": [1, 5]}}"),
    pairs(
        "vars",
        "Variables; later ones may use earlier ones. `--var` replaces a variable that stands here",
    )
    .eg("{\"sku\": \"A1\"}"),
    object(
        "requires",
        "What it needs to make sense",
        &[
            either(
                "services",
                "It is skipped where the stack does not have these services",
                TEXTS,
            )
            .eg("[\"worker\"]"),
            either("data", "It is an error where the data has less", TEXTS)
                .eg("\"orders >= 1000000 rows\""),
        ],
    ),
    either(
        "needs",
        "Scenarios that must pass before this one runs, by name",
        TEXTS,
    )
    .eg("[\"a customer buys two mugs\"]"),
    either(
        "lock",
        "Words: scenarios that have one in common do not run at the same time",
        TEXTS,
    )
    .eg("[\"stock\"]"),
    SKIP,
    choice(
        "isolation",
        "A stack of its own (scenario), one for the file (file), or one for all that say so (shared)",
        &["scenario", "file", "shared"],
    )
    .or("scenario"),
    duration("timeout", "How long all of it may take")
        .eg("\"2m\"")
        .or("10 minutes"),
];

/// Keys of the envelope that a fragment does not have.
pub(super) const NOT_IN_FRAGMENTS: [&str; 8] = [
    "data",
    "isolation",
    "requires",
    "needs",
    "lock",
    "matrix",
    "invariants",
    "flags",
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
    calc("if", "The step is skipped unless this expression is true").eg("\"order_id != 0\""),
    SKIP,
    either(
        "for_each",
        "Runs the step for each item of a list, an expression, or a range: under a name, or as `item`",
        &[
            Shape::List(&Shape::Any),
            Shape::Word,
            Shape::Map(&Shape::Any),
        ],
    )
    .eg("{\"sku\": [\"A1\", \"B2\"]}"),
    integer("repeat", "Runs the step so often", 1, MOST_TURNS).eg("3"),
    pairs("with", "Values for the `params` and `vars` of the fragment that is used")
        .eg("{\"user\": \"ann\"}"),
    either(
        "retry",
        "Tries again when no answer came",
        &[
            Shape::Integer(0, 1000),
            Shape::Object(&[
                integer("times", "Attempts after the first", 0, 1000).or("3"),
                duration("delay", "Before the second attempt").or("100 ms"),
                arg(
                    "backoff",
                    "By how much the delay grows each time, up to 100",
                    Shape::Number(1),
                )
                .eg("2")
                .or("2"),
                duration("max_delay", "The longest delay").or("5 s"),
                arg(
                    "jitter",
                    "By which part delays are made longer or shorter, from 0 to 1",
                    Shape::Number(0),
                )
                .eg("0.2")
                .or("0"),
                calc("unless", "It is not tried again when this is true"),
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
                duration("every", "From one attempt to the next").or("250 ms"),
            ]),
        ],
    )
    .eg("{\"within\": \"30s\", \"every\": \"500ms\"}"),
    duration("timeout", "How long one attempt may take").or("30 s"),
    flag(
        "soft",
        "The scenario goes on when the step fails, and fails in the end",
    ),
];

/// Keys of a race that take no steps.
pub(super) const RACE: &[Arg] = &[
    integer("runs", "How many runs", 1, 10_000)
        .eg("50")
        .or("10"),
    integer(
        "seed",
        "Seed of the branches' order and offsets",
        0,
        i64::MAX,
    ),
    duration("spread", "How far apart the branches start at most").or("2 ms"),
];

/// Bodies that are no kinds, apart from those with branches.
const BODIES: &[Arg] = &[
    word("step", "The id of an earlier step that is run again").eg("\"order\""),
    list(
        "steps",
        "Steps as one: they share its `if`, `for_each`, `soft` and `eventually`",
        &Shape::Any,
    ),
    arg(
        "include",
        "A file whose steps run here: a list of steps, or a scenario. `#NAME` names one of several",
        Shape::Pattern("\\S"),
    )
    .eg("\"fragments/login.yaml\""),
    arg(
        "use",
        "A fragment with names of its own: `with` gives it values, its `outputs` are the result",
        Shape::Pattern("\\S"),
    )
    .eg("\"fragments/login.yaml\""),
    pairs("set", "Variables for later steps").eg("{\"total\": \"{{ price * 2 }}\"}"),
    any(
        "print",
        "A value for the report, templates in it are rendered",
    )
    .eg("\"the order is {{ order_id }}\""),
    any(
        "assert",
        "What must hold of variables, captures and earlier results: as `expect`",
    )
    .eg("\"total > 0\""),
];

/// All bodies that are no kinds.
pub(super) fn bodies() -> Vec<&'static str> {
    let with_branches = ["race", "parallel"];
    with_branches
        .into_iter()
        .chain(BODIES.iter().map(|b| b.name))
        .collect()
}

/// Keys that mean nothing beside a body, which has no result for them.
pub(super) const USELESS: [(&str, &[&str]); 5] = [
    ("steps", &["expect", "capture", "retry"]),
    ("include", &["expect", "capture", "retry"]),
    ("assert", &["expect", "capture", "retry"]),
    ("set", SILENT),
    ("print", SILENT),
];
const SILENT: &[&str] = &["expect", "retry", "eventually", "timeout", "capture"];

/// Fields of the results of flow.
pub(super) const RESULTS: [(&str, &[(&str, &str)]); 4] = [
    (
        "race",
        &[
            (
                "branches",
                "The results of the branches of one run, in order",
            ),
            ("run", "The number of the run, from 0"),
            ("runs", "How many runs there were"),
            ("hits", "How many of them were hits"),
            ("duration", "How long it took"),
        ],
    ),
    (
        "parallel",
        &[
            ("branches", "The results of the branches, in order"),
            ("duration", "How long it took"),
        ],
    ),
    (
        "use",
        &[
            ("outputs", "The `outputs` of the fragment"),
            ("duration", "How long it took"),
        ],
    ),
    ("assert", &[]),
];

/// The schemas of the bodies, by their keys.
pub(super) fn properties() -> Vec<(&'static str, Value)> {
    let mut all: Vec<(&str, Value)> = ["race", "parallel"]
        .into_iter()
        .map(|b| (b, json!({ "$ref": format!("#/$defs/{b}") })))
        .collect();
    for body in BODIES {
        let mut schema = body.schema();
        match body.name {
            "steps" => {
                schema["items"] = json!({ "$ref": "#/$defs/step" });
                schema["minItems"] = json!(1);
            }
            "set" => {
                schema["minProperties"] = json!(1);
                schema["propertyNames"] = json!({ "$ref": "#/$defs/name" });
            }
            "assert" => {
                let rule = expect::expect("assert");
                schema["anyOf"] = rule["anyOf"].clone();
            }
            _ => {}
        }
        all.push((body.name, schema));
    }
    all
}

/// What the tables of a step do not say.
pub(super) fn of_step(schema: &mut Value) {
    let range = json!({
        "type": "object",
        "properties": {
            "from": { "type": "integer", "description": "The first number" },
            "to": { "type": "integer", "description": "The last number" },
            "by": { "type": "integer", "not": { "const": 0 }, "description": "From one to the next" },
        },
        "required": ["from", "to"],
        "additionalProperties": false,
    });
    let over = json!({ "anyOf": [
        range,
        { "type": "array" },
        { "type": "string", "pattern": "\\S" },
        { "type": "object", "not": { "required": ["from", "to"] } },
    ] });
    schema["properties"]["for_each"]["anyOf"] = json!([
        { "type": "array" },
        { "type": "string", "pattern": "\\S" },
        {
            "type": "object",
            "propertyNames": { "$ref": "#/$defs/name" },
            "additionalProperties": over,
            "minProperties": 1,
            "maxProperties": 1,
        },
    ]);
    schema["dependentRequired"] = json!({ "with": ["use"] });
    schema["not"] = json!({ "required": ["for_each", "repeat"] });
    let retry = &mut schema["properties"]["retry"]["anyOf"][1]["properties"];
    retry["backoff"]["maximum"] = json!(100);
    retry["jitter"]["maximum"] = json!(1);
}

/// What the tables of the envelope do not say.
pub(super) fn of_envelope(schema: &mut Value) {
    let keys = &mut schema["properties"];
    for name in ["scenario", "fragment"] {
        keys[name]["pattern"] = json!("\\S");
    }
    for key in ["vars", "outputs", "load", "fake"] {
        keys[key]["propertyNames"] = json!({ "$ref": "#/$defs/name" });
    }
    let one = json!({ "type": "object", "minProperties": 1 });
    let combinations = json!({ "anyOf": [one, { "type": "array", "items": one }] });
    let matrix = json!({
        "type": "object",
        "minProperties": 1,
        "properties": { "include": combinations, "exclude": combinations },
        "propertyNames": { "$ref": "#/$defs/name" },
        "additionalProperties": { "type": "array", "minItems": 1 },
    });
    merge(&mut keys["matrix"], matrix);
    let two = |of: &str| json!({ "type": "array", "items": { "type": of }, "minItems": 2, "maxItems": 2 });
    let mut drawn = of_keys(
        &[
            any("int", "A whole number between two"),
            any("decimal", "A number with two decimals between two"),
            any("one_of", "One of these"),
            integer("text", "So many letters and digits", 1, 10_000),
        ],
        false,
    );
    merge(&mut drawn["properties"]["int"], two("integer"));
    merge(&mut drawn["properties"]["decimal"], two("number"));
    merge(
        &mut drawn["properties"]["one_of"],
        json!({ "type": "array", "minItems": 1 }),
    );
    drawn["minProperties"] = json!(1);
    drawn["maxProperties"] = json!(1);
    let fake = json!({
        "type": "object",
        "additionalProperties": { "anyOf": [{ "enum": FAKE_WORDS }, drawn] },
    });
    merge(&mut keys["fake"], fake);
    let own: Vec<Value> = NOT_IN_FRAGMENTS
        .iter()
        .map(|k| json!({ "required": [k] }))
        .collect();
    schema["required"] = json!(["steps"]);
    schema["oneOf"] = json!([
        { "type": "object", "required": ["scenario"], "not": { "required": ["params"] } },
        { "type": "object", "required": ["fragment"], "not": { "anyOf": own } },
        { "$comment": "steps alone, for `include`", "type": "array" },
    ]);
}

/// Adds keywords to a schema.
fn merge(schema: &mut Value, more: Value) {
    if let (Some(schema), Value::Object(more)) = (schema.as_object_mut(), more) {
        schema.extend(more);
    }
}
