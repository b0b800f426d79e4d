//! The built program, run as people run it.

mod bad_input;
mod project;
