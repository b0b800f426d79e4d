//! The events of a run that never was, with everything that can happen in it.

use std::collections::BTreeMap;

use prodmirror_engine::bus::Subscriber;
use prodmirror_model::event::{
    CaseId, EVENT_VERSION, Event, Evidence, Mismatch, Outcome, Place, ServiceState, What,
};
use prodmirror_model::summary::Summary;

pub struct Tape {
    pub events: Vec<Event>,
}

pub fn id(file: &str, name: &str) -> CaseId {
    CaseId {
        file: file.into(),
        name: name.into(),
    }
}

pub fn at(file: &str, line: u32, column: u32) -> Place {
    Place {
        file: file.into(),
        line,
        column,
    }
}

impl Tape {
    pub fn new(cases: &[CaseId]) -> Self {
        let mut tape = Self { events: Vec::new() };
        tape.add(
            0,
            What::RunStarted {
                run: "r-7f3a".into(),
                version: "0.1.0".into(),
                project: "shop".into(),
                seed: 42,
                cases: cases.to_vec(),
                properties: BTreeMap::from([("engine".into(), "Docker 27.5 <linux/amd64>".into())]),
            },
        );
        tape
    }

    pub fn add(&mut self, ms: u64, what: What) {
        self.events.push(Event {
            v: EVENT_VERSION,
            seq: self.events.len() as u64 + 1,
            at: jiff::Timestamp::from_millisecond(1_767_225_600_000 + ms as i64).unwrap(),
            ms,
            what,
        });
    }

    pub fn start(&mut self, ms: u64, case: &CaseId, stack: &str) {
        self.add(
            ms,
            What::CaseStarted {
                case: case.clone(),
                stack: stack.into(),
            },
        );
    }

    pub fn step(&mut self, ms: u64, case: &CaseId, step: &str, title: &str, place: Place) {
        self.add(
            ms,
            What::StepStarted {
                case: case.clone(),
                step: step.into(),
                title: title.into(),
                kind: "http".into(),
                place,
            },
        );
    }

    pub fn stepped(&mut self, ms: u64, case: &CaseId, step: &str, end: StepEnd) {
        self.add(
            ms,
            What::StepFinished {
                case: case.clone(),
                step: step.into(),
                outcome: end.outcome,
                took_ms: 12.4,
                attempts: 1,
                mismatches: end.mismatches,
                error: end.error,
                evidence: end.evidence,
            },
        );
    }

    pub fn end(&mut self, ms: u64, case: &CaseId, outcome: Outcome, reason: Option<&str>) {
        self.add(
            ms,
            What::CaseFinished {
                case: case.clone(),
                outcome,
                took_ms: 1234,
                reason: reason.map(Into::into),
                rerun: (!matches!(outcome, Outcome::Passed | Outcome::Skipped)).then(|| {
                    format!(
                        "prodmirror run {} --filter '{}' --seed 42",
                        case.file, case.name
                    )
                }),
            },
        );
    }

    pub fn log(&mut self, ms: u64, service: &str, line: &str) {
        self.add(
            ms,
            What::Log {
                stack: "s1".into(),
                service: service.into(),
                replica: 1,
                stream: "stderr".into(),
                line: line.into(),
            },
        );
    }

    pub fn play(&self, to: &mut dyn Subscriber) {
        for event in &self.events {
            to.on(event);
        }
        to.finish();
    }

    pub fn summary(&self) -> Summary {
        let mut summary = Summary::new();
        for event in &self.events {
            summary.apply(event);
        }
        summary
    }
}

pub struct StepEnd {
    pub outcome: Outcome,
    pub mismatches: Vec<Mismatch>,
    pub error: Option<String>,
    pub evidence: Vec<Evidence>,
}

impl StepEnd {
    pub fn passed() -> Self {
        Self {
            outcome: Outcome::Passed,
            mismatches: Vec::new(),
            error: None,
            evidence: Vec::new(),
        }
    }

    pub fn errored(error: &str) -> Self {
        Self {
            outcome: Outcome::Errored,
            error: Some(error.into()),
            ..Self::passed()
        }
    }
}

const CHECKOUT: &str = "scenarios/checkout.yaml";
const STOCK: &str = "scenarios/stock.yaml";

pub fn sample() -> Tape {
    let cases = [
        id(CHECKOUT, "checkout charges once"),
        id(CHECKOUT, "checkout says when it is sold out"),
        id(CHECKOUT, "checkout survives a restart"),
        id(STOCK, "stock is never negative"),
        id(STOCK, "stock list is fast"),
        id(STOCK, "stock can be imported"),
        id("scenarios/search.yaml", "search finds it [lang=de]"),
        id("scenarios/search.yaml", "search finds it [lang=fr]"),
    ];
    let mut t = Tape::new(&cases);
    start_stack(&mut t);
    passes(&mut t, &cases[0]);
    fails(&mut t, &cases[1]);
    is_flaky(&mut t, &cases[2]);
    has_no_stack(&mut t, &cases[3]);
    t.start(9000, &cases[4], "s1");
    t.step(
        9001,
        &cases[4],
        "steps[0]",
        "GET http://gateway/stock",
        at(STOCK, 30, 5),
    );
    t.end(
        9900,
        &cases[4],
        Outcome::TimedOut,
        Some("took longer than its timeout of 900 ms, at GET http://gateway/stock"),
    );
    t.end(
        9901,
        &cases[5],
        Outcome::Skipped,
        Some("`if` is false: flags.import"),
    );
    t.start(9902, &cases[6], "s1");
    passes_step(
        &mut t,
        9903,
        &cases[6],
        "GET http://gateway/search?q=Schl%C3%BCssel",
    );
    t.end(9950, &cases[6], Outcome::Passed, None);
    t.add(
        9960,
        What::Warning {
            message: "the secret PIN is not redacted: it has 4 bytes; 6 are needed".into(),
        },
    );
    t.add(
        10_000,
        What::RunFinished {
            clean: false,
            interrupted: true,
            exit: 130,
            took_ms: 10_000,
        },
    );
    t
}

fn start_stack(t: &mut Tape) {
    let services = ["db", "orders", "gateway"];
    t.add(
        5,
        What::StackStarting {
            stack: "s1".into(),
            services: services.map(Into::into).to_vec(),
        },
    );
    for (i, service) in services.iter().enumerate() {
        for (j, state) in [ServiceState::Started, ServiceState::Healthy]
            .iter()
            .enumerate()
        {
            t.add(
                100 * (i + 1) as u64 + j as u64,
                What::Service {
                    stack: "s1".into(),
                    service: (*service).into(),
                    replica: 1,
                    state: *state,
                    detail: None,
                },
            );
        }
    }
    t.add(
        400,
        What::StackReady {
            stack: "s1".into(),
            took_ms: 395,
        },
    );
}

fn passes_step(t: &mut Tape, ms: u64, case: &CaseId, title: &str) {
    t.step(ms, case, "steps[0]", title, at(&case.file, 4, 5));
    t.stepped(ms + 12, case, "steps[0]", StepEnd::passed());
}

fn passes(t: &mut Tape, case: &CaseId) {
    t.start(500, case, "s1");
    passes_step(t, 501, case, "POST http://gateway/orders");
    t.end(1700, case, Outcome::Passed, None);
}

fn fails(t: &mut Tape, case: &CaseId) {
    t.start(2000, case, "s1");
    passes_step(t, 2001, case, "POST http://gateway/orders");
    t.step(2020, case, "steps[1]", "order", at(CHECKOUT, 12, 5));
    t.log(
        2025,
        "orders",
        "ERROR cannot reserve A1: \u{1b}[31mstock is 0\u{1b}[0m",
    );
    t.log(2026, "gateway", "POST /orders 500 6ms");
    t.add(
        2030,
        What::Egress {
            stack: "s1".into(),
            service: "orders".into(),
            protocol: "dns".into(),
            target: "telemetry.example.com".into(),
            by: String::new(),
        },
    );
    t.add(
        2031,
        What::Source {
            file: CHECKOUT.into(),
            first: 10,
            lines: [
                "  - id: order",
                "    http: { method: POST, url: \"http://gateway/orders\", json: { sku: A1 } }",
                "    expect:",
                "      - status == 409",
                "      - { jsonpath: $.error, equals: sold out }",
                "  - sql: { service: db, query: \"select 1\" }",
            ]
            .map(Into::into)
            .to_vec(),
        },
    );
    t.stepped(
        2032,
        case,
        "steps[1]",
        StepEnd {
            outcome: Outcome::Failed,
            mismatches: vec![
                Mismatch {
                    expectation: "status == 409".into(),
                    kind: "status".into(),
                    place: Some(at(CHECKOUT, 13, 9)),
                    expected: "409".into(),
                    actual: "500".into(),
                    path: None,
                    hint: None,
                },
                Mismatch {
                    expectation: "{ jsonpath: $.error, equals: sold out }".into(),
                    kind: "jsonpath".into(),
                    place: Some(at(CHECKOUT, 14, 9)),
                    expected: "{\n  \"error\": \"sold out\",\n  \"sku\": \"A1\"\n}".into(),
                    actual: "{\n  \"error\": \"internal\",\n  \"sku\": \"A1\"\n}".into(),
                    path: Some("$.error".into()),
                    hint: Some("the service answered with an error page".into()),
                },
            ],
            error: None,
            evidence: vec![Evidence {
                title: "response".into(),
                text: "HTTP/1.1 500 Internal Server Error\n\n<b>sold out</b> & gone ]]> end".into(),
            }],
        },
    );
    t.log(2040, "orders", "Traceback (most recent call last):");
    t.end(3234, case, Outcome::Failed, None);
}

fn is_flaky(t: &mut Tape, case: &CaseId) {
    t.start(4000, case, "s1");
    t.step(
        4001,
        case,
        "steps[0]",
        "GET http://gateway/health",
        at(CHECKOUT, 20, 5),
    );
    t.stepped(
        4002,
        case,
        "steps[0]",
        StepEnd::errored("cannot connect to gateway:80: connection refused"),
    );
    t.end(4100, case, Outcome::Errored, None);
    t.start(5000, case, "s1");
    passes_step(t, 5001, case, "GET http://gateway/health");
    t.end(5100, case, Outcome::Passed, None);
}

fn has_no_stack(t: &mut Tape, case: &CaseId) {
    t.add(
        6000,
        What::StackStarting {
            stack: "s2".into(),
            services: vec!["db".into(), "orders".into()],
        },
    );
    t.add(
        6100,
        What::Service {
            stack: "s2".into(),
            service: "orders".into(),
            replica: 1,
            state: ServiceState::Died,
            detail: Some("exit code 1".into()),
        },
    );
    t.add(
        6101,
        What::StackFailed {
            stack: "s2".into(),
            service: Some("orders".into()),
            reason: "orders exited with code 1 after 0.1 s\nhelp: PAYMENT_KEY is not set".into(),
            log: vec!["KeyError: 'PAYMENT_KEY'".into()],
        },
    );
    t.start(6102, case, "s2");
    t.end(
        6103,
        case,
        Outcome::Errored,
        Some("the stack did not start: orders exited with code 1 after 0.1 s"),
    );
}
