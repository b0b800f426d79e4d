//! Several configurations at once, and verdicts that were known before.

use super::world::{Make, World};
use super::*;

/// Searches with as many runs at once as asked for; they end in any order. The answer, and how
/// long it took, where each run takes as long.
fn solve_wide(world: &World, options: &Options, rng: &mut StdRng) -> (Answer, u32) {
    let mut search = Search::new(&world.atoms, options.clone()).unwrap();
    let mut running: Vec<Ask> = Vec::new();
    let mut asked: Vec<Vec<usize>> = Vec::new();
    let mut rounds = 0;
    loop {
        let (start, stop) = match search.next() {
            Step::Judge { start, stop } => (start, stop),
            Step::Done { answer, stop } => {
                assert!(running.iter().all(|ask| stop.contains(&ask.id)));
                return (*answer, rounds);
            }
        };
        running.retain(|ask| !stop.contains(&ask.id));
        for ask in start {
            assert!(!running.iter().any(|r| r.atoms == ask.atoms), "{ask:?}");
            asked.push(ask.atoms.clone());
            running.push(ask);
        }
        assert!(!running.is_empty() && running.len() <= options.width);
        rounds += 1;
        let mut batch = std::mem::take(&mut running);
        // Some are still running when the others are told.
        let late = rng.random_range(0..batch.len());
        let wait = (rng.random_bool(0.3) && batch.len() > 1).then(|| batch.swap_remove(late));
        for ask in batch {
            search.tell(ask.id, world.judge(&ask.atoms)).unwrap();
        }
        running.extend(wait);
    }
}

const MAKE: Make = Make {
    harmless: 60,
    causes: &[2],
    groups: 2,
    requires: 3,
    hidden: 2,
    other: 1,
    weights: true,
};

#[test]
fn the_answer_is_the_same_by_any_width_and_comes_sooner() {
    let first = seed();
    let mut all: Vec<(usize, u32, u32)> = Vec::new();
    for width in [1, 2, 3, 8] {
        let (mut rounds, mut runs) = (0, 0);
        for world in 0..15 {
            let mut rng = StdRng::seed_from_u64(first.wrapping_add(world));
            let world = World::draw(MAKE, &mut rng);
            let options = Options {
                width,
                limit: 2000,
                ..Options::default()
            };
            let (answer, took) = solve_wide(&world, &options, &mut rng);
            assert_eq!(causes(&answer), [world.closed(&world.causes[0])]);
            rounds += took;
            runs += answer.runs.asked;
            assert_eq!(width == 1, answer.runs.ahead == 0);
        }
        println!("width {width}: {rounds} rounds, {runs} runs");
        all.push((width, rounds, runs));
    }
    assert!(all.windows(2).all(|two| two[1].1 < two[0].1), "{all:?}");
    assert!(all[3].1 * 2 < all[0].1, "{all:?}");
}

#[test]
fn both_ends_are_asked_for_at_once() {
    let options = Options {
        width: 2,
        ..Options::default()
    };
    let mut search = Search::new(&differences(5), options).unwrap();
    let Step::Judge { start, .. } = search.next() else {
        panic!("nothing was judged");
    };
    assert_eq!([start[0].atoms.len(), start[1].atoms.len()], [5, 0]);
    assert!(start.iter().all(|a| a.purpose == Purpose::End && !a.ahead));
}

#[test]
fn what_is_not_needed_any_more_is_called_off() {
    let options = Options {
        width: 3,
        ..Options::default()
    };
    let mut search = Search::new(&differences(8), options).unwrap();
    search
        .know(&[0, 1, 2, 3, 4, 5, 6, 7], Verdict::Same)
        .unwrap();
    search.know(&[], Verdict::Pass).unwrap();
    let Step::Judge { start, .. } = search.next() else {
        panic!("nothing was judged");
    };
    assert_eq!(
        start.iter().map(|a| a.ahead).collect::<Vec<_>>(),
        [false, true, true]
    );
    search.tell(start[0].id, Verdict::Same).unwrap();
    let Step::Judge { stop, .. } = search.next() else {
        panic!("nothing is judged");
    };
    // Of the two, one was for the other verdict.
    assert_eq!(stop.len(), 1);
    // It ended before it could be called off.
    search.tell(stop[0], Verdict::Pass).unwrap();
}

#[test]
fn what_is_known_is_not_asked_again() {
    let atoms = differences(40);
    let judge = |config: &[usize]| fails(config.contains(&21));
    let answer = solve(&atoms, &Options::default(), judge);
    let mut search = Search::new(&atoms, Options::default()).unwrap();
    for judged in &answer.judged {
        search.know(&judged.atoms, judged.verdict.unwrap()).unwrap();
    }
    let Step::Done { answer: again, .. } = search.next() else {
        panic!("something was asked again");
    };
    assert_eq!((again.runs.asked, &again.outcome), (0, &answer.outcome));
}
