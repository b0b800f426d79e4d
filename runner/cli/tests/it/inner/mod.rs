//! `run` for those who write scenarios: which of them run, step by step, and at every save.

mod pause;
mod remake;
mod select;
mod watch;

use std::io::Write as _;
use std::process::Stdio;

use super::project::{Project, Said};

/// Runs the program with these lines on standard input.
pub fn fed(project: &Project, args: &[&str], lines: &str) -> Said {
    let mut command = project.command(args, &[]);
    if let Some(host) = std::env::var_os("DOCKER_HOST") {
        command.env("DOCKER_HOST", host);
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The lines are few enough for a pipe to hold them all. A program that reads none of them
    // may have ended already.
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    let output = child.wait_with_output().unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
