//! The agent in real containers.

mod image;
mod keeper;
mod names;
mod rig;
mod stub;
mod tunnel;
mod way_out;
