//! `snapshot save` and `snapshot restore` of a mirror that stands.

use std::time::Duration;

use crate::project::{Project, Said};
use crate::snapshots::{Store, database};

/// A database that starts from a snapshot, with another volume that does not.
fn shop(store: &Store) -> Project {
    let project = database(&[(
        "seed.sql",
        "create table stock (sku text primary key, qty int);\ninsert into stock values ('A1', 5);\n",
    )]);
    let dir = project.path().file_name().unwrap().to_string_lossy();
    let name = format!("data-{dir}").to_lowercase().replace('.', "");
    let mirror = format!(
        "project: {name}\nproduction: [compose.yaml, more.yaml]\nfidelity: {{ allow: {{ blocker: 9 }} }}\nsnapshots: {{ seed: {{ script: seed.sql, service: db }} }}\ndata: {{ data: {{ snapshot: seed }}, scratch: {{ empty: true }} }}\n"
    );
    project.write("mirror.yaml", mirror.as_bytes());
    project.write(
        "more.yaml",
        b"services:\n  side:\n    image: registry.shop.example/debian:bookworm\n    init: true\n    command: [sleep, infinity]\n    volumes: [\"scratch:/scratch\"]\nvolumes:\n  scratch: {}\n",
    );
    run(store, &project, &["snapshot", "create", "seed"]).is(0, &[]);
    project
}

fn run(store: &Store, project: &Project, args: &[&str]) -> Said {
    let env = [("PRODMIRROR_STORE", store.name.as_str())];
    project.start(args, &env).end(Duration::from_secs(180))
}

struct Down<'a>(&'a Store, &'a Project);

impl Drop for Down<'_> {
    fn drop(&mut self) {
        run(self.0, self.1, &["down"]);
    }
}

#[test]
fn the_data_of_a_mirror_is_saved_changed_and_put_back() {
    let Some(store) = Store::new() else { return };
    let project = shop(&store);
    let _down = Down(&store, &project);
    let run = |args: &[&str]| run(&store, &project, args);
    run(&["up", "-d", "--offline"]).is(0, &[]);
    let sql = |query: &str| -> String {
        let said = run(&[
            "exec", "-T", "db", "psql", "-U", "shop", "-d", "shop", "-Atc", query,
        ]);
        assert_eq!(said.code, 0, "{query}: {}{}", said.out, said.err);
        said.out.trim().to_owned()
    };
    run(&["snapshot", "restore"]).is(2, &["no data of this mirror was saved"]);
    sql("update stock set qty = 4 where sku = 'A1'");
    let saved = run(&["snapshot", "save", "four"]);
    saved.is(
        0,
        &[
            "scratch: left as it is",
            "data: saved as `four`",
            "db stopped and started",
        ],
    );
    assert_eq!(sql("select qty from stock"), "4");
    sql("drop table stock");
    run(&["snapshot", "restore", "four"]).is(0, &["data: as it was saved as `four`"]);
    assert_eq!(sql("select qty from stock"), "4");
    // Again and again: what was saved stays as it was.
    sql("update stock set qty = 1");
    run(&["snapshot", "save", "one"]).is(0, &[]);
    assert_eq!(run(&["snapshot", "saved"]).out, "four  data\none  data\n");
    run(&["snapshot", "restore", "four"]).is(0, &[]);
    assert_eq!(sql("select qty from stock"), "4");
    run(&["snapshot", "restore", "one"]).is(0, &[]);
    assert_eq!(sql("select qty from stock"), "1");
    // The same name: what had it is replaced.
    sql("update stock set qty = 0");
    run(&["snapshot", "save", "one"]).is(0, &[]);
    sql("delete from stock");
    run(&["snapshot", "restore", "one"]).is(0, &[]);
    assert_eq!(sql("select qty from stock"), "0");
    for (args, said) in [
        (&["snapshot", "restore"][..], "name one: four, one"),
        (&["snapshot", "restore", "fuor"], "did you mean `four`?"),
        (&["snapshot", "save", "a/b"], "cannot be a name"),
    ] {
        run(args).is(2, &[said]);
    }
    assert_eq!(sql("select qty from stock"), "0");
    run(&["down"]).is(0, &[]);
    // With the mirror goes what was saved of it.
    run(&["snapshot", "saved"]).is(2, &["no mirror of"]);
    run(&["up", "-d", "--offline"]).is(0, &[]);
    assert_eq!(run(&["snapshot", "saved"]).out, "");
    assert_eq!(sql("select qty from stock"), "5");
}
