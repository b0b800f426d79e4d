//! Feature flags: both values of one, seen from inside of containers.

use std::time::Duration;

use serde_json::Value;

use super::git;
use super::project::Project;
use super::rig::{clean_within, has_engine, sleeper};

const RUN: Duration = Duration::from_secs(240);

const FLAGS: &str = r#"{
  "flags": {
    "checkout_v2": { "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": "off" },
    "express": { "state": "DISABLED", "variants": { "on": true, "off": false }, "defaultVariant": "on" }
  }
}
"#;

/// What is asked inside: the file's defaults, and the expectation with what templates say.
const SCENARIO: &str = r#"scenario: the flag is served
isolation: shared
flags: { checkout_v2: [on, off] }
steps:
  - exec: { service: app, cmd: [sh, -c, "tr -d ' \\n' < /etc/app/flags.json"] }
    expect:
      - 'stdout.contains("\"defaultVariant\":\"" + (flags.checkout_v2 ? "on" : "off") + "\"},\"express\"")'
      - 'stdout.contains("{\"state\":\"DISABLED\"")'
---
scenario: nobody set it
isolation: shared
steps:
  - exec: { service: app, cmd: [sh, -c, "cat /etc/app/flags.json; touch /tmp/shared"] }
    expect: 'stdout.contains("\"checkout_v2\": { \"state\": \"ENABLED\"") && !flags.checkout_v2'
"#;

/// A service with the file as a config.
fn with_file(section: &str, scenario: &str) -> Project {
    let compose = format!(
        "services:\n  app:\n    image: {}\n    init: true\n    command: [sleep, infinity]\n    configs: [{{ source: flags, target: /etc/app/flags.json }}]\nconfigs: {{ flags: {{ file: ./flags.json }} }}\n",
        super::rig::SHELL
    );
    let mirror = format!("project: t\nproduction: [compose.yaml]\n{section}\n");
    Project::with(&[
        ("compose.yaml", &compose),
        ("mirror.yaml", &mirror),
        ("flags.json", FLAGS),
        ("scenarios/a.yaml", scenario),
    ])
}

fn records(project: &Project) -> Vec<Value> {
    let fidelity: Value = serde_json::from_str(&project.of_run("fidelity.json")).unwrap();
    fidelity["records"].as_array().unwrap().clone()
}

#[test]
fn a_container_sees_the_value_of_its_case() {
    if !has_engine() {
        return;
    }
    let project = with_file("flags: { file: flags.json }", SCENARIO);
    let said = project.start(&["run"], &[]).end(RUN);
    said.is(
        0,
        &[
            "the flag is served [flag checkout_v2=on]",
            "the flag is served [flag checkout_v2=off]",
            "3 scenarios: 3 passed",
        ],
    );
    let xml = project.of_run("junit.xml");
    assert!(
        xml.contains("name=\"the flag is served [flag checkout_v2=on]\""),
        "{xml}"
    );
    // What production serves is one stack with what nobody set; the other value has its own.
    let events = project.events();
    let started = events.iter().filter(|e| e["event"] == "stack_ready");
    assert_eq!(started.count(), 2);
    let records = records(&project);
    let flag: Vec<&Value> = records
        .iter()
        .filter(|r| r["object"].as_str().is_some_and(|o| o.starts_with("flag:")))
        .collect();
    assert_eq!(flag.len(), 1, "{flag:#?}");
    assert_eq!(flag[0]["object"], "flag:checkout_v2");
    assert_eq!(flag[0]["declared"], "off");
    assert_eq!(
        flag[0]["actual"],
        "on, only in the stacks of: the flag is served [flag checkout_v2=on]"
    );
    assert_eq!(flag[0]["place"]["line"], 3);
    clean_within(&project.run_id(), Duration::ZERO);
}

#[test]
fn a_variable_is_set_for_one_run() {
    if !has_engine() {
        return;
    }
    let scenario = "scenario: a\nsteps:\n  - exec: { service: app, cmd: [sh, -c, 'echo $FEATURE_X $OTHER'] }\n    expect: stdout == \"FALSE stays\\n\"\n";
    let project = sleeper(&[
        ("scenarios/a.yaml", scenario),
        (
            "mirror.yaml",
            "project: t\nproduction: [compose.yaml]\nflags: { prefix: FEATURE_ }\nfidelity: { allow: { high: 0 } }\n",
        ),
    ]);
    let compose =
        String::from_utf8(std::fs::read(project.path().join("compose.yaml")).unwrap()).unwrap();
    let compose = compose + "    environment: { FEATURE_X: 'TRUE', OTHER: stays }\n";
    project.write("compose.yaml", compose.as_bytes());
    let said = project
        .start(&["run", "--flag", "FEATURE_X=off"], &[])
        .end(RUN);
    said.is(0, &["a [flag FEATURE_X=off]", "1 scenario: 1 passed"]);
    // What was set on purpose is no unexplained difference of the environment.
    let records = records(&project);
    let high: Vec<&Value> = records.iter().filter(|r| r["severity"] == "high").collect();
    assert!(high.is_empty(), "{high:#?}");
    assert!(records.iter().any(
        |r| r["object"] == "flag:FEATURE_X" && r["actual"].as_str().unwrap().starts_with("off")
    ));
}

#[test]
fn the_matrix_is_in_the_list_of_cases() {
    let scenario = "scenario: a\nsteps:\n  - exec: { service: app, cmd: [\"true\"] }\n";
    let project = with_file("flags: { file: flags.json, matrix: all }", scenario);
    let said = project.run(&["run", "--dry-run"]);
    said.is(0, &[]);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(
        lines,
        [
            "scenarios/a.yaml: a [flag checkout_v2=off, express=on]",
            "scenarios/a.yaml: a [flag checkout_v2=off, express=off]",
            "scenarios/a.yaml: a [flag checkout_v2=on, express=on]",
            "scenarios/a.yaml: a [flag checkout_v2=on, express=off]",
        ]
    );
    let said = project.run(&["run", "--dry-run", "--flag", "express=true"]);
    assert_eq!(said.out.lines().count(), 2, "{}", said.out);
    let said = project.run(&["run", "--dry-run", "--flag", "expres=true"]);
    said.is(
        2,
        &["production has no flag `expres`", "did you mean `express`?"],
    );
    let said = project.run(&["check"]);
    said.is(0, &["4 scenarios in 1 file"]);
    let said = project.run(&["explain", "flag.checkout_v2"]);
    said.is(0, &[]);
    let flat = |t: &str| {
        t.split(|c: char| c.is_whitespace() || c == '│')
            .collect::<String>()
    };
    let out = flat(&said.out);
    for part in [
        "\"serves\":\"off\"",
        "\"read_by\":[\"app\"]",
        "value is substituted (info) by on",
        "flags.json",
    ] {
        assert!(
            out.contains(&flat(part)),
            "{part:?} is not in\n{}",
            said.out
        );
    }
}

#[test]
fn changed_flags_are_those_that_git_has_otherwise() {
    let scenario = "scenario: a\nsteps:\n  - exec: { service: app, cmd: [\"true\"] }\n";
    let project = with_file("flags: { file: flags.json, matrix: changed }", scenario);
    project.run(&["check"]).is(2, &["compares with git"]);
    git(&project, &["init", "-q"]);
    git(&project, &["add", "."]);
    git(&project, &["commit", "-qm", "a"]);
    let said = project.run(&["run", "--dry-run"]);
    assert_eq!(said.out, "scenarios/a.yaml: a\n", "{}", said.err);
    let changed = FLAGS.replace("\"defaultVariant\": \"off\"", "\"defaultVariant\": \"on\"");
    project.write("flags.json", changed.as_bytes());
    let said = project.run(&["run", "--dry-run"]);
    assert_eq!(
        said.out,
        "scenarios/a.yaml: a [flag checkout_v2=on]\nscenarios/a.yaml: a [flag checkout_v2=off]\n"
    );
}

#[test]
fn what_is_wrong_with_flags_has_its_place() {
    let scenario = "scenario: a\nflags: { checkout_v2: maybe }\nsteps:\n  - exec: { service: app, cmd: [\"true\"] }\n";
    let project = with_file("flags: { file: flags.json }", scenario);
    project.run(&["check"]).is(
        2,
        &[
            "scenarios/a.yaml:2:23",
            "no variant `maybe`; it has on, off",
        ],
    );
    project.write(
        "flags.json",
        FLAGS
            .replace("\"defaultVariant\": \"off\"", "\"defaultVariant\": \"of\"")
            .as_bytes(),
    );
    project
        .run(&["check"])
        .is(2, &["flags.json:3:", "no variant `of`", "did you mean"]);
}
