//! `run --watch`: what a save makes run, and how soon.

use std::io::Write as _;
use std::time::{Duration, Instant};

use super::super::engine::IMAGE;
use super::super::project::Project;
use super::super::rig::{Running, clean_within, has_engine};

/// Asks a server; `{0}` is the status that it expects.
const ASKS: &str =
    "scenario: asks\nsteps:\n  - http: { url: \"http://web/\" }\n    expect: status == {0}\n";
const OTHER: &str = "scenario: other\nsteps:\n  - include: ../parts/p.yaml\n";

fn project() -> Project {
    let compose = format!(
        "services:\n  web:\n    image: {IMAGE}\n    init: true\n    command: [python3, -m, http.server, \"80\"]\n    healthcheck:\n      test: [CMD, python3, -c, \"import socket; socket.create_connection(('127.0.0.1', 80))\"]\n      interval: 1s\n"
    );
    Project::with(&[
        ("compose.yaml", &compose),
        ("scenarios/asks.yaml", &ASKS.replace("{0}", "200")),
        ("scenarios/other.yaml", OTHER),
        (
            "parts/p.yaml",
            "- exec: { service: web, cmd: [\"true\"] }\n",
        ),
    ])
}

/// What was printed so far.
fn said(project: &Project) -> String {
    std::fs::read_to_string(project.path().join("stderr")).unwrap_or_default()
}

/// What is printed from here on until a text comes.
pub fn next(running: &mut Running<'_>, project: &Project, from: &mut usize, text: &str) -> String {
    running.until(|| said(project)[*from..].contains(text));
    let all = said(project);
    let new = all[*from..].to_owned();
    *from = all.len();
    new
}

/// How many milliseconds a turn says that it took.
fn took(text: &str) -> u64 {
    let line = text.lines().find(|l| l.contains("from the save")).unwrap();
    let before = line.split(" ms from the save").next().unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_save_is_a_turn() {
    if !has_engine() {
        return;
    }
    let project = project();
    let mut running = project.start(&["run", "--watch"], &[]);
    let mut at = 0;
    let mut until = |running: &mut Running<'_>, text: &str| next(running, &project, &mut at, text);
    let first = until(&mut running, "waiting for a save");
    assert!(first.contains("share one stack"), "{first}");
    assert!(first.contains("turn 1: 2 passed"), "{first}");

    // Only what the file is part of runs.
    project.write("scenarios/asks.yaml", ASKS.replace("{0}", "404").as_bytes());
    let turn = until(&mut running, "waiting for a save");
    assert!(turn.contains("turn 2: 1 failed"), "{turn}");
    assert!(!turn.contains("other"), "{turn}");

    // All mistakes, with their places; and the next save is waited for.
    let wrong = "scenario: asks\nsteps:\n  - http: { uri: \"http://web/\" }\n  - exec: { service: nobody, cmd: [a] }\n";
    project.write("scenarios/asks.yaml", wrong.as_bytes());
    let turn = until(&mut running, "waiting for a save");
    for text in ["asks.yaml:3", "asks.yaml:4", "uri", "nobody"] {
        assert!(turn.contains(text), "{text}: {turn}");
    }
    assert!(!turn.contains("turn 3"), "{turn}");

    // An included file, saved as editors do it: a new file takes the name.
    project.write(
        "parts/p.yaml.new",
        b"- exec: { service: web, cmd: [\"false\"] }\n",
    );
    let parts = project.path().join("parts");
    std::fs::rename(parts.join("p.yaml.new"), parts.join("p.yaml")).unwrap();
    let turn = until(&mut running, "waiting for a save");
    assert!(turn.contains("turn 3: 1 failed"), "{turn}");

    // From save to result, several times.
    let mut all = Vec::new();
    for _ in 0..9 {
        let begun = Instant::now();
        project.write("scenarios/asks.yaml", ASKS.replace("{0}", "200").as_bytes());
        let turn = until(&mut running, "waiting for a save");
        assert!(turn.contains("1 passed"), "{turn}");
        let took = took(&turn);
        // What is said is not less than it was, and no more than what was seen here.
        assert!(took <= begun.elapsed().as_millis() as u64, "{turn}");
        all.push(took);
    }
    all.sort_unstable();
    println!("from save to result, in ms: {all:?}, median {}", all[4]);
    // Far more than it takes: machines that run tests are busy.
    assert!(all[4] < 5_000, "{all:?}");

    // An editor that empties the file before it writes: one save.
    let path = project.path().join("scenarios/asks.yaml");
    let mut file = std::fs::File::create(&path).unwrap();
    std::thread::sleep(Duration::from_millis(120));
    file.write_all(ASKS.replace("{0}", "404").as_bytes())
        .unwrap();
    drop(file);
    let turn = until(&mut running, "waiting for a save");
    assert!(turn.contains("1 failed"), "{turn}");
    project.write("scenarios/asks.yaml", ASKS.replace("{0}", "200").as_bytes());
    until(&mut running, "waiting for a save");

    // Production's files: what changed is told, and what runs is made again.
    let compose = std::fs::read_to_string(project.path().join("compose.yaml")).unwrap();
    let more = compose.replace(
        "    init: true\n",
        "    init: true\n    environment: { A: b }\n",
    );
    project.write("compose.yaml", more.as_bytes());
    let turn = until(&mut running, "waiting for a save");
    assert!(
        turn.contains("web: env A: made again in ") && turn.contains("; the rest stays"),
        "{turn}"
    );
    assert!(turn.contains("1 passed"), "{turn}");
    // A comment changes nothing of what runs.
    project.write("compose.yaml", format!("# nothing\n{more}").as_bytes());
    let turn = until(&mut running, "waiting for a save");
    assert!(turn.contains("the stack stays"), "{turn}");
    // Mistakes there are told, too, and the stack stays for the next save.
    project.write("compose.yaml", b"services: [\n");
    let turn = until(&mut running, "waiting for a save");
    assert!(turn.contains("compose.yaml"), "{turn}");

    let run = project.run_id();
    running.signal("INT");
    running.end(Duration::from_secs(60));
    clean_within(&run, Duration::ZERO);
}

#[test]
fn a_signal_in_a_turn_removes_everything() {
    if !has_engine() {
        return;
    }
    let project = project();
    let long = "scenario: long\nsteps:\n  - exec: { service: web, cmd: [sleep, \"100\"] }\n";
    project.write("scenarios/asks.yaml", long.as_bytes());
    let mut running = project.start(&["run", "--watch", "scenarios/asks.yaml"], &[]);
    running.until_event("a step", super::super::rig::says("step_started", "sleep"));
    let run = project.run_id();
    running.signal("INT");
    running.end(Duration::from_secs(60)).is(130, &[]);
    clean_within(&run, Duration::ZERO);
}

#[test]
fn jobs_are_refused() {
    let project = project();
    project
        .run(&["run", "--watch", "--jobs", "2"])
        .is(2, &["all scenarios share one stack", "leave --jobs out"]);
}
