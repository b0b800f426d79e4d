//! The snapshots that a stack started from.

use super::{entries, manifest};
use crate::forms::forms;
use crate::project::{Project, Said};
use crate::rig::{SHELL, sleeper};
use crate::snapshots::{Store, database};

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

const SEED: &str = "CREATE TABLE people (id int PRIMARY KEY, email text UNIQUE);\nINSERT INTO people VALUES (1, 'unmasked-ann@mail.shop.net'), (2, 'unmasked-bob@mail.shop.net');\n";
const MASKED: &str = "project: t\nproduction: [compose.yaml]\nfidelity: { allow: { blocker: 9 } }\nmask_key: { stub: \"a key of the test's own\" }\nsnapshots:\n  people: { script: seed.sql, service: db, mask: { people.email: email } }\ndata: { data: { snapshot: people } }\n";
const ASKS: &str = "scenario: everybody has an address\nsteps:\n  - id: asked\n    sql: { service: db, query: \"select count(*) as n from people where email like '%@example.com'\" }\n    expect: rows[0].n == 3\n";

#[test]
fn what_is_masked_comes_along_and_stays_in_the_store() {
    let Some(store) = Store::new() else { return };
    let project = database(&[
        ("seed.sql", SEED),
        ("mirror.yaml", MASKED),
        ("scenarios/a.yaml", ASKS),
    ]);
    store
        .run(&project, &["snapshot", "create", "people"])
        .is(0, &["people 2 rows; 1 column"]);
    let said = store.run(&project, &["run", "--with-data"]);
    said.is(1, &["1 failed", "prodmirror repro"]);
    assert!(!said.err.contains("without data"), "{}", said.err);
    let bundle = project.bundle();
    let m = manifest(&bundle);
    assert_eq!(m["data"]["data"]["snapshot"], "people");
    assert_eq!(m["data"]["data"]["file"], "data/people.snapshot");
    // Neither what was masked nor the key that masked it; also not in what is packed within.
    let mut command = super::searched::search();
    let values = "A=unmasked-ann@mail\nB=unmasked-bob@mail\nKEY=a key of the test's own\n";
    project.write("values", values.as_bytes());
    let values = project.path().join("values");
    let (code, text) = super::searched::said(command.arg("--values").arg(values).arg(&bundle));
    assert_eq!(code, 0, "{text}");
    for (name, bytes) in entries(&bundle) {
        for form in forms("a key of the test's own") {
            let found = bytes.windows(form.len()).any(|w| w == form);
            assert!(!found, "the key of the masks is in {name}");
        }
    }

    // Another engine's store: it has none, then the one of the bundle, then a wrong one.
    store
        .run(&project, &["snapshot", "rm", "people"])
        .is(0, &[]);
    let there = Store::new().unwrap();
    let elsewhere = Project::empty();
    let copy = elsewhere.path().join("a.bundle");
    std::fs::copy(&bundle, &copy).unwrap();
    // The data knows the password that it was made with.
    let repro = || {
        let given = ["repro", "a.bundle", "--store", there.name.as_str()];
        elsewhere.plays(&given, &[("POSTGRES_PASSWORD", "stand-in")])
    };
    let said = repro();
    said.is(0, &["reproduced: steps[0] asked"]);
    let brought = |said: &Said| said.err.lines().any(|l| l.starts_with("people sha256:"));
    assert!(brought(&said), "{}", said.err);
    assert_eq!(elsewhere.reproduced(), 1);
    let listed = there.run(&elsewhere, &["snapshot", "ls"]);
    assert!(
        listed.out.contains("people"),
        "{}{}",
        listed.out,
        listed.err
    );
    let said = repro();
    said.is(0, &["reproduced: steps[0] asked"]);
    assert!(!brought(&said), "{}", said.err);
    there
        .run(&elsewhere, &["snapshot", "rm", "people"])
        .is(0, &[]);
    elsewhere.write("tree/file", b"x");
    there
        .run(
            &elsewhere,
            &["snapshot", "create", "people", "--directory", "tree"],
        )
        .is(0, &[]);
    repro().is(
        2,
        &[
            "the snapshot people of `data` is another one here",
            "remove or rename",
        ],
    );
    // That one is left as it is.
    let there_still = there.run(&elsewhere, &["snapshot", "verify", "people"]);
    there_still.is(0, &[]);
    there
        .run(&elsewhere, &["snapshot", "rm", "people"])
        .is(0, &[]);
    there.assert_gone();
    store.assert_gone();
}

#[test]
fn the_data_of_one_scenario_is_that_of_its_bundle() {
    let Some(store) = Store::new() else { return };
    let scenario = "scenario: has its own\ndata: { data: second }\nsteps:\n  - exec: { service: app, cmd: [cat, /data/file] }\n    expect: stdout != \"second\"\n---\nscenario: has that of all\nsteps:\n  - exec: { service: app, cmd: [cat, /data/file] }\n    expect: stdout != \"first\"\n";
    let project = sleeper(&[
        ("scenarios/a.yaml", scenario),
        ("first/file", "first"),
        ("second/file", "second"),
    ]);
    let compose = format!(
        "services:\n  app:\n    image: {SHELL}\n    init: true\n    command: [sleep, infinity]\n    volumes: [\"data:/data\"]\nvolumes: {{ data: {{}} }}\n"
    );
    project.write("compose.yaml", compose.as_bytes());
    project.write(
        "mirror.yaml",
        b"project: t\nproduction: [compose.yaml]\nsnapshots:\n  first: { directory: first }\n  second: { directory: second }\ndata: { data: { snapshot: first } }\n",
    );
    for name in ["first", "second"] {
        let made = store.run(&project, &["snapshot", "create", name]);
        made.is(0, &[]);
    }
    store.run(&project, &["run"]).is(1, &["2 failed"]);
    let all = project.bundles();
    assert_eq!(all.len(), 2, "{all:?}");
    for (bundle, name) in all.iter().zip(["second", "first"]) {
        let bundle = bundle.to_string_lossy().into_owned();
        assert_eq!(manifest(&bundle)["data"]["data"]["snapshot"], name);
        let elsewhere = Project::empty();
        store
            .run(&elsewhere, &["repro", &bundle])
            .is(0, &["reproduced: steps[0]"]);
        assert_eq!(elsewhere.reproduced(), 1);
        // It asks for this one, and for no other.
        store.run(&project, &["snapshot", "rm", name]).is(0, &[]);
        let missing = format!("the snapshot {name} of `data`");
        store
            .run(&elsewhere, &["repro", &bundle])
            .is(2, &[&missing]);
    }
    store.assert_gone();
}
