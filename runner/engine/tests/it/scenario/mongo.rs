//! `mongo` on a server that speaks MongoDB's protocol.

use std::sync::Arc;

use prodmirror_engine::step::{StackWorld, World};
use prodmirror_model::event::Outcome;
use prodmirror_model::plan::FileContent;
use prodmirror_model::secret::Secret;

use super::services::image;
use super::{fails, passes};
use crate::live::plan::plan;
use crate::live::rig::on_engine;

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_a_database() {
    on_engine(|rig| async move {
        let named = [
            "MONGO_INITDB_ROOT_USERNAME=shop",
            "MONGO_INITDB_ROOT_PASSWORD_FILE=/run/secrets/mongo",
            "MONGO_INITDB_DATABASE=shop",
        ];
        let mongo = image("mongo", "mongo:1", &named).file(
            "/run/secrets/mongo",
            FileContent::Secret(Secret::new("m=ngo,pass")),
        );
        let open = image("open", "mongo:1", &[]);
        let redis = image("redis", "redis:7.0", &[]);
        let plan = plan([mongo, open, redis]);
        let live = Arc::new(rig.up(plan.clone()).await.expect("the stack"));
        let world: Arc<dyn World> = Arc::new(StackWorld::new(live.clone(), &plan));
        let ready: String = ["mongo:27017", "open:27017", "redis:6379"]
            .map(|p| format!("  - wait: {{ for: {{ tcp: \"{p}\" }} }}\n"))
            .concat();
        passes(&world, &ready).await;
        documents(&world).await;
        sums(&world).await;
        many(&world).await;
        errors(&world).await;
        who(&world).await;
        again(&world).await;
        live.down(None).await;
    })
    .await;
}

async fn documents(world: &Arc<dyn World>) {
    passes(world, r#"
  - id: made
    mongo:
      service: mongo
      collection: orders
      insert: [{ state: new, qty: "{{ 1 + 1 }}" }, { _id: 7, state: new, qty: 3, at: { $date: "2024-02-29T12:00:00Z" }, in: { a: [1, null] } }]
    expect: count == 2 && inserted_ids[1] == 7 && size(inserted_ids[0]["$oid"]) == 24 && error == null
  # What came can stand in a filter.
  - mongo: { service: mongo, collection: orders, find: { filter: { _id: "{{ steps.made.inserted_ids[0] }}" } } }
    expect: count == 1 && docs[0].qty == 2 && docs[0]._id == steps.made.inserted_ids[0]
  - id: seven
    mongo: { service: mongo, collection: orders, find: { filter: { qty: { $gt: 2 } } } }
    expect:
      - docs == [{"_id":7,"state":"new","qty":3,"at":{"$date":"2024-02-29T12:00:00Z"},"in":{"a":[1,null]}}]
      - { jsonpath: "$.docs[0].in.a", equals: [1, null] }
  - mongo: { service: mongo, collection: orders, find: { filter: { at: "{{ steps.seven.docs[0].at }}" }, projection: { qty: 1, _id: 0 } } }
    expect: docs == [{"qty":3}]
  - mongo: { service: mongo, collection: orders, update: { filter: { _id: 7 }, update: { $set: { state: "{{ 'pa' ~ 'id' }}" }, $inc: { qty: 2 } } } }
    expect: matched == 1 && modified == 1 && upserted_id == null
  - mongo: { service: mongo, collection: orders, update: { filter: { _id: 8 }, update: { $set: { state: late } }, upsert: true } }
    expect: matched == 0 && modified == 0 && upserted_id == 8
  - mongo: { service: mongo, collection: orders, find: { sort: { qty: -1, _id: 1 }, limit: 2 } }
    expect: docs.map(d, d.qty) == [5, 2]
  - mongo: { service: mongo, collection: orders, find: { sort: { state: 1 }, skip: 1, limit: 1 } }
    expect: docs[0].state == "new"
  - mongo: { service: mongo, collection: orders, update: { filter: {}, update: { $set: { seen: true } }, many: true } }
    expect: matched == 3 && modified == 3
  - mongo: { service: mongo, collection: orders, count: { filter: { seen: true } } }
    expect: count == 3
  - mongo: { service: mongo, collection: orders, count: {} }
    expect: count == 3
  - mongo: { service: mongo, collection: orders, delete: { filter: { seen: true } } }
    expect: deleted == 1
  - mongo: { service: mongo, collection: orders, delete: { filter: { seen: true }, many: true } }
    expect: deleted == 2
  - mongo: { service: mongo, collection: orders, find: { filter: {} } }
    expect: count == 0 && docs == []
"#).await;
}

async fn sums(world: &Arc<dyn World>) {
    passes(world, r#"
  - mongo: { service: mongo, database: sales, collection: lines, insert: [{ sku: A, qty: 1 }, { sku: A, qty: 2 }, { sku: B, qty: 5 }] }
  - mongo:
      service: mongo
      database: sales
      collection: lines
      aggregate: [{ $group: { _id: $sku, total: { $sum: $qty } } }, { $sort: { _id: 1 } }]
    expect: docs == [{"_id":"A","total":3},{"_id":"B","total":5}] && count == 2
  - mongo: { service: mongo, database: sales, command: { listCollections: 1 } }
    expect: result.ok == 1.0 && result.cursor.firstBatch[0].name == "lines"
  - mongo: { service: mongo, database: sales, command: { drop: lines } }
  - mongo: { service: mongo, database: sales, collection: lines, count: {} }
    expect: count == 0
"#).await;
}

/// More than the server gives at once, and more than a step may read.
async fn many(world: &Arc<dyn World>) {
    let documents: Vec<String> = (0..6000).map(|n| format!("{{_id: {n}}}")).collect();
    let documents = documents.join(", ");
    let large = "x".repeat(1_000_000);
    passes(
        world,
        &format!(
            r#"
  - mongo: {{ service: open, database: big, collection: numbers, insert: [{documents}] }}
    expect: count == 6000
  - mongo: {{ service: open, database: big, collection: numbers, find: {{ sort: {{ _id: 1 }} }} }}
    expect: count == 6000 && docs[5999]._id == 5999
  - mongo: {{ service: open, database: big, collection: large, insert: {{ text: {large} }} }}
  - mongo: {{ service: open, database: big, collection: large, find: {{}} }}
    expect: size(docs[0].text) == 1000000
"#
        ),
    )
    .await;
    let twice = r#"  - mongo: { service: open, database: big, collection: numbers, aggregate: [{ $project: { n: [1, 2] } }, { $unwind: "$n" }] }
"#;
    let twenty = r#"  - for_each: "{{ range(end=20) }}"
    steps:
      - mongo: { service: open, database: big, collection: large, insert: { text: "{{ text }}" } }
  - mongo: { service: open, database: big, collection: large, find: {} }
"#
    .replace("{{ text }}", &large);
    for steps in [twice, &twenty] {
        let step = fails(world, steps).await;
        assert_eq!(step.outcome, Outcome::Errored);
        let said = "the answer has more than 10000 documents or 16 MiB";
        assert!(step.error().contains(said), "{}", step.error());
    }
}

async fn errors(world: &Arc<dyn World>) {
    passes(
        world,
        r#"
  - mongo: { service: mongo, collection: keys, insert: { _id: 1 } }
  - mongo: { service: mongo, collection: keys, insert: { _id: 1 }, fails: 11000 }
    expect: error.code == 11000 && error.index == 0
  - mongo: { service: mongo, collection: keys, insert: { _id: 1 }, fails: true }
  - mongo: { service: mongo, command: { drop: nothing }, fails: NamespaceNotFound }
    expect: error.name == "NamespaceNotFound" && error.message.contains("ns not found")
"#,
    )
    .await;
    for (arguments, said) in [
        (
            "collection: keys, insert: [{ _id: 2 }, { _id: 1 }]",
            "insert in shop.keys: expected that the operation succeeds, got document 1: error 11000: E11000 Duplicate Key Error",
        ),
        (
            "collection: keys, insert: { _id: 3 }, fails: 11000",
            "insert in shop.keys: expected that the operation fails with error 11000, got it succeeded",
        ),
        (
            "command: { noSuch: 1 }",
            "command in shop: expected that the operation succeeds, got error 59 (CommandNotFound): no such command: 'noSuch'",
        ),
    ] {
        let step = fails(
            world,
            &format!("  - mongo: {{ service: mongo, {arguments} }}\n"),
        )
        .await;
        assert_eq!(step.outcome, Outcome::Failed, "{arguments}");
        assert_eq!(step.said(), [said]);
    }
    for (arguments, said) in [
        (
            "collection: \"{{ 'a$b' }}\", count: {}",
            "\"a$b\" cannot be the name of a collection",
        ),
        (
            "database: a.b, collection: a, count: {}",
            "\"a.b\" cannot be the name of a database",
        ),
        (
            "collection: a, find: { filter: { _id: { $oid: zz } } }",
            "`filter` cannot be sent",
        ),
        (
            "collection: a, find: { filter: \"{{ [1] }}\" }",
            "`filter` takes a mapping",
        ),
        (
            "collection: a, update: { filter: {}, update: { state: paid } }",
            "write `update: { $set: { state: paid } }`",
        ),
    ] {
        let step = fails(
            world,
            &format!("  - mongo: {{ service: mongo, {arguments} }}\n"),
        )
        .await;
        assert_eq!(step.outcome, Outcome::Errored, "{arguments}");
        assert!(step.error().contains(said), "{arguments}: {}", step.error());
    }
}

async fn who(world: &Arc<dyn World>) {
    passes(world, r#"
  - mongo: { service: mongo, user: shop, password: "m=ngo,pass", auth_database: admin, command: { ping: 1 } }
  - mongo: { service: open, database: any, command: { ping: 1 } }
"#)
    .await;
    for (arguments, said) in [
        (
            "service: mongo, user: shop, password: wrong",
            "no session in mongo:27017 as shop: ",
        ),
        (
            "service: redis, port: 6379, database: a",
            "no session in redis:6379: ",
        ),
        ("service: mongo, port: 1", "mongo:1"),
        ("service: open", "the environment of open names none"),
    ] {
        let begun = std::time::Instant::now();
        let step = fails(
            world,
            &format!("  - mongo: {{ {arguments}, command: {{ ping: 1 }} }}\n"),
        )
        .await;
        assert_eq!(step.outcome, Outcome::Errored, "{arguments}");
        assert!(step.error().contains(said), "{arguments}: {}", step.error());
        assert!(!step.error().contains("wrong"), "{}", step.error());
        assert!(
            begun.elapsed().as_secs() < 20,
            "{arguments}: {:?}",
            begun.elapsed()
        );
    }
}

/// A connection that is lost is made anew.
async fn again(world: &Arc<dyn World>) {
    passes(
        world,
        r#"
  - mongo: { service: open, database: a, command: { ping: 1 } }
  - restart: { service: open }
  - eventually: 60s
    retry: 20
    mongo: { service: open, database: a, collection: b, count: {} }
    expect: count == 0
"#,
    )
    .await;
}
