//! What was judged, and when it is enough for a verdict.

use std::collections::HashMap;

use super::options::{Options, Repeats};
use super::rate::Rate;
use super::set::Set;
use super::verdict::{Counts, Verdict};

/// How likely a configuration that fails may be taken for one that passes while the search is
/// under way. It may be coarse: what it leads astray, the proof finds.
const SEARCH_RISK: f64 = 0.05;

/// How often the failing environment should fail for its rate to be known, and how many times
/// the runs that were asked for it are spent on that.
const FAILURES: u32 = 5;
const STRETCH: u32 = 10;

/// How sure a verdict must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// As it is enough to go on.
    Search,
    /// As the answer needs it, which rests on so many of the kind.
    Proof(usize),
}

/// All that was seen, by configuration.
#[derive(Debug)]
pub(super) struct Table {
    seen: HashMap<Set, Counts>,
    baseline: Set,
    failing: Set,
    ends: u32,
    repeats: Repeats,
    risk: f64,
    rate: Option<Rate>,
}

impl Table {
    /// Nothing was seen yet of so many differences.
    pub fn new(atoms: usize, options: &Options) -> Table {
        Table {
            seen: HashMap::new(),
            baseline: Set::empty(atoms),
            failing: Set::full(atoms),
            ends: options.ends.max(1),
            repeats: options.repeats,
            risk: (1.0 - options.confidence) / 2.0,
            rate: None,
        }
    }

    /// One more run of a configuration.
    pub fn add(&mut self, set: &Set, verdict: Verdict) {
        let counts = self.seen.entry(set.clone()).or_default();
        counts.add(verdict);
        if *set == self.failing {
            let counts = *counts;
            let unsure = counts.same < counts.all() || self.repeats == Repeats::Always;
            self.rate = (unsure && counts.same > 0 && counts.all() >= self.ends)
                .then(|| Rate::of(counts.same, counts.all(), self.risk));
        }
    }

    /// What was seen of a configuration.
    pub fn counts(&self, set: &Set) -> Counts {
        self.seen.get(set).copied().unwrap_or_default()
    }

    /// All configurations that were seen.
    pub fn seen(&self) -> impl Iterator<Item = (&Set, &Counts)> {
        self.seen.iter()
    }

    /// The environment that passes.
    pub fn baseline(&self) -> &Set {
        &self.baseline
    }

    /// The environment that fails.
    pub fn failing(&self) -> &Set {
        &self.failing
    }

    /// How often the failing environment fails, when a single run of a configuration does not
    /// tell.
    pub fn rate(&self) -> Option<Rate> {
        self.rate
    }

    /// The probability that the rate is below what it is taken for.
    pub fn risk(&self) -> f64 {
        self.risk
    }

    /// How many more runs of the failing environment are worth it: as many as were asked for,
    /// and, where it does not fail each time, until it failed often enough for its rate to be
    /// known. (The bound of the rate holds for runs that are stopped so, too.)
    fn end_lacks(&self, counts: Counts) -> u32 {
        let most = self.ends.saturating_mul(STRETCH);
        let few = counts.same > 0 && counts.same < counts.all().min(FAILURES);
        match self.ends.saturating_sub(counts.all()) {
            0 if few && counts.all() < most => FAILURES - counts.same,
            lacks => lacks,
        }
    }

    /// The verdict of a configuration, or how many more runs it takes at most.
    pub fn decide(&self, set: &Set, level: Level) -> Result<Verdict, u32> {
        let counts = self.counts(set);
        let is_failing = *set == self.failing;
        if counts.same > 0 && !is_failing {
            return Ok(Verdict::Same);
        }
        let lacks = match set {
            _ if is_failing => self.end_lacks(counts),
            _ if *set == self.baseline => self.ends.saturating_sub(counts.all()),
            _ => 0,
        };
        if lacks > 0 {
            return Err(lacks);
        }
        match self.rate() {
            Some(rate) if !is_failing => repeated(counts, rate.passes(self.risk_of(level))),
            _ => once(counts),
        }
    }

    fn risk_of(&self, level: Level) -> f64 {
        match level {
            Level::Search => SEARCH_RISK.max(self.risk),
            Level::Proof(of) => self.risk / of.max(1) as f64,
        }
    }
}

/// What a failure that always shows is judged by.
fn once(counts: Counts) -> Result<Verdict, u32> {
    match counts {
        Counts { same: 1.., .. } => Ok(Verdict::Same),
        Counts { pass: 1.., .. } => Ok(Verdict::Pass),
        Counts { other: 1.., .. } => Ok(Verdict::Other),
        Counts {
            unresolved: 1.., ..
        } => Ok(Verdict::Unresolved),
        _ => Err(1),
    }
}

/// What a failure that shows at times is judged by, when it was not seen: so many passes. What
/// could not be judged twice, and never passed, is not tried again.
fn repeated(counts: Counts, passes: u32) -> Result<Verdict, u32> {
    if counts.pass >= passes {
        return Ok(Verdict::Pass);
    }
    let unclear = counts.unclear();
    let hopeless = counts.pass == 0 && unclear >= 2;
    if hopeless || counts.all() >= passes.saturating_mul(2) {
        let other = counts.other >= counts.unresolved;
        return Ok(if other {
            Verdict::Other
        } else {
            Verdict::Unresolved
        });
    }
    if counts.pass == 0 && unclear > 0 {
        return Err(1);
    }
    Err(passes - counts.pass)
}
