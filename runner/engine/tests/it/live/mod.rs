//! Stacks on a real engine: made live, and removed again.

mod agree;
mod connect;
mod ecs;
mod ends;
mod files;
mod inspected;
mod kubernetes;
mod lease;
mod nofile;
mod order;
pub mod plan;
mod reach;
pub mod rig;
mod standing;
