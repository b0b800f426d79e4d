//! `prodmirror`: run scenarios against a mirror of production, in CI and on a laptop.

use std::process::ExitCode;

mod args;
mod bounded;
mod cmd;
mod context;
mod exit;
mod explain;
mod git;
mod look_at;
mod manifests;
mod open;
mod report;
mod runs;
mod select;
mod signals;

/// A specification is read into many small values: a third of that time is the system's allocator,
/// a tenth with this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let context = context::Context::from_process();
    let args = match args::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    cmd::run(args, context)
}
