//! How many runs a search takes: each place of a cause, and each pair, among 40 differences.

use super::*;

fn most(weights: impl Fn(usize) -> f64, size: usize) -> u32 {
    let mut atoms = differences(40);
    for (index, atom) in atoms.atoms.iter_mut().enumerate() {
        atom.weight = weights(index);
    }
    let mut most = (0, vec![]);
    let mut runs: Vec<u32> = Vec::new();
    for a in 0..40 {
        for b in a..40 {
            let cause = if size == 1 { vec![a] } else { vec![a, b] };
            if (size == 1) != (a == b) {
                continue;
            }
            let answer = solve(&atoms, &Options::default(), |config| {
                fails(cause.iter().all(|c| config.contains(c)))
            });
            let Outcome::Found { causes, rest } = &answer.outcome else {
                panic!("{answer:?}");
            };
            assert_eq!(causes[0].atoms(), cause);
            assert_eq!((causes[0].minimal, *rest), (Minimal::Proven, Rest::Passes));
            assert!(causes[0].members.iter().all(|m| m.part == Part::Needed));
            assert_eq!((causes.len(), answer.confidence), (1, None));
            runs.push(answer.runs.asked);
            most = most.max((answer.runs.asked, cause));
        }
    }
    runs.sort_unstable();
    println!(
        "{size} of 40: median {} most {most:?}",
        runs[runs.len() / 2]
    );
    most.0
}

#[test]
fn one_of_forty_takes_at_most_ten_runs_and_with_the_worst_hints_twelve() {
    assert!(most(|_| 1.0, 1) <= 10);
    assert!(most(|index| 0.5_f64.powi(index as i32), 1) <= 12);
    assert!(most(|index| if index % 7 == 3 { 1e6 } else { 1e-6 }, 1) <= 12);
    assert!(most(|_| 0.0, 1) <= 12);
}

#[test]
fn two_together_of_forty_take_at_most_eighteen_runs_and_with_the_worst_hints_22() {
    assert!(most(|_| 1.0, 2) <= 18);
    assert!(most(|index| 0.5_f64.powi(index as i32), 2) <= 22);
}

#[test]
fn right_hints_halve_the_runs() {
    let mut atoms = differences(40);
    for likely in [5, 17, 33] {
        atoms.atoms[likely].weight = 100.0;
    }
    let runs = [5, 17, 33].map(|cause| {
        let judge = |config: &[usize]| fails(config.contains(&cause));
        solve(&atoms, &Options::default(), judge).runs.asked
    });
    // The ends, what is left, and what finds one of three.
    assert!(runs.iter().all(|r| *r <= 6), "{runs:?}");
}

#[test]
fn two_thousand_differences_take_as_many_runs_as_their_logarithm() {
    let atoms = differences(2000);
    for cause in [0, 1, 999, 1234, 1999] {
        let judge = |config: &[usize]| fails(config.contains(&cause));
        let answer = solve(&atoms, &Options::default(), judge);
        assert_eq!(causes(&answer), [[cause]]);
        assert!(answer.runs.asked <= 15, "{}", answer.runs.asked);
    }
}
