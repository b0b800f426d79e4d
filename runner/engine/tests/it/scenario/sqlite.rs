//! `sql` on an SQLite database in a container, to which the service writes all the time.

use std::sync::Arc;

use prodmirror_engine::step::{StackWorld, World};
use prodmirror_model::event::Outcome;
use serde_json::json;

use super::services::image;
use super::{fails, passes, played};
use crate::live::plan::plan;
use crate::live::rig::on_engine;

/// Writes rows in pairs, in write-ahead mode, and never closes the database.
const APP: &str = r#"
import os, sqlite3, time
os.makedirs("/data", exist_ok=True)
db = sqlite3.connect("/data/app.db", isolation_level=None)
db.execute("pragma journal_mode = wal")
db.execute("create table orders (id integer primary key, state text, price real, raw blob)")
db.execute("insert into orders values (1, 'paid', 12.5, x'00ff'), (2, null, 9007199254740993, 'caf\u00e9')")
os.symlink("app.db", "/data/link.db")
open("/data/other.db", "w").write("this is no database, and long enough to be taken for one" * 40)
db.execute("create table pairs (n integer)")
print("ready", flush=True)
while True:
    if os.path.exists("/data/go"):
        db.execute("begin")
        db.execute("insert into pairs values (1)")
        db.execute("insert into pairs values (2)")
        db.execute("commit")
        if os.path.exists("/data/rest"):
            time.sleep(0.4)
    else:
        time.sleep(0.05)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_database_in_a_file_is_read_as_it_is() {
    on_engine(|rig| async move {
        let app = image("app", "python:3.11", &[])
            .with(|c| c.body["Cmd"] = json!(["python3", "-c", APP]));
        let plan = plan([app]);
        let live = Arc::new(rig.up(plan.clone()).await.expect("the stack"));
        let world: Arc<dyn World> = Arc::new(StackWorld::new(live.clone(), &plan));
        reading(&world).await;
        refusals(&world).await;
        while_it_writes(&world).await;
        live.down(None).await;
    })
    .await;
}

async fn reading(world: &Arc<dyn World>) {
    passes(world, r#"
  - wait: { for: { log: { service: app, contains: ready } } }
  - sql: { service: app, file: /data/app.db, query: "select * from orders order by id" }
    expect:
      - columns == ["id", "state", "price", "raw"] && count == 2 && affected == 2
      - 'rows[0] == {"id": 1, "state": "paid", "price": 12.5, "raw": "AP8="}'
      - rows[1].state == null && rows[1].raw == "café"
  - sql: { service: app, engine: sqlite, file: "/data/{{ 'link' }}.db", query: "select state from orders where id = ? or price > ?", params: ["{{ 1 }}", 1e30] }
    expect: 'rows == [{"state": "paid"}]'
  - sql: { service: app, file: /data/app.db, query: "pragma table_info(orders); with n(x) as (values (1), (2)) select sum(x) as s from n" }
    expect: rows[0].s == 3
  - sql: { service: app, file: /data/app.db, queries: [ "select 1 as a", { query: "select ?1 as b", params: [x] } ] }
    expect: results[0].rows[0].a == 1 && rows[0].b == "x"
  - sql: { service: app, file: /data/app.db, query: "select * from absent", fails: true }
    expect: error.message.contains("no such table")
"#).await;
}

async fn refusals(world: &Arc<dyn World>) {
    for (arguments, said) in [
        (
            "file: /data/app.db, query: \"update orders set state = 'x'\"",
            "the statement does not only read",
        ),
        (
            "file: /data/app.db, query: \"with x as (select 1) delete from orders\"",
            "the statement does not only read",
        ),
        (
            "file: /data/app.db, query: \"attach '/etc/passwd' as p\"",
            "the statement does not only read",
        ),
        (
            "file: /data/app.db, query: \"select ?\"",
            "the statement has 1 parameters and `params` 0",
        ),
        (
            "file: /data/none.db, query: \"select 1\"",
            "app has no file /data/none.db",
        ),
        (
            "file: /data/other.db, query: \"select 1\"",
            "/data/other.db of app cannot be read as an SQLite database: file is not a database",
        ),
        ("file: /data, query: \"select 1\"", "it is no file"),
        (
            "file: /data/app.db, query: \"with recursive n(i) as (select 1 union all select i + 1 from n) select i from n\"",
            "more than 10000 rows",
        ),
    ] {
        let step = fails(
            world,
            &format!("  - sql: {{ service: app, {arguments} }}\n"),
        )
        .await;
        assert_eq!(step.outcome, Outcome::Errored, "{arguments}");
        assert!(step.error().contains(said), "{arguments}: {}", step.error());
    }
    // A statement without an end does not outlive its step.
    let begun = std::time::Instant::now();
    let step = fails(world, "  - timeout: 3s\n    sql: { service: app, file: /data/app.db, query: \"with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n\" }\n").await;
    assert_eq!(step.outcome, Outcome::TimedOut);
    assert!(begun.elapsed().as_secs() < 20);
    passes(world, "  - sql: { service: app, file: /data/app.db, query: \"select count(*) as n from orders\" }\n    expect: rows[0].n == 2\n").await;
}

/// A pair is written in one transaction: no copy has half of one.
async fn while_it_writes(world: &Arc<dyn World>) {
    let look = "sql: { service: app, file: /data/app.db, query: \"select count(*) as n, sum(n) as s from pairs\" }";
    passes(
        world,
        &format!(
            r#"
  - exec: {{ service: app, cmd: [touch, /data/rest, /data/go] }}
  - eventually: 20s
    {look}
    expect: rows[0].n > 3
  - retry: 5
    {look}
    expect: rows[0].n % 2 == 0 && rows[0].s * 2 == rows[0].n * 3
  - retry: 5
    {look}
    expect: rows[0].n % 2 == 0 && rows[0].s * 2 == rows[0].n * 3
"#
        ),
    )
    .await;
    // Without a pause a copy is whole, or it is said that none could be made.
    passes(world, "  - exec: { service: app, cmd: [rm, /data/rest] }\n").await;
    let whole = "rows[0].n % 2 == 0 && rows[0].s * 2 == rows[0].n * 3";
    let text = format!("scenario: it\nsteps:\n  - {look}\n    expect: {whole}\n");
    let played = played(world, &text).await;
    let step = played.steps().pop().unwrap();
    match step.outcome {
        Outcome::Passed => {}
        Outcome::Errored => assert!(
            step.error()
                .contains("was written to during each of 6 copies"),
            "{step:#?}"
        ),
        _ => panic!("{step:#?}"),
    }
}
