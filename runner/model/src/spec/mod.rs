//! Readers of production specs: one module per format.

pub mod compose;
