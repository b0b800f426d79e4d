//! Scenarios: what is done to a stack and what must hold.
//!
//! A file is read in two passes. Here the envelope is read: names, flow, expectations,
//! captures. The body of a step stays a [`Node`] that its kind decodes before anything
//! starts. All problems of a file are told at once.

mod duration;
mod fake;
mod files;
mod flags;
mod flow;
mod format;
#[cfg(test)]
mod format_tests;
mod loops;
mod matrix;
mod names;
mod read;
mod reuse;
mod step;
#[cfg(test)]
mod tests;
mod types;

pub use duration::{parse as parse_duration, read as read_duration};
pub use fake::Fake;
pub(crate) use fake::WORDS as FAKE_WORDS;
pub use files::Files;
pub use format::{Formatted, format};
pub use read::{Reading, read, read_with};
pub use types::{
    Body, Branch, Eventually, Isolation, KindInfo, Loop, Over, Race, Requires, Retry, Scenario,
    Section, Skip, Step, Use,
};

#[cfg(doc)]
use crate::yaml::Node;
