//! What the events of a thousand steps cost those who emit them: `ci/bench inner`.

#![expect(clippy::print_stdout, reason = "it prints its figures")]

use std::time::{Duration, Instant};

use prodmirror_engine::bus::{BusOptions, Sink as _};
use prodmirror_model::event::{CaseId, Outcome, Place, What};
use prodmirror_model::redact::Redactor;
use prodmirror_model::secret::Secret;

const STEPS: u32 = 1000;

fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let redactor = Redactor::new();
    for i in 0..5_u64 {
        let text = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(i + 1);
        redactor.add("s", &Secret::new(format!("{text:016x}/+&{i}")));
    }
    let bus = BusOptions::new(redactor)
        .events_file(&dir.path().join("events.jsonl"))
        .and_then(BusOptions::start)
        .expect("a bus that writes");
    let begun = Instant::now();
    for i in 0..STEPS {
        bus.emit(What::StepStarted {
            case: case(),
            step: format!("steps[{i}]"),
            title: "GET http://gateway/orders".into(),
            kind: "http".into(),
            place: Place {
                file: "a.yaml".into(),
                line: i + 1,
                column: 5,
            },
        });
        bus.emit(What::StepFinished {
            case: case(),
            step: format!("steps[{i}]"),
            outcome: Outcome::Passed,
            took_ms: 1.5,
            attempts: 1,
            mismatches: Vec::new(),
            error: None,
            evidence: Vec::new(),
        });
    }
    let took = begun.elapsed();
    let end = bus.finish(Duration::from_secs(10));
    assert!(end.problems.is_empty(), "{:?}", end.problems);
    println!("events of {STEPS} steps: {took:?}");
}

fn case() -> CaseId {
    CaseId {
        file: "a.yaml".into(),
        name: "a".into(),
    }
}
