//! What a search found.

use serde::Serialize;

use super::path::Purpose;
use super::rate::Rate;
use super::verdict::{Counts, Verdict};

/// The end of a search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// What was found.
    pub outcome: Outcome,
    /// What it took.
    pub runs: Runs,
    /// How often the failing environment fails, where runs were repeated for it.
    pub rate: Option<Rate>,
    /// How sure the causes are, where runs were repeated: the probability that none of the
    /// passes which they rest on was luck, given that what fails does so at least at the rate.
    pub confidence: Option<f64>,
    /// Every configuration that was judged, in the order in which the search used them.
    pub judged: Vec<Judged>,
    /// `(a, b)`: `a` seems to need `b`, since nothing else explains what could not be judged.
    pub learnt: Vec<(usize, usize)>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Differences that make the scenario fail.
    Found {
        /// Each set is enough by itself.
        causes: Vec<Cause>,
        /// What is left of the failure without them.
        rest: Rest,
    },
    /// The environment that should pass fails in the same way.
    NotApart {
        /// How it was judged.
        baseline: Counts,
        /// How the other was judged.
        failing: Counts,
    },
    /// The environment that should fail does not.
    NotFailing {
        /// How it was judged.
        failing: Counts,
    },
    /// Nothing that can be relied on.
    Undecided {
        /// Why.
        why: Undecided,
        /// The smallest configuration that is known to fail.
        smallest: Option<Vec<usize>>,
    },
}

/// Why nothing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Undecided {
    /// The environment that should pass could not be judged, or fails in another way.
    Baseline(Verdict),
    /// The environment that should fail could not be judged.
    Failing(Verdict),
    /// The limit of runs was reached.
    Limit,
}

/// Differences that together make the scenario fail.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cause {
    /// Each of them.
    pub members: Vec<Member>,
    /// Whether fewer are not enough.
    pub minimal: Minimal,
}

impl Cause {
    /// Its differences.
    pub fn atoms(&self) -> Vec<usize> {
        self.members.iter().map(|m| m.atom).collect()
    }
}

/// One difference of a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Member {
    /// The difference.
    pub atom: usize,
    /// What it does there.
    pub part: Part,
}

/// What a difference does in a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Without it, the scenario passes.
    Needed,
    /// It comes along: another of them requires it, or its group cannot be judged in parts.
    Bound,
    /// Without it, this was the verdict: it may be a part of the cause, or only needed for the
    /// others to be tried.
    Unclear(Verdict),
    /// The limit was reached before it was left out.
    Unknown,
}

/// Whether fewer differences are not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Minimal {
    /// Without any one of them, and what cannot be without it, the scenario was seen to pass.
    Proven,
    /// Some cannot be left out for a clear verdict.
    Unclear,
    /// The limit of runs was reached before each was left out.
    Limit,
}

/// What is left of the failure without the causes that were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// The scenario passes: they are the whole story.
    Passes,
    /// It fails in the same way: there is another cause.
    Fails,
    /// It could not be judged, or fails in another way.
    Unclear(Verdict),
    /// The limit of runs was reached before.
    Limit,
}

/// What a search took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Runs {
    /// Runs that were asked for.
    pub asked: u32,
    /// Of those, the ones which were asked for ahead of time.
    pub ahead: u32,
    /// Of those that were asked for, the ones which were called off.
    pub stopped: u32,
    /// Verdicts that were known before.
    pub known: u32,
}

/// A configuration that was judged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// Its differences.
    pub atoms: Vec<usize>,
    /// What it was asked for.
    pub purpose: Purpose,
    /// Its verdict, if the runs are enough for one.
    pub verdict: Option<Verdict>,
    /// The runs that it rests on.
    pub counts: Counts,
}
