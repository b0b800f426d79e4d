//! One file per command.

use crate::args::{Cli, Verb};
use crate::context::Context;
use crate::exit::Exit;

mod completions;

/// Runs a command to its end.
pub fn run(cli: Cli, _context: Context) -> Exit {
    match cli.verb {
        Verb::Completions { shell } => completions::run(shell),
        _ => Exit::Invalid,
    }
}
