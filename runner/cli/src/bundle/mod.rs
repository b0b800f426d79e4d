//! Bundles on disk: what a failure is run again from, gathered, packed, and unpacked with care.

pub mod archive;
mod gather;
mod secrets;
pub mod sign;
mod write;

pub use gather::from_root;
pub use write::{Bundler, Facts, Failed, failed};
