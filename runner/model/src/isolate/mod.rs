//! Placeholder.
mod answer;
mod atoms;
mod components;
mod grain;
mod narrow;
mod needs;
mod options;
mod path;
mod prove;
mod rate;
mod search;
mod set;
mod split;
mod story;
mod table;
mod verdict;
mod view;
#[cfg(test)]
mod tests;

pub use answer::{
    Answer, Cause, Judged, Member, Minimal, Outcome, Part, Rest, Runs, Undecided,
};
pub use atoms::{Atom, Atoms, Invalid};
pub use options::{Options, Repeats};
pub use path::Purpose;
pub use rate::Rate;
pub use search::{Ask, Search, Step};
pub use verdict::{Counts, Verdict};
