//! `completions`: the completion script of a shell.

use clap::CommandFactory;

use crate::args::Cli;
use crate::exit::Exit;

/// Prints the script.
pub fn run(shell: clap_complete::Shell) -> Exit {
    clap_complete::generate(
        shell,
        &mut Cli::command(),
        "prodmirror",
        &mut std::io::stdout(),
    );
    Exit::Ok
}
