//! The search against worlds whose causes are known.

mod bounds;
mod flaky;
mod hostile;
mod planted;
mod wide;
mod world;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use fake::rand::rngs::StdRng;
use fake::rand::{RngExt as _, SeedableRng as _};

use super::*;

/// A seed that is new for each run of the tests, or the one that failed.
fn seed() -> u64 {
    let drawn = std::env::var("ISOLATE_SEED").ok();
    let seed = drawn
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| RandomState::new().hash_one(0));
    println!("see it again with ISOLATE_SEED={seed}");
    seed
}

fn differences(count: usize) -> Atoms {
    Atoms::new((0..count).map(|i| format!("difference {i}")))
}

/// Searches, one run after another; nothing may be asked twice.
fn solve(atoms: &Atoms, options: &Options, mut judge: impl FnMut(&[usize]) -> Verdict) -> Answer {
    let mut search = Search::new(atoms, options.clone()).unwrap();
    let mut asked: HashMap<Vec<usize>, u32> = HashMap::new();
    loop {
        match search.next() {
            Step::Judge { start, stop } => {
                assert_eq!((start.len(), stop.len()), (1, 0));
                for ask in start {
                    assert!(!ask.ahead);
                    *asked.entry(ask.atoms.clone()).or_default() += 1;
                    search.tell(ask.id, judge(&ask.atoms)).unwrap();
                }
            }
            Step::Done { answer, .. } => {
                if answer.rate.is_none() && options.ends == 1 {
                    assert!(asked.values().all(|times| *times == 1), "{asked:?}");
                }
                assert_eq!(answer.runs.asked, asked.values().sum::<u32>());
                return *answer;
            }
        }
    }
}

/// The causes, when some were found.
fn causes(answer: &Answer) -> Vec<Vec<usize>> {
    match &answer.outcome {
        Outcome::Found { causes, .. } => causes.iter().map(Cause::atoms).collect(),
        other => panic!("{other:?}"),
    }
}

fn fails(of: bool) -> Verdict {
    if of { Verdict::Same } else { Verdict::Pass }
}
