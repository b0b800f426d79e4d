//! Two environments, and everything between them: what differs between two rendered stacks, and
//! the stack of any combination of the two.
//!
//! The first side is the one to start from. Each [`Difference`] is taken from the second side or
//! not; with none the stack is the first side's, with all it is the second's, up to the names of
//! its objects on the engine. What cannot be taken by itself is said by the groups and the
//! requirements of [`Hybrid::atoms`], for the [search](crate::isolate).
//!
//! Both sides' variables are in a combination, each with the mark of its side before its name;
//! credentials that both sides have get one value before anything is compared.

mod build;
mod difference;
mod find;
mod home;
mod parts;
mod rules;
mod side;
#[cfg(test)]
mod tests;
mod text;
mod unify;

pub use build::Built;
pub use difference::{Difference, What};
pub use find::SamePath;
pub use home::Home;
pub use parts::Key;
pub use side::Side;

use self::side::Taken;
use crate::isolate::Atoms;

/// Two environments and their differences.
#[derive(Debug)]
pub struct Hybrid {
    a: Taken,
    b: Taken,
    differences: Vec<Difference>,
}

impl Hybrid {
    /// Compares two environments. `same_path` says whether files or directories at two paths
    /// have the same content.
    pub fn new(mut a: Side, mut b: Side, same_path: SamePath<'_>) -> Self {
        // Data that was made before has the passwords in it with which it was made.
        if b.has_snapshot() && !a.has_snapshot() {
            unify::unify(&b, &mut a);
        } else {
            unify::unify(&a, &mut b);
        }
        let (a, b) = (a.taken("A_"), b.taken("B_"));
        let differences = find::find(&a, &b, same_path);
        Self { a, b, differences }
    }

    /// What differs.
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// The differences for the search, with what is known of them.
    pub fn atoms(&self) -> Atoms {
        rules::atoms(self)
    }

    /// The stack with these differences from the second side, and all else from the first.
    pub fn build(&self, chosen: &[usize]) -> Built {
        build::Draft::new(self, chosen).built()
    }

    fn index(&self, what: &What) -> Option<usize> {
        self.differences.iter().position(|d| d.what == *what)
    }
}
