//! Which part of what is suspected is tried next.

use super::needs::Needs;
use super::set::Set;
use super::view::View;

/// How many more questions hints may cost than halves would.
const SLACK: u32 = 2;
/// An attempt that is less likely to be judged than this is not worth a run, when it is not the
/// first.
const HOPE: f64 = 0.2;

/// How many questions are left to find one among the suspects. It keeps hints honest: whatever
/// they say, a part must be small enough to be searched by halves with what is left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depth {
    left: u32,
}

impl Depth {
    /// For so many suspects.
    pub fn new(view: &View<'_>, suspects: &Set) -> Depth {
        let mut weights = suspects.iter().map(|unit| view.grain.weight[unit]);
        let first = weights.next().unwrap_or_default();
        let even = weights.all(|w| (w - first).abs() < f64::EPSILON);
        Depth {
            left: halvings(suspects.len()) + if even { 0 } else { SLACK },
        }
    }

    /// One question was answered.
    pub fn spend(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// How large either part may be.
    fn most(self, suspects: usize) -> usize {
        let room = 1_usize.checked_shl(self.left.saturating_sub(1));
        room.unwrap_or(usize::MAX).max(suspects.div_ceil(2))
    }
}

fn halvings(count: usize) -> u32 {
    count.max(1).next_power_of_two().trailing_zeros()
}

/// What is split: `suspects`, of which some must be added to `held` for it to fail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Suspects<'s> {
    pub held: &'s Set,
    pub suspects: &'s Set,
    pub depth: Depth,
    /// Whether what is held gives a clear verdict. If not, it lacks something of the suspects,
    /// and even an unclear verdict tells in which part that is not.
    pub clear: bool,
}

/// A part of the suspects to be tried together with what is held, or none that is worth a run.
/// `tried` gave no clear verdict.
pub(super) fn split(
    view: &View<'_>,
    of: Suspects<'_>,
    needs: &Needs,
    tried: &[Set],
) -> Option<Set> {
    let order = view.grain.order.iter().copied();
    let order: Vec<usize> = order.filter(|unit| of.suspects.has(*unit)).collect();
    let plain = begin(view, &order, likeliest_half(view, &order, of.depth));
    if !needs.taught() || !of.clear {
        return Some(plain);
    }
    let mut best: Option<(f64, Set)> = None;
    for part in parts(view, of, &order, &plain, tried) {
        let Some(part) = settle(view, of, needs, &part, tried) else {
            continue;
        };
        let config = view.atoms(&of.held.or(&part));
        let chance = needs.chance(&config);
        let value = chance * balance(part.len(), order.len());
        let enough = tried.is_empty() || chance >= HOPE;
        if enough && value > 0.0 && best.as_ref().is_none_or(|(b, _)| value > b + 1e-9) {
            best = Some((value, part));
        }
    }
    match best {
        Some((_, part)) => Some(part),
        None => tried.is_empty().then_some(plain),
    }
}

/// How much of the suspects is begun with: half of the weight, as far as the depth allows.
fn likeliest_half(view: &View<'_>, order: &[usize], depth: Depth) -> usize {
    let most = depth.most(order.len());
    let least = order.len().saturating_sub(most).max(1);
    let last = most.min(order.len().saturating_sub(1)).max(least);
    let half = view.weight(order.iter().copied()) / 2.0;
    let (mut best, mut nearest, mut weight) = (least, f64::INFINITY, 0.0);
    for (at, unit) in order.iter().enumerate() {
        weight += view.grain.weight[*unit];
        let count = at + 1;
        let far = (weight - half).abs();
        if (least..=last).contains(&count) && far < nearest - 1e-9 {
            (best, nearest) = (count, far);
        }
    }
    best
}

fn begin(view: &View<'_>, order: &[usize], count: usize) -> Set {
    Set::of(view.grain.len(), order.iter().copied().take(count))
}

/// The parts that may be tried: beginnings of several lengths, what is left by those that were
/// tried, and mixtures of quarters and of neighbours.
fn parts(
    view: &View<'_>,
    of: Suspects<'_>,
    order: &[usize],
    plain: &Set,
    tried: &[Set],
) -> Vec<Set> {
    let count = order.len();
    let mut parts = vec![plain.clone()];
    parts.extend(tried.iter().map(|part| of.suspects.minus(part)));
    for eighth in 2..=6 {
        let begun = begin(view, order, count * eighth / 8);
        parts.push(of.suspects.minus(&begun));
        parts.push(begun);
    }
    let mut pick = |chosen: &dyn Fn(usize) -> bool| {
        let places = order.iter().enumerate().filter(|(at, _)| chosen(*at));
        parts.push(Set::of(view.grain.len(), places.map(|(_, unit)| *unit)));
    };
    let quarter = |at: usize| at * 4 / count;
    pick(&|at| at % 2 == 0);
    pick(&|at| at % 2 == 1);
    pick(&|at| quarter(at) % 2 == 0);
    pick(&|at| quarter(at) % 2 == 1);
    pick(&|at| matches!(quarter(at), 0 | 3));
    pick(&|at| matches!(quarter(at), 1 | 2));
    parts
}

/// The part with what it requires and seems to need; none if that is nothing, everything, or
/// what was tried.
fn settle(
    view: &View<'_>,
    of: Suspects<'_>,
    needs: &Needs,
    part: &Set,
    tried: &[Set],
) -> Option<Set> {
    let closed = view.close(&of.held.or(part), needs).and(of.suspects);
    let proper = !closed.is_empty() && closed != *of.suspects;
    (proper && !tried.contains(&closed)).then_some(closed)
}

fn balance(part: usize, of: usize) -> f64 {
    let share = part as f64 / of.max(1) as f64;
    if share <= 0.0 || share >= 1.0 {
        return 0.0;
    }
    -(share * share.log2() + (1.0 - share) * (1.0 - share).log2())
}
