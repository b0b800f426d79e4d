//! How a case failed, so that two failures can be told to be the same or not.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::normal;
use crate::event::Outcome;
use crate::summary::{Case, Status, Step};

/// How a case ended, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    /// How the case ended; absent when it never did.
    pub outcome: Option<Outcome>,
    /// Its first step that did not pass; absent when none was begun, as when the stack did not
    /// start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<FailedStep>,
    /// One line that says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A step that did not pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedStep {
    /// Its position: `steps[2]`.
    pub position: String,
    /// Its `id`, or a title made from its kind and target.
    pub title: String,
    /// Its kind: `http`, `sql`…
    pub kind: String,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The expectations that did not hold, as they are written.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub expectations: BTreeSet<String>,
    /// Why it could not be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What one failure is to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Likeness {
    /// The same.
    Same,
    /// It passed.
    Passed,
    /// Another failure: what differs, in words.
    Other(String),
    /// The case was not judged: why.
    NotJudged(String),
}

impl Signature {
    /// How a case ended.
    pub fn of(case: &Case) -> Self {
        let outcome = match case.status {
            Status::Ended(outcome) => Some(outcome),
            Status::NotRun | Status::Running => None,
        };
        let bad = |s: &&Step| !matches!(s.outcome, Some(Outcome::Passed | Outcome::Skipped));
        let step = match outcome {
            Some(Outcome::Passed | Outcome::Skipped) => None,
            _ => case.steps.iter().find(bad).map(FailedStep::of),
        };
        Self {
            outcome,
            step,
            reason: case.reason.clone(),
        }
    }

    /// Whether it says that the case did not pass.
    pub fn is_failure(&self) -> bool {
        !matches!(self.outcome, Some(Outcome::Passed | Outcome::Skipped))
    }

    /// What another end of the same case is to this one: the same step, the same expectations,
    /// the same class of error make it the same.
    pub fn like(&self, now: &Self) -> Likeness {
        match now.outcome {
            Some(Outcome::Passed) => return Likeness::Passed,
            Some(Outcome::Skipped) | None => {
                let why = now
                    .reason
                    .clone()
                    .unwrap_or_else(|| "it was not run".to_owned());
                return Likeness::NotJudged(why);
            }
            Some(_) => {}
        }
        match (&self.step, &now.step) {
            (Some(a), Some(b)) => a.difference(b),
            (None, None) if self.class() == now.class() => None,
            // A stack that does not start judges nothing, unless that is the failure itself.
            (_, None) => {
                let why = now
                    .reason
                    .clone()
                    .unwrap_or_else(|| "no step was done".to_owned());
                return Likeness::NotJudged(why);
            }
            (None, Some(b)) => Some(format!("the first step that does not pass is {}", b.title)),
        }
        .map_or(Likeness::Same, Likeness::Other)
    }

    fn class(&self) -> (Option<Outcome>, Option<String>) {
        (self.outcome, self.reason.as_deref().map(normal::class))
    }

    /// The failure in a line, for people.
    pub fn text(&self) -> String {
        match (&self.step, &self.reason) {
            (Some(step), _) => step.text(),
            (None, Some(reason)) => normal::one_line(reason, 200),
            (None, None) => "it did not pass".to_owned(),
        }
    }
}

impl FailedStep {
    fn of(step: &Step) -> Self {
        Self {
            position: step.position.clone(),
            title: step.title.clone(),
            kind: step.kind.clone(),
            outcome: step.outcome,
            expectations: step
                .mismatches
                .iter()
                .map(|m| m.expectation.clone())
                .collect(),
            error: step.error.clone(),
        }
    }

    /// What differs in another step that did not pass, in words.
    fn difference(&self, now: &Self) -> Option<String> {
        if (&self.position, &self.kind) != (&now.position, &now.kind) {
            return Some(format!(
                "{} {} does not pass, and it was {} {}",
                now.position, now.title, self.position, self.title
            ));
        }
        if self.outcome != now.outcome {
            return Some(format!("{}, and it was: {}", now.text(), self.text()));
        }
        if essential(&self.expectations) != essential(&now.expectations) {
            let list = |s: &BTreeSet<String>| match s.is_empty() {
                true => "none".to_owned(),
                false => s.iter().cloned().collect::<Vec<_>>().join("`, `"),
            };
            return Some(format!(
                "{} {}: what does not hold is `{}`, and it was `{}`",
                now.position,
                now.title,
                list(&now.expectations),
                list(&self.expectations)
            ));
        }
        let class = |e: &Option<String>| e.as_deref().map(normal::class);
        if class(&self.error) != class(&now.error) {
            return Some(format!("{}, and it was: {}", now.text(), self.text()));
        }
        None
    }

    fn text(&self) -> String {
        let what = match (self.outcome, &self.error) {
            (_, Some(error)) => normal::one_line(error, 200),
            (Some(Outcome::TimedOut), None) => "it took too long".to_owned(),
            (None, None) => "it was cut off".to_owned(),
            _ => {
                let all: Vec<&str> = self.expectations.iter().map(String::as_str).collect();
                normal::one_line(&all.join("; "), 200)
            }
        };
        format!(
            "{} {}: {what}",
            self.position,
            normal::one_line(&self.title, 80)
        )
    }
}

/// The expectations that tell one failure from another. How long something took is another
/// machine's business: it only counts where nothing else was missed.
fn essential(expectations: &BTreeSet<String>) -> BTreeSet<&str> {
    let all = || expectations.iter().map(String::as_str);
    let of_time = |e: &&str| {
        e.split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|word| word == "duration")
    };
    let others: BTreeSet<&str> = all().filter(|e| !of_time(e)).collect();
    if others.is_empty() {
        all().collect()
    } else {
        others
    }
}
