//! Steps in order: what is told of each, and when a scenario stops.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use prodmirror_model::event::{CaseId, Mismatch, Outcome, Place, What};
use prodmirror_model::scenario::{Scenario, Step};
use prodmirror_model::template::{Document, Scope};

use super::attempt::StepEnd;
use super::inspect::Inspector;
use super::seed::Seed;
use super::window::Window;
use crate::bus::Sink;
use crate::step::world::World;
use crate::step::{Marks, Program, Sessions};

/// What earlier steps left for later ones.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    pub scope: Scope,
    pub marks: Marks,
    /// Where the present turn of each loop around is shown: a position, and what stands in
    /// its place.
    pub turns: Vec<(String, String)>,
    /// Steps are done without a word: what repeats them tells what became of them.
    pub quiet: bool,
}

impl Flow {
    pub fn new(scope: Scope, marks: Marks) -> Self {
        Self {
            scope,
            marks,
            turns: Vec::new(),
            quiet: false,
        }
    }

    /// The position of a step, with the turns of the loops around it.
    pub fn shown(&self, path: &str) -> String {
        let inside = self.turns.iter().rev().find_map(|(from, to)| {
            let rest = path.strip_prefix(from.as_str())?;
            Some(format!("{to}{rest}"))
        });
        inside.unwrap_or_else(|| path.to_owned())
    }
}

/// Why a scenario does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub outcome: Outcome,
    pub reason: String,
}

impl Trouble {
    pub fn new(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self {
            outcome,
            reason: reason.into(),
        }
    }
}

/// Plays the steps of one scenario.
pub(super) struct Player<'a> {
    pub program: &'a Program,
    pub world: &'a Arc<dyn World>,
    pub sink: &'a dyn Sink,
    pub case: &'a CaseId,
    pub seed: Seed,
    /// Whether steps may run programs on this machine.
    pub allow_shell: bool,
    /// Which of the scenario's steps are done.
    pub window: Window,
    /// Who looks on.
    pub inspector: Option<&'a dyn Inspector>,
    /// Steps that were told to have begun and not yet to have ended.
    running: Mutex<Vec<(String, Instant)>>,
    /// Turns of loops so far.
    pub turns: AtomicU64,
}

impl<'a> Player<'a> {
    pub fn new(
        program: &'a Program,
        world: &'a Arc<dyn World>,
        sink: &'a dyn Sink,
        case: &'a CaseId,
        seed: Seed,
    ) -> Self {
        Self {
            program,
            world,
            sink,
            case,
            seed,
            allow_shell: false,
            window: Window::default(),
            inspector: None,
            running: Mutex::default(),
            turns: AtomicU64::new(0),
        }
    }

    /// `setup` and `steps`.
    pub async fn body(&self, flow: &mut Flow, sessions: &Sessions) -> Option<Trouble> {
        let scenario = &self.program.scenario;
        let (before, steps, behind) = self.window.split(&scenario.steps);
        if let Some(t) = self
            .until_trouble(&scenario.setup, flow, sessions, false)
            .await
        {
            return Some(t);
        }
        self.leave_out(before, "--from begins behind it", flow);
        let trouble = self.until_trouble(steps, flow, sessions, true).await;
        if trouble.is_none() {
            self.leave_out(behind, "--until ends before it", flow);
        }
        trouble
    }

    /// Tells of steps that they are not done.
    fn leave_out(&self, steps: &[Step], why: &str, flow: &Flow) {
        for step in steps {
            self.begin(step, flow, None);
            let end = StepEnd {
                error: Some(why.to_owned()),
                ..StepEnd::skipped()
            };
            self.end(step, flow, end);
        }
    }

    /// `setup` and `steps` of a fragment.
    pub async fn sections(
        &self,
        scenario: &Scenario,
        flow: &mut Flow,
        sessions: &Sessions,
    ) -> Option<Trouble> {
        if let Some(t) = self
            .until_trouble(&scenario.setup, flow, sessions, false)
            .await
        {
            return Some(t);
        }
        self.until_trouble(&scenario.steps, flow, sessions, false)
            .await
    }

    /// Steps in order, up to the first that does not pass; soft ones are remembered.
    async fn until_trouble(
        &self,
        steps: &[Step],
        flow: &mut Flow,
        sessions: &Sessions,
        invariants: bool,
    ) -> Option<Trouble> {
        let mut soft = None;
        for step in steps {
            if let Some(t) = self.step(step, flow, sessions).await {
                if !step.soft {
                    return Some(soft.unwrap_or(t));
                }
                soft.get_or_insert(t);
            }
            if invariants && let Some(t) = self.invariants(step, flow, sessions).await {
                return Some(soft.unwrap_or(t));
            }
        }
        soft
    }

    /// All steps in order, whatever becomes of each; the first trouble.
    pub async fn every(
        &self,
        steps: &[Step],
        flow: &mut Flow,
        sessions: &Sessions,
    ) -> Option<Trouble> {
        let mut first = None;
        for step in steps {
            let trouble = self.step(step, flow, sessions).await;
            first = first.or(trouble);
        }
        first
    }

    /// The steps of a branch, each told.
    pub fn branch<'f>(
        &'f self,
        steps: &'f [Step],
        flow: &'f mut Flow,
        sessions: &'f Sessions,
    ) -> Pin<Box<dyn Future<Output = Option<Trouble>> + Send + 'f>> {
        Box::pin(self.until_trouble(steps, flow, sessions, false))
    }

    /// One step, told.
    async fn step(&self, step: &Step, flow: &mut Flow, sessions: &Sessions) -> Option<Trouble> {
        self.halt_before(step, flow, sessions).await;
        self.begin(step, flow, None);
        if let Some(id) = &step.id {
            flow.marks
                .steps
                .insert(id.value.clone(), self.world.log_end());
        }
        let mut end = match self.applies(step, flow) {
            Ok(None) => self.perform(step, flow, sessions).await,
            Ok(Some(reason)) => StepEnd {
                error: reason,
                ..StepEnd::skipped()
            },
            Err(m) => StepEnd::failed(m),
        };
        self.window
            .explain(&self.program.scenario.steps, &flow.scope, &mut end);
        self.halt_after(step, flow, sessions, &mut end).await;
        let trouble = self.trouble(step, flow, &end);
        self.end(step, flow, end);
        trouble
    }

    /// Whether a step is done; if not, perhaps a word why.
    fn applies(&self, step: &Step, flow: &Flow) -> Result<Option<Option<String>>, Mismatch> {
        if let Some(skip) = &step.skip
            && let Some(reason) = skip.reason(&flow.scope)?
        {
            return Ok(Some(Some(reason)));
        }
        match &step.condition {
            None => Ok(None),
            Some(e) => Ok((!e.is_true(&Document::default(), &flow.scope)?).then_some(None)),
        }
    }

    /// What must hold after every step; told only when it does not.
    async fn invariants(
        &self,
        after: &Step,
        flow: &mut Flow,
        sessions: &Sessions,
    ) -> Option<Trouble> {
        for step in &self.program.scenario.invariants {
            let mut end = self.perform(step, flow, sessions).await;
            if end.outcome != Outcome::Passed {
                self.halt_after(step, flow, sessions, &mut end).await;
            }
            if end.outcome != Outcome::Passed {
                self.begin(step, flow, Some(&after.path));
                let trouble = self.trouble(step, flow, &end);
                self.end(step, flow, end);
                return trouble;
            }
        }
        None
    }

    /// As [`Self::invariants`], for a run of a race: what does not hold, without a word.
    pub async fn broken_invariants(&self, flow: &mut Flow, sessions: &Sessions) -> Vec<StepEnd> {
        let mut broken = Vec::new();
        for step in &self.program.scenario.invariants {
            let end = self.perform(step, flow, sessions).await;
            if end.outcome != Outcome::Passed {
                broken.push(end);
            }
        }
        broken
    }

    fn begin(&self, step: &Step, flow: &Flow, after: Option<&str>) {
        if flow.quiet {
            return;
        }
        let path = flow.shown(&step.path);
        self.running().push((path.clone(), Instant::now()));
        let title = self.program.title(step);
        self.sink.emit(What::StepStarted {
            case: self.case.clone(),
            step: path,
            title: match after {
                Some(path) => format!("invariant after {path}: {title}"),
                None => title,
            },
            kind: step.body.kind().to_owned(),
            place: Place::from(&step.span),
        });
    }

    fn end(&self, step: &Step, flow: &Flow, end: StepEnd) {
        if !flow.quiet {
            self.told(&flow.shown(&step.path), end);
        }
    }

    fn told(&self, path: &str, end: StepEnd) {
        self.running().retain(|(p, _)| p != path);
        self.sink.emit(What::StepFinished {
            case: self.case.clone(),
            step: path.to_owned(),
            outcome: end.outcome,
            took_ms: end.took.as_secs_f64() * 1000.0,
            attempts: end.attempts,
            mismatches: end.mismatches,
            error: end.error,
            evidence: end.evidence,
        });
    }

    /// Tells the end of every step that was cut off.
    pub fn abandon(&self, trouble: &Trouble) {
        let cut_off: Vec<(String, Instant)> = std::mem::take(&mut *self.running());
        for (path, since) in cut_off.into_iter().rev() {
            let end = StepEnd {
                outcome: trouble.outcome,
                took: since.elapsed(),
                attempts: 1,
                error: Some(trouble.reason.clone()),
                ..StepEnd::skipped()
            };
            self.told(&path, end);
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Vec<(String, Instant)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self, step: &Step, flow: &Flow, end: &StepEnd) -> Option<Trouble> {
        if matches!(end.outcome, Outcome::Passed | Outcome::Skipped) {
            return None;
        }
        let title = self.program.title(step);
        Some(Trouble::new(
            end.outcome,
            format!("{} ({title}): {}", flow.shown(&step.path), end.why()),
        ))
    }
}
