//! A mirror of `up` as a workshop: a service of it as a process of this machine, with
//! production's environment, and flags and data that change while it stands.

mod addresses;
pub mod carrier;
pub mod data;
pub mod env;
mod files;
pub mod flag;
pub mod replace;
mod rewrite;
mod written;
