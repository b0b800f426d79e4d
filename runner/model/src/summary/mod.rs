//! What became of a run: the fold of its events, which every report starts from.

mod fold;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::event::{CaseId, Evidence, Mismatch, Outcome, Place, ServiceState};

/// The state of a run after some of its events. Feed it with [`Summary::apply`].
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// The run's identity; empty before it began.
    pub run: String,
    /// Tool version.
    pub version: String,
    /// Project name.
    pub project: String,
    /// Seed of everything random.
    pub seed: u64,
    /// When it began.
    pub started: Option<jiff::Timestamp>,
    /// Facts that the run told about itself.
    pub properties: BTreeMap<String, String>,
    /// All selected cases in their order; then such as were not announced.
    pub cases: Vec<Case>,
    /// All stacks in the order in which they were started.
    pub stacks: Vec<Stack>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Who tried to leave a stack, each way once.
    pub egress: Vec<Egress>,
    /// How the run ended, when it did.
    pub end: Option<End>,
    /// Milliseconds from the beginning to the last event.
    pub last_ms: u64,
    by_id: HashMap<CaseId, usize>,
    sources: BTreeMap<String, BTreeMap<u32, String>>,
    kept_evidence: usize,
}

/// One case.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Its file and name.
    pub id: CaseId,
    /// The stack it ran on last.
    pub stack: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// When it began, in milliseconds of the run.
    pub started_ms: Option<u64>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// One line that says why it did not pass.
    pub reason: Option<String>,
    /// The command that runs just this case again.
    pub rerun: Option<String>,
    /// Its steps in the order in which they began.
    pub steps: Vec<Step>,
    /// What became of it before it was tried again, oldest first.
    pub earlier: Vec<Attempt>,
}

/// Where a case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Selected, not begun.
    NotRun,
    /// Begun, not ended.
    Running,
    /// Ended.
    Ended(Outcome),
}

/// An earlier attempt at a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// How it ended; `None` when it was cut off.
    pub outcome: Option<Outcome>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// One line that says why it did not pass.
    pub reason: Option<String>,
    /// Its steps.
    pub steps: Vec<Step>,
}

/// One step of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Position such as `steps[2]`.
    pub position: String,
    /// Its `id` or a title made from its kind and target.
    pub title: String,
    /// Its kind: `http`, `sql`…
    pub kind: String,
    /// Where it stands.
    pub place: Option<Place>,
    /// How it ended; `None` while it runs or when it was cut off.
    pub outcome: Option<Outcome>,
    /// When it began, in milliseconds of the run.
    pub started_ms: u64,
    /// How long its last attempt took, in milliseconds.
    pub took_ms: f64,
    /// How many attempts there were.
    pub attempts: u32,
    /// What did not hold.
    pub mismatches: Vec<Mismatch>,
    /// Why it errored.
    pub error: Option<String>,
    /// What was sent and what came. Of steps that passed only as much as memory allows.
    pub evidence: Vec<Evidence>,
    /// What the services logged while it ran, when it did not pass.
    pub logs: Vec<LogLine>,
}

/// One line of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it came, in milliseconds of the run.
    pub ms: u64,
    /// The service.
    pub service: String,
    /// The replica, from 1.
    pub replica: u32,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// The line.
    pub line: String,
}

/// One stack.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    /// Its name in the run.
    pub name: String,
    /// When its start began, in milliseconds of the run.
    pub started_ms: u64,
    /// From the first request to ready, in milliseconds.
    pub ready_ms: Option<u64>,
    /// How long its removal took, in milliseconds.
    pub stopped_ms: Option<u64>,
    /// Why it did not start.
    pub failure: Option<StackFailure>,
    /// What its volumes started from: manifests of snapshots in a line, by volume.
    pub data: BTreeMap<String, String>,
    /// Its services, in the order in which they were announced.
    pub services: Vec<Service>,
    /// The last lines that its services logged.
    pub log: VecDeque<LogLine>,
    /// A failed step that still gathers lines: case, step, and until when.
    gathering: Option<(usize, usize, u64)>,
}

/// Why a stack did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackFailure {
    /// Which service, when it is about one.
    pub service: Option<String>,
    /// What happened, why, and what to do.
    pub reason: String,
    /// The last log lines.
    pub log: Vec<String>,
}

/// One service of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The state of each replica that was heard of, from replica 1.
    pub replicas: BTreeMap<u32, ServiceState>,
    /// Detail of the last change.
    pub detail: Option<String>,
}

/// A way out that a service tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Egress {
    /// Stack.
    pub stack: String,
    /// Service.
    pub service: String,
    /// `dns`, `tcp`, `udp`…
    pub protocol: String,
    /// Name or address with port.
    pub target: String,
    /// What forbids it, where it is a part of the stack; else empty.
    pub by: String,
    /// How often.
    pub count: u64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Whether everything was removed.
    pub clean: bool,
    /// Whether it was ended before its time.
    pub interrupted: bool,
    /// Exit code.
    pub exit: i32,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// How many cases ended in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Passed, also those that needed another attempt.
    pub passed: usize,
    /// Failed: the mirror answered wrongly.
    pub failed: usize,
    /// Errored: it could not be asked.
    pub errored: usize,
    /// Took longer than they may.
    pub timed_out: usize,
    /// Not run on purpose.
    pub skipped: usize,
    /// Selected and never ended.
    pub not_run: usize,
    /// Of those that passed: not at the first attempt.
    pub flaky: usize,
}

impl Totals {
    /// All cases.
    pub fn all(&self) -> usize {
        self.passed + self.failed + self.errored + self.timed_out + self.skipped + self.not_run
    }

    /// Whether nothing went wrong.
    pub fn good(&self) -> bool {
        self.failed + self.errored + self.timed_out + self.not_run == 0
    }
}

impl Summary {
    /// Nothing happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many cases ended in which way.
    pub fn totals(&self) -> Totals {
        let mut t = Totals::default();
        for case in &self.cases {
            match case.status {
                Status::NotRun | Status::Running => t.not_run += 1,
                Status::Ended(Outcome::Passed) => {
                    t.passed += 1;
                    t.flaky += usize::from(case.is_flaky());
                }
                Status::Ended(Outcome::Failed) => t.failed += 1,
                Status::Ended(Outcome::Errored) => t.errored += 1,
                Status::Ended(Outcome::TimedOut) => t.timed_out += 1,
                Status::Ended(Outcome::Skipped) => t.skipped += 1,
            }
        }
        t
    }

    /// The case of that identity.
    pub fn case(&self, id: &CaseId) -> Option<&Case> {
        self.by_id.get(id).map(|&i| &self.cases[i])
    }

    /// The stack of that name.
    pub fn stack(&self, name: &str) -> Option<&Stack> {
        self.stacks.iter().rev().find(|s| s.name == name)
    }

    /// The files with their cases, in order of first appearance: one suite each.
    pub fn suites(&self) -> Vec<(&str, Vec<&Case>)> {
        let mut order: Vec<(&str, Vec<&Case>)> = Vec::new();
        let mut at: HashMap<&str, usize> = HashMap::new();
        for case in &self.cases {
            let file = case.id.file.as_str();
            let i = *at.entry(file).or_insert_with(|| {
                order.push((file, Vec::new()));
                order.len() - 1
            });
            order[i].1.push(case);
        }
        order
    }

    /// A line of a file near a place that did not hold, when the run told it.
    pub fn source_line(&self, file: &str, line: u32) -> Option<&str> {
        self.sources.get(file)?.get(&line).map(String::as_str)
    }

    /// Why the stack of a case did not start, when it did not.
    pub fn stack_failure(&self, case: &Case) -> Option<&StackFailure> {
        self.stack(case.stack.as_deref()?)?.failure.as_ref()
    }
}

impl Case {
    /// The outcome that reports give: a case that never ended counts as errored.
    pub fn verdict(&self) -> Outcome {
        match self.status {
            Status::Ended(outcome) => outcome,
            Status::NotRun | Status::Running => Outcome::Errored,
        }
    }

    /// Whether it passed, but not at the first attempt.
    pub fn is_flaky(&self) -> bool {
        self.status == Status::Ended(Outcome::Passed)
            && self
                .earlier
                .iter()
                .any(|a| a.outcome != Some(Outcome::Passed))
    }

    /// The first step that did not pass, or else the one that was cut off.
    pub fn failed_step(&self) -> Option<&Step> {
        first_bad(&self.steps)
    }

    /// One line that says why it did not pass; empty when it did.
    pub fn why(&self) -> String {
        match self.status {
            Status::Ended(Outcome::Passed) => return String::new(),
            Status::NotRun => return "not run: the run ended before it began".into(),
            Status::Running => return "not finished: the run ended while it ran".into(),
            Status::Ended(_) => {}
        }
        why(self.reason.as_deref(), &self.steps)
    }
}

impl Attempt {
    /// One line that says why it did not pass.
    pub fn why(&self) -> String {
        why(self.reason.as_deref(), &self.steps)
    }
}

impl Step {
    /// Whether it ended in a way that is not good.
    pub fn is_bad(&self) -> bool {
        self.outcome
            .is_some_and(|o| !matches!(o, Outcome::Passed | Outcome::Skipped))
    }
}

fn first_bad(steps: &[Step]) -> Option<&Step> {
    steps
        .iter()
        .find(|s| s.is_bad())
        .or_else(|| steps.iter().find(|s| s.outcome.is_none()))
}

fn why(reason: Option<&str>, steps: &[Step]) -> String {
    if let Some(reason) = reason {
        return reason.to_owned();
    }
    let Some(step) = first_bad(steps) else {
        return "no reason was given".into();
    };
    match (step.mismatches.first(), &step.error) {
        (Some(m), _) => format!(
            "{}: expected {}, got {}",
            m.expectation, m.expected, m.actual
        ),
        (None, Some(error)) => error.clone(),
        (None, None) => format!("step {} did not end", step.title),
    }
}
