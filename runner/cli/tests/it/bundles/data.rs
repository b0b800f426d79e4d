//! The snapshots that a stack started from.

use super::entries;
use crate::project::Project;
use crate::rig::{SHELL, sleeper};
use crate::snapshots::Store;

/// A project whose volume starts from a snapshot of the directory `tree`.
fn project(snapshot: &str) -> Project {
    let scenario = "scenario: reads\nsteps:\n  - exec: { service: app, cmd: [cat, /data/file] }\n    expect: stdout.contains(\"another\")\n";
    let project = sleeper(&[("scenarios/a.yaml", scenario), ("tree/file", "text\n")]);
    let compose = format!(
        "services:\n  app:\n    image: {SHELL}\n    init: true\n    command: [sleep, infinity]\n    volumes: [\"data:/data\"]\nvolumes: {{ data: {{}} }}\n"
    );
    project.write("compose.yaml", compose.as_bytes());
    let mirror = format!(
        "project: t\nproduction: [compose.yaml]\nsnapshots:\n  open: {{ directory: tree, public: true }}\n  raw: {{ directory: tree }}\ndata: {{ data: {{ snapshot: {snapshot} }} }}\n"
    );
    project.write("mirror.yaml", mirror.as_bytes());
    project
}

#[test]
fn what_may_be_shown_travels_along() {
    let Some(store) = Store::new() else { return };
    let project = project("open");
    store
        .run(&project, &["snapshot", "create", "open"])
        .is(0, &[]);
    let said = store.run(&project, &["run", "--with-data"]);
    said.is(1, &["prodmirror repro"]);
    let bundle = project.bundle();
    assert!(entries(&bundle).contains_key("data/open.snapshot"));
    store.run(&project, &["snapshot", "rm", "open"]).is(0, &[]);
    let elsewhere = Project::empty();
    store
        .run(&elsewhere, &["repro", &bundle])
        .is(0, &["reproduced: steps[0]"]);
    // It is here now, and is not brought again.
    store
        .run(&elsewhere, &["repro", &bundle])
        .is(0, &["reproduced: steps[0]"]);
    elsewhere.reproduced();

    // Another one of that name is not taken for it, and not replaced.
    store.run(&project, &["snapshot", "rm", "open"]).is(0, &[]);
    project.write("tree/file", b"another text\n");
    store
        .run(&project, &["snapshot", "create", "open"])
        .is(0, &[]);
    let elsewhere = Project::empty();
    let said = store.run(&elsewhere, &["repro", &bundle]);
    said.is(2, &["the snapshot open of `data` is another one here"]);
    assert_eq!(elsewhere.reproduced(), 0);
    store.run(&project, &["snapshot", "rm", "open"]).is(0, &[]);
    store.assert_gone();
}

#[test]
fn what_is_not_masked_stays_where_it_is() {
    let Some(store) = Store::new() else { return };
    let project = project("raw");
    store
        .run(&project, &["snapshot", "create", "raw"])
        .is(0, &[]);
    let said = store.run(&project, &["run", "--with-data"]);
    said.is(
        1,
        &["bundles are without data: nothing of the snapshot raw is masked"],
    );
    let bundle = project.bundle();
    assert!(
        entries(&bundle)
            .keys()
            .all(|name| !name.starts_with("data/"))
    );
    let elsewhere = Project::empty();
    store
        .run(&elsewhere, &["repro", &bundle])
        .is(0, &["reproduced: steps[0]"]);
    elsewhere.reproduced();
    store.run(&project, &["snapshot", "rm", "raw"]).is(0, &[]);
    let elsewhere = Project::empty();
    let said = store.run(&elsewhere, &["repro", &bundle]);
    said.is(
        2,
        &[
            "the snapshot raw of `data`",
            "is neither here nor in the bundle",
            "--with-data",
        ],
    );
    assert_eq!(elsewhere.reproduced(), 0);
    store.assert_gone();
}
