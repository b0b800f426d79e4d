//! Runs that a signal ends: everything is removed, and what had not ended is told as not run.

use std::net::TcpListener;
use std::time::Duration;

use super::project::Project;
use super::rig::{clean_within, has_engine, says, sleeper};

const LONG: &str = "scenario: long\nsteps:\n  - exec: { service: app, cmd: [sleep, \"300\"] }\n    timeout: 5m\nfinally:\n  - id: last\n    exec: { service: app, cmd: [\"true\"] }\n";

fn interrupted(signals: &[&str]) -> Project {
    let project = sleeper(&[("scenarios/a.yaml", LONG)]);
    let mut running = project.start(&["run"], &[]);
    running.until_event("a step", says("step_started", "sleep"));
    for signal in signals {
        running.signal(signal);
    }
    let said = running.end(Duration::from_secs(60));
    said.is(130, &["the run was interrupted"]);
    // The process has removed it itself: nobody is waited for.
    clean_within(&project.run_id(), Duration::ZERO);
    let xml = project.of_run("junit.xml");
    assert!(
        xml.contains("<error") && xml.contains("interrupted"),
        "{xml}"
    );
    project
}

#[test]
fn one_signal_lets_finally_run() {
    if !has_engine() {
        return;
    }
    for signal in ["TERM", "INT", "HUP"] {
        let project = interrupted(&[signal]);
        let finally = says("step_finished", "finally[0]");
        assert!(project.events().iter().any(finally), "{signal}");
    }
}

#[test]
fn a_second_signal_skips_finally() {
    if !has_engine() {
        return;
    }
    let project = sleeper(&[(
        "scenarios/a.yaml",
        &LONG.replace("[\"true\"]", "[sleep, \"50\"]"),
    )]);
    let mut running = project.start(&["run"], &[]);
    running.until_event("a step", says("step_started", "sleep"));
    running.signal("TERM");
    running.until_event("finally", says("step_started", "finally[0]"));
    running.signal("TERM");
    let said = running.end(Duration::from_secs(30));
    said.is(130, &["the run was interrupted"]);
    clean_within(&project.run_id(), Duration::ZERO);
}

/// A machine that sleeps, or a debugger: the keeper took the runner for dead, rightly so.
#[test]
fn a_runner_that_stood_still_for_too_long() {
    if !has_engine() {
        return;
    }
    let project = sleeper(&[("scenarios/a.yaml", LONG)]);
    let mut running = project.start(&["run"], &[]);
    running.until_event("a step", says("step_started", "sleep"));
    running.signal("STOP");
    clean_within(&project.run_id(), Duration::from_secs(90));
    running.signal("CONT");
    let said = running.end(Duration::from_secs(60));
    said.is(5, &["the lease of the run lapsed"]);
}

/// A registry that takes connections and says nothing: the pull does not keep anybody waiting.
#[test]
fn a_signal_while_images_are_pulled() {
    // The listener is on this host's loopback, where only an engine of this host gets.
    if !has_engine() || std::env::var_os("DOCKER_HOST").is_some() {
        return;
    }
    for command in ["run", "up"] {
        let registry = TcpListener::bind("127.0.0.1:0").unwrap();
        let image = format!("{}/a/b:1", registry.local_addr().unwrap());
        let compose = format!("services: {{app: {{image: \"{image}\"}}}}\n");
        let project = Project::with(&[("compose.yaml", &compose)]);
        project.write("scenarios/a.yaml", LONG.as_bytes());
        let running = project.start(&[command], &[]);
        let asked = registry.accept().unwrap();
        running.signal("INT");
        let said = running.end(Duration::from_secs(20));
        said.is(130, &[]);
        drop(asked);
    }
}

#[test]
fn a_signal_while_a_stack_starts() {
    if !has_engine() {
        return;
    }
    let project = sleeper(&[("scenarios/a.yaml", LONG)]);
    let mut running = project.start(&["run"], &[]);
    running.until_event("a start", says("stack_starting", "s1"));
    running.signal("TERM");
    let said = running.end(Duration::from_secs(60));
    said.is(130, &["the run was interrupted", "1 not run"]);
    clean_within(&project.run_id(), Duration::ZERO);
    let xml = project.of_run("junit.xml");
    assert!(xml.contains("type=\"not run\""), "{xml}");
}
