//! Facts about a run: owned, versioned, one JSON object a line.
//!
//! Reporters see events and nothing else, so every report can be made again from
//! `events.jsonl`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod text;
mod wire;

/// Version of the event format, in every line as `v`.
pub const EVENT_VERSION: u32 = 1;

/// One fact.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Format version.
    pub v: u32,
    /// Number in the run, from 1, without gaps.
    pub seq: u64,
    /// When, UTC.
    pub at: jiff::Timestamp,
    /// Milliseconds since the run began, from a monotonic clock.
    pub ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// A place in a file, as it is written to reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Path as people know it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

impl From<&crate::source::Span> for Place {
    fn from(s: &crate::source::Span) -> Self {
        Self {
            file: s.file.name.clone(),
            line: s.line,
            column: s.col,
        }
    }
}

/// One case: a scenario, or one combination of its matrix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CaseId {
    /// The scenario file as people know it: the JUnit suite.
    pub file: String,
    /// The scenario's name, with its combination: the JUnit case.
    pub name: String,
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All that was expected held.
    Passed,
    /// The mirror answered, and wrongly.
    Failed,
    /// We could not ask (connection, stack, usage): not a verdict on the software.
    Errored,
    /// It took longer than it may.
    TimedOut,
    /// It was not run, on purpose.
    Skipped,
}

/// One expectation (or one reason) that did not hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mismatch {
    /// The expectation as it is written.
    pub expectation: String,
    /// Class of the expectation: `status`, `duration`, `jsonpath`, `expression`, `rows`…
    pub kind: String,
    /// Where the expectation stands.
    pub place: Option<Place>,
    /// What was expected, in words or as a value.
    pub expected: String,
    /// What came.
    pub actual: String,
    /// Path inside the value (`$.items[2].sku`) when it is about a part of it.
    pub path: Option<String>,
    /// A hint for a frequent cause ("200 is text here, not a number").
    pub hint: Option<String>,
}

/// A piece of evidence of a step (request, response, rows, output), cut to a readable size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it is: `request`, `response`, `stdout`, `rows`, `log`…
    pub title: String,
    /// Its text.
    pub text: String,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// The run began; `cases` are all that were selected, in order.
    RunStarted {
        /// The run's identity.
        run: String,
        /// Tool version.
        version: String,
        /// Project name.
        project: String,
        /// Seed of everything random.
        seed: u64,
        /// All selected cases.
        cases: Vec<CaseId>,
        /// Facts for reports (engine version, lock digest…).
        properties: BTreeMap<String, String>,
    },
    /// Progress of an image that is pulled or built.
    Image {
        /// Reference.
        image: String,
        /// `pulling`, `building`, `waiting` (to ask a registry again), `ready`, `failed`.
        state: String,
        /// Detail, such as a percentage, the last build line, or why it waits.
        detail: String,
    },
    /// A stack is being started.
    StackStarting {
        /// Stack identity within the run.
        stack: String,
        /// Its services.
        services: Vec<String>,
    },
    /// A volume of a stack is a clone of a snapshot.
    Data {
        /// Stack.
        stack: String,
        /// Volume.
        volume: String,
        /// Name of the snapshot.
        snapshot: String,
        /// Digest of its manifest.
        digest: String,
        /// The manifest in a line.
        summary: String,
        /// How the clone came about: `btrfs`, `overlay`, `copies`.
        kind: String,
        /// How long that took.
        took_ms: u64,
    },
    /// A container of a service changed its state.
    Service {
        /// Stack.
        stack: String,
        /// Service.
        service: String,
        /// Replica, from 1.
        replica: u32,
        /// New state.
        state: ServiceState,
        /// Detail: the health check's output, the signal…
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// All services of a stack are ready.
    StackReady {
        /// Stack.
        stack: String,
        /// From first request to ready.
        took_ms: u64,
    },
    /// A stack could not be started.
    StackFailed {
        /// Stack.
        stack: String,
        /// Which service, when it is about one.
        service: Option<String>,
        /// What happened, why, and what to do.
        reason: String,
        /// Its last log lines.
        log: Vec<String>,
    },
    /// A stack was removed.
    StackStopped {
        /// Stack.
        stack: String,
        /// How long that took.
        took_ms: u64,
    },
    /// A case began on a stack.
    CaseStarted {
        /// The case.
        case: CaseId,
        /// Its stack.
        stack: String,
    },
    /// A step began.
    StepStarted {
        /// The case.
        case: CaseId,
        /// Position such as `steps[2]` or `steps[3].race[1]`.
        step: String,
        /// The step's `id` or a title made from its kind and target.
        title: String,
        /// Its kind: `http`, `sql`…
        kind: String,
        /// Where it stands.
        place: Place,
    },
    /// A step said something, on purpose.
    Printed {
        /// The case.
        case: CaseId,
        /// Position of the step.
        step: String,
        /// What it said.
        text: String,
    },
    /// A step ended.
    StepFinished {
        /// The case.
        case: CaseId,
        /// Position.
        step: String,
        /// How it ended.
        outcome: Outcome,
        /// How long its last attempt took.
        took_ms: f64,
        /// How many attempts there were.
        attempts: u32,
        /// What did not hold, all of it.
        mismatches: Vec<Mismatch>,
        /// Why it errored, when it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// What was sent and what came.
        evidence: Vec<Evidence>,
    },
    /// A case ended.
    CaseFinished {
        /// The case.
        case: CaseId,
        /// How it ended.
        outcome: Outcome,
        /// How long it took.
        took_ms: u64,
        /// One line that says why, when it did not pass.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The command that runs just this case again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rerun: Option<String>,
    },
    /// What was read back from a running stack was compared with production.
    Fidelity {
        /// Stack.
        stack: String,
        /// Facts that are the same.
        mirrored: u32,
        /// Differences that nobody accepted, by severity (`info`, `low`, `medium`, `high`,
        /// `blocker`).
        differing: BTreeMap<String, u32>,
    },
    /// A line that a service printed.
    Log {
        /// Stack.
        stack: String,
        /// Service.
        service: String,
        /// Replica.
        replica: u32,
        /// `stdout` or `stderr`.
        stream: String,
        /// The line, without its end; invalid UTF-8 is replaced.
        line: String,
    },
    /// Somebody in the stack tried to leave it.
    Egress {
        /// Stack.
        stack: String,
        /// Service.
        service: String,
        /// `dns`, `tcp`, `udp`…
        protocol: String,
        /// Name or address with port.
        target: String,
        /// What forbids it, where it is a part of the stack that production does not let the
        /// service reach; empty when it is none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        by: String,
    },
    /// The lines of a file around a place where something did not hold, told once, before the
    /// first event that needs them.
    Source {
        /// Path as people know it, as in [`Place`].
        file: String,
        /// Number of the first line, from 1.
        first: u32,
        /// The lines, without their ends.
        lines: Vec<String>,
    },
    /// Something the user should know.
    Warning {
        /// What and what to do.
        message: String,
    },
    /// The run ended.
    RunFinished {
        /// Whether everything was removed.
        clean: bool,
        /// Whether it was ended before its time.
        interrupted: bool,
        /// Exit code.
        exit: i32,
        /// How long it took.
        took_ms: u64,
    },
}

/// Counts of facts of production in a line, the most severe first: `214 facts mirrored; 2 low,
/// 9 info differ`.
pub fn fidelity_text(mirrored: u32, differing: &BTreeMap<String, u32>) -> String {
    let facts = if mirrored == 1 { "fact" } else { "facts" };
    let counts: Vec<String> = ["blocker", "high", "medium", "low", "info"]
        .into_iter()
        .filter_map(|s| Some((s, differing.get(s).filter(|n| **n > 0)?)))
        .map(|(severity, n)| format!("{n} {severity}"))
        .collect();
    match counts.as_slice() {
        [] => format!("{mirrored} {facts} mirrored, none differs"),
        counts => format!("{mirrored} {facts} mirrored; {} differ", counts.join(", ")),
    }
}

/// States of a service's container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Made, not started.
    Created,
    /// Its process runs.
    Started,
    /// Its health check passed.
    Healthy,
    /// Its health check failed too often.
    Unhealthy,
    /// It ended with exit code 0.
    Completed,
    /// It ended with another exit code, or was killed.
    Died,
    /// The engine restarted it.
    Restarted,
    /// It was removed.
    Removed,
}
