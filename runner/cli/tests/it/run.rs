//! What a run says of itself: repetitions, retries, and how near its mirror is to production.

use std::time::Duration;

use super::rig::{clean_within, has_engine, sleeper};

const RUN: Duration = Duration::from_secs(180);

#[test]
fn repetitions_are_cases_and_retries_are_retries() {
    if !has_engine() {
        return;
    }
    let scenario = "scenario: says {0}\nisolation: shared\nsteps:\n  - exec: { service: app, cmd: [sh, -c, \"n=$(cat /n 2>/dev/null || echo 0); echo $((n+1)) > /n; test $n -gt 0\"] }\n";
    let project = sleeper(&[("scenarios/a.yaml", &scenario.replace("{0}", "so"))]);
    // In each repetition's own stack the first try fails, and the second passes.
    let said = project
        .start(&["run", "--repeat", "2", "--retries", "1"], &[])
        .end(RUN);
    said.is(
        0,
        &[
            "says so [1-2]",
            "says so [2-2]",
            "2 scenarios: 2 passed (2 flaky)",
        ],
    );
    let xml = project.of_run("junit.xml");
    assert!(xml.contains("tests=\"2\""), "{xml}");
    assert_eq!(xml.matches("<flakyFailure").count(), 2, "{xml}");
    clean_within(&project.run_id(), Duration::ZERO);
}

#[test]
fn fidelity_is_read_back_from_what_runs() {
    if !has_engine() {
        return;
    }
    let scenario = "scenario: a\nsteps:\n  - exec: { service: app, cmd: [\"true\"] }\n";
    let project = sleeper(&[("scenarios/a.yaml", scenario)]);
    let said = project.start(&["run"], &[]).end(RUN);
    said.is(0, &["facts mirrored"]);
    let fidelity: serde_json::Value =
        serde_json::from_str(&project.of_run("fidelity.json")).unwrap();
    let records = fidelity["records"].as_array().unwrap();
    let of = |field: &str| {
        records
            .iter()
            .find(|r| r["object"] == "service:app" && r["field"] == field)
            .unwrap_or_else(|| panic!("no {field} in {records:#?}"))
    };
    assert_eq!(of("HostConfig.Init")["class"], "mirrored");
    assert_eq!(of("Cmd")["actual"], "[\"sleep\",\"infinity\"]");
    let unexplained: Vec<_> = records.iter().filter(|r| r["severity"] == "high").collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    assert!(project.of_run("junit.xml").contains("name=\"fidelity\""));
    let told = project.events();
    let told = told.iter().find(|e| e["event"] == "fidelity").unwrap();
    assert!(told["mirrored"].as_u64().unwrap() >= 5, "{told}");
}

#[test]
fn snapshots_are_written_when_asked_for_and_compared_after() {
    if !has_engine() {
        return;
    }
    let scenario = |word: &str| {
        format!("scenario: says {word}\nsteps:\n  - exec: {{ service: app, cmd: [echo, \"{word} 4d7a2f6e-1c1f-4b53-9a59-0f4a6f0f3c11\"] }}\n    expect:\n      - {{ snapshot: said, mask: [uuid] }}\n").replace("says snapped", "one").replace("says changed", "one")
    };
    let project = sleeper(&[("scenarios/a.yaml", &scenario("snapped"))]);
    let run = |args: &[&str]| {
        project
            .start(&[&["run", "--bundle", "never"], args].concat(), &[])
            .end(RUN)
    };
    run(&[]).is(1, &["--update-snapshots"]);
    let file = project.path().join("scenarios/__snapshots__/one/said.json");
    assert!(!file.exists(), "nothing is written unless it is asked for");
    let said = run(&["--update-snapshots"]);
    said.is(0, &["wrote scenarios/__snapshots__/one/said.json"]);
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written.contains("snapped") && !written.contains("4d7a2f6e"),
        "{written}"
    );
    run(&[]).is(0, &["1 passed"]);
    project.write("scenarios/a.yaml", scenario("changed").as_bytes());
    run(&[]).is(1, &["snapped", "changed"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
    for run in std::fs::read_dir(project.path().join(".prodmirror/runs")).unwrap() {
        clean_within(&run.unwrap().file_name().to_string_lossy(), Duration::ZERO);
    }
}
