//! What production is, what to run, and what happened: the pure half of prodmirror.
//!
//! Nothing here talks to an engine, reads the clock or the environment, or prints.

pub mod audit;
pub mod bundle;
pub mod check;
pub mod compare;
pub mod compile;
pub mod diag;
pub mod event;
pub mod explain;
pub mod fidelity;
pub mod flags;
pub mod hybrid;
pub mod isolate;
pub mod lock;
pub mod mirror;
pub mod plain;
pub mod plan;
pub mod policy;
pub mod project;
pub mod redact;
pub mod scenario;
pub mod schema;
pub mod secret;
pub mod snapshot;
pub mod source;
pub mod spec;
pub mod stack;
pub mod summary;
pub mod template;
pub mod yaml;
