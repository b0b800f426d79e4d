//! Which differences between two environments make a scenario fail: the search of a bisection.
//!
//! A scenario passes on one environment (the *baseline*) and fails on another. A *configuration*
//! takes some of their differences from the failing one, and all else from the baseline. The
//! search asks for verdicts of configurations, and finds a smallest set that fails by itself.
//! It runs nothing: [`Search::next`] says what to judge, [`Search::tell`] takes the verdicts.
//!
//! # How it searches
//!
//! The differences are put in an order, the likeliest first. The shortest beginning of it that
//! fails is found by halves; its last difference is needed, since without it the beginning
//! passes. It is kept. If what is kept does not fail by itself, the rest of that beginning is
//! searched in the same way, with what is kept always there, until it does. Then each that was
//! kept is left out once: this proves that it is needed, or drops it. One more run shows whether
//! all without the cause pass.
//!
//! With `n` differences, a cause of `r` of them takes 2 runs for the ends, `r` times the
//! logarithm of `n` to base 2 (rounded up), `r` for what is kept, `r - 1` for the proof and 1
//! for the rest: 10 for one of 40, 18 for two of 40 that only fail together. Weights choose
//! where to split, but a part is never larger than what could still be searched by halves with
//! two more questions: wrong weights cost at most two runs for each difference of the cause.
//!
//! - **Groups** move as one, and are opened when they were found. **Requirements** close each
//!   configuration before it is judged.
//! - **Unclear verdicts** (another failure, or none that can be judged) mean that something is
//!   missing. Each difference may need another as long as no configuration with the one and
//!   without the other was judged; splits that break fewer of these are preferred, and a need
//!   that is the only explanation is kept from then on. Where no split helps, the part is held
//!   like one that passes: it does not fail as it should. So it always goes on, and what came
//!   into the cause for the sake of others is dropped by the proof.
//! - **Failures that show at times** are told by runs of the failing environment that pass. A
//!   configuration then passes after so many passes in a row that luck is unlikely at the lowest
//!   rate that is plausible. One failure is enough to fail, since the baseline never does. The
//!   search itself takes a risk of 5 % with each; only the proof, on which the answer rests, is
//!   as strict as the confidence asks.
//! - **Several at once**: beyond what is needed now, what would be next by either verdict is
//!   asked for, and called off when the verdict is the other.
//!
//! It assumes that what fails goes on to fail when differences are added that can be judged. If
//! that does not hold, it still ends, and each cause was still seen to fail; other causes may
//! be missed.

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
#[cfg(test)]
mod tests;
mod verdict;
mod view;

pub use answer::{Answer, Cause, Judged, Member, Minimal, Outcome, Part, Rest, Runs, Undecided};
pub use atoms::{Atom, Atoms, Invalid};
pub use options::{Options, Repeats};
pub use path::Purpose;
pub use rate::Rate;
pub use search::{Ask, Search, Step};
pub use verdict::{Counts, Verdict};
