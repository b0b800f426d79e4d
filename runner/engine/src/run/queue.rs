//! Groups of cases that wait for their turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use prodmirror_model::event::{CaseId, Outcome};

use super::dispatcher::Case;
use super::group::Group;

/// What a worker does next.
pub(super) enum Next {
    /// Play this group.
    Group(Box<Group>),
    /// All that is left waits for what runs.
    Wait,
    /// Nothing is left.
    Nothing,
}

/// Groups that were not begun, and what they wait for.
pub(super) struct Queue {
    waiting: VecDeque<Group>,
    running: usize,
    /// Locks that running groups hold.
    held: BTreeSet<String>,
    /// How cases ended.
    ends: BTreeMap<CaseId, Outcome>,
}

impl Queue {
    pub fn new(groups: Vec<Group>) -> Self {
        Self {
            waiting: groups.into(),
            running: 0,
            held: BTreeSet::new(),
            ends: BTreeMap::new(),
        }
    }

    /// The first group that waits for nothing; its locks are held from now on.
    pub fn next(&mut self) -> Next {
        if self.waiting.is_empty() {
            return Next::Nothing;
        }
        let ready = self.waiting.iter().position(|g| self.is_ready(g));
        // Nobody runs whose end could change it: needs that are not part of the run.
        let at = match ready {
            Some(at) => at,
            None if self.running == 0 => 0,
            None => return Next::Wait,
        };
        let Some(group) = self.waiting.remove(at) else {
            return Next::Nothing;
        };
        self.running += 1;
        self.held.extend(group.locks());
        Next::Group(Box::new(group))
    }

    fn is_ready(&self, group: &Group) -> bool {
        let free = group.locks().iter().all(|l| !self.held.contains(l));
        let inside: BTreeSet<CaseId> = group.cases.iter().map(Case::id).collect();
        free && group
            .cases
            .iter()
            .flat_map(Case::needs)
            .all(|n| self.ends.contains_key(&n) || inside.contains(&n))
    }

    /// Remembers how a case ended.
    pub fn settle(&mut self, case: CaseId, outcome: Outcome) {
        self.ends.insert(case, outcome);
    }

    /// What a case needs and what did not pass; `later` are cases that are still to come.
    pub fn unmet(&self, case: &Case, later: &[CaseId]) -> Option<CaseId> {
        case.needs()
            .find(|n| !later.contains(n) && self.ends.get(n).is_none_or(|o| *o != Outcome::Passed))
    }

    /// A group ended; cases of it that nobody heard of count as not passed.
    pub fn ended(&mut self, locks: &[String], cases: &[CaseId]) {
        self.running = self.running.saturating_sub(1);
        for lock in locks {
            self.held.remove(lock);
        }
        for case in cases {
            self.ends.entry(case.clone()).or_insert(Outcome::Errored);
        }
    }
}
