//! What else a failure may hang on: flags and matrices, secrets, parts of files, other rights.

use std::process::Command;

use super::{entries, manifest};
use crate::engine::{Beside, IMAGE};
use crate::forms::forms;
use crate::host::Host;
use crate::project::Project;
use crate::rig::{SHELL, has_engine, sleeper};

const FLAGS: &str = r#"{
  "flags": {
    "checkout_v2": { "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": "off" }
  }
}
"#;

/// A service that is given the flags, in a project that is not where production's files are.
fn flagged(scenario: &str) -> Project {
    let compose = format!(
        "services:\n  app:\n    image: {SHELL}\n    init: true\n    command: [sleep, infinity]\n    configs: [{{ source: flags, target: /etc/app/flags.json }}]\nconfigs: {{ flags: {{ file: ./flags.json }} }}\n"
    );
    let project = Project::with(&[("scenarios/a.yaml", scenario)]);
    project.write("production/compose.yaml", compose.as_bytes());
    project.write("production/flags.json", FLAGS.as_bytes());
    project.write(
        "mirror.yaml",
        b"project: t\nproduction: [production/compose.yaml]\nflags: { file: production/flags.json }\n",
    );
    project
}

#[test]
fn a_combination_of_flags_and_a_matrix_is_the_one_that_failed() {
    if !has_engine() {
        return;
    }
    // One of four fails: by what its container was really given, and by its own value.
    let scenario = "scenario: the flag is served\nmatrix: { n: [1, 2] }\nflags: { checkout_v2: [on, off] }\nsteps:\n  - id: served\n    exec: { service: app, cmd: [sh, -c, \"tr -d ' \\\\n' < /etc/app/flags.json\"] }\n    expect: n == 1 || stdout.contains('\"defaultVariant\":\"off\"')\n";
    let project = flagged(scenario);
    project
        .plays(&["run"], &[])
        .is(1, &["4 scenarios", "1 failed"]);
    let bundle = project.bundle();
    let name = manifest(&bundle)["case"]["name"].to_string();
    assert!(
        name.contains("n=2") && name.contains("checkout_v2=on"),
        "{name}"
    );
    let elsewhere = Project::empty();
    elsewhere
        .plays(&["repro", &bundle], &[])
        .is(0, &["reproduced: steps[0] served", "1 scenario: 1 failed"]);
    assert_eq!(elsewhere.reproduced(), 1);

    // One that the command line set.
    let scenario = "scenario: nobody set it\nsteps:\n  - exec: { service: app, cmd: [cat, /etc/app/flags.json] }\n    expect: '!flags.checkout_v2'\n";
    let project = flagged(scenario);
    project.plays(&["run"], &[]).is(0, &["1 passed"]);
    std::fs::remove_dir_all(project.run_dir()).unwrap();
    project
        .plays(&["run", "--flag", "checkout_v2=on"], &[])
        .is(1, &["1 failed"]);
    let bundle = project.bundle();
    assert_eq!(manifest(&bundle)["run"]["flags"][0], "checkout_v2=on");
    let elsewhere = Project::empty();
    elsewhere
        .plays(&["repro", &bundle], &[])
        .is(0, &["flags checkout_v2=on", "reproduced: steps[0]"]);
    elsewhere.reproduced();
}

#[test]
fn secrets_of_every_kind_stay_where_they_are() {
    if !has_engine() {
        return;
    }
    let compose = format!(
        r#"services:
  app:
    image: {SHELL}
    init: true
    command: [sh, -c, "echo $$FROM_ENV $$STAND_IN $$DB_PASSWORD; cat /run/secrets/*; exec sleep infinity"]
    environment: {{ FROM_ENV: "${{FROM_ENV}}", STAND_IN: "${{STAND_IN}}", DB_PASSWORD: "of-production/9xQ&7" }}
    secrets: [of_file, of_env_file]
secrets:
  of_file: {{ file: /somewhere/in/production }}
  of_env_file: {{ environment: PROD_TOKEN }}
"#
    );
    let all = "for v in \"$FROM_ENV\" \"$STAND_IN\" \"$DB_PASSWORD\" \"$(cat /run/secrets/of_file)\" \"$(cat /run/secrets/of_env_file)\"; do [ -n \"$v\" ] || exit 9; done";
    let scenario = format!(
        "scenario: it has them all\nsteps:\n  - exec: {{ service: app, cmd: [sh, -c, {}] }}\n    expect: exit_code == 0\n  - exec: {{ service: app, cmd: [sh, -c, \"cat /run/secrets/*; echo $FROM_ENV $STAND_IN $DB_PASSWORD\"] }}\n    expect: stdout == \"\"\n",
        serde_json::to_string(all).unwrap()
    );
    let project = Project::with(&[("compose.yaml", &compose), ("scenarios/a.yaml", &scenario)]);
    project.write(
        "mirror.yaml",
        b"project: kinds\nproduction: [compose.yaml]\nenv_files: [production.env]\nsecrets:\n  FROM_ENV: { env: FROM_ENV }\n  STAND_IN: { stub: \"a-stand-in/4hZ\" }\n  of_file: { file: here.txt }\nmask_key: { stub: \"of-the-masks+7\" }\n",
    );
    project.write("here.txt", b"of-a-file=3Kd8\n");
    project.write("production.env", b"PROD_TOKEN=of-an-env-file:5Mw\n");
    let of_shell = [("FROM_ENV", "of-the-shell+8Jw")];
    project
        .plays(&["run"], &of_shell)
        .is(1, &["1 failed", "prodmirror repro"]);
    let bundle = project.bundle();
    let values = [
        of_shell[0].1,
        "a-stand-in/4hZ",
        "of-production/9xQ&7",
        "of-a-file=3Kd8",
        "of-an-env-file:5Mw",
        "of-the-masks+7",
    ];
    for (name, bytes) in entries(&bundle) {
        for form in values.iter().flat_map(|v| forms(v)) {
            let shown = String::from_utf8_lossy(&form);
            let found = bytes.windows(form.len()).any(|w| w == form);
            assert!(!found, "{shown} is in {name}");
        }
    }
    let secrets = manifest(&bundle)["secrets"].clone();
    let from: Vec<(&String, &str)> = secrets
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, facts)| (name, facts["from"].as_str().unwrap()))
        .collect();
    let of = |source: &str| from.iter().filter(|(_, f)| *f == source).count();
    assert_eq!(
        (of("env"), of("stub"), of("file"), of("production")),
        (1, 1, 1, 2),
        "{from:?}"
    );

    let elsewhere = Project::empty();
    let said = elsewhere.plays(&["repro", &bundle], &[]);
    said.is(
        2,
        &[
            "the secret FROM_ENV has no value here; where it failed it came from the environment",
            "the secret of_file has no value here; where it failed it came from a file",
            "it came from production's own files",
            "--stand-ins",
        ],
    );
    assert!(!said.err.contains("the secret STAND_IN"), "{}", said.err);
    assert_eq!(elsewhere.reproduced(), 0);
    // All of them given, by the names of their variables.
    let given: Vec<(&str, &str)> = from
        .iter()
        .map(|(name, _)| (name.as_str(), "given"))
        .collect();
    let names: Vec<&str> = given.iter().map(|(name, _)| *name).collect();
    let told = format!("of this environment: {}", names.join(", "));
    elsewhere
        .plays(&["repro", &bundle], &given)
        .is(0, &[&told, "reproduced: steps[1]"]);
    elsewhere
        .plays(&["repro", &bundle, "--stand-ins"], &[])
        .is(0, &["made up for this: ", "reproduced: steps[1]"]);
    assert_eq!(elsewhere.reproduced(), 1);
    // Where the project is, they are taken from it; of another project nothing is.
    let said = project.plays(&["repro", &bundle], &of_shell);
    said.is(0, &["reproduced: steps[1]"]);
    assert!(!said.err.contains("made up"), "{}", said.err);
    project.reproduced();
    let mirror = std::fs::read_to_string(project.path().join("mirror.yaml")).unwrap();
    project.write(
        "mirror.yaml",
        mirror
            .replace("project: kinds", "project: other")
            .as_bytes(),
    );
    project
        .plays(&["repro", &bundle], &of_shell)
        .is(2, &["the secret of_file has no value here"]);
}

#[test]
fn what_a_loop_of_included_steps_did_with_loaded_rows_it_does_again() {
    if !has_engine() {
        return;
    }
    let scenario = "scenario: goes over rows\nload: { rows: data/rows.jsonl, more: ../data/more.yaml }\nsteps:\n  - include: ../parts/first.yaml\n  - for_each: { row: rows }\n    steps:\n      - for_each: { qty: { from: 1, to: 2 } }\n        use: parts/one.yaml#one\n        with: { sku: \"{{ row.sku }}\", qty: \"{{ qty }}\" }\n        expect: outputs.said != \"b 2\"\n";
    let project = sleeper(&[
        ("scenarios/a.yaml", scenario),
        (
            "scenarios/data/rows.jsonl",
            "{\"sku\":\"a\"}\n{\"sku\":\"b\"}\n{\"sku\":\"c\"}\n",
        ),
        ("data/more.yaml", "kind: [x]\n"),
        (
            "parts/first.yaml",
            "- exec: { service: app, cmd: [echo, \"{{ more.kind[0] }}\"] }\n  expect: stdout == \"x\\n\"\n",
        ),
        (
            "scenarios/parts/one.yaml",
            "fragment: one\nparams: [sku, qty]\noutputs: { said: steps.it.stdout.trim() }\nsteps:\n  - id: it\n    exec: { service: app, cmd: [echo, \"{{ sku }} {{ qty }}\"] }\n",
        ),
    ]);
    project.plays(&["run"], &[]).is(1, &["1 failed"]);
    let bundle = project.bundle();
    let position = manifest(&bundle)["failure"]["step"]["position"].clone();
    let position = position.as_str().unwrap();
    let elsewhere = Project::empty();
    let copy = elsewhere.path().join("a.bundle");
    std::fs::copy(&bundle, &copy).unwrap();
    drop(project);
    let same = format!("reproduced: {position}");
    elsewhere.plays(&["repro", "a.bundle"], &[]).is(0, &[&same]);
    assert_eq!(elsewhere.reproduced(), 1);
}

#[test]
fn programs_of_this_machine_are_run_only_when_somebody_says_so() {
    if !has_engine() {
        return;
    }
    let scenario = "scenario: runs one here\nsteps:\n  - shell: { cmd: \"touch here; echo no\" }\n    expect: stdout.contains(\"yes\")\n";
    let project = sleeper(&[("scenarios/a.yaml", scenario)]);
    project
        .plays(&["run", "--allow-shell"], &[])
        .is(1, &["1 failed"]);
    let bundle = project.bundle();
    assert_eq!(manifest(&bundle)["run"]["allow_shell"], true);
    let elsewhere = Project::empty();
    let touched = |dir: &Project| {
        let mut find = Command::new("find");
        let found = find.arg(dir.path()).args(["-name", "here"]).output();
        !found.unwrap().stdout.is_empty()
    };
    elsewhere.plays(&["repro", &bundle], &[]).is(
        2,
        &[
            "it was run with --allow-shell",
            "a `shell` step runs a program on this machine",
        ],
    );
    assert!(!touched(&elsewhere));
    assert_eq!(elsewhere.reproduced(), 0);
    elsewhere
        .plays(&["repro", &bundle, "--allow-shell"], &[])
        .is(0, &["reproduced: steps[0]"]);
    assert!(touched(&elsewhere));
    elsewhere.reproduced();
}

#[test]
fn a_way_out_is_opened_only_for_what_somebody_names() {
    let Some(beside) = Beside::connect() else {
        return;
    };
    let outside = Host::listen();
    let port = outside.port;
    let compose = format!(
        "services:\n  web:\n    image: {IMAGE}\n    command: [sleep, infinity]\n    init: true\n    extra_hosts: ['outside.example=172.17.0.1']\n"
    );
    let mirror = format!(
        "project: {}\nproduction: [compose.yaml]\negress:\n  'outside.example:{port}': {{ allow: true, because: a test }}\n",
        beside.name()
    );
    let scenario = format!(
        "scenario: asks outside\nsteps:\n  - http: {{ url: \"http://outside.example:{port}/asked\" }}\n    expect: body == \"another\"\n"
    );
    let project = Project::with(&[
        ("mirror.yaml", &mirror),
        ("compose.yaml", &compose),
        ("scenarios/a.yaml", &scenario),
    ]);
    project.plays(&["run"], &[]).is(1, &["1 failed"]);
    outside.hears("GET /asked");
    let bundle = project.bundle();
    let destination = format!("outside.example:{port}");
    assert_eq!(manifest(&bundle)["run"]["egress"][0], destination.as_str());
    let before = outside.heard();
    let elsewhere = Project::empty();
    let other = format!("outside.example:{}", port ^ 1);
    for args in [&[][..], &["--allow-egress", other.as_str()]] {
        let said = elsewhere.plays(&[&["repro", &bundle], args].concat(), &[]);
        let reach = format!("the stack may reach {destination}");
        said.is(2, &[&reach, "--allow-egress"]);
    }
    assert_eq!(elsewhere.reproduced(), 0);
    assert_eq!(outside.heard(), before);
    elsewhere
        .plays(&["repro", &bundle, "--allow-egress", &destination], &[])
        .is(0, &["reproduced: steps[0]"]);
    assert_eq!(elsewhere.reproduced(), 1);
    assert!(beside.objects(beside.name()).is_empty());
}
