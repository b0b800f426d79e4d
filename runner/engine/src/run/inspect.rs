//! Whoever looks on while a scenario is played: is asked before a step, and after one that did
//! not pass, while everything still stands.

use std::fmt;
use std::sync::Arc;

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::{CaseId, Outcome};
use prodmirror_model::scenario::{Body, Step};
use prodmirror_model::source::{SourceFile, Span};
use prodmirror_model::template::{Document, Scope, is_reserved};

use super::attempt::StepEnd;
use super::steps::{Flow, Player};
use crate::step::world::{Later, World};
use crate::step::{Program, Sessions, compile};

/// Is asked while a scenario is played. What it is asked it may answer as late as it likes:
/// limits of time of scenarios and of groups of steps do not count where there is one.
pub trait Inspector: fmt::Debug + Send + Sync {
    /// Before a step begins.
    fn before<'a>(&'a self, halt: &'a mut Halt<'_>) -> Later<'a, ()>;

    /// After a step that did not pass, before anything that follows from it.
    fn failed<'a>(&'a self, halt: &'a mut Halt<'_>) -> Later<'a, ()>;
}

/// Where a scenario stands still.
pub struct Halt<'h> {
    player: &'h Player<'h>,
    step: &'h Step,
    flow: &'h mut Flow,
    sessions: &'h Sessions,
    /// How the step ended; absent before it began.
    end: Option<&'h mut StepEnd>,
}

impl Halt<'_> {
    /// The case.
    pub fn case(&self) -> &CaseId {
        self.player.case
    }

    /// The step's position, with the turns of the loops around it.
    pub fn path(&self) -> String {
        self.flow.shown(&self.step.path)
    }

    /// What the step is called in reports.
    pub fn title(&self) -> String {
        self.player.program.title(self.step)
    }

    /// The key of what it does: `http`, `sql`, `parallel`…
    pub fn kind(&self) -> &str {
        self.step.body.kind()
    }

    /// Where it stands.
    pub fn span(&self) -> &Span {
        &self.step.span
    }

    /// How it ended; absent before it began.
    pub fn end(&self) -> Option<&StepEnd> {
        self.end.as_deref()
    }

    /// Variables, captures and the results of earlier steps.
    pub fn scope(&self) -> &Scope {
        &self.flow.scope
    }

    /// The stack.
    pub fn world(&self) -> &Arc<dyn World> {
        self.player.world
    }

    /// Does the step again. If it had ended, this is how it ends now.
    pub async fn again(&mut self) -> StepEnd {
        let end = self
            .player
            .perform(self.step, self.flow, self.sessions)
            .await;
        if let Some(last) = self.end.as_deref_mut() {
            let attempts = last.attempts.saturating_add(end.attempts);
            *last = StepEnd {
                attempts,
                ..end.clone()
            };
        }
        end
    }

    /// Does a step that is given as YAML on one line. It sees what the scenario's steps see, and
    /// what it captures stays; nothing of it is reported.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn run(&mut self, yaml: &str) -> Result<StepEnd, Vec<Problem>> {
        let program = one_step(yaml, &self.flow.scope, self.step)?;
        let Some(step) = program.scenario.steps.first() else {
            let what = Problem::new(ProblemKind::Syntax, "this is no step");
            return Err(vec![
                what.help("for example: run http: { url: \"http://web/\" }"),
            ]);
        };
        let p = self.player;
        let mut player = Player::new(&program, p.world, p.sink, p.case, p.seed.clone());
        player.allow_shell = p.allow_shell;
        let quiet = std::mem::replace(&mut self.flow.quiet, true);
        // A step of any kind may be within one of any kind.
        let end = Box::pin(player.perform(step, self.flow, self.sessions)).await;
        self.flow.quiet = quiet;
        Ok(end)
    }
}

/// A scenario of just this step, which knows the names that are there by now.
fn one_step(yaml: &str, scope: &Scope, beside: &Step) -> Result<Program, Vec<Problem>> {
    let mut text = String::from("scenario: prompt\n");
    let names: Vec<&str> = scope.names().filter(|n| !is_reserved(n)).collect();
    if !names.is_empty() {
        text.push_str("vars:\n");
        for name in names {
            text.push_str(&format!("  {name}: null\n"));
        }
    }
    let ids: Vec<&str> = scope.step_ids().collect();
    if !ids.is_empty() {
        text.push_str("setup:\n");
        for id in ids {
            text.push_str(&format!("  - {{ id: {id}, print: \"\" }}\n"));
        }
    }
    text.push_str("steps:\n  - ");
    text.push_str(yaml.trim());
    text.push('\n');
    // Files that it names are where those of the scenario are.
    let file = Arc::new(SourceFile {
        name: "run".into(),
        text,
        path: beside.span.file.path.clone(),
    });
    let (programs, problems) = compile(&file);
    let errors: Vec<Problem> = problems.into_iter().filter(Problem::is_error).collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    programs.into_iter().next().ok_or_else(Vec::new)
}

/// Whether a step ended as it did because one inside of it did, at which one has stood still
/// already.
fn is_of_inner(step: &Step, end: &StepEnd) -> bool {
    let outer = matches!(
        step.body,
        Body::Group { .. } | Body::Loop(_) | Body::Use(_) | Body::Parallel(_)
    );
    let told = |kind: &str| matches!(kind, "steps" | "parallel");
    // What is tried again and again stands still once, in the end.
    outer
        && step.eventually.is_none()
        && (end.error.is_some() || end.mismatches.iter().any(|m| told(&m.kind)))
}

impl Player<'_> {
    /// Stands still before a step, where somebody looks on.
    pub(super) async fn halt_before(&self, step: &Step, flow: &mut Flow, sessions: &Sessions) {
        if let Some(inspector) = self.inspector.filter(|_| !flow.quiet) {
            let mut halt = Halt {
                player: self,
                step,
                flow,
                sessions,
                end: None,
            };
            inspector.before(&mut halt).await;
        }
    }

    /// Stands still after a step that did not pass, where somebody looks on.
    pub(super) async fn halt_after(
        &self,
        step: &Step,
        flow: &mut Flow,
        sessions: &Sessions,
        end: &mut StepEnd,
    ) {
        let passed = matches!(end.outcome, Outcome::Passed | Outcome::Skipped);
        if passed || is_of_inner(step, end) {
            return;
        }
        if let Some(inspector) = self.inspector.filter(|_| !flow.quiet) {
            let mut halt = Halt {
                player: self,
                step,
                flow,
                sessions,
                end: Some(end),
            };
            inspector.failed(&mut halt).await;
        }
    }
}

impl StepEnd {
    /// What the step gave, for expressions.
    pub fn result(&self) -> Option<&Document> {
        self.document.as_deref()
    }
}
