//! `prodmirror`: run scenarios against a mirror of production, in CI and on a laptop.

use std::process::ExitCode;

mod args;
mod bounded;
mod bundle;
mod cmd;
mod context;
mod exit;
mod explain;
mod flags;
mod git;
mod look_at;
mod manifests;
mod open;
mod report;
mod runs;
mod select;
mod signals;

fn main() -> ExitCode {
    let context = context::Context::from_process();
    let args = match args::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    cmd::run(args, context)
}
