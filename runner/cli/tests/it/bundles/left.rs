//! Which failures leave bundles, and what is in them.

use super::{entries, manifest};
use crate::project::Project;
use crate::rig::{SHELL, has_engine, sleeper};

#[test]
fn every_kind_of_failure_leaves_one() {
    if !has_engine() {
        return;
    }
    // A stack that does not start.
    let project = sleeper(&[(
        "scenarios/a.yaml",
        "scenario: a\nsteps:\n  - exec: { service: app, cmd: [\"true\"] }\n",
    )]);
    let compose =
        format!("services:\n  app:\n    image: {SHELL}\n    command: [/no/such/program]\n");
    project.write("compose.yaml", compose.as_bytes());
    project.plays(&["run"], &[]).is(3, &["prodmirror repro"]);
    let bundle = project.bundle();
    assert_eq!(
        manifest(&bundle)["failure"]["step"],
        serde_json::Value::Null
    );
    let elsewhere = Project::empty();
    elsewhere
        .plays(&["repro", &bundle], &[])
        .is(0, &["reproduced: the stack did not start"]);
    elsewhere.reproduced();

    // A step that takes too long, of which is told what ran then; each repetition is a failure of its own.
    let slow = "scenario: slow\nsteps:\n  - exec: { service: app, cmd: [sleep, \"600\"] }\n    timeout: 1s\n";
    let project = sleeper(&[("scenarios/a.yaml", slow)]);
    project
        .plays(&["run", "--repeat", "2"], &[])
        .is(1, &["prodmirror repro"]);
    let all = project.bundles();
    assert_eq!(all.len(), 2, "{all:?}");
    let bundle = all[1].to_string_lossy().into_owned();
    assert_eq!(manifest(&bundle)["failure"]["step"]["outcome"], "timed_out");
    let all = entries(&bundle);
    let seen = |what: &str| {
        let text = &all[&format!("evidence/containers/app-1.{what}.json")];
        serde_json::from_slice::<serde_json::Value>(text).unwrap()
    };
    assert_eq!(seen("inspect")["State"]["Status"], "running");
    let processes = seen("processes");
    let titles = processes["Titles"].as_array().unwrap();
    assert!(titles.iter().any(|t| t == "RSS"), "{processes}");
    let programs = processes["Processes"].to_string();
    assert!(
        programs.contains("\"sleep\"") && !programs.contains("infinity"),
        "{programs}"
    );
    let elsewhere = Project::empty();
    elsewhere
        .plays(&["repro", &bundle], &[])
        .is(0, &["reproduced: steps[0]"]);
    elsewhere.reproduced();
}

#[test]
fn of_retries_the_last_one_leaves_it() {
    if !has_engine() {
        return;
    }
    let scenario = "scenario: counts\nisolation: shared\nsteps:\n  - exec: { service: app, cmd: [sh, -c, \"echo x >> /n; wc -l < /n\"] }\n    expect: stdout.trim() == \"never\"\n";
    let project = sleeper(&[("scenarios/a.yaml", scenario)]);
    project.plays(&["run", "--retries", "2"], &[]).is(1, &[]);
    let bundle = project.bundle();
    let reason = manifest(&bundle)["failure"]["reason"].to_string();
    assert!(reason.contains('3'), "{reason}");
}

#[test]
fn all_that_a_scenario_uses_is_in_it() {
    if !has_engine() {
        return;
    }
    let project = Project::empty();
    let compose = format!(
        "services:\n  app:\n    image: {SHELL}\n    init: true\n    command: [sleep, infinity]\n    configs: [{{ source: greeting, target: /greeting }}]\n    volumes: [{{ type: bind, source: ./static, target: /static, read_only: true }}]\nconfigs: {{ greeting: {{ file: ../shared/greeting.txt }} }}\n"
    );
    project.write("deploy/production/compose.yaml", compose.as_bytes());
    project.write("deploy/production/static/page.html", b"<p>page</p>\n");
    project.write("deploy/shared/greeting.txt", b"hello\n");
    project.write(
        "deploy/mirror.yaml",
        b"project: deep\nproduction: [production/compose.yaml]\n",
    );
    project.write(
        "tests/flows/a.yaml",
        br##"scenario: all of it
matrix: { n: [1, 2] }
load: { rows: ../data/rows.csv }
vars: { extra: none }
steps:
  - id: part
    use: parts/read.yaml
    with: { path: /greeting }
    expect: outputs.text == "hello\n"
  - exec: { service: app, cmd: [cat, /static/page.html] }
    expect: stdout.contains("page")
  - exec: { service: app, cmd: [echo, "{{ rows[0].sku }} {{ extra }} {{ n }}"] }
    expect: n == 1 || stdout == "nothing"
"##,
    );
    project.write(
        "tests/flows/parts/read.yaml",
        b"fragment: read\nparams: [path]\noutputs: { text: steps.cat.stdout }\nsteps:\n  - id: cat\n    exec: { service: app, cmd: [cat, \"{{ path }}\"] }\n",
    );
    project.write("tests/data/rows.csv", b"sku\nmug\n");
    let args = [
        "run",
        "-f",
        "deploy/mirror.yaml",
        "tests/flows/a.yaml",
        "--var",
        "extra=some",
    ];
    let said = project.start(&args, &[]).end(super::RUN);
    said.is(1, &["1 passed", "1 failed", "prodmirror repro"]);
    let line = said
        .err
        .lines()
        .find_map(|l| l.split_once("prodmirror repro "))
        .unwrap()
        .1;
    let bundle = project
        .path()
        .join(line.trim())
        .to_string_lossy()
        .into_owned();
    let names = entries(&bundle);
    for name in [
        "project/tests/flows/parts/read.yaml",
        "project/tests/data/rows.csv",
    ] {
        assert!(names.contains_key(name), "{:?}", names.keys());
    }
    let elsewhere = Project::empty();
    let copy = elsewhere.path().join("a.bundle");
    std::fs::copy(&bundle, &copy).unwrap();
    drop(project);
    let said = elsewhere.plays(&["repro", "a.bundle"], &[]);
    said.is(0, &["reproduced: steps[2]", "mug some 2"]);
    assert_eq!(elsewhere.reproduced(), 1);
}

#[test]
fn a_scenario_with_the_value_of_a_secret_leaves_none() {
    if !has_engine() {
        return;
    }
    let value = "v4lue-of-the-key";
    let scenario = format!(
        "scenario: tells it\nsteps:\n  - exec: {{ service: app, cmd: [echo, {value}] }}\n    expect: stdout == \"\"\n"
    );
    let project = sleeper(&[("scenarios/a.yaml", &scenario)]);
    let mirror = format!(
        "project: t\nproduction: [compose.yaml]\nsecrets: {{ KEY: {{ stub: {value} }} }}\n"
    );
    project.write("mirror.yaml", mirror.as_bytes());
    let said = project.plays(&["run"], &[]);
    said.is(
        1,
        &[
            "no bundle was written: scenarios/a.yaml holds the value of the secret KEY",
            "secrets.NAME",
        ],
    );
    assert!(!said.err.contains(value), "{}", said.err);
    assert!(project.bundles().is_empty());

    // One that takes it from where secrets are does, and runs again with a made-up one.
    let scenario = "scenario: uses it\nsteps:\n  - exec: { service: app, cmd: [echo, \"{{ secrets.KEY }}\"] }\n    expect: stdout == \"\"\n";
    project.write("scenarios/a.yaml", scenario.as_bytes());
    std::fs::remove_dir_all(project.run_dir()).unwrap();
    project.plays(&["run"], &[]).is(1, &[]);
    let elsewhere = Project::empty();
    let said = elsewhere.plays(&["repro", &project.bundle()], &[]);
    said.is(0, &["made up for this: KEY", "reproduced: steps[0]"]);
    elsewhere.reproduced();
}
