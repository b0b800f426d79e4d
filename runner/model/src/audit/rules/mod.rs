//! The rules, one file for each group of kin.

pub mod credentials;
pub mod development;
pub mod files;
pub mod hidden;
pub mod image;
pub mod loopback;
pub mod names;
pub mod placeholder;
pub mod ports;
pub mod reading;
pub mod runtime;
pub mod time;
pub mod words;
