//! The same failure, another one, or none.

use serde_json::Value;

use super::{entries, manifest};
use crate::forms::forms;
use crate::inner::fed;
use crate::project::Project;
use crate::rig::{SHELL, has_engine, sleeper};

const FAILS: &str = r#"scenario: says yes
steps:
  - exec: { service: app, cmd: ["true"] }
  - id: asked
    exec: { service: app, cmd: [echo, "no"] }
    expect: stdout.contains("yes")
"#;
const PASSES: &str = "scenario: is fine\nsteps:\n  - exec: { service: app, cmd: [\"true\"] }\n";

#[test]
fn a_failure_is_reproduced_in_an_empty_directory() {
    if !has_engine() {
        return;
    }
    let project = sleeper(&[("scenarios/a.yaml", FAILS), ("scenarios/b.yaml", PASSES)]);
    let said = project.plays(&["run"], &[]);
    said.is(
        1,
        &["to run it again anywhere: prodmirror repro .prodmirror/runs/"],
    );
    let bundle = project.bundle();
    assert!(bundle.ends_with("/a-says-yes.bundle"), "{bundle}");
    let m = manifest(&bundle);
    assert_eq!(m["case"]["name"], "says yes");
    assert_eq!(m["failure"]["step"]["position"], "steps[1]");

    let elsewhere = Project::empty();
    elsewhere.plays(&["repro", &bundle], &[]).is(
        0,
        &[
            "`says yes` of scenarios/a.yaml in t",
            "reproduced: steps[1] asked",
            "/evidence has what was seen",
        ],
    );
    assert_eq!(elsewhere.reproduced(), 1);

    // The production and the scenario that it was made from are needed no more.
    let elsewhere = Project::empty();
    let copy = elsewhere.path().join("copy.bundle");
    std::fs::copy(&bundle, &copy).unwrap();
    drop(project);
    let said = elsewhere.plays(
        &["repro", "copy.bundle", "--repeat", "3", "--format", "json"],
        &[],
    );
    assert_eq!(said.code, 0, "{}", said.err);
    let told: Vec<Value> = said
        .out
        .lines()
        .filter_map(|l| serde_json::from_str(l).ok())
        .collect();
    let told = told.iter().find(|t| t.get("verdict").is_some()).unwrap();
    assert_eq!(told["verdict"], "reproduced");
    assert_eq!(told["runs"], 3);
    assert_eq!(told["same"], 3);
    assert_eq!(told["passed"], 0);
    let unpacked = elsewhere.path().join(told["unpacked"].as_str().unwrap());
    assert!(unpacked.join("evidence/events.jsonl").is_file());
    assert_eq!(elsewhere.reproduced(), 1);
}

#[test]
fn looking_at_one_starts_and_leaves_nothing() {
    if !has_engine() {
        return;
    }
    let project = sleeper(&[("scenarios/a.yaml", FAILS)]);
    project
        .plays(&["run", "--bundle", "never"], &[])
        .is(1, &["1 failed"]);
    assert!(project.bundles().is_empty());
    std::fs::remove_dir_all(project.run_dir()).unwrap();
    project.plays(&["run", "--seed", "77"], &[]).is(1, &[]);
    let elsewhere = Project::empty();
    let said = elsewhere.plays(&["repro", &project.bundle(), "--dry-run"], &[]);
    said.is(
        0,
        &["which failed at", "steps[1] asked", "linux/", "seed 77"],
    );
    assert_eq!(elsewhere.reproduced(), 0);
    let kept = std::fs::read_dir(elsewhere.path().join(".prodmirror/repro")).unwrap();
    assert_eq!(kept.count(), 0);
}

#[test]
fn it_stops_before_and_at_the_failure() {
    if !has_engine() {
        return;
    }
    let project = sleeper(&[("scenarios/a.yaml", FAILS)]);
    project.plays(&["run"], &[]).is(1, &[]);
    let bundle = project.bundle();
    let elsewhere = Project::empty();
    let said = fed(&elsewhere, &["repro", &bundle, "--until"], "= 6 * 7\nc\n");
    said.is(
        0,
        &[
            "next steps[1] asked",
            "(prodmirror) = 6 * 7\n42\n",
            "reproduced: steps[1]",
        ],
    );
    assert!(!said.err.contains("next steps[0]"), "{}", said.err);
    let said = fed(&elsewhere, &["repro", &bundle, "--hold"], "doc\ncontinue\n");
    said.is(
        0,
        &[
            "stopped at steps[1]",
            "\"stdout\": \"no\\n\"",
            "reproduced: steps[1]",
        ],
    );
    elsewhere.reproduced();
    // Whoever quits has no verdict, and leaves nothing either.
    let said = fed(&elsewhere, &["repro", &bundle, "--hold"], "q\n");
    said.is(130, &["stopped at steps[1]"]);
    assert!(!said.err.contains("reproduced"), "{}", said.err);
    elsewhere.reproduced();
}

/// A project whose service has a secret of the environment, on which its scenario depends.
fn of_environment(name: &str) -> Project {
    let project = sleeper(&[(
        "scenarios/a.yaml",
        "scenario: the answer\nsteps:\n  - id: first\n    exec: { service: app, cmd: [sh, -c, \"case $ANSWER in good*) echo so;; *) echo not;; esac\"] }\n    expect: stdout.trim() == \"so\"\n  - id: second\n    exec: { service: app, cmd: [sh, -c, \"echo $ANSWER; case $ANSWER in *fine) echo so;; esac\"] }\n    expect: stdout.contains(\"so\")\n",
    )]);
    let compose = format!(
        "services:\n  app:\n    image: {SHELL}\n    init: true\n    command: [sh, -c, \"echo it is $$ANSWER; exec sleep infinity\"]\n    environment: {{ ANSWER: \"${{ANSWER}}\" }}\n"
    );
    project.write("compose.yaml", compose.as_bytes());
    let mirror = format!(
        "project: {name}\nproduction: [compose.yaml]\nsecrets: {{ ANSWER: {{ env: ANSWER }} }}\n"
    );
    project.write("mirror.yaml", mirror.as_bytes());
    project
}

#[test]
fn another_failure_and_none_are_told_apart_and_no_value_is_in_a_bundle() {
    if !has_engine() {
        return;
    }
    let project = of_environment("answers");
    let value = "bad-value/of+this=machine";
    project.plays(&["run"], &[("ANSWER", value)]).is(1, &[]);
    let bundle = project.bundle();
    for (name, bytes) in entries(&bundle) {
        for form in forms(value) {
            let shown = String::from_utf8_lossy(&form);
            assert!(
                !bytes.windows(form.len()).any(|w| w == form),
                "{shown} is in {name}"
            );
        }
    }
    assert_eq!(manifest(&bundle)["secrets"]["ANSWER"]["from"], "env");
    let bundle = bundle.as_str();
    let repro = |args: &[&str], env: &[(&str, &str)]| {
        let elsewhere = Project::empty();
        let said = elsewhere.plays(&[&["repro", bundle], args].concat(), env);
        (said, elsewhere.reproduced())
    };
    let (said, runs) = repro(&[], &[]);
    said.is(
        2,
        &[
            "the secret ANSWER has no value here",
            "it came from the environment",
            "--stand-ins",
        ],
    );
    assert_eq!(runs, 0);
    let (said, _) = repro(&["--stand-ins"], &[]);
    said.is(
        0,
        &["made up for this: ANSWER", "reproduced: steps[0] first"],
    );
    let (said, _) = repro(&[], &[("ANSWER", "good-but-no-more")]);
    said.is(
        1,
        &["different failure: steps[1] second does not pass, and it was steps[0] first"],
    );
    let (said, _) = repro(&[], &[("ANSWER", "good-and-fine")]);
    said.is(
        1,
        &["not reproduced: it passed here; where it failed: steps[0] first"],
    );
}
