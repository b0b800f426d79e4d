//! What only the engine or the disk can refuse: the exit code, the words, and nothing left.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::project::Project;
use super::rig::{SHELL, clean_within, has_engine, sleeper};

const RUN: Duration = Duration::from_secs(120);
const TRUE: &str = "scenario: a\nsteps:\n  - exec: { service: app, cmd: [\"true\"] }\n";

fn project(compose: &str) -> Project {
    Project::with(&[("compose.yaml", compose), ("scenarios/a.yaml", TRUE)])
}

#[test]
fn an_image_that_is_nowhere() {
    if !has_engine() {
        return;
    }
    let project = project("services:\n  app:\n    image: prodmirror-test/nowhere:1\n");
    for args in [&["run", "--offline"][..], &["up", "-d", "--offline"]] {
        let said = project.start(args, &[]).end(RUN);
        said.is(
            3,
            &[
                "prodmirror-test/nowhere:1",
                "name another one under `images`",
            ],
        );
    }
    let xml = project.of_run("junit.xml");
    assert!(
        xml.contains("<error") && xml.contains("prodmirror-test/nowhere:1"),
        "{xml}"
    );
    clean_within(&project.run_id(), Duration::ZERO);
}

#[test]
fn a_port_that_is_in_use() {
    if !has_engine() {
        return;
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let project = project(&format!(
        "services:\n  app:\n    image: {SHELL}\n    init: true\n    command: [sleep, infinity]\n    ports: [\"127.0.0.1:{port}:80\"]\n"
    ));
    let said = project.start(&["up", "-d"], &[]).end(RUN);
    said.is(
        0,
        &[
            "app:80 is at 127.0.0.1:",
            "the declared port is in use here",
        ],
    );
    assert!(
        !said.err.contains(&format!("127.0.0.1:{port} ")),
        "{}",
        said.err
    );
    project.start(&["down"], &[]).end(RUN).is(0, &["removed"]);
}

#[test]
fn a_volume_that_is_full() {
    if !has_engine() {
        return;
    }
    let project = project(&format!(
        "services:\n  app:\n    image: {SHELL}\n    init: true\n    command: [sh, -c, \"head -c 1000000 /dev/zero > /data/x && sleep infinity\"]\n    volumes: [\"data:/data\"]\n    healthcheck: {{ test: [CMD, \"true\"] }}\nvolumes:\n  data:\n    driver_opts: {{ type: tmpfs, device: tmpfs, o: \"size=64k\" }}\n"
    ));
    let said = project.start(&["run"], &[]).end(RUN);
    said.is(3, &["`app`", "exit code 1", "No space left on device"]);
    let xml = project.of_run("junit.xml");
    assert!(xml.contains("No space left on device"), "{xml}");
    clean_within(&project.run_id(), Duration::ZERO);
}

/// A file system of this size at a directory, until it is dropped.
struct Small<'d>(&'d Path);

impl<'d> Small<'d> {
    /// Nothing when this user may not mount.
    fn mount(dir: &'d Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(dir).unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir)
            .status();
        if done.is_ok_and(|s| s.success()) {
            return Some(Self(dir));
        }
        println!("skipped: no right to mount");
        None
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_disk_that_is_full_before_the_run() {
    if !has_engine() {
        return;
    }
    let project = sleeper(&[("scenarios/a.yaml", TRUE)]);
    let dir = project.path().join(".prodmirror");
    let Some(_small) = Small::mount(&dir, "16k") else {
        return;
    };
    let _ = std::fs::write(dir.join("filling"), [0; 64 * 1024]);
    let said = project.start(&["run"], &[]).end(RUN);
    said.is(2, &["cannot write", "No space left", "nothing was started"]);
}

#[test]
fn a_disk_that_gets_full_in_a_run() {
    if !has_engine() {
        return;
    }
    // What the service prints is in the events, and fills the disk.
    let scenario = "scenario: a\nsteps:\n  - exec: { service: app, cmd: [sh, -c, \"(head -c 300000 /dev/urandom | base64; echo printed) > /proc/1/fd/1\"] }\n  - logs: { service: app, any: printed, within: 30s }\n";
    let project = sleeper(&[("scenarios/a.yaml", scenario)]);
    let dir = project.path().join(".prodmirror");
    let Some(_small) = Small::mount(&dir, "120k") else {
        return;
    };
    let said = project.start(&["run"], &[]).end(RUN);
    // The scenario passed, but nobody can read that in its report.
    said.is(1, &["1 passed", "warning:", "No space left on device"]);
    let xml = project.of_run("junit.xml");
    assert!(xml.trim_end().ends_with("</testsuites>"), "{xml}");
    clean_within(&project.run_id(), Duration::ZERO);
}
