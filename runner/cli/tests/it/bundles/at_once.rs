//! Two of one bundle, in one directory, at once.

use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::RUN;
use crate::project::Project;
use crate::rig::{has_engine, sleeper};

const FAILS: &str = "scenario: a\nsteps:\n  - exec: { service: app, cmd: [\"false\"] }\n    expect: exit_code == 0\n";

/// Waits until something is so.
#[track_caller]
fn until(what: &str, within: Duration, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn each_has_a_directory_of_its_own_and_leaves_that_of_the_other() {
    if !has_engine() {
        return;
    }
    let project = sleeper(&[("scenarios/a.yaml", FAILS)]);
    project.plays(&["run"], &[]).is(1, &[]);
    let bundle = project.bundle();
    let elsewhere = Project::empty();
    // One that stands still at the failure, while others come and go.
    let path = |name: &str| elsewhere.path().join(name);
    let said = |name: &str| std::fs::read_to_string(path(name)).unwrap();
    let mut command = elsewhere.command(&["repro", &bundle, "--hold"], &[]);
    if let Some(host) = std::env::var_os("DOCKER_HOST") {
        command.env("DOCKER_HOST", host);
    }
    let mut first = command
        .stdin(Stdio::piped())
        .stdout(File::create(path("first.out")).unwrap())
        .stderr(File::create(path("first.err")).unwrap())
        .spawn()
        .unwrap();
    until("the first stands", RUN, || {
        assert!(first.try_wait().unwrap().is_none(), "{}", said("first.err"));
        said("first.err").contains("stopped at steps[0]")
    });
    let unpacked = || {
        let below = std::fs::read_dir(path(".prodmirror/repro")).unwrap();
        let mut names: Vec<String> = below
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|n| !n.ends_with(".lock"))
            .collect();
        names.sort();
        names
    };
    let own = unpacked();
    assert_eq!(own.len(), 1, "{own:?}");
    let second = format!("{}-2", own[0]);
    for _ in 0..2 {
        // The second time it replaces what the second has left, and nothing of the first.
        let evidence = format!(".prodmirror/repro/{second}/evidence has what was seen");
        elsewhere
            .plays(&["repro", &bundle], &[])
            .is(0, &["reproduced: steps[0]", &evidence]);
        assert_eq!(unpacked(), [own[0].clone(), second.clone()]);
    }
    // To look at one takes none of theirs, and leaves what they left.
    elsewhere
        .plays(&["repro", &bundle, "--dry-run"], &[])
        .is(0, &[]);
    first
        .stdin
        .take()
        .unwrap()
        .write_all(b"continue\n")
        .unwrap();
    until("the first ends", RUN, || {
        first.try_wait().unwrap().is_some()
    });
    let told = said("first.err");
    assert_eq!(first.wait().unwrap().code(), Some(0), "{told}");
    assert!(told.contains("reproduced: steps[0]"), "{told}");
    assert!(
        path(".prodmirror/repro")
            .join(&own[0])
            .join("evidence/events.jsonl")
            .is_file()
    );
    assert_eq!(unpacked(), [own[0].clone(), second]);
    assert_eq!(elsewhere.reproduced(), 2);
}
