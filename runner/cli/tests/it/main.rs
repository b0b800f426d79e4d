//! The built program, run as people run it.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod audit;
mod bad_input;
mod lost;
mod project;
mod refused;
mod rig;
mod run;
mod signals;
