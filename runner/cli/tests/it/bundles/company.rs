//! Failures that hang on other scenarios: on what they need, and on what was played before them.

use super::manifest;
use crate::inner::fed;
use crate::project::Project;
use crate::rig::{has_engine, sleeper};

/// Runs the bundle where nothing else is, and gives the words of its scenarios' ends.
fn again(bundle: &str, texts: &[&str]) -> String {
    let elsewhere = Project::empty();
    let copy = elsewhere.path().join("a.bundle");
    std::fs::copy(bundle, copy).unwrap();
    let said = elsewhere.plays(&["repro", "a.bundle"], &[]);
    said.is(0, texts);
    assert_eq!(elsewhere.reproduced(), 1);
    said.err
}

#[test]
fn what_a_scenario_needs_is_played_first_wherever_it_stands() {
    if !has_engine() {
        return;
    }
    // What is needed stands in another file, which names others itself.
    let first = "scenario: first\nisolation: shared\nsteps:\n  - use: parts/mark.yaml\n    with: { name: first }\n---\nscenario: not asked for\nload: { rows: ../data/rows.csv }\nsteps:\n  - exec: { service: app, cmd: [touch, /tmp/other] }\n";
    let second = "scenario: second\nisolation: shared\nneeds: [first]\nsteps:\n  - exec: { service: app, cmd: [cat, /tmp/first] }\n    expect: exit_code == 0\n  - id: last\n    exec: { service: app, cmd: [ls, /tmp] }\n    expect: stdout == \"\"\n---\nscenario: also here\nsteps:\n  - use: parts/mark.yaml\n    with: { name: also }\n";
    let project = sleeper(&[
        ("scenarios/b.yaml", first),
        ("scenarios/a.yaml", second),
        (
            "scenarios/parts/mark.yaml",
            "fragment: mark\nparams: [name]\nsteps:\n  - include: ../../steps/touch.yaml\n",
        ),
        (
            "steps/touch.yaml",
            "- exec: { service: app, cmd: [touch, \"/tmp/{{ name }}\"] }\n",
        ),
        ("data/rows.csv", "a\n1\n"),
    ]);
    project
        .plays(&["run"], &[])
        .is(1, &["1 failed", "3 passed"]);
    let bundle = project.bundle();
    let m = manifest(&bundle);
    assert_eq!(m["case"]["name"], "second");
    assert_eq!(m["also"][0], "scenarios/b.yaml");
    let said = again(
        &bundle,
        &[
            "reproduced: steps[1] last",
            "2 scenarios: 1 passed, 1 failed",
        ],
    );
    assert!(!said.contains("not asked for"), "{said}");
    // It stops in the one that failed, and in no step of that name before.
    let elsewhere = Project::empty();
    let said = fed(&elsewhere, &["repro", &bundle, "--until"], "= 6 * 7\nc\n");
    said.is(0, &["next steps[1] last", "42", "reproduced: steps[1]"]);
    elsewhere.reproduced();
}

#[test]
fn what_was_played_before_on_one_stack_is_played_again() {
    if !has_engine() {
        return;
    }
    let count = |name: &str, expect: &str| {
        format!(
            "scenario: {name}\nisolation: file\nsteps:\n  - id: counts\n    exec: {{ service: app, cmd: [sh, -c, \"echo x >> /tmp/n; wc -l < /tmp/n\"] }}\n    expect: stdout.trim() {expect}\n"
        )
    };
    let file = [
        count("one", "== \"1\""),
        count("two", "== \"2\""),
        count("three", "!= \"3\""),
        count("four", "== \"4\""),
    ]
    .join("---\n");
    let project = sleeper(&[("scenarios/a.yaml", &file)]);
    project
        .plays(&["run"], &[])
        .is(1, &["1 failed", "3 passed"]);
    let bundle = project.bundle();
    assert_eq!(
        manifest(&bundle)["before"],
        serde_json::json!(["one", "two"])
    );
    // Alone it would pass.
    again(
        &bundle,
        &[
            "reproduced: steps[0] counts",
            "3 scenarios: 2 passed, 1 failed",
        ],
    );
    std::fs::remove_dir_all(project.run_dir()).unwrap();
    project
        .plays(&["run", "--filter", "three"], &[])
        .is(0, &["1 passed"]);
}
