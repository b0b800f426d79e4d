//! The units of a grain within a configuration that fails.

use super::grain::Grain;
use super::needs::Needs;
use super::set::Set;

/// What is searched: the units of a grain, as far as their differences are in a configuration
/// that fails.
#[derive(Debug, Clone)]
pub(super) struct View<'g> {
    pub grain: &'g Grain,
    /// The differences that may be taken; what they require is among them.
    within: Set,
    /// All units that may be taken.
    all: Set,
}

impl<'g> View<'g> {
    pub fn new(grain: &'g Grain, within: &Set) -> View<'g> {
        View {
            grain,
            within: within.clone(),
            all: grain.units(within),
        }
    }

    /// All units that may be taken.
    pub fn all(&self) -> &Set {
        &self.all
    }

    /// The configuration of these units.
    pub fn atoms(&self, units: &Set) -> Set {
        self.grain.atoms(units).and(&self.within)
    }

    /// The units with what they require, and with what was learnt that they need.
    pub fn close(&self, units: &Set, needs: &Needs) -> Set {
        let mut closed = self.grain.close(units).and(&self.all);
        while !needs.certain().is_empty() {
            let atoms = needs.close(&self.atoms(&closed), &self.within);
            let next = self.grain.close(&self.grain.units(&atoms)).and(&self.all);
            if next == closed {
                break;
            }
            closed = next;
        }
        closed
    }

    /// How likely these units hold the cause, in whatever measure.
    pub fn weight(&self, units: impl Iterator<Item = usize>) -> f64 {
        units.map(|unit| self.grain.weight[unit]).sum()
    }
}
