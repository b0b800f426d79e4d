//! The search from its beginning to its end: the ends, the causes one after another, and what is
//! left without them.

use super::answer::{Cause, Member, Minimal, Outcome, Part, Rest, Undecided};
use super::grain::Grain;
use super::narrow::reduce;
use super::options::Options;
use super::path::{Path, Purpose, Stop};
use super::prove::{Proven, prove};
use super::set::Set;
use super::table::Level;
use super::verdict::Verdict;
use super::view::View;

/// How the two ends are judged, and what is left without a cause.
const END: Level = Level::Proof(4);

/// What is searched, and how.
#[derive(Debug)]
pub(super) struct Frame {
    /// Groups move as one.
    pub coarse: Grain,
    /// Each difference by itself, but for those that require each other in a circle.
    pub fine: Grain,
    pub options: Options,
}

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// What was found, each proven as far as it can be.
    pub causes: Vec<Cause>,
    /// A configuration that fails and is small, but not proven yet.
    pub unproven: Option<Set>,
    pub rest: Option<Rest>,
    /// Configurations whose passes the causes rest on.
    pub proofs: Vec<Set>,
}

impl Story {
    /// Walks as far as verdicts are there; the outcome, once it is known.
    pub fn walk(&mut self, path: &mut Path<'_>, frame: &Frame) -> Result<Outcome, Stop> {
        if let Some(outcome) = ends(path)? {
            return Ok(outcome);
        }
        let mut within = path.table.failing().clone();
        loop {
            let cause = self.cause(path, frame, &within)?;
            within = without(frame, &within, &cause);
            self.causes.push(cause);
            (self.unproven, self.rest) = (None, None);
            let verdict = path.ask(&within, (Purpose::Rest, 0.1), END)?;
            self.rest = Some(match verdict {
                Verdict::Pass => Rest::Passes,
                Verdict::Same => Rest::Fails,
                other => Rest::Unclear(other),
            });
            if verdict == Verdict::Pass {
                self.proofs.push(within.clone());
            }
            let more = frame.options.all && self.causes.len() < frame.options.causes;
            if verdict != Verdict::Same || !more {
                return Ok(self.found());
            }
        }
    }

    /// What was found before the walk ended early, if it is anything.
    pub fn found(&mut self) -> Outcome {
        if let Some(set) = self.unproven.take() {
            self.rest = None;
            let member = |atom| Member {
                atom,
                part: Part::Unknown,
            };
            self.causes.push(Cause {
                members: set.iter().map(member).collect(),
                minimal: Minimal::Limit,
            });
        }
        if self.causes.is_empty() {
            return Outcome::Undecided {
                why: Undecided::Limit,
                smallest: None,
            };
        }
        Outcome::Found {
            causes: std::mem::take(&mut self.causes),
            rest: self.rest.unwrap_or(Rest::Limit),
        }
    }

    /// One cause, of a configuration that fails.
    fn cause(&mut self, path: &mut Path<'_>, frame: &Frame, within: &Set) -> Result<Cause, Stop> {
        let coarse = View::new(&frame.coarse, within);
        let fine = View::new(&frame.fine, within);
        let found = reduce(path, &coarse, &frame.coarse.none(), coarse.all())?;
        self.unproven = Some(coarse.atoms(&found));
        let proven = prove(path, &coarse, &found)?;
        self.unproven = Some(coarse.atoms(&proven.units));
        let mut parts = frame.fine.units(&coarse.atoms(&proven.units));
        for group in proven.units.iter() {
            parts = open(path, &coarse, &fine, group, &parts)?;
            self.unproven = Some(fine.atoms(&parts));
        }
        loop {
            let proven = prove(path, &fine, &parts)?;
            self.unproven = Some(fine.atoms(&proven.units));
            match judge(path, &coarse, &fine, &proven)? {
                Whole::Cause(cause) => {
                    self.prove(path, &fine, &proven);
                    return Ok(cause);
                }
                Whole::Smaller(smaller) => parts = smaller,
            }
        }
    }

    /// Keeps which passes a cause rests on.
    fn prove(&mut self, path: &Path<'_>, fine: &View<'_>, proven: &Proven) {
        self.proofs.push(path.table.baseline().clone());
        for (unit, verdict) in &proven.without {
            if *verdict == Verdict::Pass {
                let gone = Set::of(fine.grain.len(), [*unit]);
                let left = fine.grain.without(&proven.units, &gone);
                self.proofs.push(fine.atoms(&left));
            }
        }
    }
}

/// Whether the ends are apart.
fn ends(path: &mut Path<'_>) -> Result<Option<Outcome>, Stop> {
    let (baseline, failing) = (path.table.baseline().clone(), path.table.failing().clone());
    let bad = path.ask(&failing, (Purpose::End, 0.95), END)?;
    let counts = path.table.counts(&failing);
    let undecided = |why| Outcome::Undecided {
        why,
        smallest: None,
    };
    match bad {
        Verdict::Same => {}
        Verdict::Pass => return Ok(Some(Outcome::NotFailing { failing: counts })),
        other => return Ok(Some(undecided(Undecided::Failing(other)))),
    }
    Ok(match path.ask(&baseline, (Purpose::End, 0.05), END)? {
        Verdict::Pass => None,
        Verdict::Same => Some(Outcome::NotApart {
            baseline: path.table.counts(&baseline),
            failing: counts,
        }),
        other => Some(undecided(Undecided::Baseline(other))),
    })
}

/// A group that was found, opened: as many of its parts as it takes for the whole to fail.
fn open(
    path: &mut Path<'_>,
    coarse: &View<'_>,
    fine: &View<'_>,
    group: usize,
    parts: &Set,
) -> Result<Set, Stop> {
    let members = coarse.atoms(&Set::of(coarse.grain.len(), [group]));
    let members = fine.grain.units(&members).and(parts);
    if members.len() < 2 {
        return Ok(parts.clone());
    }
    let base = fine.grain.without(parts, &members);
    reduce(path, fine, &base, parts)
}

enum Whole {
    Cause(Cause),
    Smaller(Set),
}

/// What each of a cause does in it.
fn judge(
    path: &mut Path<'_>,
    coarse: &View<'_>,
    fine: &View<'_>,
    proven: &Proven,
) -> Result<Whole, Stop> {
    let units = &proven.units;
    let mut members = Vec::new();
    for (unit, verdict) in &proven.without {
        let one = Set::of(fine.grain.len(), [*unit]);
        let part = if *verdict == Verdict::Pass {
            let alone = fine.grain.without(units, &one) == units.minus(&one);
            if alone { Part::Needed } else { Part::Bound }
        } else {
            match group_without(path, coarse, fine, (units, *unit))? {
                Some((Verdict::Pass, _)) => Part::Bound,
                Some((Verdict::Same, left)) => return Ok(Whole::Smaller(left)),
                _ => Part::Unclear(*verdict),
            }
        };
        let atoms = fine.atoms(&one).list();
        members.extend(atoms.into_iter().map(|atom| Member { atom, part }));
    }
    members.sort_by_key(|m| m.atom);
    let unclear = |m: &Member| matches!(m.part, Part::Unclear(_));
    let minimal = if members.iter().any(unclear) {
        Minimal::Unclear
    } else {
        Minimal::Proven
    };
    Ok(Whole::Cause(Cause { members, minimal }))
}

/// The verdict of all without the whole group of a unit, if more than the unit is of it.
fn group_without(
    path: &mut Path<'_>,
    coarse: &View<'_>,
    fine: &View<'_>,
    (units, unit): (&Set, usize),
) -> Result<Option<(Verdict, Set)>, Stop> {
    let atoms = fine.atoms(&Set::of(fine.grain.len(), [unit]));
    let group = coarse.atoms(&coarse.grain.units(&atoms));
    let group = fine.grain.units(&group).and(units);
    if group.len() < 2 {
        return Ok(None);
    }
    let left = fine.grain.without(units, &group);
    let asked = (Purpose::Without, 0.1);
    let verdict = path.ask(&fine.atoms(&left), asked, Level::Proof(2 * units.len()))?;
    Ok(Some((verdict, left)))
}

/// What is left of a configuration without a cause. What only came along may be needed by
/// others, and stays.
fn without(frame: &Frame, within: &Set, cause: &Cause) -> Set {
    let needed = cause.members.iter().filter(|m| m.part == Part::Needed);
    let mut gone: Vec<usize> = needed.map(|m| m.atom).collect();
    if gone.is_empty() {
        gone = cause.atoms();
    }
    let fine = View::new(&frame.fine, within);
    let units = gone.into_iter().map(|atom| frame.fine.unit_of(atom));
    let gone = Set::of(frame.fine.len(), units);
    fine.atoms(&frame.fine.without(fine.all(), &gone))
}
