//! The snapshots that a stack started from.

use super::entries;
use crate::project::Project;
use crate::rig::{SHELL, sleeper};
use crate::snapshots::Store;

#[test]
fn what_is_not_masked_stays_where_it_is() {
    let Some(store) = Store::new() else { return };
    let scenario = "scenario: reads\nsteps:\n  - exec: { service: app, cmd: [cat, /data/file] }\n    expect: stdout.contains(\"another\")\n";
    let project = sleeper(&[("scenarios/a.yaml", scenario), ("tree/file", "text\n")]);
    let compose = format!(
        "services:\n  app:\n    image: {SHELL}\n    init: true\n    command: [sleep, infinity]\n    volumes: [\"data:/data\"]\nvolumes: {{ data: {{}} }}\n"
    );
    project.write("compose.yaml", compose.as_bytes());
    project.write(
        "mirror.yaml",
        b"project: t\nproduction: [compose.yaml]\nsnapshots: { raw: { directory: tree } }\ndata: { data: { snapshot: raw } }\n",
    );
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
