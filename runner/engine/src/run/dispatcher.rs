//! Gives scenarios to stacks, in parallel, and counts what they came to.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use prodmirror_model::event::{CaseId, Outcome, What};
use prodmirror_model::flags::OverrideKey;
use prodmirror_model::scenario::Isolation;
use tokio::sync::Notify;

use super::case::{CaseEnd, CaseOptions, play};
use super::group::{Group, group};
use super::queue::{Next, Queue};
use super::stop::Stop;
use crate::bus::Sink;
use crate::live::Remains;
use crate::step::Program;
use crate::step::world::{Later, World};

/// How long what is left of a stack is looked at.
const LOOKED_WITHIN: Duration = Duration::from_secs(5);

/// A scenario to play.
#[derive(Clone)]
pub struct Case {
    /// What to play.
    pub program: Arc<Program>,
    /// How.
    pub options: CaseOptions,
    /// Why it would prove nothing on the data that there is; it is then an error, and no stack
    /// is started for it.
    pub unmet: Option<String>,
}

impl Case {
    /// Its identity.
    pub fn id(&self) -> CaseId {
        self.options.case(&self.program)
    }

    /// The cases that must have passed before: of a repetition, the same one of them.
    pub fn needs(&self) -> impl Iterator<Item = CaseId> {
        let needs = self.program.needs().iter().cloned();
        needs.map(|n| self.options.of(n))
    }
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
    /// Snapshots of data volumes, by volume.
    pub data: BTreeMap<String, String>,
    /// Feature flags by which it differs from production.
    pub flags: OverrideKey,
}

/// A stack that could not be had. The factory has emitted `StackFailed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackRefused {
    /// Why.
    pub reason: String,
    /// Whether it is because the engine was lost.
    pub lost: bool,
}

/// What the end of a stack's use came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// Whether something of it could not be removed.
    pub left: bool,
    /// Why, when that is because the engine was lost.
    pub lost: Option<String>,
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

    /// What is left of it after a case that did not pass.
    fn autopsy(&self) -> Later<'_, Vec<Remains>> {
        Box::pin(async { Vec::new() })
    }

    /// Removes it, unless it is to be kept. `passed` says whether all of its cases passed.
    fn finish(self: Box<Self>, passed: bool) -> Later<'static, Finished>;
}

/// Is told of cases that did not pass, before their stacks are removed.
pub trait Aftermath: Send + Sync {
    /// A case did not pass, in its last try; its stack was looked at. Nothing waits for more
    /// than the return of this.
    fn failed(&self, case: &CaseId, remains: Vec<Remains>);
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
    /// Why the engine counts as lost, when it does.
    pub lost: Option<String>,
    /// Whether something could not be removed.
    pub left: bool,
    /// Whether it was ended by a signal.
    pub interrupted: bool,
}

/// Plays cases on stacks.
pub struct Dispatcher {
    factory: Arc<dyn StackFactory>,
    sink: Arc<dyn Sink>,
    limits: Limits,
    stop: Stop,
    aftermath: Option<Arc<dyn Aftermath>>,
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
    aftermath: Option<Arc<dyn Aftermath>>,
    queue: Mutex<Queue>,
    /// Is told whenever a group ends.
    ended: Notify,
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
            aftermath: None,
        }
    }

    /// Tells somebody of every case that does not pass.
    #[must_use]
    pub fn with_aftermath(mut self, aftermath: Arc<dyn Aftermath>) -> Self {
        self.aftermath = Some(aftermath);
        self
    }

    /// Plays all cases and returns when every stack is removed.
    pub async fn run(&self, cases: Vec<Case>) -> RunEnd {
        let total = cases.len();
        let (unmet, cases): (Vec<Case>, Vec<Case>) =
            cases.into_iter().partition(|c| c.unmet.is_some());
        let groups = group(cases);
        let workers = self.limits.jobs.clamp(1, groups.len().max(1));
        let shared = Arc::new(Shared {
            factory: self.factory.clone(),
            sink: self.sink.clone(),
            limits: self.limits,
            stop: self.stop.clone(),
            aftermath: self.aftermath.clone(),
            queue: Mutex::new(Queue::new(groups)),
            ended: Notify::new(),
            ledger: Mutex::default(),
        });
        for case in &unmet {
            let reason = case.unmet.as_deref().unwrap_or_default();
            shared.errored(std::slice::from_ref(case), reason);
            shared.settle(case, Outcome::Errored);
        }
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..workers {
            let shared = shared.clone();
            tasks.spawn(async move { shared.work().await });
        }
        while let Some(ended) = tasks.join_next().await {
            if ended.is_err() {
                // What it was about to remove is unknown here: keeper and reaper know.
                shared.ledger().end.left = true;
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
        if let Some(why) = self.stop.lost() {
            end.lost.get_or_insert_with(|| why.to_owned());
        }
        end.interrupted = self.stop.is_stopping() && self.stop.lost().is_none();
        end
    }
}

impl Shared {
    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(&self) {
        loop {
            let ended = self.ended.notified();
            tokio::pin!(ended);
            // From here on nothing is missed that ends while the queue is looked at.
            ended.as_mut().enable();
            let next = self.queue().next();
            let group = match next {
                Next::Group(group) => *group,
                Next::Wait => {
                    ended.await;
                    continue;
                }
                Next::Nothing => return,
            };
            let guard = Ended {
                shared: self,
                locks: group.locks(),
                cases: group.cases.iter().map(Case::id).collect(),
            };
            if self.stop.is_stopping() {
                self.cut_off(&group.cases);
            } else if self.ledger().halted {
                self.skip(&group.cases);
            } else {
                self.group(group).await;
            }
            drop(guard);
        }
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, case: &Case, outcome: Outcome) {
        self.queue().settle(case.id(), outcome);
    }

    /// Says of a case that something that it needs did not pass.
    fn unmet_need(&self, case: &Case, need: &CaseId) {
        self.sink.emit(What::CaseFinished {
            case: case.id(),
            outcome: Outcome::Skipped,
            took_ms: 0,
            reason: Some(format!("it needs `{}`, which did not pass", need.name)),
            rerun: case.options.rerun.clone(),
        });
        self.ledger().end.counts.skipped += 1;
        self.settle(case, Outcome::Skipped);
    }

    fn skip(&self, cases: &[Case]) {
        for case in cases {
            self.sink.emit(What::CaseFinished {
                case: case.id(),
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

    /// Says of cases that were not begun that the engine was lost. (Those that a signal cut off
    /// have no end: that is what reports say of them.)
    fn cut_off(&self, cases: &[Case]) {
        if let Some(why) = self.stop.lost() {
            self.errored(cases, &format!("not run: {why}"));
        }
    }

    fn errored(&self, cases: &[Case], reason: &str) {
        for case in cases {
            self.ledger().end.counts.errored += 1;
            self.sink.emit(What::CaseFinished {
                case: case.id(),
                outcome: Outcome::Errored,
                took_ms: 0,
                reason: Some(reason.to_owned()),
                rerun: case.options.rerun.clone(),
            });
        }
    }

    /// All cases of a group, on one stack; a case of its own stack gets a fresh one for each
    /// further try.
    async fn group(&self, mut group: Group) {
        let own = group.need.isolation == Isolation::Scenario;
        // No stack is started for what will not run.
        let inside: Vec<CaseId> = group.cases.iter().map(Case::id).collect();
        group.cases.retain(|case| {
            let unmet = self.queue().unmet(case, &inside);
            if let Some(need) = &unmet {
                self.unmet_need(case, need);
            }
            unmet.is_none()
        });
        if group.cases.is_empty() {
            return;
        }
        let mut stack = match self.start(&group.need).await {
            Ok(s) => s,
            Err(refused) => return self.refused(&group.cases, &refused),
        };
        let mut all_passed = true;
        for (i, case) in group.cases.iter().enumerate() {
            if self.stop.is_stopping() {
                self.cut_off(&group.cases[i..]);
                break;
            }
            if self.ledger().halted {
                self.skip(&group.cases[i..]);
                break;
            }
            let unmet = self.queue().unmet(case, &[]);
            if let Some(need) = unmet {
                self.unmet_need(case, &need);
                continue;
            }
            let mut tries = 0;
            let end = loop {
                let end = self.play(case, &stack.world()).await;
                tries += 1;
                let again =
                    bad(end.outcome) && tries <= self.limits.retries && !self.stop.is_stopping();
                if !again {
                    break end;
                }
                if own {
                    self.finished(stack.finish(false).await);
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
            if let Some(aftermath) = self.aftermath.as_ref().filter(|_| bad(end.outcome)) {
                let looked = tokio::time::timeout(LOOKED_WITHIN, stack.autopsy()).await;
                aftermath.failed(&case.id(), looked.unwrap_or_default());
            }
            all_passed &= !bad(end.outcome);
            self.settle(case, end.outcome);
            self.count(&end, tries);
        }
        self.finished(stack.finish(all_passed).await);
    }

    /// Plays a case. A fault of the runner itself is an error of this case alone: what runs is
    /// removed, and the others are played.
    async fn play(&self, case: &Case, world: &Arc<dyn World>) -> CaseEnd {
        let begun = Instant::now();
        let playing = play(&case.program, world, &*self.sink, &case.options, &self.stop);
        let fault = match AssertUnwindSafe(playing).catch_unwind().await {
            Ok(end) => return end,
            Err(fault) => fault,
        };
        let end = CaseEnd {
            outcome: Outcome::Errored,
            reason: Some(format!(
                "prodmirror itself broke down while it played this: {}",
                words(&*fault)
            )),
            took: begun.elapsed(),
        };
        self.sink.emit(What::CaseFinished {
            case: case.id(),
            outcome: end.outcome,
            took_ms: u64::try_from(end.took.as_millis()).unwrap_or(u64::MAX),
            reason: end.reason.clone(),
            rerun: case.options.rerun.clone(),
        });
        end
    }

    fn finished(&self, finished: Finished) {
        let mut ledger = self.ledger();
        ledger.end.left |= finished.left;
        if ledger.end.lost.is_none() {
            ledger.end.lost = finished.lost.map(|e| format!("the engine was lost: {e}"));
        }
    }

    async fn start(&self, need: &Need) -> Result<Box<dyn Stack>, StackRefused> {
        self.factory.start(need, &self.stop).await
    }

    fn refused(&self, cases: &[Case], refused: &StackRefused) {
        if self.stop.is_stopping() {
            return self.cut_off(cases);
        }
        let reason = format!("the stack did not start: {}", refused.reason);
        self.errored(cases, &reason);
        let mut ledger = self.ledger();
        if refused.lost {
            ledger.end.lost.get_or_insert(reason);
        } else {
            ledger
                .end
                .stack_refused
                .get_or_insert_with(|| refused.reason.clone());
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

/// The end of a group: its locks are free, and what waited for it looks again, also when its
/// worker broke down.
struct Ended<'s> {
    shared: &'s Shared,
    locks: Vec<String>,
    cases: Vec<CaseId>,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.shared.queue().ended(&self.locks, &self.cases);
        self.shared.ended.notify_waiters();
    }
}

/// What a panic said.
fn words(fault: &(dyn Any + Send)) -> &str {
    let text = fault.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| fault.downcast_ref::<&str>().copied())
        .unwrap_or("no words were left")
}

fn bad(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Passed | Outcome::Skipped)
}
