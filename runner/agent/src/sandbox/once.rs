//! Reports of a kind, each different one once, up to a bound.

use std::collections::HashMap;
use std::hash::Hash;

use prodmirror_agent::wire::{Event, LogKind};

use crate::output::emit;

/// How many different reports of a kind are given.
const MOST: usize = 1000;

/// Counts reports by key.
#[derive(Debug)]
pub struct Once<K> {
    kind: LogKind,
    seen: HashMap<K, Count>,
    overflowed: bool,
}

#[derive(Debug, Default)]
struct Count {
    total: u64,
    reported: u64,
}

impl<K: Eq + Hash + Clone> Once<K> {
    /// Nothing reported yet.
    pub fn new(kind: LogKind) -> Self {
        Self {
            kind,
            seen: HashMap::new(),
            overflowed: false,
        }
    }

    /// Counts one; true when it is the first of its key and should be reported.
    pub fn is_new(&mut self, key: &K) -> bool {
        if let Some(count) = self.seen.get_mut(key) {
            count.total += 1;
            return false;
        }
        if self.seen.len() >= MOST {
            if !std::mem::replace(&mut self.overflowed, true) {
                emit(&Event::Overflow { of: self.kind });
            }
            return false;
        }
        self.seen.insert(
            key.clone(),
            Count {
                total: 1,
                reported: 1,
            },
        );
        true
    }

    /// The keys counted since they were last reported, with their totals so far.
    pub fn grown(&mut self) -> Vec<(K, u64)> {
        let grown = self
            .seen
            .iter_mut()
            .filter(|(_, count)| count.total > count.reported);
        grown
            .map(|(key, count)| {
                count.reported = count.total;
                (key.clone(), count.total)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_reported_once_and_counted() {
        let mut once = Once::new(LogKind::Dns);
        assert!(once.is_new(&"a"));
        assert!(!once.is_new(&"a"));
        assert!(once.is_new(&"b"));
        assert_eq!(once.grown(), [("a", 2)]);
        assert!(once.grown().is_empty());
    }

    #[test]
    fn there_is_a_bound() {
        let mut once = Once::new(LogKind::Dns);
        let new = (0..2 * MOST).filter(|key| once.is_new(key)).count();
        assert_eq!(new, MOST);
    }
}
