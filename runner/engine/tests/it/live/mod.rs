//! Stacks on a real engine: made live, and removed again.

mod files;
mod order;
mod plan;
mod rig;
mod speed;
