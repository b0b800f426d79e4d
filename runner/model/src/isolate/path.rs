//! One walk through the search, from its beginning to the first verdict that is missing.
//!
//! The search is written as if each verdict were at hand, and is walked again whenever one came:
//! what was asked before is in the table, so the walk gets a step further. Walked with a verdict
//! that is only assumed, it tells what would be asked next.

use serde::Serialize;

use super::needs::Needs;
use super::set::Set;
use super::table::{Level, Table};
use super::verdict::Verdict;

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// It is one of the two ends.
    End,
    /// It takes a part of what is suspected.
    Narrow,
    /// It takes what was found, to see if it is enough.
    Alone,
    /// It leaves out one of what was found, to see if it is needed.
    Without,
    /// It leaves out the causes that were found, to see if there is another.
    Rest,
    /// It was known before, or was asked for ahead of time and not needed.
    Aside,
}

/// A verdict that is missing.
#[derive(Debug, Clone)]
pub(super) struct Missing {
    pub set: Set,
    pub purpose: Purpose,
    /// How many runs it takes at most.
    pub runs: u32,
    /// How sure the verdict must be.
    pub level: Level,
    /// How likely it fails as the failing environment does.
    pub likely: f64,
}

/// Why a walk ended early.
#[derive(Debug, Clone)]
pub(super) enum Stop {
    /// A verdict is missing.
    Missing(Missing),
    /// One is missing, and no more runs may be asked for.
    Limit,
}

/// A walk.
#[derive(Debug)]
pub(super) struct Path<'s> {
    pub table: &'s Table,
    /// Verdicts that are taken for given.
    assumed: &'s [(Set, Verdict)],
    /// Whether no more runs may be asked for.
    spent: bool,
    /// What was learnt on the way.
    pub needs: Needs,
    /// What was asked, in order.
    pub asked: Vec<(Set, Purpose, Verdict)>,
}

impl<'s> Path<'s> {
    pub fn new(table: &'s Table, assumed: &'s [(Set, Verdict)], spent: bool) -> Path<'s> {
        Path {
            table,
            assumed,
            spent,
            needs: Needs::new(table.failing().len()),
            asked: Vec::new(),
        }
    }

    /// The verdict of a configuration.
    ///
    /// # Errors
    /// It is missing.
    pub fn ask(
        &mut self,
        set: &Set,
        (purpose, likely): (Purpose, f64),
        level: Level,
    ) -> Result<Verdict, Stop> {
        let assumed = self.assumed.iter().find(|(s, _)| s == set);
        let known = assumed.map_or_else(|| self.table.decide(set, level), |(_, v)| Ok(*v));
        match known {
            Ok(verdict) => {
                self.note(set, purpose, verdict);
                Ok(verdict)
            }
            Err(_) if self.spent => Err(Stop::Limit),
            Err(runs) => Err(Stop::Missing(Missing {
                set: set.clone(),
                purpose,
                runs,
                level,
                likely,
            })),
        }
    }

    fn note(&mut self, set: &Set, purpose: Purpose, verdict: Verdict) {
        if self.asked.iter().any(|(s, _, _)| s == set) {
            return;
        }
        self.asked.push((set.clone(), purpose, verdict));
        self.needs.learn(set, verdict);
    }
}
