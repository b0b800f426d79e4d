//! What moves as one while differences are taken apart.
//!
//! A search works on *units*: first on groups, then, when a group was found, on its parts. A
//! [`Grain`] is one such view. Units never require each other in a circle.

use super::Atoms;
use super::components::components;
use super::set::Set;

/// The differences as units.
#[derive(Debug, Clone)]
pub(super) struct Grain {
    /// How many differences there are.
    atoms: usize,
    /// The differences of each unit.
    units: Vec<Vec<usize>>,
    /// The unit of each difference.
    unit_of: Vec<usize>,
    /// How likely each unit is the cause.
    pub weight: Vec<f64>,
    /// What each unit requires, directly or not, and itself.
    needs: Vec<Set>,
    /// Whether no unit requires another.
    free: bool,
    /// The units, the likeliest first, but what is required before what requires it: whatever
    /// this order begins with is a configuration that is closed.
    pub order: Vec<usize>,
}

impl Grain {
    /// The view in which these lists of differences are one each.
    pub fn new(atoms: &Atoms, joined: &[Vec<usize>]) -> Grain {
        let count = atoms.atoms.len();
        // A circle through a list makes its members one.
        let circles = joined.iter().flat_map(|list| {
            let next = list.iter().cycle().skip(1);
            list.iter().copied().zip(next.copied())
        });
        let edges: Vec<(usize, usize)> = atoms.requires.iter().copied().chain(circles).collect();
        let unit_of = components(count, &edges);
        let size = unit_of.iter().max().map_or(0, |last| last + 1);
        let mut units = vec![Vec::new(); size];
        let mut weight = vec![0.0; size];
        for (atom, unit) in unit_of.iter().enumerate() {
            units[*unit].push(atom);
            weight[*unit] += atoms.atoms[atom].weight;
        }
        let needs = closures(size, edges.iter().map(|(a, b)| (unit_of[*a], unit_of[*b])));
        let order = order(&weight, &needs);
        Grain {
            atoms: count,
            units,
            unit_of,
            weight,
            free: needs.iter().all(|needs| needs.len() == 1),
            needs,
            order,
        }
    }

    /// How many units there are.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// No unit.
    pub fn none(&self) -> Set {
        Set::empty(self.len())
    }

    /// The differences of these units.
    pub fn atoms(&self, units: &Set) -> Set {
        let mut atoms = Set::empty(self.atoms);
        for unit in units.iter() {
            for atom in &self.units[unit] {
                atoms.insert(*atom);
            }
        }
        atoms
    }

    /// The units that these differences are in.
    pub fn units(&self, atoms: &Set) -> Set {
        Set::of(self.len(), atoms.iter().map(|atom| self.unit_of[atom]))
    }

    /// The unit of a difference.
    pub fn unit_of(&self, atom: usize) -> usize {
        self.unit_of[atom]
    }

    /// The units with all that they require.
    pub fn close(&self, units: &Set) -> Set {
        let mut closed = units.clone();
        if self.free {
            return closed;
        }
        for unit in units.iter() {
            closed.add(&self.needs[unit]);
        }
        closed
    }

    /// What is left of units when some are taken away, and with them what requires those.
    pub fn without(&self, units: &Set, gone: &Set) -> Set {
        let mut left = units.minus(gone);
        for unit in units.iter() {
            if !self.needs[unit].is_apart(gone) {
                left.remove(unit);
            }
        }
        left
    }
}

/// What each unit requires, directly or not, and itself. Units that require others have the
/// smaller numbers.
fn closures(size: usize, edges: impl Iterator<Item = (usize, usize)>) -> Vec<Set> {
    let mut needs: Vec<Set> = (0..size).map(|unit| Set::of(size, [unit])).collect();
    let mut edges: Vec<(usize, usize)> = edges.filter(|(a, b)| a != b).collect();
    edges.sort_unstable();
    for (from, to) in edges.into_iter().rev() {
        needs[from] = needs[from].or(&needs[to]);
    }
    needs
}

fn order(weight: &[f64], needs: &[Set]) -> Vec<usize> {
    let mut likeliest: Vec<usize> = (0..weight.len()).collect();
    likeliest.sort_by(|a, b| weight[*b].total_cmp(&weight[*a]).then(b.cmp(a)));
    let mut placed = Set::empty(weight.len());
    let mut order = Vec::with_capacity(weight.len());
    for unit in likeliest {
        let mut missing = needs[unit].minus(&placed).list();
        // What is required has the greater number.
        missing.reverse();
        placed.add(&needs[unit]);
        order.append(&mut missing);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atoms(count: usize, requires: &[(usize, usize)]) -> Atoms {
        let mut atoms = Atoms::new((0..count).map(|i| i.to_string()));
        atoms.requires = requires.to_vec();
        atoms
    }

    #[test]
    fn circles_and_groups_that_overlap_are_one() {
        let grain = Grain::new(
            &atoms(7, &[(0, 1), (1, 0), (2, 3)]),
            &[vec![3, 4], vec![4, 5]],
        );
        assert_eq!(grain.len(), 4);
        let unit = grain.units(&Set::of(7, [5]));
        assert_eq!(grain.atoms(&unit).list(), [3, 4, 5]);
        let unit = grain.units(&Set::of(7, [2]));
        assert_eq!(grain.atoms(&grain.close(&unit)).list(), [2, 3, 4, 5]);
        let unit = grain.units(&Set::of(7, [0]));
        assert_eq!(grain.atoms(&unit).list(), [0, 1]);
    }

    #[test]
    fn a_group_whose_parts_require_another_makes_a_circle_through_it() {
        let grain = Grain::new(&atoms(3, &[(0, 1), (1, 2)]), &[vec![0, 2]]);
        assert_eq!(grain.len(), 1);
    }

    #[test]
    fn whatever_the_order_begins_with_is_closed() {
        let mut atoms = atoms(6, &[(0, 5), (5, 3), (2, 1), (4, 0)]);
        atoms.atoms[4].weight = 9.0;
        let grain = Grain::new(&atoms, &[]);
        let mut begun = grain.none();
        for unit in &grain.order {
            begun.insert(*unit);
            assert_eq!(grain.close(&begun), begun);
        }
        let first = grain.atoms(&Set::of(6, grain.order[..4].iter().copied()));
        assert_eq!(first.list(), [0, 3, 4, 5]);
    }

    #[test]
    fn what_requires_goes_with_what_it_requires() {
        let grain = Grain::new(&atoms(4, &[(0, 1), (1, 2)]), &[]);
        let gone = grain.units(&Set::of(4, [1]));
        let left = grain.without(&Set::full(grain.len()), &gone);
        assert_eq!(grain.atoms(&left).list(), [2, 3]);
    }
}
