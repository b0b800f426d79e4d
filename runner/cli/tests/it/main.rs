//! The built program, run as people run it.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![expect(clippy::print_stdout, reason = "a test says why it was skipped")]

mod audit;
mod bad_input;
mod bisect;
mod bundles;
mod diff;
mod docker;
mod doors;
mod engine;
mod flags;
mod forms;
mod held;
mod host;
mod inner;
mod kustomize;
mod lost;
mod project;
mod record;
mod refused;
mod rig;
mod run;
mod scenario_files;
mod secrets;
mod shop;
mod signals;
mod snapshots;
mod way_out;
mod workshop;

use std::process::Command;

/// Runs git in a project.
fn git(project: &project::Project, args: &[&str]) {
    let status = Command::new("git")
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t.test",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(args)
        .current_dir(project.path())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", project.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&status.stderr);
    assert!(status.status.success(), "{said}");
}
