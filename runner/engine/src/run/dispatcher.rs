//! Gives scenarios to stacks, in parallel, and counts what they came to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use prodmirror_model::event::{CaseId, Outcome, What};
use prodmirror_model::scenario::Isolation;

use super::case::{CaseEnd, CaseOptions, play};
use super::stop::Stop;
use crate::bus::Sink;
use crate::step::Program;
use crate::step::world::{Later, World};

/// A scenario to play.
#[derive(Clone)]
pub struct Case {
    /// What to play.
    pub program: Arc<Program>,
    /// How.
    pub options: CaseOptions,
}

/// What a stack is wanted for.
#[derive(Debug, Clone)]
pub struct Need {
    /// Identity of the stack within the run: `s1`, `s2`…
    pub stack: String,
    /// With whom it is shared.
    pub isolation: Isolation,
    /// The cases that will run on it, in order.
    pub cases: Vec<CaseId>,
    /// Snapshots of data volumes, by service.
    pub data: BTreeMap<String, String>,
}

/// A stack that could not be had. The factory has emitted `StackFailed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackRefused {
    /// Why.
    pub reason: String,
}

/// Starts stacks.
pub trait StackFactory: Send + Sync {
    /// Starts a stack and returns when it is ready. It gives up, and removes what it made,
    /// when `stop` says so.
    fn start<'a>(
        &'a self,
        need: &'a Need,
        stop: &'a Stop,
    ) -> Later<'a, Result<Box<dyn Stack>, StackRefused>>;
}

/// A running stack.
pub trait Stack: Send + Sync {
    /// The stack as steps see it.
    fn world(&self) -> Arc<dyn World>;

    /// Removes it, unless it is to be kept. `passed` says whether all of its cases passed.
    fn finish(self: Box<Self>, passed: bool) -> Later<'static, ()>;
}

/// How many at once, how often again, and when to stop.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Stacks at the same time.
    pub jobs: usize,
    /// Further tries of a scenario that does not pass.
    pub retries: u32,
    /// Whether the first scenario that does not pass ends the run.
    pub fail_fast: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            jobs: 1,
            retries: 0,
            fail_fast: false,
        }
    }
}

/// How the cases ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed, some of them only when tried again.
    pub passed: usize,
    /// The mirror answered wrongly.
    pub failed: usize,
    /// No answer could be had.
    pub errored: usize,
    /// It took too long.
    pub timed_out: usize,
    /// Not run, on purpose.
    pub skipped: usize,
    /// Not run because the run ended before.
    pub not_run: usize,
    /// Of those that passed: those that did not at the first try.
    pub flaky: usize,
}

/// How a run of cases ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunEnd {
    /// How the cases ended.
    pub counts: Counts,
    /// Why the first stack that could not be had could not.
    pub stack_refused: Option<String>,
    /// Whether it was ended by a signal.
    pub interrupted: bool,
}

/// Cases that share a stack.
struct Group {
    need: Need,
    cases: Vec<Case>,
}

/// Plays cases on stacks.
pub struct Dispatcher {
    factory: Arc<dyn StackFactory>,
    sink: Arc<dyn Sink>,
    limits: Limits,
    stop: Stop,
}

#[derive(Default)]
struct Ledger {
    end: RunEnd,
    /// Set by `fail_fast`.
    halted: bool,
}

struct Shared {
    factory: Arc<dyn StackFactory>,
    sink: Arc<dyn Sink>,
    limits: Limits,
    stop: Stop,
    queue: Mutex<VecDeque<Group>>,
    ledger: Mutex<Ledger>,
}

impl Dispatcher {
    /// A dispatcher over a factory of stacks.
    pub fn new(
        factory: Arc<dyn StackFactory>,
        sink: Arc<dyn Sink>,
        limits: Limits,
        stop: Stop,
    ) -> Self {
        Self {
            factory,
            sink,
            limits,
            stop,
        }
    }

    /// Plays all cases and returns when every stack is removed.
    pub async fn run(&self, cases: Vec<Case>) -> RunEnd {
        let total = cases.len();
        let groups = group(cases);
        let workers = self.limits.jobs.clamp(1, groups.len().max(1));
        let shared = Arc::new(Shared {
            factory: self.factory.clone(),
            sink: self.sink.clone(),
            limits: self.limits,
            stop: self.stop.clone(),
            queue: Mutex::new(groups.into()),
            ledger: Mutex::default(),
        });
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..workers {
            let shared = shared.clone();
            tasks.spawn(async move { shared.work().await });
        }
        while let Some(ended) = tasks.join_next().await {
            if ended.is_err() {
                self.sink.emit(What::Warning {
                    message: "a worker of the run broke down; its scenarios count as not run"
                        .into(),
                });
            }
        }
        let mut end = shared.ledger().end.clone();
        let c = &end.counts;
        let told = c.passed + c.failed + c.errored + c.timed_out + c.skipped;
        end.counts.not_run = total.saturating_sub(told);
        end.interrupted = self.stop.is_stopping();
        end
    }
}

/// Groups of cases by the stack that they share, in the order of their first case.
fn group(cases: Vec<Case>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut open: BTreeMap<(Option<String>, String), usize> = BTreeMap::new();
    for case in cases {
        let scenario = &case.program.scenario;
        let data: BTreeMap<String, String> = scenario
            .data
            .iter()
            .map(|(k, v)| (k.clone(), v.value.clone()))
            .collect();
        let key = match scenario.isolation {
            Isolation::Scenario => None,
            Isolation::File => Some((Some(scenario.file.name.clone()), format!("{data:?}"))),
            Isolation::Shared => Some((None, format!("{data:?}"))),
        };
        let at = key.as_ref().and_then(|k| open.get(k).copied());
        match at {
            Some(i) => {
                groups[i].need.cases.push(case.program.case());
                groups[i].cases.push(case);
            }
            None => {
                if let Some(k) = key {
                    open.insert(k, groups.len());
                }
                groups.push(Group {
                    need: Need {
                        stack: format!("s{}", groups.len() + 1),
                        isolation: scenario.isolation,
                        cases: vec![case.program.case()],
                        data,
                    },
                    cases: vec![case],
                });
            }
        }
    }
    groups
}

impl Shared {
    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(&self) {
        loop {
            let next = self
                .queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some(group) = next else { return };
            if self.stop.is_stopping() {
                return;
            }
            if self.ledger().halted {
                self.skip(&group.cases);
                continue;
            }
            self.group(group).await;
        }
    }

    fn skip(&self, cases: &[Case]) {
        for case in cases {
            self.sink.emit(What::CaseFinished {
                case: case.program.case(),
                outcome: Outcome::Skipped,
                took_ms: 0,
                reason: Some(
                    "not run: another scenario did not pass, and the first such ends the run"
                        .into(),
                ),
                rerun: case.options.rerun.clone(),
            });
            self.ledger().end.counts.skipped += 1;
        }
    }

    /// All cases of a group, on one stack; a case of its own stack gets a fresh one for each
    /// further try.
    async fn group(&self, group: Group) {
        let own = group.need.isolation == Isolation::Scenario;
        let mut stack = match self.start(&group.need).await {
            Ok(s) => s,
            Err(refused) => return self.refused(&group.cases, &refused),
        };
        let mut all_passed = true;
        for (i, case) in group.cases.iter().enumerate() {
            if self.stop.is_stopping() {
                break;
            }
            if self.ledger().halted {
                self.skip(&group.cases[i..]);
                break;
            }
            let mut tries = 0;
            let end = loop {
                let end = play(
                    &case.program,
                    &stack.world(),
                    &*self.sink,
                    &case.options,
                    &self.stop,
                )
                .await;
                tries += 1;
                let again =
                    bad(end.outcome) && tries <= self.limits.retries && !self.stop.is_stopping();
                if !again {
                    break end;
                }
                if own {
                    stack.finish(false).await;
                    let need = Need {
                        stack: format!("{}-{}", group.need.stack, tries + 1),
                        ..group.need.clone()
                    };
                    stack = match self.start(&need).await {
                        Ok(s) => s,
                        Err(refused) => return self.refused(&group.cases[i..], &refused),
                    };
                }
            };
            all_passed &= !bad(end.outcome);
            self.count(&end, tries);
        }
        stack.finish(all_passed).await;
    }

    async fn start(&self, need: &Need) -> Result<Box<dyn Stack>, StackRefused> {
        self.factory.start(need, &self.stop).await
    }

    fn refused(&self, cases: &[Case], refused: &StackRefused) {
        let mut ledger = self.ledger();
        ledger
            .end
            .stack_refused
            .get_or_insert_with(|| refused.reason.clone());
        if self.stop.is_stopping() {
            return;
        }
        for case in cases {
            ledger.end.counts.errored += 1;
            self.sink.emit(What::CaseFinished {
                case: case.program.case(),
                outcome: Outcome::Errored,
                took_ms: 0,
                reason: Some(format!("the stack did not start: {}", refused.reason)),
                rerun: case.options.rerun.clone(),
            });
        }
        ledger.halted |= self.limits.fail_fast;
    }

    fn count(&self, end: &CaseEnd, tries: u32) {
        let mut ledger = self.ledger();
        let c = &mut ledger.end.counts;
        match end.outcome {
            Outcome::Passed => c.passed += 1,
            Outcome::Failed => c.failed += 1,
            Outcome::Errored => c.errored += 1,
            Outcome::TimedOut => c.timed_out += 1,
            Outcome::Skipped => c.skipped += 1,
        }
        if end.outcome == Outcome::Passed && tries > 1 {
            c.flaky += 1;
        }
        if bad(end.outcome) && self.limits.fail_fast {
            ledger.halted = true;
        }
    }
}

fn bad(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Passed | Outcome::Skipped)
}
