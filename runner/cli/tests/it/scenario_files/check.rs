//! `check` for programs: JSON, SARIF, annotations.

use serde_json::{Value, json};

use super::shop;
use crate::git;
use crate::project::{Project, Said};

/// A file whose name needs every escape, with an error that has a related place.
const ODD: &str = "scenarios/100%, a:b.yaml";
const SCENARIO: &str = "scenario: a\nsteps:\n  - id: s\n    http: { url: \"http://gateway/\" }\n  - id: s\n    http: { url: \"http://gatewai/\" }\n    timeout: 5\n  - wait: { for: 1s }\n";

fn project() -> Project {
    shop(&[(ODD, SCENARIO)])
}

fn valid_sarif(said: &Said) -> Value {
    let document: Value = serde_json::from_str(&said.out).unwrap();
    let mut schema: Value =
        serde_json::from_str(include_str!("../../schema/sarif-2.1.0.json")).unwrap();
    // Its patterns of languages have a `]` that only ECMAScript takes for itself.
    for of in ["run", "toolComponent"] {
        let language = schema["definitions"][of]["properties"]["language"].as_object_mut();
        assert!(language.unwrap().remove("pattern").is_some());
    }
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .map(|e| e.to_string())
        .collect();
    assert_eq!(errors, [""; 0]);
    document
}

#[test]
fn json_has_every_place() {
    let said = project().run(&["check", "--format", "json"]);
    assert_eq!((said.code, said.err.as_str()), (2, ""));
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (&document["errors"], &document["warnings"]),
        (&json!(3), &json!(1))
    );
    let all = document["problems"].as_array().unwrap();
    assert_eq!(
        all[0],
        json!({
            "kind": "duplicate_key",
            "severity": "error",
            "message": "two steps have the id `s`",
            "file": ODD, "line": 5, "column": 9, "end_line": 5, "end_column": 10,
            "help": "give each step its own id; `step:` runs a step again",
            "rule": "duplicate-key",
            "related": [{
                "file": ODD, "line": 3, "column": 9, "end_line": 3, "end_column": 10,
                "message": "the first is here",
            }],
        })
    );
    let rules: Vec<&str> = all.iter().map(|p| p["rule"].as_str().unwrap()).collect();
    assert_eq!(
        rules,
        [
            "duplicate-key",
            "wrong-type",
            "invalid-value",
            "unknown-reference"
        ]
    );
    assert!(document["fidelity"]["records"].is_array());
}

#[test]
fn sarif_is_valid_and_names_files_as_the_repository_does() {
    let above = shop(&[]);
    git(&above, &["init", "-q"]);
    above.write("sub/mirror.yaml", b"production: [compose.yaml]\n");
    above.write(
        "sub/compose.yaml",
        b"services: { gateway: { image: \"x:1\" } }\n",
    );
    above.write(&format!("sub/{ODD}"), SCENARIO.as_bytes());
    let said = above.run(&["-f", "sub/mirror.yaml", "check", "--format", "sarif"]);
    assert_eq!(said.code, 2, "{}", said.err);
    let document = valid_sarif(&said);
    assert_eq!(document["version"], "2.1.0");
    let run = &document["runs"][0];
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    let uri = "sub/scenarios/100%25,%20a%3Ab.yaml";
    assert_eq!(
        results[0],
        json!({
            "ruleId": "duplicate-key",
            "ruleIndex": 1,
            "level": "error",
            "message": { "text": "two steps have the id `s`\nWhat to do: give each step its own id; `step:` runs a step again" },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": uri },
                "region": { "startLine": 5, "startColumn": 9, "endLine": 5, "endColumn": 10 },
            } }],
            "relatedLocations": [{
                "id": 0,
                "physicalLocation": {
                    "artifactLocation": { "uri": uri },
                    "region": { "startLine": 3, "startColumn": 9, "endLine": 3, "endColumn": 10 },
                },
                "message": { "text": "the first is here" },
            }],
        })
    );
    for r in results {
        let index = r["ruleIndex"].as_u64().unwrap() as usize;
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], r["ruleId"]);
    }
    assert_eq!(results[2]["level"], "warning");
}

#[test]
fn sarif_of_a_project_that_cannot_be_read_is_valid_too() {
    let broken = Project::with(&[("mirror.yaml", "production: [none.yaml]\nsecret: {}\n")]);
    let said = broken.run(&["check", "--format", "sarif"]);
    assert_eq!(said.code, 2);
    let document = valid_sarif(&said);
    let results = document["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    assert!(
        results
            .iter()
            .all(|r| r["locations"][0]["physicalLocation"]["region"]["startLine"].is_u64())
    );
    let good = shop(&[]);
    let said = good.run(&["check", "--format", "sarif"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(valid_sarif(&said)["runs"][0]["results"], json!([]));
}

#[test]
fn annotations_are_escaped() {
    let said = project().run(&["check", "--format", "github"]);
    assert_eq!(said.code, 2, "{}", said.err);
    let file = "scenarios/100%25%2C a%3Ab.yaml";
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(
        lines,
        [
            format!(
                "::error file={file},line=5,col=9,title=duplicate-key::two steps have the id `s`%0Ascenarios/100%25, a:b.yaml:3:9: the first is here%0Ahelp: give each step its own id; `step:` runs a step again"
            ),
            format!(
                "::error file={file},line=7,col=14,title=wrong-type::the duration `5` has no unit%0Ahelp: write `5s` for seconds or `5ms` for milliseconds"
            ),
            format!(
                "::warning file={file},line=8,col=18,title=invalid-value::a fixed wait is too long on a fast machine and too short on a slow one%0Ahelp: wait for what must have happened: `for: {{ http: … }}`, `eventually:` on the next step"
            ),
            format!(
                "::error file={file},line=6,col=18,title=unknown-reference::the stack has no host `gatewai`%0Ahelp: did you mean `gateway`?"
            ),
        ]
    );
}

#[test]
fn other_commands_do_not_have_these_formats() {
    for format in ["sarif", "github"] {
        let said = shop(&[]).run(&["render", "--format", format]);
        said.is(2, &["are formats of `audit` and `check`"]);
    }
}
