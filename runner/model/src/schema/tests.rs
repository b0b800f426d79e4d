//! That the tables are what the readers take.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::flow::{ENVELOPE, NOT_IN_FRAGMENTS, RACE, SECTIONS, STEP, bodies};
use super::{Arg, KindDoc, MIRROR, Shape, mirror, object, scenario};
use crate::diag::Problem;
use crate::project::Project;
use crate::scenario::{KindInfo, read};
use crate::source::SourceFile;
use crate::yaml::parse_one;

/// A key that nobody has, and that is near to nothing.
const NOBODY: &str = "qqqqqqqqqqqqqqqqqqqq";

/// The keys that a reader knows where it found [`NOBODY`].
#[track_caller]
fn known(problems: &[Problem], at: &str) -> BTreeSet<String> {
    let p = problems.iter().find(|p| p.message.contains(NOBODY));
    let p = p.unwrap_or_else(|| panic!("{at}: nobody minds an unknown key: {problems:?}"));
    let help = p.help.as_deref().unwrap_or("");
    // What is one of several says so by showing each.
    if let Some(shown) = help.strip_prefix("write one of ") {
        let each = shown.split("{ ").skip(1);
        return each
            .map(|s| s.split(':').next().unwrap().to_owned())
            .collect();
    }
    let names = help.strip_prefix("known here: ");
    let names = names.unwrap_or_else(|| panic!("{at}: {p}"));
    names.split(", ").map(str::to_owned).collect()
}

fn names(keys: &[Arg]) -> BTreeSet<String> {
    keys.iter().map(|a| a.name.to_owned()).collect()
}

/// Wraps a value as a shape wants it, down to the mapping of certain keys that is in it.
fn wrap(shape: Shape, inner: Value) -> Value {
    match shape {
        Shape::List(of) => json!([wrap(*of, inner)]),
        Shape::Map(of) => json!({ "a.example:443": wrap(*of, inner) }),
        Shape::Either(of) => {
            let with = of.iter().find(|s| s.keys().is_some());
            with.map_or(Value::Null, |s| wrap(*s, inner))
        }
        _ => inner,
    }
}

fn project(document: &Value) -> Vec<Problem> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mirror.yaml");
    std::fs::write(&file, document.to_string()).unwrap();
    match Project::load(&file) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0,
    }
}

fn walk(keys: &'static [Arg], at: &str, document: &dyn Fn(Value) -> Value, seen: &mut usize) {
    let found = known(&project(&document(json!({ NOBODY: 1 }))), at);
    assert_eq!(found, names(keys), "{at}");
    *seen += 1;
    for a in keys {
        if let Some(inner) = a.shape.keys() {
            let deeper = |v: Value| document(json!({ a.name: wrap(a.shape, v) }));
            walk(inner, &format!("{at}.{}", a.name), &deeper, seen);
        }
    }
}

#[test]
fn the_table_of_mirror_yaml_has_the_keys_that_are_read() {
    let mut seen = 0;
    walk(MIRROR, "mirror.yaml", &|v| v, &mut seen);
    assert!(seen >= 20, "{seen}");
}

fn problems_of(document: &Value) -> Vec<Problem> {
    let file = SourceFile::new("s.yaml", document.to_string());
    let kinds = [KindInfo {
        name: "http",
        fields: &["status"],
    }];
    read(&file, &kinds).problems
}

#[test]
fn the_tables_of_scenarios_have_the_keys_that_are_read() {
    let mut envelope = names(ENVELOPE);
    envelope.extend(SECTIONS.iter().map(|(n, _)| (*n).to_owned()));
    assert_eq!(
        known(&problems_of(&json!({ NOBODY: 1 })), "envelope"),
        envelope
    );
    let mut step = names(STEP);
    step.extend(["expect".to_owned(), "capture".to_owned()]);
    let of_step = |s: Value| problems_of(&json!({ "scenario": "a", "steps": [s] }));
    let found = known(&of_step(json!({ "http": {}, NOBODY: 1 })), "step");
    assert_eq!(found, step);
    let mut race = names(RACE);
    race.extend(["before", "branches", "after"].map(str::to_owned));
    let found = known(&of_step(json!({ "race": { NOBODY: 1 } })), "race");
    assert_eq!(found, race);
    for key in ["retry", "eventually", "skip"] {
        let a = STEP.iter().find(|a| a.name == key).unwrap();
        let found = known(&of_step(json!({ "http": {}, key: { NOBODY: 1 } })), key);
        assert_eq!(found, names(a.shape.keys().unwrap()), "{key}");
    }
    let a = ENVELOPE.iter().find(|a| a.name == "requires").unwrap();
    let found = known(
        &problems_of(&json!({ "requires": { NOBODY: 1 } })),
        "requires",
    );
    assert_eq!(found, names(a.shape.keys().unwrap()));
}

#[test]
fn the_bodies_of_the_schema_are_those_that_are_read() {
    let problems = problems_of(&json!({ "scenario": "a", "steps": [{}] }));
    let help = problems[0].help.as_deref().unwrap();
    let read: BTreeSet<&str> = help
        .trim_start_matches("give it one of: ")
        .split(", ")
        .collect();
    let listed: BTreeSet<&str> = bodies().into_iter().chain(["http"]).collect();
    assert_eq!(read, listed);
}

#[test]
fn keys_that_the_schema_refuses_in_fragments_are_refused() {
    for key in names(ENVELOPE)
        .iter()
        .map(String::as_str)
        .chain(["invariants"])
    {
        let fragment = json!({ "fragment": "a", key: "x", "steps": [{ "http": {} }] });
        let problems = problems_of(&fragment);
        let minded = problems
            .iter()
            .any(|p| p.message.contains("a fragment has no"));
        let refused = NOT_IN_FRAGMENTS.contains(&key) || key == "scenario";
        assert_eq!(minded, refused, "{key}");
    }
}

#[test]
fn sources_that_the_schema_lists_are_those_that_are_known() {
    let all = super::expect::SOURCES.map(|(name, _)| name);
    let fields = ["body", "headers", "certificate"];
    let mut found = crate::check::sources(&fields);
    found.retain(|s| *s == "certificate" || !fields.contains(s));
    assert_eq!(BTreeSet::from(all), found.into_iter().collect());
}

fn valid(schema: &Value, text: &str) -> Vec<String> {
    let node = parse_one(&SourceFile::new("t.yaml", text)).unwrap();
    let validator = jsonschema::draft202012::new(schema).unwrap();
    let json = node.to_json();
    let errors = validator.iter_errors(&json);
    errors
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect()
}

#[test]
fn every_project_of_the_repository_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let schema = mirror();
    let mut count = 0;
    for dir in [root.clone(), root.join("ci/bench.d")] {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.to_string_lossy().ends_with("mirror.yaml") {
                let text = std::fs::read_to_string(&path).unwrap();
                assert_eq!(valid(&schema, &text), [""; 0], "{}", path.display());
                count += 1;
            }
        }
    }
    assert!(count >= 8, "{count}");
}

#[test]
fn the_documented_project_is_valid_and_mistakes_are_not() {
    let schema = mirror();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/mirror-yaml.md");
    let page = std::fs::read_to_string(page).unwrap();
    let text = page
        .split("```yaml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    assert_eq!(valid(&schema, text), [""; 0]);
    for mistake in [
        "production: [a]\nsecret: {}\n",
        "project: Shop\nproduction: [a]\n",
        "secrets: {}\n",
        "production: [a]\negress: { 'a:1': { stubb: x } }\n",
        "production: [a]\nfidelity: { allow: { high: many } }\n",
        "production: [a]\nsnapshots: { a: { mask: { t.c: emial } } }\n",
        "production: [a]\naudit: { off: [{ rule: x }] }\n",
    ] {
        assert_ne!(valid(&schema, mistake), [""; 0], "{mistake}");
    }
    let free = "production: [a]\nx-mine: { any: thing }\nsecrets:\n";
    assert_eq!(valid(&schema, free), [""; 0]);
}

#[test]
fn expectations_are_those_of_the_kind() {
    const ARGS: Shape = Shape::Object(&[object("deep", "d", &[])]);
    let doc = KindDoc {
        name: "http",
        help: "sends a request",
        example: "http: { url: \"http://a/\" }",
        fields: &[
            ("status", "the code"),
            ("headers", "names with values"),
            ("json", "the body"),
            ("body", "the text"),
            ("size", "its bytes"),
            ("certificate", "of the server"),
            ("request", "as it was sent"),
        ],
        experimental: None,
        args: Some(ARGS),
    };
    let schema = scenario(&[doc]);
    let of = |step: &str| valid(&schema, &format!("scenario: a\nsteps:\n  - {step}\n"));
    for good in [
        "{ http: {}, expect: status == 200 }",
        "{ http: {}, expect: [{ status: 200 }, { body: { contains: x } }, { jsonpath: $.a, exists: true }] }",
        "{ http: {}, capture: { a: { jsonpath: $.a, default: 1 }, b: json.a } }",
        "{ race: { branches: [{ http: {} }, [{ http: {} }]] }, expect: size(branches) == 2 }",
        "{ parallel: [{ http: {} }] }",
        "{ step: a, retry: { times: 2, jitter: 0.2, unless: status == 1 }, timeout: 1m30s, x-y: 1 }",
        "{ http: {}, expect: [{ xpath: //h1, equals: x }, { bytes: , size: { lt: 5 } }, { size: 5 }, { certificate: expire_date, after: now }] }",
        "{ http: {}, expect: { header: a, filters: [{ regex: x }, to_int, { replace: { from: a, to: b } }], gt: 0 } }",
        "{ http: {}, expect: [{ cookie: a, exists: true }, { jsonpath: $.a, type: [uuid, 'null'] }, { jsonpath: $, sorted: desc }] }",
        "{ http: {}, expect: [{ snapshot: true }, { snapshot: a, jsonpath: $.a, mask: [uuid, $.id, { matches: x }] }] }",
        "{ http: {}, expect: [{ openapi: a.yaml }, { openapi: { file: a.yaml, operation: b } }] }",
        "{ http: {}, capture: { a: { regex: x }, b: { header: l, filters: [{ split: ',' }, { nth: -1 }, trim] } } }",
        "{ for_each: { a: [1, 2] }, http: {} }",
        "{ for_each: { n: { from: 3, to: 1, by: -1 } }, assert: n == 3 }",
        "{ for_each: 'rows', soft: true, steps: [{ set: { a: 1 } }, { print: '{{ a }}' }] }",
        "{ for_each: [1], include: a.yaml }",
        "{ repeat: 3, use: '#a', with: { a: 1 }, expect: outputs.a == 1, capture: { b: outputs.b } }",
        "{ eventually: 5s, assert: [x == 1, { value: x, ge: 1 }] }",
        "{ skip: until then, http: {} }",
        "{ skip: { if: a == 1, reason: because }, http: {} }",
        "{ race: { branches: [{ step: a }, { step: a }] }, expect: hits == 0 }",
    ] {
        assert_eq!(of(good), [""; 0], "{good}");
    }
    let list = |text: &str| valid(&schema, text);
    assert_eq!(
        list("- { http: {}, expect: status == 200 }\n- include: a.yaml\n"),
        [""; 0]
    );
    for bad in [
        "[]",
        "- { htpp: {} }",
        "- http",
        "- { http: { dep: 1 } }",
        "text",
        "7",
    ] {
        assert_ne!(list(bad), [""; 0], "{bad}");
    }
    for bad in [
        "{ http: {}, expect: { jsonpath: $.a } }",
        "{ http: {}, expect: { exists: true } }",
        "{ http: {}, expect: { statuss: 200 } }",
        "{ http: {}, expect: 200 }",
        "{ http: {}, expect: [] }",
        "{ http: {}, expect: { status: 1, type: uuidd } }",
        "{ http: {}, capture: { a: $.a } }",
        "{ http: {}, capture: { steps: json.a } }",
        "{ http: {}, step: a }",
        "{ htpp: {} }",
        "{ http: { dep: 1 } }",
        "{ http: {}, timeout: 5 }",
        "{ http: {}, eventually: 5s }",
        "{ race: { branches: [{ http: {} }] } }",
        "{ http: {}, expect: { header: a, filters: trim } }",
        "{ http: {}, expect: { header: a, filters: [trimm], equals: 1 } }",
        "{ http: {}, expect: { header: a, filters: [{ nth: x }], equals: 1 } }",
        "{ http: {}, expect: { snapshot: a, mask: uid } }",
        "{ http: {}, expect: { snapshot: a, status: 200 } }",
        "{ http: {}, expect: { openapi: { operation: b } } }",
        "{ http: {}, expect: { certificate: owner, exists: true } }",
        "{ http: {}, with: { a: 1 } }",
        "{ for_each: [1], repeat: 2, http: {} }",
        "{ for_each: { a: [1], b: [2] }, http: {} }",
        "{ for_each: { n: { from: 3, to: x } }, http: {} }",
        "{ repeat: 0, http: {} }",
        "{ steps: [] }",
        "{ steps: [{ http: {} }], expect: a == 1 }",
        "{ set: { each: 1 } }",
        "{ print: x, retry: 3 }",
        "{ assert: [] }",
        "{ http: {}, retry: { jitter: 2 } }",
        "{ http: {}, skip: [a] }",
        "{ eventually: 5s, print: x }",
    ] {
        assert_ne!(of(bad), [""; 0], "{bad}");
    }
}

#[test]
fn envelopes_are_those_of_scenarios_and_of_fragments() {
    let schema = scenario(&[]);
    let steps = "steps: [{ print: x }]";
    for good in [
        "scenario: a",
        "fragment: a\nparams: [user]\noutputs: { token: a.b }\nvars: { x: 1 }",
        "scenario: a\nmatrix: { a: [1, 2], exclude: { a: 1 }, include: [{ a: 3 }] }",
        "scenario: a\nload: { rows: data/a.CSV, more: b.jsonl }",
        "scenario: a\nfake: { a: uuid, b: { int: [1, 5] }, c: { one_of: [x] }, d: { text: 8 } }",
        "scenario: a\nneeds: b\nlock: [stock]\nskip: true",
    ] {
        assert_eq!(
            valid(&schema, &format!("{good}\n{steps}\n")),
            [""; 0],
            "{good}"
        );
    }
    for bad in [
        "description: a",
        "scenario: a\nfragment: b",
        "scenario: a\nparams: [user]",
        "fragment: a\nmatrix: { a: [1] }",
        "fragment: a\nisolation: shared",
        "scenario: a\nmatrix: {}",
        "scenario: a\nmatrix: { a: 1 }",
        "scenario: a\nload: { rows: data/a.txt }",
        "scenario: a\nfake: { a: uid }",
        "scenario: a\nfake: { a: { int: [1] } }",
        "scenario: a\nfake: { a: { int: [1, 2], text: 5 } }",
        "scenario: a\nlock: { a: b }",
    ] {
        assert_ne!(
            valid(&schema, &format!("{bad}\n{steps}\n")),
            [""; 0],
            "{bad}"
        );
    }
}
