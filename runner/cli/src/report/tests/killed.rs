//! A run that is killed: what it left can be read and holds what had ended.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use prodmirror_engine::bus::{BusOptions, Sink as _};
use prodmirror_model::event::Outcome;
use prodmirror_model::redact::Redactor;
use quick_xml::events::Event as Xml;

use super::tape::StepEnd;
use super::*;

/// Names the directory to a copy of this test program that plays the run.
const ROLE: &str = "PRODMIRROR_TEST_KILLED_RUN";

fn endless() -> Tape {
    let cases: Vec<_> = (0..2000)
        .map(|i| tape::id(&format!("scenarios/{}.yaml", i % 7), &format!("case {i}")))
        .collect();
    let mut t = Tape::new(&cases);
    for case in &cases {
        t.start(1, case, "s1");
        t.step(
            1,
            case,
            "steps[0]",
            "GET http://gateway/",
            tape::at(&case.file, 3, 5),
        );
        t.stepped(1, case, "steps[0]", StepEnd::passed());
        t.end(2, case, Outcome::Passed, None);
    }
    t
}

/// The other process: plays a run until it is killed.
#[test]
fn plays_a_run_when_asked_to() {
    let Some(dir) = std::env::var_os(ROLE).map(PathBuf::from) else {
        return;
    };
    let reports = Reports::new(&[Wanted::file("junit", dir.join("junit.xml")).unwrap()]);
    let bus = BusOptions::new(Redactor::new())
        .events_file(&dir.join("events.jsonl"))
        .unwrap()
        .subscriber("reports", Box::new(reports))
        .start()
        .unwrap();
    for event in endless().events {
        bus.emit(event.what);
        std::thread::sleep(Duration::from_micros(300));
    }
    bus.finish(Duration::from_secs(60));
}

fn wait_for(path: &std::path::Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the run did not start"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many cases a report holds, and how many of them passed. Fails when it is not XML.
fn read(path: &std::path::Path) -> (usize, usize) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut reader = quick_xml::Reader::from_str(&text);
    let (mut depth, mut cases, mut bad) = (0i32, 0usize, 0usize);
    loop {
        match reader.read_event().unwrap() {
            Xml::Eof => break,
            Xml::Start(e) => {
                depth += 1;
                cases += usize::from(e.name().as_ref() == b"testcase");
                bad += usize::from(e.name().as_ref() == b"error");
            }
            Xml::Empty(e) => cases += usize::from(e.name().as_ref() == b"testcase"),
            Xml::End(_) => depth -= 1,
            _ => {}
        }
    }
    assert_eq!(depth, 0, "the report ends early");
    (cases, cases - bad)
}

#[test]
fn a_kill_at_any_moment_loses_no_result() {
    let this = std::env::current_exe().unwrap();
    for kill_after_ms in [0, 3, 11, 47, 90, 160, 333] {
        let dir = tempfile::tempdir().unwrap();
        let (events, junit) = (
            dir.path().join("events.jsonl"),
            dir.path().join("junit.xml"),
        );
        let mut child = Command::new(&this)
            .args([
                "--exact",
                "report::tests::killed::plays_a_run_when_asked_to",
            ])
            .env(ROLE, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(&junit);
        std::thread::sleep(Duration::from_millis(kill_after_ms));
        child.kill().unwrap();
        child.wait().unwrap();

        let (cases, passed_before) = read(&junit);
        assert_eq!(cases, 2000);
        let replay = replay::read(&events).unwrap();
        assert!(replay.damaged.is_empty(), "{:?}", replay.damaged);
        let ended = replay.summary.totals().passed;
        assert!(passed_before <= ended);
        replay::complete_junit(&events, &junit).unwrap();
        assert_eq!(
            read(&junit),
            (2000, ended),
            "killed after {kill_after_ms} ms"
        );
        let mut left: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["events.jsonl", "junit.xml"]);
    }
}
