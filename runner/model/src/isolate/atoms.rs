//! What is searched: the differences between two environments, and what is known about them.

use thiserror::Error;

/// The differences between two environments.
#[derive(Debug, Clone, Default)]
pub struct Atoms {
    /// Each difference.
    pub atoms: Vec<Atom>,
    /// Differences which only make sense together: each list moves as one until the cause is
    /// found, and is opened then. Lists that share a difference are one.
    pub groups: Vec<Vec<usize>>,
    /// `(a, b)`: to take `a` without `b` is not sensible. Differences that require each other in
    /// a circle are taken together, and never opened.
    pub requires: Vec<(usize, usize)>,
}

/// A difference between two environments.
#[derive(Debug, Clone, PartialEq)]
pub struct Atom {
    /// How people call it.
    pub label: String,
    /// How likely it is the cause, relative to the others: a hint that makes the search shorter
    /// where it is right, and longer by two runs for each cause where it is wrong.
    pub weight: f64,
}

impl Atoms {
    /// Differences of which none is likelier than another.
    pub fn new<L: Into<String>>(labels: impl IntoIterator<Item = L>) -> Atoms {
        let atom = |label: L| Atom {
            label: label.into(),
            weight: 1.0,
        };
        Atoms {
            atoms: labels.into_iter().map(atom).collect(),
            ..Atoms::default()
        }
    }

    /// What is wrong with what the caller declared.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let count = self.atoms.len();
        let grouped = self.groups.iter().flatten().copied();
        let bound = self.requires.iter().flat_map(|(a, b)| [*a, *b]);
        if let Some(index) = grouped.chain(bound).find(|i| *i >= count) {
            return Err(Invalid::Index { index, count });
        }
        let wrong = |a: &&Atom| !(a.weight.is_finite() && a.weight >= 0.0);
        match self.atoms.iter().find(wrong) {
            Some(atom) => Err(Invalid::Weight {
                label: atom.label.clone(),
                weight: atom.weight,
            }),
            None => Ok(()),
        }
    }
}

/// Why a search cannot begin, or what was said cannot be.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Invalid {
    /// A group, a requirement or a configuration names a difference that is not there.
    #[error("there is no difference {index}: there are {count}, counted from 0")]
    Index {
        /// The number that was named.
        index: usize,
        /// How many differences there are.
        count: usize,
    },
    /// A weight that is negative or no number.
    #[error("the weight of `{label}` is {weight}: it must be a number from 0 on")]
    Weight {
        /// The difference.
        label: String,
        /// What was given.
        weight: f64,
    },
    /// A confidence that cannot be reached, or is none.
    #[error("the confidence is {0}: it must be between 0 and 1, both left out")]
    Confidence(f64),
    /// A verdict of a run that was not asked for, or has been judged.
    #[error("run {0} waits for no verdict")]
    Ask(u32),
}
