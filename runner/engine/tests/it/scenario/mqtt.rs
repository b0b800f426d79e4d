//! `mqtt` against real brokers, and against ports that speak something else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_engine::step::{StackWorld, World};
use prodmirror_model::event::Outcome;
use prodmirror_model::plan::{FileContent, Plan};
use prodmirror_model::secret::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::local::Local;
use super::services::image;
use super::site::site;
use super::tcp::{closes, endless, nobody, resets, serve};
use super::{fails, passes};
use crate::live::plan::plan;
use crate::live::rig::on_engine;

/// A broker where anyone may subscribe to what is under `shop`, and to nothing else.
const RULES: &str = "listener 1883
log_dest stderr
plugin /usr/lib/mosquitto_dynamic_security.so
plugin_opt_config_file /etc/mosquitto/rules.json
";
const ROLES: &str = r#"{
  "defaultACLAccess": {
    "publishClientSend": true, "publishClientReceive": true, "subscribe": false, "unsubscribe": true
  },
  "anonymousGroup": "anyone",
  "groups": [{ "groupname": "anyone", "roles": [{ "rolename": "reader" }] }],
  "roles": [{
    "rolename": "reader",
    "acls": [{ "acltype": "subscribePattern", "topic": "shop/#", "allow": true }]
  }]
}"#;

fn stack() -> Plan {
    let broker = |name: &str, env: &[&str]| image(name, "mosquitto:2.0", env);
    plan([
        broker(
            "mosquitto",
            &["MQTT_USER=shop", "MQTT_PASSWORD_FILE=/run/secrets/mqtt"],
        )
        .file(
            "/run/secrets/mqtt",
            FileContent::Secret(Secret::new("mq-pass")),
        ),
        broker("open", &[]),
        broker("rules", &[])
            .file(
                "/etc/mosquitto/mosquitto.conf",
                FileContent::Text(RULES.to_owned()),
            )
            .file(
                "/etc/mosquitto/rules.json",
                FileContent::Text(ROLES.to_owned()),
            ),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_on_real_brokers() {
    on_engine(|rig| async move {
        let plan = stack();
        let live = Arc::new(rig.up(plan.clone()).await.expect("the stack"));
        let world: Arc<dyn World> = Arc::new(StackWorld::new(live.clone(), &plan));
        passes(
            &world,
            r#"
  - wait: { for: { tcp: "mosquitto:1883" } }
  - wait: { for: { tcp: "open:1883" } }
  - wait: { for: { tcp: "rules:1883" } }
"#,
        )
        .await;
        messages(&world).await;
        subscriptions(&world).await;
        who(&world).await;
        the_broker_goes(&world).await;
        live.down(None).await;
    })
    .await;
}

async fn messages(world: &Arc<dyn World>) {
    passes(world, r#"
  - mqtt: { service: mosquitto, subscribe: { topics: ["shop/+/paid", "stock/#"], qos: 2, as: seen } }
    expect: topics == ["shop/+/paid", "stock/#"] && subscription == "seen"
  - mqtt: { service: mosquitto, publish: { topic: "shop/{{ 6 + 1 }}/paid", json: { id: "{{ 6 + 1 }}" } } }
    expect: topic == "shop/7/paid"
  - mqtt: { service: mosquitto, publish: { topic: stock/A1, text: "3", qos: 2 } }
  - mqtt: { service: mosquitto, publish: { topic: stock/A1/x, base64: "/wA=", qos: 0 } }
  - mqtt: { service: mosquitto, publish: { topic: stock } }
  - mqtt: { service: mosquitto, publish: { topic: shop/7/sent, text: x } }
  - mqtt: { service: mosquitto, get: { from: seen, count: 4, within: 20s } }
    expect:
      - count == 4 && lost == 0
      - messages.exists(m, m.topic == "shop/7/paid" && m.json != null && m.json.id == 7 && m.qos == 1 && !m.retain)
      - messages.exists(m, m.topic == "stock/A1" && m.body == "3" && m.qos == 2)
      - messages.exists(m, m.topic == "stock/A1/x" && m.bytes == 2 && m.base64 == "/wA=" && m.qos == 0)
      - messages.exists(m, m.topic == "stock" && m.bytes == 0)
  - mqtt: { service: mosquitto, get: { count: 0, within: 200ms } }
  - mqtt: { service: mosquitto, publish: { topic: stock/A1, json: { qty: 1 } } }
  - mqtt: { service: mosquitto, publish: { topic: stock/B2, json: { qty: 9 } } }
  - mqtt: { service: mosquitto, get: { within: 20s, where: { qty: { gt: 5 } }, ack: false } }
  - mqtt: { service: mosquitto, get: { within: 20s, where: { qty: { gt: 5 } } } }
    expect: messages[0].topic == "stock/B2"
  - mqtt: { service: mosquitto, drain: seen }
    expect: count == 1 && messages[0].topic == "stock/A1"
  - mqtt: { service: mosquitto, drain: seen }
    expect: count == 0
"#).await;
    // What is retained comes to who subscribes later, until nothing is retained.
    passes(
        world,
        r#"
  - mqtt: { service: mosquitto, publish: { topic: state/door, text: open, retain: true } }
  - mqtt: { service: mosquitto, subscribe: { topic: state/door, as: late } }
  - mqtt: { service: mosquitto, get: { from: late, within: 20s } }
    expect: messages[0].body == "open" && messages[0].retain
  - mqtt: { service: mosquitto, publish: { topic: state/door, retain: true } }
  - mqtt: { service: mosquitto, subscribe: { topic: state/door, as: later } }
  - mqtt: { service: mosquitto, get: { from: later, count: 0, within: 300ms } }
"#,
    )
    .await;
    // Several at the same time, each with its own answer.
    passes(
        world,
        r#"
  - mqtt: { service: mosquitto, subscribe: { topic: many, as: many } }
  - race:
      branches:
        - mqtt: { service: mosquitto, publish: { topic: many, json: { n: 1 }, qos: 2 } }
        - mqtt: { service: mosquitto, publish: { topic: many, json: { n: 2 } } }
        - mqtt: { service: mosquitto, publish: { topic: many, json: { n: 3 }, qos: 0 } }
      runs: 5
      spread: 0s
  - mqtt: { service: mosquitto, get: { from: many, count: 15, within: 20s } }
    expect: messages.filter(m, m.json.n == 1).size() == 5
"#,
    )
    .await;
}

async fn subscriptions(world: &Arc<dyn World>) {
    for (steps, outcome, said) in [
        (
            "  - mqtt: { service: open, subscribe: { topic: a } }\n  - mqtt: { service: open, get: { count: 2, within: 200ms } }\n",
            Outcome::Failed,
            "get 2 from a: expected 2 messages within 200ms, got 0 came",
        ),
        (
            "  - mqtt: { service: open, subscribe: { topic: a } }\n  - mqtt: { service: open, publish: { topic: a } }\n  - mqtt: { service: open, get: { count: 0, within: 20s } }\n",
            Outcome::Failed,
            "get 0 from a: expected no message within 20s, got 1 came",
        ),
        (
            "  - mqtt: { service: open, get: {} }\n",
            Outcome::Errored,
            "there is no subscription to open",
        ),
        (
            "  - mqtt: { service: open, publish: { topic: \"{{ 'a/#' }}\" } }\n",
            Outcome::Errored,
            "`a/#` is not a topic: a message goes to one topic",
        ),
        (
            "  - mqtt: { service: open, subscribe: { topic: \"{{ 'a#' }}\" } }\n",
            Outcome::Errored,
            "`a#` is not a topic",
        ),
        (
            "  - mqtt: { service: rules, subscribe: { topics: [shop/a, secret/a] } }\n",
            Outcome::Failed,
            "subscribe to shop/a, secret/a: expected that the broker allows it, got it refuses secret/a",
        ),
    ] {
        let step = fails(world, steps).await;
        assert_eq!(step.outcome, outcome, "{steps}: {}", step.error());
        let told = format!("{} {:?}", step.error(), step.said());
        assert!(told.contains(said), "{steps}: {told}");
    }
}

async fn who(world: &Arc<dyn World>) {
    passes(
        world,
        r#"
  - mqtt: { service: mosquitto, user: shop, password: mq-pass, publish: { topic: a } }
  - mqtt: { service: open, publish: { topic: a } }
"#,
    )
    .await;
    let step = fails(
        world,
        "  - mqtt: { service: mosquitto, password: wrong, publish: { topic: a } }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert_eq!(
        step.error(),
        "no session in mosquitto:1883 as shop: the broker does not know this user with this password"
    );
}

async fn the_broker_goes(world: &Arc<dyn World>) {
    let step = fails(
        world,
        r#"
  - mqtt: { service: open, subscribe: { topic: a, as: seen } }
  - mqtt: { service: open, publish: { topic: a, text: x } }
  - exec: { service: open, cmd: "kill 1" }
    expect: exit_code >= 0
  - mqtt: { service: open, get: { from: seen, within: 20s } }
    expect: messages[0].body == "x"
  - mqtt: { service: open, get: { from: seen, count: 0, within: 20s } }
"#,
    )
    .await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert_eq!(
        step.error(),
        "open:1883: seen: 0 messages came; the connection was lost: the connection was closed"
    );
    let step = fails(
        world,
        "  - mqtt: { service: open, publish: { topic: a } }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert!(step.error().contains("open:1883"), "{}", step.error());
}

#[tokio::test]
async fn ports_where_no_broker_is() {
    // A broker that agrees to a session and then says what is given.
    let then = |bytes: &'static [u8]| {
        serve(move |mut s| async move {
            let mut hello = [0; 1024];
            let _ = s.read(&mut hello).await;
            let _ = s.write_all(&[0x20, 2, 0, 0]).await;
            let _ = s.read(&mut hello).await;
            let _ = s.write_all(bytes).await;
            let _ = s.read(&mut hello).await;
        })
    };
    let banner = serve(|mut s| async move {
        let _ = s
            .write_all(b"220 mail.example ESMTP ready for you\r\n")
            .await;
        let _ = s.read(&mut [0; 1]).await;
    });
    let world = Local::default()
        .host("nobody", 1883, nobody().await)
        .host("closes", 1883, closes().await)
        .host("resets", 1883, resets().await)
        .host("endless", 1883, endless().await)
        .host("mail", 1883, banner.await)
        .host("site", 1883, site().await)
        // An acknowledgement of something that was never sent.
        .host("liar", 1883, then(&[0x40, 2, 0x12, 0x34]).await)
        // A packet of 200 MiB, said to come.
        .host("large", 1883, then(&[0x30, 0x80, 0x80, 0x80, 0x64]).await)
        // A message whose topic is longer than the packet.
        .host("short", 1883, then(&[0x30, 3, 0xff, 0xff, b'a']).await)
        // A message whose topic is no UTF-8.
        .host("bytes", 1883, then(&[0x30, 4, 0, 2, 0xff, 0xfe]).await)
        .world();
    let begun = Instant::now();
    for (host, said) in [
        (
            "nobody",
            "no session in nobody:1883 as nobody: I/O: Connection refused",
        ),
        ("closes", "no session in closes:1883 as nobody: "),
        ("resets", "no session in resets:1883 as nobody: "),
        (
            "endless",
            "no session in endless:1883 as nobody: what answers there does not speak MQTT",
        ),
        (
            "mail",
            "no session in mail:1883 as nobody: what answers there does not speak MQTT",
        ),
        ("site", "no session in site:1883 as nobody: "),
        ("liar", "the connection was lost: "),
        (
            "large",
            "the connection was lost: what answers there does not speak MQTT",
        ),
        (
            "short",
            "the connection was lost: what answers there does not speak MQTT",
        ),
        (
            "bytes",
            "the connection was lost: what answers there does not speak MQTT",
        ),
        ("other", "not part of the stack"),
    ] {
        let step = fails(
            &world,
            &format!("  - mqtt: {{ service: {host}, publish: {{ topic: a }} }}\n"),
        )
        .await;
        assert_eq!(step.outcome, Outcome::Errored, "{host}");
        assert!(step.error().contains(said), "{host}: {}", step.error());
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
}
