//! `sql`, `redis`, `amqp`, `exec`, `logs` and `wait` on a stack of the real servers.

use std::collections::BTreeMap;
use std::sync::Arc;

use prodmirror_engine::step::{StackWorld, World};
use prodmirror_model::event::Outcome;
use prodmirror_model::plan::{Condition, FileContent, Plan};
use prodmirror_model::secret::Secret;
use serde_json::json;

use super::{fails, passes};
use crate::live::plan::{Service, plan, service};
use crate::live::rig::on_engine;

pub(super) fn image(name: &str, tag: &str, env: &[&str]) -> Service {
    service(name, &[]).with(|c| {
        c.image = format!("registry.shop.example/{tag}");
        c.body["Env"] = json!(env);
        c.body.as_object_mut().unwrap().remove("Cmd");
    })
}

fn stack() -> Plan {
    let ready = json!({"Test": ["CMD-SHELL", "pg_isready -h 127.0.0.1 -U shop -d shop"], "Interval": 200_000_000u64, "Retries": 100});
    let db = image(
        "db",
        "postgres:15",
        &[
            "POSTGRES_USER=shop",
            "POSTGRES_DB=shop",
            "POSTGRES_PASSWORD_FILE=/run/secrets/db",
        ],
    )
    .file(
        "/run/secrets/db",
        FileContent::Secret(Secret::new("db-pass")),
    )
    .with(|c| c.body["Healthcheck"] = ready);
    let redis = image(
        "redis",
        "redis:7.0",
        &["REDIS_PASSWORD_FILE=/run/secrets/redis"],
    )
    .file(
        "/run/secrets/redis",
        FileContent::Secret(Secret::new("redis-pass")),
    );
    let ready = json!({"Test": ["CMD", "amqp-ready"], "Interval": 500_000_000u64, "Retries": 100});
    let broker = image("rabbitmq", "rabbitmq:3.10", &["RABBITMQ_DEFAULT_USER=shop"])
        .secret_env("RABBITMQ_DEFAULT_PASS", "mq-pass")
        .with(|c| c.body["Healthcheck"] = ready);
    let talker = image("talker", "debian:bookworm", &["GREETING=hello"])
        .needs("db", Condition::Healthy)
        .needs("rabbitmq", Condition::Healthy)
        .with(|c| c.body["Cmd"] = json!(["sh", "-c", TALK]));
    plan([db, redis, broker, talker])
}

/// Prints what is written to a file, as a service that logs would.
const TALK: &str = "echo started; touch /tmp/say; tail -n +1 -f /tmp/say";

#[tokio::test(flavor = "multi_thread")]
async fn steps_on_real_services() {
    on_engine(|rig| async move {
        let plan = stack();
        let live = rig.up(plan.clone()).await.expect("the stack");
        let live = Arc::new(live);
        let secrets: BTreeMap<String, Secret> = [("MQ".to_owned(), Secret::new("mq-pass"))].into();
        let world: Arc<dyn World> =
            Arc::new(StackWorld::new(live.clone(), &plan).with_secrets(secrets));
        sql(&world).await;
        sql_types(&world).await;
        sql_errors(&world).await;
        redis(&world).await;
        amqp(&world).await;
        exec(&world).await;
        logs(&world).await;
        names(&world).await;
        live.down(None).await;
    })
    .await;
}

async fn sql(world: &Arc<dyn World>) {
    passes(world, r#"
  - sql: { service: db, query: "create table orders (id uuid primary key, state text, qty int, price numeric(10,2), at timestamptz, note jsonb)" }
  - sql:
      service: db
      query: insert into orders values ($1, $2, $3, $4, $5, $6)
      params: [b9c9e3f2-0d5e-4b9c-8f6a-0c8e2d1a5b7e, paid, "3", 12.50, "2024-02-29T12:00:00+02:00", { a: [1, null] }]
    expect: affected == 1
  - id: read
    sql: { service: db, query: "select * from orders where id = $1 and qty < $2", params: [b9c9e3f2-0d5e-4b9c-8f6a-0c8e2d1a5b7e, 4] }
    expect:
      - count == 1
      - rows[0].state == "paid"
      - rows[0].qty == 3
      - rows[0].price == 12.5
      - rows[0].at == "2024-02-29T10:00:00Z"
      - rows[0].note.a == [1, null]
      - columns == ["id", "state", "qty", "price", "at", "note"]
      - { jsonpath: "$.rows[0].price", equals: 12.50 }
    capture: { price: "rows[0].price" }
  - sql: { service: db, query: "select $1::numeric * 2 as twice", params: ["{{ price }}"] }
    expect: rows[0].twice == 25.0
  - sql: { service: db, query: "update orders set state = 'shipped'; select state from orders" }
    expect: rows[0].state == "shipped"
  - sql: { service: db, query: "select 1 as a, 2 as a" }
    expect: rows[0].a_2 == 2
  - sql: { service: db, database: postgres, user: shop, password: db-pass, query: "select current_database() as name" }
    expect: rows[0].name == "postgres"
  - wait: { for: { sql: { service: db, query: "select 1 from orders where state = 'shipped'" } } }
"#).await;
}

async fn sql_types(world: &Arc<dyn World>) {
    for (expression, param, value) in [
        ("$1::bool", "true", "true"),
        ("$1::int2", "-5", "-5"),
        ("$1::int8", "9007199254740993", "9007199254740993"),
        ("$1::float8", "0.1", "0.1"),
        ("$1::float4", "0.1", "0.1"),
        (
            "$1::numeric",
            "\"123456789012345678901234567890.05\"",
            "123456789012345678901234567890.05",
        ),
        ("$1::text", "\"a\\u00e9\"", "\"a\\u00e9\""),
        ("$1::varchar", "12", "\"12\""),
        ("$1::jsonb", "{ a: [1.5, x] }", "{ a: [1.5, x] }"),
        ("$1::json", "\"[1, 2]\"", "[1, 2]"),
        (
            "$1::uuid",
            "b9c9e3f2-0d5e-4b9c-8f6a-0c8e2d1a5b7e",
            "b9c9e3f2-0d5e-4b9c-8f6a-0c8e2d1a5b7e",
        ),
        ("$1::date", "\"2024-02-29\"", "\"2024-02-29\""),
        ("$1::time", "\"12:34:56.5\"", "\"12:34:56.5\""),
        (
            "$1::timestamp",
            "\"2024-02-29T12:00:00\"",
            "\"2024-02-29T12:00:00\"",
        ),
        (
            "$1::timestamptz",
            "\"2024-02-29T12:00:00Z\"",
            "\"2024-02-29T12:00:00Z\"",
        ),
        ("$1::interval", "\"1 hour 30 minutes\"", "PT1H30M"),
        ("$1::bytea", "\"\\\\x00ff\"", "\"\\\\x00ff\""),
        ("$1::inet", "10.0.0.1/8", "10.0.0.1/8"),
        ("$1::int[]", "[1, 2, null]", "[1, 2, null]"),
        ("$1::text[]", "[]", "[]"),
        ("$1::text", "null", "null"),
        ("array[[1,2],[3,$1::int]]", "4", "[[1, 2], [3, 4]]"),
        (
            "(select r from (select 1 as x, $1::text as y) r)",
            "z",
            "\"\\u0000\\u0000\"",
        ),
    ] {
        if expression.contains("select r") {
            // A row without a named type comes as it is; only that it comes matters.
            passes(world, &format!("  - sql: {{ service: db, query: \"select {expression} as v\", params: [{param}] }}\n")).await;
            continue;
        }
        passes(world, &format!(
            "  - sql: {{ service: db, query: \"select {expression} as v\", params: [{param}] }}\n    expect: [ {{ jsonpath: \"$.rows[0].v\", equals: {value} }} ]\n"
        )).await;
    }
    passes(world, r#"
  - sql: { service: db, query: "create type mood as enum ('good', 'bad'); create domain small as int check (value < 10); create table kinds (m mood, s small)" }
  - sql: { service: db, query: "insert into kinds values ($1, $2) returning m, s", params: [good, 3] }
    expect: rows[0].m == "good" && rows[0].s == 3
"#).await;
}

async fn sql_errors(world: &Arc<dyn World>) {
    let step = fails(
        world,
        "  - sql: { service: db, query: \"select * from nothing\" }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Failed);
    assert_eq!(
        step.said(),
        [
            "select * from nothing: expected that the statement succeeds, got SQLSTATE 42P01: relation \"nothing\" does not exist"
        ]
    );
    passes(
        world,
        r#"
  - sql: { service: db, query: "select * from nothing", fails: "42P01" }
    expect: error.code == "42P01"
  - sql: { service: db, query: "select 1/0", fails: true }
"#,
    )
    .await;
    let step = fails(
        world,
        "  - sql: { service: db, query: \"select 1\", fails: true }\n",
    )
    .await;
    assert_eq!(
        step.said(),
        ["select 1: expected that the statement fails, got it succeeded"]
    );
    for (arguments, said) in [
        (
            "query: \"select $1::int\", params: [many]",
            "the parameter \"many\" is not of the type int4",
        ),
        (
            "query: \"select $1::int\"",
            "the statement has 1 parameters and `params` 0",
        ),
        (
            "query: \"select generate_series(1, 20000)\"",
            "more than 10000 rows",
        ),
        (
            "query: select 1, password: wrong",
            "no session in db:5432 as shop: SQLSTATE 28P01",
        ),
        ("query: select 1, port: 1", "db:1"),
    ] {
        let step = fails(world, &format!("  - sql: {{ service: db, {arguments} }}\n")).await;
        assert_eq!(step.outcome, Outcome::Errored, "{arguments}");
        assert!(step.error().contains(said), "{arguments}: {}", step.error());
    }
    // A cut connection is made anew.
    passes(world, r#"
  - sql: { service: db, query: "select 1" }
  - exec: { service: db, user: postgres, env: { PGPASSWORD: db-pass }, cmd: [psql, -h, 127.0.0.1, -U, shop, -c, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'prodmirror'"] }
  - retry: 3
    sql: { service: db, query: "select 2 as n" }
    expect: rows[0].n == 2
"#).await;
}

async fn redis(world: &Arc<dyn World>) {
    passes(
        world,
        r#"
  - redis: { service: redis, command: [SET, "a b", "{{ 1 + 1 }}"] }
    expect: value == "OK"
  - redis: { service: redis, command: [GET, "a b"] }
    expect: value == "2"
  - redis: { service: redis, command: EXISTS nothing }
    expect: value == 0
  - redis: { service: redis, command: GET nothing }
    expect: value == null
  - redis: { service: redis, command: [RPUSH, list, 1, two, 3.5] }
  - redis: { service: redis, command: LRANGE list 0 -1 }
    expect: value == ["1", "two", "3.5"]
  - redis: { service: redis, command: TTL list }
    expect: value == -1
"#,
    )
    .await;
    let step = fails(world, "  - redis: { service: redis, command: NOSUCH }\n").await;
    assert_eq!(step.outcome, Outcome::Failed);
    assert!(
        step.said()[0].contains("unknown command"),
        "{:?}",
        step.said()
    );
    let step = fails(
        world,
        "  - redis: { service: redis, command: PING, password: wrong }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert!(
        step.error().contains("no session in redis:6379"),
        "{}",
        step.error()
    );
}

async fn amqp(world: &Arc<dyn World>) {
    passes(world, r#"
  - amqp: { service: rabbitmq, declare: { queue: seen, bind: { exchange: amq.topic, routing_key: "order.*" } } }
    expect: depth == 0
  - amqp:
      service: rabbitmq
      publish:
        exchange: amq.topic
        routing_key: order.paid
        json: { id: 7 }
        headers: { attempt: 2 }
        properties: { message_id: m-1, type: order }
    expect: routed
  - amqp: { service: rabbitmq, publish: { queue: seen, text: hello } }
  - eventually: 5s
    amqp: { service: rabbitmq, queue: seen }
    expect: depth == 2
  - amqp: { service: rabbitmq, get: { queue: seen, ack: false } }
    expect: messages[0].json.id == 7
  - amqp: { service: rabbitmq, get: { queue: seen, count: 2, within: 5s } }
    expect:
      - messages.exists(m, m.body == "hello")
      - messages.exists(m, m.json != null && m.routing_key == "order.paid" && m.headers.attempt == 2 && m.message_id == "m-1" && m.type == "order" && m.redelivered)
  - amqp: { service: rabbitmq, get: { queue: seen, count: 0, within: 200ms } }
  - amqp: { service: rabbitmq, publish: { queue: seen, text: x } }
  - amqp: { service: rabbitmq, purge: seen }
    expect: purged == 1
  - amqp: { service: rabbitmq, user: shop, password: "{{ secrets.MQ }}", declare: { queue: kept, durable: true } }
  - amqp: { service: rabbitmq, queue: kept }
    expect: exists && depth == 0
"#).await;
    for (arguments, said) in [
        (
            "queue: nothing",
            "expected a queue of this name, got there is none",
        ),
        (
            "publish: { exchange: amq.direct, routing_key: nowhere, text: x }",
            "expected that the message reaches a queue, got no queue is bound there",
        ),
    ] {
        let step = fails(
            world,
            &format!("  - amqp: {{ service: rabbitmq, {arguments} }}\n"),
        )
        .await;
        assert_eq!(
            step.outcome,
            Outcome::Failed,
            "{arguments} {}",
            step.error()
        );
        assert!(
            step.said()[0].contains(said),
            "{arguments}: {:?}",
            step.said()
        );
    }
    let step = fails(world, "  - amqp: { service: rabbitmq, declare: { queue: lone } }\n  - amqp: { service: rabbitmq, get: { queue: lone, within: 200ms } }\n").await;
    assert!(
        step.said()[0].contains("expected 1 messages within 200ms, got 0 came"),
        "{:?}",
        step.said()
    );
    let step = fails(
        world,
        "  - amqp: { service: rabbitmq, password: wrong, queue: seen }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert!(
        step.error().contains("no session in rabbitmq:5672 as shop"),
        "{}",
        step.error()
    );
}

async fn exec(world: &Arc<dyn World>) {
    passes(world, r#"
  - exec: { service: talker, cmd: [sh, -c, "echo $GREETING $NAME; cat; pwd >&2; id -u"], env: { NAME: "{{ 1 + 1 }}" }, user: "10001", workdir: /tmp, stdin: "in\n" }
    expect:
      - stdout == "hello 2\nin\n10001\n"
      - stderr == "/tmp\n"
      - exit_code == 0
  - exec: { service: talker, cmd: "exit 3" }
    expect: exit_code == 3
  - exec: { service: talker, cmd: [echo, '{"a": [1]}'] }
    expect: json.a[0] == 1
"#).await;
    let step = fails(world, "  - exec: { service: talker, cmd: [\"false\"] }\n").await;
    assert_eq!(step.said(), ["exit_code: expected == 0, got 1"]);
    let step = fails(world, "  - exec: { service: talkre, cmd: [\"true\"] }\n").await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert!(step.error().contains("talkre"), "{}", step.error());
}

async fn logs(world: &Arc<dyn World>) {
    let say = |line: &str| {
        format!(
            "  - exec: {{ service: talker, cmd: [sh, -c, \"echo '{}' >> /tmp/say\"] }}\n",
            line.replace('"', "\\\"")
        )
    };
    let error = say(r#"{"level":"error","order_id":7,"http":{"status":500}}"#);
    let plain = say("something plain");
    passes(world, &format!(r#"
{error}{plain}
  - logs: {{ service: talker, any: plain, none: "started" }}
  - logs: {{ service: talker, any: started, since: stack }}
  - logs: {{ service: talker, any: {{ where: {{ level: error, order_id: 7, http.status: {{ ge: 500 }} }} }} }}
  - logs: {{ service: talker, any: {{ matches: 'order_id.:\d+', stream: stdout }} }}
  - logs: {{ service: talker, select: {{ where: {{ level: error }} }} }}
    expect: count == 1 && entries[0].http.status == 500
  - wait: {{ for: {{ log: {{ service: talker, contains: plain }} }} }}
  - id: later
{}
  - logs: {{ service: talker, since: later, any: late, none: plain }}
"#, say("late").replace("  - exec", "    exec"))).await;
    let step = fails(world, &format!("{error}  - logs: {{ service: talker, any: order_id }}\n  - logs: {{ service: talker, none: {{ where: {{ level: error }} }} }}\n")).await;
    assert_eq!(step.outcome, Outcome::Failed);
    assert!(step.said()[0].starts_with("logs of talker: none where level: expected no line where level, got 1 lines; the first: {\"level\":\"error\""), "{:?}", step.said());
    let step = fails(
        world,
        "  - logs: { service: talker, any: nothing, within: 100ms }\n",
    )
    .await;
    assert!(
        step.said()[0].contains("expected a line with \"nothing\", got none of the"),
        "{:?}",
        step.said()
    );
}

async fn names(world: &Arc<dyn World>) {
    for url in [
        "http://example.com/",
        "http://127.0.0.1:1/",
        "http://localhost:1/",
    ] {
        let step = fails(world, &format!("  - http: {{ url: \"{url}\" }}\n")).await;
        assert_eq!(step.outcome, Outcome::Errored, "{url}");
        assert_eq!(step.attempts, 1);
    }
}
