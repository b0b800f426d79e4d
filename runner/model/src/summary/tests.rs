use super::*;
use crate::event::{EVENT_VERSION, Event, What};

fn id(name: &str) -> CaseId {
    CaseId {
        file: "s.yaml".into(),
        name: name.into(),
    }
}

fn place() -> Place {
    Place {
        file: "s.yaml".into(),
        line: 4,
        column: 5,
    }
}

struct Tape {
    summary: Summary,
    seq: u64,
}

impl Tape {
    fn new() -> Self {
        let mut tape = Self {
            summary: Summary::new(),
            seq: 0,
        };
        tape.at(
            0,
            What::RunStarted {
                run: "r".into(),
                version: "0".into(),
                project: "p".into(),
                seed: 1,
                cases: vec![id("a"), id("b")],
                properties: BTreeMap::new(),
            },
        );
        tape
    }

    fn at(&mut self, ms: u64, what: What) {
        self.seq += 1;
        self.summary.apply(&Event {
            v: EVENT_VERSION,
            seq: self.seq,
            at: jiff::Timestamp::UNIX_EPOCH,
            ms,
            what,
        });
    }

    fn attempt(&mut self, ms: u64, name: &str, outcome: Outcome) {
        let case = id(name);
        self.at(
            ms,
            What::CaseStarted {
                case: case.clone(),
                stack: "k".into(),
            },
        );
        self.at(
            ms + 1,
            What::StepStarted {
                case: case.clone(),
                step: "steps[0]".into(),
                title: "GET /".into(),
                kind: "http".into(),
                place: place(),
            },
        );
        self.log(ms + 2, "while it ran");
        self.at(
            ms + 3,
            What::StepFinished {
                case: case.clone(),
                step: "steps[0]".into(),
                outcome,
                took_ms: 2.0,
                attempts: 1,
                mismatches: Vec::new(),
                error: (outcome == Outcome::Errored).then(|| "connection refused".into()),
                evidence: Vec::new(),
            },
        );
        self.log(ms + 4, "a little later");
        self.log(ms + 5000, "much later");
        self.at(
            ms + 6,
            What::CaseFinished {
                case,
                outcome,
                took_ms: 6,
                reason: None,
                rerun: None,
            },
        );
    }

    fn log(&mut self, ms: u64, line: &str) {
        self.at(
            ms,
            What::Log {
                stack: "k".into(),
                service: "web".into(),
                replica: 1,
                stream: "stdout".into(),
                line: line.into(),
            },
        );
    }
}

#[test]
fn what_never_ended_is_not_run() {
    let mut t = Tape::new();
    t.attempt(10, "a", Outcome::Passed);
    let totals = t.summary.totals();
    assert_eq!((totals.passed, totals.not_run, totals.all()), (1, 1, 2));
    assert!(!totals.good());
    let b = t.summary.case(&id("b")).unwrap();
    assert_eq!(b.verdict(), Outcome::Errored);
    assert!(b.why().starts_with("not run"), "{}", b.why());
}

#[test]
fn another_attempt_makes_it_flaky() {
    let mut t = Tape::new();
    t.attempt(10, "a", Outcome::Errored);
    t.attempt(10_000, "a", Outcome::Passed);
    let a = t.summary.case(&id("a")).unwrap();
    assert!(a.is_flaky());
    assert_eq!(a.earlier.len(), 1);
    assert_eq!(a.earlier[0].why(), "connection refused");
    assert_eq!(a.steps.len(), 1);
    assert_eq!(t.summary.totals().flaky, 1);
}

#[test]
fn a_bad_step_has_the_lines_around_it() {
    let mut t = Tape::new();
    t.log(1, "long before");
    t.attempt(1000, "a", Outcome::Failed);
    let step = t.summary.case(&id("a")).unwrap().failed_step().unwrap();
    let lines: Vec<_> = step.logs.iter().map(|l| l.line.as_str()).collect();
    assert_eq!(lines, ["while it ran", "a little later"]);
}

#[test]
fn egress_is_counted_and_sources_are_kept() {
    let mut t = Tape::new();
    for _ in 0..3 {
        t.at(
            5,
            What::Egress {
                stack: "k".into(),
                service: "web".into(),
                protocol: "dns".into(),
                target: "example.com".into(),
                by: String::new(),
            },
        );
    }
    t.at(
        6,
        What::Source {
            file: "s.yaml".into(),
            first: 3,
            lines: vec!["three".into(), "four".into()],
        },
    );
    assert_eq!(t.summary.egress.len(), 1);
    assert_eq!(t.summary.egress[0].count, 3);
    assert_eq!(t.summary.source_line("s.yaml", 4), Some("four"));
    assert_eq!(t.summary.source_line("s.yaml", 5), None);
}

#[test]
fn evidence_of_passed_steps_is_bounded() {
    let mut t = Tape::new();
    for i in 0..100 {
        t.at(
            i,
            What::StepFinished {
                case: id("a"),
                step: format!("steps[{i}]"),
                outcome: Outcome::Passed,
                took_ms: 1.0,
                attempts: 1,
                mismatches: Vec::new(),
                error: None,
                evidence: vec![Evidence {
                    title: "response".into(),
                    text: "é".repeat(100_000),
                }],
            },
        );
    }
    let kept: usize = t.summary.cases[0]
        .steps
        .iter()
        .flat_map(|s| &s.evidence)
        .map(|e| e.text.len())
        .sum();
    assert!(kept > 0 && kept <= 2 << 20, "{kept}");
}

#[test]
fn a_case_whose_stack_did_not_start_shows_its_log() {
    let case = id("a");
    let mut summary = Summary::new();
    let all = [
        What::StackStarting {
            stack: "s1".into(),
            services: vec!["db".into()],
        },
        What::StackFailed {
            stack: "s1".into(),
            service: Some("db".into()),
            reason: "service `db` ended with exit code 1".into(),
            log: vec!["No space left on device".into()],
        },
        What::CaseFinished {
            case: case.clone(),
            outcome: Outcome::Errored,
            took_ms: 0,
            reason: Some("the stack did not start: service `db` ended with exit code 1".into()),
            rerun: None,
        },
    ];
    for (seq, what) in (1..).zip(all) {
        summary.apply(&Event {
            v: EVENT_VERSION,
            seq,
            at: jiff::Timestamp::UNIX_EPOCH,
            ms: seq,
            what,
        });
    }
    let failure = summary.stack_failure(summary.case(&case).unwrap()).unwrap();
    assert_eq!(failure.log, ["No space left on device"]);
}
