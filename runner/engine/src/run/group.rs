//! Which cases share a stack.

use std::collections::{BTreeMap, BTreeSet};

use prodmirror_model::flags::{OverrideKey, key_of};
use prodmirror_model::scenario::Isolation;

use super::dispatcher::{Case, Need};

/// Cases that share a stack.
pub(super) struct Group {
    pub need: Need,
    pub cases: Vec<Case>,
}

impl Group {
    /// The locks that its cases hold.
    pub fn locks(&self) -> Vec<String> {
        let locks = self.cases.iter().flat_map(|c| &c.program.scenario.locks);
        let all: BTreeSet<&String> = locks.collect();
        all.into_iter().cloned().collect()
    }
}

/// What cases have in common that share a stack: their file (or none), the data and the flags
/// that it starts with, and the repetition.
type Key = (Option<String>, String, OverrideKey, u32);

/// Groups of cases by the stack that they share, in the order of their first case.
pub(super) fn group(cases: Vec<Case>) -> Vec<Group> {
    let cases = in_order(cases);
    let mut groups: Vec<Group> = Vec::new();
    let mut open: BTreeMap<Key, usize> = BTreeMap::new();
    for case in cases {
        let scenario = &case.program.scenario;
        let data: BTreeMap<String, String> = scenario
            .data
            .iter()
            .map(|(k, v)| (k.clone(), v.value.clone()))
            .collect();
        // A repetition starts from where the first one did.
        let turn = case.options.repetition.map_or(0, |(i, _)| i);
        let flags = key_of(&scenario.flags);
        let file = match scenario.isolation {
            Isolation::Scenario => None,
            Isolation::File => Some(Some(scenario.file.name.clone())),
            Isolation::Shared => Some(None),
        };
        let key = file.map(|file| (file, format!("{data:?}"), flags.clone(), turn));
        let at = key.as_ref().and_then(|k| open.get(k).copied());
        match at {
            Some(i) => {
                groups[i].need.cases.push(case.id());
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
                        cases: vec![case.id()],
                        data,
                        flags,
                    },
                    cases: vec![case],
                });
            }
        }
    }
    groups
}

/// The same cases, each behind those that it needs.
fn in_order(cases: Vec<Case>) -> Vec<Case> {
    if cases.iter().all(|c| c.program.needs().is_empty()) {
        return cases;
    }
    let mut ordered: Vec<Case> = Vec::with_capacity(cases.len());
    let mut rest = cases;
    loop {
        // Which of the rest wait for another one of the rest.
        let waiting: Vec<bool> = rest
            .iter()
            .map(|c| c.needs().any(|n| rest.iter().any(|r| r.id() == n)))
            .collect();
        if waiting.iter().all(|w| *w) {
            // Circles were refused when the files were read.
            ordered.append(&mut rest);
            return ordered;
        }
        let (later, now): (Vec<(Case, bool)>, Vec<_>) =
            rest.into_iter().zip(waiting).partition(|(_, w)| *w);
        ordered.extend(now.into_iter().map(|(c, _)| c));
        rest = later.into_iter().map(|(c, _)| c).collect();
    }
}
