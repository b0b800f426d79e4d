//! Failures that show at times only.

use super::world::{Make, World};
use super::*;

/// What a world of a rate says: who fails does so at times.
fn at_times(world: &World, config: &[usize], rate: f64, rng: &mut StdRng) -> Verdict {
    let verdict = world.judge(config);
    let shows = rng.random_bool(rate);
    if verdict == Verdict::Same && !shows {
        return Verdict::Pass;
    }
    verdict
}

fn options(repeats: Repeats) -> Options {
    Options {
        ends: 20,
        limit: 100_000,
        repeats,
        ..Options::default()
    }
}

/// How likely `wrong` or more of `of` are wrong, each by a chance of `risk`.
fn tail(wrong: usize, of: usize, risk: f64) -> f64 {
    let mut ways = 1.0_f64;
    let mut below = 0.0;
    for count in 0..wrong {
        below += ways * risk.powi(count as i32) * (1.0 - risk).powi((of - count) as i32);
        ways *= (of - count) as f64 / (count + 1) as f64;
    }
    1.0 - below
}

#[test]
fn no_more_answers_are_wrong_than_the_confidence_allows() {
    const WORLDS: usize = 200;
    let first = seed();
    for rate in [0.2, 0.3, 0.5, 0.8, 1.0] {
        let (mut wrong, mut unseen, mut runs) = (0, 0, Vec::new());
        for world in 0..WORLDS {
            let mut rng = StdRng::seed_from_u64(first.wrapping_add(world as u64));
            let make = Make {
                harmless: 20,
                causes: if world % 2 == 0 { &[1] } else { &[2] },
                groups: 0,
                requires: 0,
                hidden: 0,
                other: 0,
                weights: false,
            };
            let world = World::draw(make, &mut rng);
            let answer = solve(&world.atoms, &options(Repeats::Always), |config| {
                at_times(&world, config, rate, &mut rng)
            });
            runs.push(answer.runs.asked);
            if matches!(answer.outcome, Outcome::NotFailing { .. }) {
                unseen += 1;
                continue;
            }
            assert!(answer.confidence.is_some_and(|c| c >= 0.99), "{answer:?}");
            wrong += usize::from(causes(&answer) != world.causes);
        }
        runs.sort_unstable();
        println!(
            "rate {rate}: {wrong} wrong, {unseen} never failed, median {} most {} runs",
            runs[WORLDS / 2],
            runs[WORLDS - 1]
        );
        // That many by chance: less than once in a million.
        assert!(
            wrong == 0 || tail(wrong, WORLDS, 0.01) > 1e-6,
            "{wrong} wrong"
        );
        // 0.8 to the power of 20 is 1.2 %.
        assert!(unseen == 0 || tail(unseen, WORLDS, (1.0_f64 - rate).powi(20)) > 1e-6);
    }
}

#[test]
fn one_run_decides_where_the_failure_always_shows() {
    let atoms = differences(20);
    let answer = solve(&atoms, &options(Repeats::WhenSeen), |config| {
        fails(config.contains(&7))
    });
    assert_eq!(causes(&answer), [[7]]);
    assert_eq!((answer.rate, answer.confidence), (None, None));
    // The ends, what finds it, it alone, all without it.
    assert!(answer.runs.asked <= 20 + 20 + 5 + 1 + 1);
}

#[test]
fn a_failure_that_did_not_show_once_is_repeated_for() {
    let atoms = differences(20);
    let mut run = 0;
    let answer = solve(&atoms, &options(Repeats::WhenSeen), |config| {
        run += 1;
        fails(config.contains(&7) && run % 3 != 0)
    });
    assert_eq!(causes(&answer), [[7]]);
    let rate = answer.rate.unwrap();
    assert_eq!((rate.failed, rate.runs), (14, 20));
    assert!(rate.at_least > 0.35 && rate.at_least < 0.7, "{rate:?}");
    assert!(answer.confidence.unwrap() >= 0.99);
    let baseline = answer.judged.iter().find(|j| j.atoms.is_empty()).unwrap();
    assert!(rate.missed(baseline.counts.pass) < 0.01);
}

#[test]
fn what_a_wrong_pass_leads_astray_is_found_by_the_proof() {
    let atoms = differences(16);
    let mut unlucky = true;
    let mut ends = 0;
    let options = Options {
        ends: 5,
        limit: 1000,
        repeats: Repeats::Always,
        ..Options::default()
    };
    // The first half has the cause, and passes until something else is tried.
    let answer = solve(&atoms, &options, |config| {
        ends += u32::from(config.len() == 16);
        let whole = config.len() == 16;
        unlucky &= whole || config.is_empty() || config.len() == 8;
        fails(config.contains(&15) && (whole || !unlucky))
    });
    assert_eq!(causes(&answer), [[15]]);
    assert_eq!(ends, 5);
}
