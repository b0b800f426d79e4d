//! That the tables are what the readers take.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::scenario::{ENVELOPE, RACE, SECTIONS, STEP};
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
    for (key, keys) in [("retry", "retry"), ("eventually", "eventually")] {
        let a = STEP.iter().find(|a| a.name == key).unwrap();
        let found = known(&of_step(json!({ "http": {}, key: { NOBODY: 1 } })), keys);
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
fn types_that_the_schema_lists_are_those_that_are_known() {
    let step = json!({ "http": {}, "expect": { "status": { "type": NOBODY } } });
    let problems = problems_of(&json!({ "scenario": "a", "steps": [step] }));
    let listed: BTreeSet<String> = super::expect::TYPES
        .iter()
        .map(|t| (*t).to_owned())
        .collect();
    assert_eq!(known(&problems, "type"), listed);
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
        fields: &["status", "json", "body"],
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
        "{ step: a, retry: { times: 2 }, timeout: 1m30s, x-y: 1 }",
    ] {
        assert_eq!(of(good), [""; 0], "{good}");
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
    ] {
        assert_ne!(of(bad), [""; 0], "{bad}");
    }
}
