//! Whether each of what was found is needed: it is left out, and the rest is judged.

use super::path::{Path, Purpose, Stop};
use super::set::Set;
use super::table::Level;
use super::verdict::Verdict;
use super::view::View;

/// More units than this that could not be judged are not left out by pairs.
const PAIRED: usize = 6;

/// Units that fail together, and the verdict of all without each.
#[derive(Debug)]
pub(super) struct Proven {
    pub units: Set,
    pub without: Vec<(usize, Verdict)>,
}

/// Leaves out each unit of a configuration that fails, with what requires it. What fails without
/// it is gone on with, until nothing can be left out.
pub(super) fn prove(path: &mut Path<'_>, view: &View<'_>, units: &Set) -> Result<Proven, Stop> {
    let mut units = units.clone();
    loop {
        let without = match singly(path, view, &units)? {
            Left::Smaller(smaller) => {
                units = smaller;
                continue;
            }
            Left::Needed(without) => without,
        };
        match together(path, view, &units, &without)? {
            Some(smaller) => units = smaller,
            None => return Ok(Proven { units, without }),
        }
    }
}

enum Left {
    Smaller(Set),
    Needed(Vec<(usize, Verdict)>),
}

fn singly(path: &mut Path<'_>, view: &View<'_>, units: &Set) -> Result<Left, Stop> {
    let level = Level::Proof(2 * units.len());
    let mut without = Vec::new();
    // The least likely are left out first.
    for unit in view.grain.order.iter().rev().filter(|u| units.has(**u)) {
        let gone = Set::of(view.grain.len(), [*unit]);
        let left = view.grain.without(units, &gone);
        let verdict = ask(path, view, &left, level)?;
        if verdict == Verdict::Same {
            return Ok(Left::Smaller(left));
        }
        without.push((*unit, verdict));
    }
    Ok(Left::Needed(without))
}

/// What needs each other, and is not needed otherwise, cannot be left out one by one.
fn together(
    path: &mut Path<'_>,
    view: &View<'_>,
    units: &Set,
    without: &[(usize, Verdict)],
) -> Result<Option<Set>, Stop> {
    let unclear = without.iter().filter(|(_, verdict)| !verdict.is_clear());
    let unclear: Vec<usize> = unclear.map(|(unit, _)| *unit).collect();
    if unclear.len() < 2 {
        return Ok(None);
    }
    let size = view.grain.len();
    let mut attempts = vec![Set::of(size, unclear.iter().copied())];
    if unclear.len() <= PAIRED {
        for (at, a) in unclear.iter().enumerate() {
            let others = unclear[at + 1..].iter();
            attempts.extend(others.map(|b| Set::of(size, [*a, *b])));
        }
    }
    for gone in attempts {
        if gone.len() < unclear.len() && !may_need_each_other(path, view, &gone) {
            continue;
        }
        let left = view.grain.without(units, &gone);
        if ask(path, view, &left, Level::Search)? == Verdict::Same {
            return Ok(Some(left));
        }
    }
    Ok(None)
}

fn may_need_each_other(path: &Path<'_>, view: &View<'_>, pair: &Set) -> bool {
    let atoms = view.atoms(pair).list();
    let mut pairs = atoms
        .iter()
        .flat_map(|a| atoms.iter().map(move |b| (*a, *b)));
    pairs.any(|(a, b)| view.grain.unit_of(a) != view.grain.unit_of(b) && path.needs.mutual(a, b))
}

fn ask(path: &mut Path<'_>, view: &View<'_>, left: &Set, level: Level) -> Result<Verdict, Stop> {
    path.ask(&view.atoms(left), (Purpose::Without, 0.1), level)
}
