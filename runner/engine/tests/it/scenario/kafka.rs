//! `kafka` on brokers that announce themselves by names of the stack.

use std::sync::Arc;

use prodmirror_engine::step::{StackWorld, World};
use prodmirror_model::event::Outcome;

use super::services::image;
use super::{fails, passes};
use crate::live::plan::plan;
use crate::live::rig::on_engine;

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_brokers() {
    on_engine(|rig| async move {
        let topics = "TOPICS=orders:3,one:1,quiet:2,marked:2,many:1";
        let kafka = image("kafka", "kafka:1", &["ADVERTISED=kafka", "BROKERS=3", topics]);
        let lost = image("lost", "kafka:1", &["ADVERTISED=localhost", "TOPICS=orders:1"]);
        let plan = plan([kafka, lost]);
        let live = Arc::new(rig.up(plan.clone()).await.expect("the stack"));
        let world: Arc<dyn World> = Arc::new(StackWorld::new(live.clone(), &plan));
        passes(&world, "  - wait: { for: { log: { service: kafka, contains: announces } } }\n  - wait: { for: { log: { service: lost, contains: announces } } }\n").await;
        produced(&world).await;
        consumed(&world).await;
        marks(&world).await;
        refusals(&world).await;
        live.down(None).await;
    })
    .await;
}

/// What steps produce another client reads, and the other way round.
async fn produced(world: &Arc<dyn World>) {
    passes(world, r#"
  - kafka: { service: kafka, topics: true }
    expect: topics == ["many", "marked", "one", "orders", "quiet"] && partitions.orders == 3
  - id: first
    kafka:
      service: kafka
      produce: { topic: orders, key: a-little-bit-long-string, json: { id: "{{ 3 + 4 }}", to: ä }, headers: { attempt: 2, trace: t-1 } }
    expect: partition == 2 && offset == 0
  - kafka: { service: kafka, produce: { topic: orders, key: 7, text: plain, partition: 0 } }
    expect: partition == 0
  - kafka: { service: kafka, produce: { topic: orders, key: a-little-bit-long-string, tombstone: true } }
    expect: partition == 2 && offset == 1
  - exec: { service: kafka, cmd: "kcat -q -b localhost:9092 -C -t orders -p 2 -e -J" }
    expect:
      - stdout.contains('"key":"a-little-bit-long-string"') && stdout.contains('"headers":["attempt","2","trace","t-1"]') && stdout.contains('"payload":null')
      - stdout.contains("{\\\"id\\\":7,")
  - exec: { service: kafka, cmd: "for n in 1 2 3; do echo \"key-$n:{\\\"n\\\": $n}\"; done | kcat -b localhost:9092 -P -t one -K: -H source=kcat" }
  - kafka: { service: kafka, consume: { topic: one, count: 3 } }
    expect:
      - messages.map(m, m.json.n) == [1, 2, 3] && messages[0].key == "key-1"
      - messages[2].headers.source == "kcat" && messages[2].offset == 2 && messages[2].partition == 0
      - timestamp(messages[0].timestamp) > timestamp("2024-01-01T00:00:00Z")
      - 'offsets == {"0": 3}'
"#).await;
}

async fn consumed(world: &Arc<dyn World>) {
    passes(world, r#"
  - kafka: { service: kafka, consume: { topic: orders, where: { id: { ge: 7 } } } }
    expect: messages[0].key == "a-little-bit-long-string" && messages[0].headers.attempt == "2" && messages[0].json.to == "ä"
  # A scenario sees each message once, unless it says where to begin.
  - kafka: { service: kafka, consume: { topic: orders, where: { id: 7 }, count: 0, within: 600ms } }
  - kafka: { service: kafka, consume: { topic: orders, where: { id: 7 }, from: beginning } }
  - kafka: { service: kafka, consume: { topic: orders, key: a-little-bit-long-string, from: 1, partition: 2 } }
    expect: messages[0].body == null && messages[0].json == null && messages[0].offset == 1
  - kafka: { service: kafka, consume: { topic: orders, key: "{{ 7 }}", from: beginning } }
    expect: messages[0].body == "plain" && messages[0].partition == 0
  - kafka: { service: kafka, consume: { topic: orders, from: end, count: 0, within: 600ms } }
  # More than one look gives: some megabytes, taken in two steps.
  - exec: { service: kafka, cmd: "python3 -c \"for n in range(400): print(str(n) + ':' + 'x' * 10000)\" | kcat -b localhost:9092 -P -t many -K:" }
  - kafka: { service: kafka, consume: { topic: many, count: 150, within: 30s } }
    expect: messages[149].key == "149"
  - kafka: { service: kafka, consume: { topic: many, count: 250, within: 30s } }
    expect: messages[0].key == "150" && messages[249].key == "399" && offsets["0"] == 400
  - kafka: { service: kafka, consume: { topic: many, count: 0, within: 300ms } }
"#).await;
}

async fn marks(world: &Arc<dyn World>) {
    passes(
        world,
        r#"
  - kafka: { service: kafka, produce: { topic: marked, text: before, partition: 1 } }
  - kafka: { service: kafka, mark: { topic: marked, as: before the act } }
    expect: 'offsets == {"0": 0, "1": 1}'
  - parallel:
      - kafka: { service: kafka, consume: { topic: marked, since: before the act, within: 20s } }
        expect: messages[0].body == "after"
      - kafka: { service: kafka, produce: { topic: marked, text: after, partition: 1 } }
  - kafka: { service: kafka, consume: { topic: marked, since: before the act } }
    expect: messages[0].body == "after" && messages[0].offset == 1
  - kafka: { service: kafka, consume: { topic: marked, count: 2, from: beginning } }
    expect: messages.map(m, m.body) == ["before", "after"]
"#,
    )
    .await;
}

async fn refusals(world: &Arc<dyn World>) {
    for (arguments, said) in [
        (
            "consume: { topic: quiet, within: 300ms, where: { id: 7 } }",
            "consume 1 from quiet where id: expected 1 messages within 300ms, got 0 came",
        ),
        (
            "consume: { topic: one, count: 0, within: 5s }",
            "consume 0 from one: expected no message within 5s, got 1 came",
        ),
        (
            "produce: { topic: orders, text: x, partition: 9 }",
            "produce to orders: expected a partition 9, got the topic has the partitions [0, 1, 2]",
        ),
    ] {
        let step = fails(
            world,
            &format!("  - kafka: {{ service: kafka, {arguments} }}\n"),
        )
        .await;
        assert_eq!(
            step.outcome,
            Outcome::Failed,
            "{arguments} {}",
            step.error()
        );
        assert_eq!(step.said(), [said]);
    }
    for (arguments, said) in [
        (
            "service: kafka, consume: { topic: one, since: never }",
            "no step before has set the mark `never`",
        ),
        ("service: kafka, port: 1, topics: true", "kafka:1"),
        // These brokers know neither; that is told, within the step's own limit.
        ("service: kafka, create_topic: audit", "kafka:9092"),
        (
            "service: kafka, user: u, password: p, mechanism: scram-sha-256, topics: true",
            "kafka:9092",
        ),
        ("service: nobody, topics: true", "nobody"),
        (
            "service: lost, produce: { topic: orders, text: x }",
            "a broker announces itself as localhost:9092, which steps cannot reach",
        ),
    ] {
        let step = fails(world, &format!("  - kafka: {{ {arguments} }}\n")).await;
        assert_eq!(
            step.outcome,
            Outcome::Errored,
            "{arguments} {:?}",
            step.said()
        );
        assert!(step.error().contains(said), "{arguments}: {}", step.error());
    }
}
