//! `sql` on MariaDB, and what PostgreSQL and MySQL have in common: lists of statements, scripts,
//! transactions.

use std::sync::Arc;

use prodmirror_engine::step::{StackWorld, World, compile};
use prodmirror_model::event::Outcome;
use prodmirror_model::plan::FileContent;
use prodmirror_model::secret::Secret;
use prodmirror_model::source::SourceFile;
use serde_json::json;

use super::services::image;
use super::{Step, fails, passes, played_with};
use crate::live::plan::plan;
use crate::live::rig::on_engine;

#[tokio::test(flavor = "multi_thread")]
async fn statements_on_mariadb_and_postgresql() {
    on_engine(|rig| async move {
        let ready = |test: &str| json!({"Test": ["CMD-SHELL", test], "Interval": 300_000_000u64, "Retries": 200});
        let maria = image("maria", "mariadb:10.11", &["MARIADB_DATABASE=shop", "MARIADB_USER=shop", "MARIADB_PASSWORD_FILE=/run/secrets/maria"])
            .file("/run/secrets/maria", FileContent::Secret(Secret::new("user-pass")))
            .secret_env("MARIADB_ROOT_PASSWORD", "maria-pass")
            .with(|c| c.body["Healthcheck"] = ready("mariadb-admin -uroot -p\"$MARIADB_ROOT_PASSWORD\" ping"));
        let db = image("db", "postgres:15", &["POSTGRES_USER=shop", "POSTGRES_PASSWORD_FILE=/run/secrets/db"])
            .file("/run/secrets/db", FileContent::Secret(Secret::new("db-pass")))
            .with(|c| c.body["Healthcheck"] = ready("pg_isready -h 127.0.0.1 -U shop"));
        let plan = plan([maria, db]);
        let live = Arc::new(rig.up(plan.clone()).await.expect("the stack"));
        let world: Arc<dyn World> = Arc::new(StackWorld::new(live.clone(), &plan));
        rows(&world).await;
        types(&world).await;
        errors(&world).await;
        several(&world).await;
        scripts(&world).await;
        live.down(None).await;
    })
    .await;
}

async fn rows(world: &Arc<dyn World>) {
    passes(world, r#"
  - sql: { service: maria, user: root, query: "create user shop identified by 'user-pass'; grant all on *.* to shop" }
  - sql: { service: maria, query: "select current_user() as name, database() as db" }
    expect: rows[0].name == "shop@%" && rows[0].db == "shop"
  - sql: { service: maria, query: "create table orders (id int primary key auto_increment, state varchar(20), price decimal(20,4), at datetime(3), note json, raw varbinary(9), big bigint unsigned)" }
  - sql:
      service: maria
      query: insert into orders (state, price, at, note, raw, big) values (?, ?, ?, ?, ?, ?)
      params: [paid, 1234567890123456.5001, "2024-02-29 12:00:00.250", { a: [1, null] }, abc, 18446744073709551615]
    expect: affected == 1 && count == 0 && error == null
  - id: read
    sql: { service: maria, query: "select * from orders where state = ? and id < ?", params: [paid, 4] }
    expect:
      - count == 1
      - rows[0].id == 1
      - columns == ["id", "state", "price", "at", "note", "raw", "big"]
      - rows[0].at == "2024-02-29T12:00:00.25"
      - rows[0].note.a == [1, null]
      - rows[0].raw == "YWJj"
      - { jsonpath: "$.rows[0].price", equals: 1234567890123456.5001 }
      - { jsonpath: "$.rows[0].big", equals: 18446744073709551615 }
    capture: { price: { jsonpath: "$.rows[0].price" } }
  - sql: { service: maria, query: "select count(*) as n from orders where price = cast(? as decimal(20,4))", params: ["{{ price }}"] }
    expect: rows[0].n == 1
  - sql: { service: maria, query: "update orders set state = 'shipped'; select state, price, at, note, raw, big from orders; select id from orders; update orders set state = 'x' where id = 1" }
    expect:
      - 'rows == [{"id": 1}]'
      - affected == 1
  - sql: { service: maria, query: "set @n = 1; select state, price, at, note, raw, big, @n as a, 2 as a from orders" }
    expect:
      - rows[0].state == "x" && rows[0].at == "2024-02-29T12:00:00.25" && rows[0].raw == "YWJj" && rows[0].note.a[0] == 1
      - rows[0].a == 1 && rows[0].a_2 == 2
      - { jsonpath: "$.rows[0].price", equals: 1234567890123456.5001 }
      - { jsonpath: "$.rows[0].big", equals: 18446744073709551615 }
  - sql: { service: maria, query: "insert into orders (state) values ('a'), ('b') returning id" }
    expect: 'rows == [{"id": 2}, {"id": 3}]'
  # What stands in a text that only looks like JSON stays a text.
  - sql: { service: maria, query: "create table texts (t text); insert into texts values ('[1]')" }
  - sql: { service: maria, query: "select t from texts" }
    expect: rows[0].t == "[1]"
  - sql: { service: maria, database: mysql, user: root, password: maria-pass, engine: mariadb, port: 3306, query: "select database() as name" }
    expect: rows[0].name == "mysql"
  - sql: { service: maria, query: "lock tables orders read" }
  - sql: { service: maria, query: "unlock tables" }
  - wait: { for: { sql: { service: maria, query: "select 1 from orders where state = 'b'" } } }
"#).await;
}

async fn types(world: &Arc<dyn World>) {
    for (expression, param, value) in [
        ("cast(? as signed)", "-5", "-5"),
        (
            "cast(? as unsigned)",
            "18446744073709551615",
            "18446744073709551615",
        ),
        ("cast(? as double)", "0.1", "0.1"),
        ("cast(0.1 as float) + 0 * ?", "1", "0.10000000149011612"),
        (
            "cast(? as decimal(60, 2))",
            "123456789012345678901234567890.05",
            "123456789012345678901234567890.05",
        ),
        ("? + 1", "12.5", "13.5"),
        ("concat(?, '')", "\"a\\u00e9\"", "\"a\\u00e9\""),
        ("concat(?, '')", "12", "\"12\""),
        ("?", "true", "1"),
        ("concat(?, '')", "null", "null"),
        ("cast(? as date)", "\"2024-02-29\"", "\"2024-02-29\""),
        ("cast(? as time(1))", "\"-101:34:56.5\"", "\"-101:34:56.5\""),
        (
            "cast(? as datetime)",
            "\"2024-02-29T12:00:00\"",
            "\"2024-02-29T12:00:00\"",
        ),
        (
            "json_extract(?, '$.a')",
            "{ a: [1.5, x] }",
            "\"[1.5, \\\"x\\\"]\"",
        ),
        ("unhex(?)", "00ff", "AP8="),
        ("b'101' + 0 * ?", "0", "5"),
    ] {
        passes(world, &format!(
            "  - sql: {{ service: maria, query: \"select {expression} as v\", params: [{param}] }}\n    expect: [ {{ jsonpath: \"$.rows[0].v\", equals: {value} }} ]\n"
        )).await;
    }
    passes(world, r#"
  - sql: { service: maria, query: "create table kinds (e enum('good', 'bad'), s set('a', 'b'), y year, b bit(9), t timestamp null, z int(5) zerofill, f float, bin blob, tx text); insert into kinds values ('good', 'a,b', 2024, b'100000001', '2024-02-29 12:00:00', 12, 1.1, x'00ff', 'caf\u00e9')" }
  - sql: { service: maria, query: "select * from kinds where y = ?", params: [2024] }
    expect: &same
      - rows[0].e == "good" && rows[0].s == "a,b" && rows[0].y == 2024 && rows[0].b == 257 && rows[0].z == 12
      - rows[0].t == "2024-02-29T12:00:00" && rows[0].f == 1.1 && rows[0].bin == "AP8=" && rows[0].tx == "café"
  - sql: { service: maria, query: "select 1; select * from kinds" }
    expect: *same
"#).await;
}

async fn errors(world: &Arc<dyn World>) {
    let step = fails(
        world,
        "  - sql: { service: maria, query: \"select * from nothing\" }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Failed);
    assert_eq!(
        step.said(),
        [
            "select * from nothing: expected that the statement succeeds, got SQLSTATE 42S02, error 1146: Table 'shop.nothing' doesn't exist"
        ]
    );
    passes(world, r#"
  - sql: { service: maria, query: "create table one (id int primary key); insert into one values (1)" }
  - sql: { service: maria, query: "insert into one values (1)", fails: 1062 }
    expect: error.code == "23000" && error.number == 1062
  - sql: { service: maria, query: "insert into one values (?)", params: [1], fails: "23000" }
  - sql: { service: maria, query: "select 1; insert into one values (1); select 2", fails: true }
  - sql: { service: maria, query: "select count(*) as n from one" }
    expect: rows[0].n == 1
"#).await;
    for (arguments, said) in [
        (
            "query: \"select 1\", fails: 1062",
            "that the statement fails with error 1062, got it succeeded",
        ),
        (
            "query: \"select no\", fails: \"23000\"",
            "fails with SQLSTATE 23000, got SQLSTATE 42S22, error 1054",
        ),
    ] {
        let step = fails(
            world,
            &format!("  - sql: {{ service: maria, {arguments} }}\n"),
        )
        .await;
        assert!(step.said()[0].contains(said), "{:?}", step.said());
    }
    for (arguments, said) in [
        (
            "query: \"select ?\"",
            "the statement has 1 parameters and `params` 0",
        ),
        (
            "query: \"select 1; select ?\", params: [1]",
            "SQLSTATE 42000, error 1064",
        ),
        (
            "query: \"select seq from seq_1_to_20000\"",
            "more than 10000 rows",
        ),
        (
            "query: \"select 1; select seq from seq_1_to_20000\"",
            "more than 10000 rows",
        ),
        (
            "query: select 1, password: wrong",
            "no session in maria:3306 as shop: SQLSTATE 28000, error 1045: Access denied",
        ),
        ("query: select 1, database: nothing", "error 1049"),
        ("query: select 1, engine: mysql, port: 1", "maria:1"),
        ("query: \"select sleep(9)\"", "1s"),
    ] {
        let limit = if said == "1s" {
            "timeout: 1s\n    "
        } else {
            ""
        };
        let step = fails(
            world,
            &format!("  - {limit}sql: {{ service: maria, {arguments} }}\n"),
        )
        .await;
        assert!(
            step.error().contains(said) || step.said().iter().any(|s| s.contains(said)),
            "{arguments}: {} {:?}",
            step.error(),
            step.said()
        );
    }
    // After a connection that was cut, the next one works.
    passes(world, r#"
  - sql: { service: maria, query: "select connection_id() as id" }
    capture: { id: "rows[0].id" }
  - exec: { service: maria, cmd: ["sh", "-c", "mariadb -uroot -p\"$MARIADB_ROOT_PASSWORD\" -e 'kill {{ id }}'"] }
  - retry: 3
    sql: { service: maria, query: "select 2 as n" }
    expect: rows[0].n == 2
"#).await;
}

/// Lists and transactions, the same on both.
async fn several(world: &Arc<dyn World>) {
    for (service, mark, code) in [("db", "$1", "23505"), ("maria", "?", "23000")] {
        passes(world, &format!(r#"
  - sql: {{ service: {service}, query: "create table many (id int primary key, state varchar(9))" }}
  - sql:
      service: {service}
      queries:
        - {{ query: "insert into many values ({mark}, 'new')", params: ["{{{{ 1 + 1 }}}}"] }}
        - insert into many values (3, 'new')
        - select id from many order by id
        - update many set state = 'old' where id > 2
    expect:
      - 'rows == [{{"id": 2}}, {{"id": 3}}] && count == 2'
      - affected == 3
      - results[0].affected == 1 && results[2].rows[1].id == 3 && size(results) == 4
  - sql:
      service: {service}
      transaction: true
      queries: [ "insert into many values (4, 'new')", "insert into many values (2, 'again')", "insert into many values (5, 'new')" ]
      fails: "{code}"
    expect: error.place == "statement 2"
  - sql: {{ service: {service}, rollback: true, queries: [ "delete from many", "select count(*) as n from many" ] }}
    expect: rows[0].n == 0
  - sql: {{ service: {service}, transaction: true, queries: [ "insert into many values (6, 'new')", "update many set state = 'done'" ] }}
    expect: affected == 4
  - sql: {{ service: {service}, query: "select id from many order by id" }}
    expect: rows.map(r, r.id) == [2, 3, 6]
"#)).await;
        // Cut in the middle, nothing of it is left, and nothing is locked.
        let sleep = if service == "db" {
            "select pg_sleep(30)"
        } else {
            "select sleep(30)"
        };
        let step = fails(world, &format!(
            "  - timeout: 1s\n    sql: {{ service: {service}, transaction: true, queries: [ \"delete from many\", \"{sleep}\" ] }}\n"
        )).await;
        assert_eq!(step.outcome, Outcome::TimedOut, "{step:?}");
        passes(world, &format!(
            "  - eventually: 20s\n    sql: {{ service: {service}, query: \"update many set state = 'free'\" }}\n    expect: affected == 3\n"
        )).await;
    }
}

/// Plays a scenario that stands in a file, with other files beside it.
async fn in_folder(
    world: &Arc<dyn World>,
    files: &[(&str, &str)],
    step: &str,
) -> Result<Step, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let path = folder.path().join("scenarios/it.yaml");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, format!("scenario: it\nsteps:\n{step}")).unwrap();
    let file = SourceFile::read(&path, "scenarios/it.yaml").unwrap();
    let (mut programs, problems) = compile(&file);
    if let Some(p) = problems.first() {
        return Err(p.to_string());
    }
    let played = played_with(
        world,
        &programs.remove(0),
        &Default::default(),
        &Default::default(),
    )
    .await;
    Ok(played.steps().pop().unwrap())
}

async fn scripts(world: &Arc<dyn World>) {
    const POSTGRES: &str = "-- what pg_dump --inserts writes\nset client_encoding = 'UTF8';\ncreate table s (t text);\ncreate function f() returns int as $$ begin return 1; end $$ language plpgsql;\ninsert into s values ('a;b'), ('{{ not a template }}');\nselect t from s order by t;\n";
    const MYSQL: &str = "/*!40101 SET NAMES utf8mb4 */;\ncreate table s (t text);\nDELIMITER //\ncreate trigger up before insert on s for each row begin set new.t = upper(new.t); end//\nDELIMITER ;\ninsert into s values ('a;b'), ('{{ not a template }}');\nselect t from s order by t desc; # end\n";
    for (service, text, want) in [
        (
            "db",
            POSTGRES,
            "rows.map(r, size(r.t)) == [3, 20] && rows[0].t == 'a;b'",
        ),
        (
            "maria",
            MYSQL,
            "rows.map(r, size(r.t)) == [20, 3] && rows[1].t == 'A;B'",
        ),
    ] {
        let step = format!(
            "  - sql: {{ service: {service}, script: ../data/s.sql }}\n    expect: \"{want} && affected == 2\"\n"
        );
        let ended = in_folder(world, &[("data/s.sql", text)], &step)
            .await
            .unwrap();
        assert_eq!(ended.outcome, Outcome::Passed, "{ended:#?}");
        assert!(
            ended.evidence.contains("data/s.sql: "),
            "{}",
            ended.evidence
        );
        // All of it or nothing; the line is told.
        let bad = "insert into s values ('more');\n\n-- x\ninsert into s\nvalues\n(nothing);\n";
        let step = format!(
            "  - sql: {{ service: {service}, script: ../data/bad.sql, transaction: true }}\n"
        );
        let ended = in_folder(world, &[("data/bad.sql", bad)], &step)
            .await
            .unwrap();
        assert_eq!(ended.outcome, Outcome::Failed);
        // PostgreSQL tells which character is wrong; of MySQL the statement is known.
        let line = if service == "db" { 6 } else { 4 };
        let said = ended.said().remove(0);
        assert!(
            said.contains(&format!("got data/bad.sql:{line}: SQLSTATE ")),
            "{said}"
        );
        passes(world, &format!("  - sql: {{ service: {service}, query: \"select count(*) as n from s\" }}\n    expect: rows[0].n == 2\n")).await;
    }
    let ended = in_folder(
        world,
        &[("scenarios/a.sql", "select 1;\n\\connect other\n")],
        "  - sql: { service: db, script: a.sql }\n",
    )
    .await
    .unwrap();
    assert!(
        ended
            .error()
            .contains("scenarios/a.sql:2: `\\connect other` cannot be run"),
        "{}",
        ended.error()
    );
    let missing = in_folder(
        world,
        &[],
        "  - sql: { service: db, script: ../none.sql }\n",
    )
    .await
    .unwrap_err();
    assert!(
        missing.starts_with("scenarios/it.yaml:3:33: cannot read none.sql: no such file"),
        "{missing}"
    );
}
