//! Stacks on a real engine: made live, and removed again.

mod files;
mod order;
mod plan;
pub mod rig;
mod speed;
