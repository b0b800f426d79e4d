//! Which scenarios run, in which order, and how often.

use std::time::Duration;

use super::super::git;
use super::super::project::Project;
use super::super::rig::{clean_within, has_engine, sleeper};

const RUN: Duration = Duration::from_secs(180);
const TWO: &str = "scenario: one\nsteps:\n  - exec: { service: web, cmd: [a] }\n---\nscenario: two\nsteps:\n  - exec: { service: web, cmd: [a] }\n";

#[test]
fn a_file_and_a_line() {
    let project = Project::with(&[("scenarios/a.yaml", TWO), ("scenarios/b.yaml", TWO)]);
    let listed = |path: &str| {
        let said = project.run(&["run", "--dry-run", path]);
        (said.code, said.out)
    };
    for line in [1, 3] {
        let one = (0, "scenarios/a.yaml: one\n".to_owned());
        assert_eq!(listed(&format!("scenarios/a.yaml:{line}")), one, "{line}");
    }
    for line in [4, 5, 7] {
        let two = (0, "scenarios/a.yaml: two\n".to_owned());
        assert_eq!(listed(&format!("scenarios/a.yaml:{line}")), two, "{line}");
    }
    project
        .run(&["run", "--dry-run", "scenarios/a.yaml:99"])
        .is(2, &["no scenario stands at that line"]);
}

#[test]
fn only_what_changed() {
    let one =
        |name: &str| format!("scenario: {name}\nsteps:\n  - exec: {{ service: web, cmd: [a] }}\n");
    let project = Project::with(&[
        ("scenarios/a.yaml", &one("a")),
        (
            "scenarios/b.yaml",
            &format!("{}  - include: ../parts/c.yaml\n", one("b")),
        ),
        ("parts/c.yaml", "- exec: { service: web, cmd: [c] }\n"),
    ]);
    git(&project, &["init", "-q"]);
    git(&project, &["add", "."]);
    git(&project, &["commit", "-q", "-m", "first"]);
    let listed =
        |args: &[&str]| project.run(&[&["run", "--dry-run", "--only-changed"], args].concat());
    listed(&[]).is(2, &["no scenario changed since HEAD"]);
    // A file that a scenario includes is a part of it.
    project.write("parts/c.yaml", b"- exec: { service: web, cmd: [d] }\n");
    assert_eq!(listed(&[]).out, "scenarios/b.yaml: b\n");
    // What git does not know yet has changed.
    project.write("scenarios/new.yaml", one("new").as_bytes());
    assert_eq!(
        listed(&[]).out,
        "scenarios/b.yaml: b\nscenarios/new.yaml: new\n"
    );
    git(&project, &["add", "."]);
    git(&project, &["commit", "-q", "-m", "second"]);
    listed(&[]).is(2, &["no scenario changed since HEAD"]);
    assert_eq!(
        listed(&["HEAD~1"]).out,
        "scenarios/b.yaml: b\nscenarios/new.yaml: new\n"
    );
    listed(&["nowhere"]).is(2, &["nowhere"]);
}

#[test]
fn another_order_that_is_drawn() {
    if !has_engine() {
        return;
    }
    let all: String = (1..=6)
        .map(|n| format!("---\nscenario: s{n}\nisolation: shared\nsteps:\n  - exec: {{ service: app, cmd: [\"true\"] }}\n"))
        .collect();
    let order = |args: &[&str]| -> Vec<String> {
        let project = sleeper(&[("scenarios/a.yaml", &all)]);
        let said = project.start(&[&["run"], args].concat(), &[]).end(RUN);
        said.is(0, &["6 scenarios: 6 passed"]);
        let events = project.events();
        let ended = events.iter().filter(|e| e["event"] == "case_finished");
        ended
            .map(|e| e["case"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let drawn = order(&["--shuffle", "7"]);
    let mut sorted = drawn.clone();
    sorted.sort();
    assert_eq!(sorted, ["s1", "s2", "s3", "s4", "s5", "s6"]);
    assert_ne!(drawn, sorted);
    // The same number is the same order; without one it is the run's.
    assert_eq!(order(&["--shuffle", "7", "--seed", "1"]), drawn);
    assert_eq!(order(&["--shuffle", "--seed", "7"]), drawn);
}

#[test]
fn again_and_again_until_it_fails() {
    if !has_engine() {
        return;
    }
    // Each turn has a stack of its own: what is counted is counted here.
    let scenario = "scenario: worn\nsteps:\n  - shell: { cmd: \"echo x >> count; test $(wc -l < count) -lt 3\" }\n";
    let project = sleeper(&[("scenarios/a.yaml", scenario)]);
    let said = project
        .start(&["run", "--until-fail", "9", "--allow-shell"], &[])
        .end(RUN);
    said.is(1, &["worn [3-9]", "2 passed, 1 failed"]);
    // A `shell` step runs beside its scenario.
    let count = project.path().join("scenarios/count");
    assert_eq!(std::fs::read_to_string(count).unwrap(), "x\nx\nx\n");
    clean_within(&project.run_id(), Duration::ZERO);
}

#[test]
fn flaky_is_failed_where_that_is_asked_for() {
    if !has_engine() {
        return;
    }
    let scenario = "scenario: a\nisolation: shared\nsteps:\n  - exec: { service: app, cmd: [sh, -c, \"test -e /n || { touch /n; false; }\"] }\n";
    for (args, code) in [(&["--fail-on-flaky"][..], 1), (&[], 0)] {
        let project = sleeper(&[("scenarios/a.yaml", scenario)]);
        let args = [&["run", "--retries", "1"], args].concat();
        let said = project.start(&args, &[]).end(RUN);
        said.is(code, &["1 scenario: 1 passed (1 flaky)"]);
    }
}
