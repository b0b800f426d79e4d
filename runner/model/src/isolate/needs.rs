//! What verdicts teach of differences that seem to need each other.
//!
//! The guess is that a configuration could not be judged because it has a difference without
//! another that it needs. `a` may need `b` as long as each configuration with `a` that was
//! judged had `b`, too.

use super::set::Set;
use super::verdict::Verdict;

/// Above so many steps a guess costs more than it saves.
const WORK: usize = 40_000;

/// What was learnt.
#[derive(Debug, Clone)]
pub(super) struct Needs {
    atoms: usize,
    /// Configurations that gave a clear verdict.
    clear: Vec<Set>,
    /// Configurations that did not.
    unclear: Vec<Set>,
    /// For each difference what it may need, itself included; none before something was unclear.
    may: Vec<Set>,
    /// The needs that alone explain an unclear verdict.
    certain: Vec<(usize, usize)>,
}

impl Needs {
    pub fn new(atoms: usize) -> Needs {
        Needs {
            atoms,
            clear: Vec::new(),
            unclear: Vec::new(),
            may: Vec::new(),
            certain: Vec::new(),
        }
    }

    /// Learns from the verdict of a configuration.
    pub fn learn(&mut self, set: &Set, verdict: Verdict) {
        if verdict.is_clear() {
            self.clear.push(set.clone());
            if !self.may.is_empty() {
                self.narrow(set);
                self.conclude();
            }
            return;
        }
        self.unclear.push(set.clone());
        if self.may.is_empty() {
            self.may = vec![Set::full(self.atoms); self.atoms];
            for set in std::mem::take(&mut self.clear) {
                self.narrow(&set);
            }
        }
        self.conclude();
    }

    fn narrow(&mut self, set: &Set) {
        for atom in set.iter() {
            self.may[atom] = self.may[atom].and(set);
        }
    }

    fn conclude(&mut self) {
        let mut certain = Vec::new();
        for set in &self.unclear {
            certain.extend(self.only(set));
        }
        certain.sort_unstable();
        certain.dedup();
        self.certain = certain;
    }

    /// The one need that explains an unclear verdict, if there is one only.
    fn only(&self, unclear: &Set) -> Option<(usize, usize)> {
        let mut only = None;
        for a in unclear.iter() {
            match (self.may[a].count_minus(unclear, unclear).0, only) {
                (0, _) => {}
                (1, None) => only = self.may[a].minus(unclear).iter().next().map(|b| (a, b)),
                _ => return None,
            }
        }
        only
    }

    /// Whether anything was unclear.
    pub fn taught(&self) -> bool {
        !self.unclear.is_empty()
    }

    /// `(a, b)`: nothing else explains what was unclear than that `a` needs `b`.
    pub fn certain(&self) -> &[(usize, usize)] {
        &self.certain
    }

    /// Whether two differences may need each other.
    pub fn mutual(&self, a: usize, b: usize) -> bool {
        let may = |a: usize, b: usize| self.may.get(a).is_some_and(|m| m.has(b));
        may(a, b) && may(b, a)
    }

    /// Adds what is needed for certain, as far as it is there to be had.
    pub fn close(&self, set: &Set, within: &Set) -> Set {
        let mut closed = set.clone();
        let mut before = 0;
        while before != closed.len() {
            before = closed.len();
            for (a, b) in &self.certain {
                if closed.has(*a) && within.has(*b) {
                    closed.insert(*b);
                }
            }
        }
        closed
    }

    /// How likely a configuration gives a clear verdict.
    pub fn chance(&self, set: &Set) -> f64 {
        if self.unclear.len() * self.atoms > WORK {
            return 1.0;
        }
        let mut chance = 1.0;
        for seen in &self.unclear {
            let (mut pairs, mut broken) = (0_usize, 0_usize);
            for a in seen.iter() {
                let (may, missing) = self.may[a].count_minus(seen, set);
                pairs += may;
                if set.has(a) {
                    broken += missing;
                }
            }
            if pairs > 0 {
                chance *= 1.0 - broken as f64 / pairs as f64;
            }
        }
        chance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_explanation_is_a_need_and_two_are_not() {
        let set = |members: &[usize]| Set::of(4, members.iter().copied());
        let mut needs = Needs::new(4);
        needs.learn(&Set::full(4), Verdict::Same);
        needs.learn(&set(&[0, 1]), Verdict::Unresolved);
        assert_eq!(needs.certain(), []);
        // 1 does without 2 and 3, and 0 without 3: it is 0 that needs 2.
        needs.learn(&set(&[1]), Verdict::Pass);
        assert_eq!(needs.certain(), []);
        needs.learn(&set(&[0, 2]), Verdict::Pass);
        assert_eq!(needs.certain(), [(0, 2)]);
        assert_eq!(needs.close(&set(&[0]), &Set::full(4)).list(), [0, 2]);
        assert!(needs.chance(&set(&[0, 3])) < 1e-9);
        assert!(needs.chance(&set(&[3])) > 0.99);
    }
}
