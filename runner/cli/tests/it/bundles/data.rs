//! The snapshots that a stack started from.

use super::entries;
use crate::project::Project;
use crate::rig::{SHELL, sleeper};
use crate::snapshots::{Store, database};

#[test]
fn what_is_masked_travels_along() {
    let Some(store) = Store::new() else { return };
    let seed = |rows: u32| {
        format!(
            "CREATE TABLE people (id int PRIMARY KEY, email text);\n\
             INSERT INTO people SELECT n, 'p' || n || '@mail.shop.net' FROM generate_series(1, {rows}) n;\n"
        )
    };
    let mirror = "project: t\nproduction: [compose.yaml]\nfidelity: { allow: { blocker: 9 } }\n\
        mask_key: { stub: \"a key of the test's own\" }\nsnapshots:\n  masked:\n    script: seed.sql\n    \
        service: db\n    mask: { people.email: email }\ndata: { data: { snapshot: masked } }\n";
    let scenario = "scenario: reads\nsteps:\n  - sql: { service: db, query: \"select count(*) as n from people\" }\n    expect: rows[0].n == 0\n";
    let project = database(&[
        ("seed.sql", &seed(20)),
        ("mirror.yaml", mirror),
        ("scenarios/a.yaml", scenario),
    ]);
    let create = ["snapshot", "create", "masked"];
    let remove = ["snapshot", "rm", "masked"];
    store.run(&project, &create).is(0, &[]);
    let said = store.run(&project, &["run", "--with-data"]);
    said.is(1, &["prodmirror repro"]);
    let bundle = project.bundle();
    assert!(entries(&bundle).contains_key("data/masked.snapshot"));
    store.run(&project, &remove).is(0, &[]);
    let elsewhere = Project::empty();
    let repro = ["repro", &bundle];
    store
        .run(&elsewhere, &repro)
        .is(0, &["reproduced: steps[0]"]);
    // It is here now, and is not brought again.
    store
        .run(&elsewhere, &repro)
        .is(0, &["reproduced: steps[0]"]);
    elsewhere.reproduced();

    // Another one of that name is not taken for it, and not replaced.
    store.run(&project, &remove).is(0, &[]);
    project.write("seed.sql", seed(21).as_bytes());
    store.run(&project, &create).is(0, &[]);
    let elsewhere = Project::empty();
    let said = store.run(&elsewhere, &repro);
    said.is(2, &["the snapshot masked of `data` is another one here"]);
    assert_eq!(elsewhere.reproduced(), 0);
    store.run(&project, &remove).is(0, &[]);
    store.assert_gone();
}

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
