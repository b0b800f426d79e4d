//! Hundred worlds of each family: every answer is the planted one.

use super::world::{Make, World};
use super::*;

const PLAIN: Make = Make {
    harmless: 60,
    causes: &[1],
    groups: 0,
    requires: 0,
    hidden: 0,
    other: 0,
    weights: false,
};

fn family(name: &str, make: Make) {
    let first = seed();
    let (mut runs, mut proven) = (Vec::new(), 0);
    for world in 0..100 {
        let mut rng = StdRng::seed_from_u64(first.wrapping_add(world));
        let world = World::draw(make, &mut rng);
        let options = Options {
            all: true,
            limit: 1000,
            ..Options::default()
        };
        let answer = solve(&world.atoms, &options, |config| world.judge(config));
        let Outcome::Found { causes, rest } = &answer.outcome else {
            panic!("{name}: {answer:#?}\n{world:?}");
        };
        let mut found: Vec<Vec<usize>> = causes.iter().map(Cause::atoms).collect();
        let mut planted: Vec<Vec<usize>> = world.causes.iter().map(|c| world.closed(c)).collect();
        found.sort();
        planted.sort();
        assert_eq!(found, planted, "{name}: {answer:#?}\n{world:?}");
        for cause in causes {
            each_is_needed(&world, cause);
            proven += u32::from(cause.minimal == Minimal::Proven);
        }
        if make.hidden + make.other == 0 {
            assert_eq!(*rest, Rest::Passes);
            assert!(causes.iter().all(|c| c.minimal == Minimal::Proven));
        }
        runs.push(answer.runs.asked);
    }
    runs.sort_unstable();
    let causes = 100 * make.causes.len();
    println!(
        "{name}: median {} most {} runs; {proven} of {causes} proven minimal",
        runs[50], runs[99]
    );
}

/// What is said of each member is true of the world.
fn each_is_needed(world: &World, cause: &Cause) {
    let atoms = cause.atoms();
    assert_eq!(world.judge(&atoms), Verdict::Same);
    for member in &cause.members {
        let mut gone = vec![member.atom];
        let mut before = 0;
        while before != gone.len() {
            before = gone.len();
            for (a, b) in &world.atoms.requires {
                if gone.contains(b) && !gone.contains(a) {
                    gone.push(*a);
                }
            }
        }
        let left: Vec<usize> = atoms
            .iter()
            .copied()
            .filter(|a| !gone.contains(a))
            .collect();
        let verdict = world.judge(&left);
        match member.part {
            Part::Needed => assert_eq!(verdict, Verdict::Pass),
            Part::Bound => assert_ne!(verdict, Verdict::Same),
            Part::Unclear(said) => assert_eq!(verdict, said),
            Part::Unknown => panic!("the limit was not reached"),
        }
    }
}

#[test]
fn one_cause() {
    family("one cause", PLAIN);
    family(
        "one cause, hints",
        Make {
            weights: true,
            ..PLAIN
        },
    );
}

#[test]
fn two_together() {
    family(
        "two together",
        Make {
            causes: &[2],
            ..PLAIN
        },
    );
    family(
        "three together",
        Make {
            causes: &[3],
            ..PLAIN
        },
    );
}

#[test]
fn two_causes() {
    family(
        "two causes",
        Make {
            causes: &[1, 1],
            ..PLAIN
        },
    );
    family(
        "two causes of two",
        Make {
            causes: &[2, 2],
            ..PLAIN
        },
    );
}

#[test]
fn groups_and_requirements() {
    let make = Make {
        groups: 8,
        requires: 10,
        weights: true,
        ..PLAIN
    };
    family("groups, requirements", make);
    family(
        "groups, requirements, two together",
        Make {
            causes: &[2],
            ..make
        },
    );
}

#[test]
fn hidden_needs() {
    let make = Make { hidden: 5, ..PLAIN };
    family("5 hidden needs", make);
    family(
        "5 hidden needs, two together",
        Make {
            causes: &[2],
            ..make
        },
    );
    family(
        "20 hidden needs",
        Make {
            hidden: 20,
            ..PLAIN
        },
    );
}

#[test]
fn other_failures() {
    let make = Make { other: 5, ..PLAIN };
    family("5 other failures", make);
    family(
        "5 other failures, two together",
        Make {
            causes: &[2],
            ..make
        },
    );
}

#[test]
fn everything_at_once() {
    let make = Make {
        groups: 5,
        requires: 5,
        hidden: 5,
        other: 3,
        weights: true,
        ..PLAIN
    };
    family("everything", make);
    family(
        "everything, two together",
        Make {
            causes: &[2],
            ..make
        },
    );
}
