//! One step: its attempts, what is expected of them, and what is kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_model::check::{Capture, Expectation, check};
use prodmirror_model::event::{Evidence, Mismatch, Outcome, What};
use prodmirror_model::scenario::{Body, Branch, Eventually, Retry, Step};
use prodmirror_model::template::Document;
use serde_json::Value as Json;

use super::race::RaceEnd;
use super::steps::{Flow, Player};
use crate::step::{Context, Done, Sessions, StepError, Trail};

/// As good as no limit.
const UNHURRIED: Duration = Duration::from_secs(7 * 24 * 3600);

/// How a step ended.
#[derive(Debug, Clone)]
pub struct StepEnd {
    /// How.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// How often it was tried.
    pub attempts: u32,
    /// What was expected and did not hold.
    pub mismatches: Vec<Mismatch>,
    /// Why there is no result, or why it was not done.
    pub error: Option<String>,
    /// What was sent and what came.
    pub evidence: Vec<Evidence>,
    /// Its result.
    pub document: Option<Arc<Document>>,
    /// No further attempt can change it.
    pub settled: bool,
}

impl StepEnd {
    pub(super) fn skipped() -> Self {
        Self {
            outcome: Outcome::Skipped,
            took: Duration::ZERO,
            attempts: 0,
            mismatches: Vec::new(),
            error: None,
            evidence: Vec::new(),
            document: None,
            settled: false,
        }
    }

    pub(super) fn failed(m: Mismatch) -> Self {
        Self {
            outcome: Outcome::Failed,
            mismatches: vec![m],
            ..Self::skipped()
        }
    }

    /// All that is said of why it did not pass.
    pub(super) fn said(&self) -> String {
        let mut text = self.error.clone().unwrap_or_default();
        for m in &self.mismatches {
            let hint = m.hint.as_deref().unwrap_or_default();
            for part in [&m.expectation, &m.expected, &m.actual, hint] {
                text.push('\n');
                text.push_str(part);
            }
        }
        text
    }

    /// One line that says why it did not pass.
    pub fn why(&self) -> String {
        if let Some(e) = &self.error {
            return first_line(e);
        }
        match self.mismatches.as_slice() {
            [] => "it did not pass".into(),
            [m] => one(m),
            [m, rest @ ..] => format!("{} (and {} more)", one(m), rest.len()),
        }
    }
}

fn one(m: &Mismatch) -> String {
    format!(
        "{}: expected {}, got {}",
        first_line(&m.expectation),
        m.expected,
        m.actual
    )
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// What is done with the result of a step; of `step: id`, partly the other's.
struct Plan<'s> {
    body: &'s Body,
    /// The step whose act is meant.
    acting: &'s Step,
    expect: &'s [Expectation],
    captures: Vec<&'s Capture>,
    retry: Option<&'s Retry>,
    eventually: Option<Eventually>,
    timeout: Option<Duration>,
}

/// Whether no further attempt is to be made.
fn given_up(r: &Retry, end: &StepEnd, attempt: u32, flow: &Flow) -> Result<bool, Mismatch> {
    let Some(unless) = &r.unless else {
        return Ok(false);
    };
    let document = Document::default()
        .with("error", end.error.clone().unwrap_or_default())
        .with("attempt", attempt);
    unless.is_true(&document, &flow.scope)
}

impl Player<'_> {
    /// Does a step: attempts until one is good or no more are due. Nothing is told.
    pub async fn perform(&self, step: &Step, flow: &mut Flow, sessions: &Sessions) -> StepEnd {
        let Some(plan) = self.plan(step) else {
            let reason = "the step to run again does not exist".to_owned();
            return StepEnd {
                outcome: Outcome::Errored,
                error: Some(reason),
                ..StepEnd::skipped()
            };
        };
        let begun = Instant::now();
        let mut delay = plan.retry.map_or(Duration::ZERO, |r| r.delay);
        let mut jitter = self.seed.part(&step.path);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let left = plan
                .eventually
                .map(|e| e.within.saturating_sub(begun.elapsed()));
            let mut end = self.attempt(step, &plan, left, flow, sessions).await;
            end.attempts = attempts;
            if end.outcome == Outcome::Passed {
                return end;
            }
            let lost = end.error.is_some();
            if let Some(e) = plan.eventually {
                if begun.elapsed() + e.every <= e.within && !end.settled {
                    tokio::time::sleep(e.every).await;
                    continue;
                }
                return late(end, e, begun.elapsed());
            }
            match plan.retry {
                Some(r) if lost && !end.settled && attempts <= r.times => {
                    match given_up(r, &end, attempts, flow) {
                        Ok(false) => {}
                        Ok(true) => return end,
                        Err(m) => {
                            end.mismatches.push(m);
                            return end;
                        }
                    }
                    // Between 1 - jitter and 1 + jitter, in thousandths.
                    let by = r.jitter * (jitter.below(2001) as f64 / 1000.0 - 1.0);
                    tokio::time::sleep(delay.mul_f64(1.0 + by)).await;
                    delay = delay.mul_f64(r.backoff).min(r.max_delay);
                }
                _ => return end,
            }
        }
    }

    fn plan<'s>(&'s self, step: &'s Step) -> Option<Plan<'s>> {
        let own = Plan {
            body: &step.body,
            acting: step,
            expect: if step.expect.is_empty() {
                self.program.usual(step)
            } else {
                &step.expect
            },
            captures: step.capture.iter().collect(),
            retry: step.retry.as_ref(),
            eventually: step.eventually,
            timeout: step.timeout,
        };
        let Body::Again { target, .. } = &step.body else {
            return Some(own);
        };
        let mut other = self.plan(self.program.step(target)?)?;
        if !step.expect.is_empty() {
            other.expect = &step.expect;
        }
        other.captures.extend(own.captures);
        other.retry = own.retry.or(other.retry);
        other.eventually = own.eventually.or(other.eventually);
        other.timeout = own.timeout.or(other.timeout);
        Some(other)
    }

    async fn attempt(
        &self,
        step: &Step,
        plan: &Plan<'_>,
        left: Option<Duration>,
        flow: &mut Flow,
        sessions: &Sessions,
    ) -> StepEnd {
        let begun = Instant::now();
        let mut trail = Trail::default();
        let mut limit = plan.timeout.unwrap_or_else(|| self.limit(plan));
        if self.inspector.is_some() && !matches!(plan.body, Body::Kind { .. } | Body::Again { .. })
        {
            // People who look at the steps inside are not hurried.
            limit = limit.max(UNHURRIED);
        }
        if let Some(left) = left {
            // The last attempt may still take as long as a quick answer needs.
            limit = limit.min(left.max(Duration::from_secs(1)));
        }
        let done = tokio::time::timeout(limit, self.act(plan, flow, sessions, &mut trail)).await;
        let mut end = StepEnd {
            took: begun.elapsed(),
            attempts: 1,
            ..StepEnd::skipped()
        };
        match done {
            Err(_) => {
                end.outcome = Outcome::TimedOut;
                end.error = Some(format!(
                    "no result within {}",
                    humantime::format_duration(limit)
                ));
            }
            Ok(Err(e)) => {
                end.outcome = Outcome::Errored;
                end.error = Some(e.to_string());
                if matches!(e, StepError::Refused(_)) {
                    end.settled = true;
                }
            }
            Ok(Ok(done)) => self.judge(step, plan, done, flow, &mut end),
        }
        end.evidence = trail.take();
        end
    }

    fn limit(&self, plan: &Plan<'_>) -> Duration {
        match plan.body {
            // The scenario has a limit of its own.
            Body::Race(_)
            | Body::Parallel(_)
            | Body::Group { .. }
            | Body::Loop(_)
            | Body::Use(_) => Duration::from_secs(24 * 3600),
            _ => self
                .program
                .act(plan.acting)
                .map_or(Duration::from_secs(30), |a| a.limit()),
        }
    }

    async fn act(
        &self,
        plan: &Plan<'_>,
        flow: &mut Flow,
        sessions: &Sessions,
        trail: &mut Trail,
    ) -> Result<Done, StepError> {
        match plan.body {
            Body::Race(race) => {
                let RaceEnd {
                    document,
                    mismatches,
                } = Box::pin(self.race(race, plan.expect, flow, sessions, trail)).await?;
                Ok(Done {
                    document,
                    mismatches,
                })
            }
            Body::Parallel(branches) => self.parallel(branches, flow, sessions).await,
            Body::Group { steps, .. } => {
                // What is tried again and again is told once, in the end.
                let quiet = flow.quiet;
                flow.quiet |= plan.eventually.is_some();
                let done = self.group(steps, flow, sessions).await;
                flow.quiet = quiet;
                done
            }
            Body::Loop(l) => self.turns(l, &plan.acting.path, flow, sessions).await,
            Body::Use(u) => self.uses(u, flow, sessions).await,
            Body::Set(values) => {
                for (name, data) in values {
                    let value = data.render(&flow.scope)?;
                    trail.add(name, value.to_string());
                    flow.scope.set(name, value);
                }
                Ok(Done::default())
            }
            Body::Print(data) => {
                let text = data.render_text(&flow.scope)?;
                self.sink.emit(What::Printed {
                    case: self.case.clone(),
                    step: flow.shown(&plan.acting.path),
                    text: crate::step::cut(&text, 64 * 1024),
                });
                trail.add("text", &text);
                Ok(Done::default())
            }
            Body::Assert => Ok(Done::default()),
            Body::Kind { .. } | Body::Again { .. } => {
                let Some(act) = self.program.act(plan.acting) else {
                    return Err(StepError::transport("the step was not compiled"));
                };
                let mut context = Context {
                    world: self.world,
                    scope: &flow.scope,
                    sessions,
                    marks: &flow.marks,
                    trail,
                    allow_shell: self.allow_shell,
                };
                let begun = Instant::now();
                let mut done = act.run(&mut context).await?;
                if done.document.get("duration").is_none() {
                    done.document.took(begun.elapsed());
                }
                Ok(done)
            }
        }
    }

    /// Expectations, then captures, then what is kept.
    fn judge(&self, step: &Step, plan: &Plan<'_>, done: Done, flow: &mut Flow, end: &mut StepEnd) {
        let document = Arc::new(done.document);
        end.mismatches = done.mismatches;
        // The expectations of a race were checked after each of its runs.
        if !matches!(plan.body, Body::Race(_)) {
            flow.scope.stand_at(name_of(step, plan));
            match check(plan.expect, &document, &flow.scope) {
                Ok(v) => end.mismatches.extend(v.mismatches),
                Err(p) => {
                    end.outcome = Outcome::Errored;
                    end.error = Some(p.to_string());
                    end.settled = true;
                    return;
                }
            }
        }
        if end.mismatches.is_empty() {
            for c in &plan.captures {
                match c.take(&document, &flow.scope) {
                    Ok(v) => flow.scope.set(&c.name, v),
                    Err(m) => end.mismatches.push(m),
                }
            }
        }
        end.outcome = if end.mismatches.is_empty() {
            Outcome::Passed
        } else {
            Outcome::Failed
        };
        for id in [&step.id, &plan.acting.id].into_iter().flatten() {
            if self.program.keeps(id) {
                flow.scope.keep(&id.value, document.clone());
            }
        }
        end.document = Some(document);
    }

    async fn parallel(
        &self,
        branches: &[Branch],
        flow: &mut Flow,
        sessions: &Sessions,
    ) -> Result<Done, StepError> {
        let begun = Instant::now();
        let mut flows: Vec<Flow> = branches.iter().map(|_| flow.clone()).collect();
        let own: Vec<Sessions> = (0..branches.len()).map(|i| sessions.branch(i)).collect();
        let runs = branches
            .iter()
            .zip(&mut flows)
            .zip(&own)
            .map(|((b, f), s)| self.branch(&b.steps, f, s));
        let troubles = futures_util::future::join_all(runs).await;
        let mut results = Vec::with_capacity(branches.len());
        for (branch, f) in branches.iter().zip(flows) {
            let last = branch.steps.last().and_then(|s| s.id.as_ref());
            let document = last
                .and_then(|id| f.scope.step(id))
                .map(|d| Json::Object(d.fields.clone()));
            results.push(document.unwrap_or(Json::Null));
            flow.scope.merge(f.scope);
        }
        let mut document = Document::default().with("branches", results);
        document.took(begun.elapsed());
        let mismatches = troubles
            .into_iter()
            .enumerate()
            .filter_map(|(i, t)| t.map(|t| (i, t)))
            .map(|(i, t)| Mismatch {
                expectation: format!("branch {i} passes"),
                kind: "parallel".into(),
                place: None,
                expected: "that it passes".into(),
                actual: t.reason,
                path: Some(format!("branches[{i}]")),
                hint: None,
            })
            .collect();
        Ok(Done {
            document,
            mismatches,
        })
    }
}

/// What a snapshot is called that has no name of its own: the step's id, or its name.
fn name_of<'s>(step: &'s Step, plan: &Plan<'s>) -> Option<&'s str> {
    let own = |s: &'s Step| {
        s.id.as_ref()
            .map(|i| i.value.as_str())
            .or(s.name.as_deref())
    };
    own(step).or_else(|| own(plan.acting))
}

/// An `eventually` that did not come.
fn late(mut end: StepEnd, e: Eventually, took: Duration) -> StepEnd {
    let text = format!(
        "it did not hold within {} ({} attempts)",
        humantime::format_duration(e.within),
        end.attempts
    );
    if let Some(error) = &mut end.error {
        *error = format!("{text}; the last attempt: {error}");
    }
    for m in &mut end.mismatches {
        m.hint = Some(match m.hint.take() {
            Some(h) => format!("{h}; {text}"),
            None => text.clone(),
        });
    }
    end.took = took;
    end
}
