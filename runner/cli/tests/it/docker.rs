//! Docker's own command line, for what the program under test has no command for.

use std::process::Command;

/// What it prints.
pub fn docker(args: &[&str]) -> String {
    output(Command::new("docker").args(args))
}

/// Builds an image of a Dockerfile alone; gives its id. Without the cache: the engine looks for
/// it at all images of the same parent, and fails when another test removes one meanwhile.
pub fn build(reference: &str, dockerfile: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("Dockerfile"), dockerfile).unwrap();
    let mut command = Command::new("docker");
    command
        .env("DOCKER_BUILDKIT", "0")
        .args(["build", "-q", "--no-cache", "-t", reference]);
    output(command.arg(dir.path()))
}

/// What a command prints; it has to succeed.
pub fn output(command: &mut Command) -> String {
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}
