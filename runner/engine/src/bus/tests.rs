use std::sync::mpsc;

use prodmirror_model::event::{CaseId, Outcome, Place};
use prodmirror_model::secret::Secret;

use super::*;

fn warning(text: &str) -> What {
    What::Warning {
        message: text.into(),
    }
}

fn case() -> CaseId {
    CaseId {
        file: "a.yaml".into(),
        name: "a".into(),
    }
}

fn read(path: &Path) -> Vec<Event> {
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

struct Tell(mpsc::Sender<Event>);

impl Subscriber for Tell {
    fn on(&mut self, event: &Event) {
        self.0.send(event.clone()).unwrap();
    }
}

#[test]
fn events_are_numbered_without_gaps_from_many_threads() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let (tx, rx) = mpsc::channel();
    let bus = BusOptions::new(Redactor::new())
        .events_file(&path)
        .unwrap()
        .subscriber("test", Box::new(Tell(tx)))
        .start()
        .unwrap();
    std::thread::scope(|s| {
        for t in 0..8 {
            let bus = &bus;
            s.spawn(move || (0..250).for_each(|i| bus.emit(warning(&format!("{t} {i}")))));
        }
    });
    let end = bus.finish(Duration::from_secs(10));
    assert_eq!(end.events, 2000);
    assert!(end.problems.is_empty(), "{:?}", end.problems);
    let written = read(&path);
    let told: Vec<Event> = rx.iter().collect();
    assert_eq!(written, told);
    for (i, e) in told.iter().enumerate() {
        assert_eq!(e.seq, i as u64 + 1);
        assert!(i == 0 || told[i - 1].ms <= e.ms);
    }
}

#[test]
fn the_file_holds_an_event_as_soon_as_emit_returns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let bus = BusOptions::new(Redactor::new())
        .events_file(&path)
        .unwrap()
        .start()
        .unwrap();
    bus.emit(warning("one"));
    assert_eq!(read(&path).len(), 1);
    bus.emit(warning("two"));
    assert_eq!(read(&path).len(), 2);
}

#[test]
fn secrets_do_not_pass() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let (tx, rx) = mpsc::channel();
    let redactor = Redactor::new();
    let source = SourceFile::new(
        "a.yaml",
        "scenario: a\nsteps:\n  - http: {key: s3cr3t/value}\n",
    );
    let bus = BusOptions::new(redactor.clone())
        .events_file(&path)
        .unwrap()
        .source(&source)
        .subscriber("test", Box::new(Tell(tx)))
        .start()
        .unwrap();
    redactor.add("KEY", &Secret::new("s3cr3t/value"));
    bus.emit(warning("a s3cr3t/value, s3cr3t%2Fvalue, czNjcjN0L3ZhbHVl"));
    bus.emit(warning("s3cr3t\u{1b}[1m/value"));
    bus.emit(What::StepStarted {
        case: case(),
        step: "steps[0]".into(),
        title: "t".into(),
        kind: "http".into(),
        place: Place {
            file: "a.yaml".into(),
            line: 3,
            column: 5,
        },
    });
    bus.emit(What::StepFinished {
        case: case(),
        step: "steps[0]".into(),
        outcome: Outcome::Errored,
        took_ms: 1.0,
        attempts: 1,
        mismatches: Vec::new(),
        error: Some("cannot connect with s3cr3t\\/value".into()),
        evidence: Vec::new(),
    });
    bus.finish(Duration::from_secs(10));
    let bytes = std::fs::read(&path).unwrap();
    assert!(!redactor.finds(&bytes));
    let told: Vec<Event> = rx.iter().collect();
    assert_eq!(told[0].what, warning("a ***, ***, ***"));
    assert!(told.iter().any(|e| matches!(
        &e.what,
        What::Source { first: 1, lines, .. } if lines[2] == "  - http: {key: ***}"
    )));
    assert_eq!(told.len(), 5);
}

struct Slow(mpsc::Receiver<()>);

impl Subscriber for Slow {
    fn on(&mut self, _event: &Event) {
        let _ = self.0.recv();
    }
}

#[test]
fn a_stuck_subscriber_holds_nobody_up() {
    let (release, stuck) = mpsc::channel();
    let (tx, rx) = mpsc::channel();
    let bus = BusOptions::new(Redactor::new())
        .subscriber("slow one", Box::new(Slow(stuck)))
        .subscriber("other", Box::new(Tell(tx)))
        .start()
        .unwrap();
    for i in 0..100 {
        bus.emit(warning(&i.to_string()));
    }
    let end = bus.finish(Duration::from_millis(300));
    assert_eq!(rx.iter().count(), 100);
    assert_eq!(end.problems, ["the slow one did not finish in time"]);
    drop(release);
}

struct Panics;

impl Subscriber for Panics {
    fn on(&mut self, _event: &Event) {
        panic!("on purpose");
    }
}

#[test]
fn a_panicking_subscriber_is_said() {
    let bus = BusOptions::new(Redactor::new())
        .subscriber("report", Box::new(Panics))
        .start()
        .unwrap();
    bus.emit(warning("x"));
    assert!(bus.settle(Duration::from_secs(10)));
    bus.emit(warning("y"));
    let end = bus.finish(Duration::from_secs(10));
    assert_eq!(end.problems, ["the report failed unexpectedly"]);
}

#[test]
fn a_full_disk_is_said_once() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        return;
    };
    let mut options = BusOptions::new(Redactor::new());
    options.file = Some(full);
    let bus = options.start().unwrap();
    bus.emit(warning("x"));
    bus.emit(warning("y"));
    let end = bus.finish(Duration::from_secs(10));
    assert_eq!(end.problems.len(), 1);
    assert!(
        end.problems[0].contains("No space left"),
        "{:?}",
        end.problems
    );
}
