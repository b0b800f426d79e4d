//! Worlds with planted causes.

use super::*;

/// What makes a scenario fail, and what keeps it from being judged.
#[derive(Debug, Clone)]
pub struct World {
    pub atoms: Atoms,
    /// Each list of differences is a cause, when all are there.
    pub causes: Vec<Vec<usize>>,
    /// `(a, b)`: nobody says so, but with `a` and without `b` nothing can be judged.
    pub hidden: Vec<(usize, usize)>,
    /// `(a, b)`: with `a` and without `b` it fails in another way.
    pub other: Vec<(usize, usize)>,
    /// Whether the other failure comes before the one that is searched.
    pub masks: bool,
}

/// What a world is made with.
#[derive(Debug, Clone, Copy)]
pub struct Make {
    pub harmless: usize,
    /// The size of each cause.
    pub causes: &'static [usize],
    pub groups: usize,
    pub requires: usize,
    pub hidden: usize,
    pub other: usize,
    pub weights: bool,
}

impl World {
    pub fn draw(make: Make, rng: &mut StdRng) -> World {
        let count = make.harmless + make.causes.iter().sum::<usize>();
        let mut free: Vec<usize> = (0..count).collect();
        let mut take = |rng: &mut StdRng| free.swap_remove(rng.random_range(0..free.len()));
        let causes: Vec<Vec<usize>> = make
            .causes
            .iter()
            .map(|size| {
                let mut cause: Vec<usize> = (0..*size).map(|_| take(rng)).collect();
                cause.sort_unstable();
                cause
            })
            .collect();
        let mut atoms = differences(count);
        if make.weights {
            for atom in &mut atoms.atoms {
                atom.weight = rng.random_range(0.1..10.0);
            }
        }
        atoms.groups = (0..make.groups)
            .map(|_| {
                let size = rng.random_range(2..=4);
                (0..size).map(|_| rng.random_range(0..count)).collect()
            })
            .collect();
        // What is required comes later: no circles but by groups.
        let pair = |rng: &mut StdRng| {
            let a = rng.random_range(0..count - 1);
            (a, rng.random_range(a + 1..count))
        };
        atoms.requires = (0..make.requires).map(|_| pair(rng)).collect();
        World {
            atoms,
            causes,
            hidden: (0..make.hidden).map(|_| pair(rng)).collect(),
            other: (0..make.other).map(|_| pair(rng)).collect(),
            masks: rng.random_bool(0.5),
        }
    }

    pub fn judge(&self, config: &[usize]) -> Verdict {
        let broken = |pairs: &[(usize, usize)]| {
            let mut pairs = pairs.iter();
            pairs.any(|(a, b)| config.contains(a) && !config.contains(b))
        };
        assert!(!broken(&self.atoms.requires), "what is required is missing");
        let cause = |cause: &Vec<usize>| cause.iter().all(|c| config.contains(c));
        let fails = self.causes.iter().any(cause);
        if broken(&self.hidden) {
            Verdict::Unresolved
        } else if broken(&self.other) && (self.masks || !fails) {
            Verdict::Other
        } else {
            super::fails(fails)
        }
    }

    /// What a cause must come with to be judged as it fails.
    pub fn closed(&self, cause: &[usize]) -> Vec<usize> {
        let mut closed = cause.to_vec();
        let mut at = 0;
        while let Some(atom) = closed.get(at).copied() {
            at += 1;
            let masking = self.other.iter().filter(|_| self.masks);
            let pairs = self.hidden.iter().chain(masking);
            for (a, b) in pairs.chain(&self.atoms.requires) {
                if *a == atom && !closed.contains(b) {
                    closed.push(*b);
                }
            }
        }
        closed.sort_unstable();
        closed
    }
}
