//! Worlds in which there is nothing to find, and callers that err.

use super::*;

fn undecided(answer: &Answer) -> (Undecided, Option<Vec<usize>>) {
    match &answer.outcome {
        Outcome::Undecided { why, smallest } => (*why, smallest.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn ends_that_are_not_apart_are_refused_with_their_counts() {
    let options = Options {
        ends: 3,
        ..Options::default()
    };
    let mut runs = 0;
    let answer = solve(&differences(9), &options, |config| {
        runs += 1;
        fails(!config.is_empty() || runs == 5)
    });
    let Outcome::NotApart { baseline, failing } = answer.outcome else {
        panic!("{answer:?}");
    };
    assert_eq!((failing.same, baseline.pass, baseline.same), (3, 1, 1));
}

#[test]
fn what_does_not_fail_is_not_searched() {
    let answer = solve(&differences(9), &Options::default(), |_| Verdict::Pass);
    let Outcome::NotFailing { failing } = answer.outcome else {
        panic!("{answer:?}");
    };
    assert_eq!((failing.pass, answer.runs.asked), (1, 1));
}

#[test]
fn ends_that_cannot_be_judged_end_the_search() {
    let answer = solve(&differences(9), &Options::default(), |_| {
        Verdict::Unresolved
    });
    assert_eq!(
        undecided(&answer),
        (Undecided::Failing(Verdict::Unresolved), None)
    );
    let answer = solve(&differences(2), &Options::default(), |config| {
        if config.is_empty() {
            Verdict::Other
        } else {
            Verdict::Same
        }
    });
    assert_eq!(
        undecided(&answer),
        (Undecided::Baseline(Verdict::Other), Some(vec![0, 1]))
    );
}

#[test]
fn no_difference_and_one() {
    let answer = solve(&differences(0), &Options::default(), |_| Verdict::Same);
    assert!(matches!(answer.outcome, Outcome::NotApart { .. }));
    let answer = solve(&differences(0), &Options::default(), |_| Verdict::Pass);
    assert!(matches!(answer.outcome, Outcome::NotFailing { .. }));
    let answer = solve(&differences(1), &Options::default(), |c| {
        fails(!c.is_empty())
    });
    assert_eq!((causes(&answer), answer.runs.asked), (vec![vec![0]], 2));
}

#[test]
fn nothing_but_the_ends_can_be_judged() {
    for count in [2, 3, 60, 2000] {
        let answer = solve(&differences(count), &Options::default(), |config| {
            if config.is_empty() || config.len() == count {
                return fails(!config.is_empty());
            }
            Verdict::Unresolved
        });
        if count > 3 {
            let all: Vec<usize> = (0..count).collect();
            assert_eq!(undecided(&answer), (Undecided::Limit, Some(all)));
            assert_eq!(answer.runs.asked, 100);
            continue;
        }
        let Outcome::Found { causes, .. } = &answer.outcome else {
            panic!("{answer:?}");
        };
        assert_eq!(
            (causes[0].atoms().len(), causes[0].minimal),
            (count, Minimal::Unclear)
        );
    }
}

#[test]
fn random_verdicts_never_break_the_search() {
    let first = seed();
    for world in 0..200 {
        let mut rng = StdRng::seed_from_u64(first.wrapping_add(world));
        let count = rng.random_range(0..12);
        let mut atoms = differences(count);
        if count > 0 {
            let mut any = || rng.random_range(0..count);
            atoms.groups = vec![vec![any(), any()], vec![any(), any(), any()], vec![]];
            atoms.requires = (0..4).map(|_| (any(), any())).collect();
        }
        let options = Options {
            limit: 80,
            ends: rng.random_range(0..3),
            all: true,
            ..Options::default()
        };
        let answer = solve(&atoms, &options, |config| {
            let verdicts = [
                Verdict::Pass,
                Verdict::Same,
                Verdict::Other,
                Verdict::Unresolved,
            ];
            match config.len() {
                all if all == count && count > 0 => Verdict::Same,
                0 => Verdict::Pass,
                _ => verdicts[rng.random_range(0..4)],
            }
        });
        assert!(answer.runs.asked <= 80);
        // Whatever is said to be a cause was seen to fail.
        if let Outcome::Found { causes, .. } = &answer.outcome {
            for cause in causes {
                let seen = answer
                    .judged
                    .iter()
                    .find(|j| j.atoms == cause.atoms())
                    .unwrap();
                assert!(seen.counts.same > 0);
            }
        }
    }
}

#[test]
fn a_limit_in_the_middle_leaves_what_is_known() {
    let atoms = differences(40);
    for limit in 0..20 {
        let options = Options {
            limit,
            ..Options::default()
        };
        let judge = |config: &[usize]| fails(config.contains(&11) && config.contains(&30));
        let answer = solve(&atoms, &options, judge);
        assert!(answer.runs.asked <= limit);
        match &answer.outcome {
            Outcome::Undecided { why, smallest } => {
                assert_eq!((*why, smallest.is_some()), (Undecided::Limit, limit > 0));
                assert!(smallest.as_ref().is_none_or(|s| judge(s) == Verdict::Same));
            }
            Outcome::Found { causes, rest } => {
                assert_eq!(causes[0].atoms(), [11, 30]);
                let proven = causes[0].minimal == Minimal::Proven;
                assert!(proven || (causes[0].minimal == Minimal::Limit && *rest == Rest::Limit));
                assert!(limit < 18 || (proven && *rest == Rest::Passes));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn circles_of_requirements_are_taken_as_one() {
    let mut atoms = differences(30);
    atoms.requires = vec![(3, 4), (4, 5), (5, 3), (9, 3)];
    let answer = solve(&atoms, &Options::default(), |config| {
        let circle = [3, 4, 5].map(|a| config.contains(&a));
        assert!(circle == [true; 3] || circle == [false; 3]);
        fails(config.contains(&9))
    });
    assert_eq!(causes(&answer), [[3, 4, 5, 9]]);
    let Outcome::Found { causes, .. } = &answer.outcome else {
        panic!("{answer:?}");
    };
    let parts: Vec<Part> = causes[0].members.iter().map(|m| m.part).collect();
    assert_eq!(parts, [Part::Bound, Part::Bound, Part::Bound, Part::Needed]);
    assert_eq!(causes[0].minimal, Minimal::Proven);
}

#[test]
fn a_group_is_opened_where_its_parts_can_be_judged() {
    let mut atoms = differences(20);
    atoms.groups = vec![vec![2, 3], vec![3, 17]];
    let whole = |config: &[usize]| {
        let there = [2, 3, 17].iter().filter(|a| config.contains(a)).count();
        there == 0 || there == 3
    };
    let answer = solve(&atoms, &Options::default(), |c| fails(c.contains(&3)));
    assert_eq!(causes(&answer), [[3]]);
    let answer = solve(&atoms, &Options::default(), |config| {
        if whole(config) {
            fails(config.contains(&3))
        } else {
            Verdict::Unresolved
        }
    });
    let Outcome::Found { causes, .. } = &answer.outcome else {
        panic!("{answer:?}");
    };
    assert_eq!(
        (causes[0].atoms(), causes[0].minimal),
        (vec![2, 3, 17], Minimal::Proven)
    );
    assert!(causes[0].members.iter().all(|m| m.part == Part::Bound));
}

#[test]
fn what_two_need_of_each_other_is_learnt_and_used() {
    let atoms = differences(30);
    let mut broken = 0;
    let answer = solve(&atoms, &Options::default(), |config| {
        if config.contains(&28) && !config.contains(&2) {
            broken += 1;
            return Verdict::Unresolved;
        }
        fails(config.contains(&28))
    });
    assert_eq!(causes(&answer), [[2, 28]]);
    assert_eq!(answer.learnt, [(28, 2)]);
    println!("{broken} of {} could not be judged", answer.runs.asked);
    assert!(broken <= 5, "{broken}");
}

#[test]
fn callers_that_err_are_told() {
    let mut atoms = differences(3);
    let options = Options::default;
    atoms.groups = vec![vec![0, 3]];
    let wrong = Search::new(&atoms, options()).unwrap_err();
    assert_eq!(wrong, Invalid::Index { index: 3, count: 3 });
    atoms.groups.clear();
    atoms.atoms[1].weight = f64::NAN;
    let wrong = Search::new(&atoms, options()).unwrap_err();
    assert!(
        wrong
            .to_string()
            .starts_with("the weight of `difference 1` is NaN")
    );
    atoms.atoms[1].weight = f64::MAX;
    for confidence in [0.0, 1.0, f64::NAN] {
        let options = Options {
            confidence,
            ..options()
        };
        assert!(matches!(
            Search::new(&atoms, options),
            Err(Invalid::Confidence(_))
        ));
    }
    let mut search = Search::new(&atoms, options()).unwrap();
    assert_eq!(
        search.know(&[7], Verdict::Pass),
        Err(Invalid::Index { index: 7, count: 3 })
    );
    assert_eq!(search.tell(0, Verdict::Pass), Err(Invalid::Ask(0)));
    let Step::Judge { start, .. } = search.next() else {
        panic!("nothing was judged");
    };
    assert_eq!(search.tell(start[0].id, Verdict::Same), Ok(()));
    assert_eq!(
        search.tell(start[0].id, Verdict::Same),
        Err(Invalid::Ask(0))
    );
}
