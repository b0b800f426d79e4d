//! `nats` against real servers, and against ports that speak something else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_engine::run::{CaseOptions, Stop};
use prodmirror_engine::step::{StackWorld, World};
use prodmirror_model::event::Outcome;
use prodmirror_model::plan::{FileContent, Plan};
use prodmirror_model::secret::Secret;
use prodmirror_model::source::SourceFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::local::Local;
use super::services::image;
use super::site::site;
use super::tcp::{closes, endless, nobody, resets, serve, silent};
use super::tls::Authority;
use super::{Said, fails, passes, played_with, programs_of};
use crate::live::plan::plan;
use crate::live::rig::on_engine;

/// Who may do what: `ann` nothing but what is hers.
const RULES: &str = r#"
listen: "0.0.0.0:4222"
jetstream { store_dir: "/data" }
authorization {
  users: [
    { user: ann, password: "a-pass", permissions: { publish: "mine.>", subscribe: "mine.>" } }
  ]
}
"#;

fn stack() -> Plan {
    let nats = |name: &str, env: &[&str]| image(name, "nats:2.9", env);
    plan([
        nats(
            "nats",
            &["NATS_USER=shop", "NATS_PASSWORD_FILE=/run/secrets/nats"],
        )
        .file(
            "/run/secrets/nats",
            FileContent::Secret(Secret::new("n\"-pass")),
        ),
        nats("token", &[]).secret_env("NATS_TOKEN", "t-oken"),
        nats("open", &[]),
        nats("rules", &[]).file("/etc/nats/nats.conf", FileContent::Text(RULES.to_owned())),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_on_real_servers() {
    on_engine(|rig| async move {
        let plan = stack();
        let live = Arc::new(rig.up(plan.clone()).await.expect("the stack"));
        let secrets: BTreeMap<String, Secret> =
            [("TOKEN".to_owned(), Secret::new("t-oken"))].into();
        let world: Arc<dyn World> =
            Arc::new(StackWorld::new(live.clone(), &plan).with_secrets(secrets));
        passes(
            &world,
            r#"
  - wait: { for: { tcp: "nats:4222" } }
  - wait: { for: { tcp: "token:4222" } }
  - wait: { for: { tcp: "open:4222" } }
  - wait: { for: { tcp: "rules:4222" } }
"#,
        )
        .await;
        messages(&world).await;
        subscriptions(&world).await;
        who(&world).await;
        streams(&world).await;
        permissions(&world).await;
        the_server_goes(&world).await;
        live.down(None).await;
    })
    .await;
}

async fn messages(world: &Arc<dyn World>) {
    passes(world, r#"
  - nats: { service: nats, subscribe: { subject: "orders.*", as: seen } }
    expect: subject == "orders.*" && subscription == "seen"
  - nats: { service: nats, publish: { subject: orders.paid, json: { id: "{{ 6 + 1 }}" }, headers: { Trace: "t-{{ 1 + 1 }}" } } }
    expect: subject == "orders.paid"
  - nats: { service: nats, publish: { subject: orders.sent, text: "no json" } }
  - nats: { service: nats, publish: { subject: orders.raw, base64: "/wA=" } }
  - nats: { service: nats, publish: { subject: orders.empty } }
  - nats: { service: nats, publish: { subject: other.paid, text: x } }
  - nats: { service: nats, get: { from: seen, count: 4, within: 20s } }
    expect:
      - count == 4 && lost == 0
      - messages[0].subject == "orders.paid" && messages[0].json.id == 7
      - messages[0].headers.Trace == "t-2" && messages[0].reply == null
      - messages[1].body == "no json" && messages[1].json == null
      - messages[2].base64 == "/wA=" && messages[2].bytes == 2
      - messages[3].bytes == 0 && messages[3].headers.size() == 0
  - nats: { service: nats, get: { from: seen, count: 0, within: 200ms } }
  - nats: { service: nats, publish: { subject: orders.a, json: { id: 1, total: 5 } } }
  - nats: { service: nats, publish: { subject: orders.b, json: { id: 2, total: 50 } } }
  - nats: { service: nats, get: { within: 20s, where: { total: { gt: 10 } }, ack: false } }
    expect: messages[0].json.id == 2
  - nats: { service: nats, get: { within: 20s, where: { total: { gt: 10 } } } }
    expect: messages[0].json.id == 2
  - nats: { service: nats, drain: seen }
    expect: count == 1 && messages[0].json.id == 1
  - nats: { service: nats, drain: seen }
    expect: count == 0
"#).await;
    // Someone who answers: another subscription, and a step for each side at the same time.
    passes(world, r#"
  - nats: { service: nats, subscribe: { subject: price, as: asked } }
  - parallel:
      - nats: { service: nats, request: { subject: price, json: { sku: A1 }, headers: { H: h }, within: 20s } }
        expect: json.cents == 250 && body == '{"cents":250}' && headers.size() == 0 && messages.size() == 1
      - - nats: { service: nats, get: { from: asked, within: 20s } }
          expect: messages[0].json.sku == "A1" && messages[0].headers.H == "h"
          capture: { reply: "messages[0].reply" }
        - nats: { service: nats, publish: { subject: "{{ reply }}", json: { cents: 250 } } }
"#).await;
    for (arguments, said) in [
        (
            "request: { subject: nobody.there }",
            "nats:4222: nobody answers requests on nobody.there",
        ),
        (
            "publish: { subject: \"{{ 'a b' }}\" }",
            "`a b` is not a subject: it has a blank in it",
        ),
        (
            "publish: { subject: a, headers: { \"{{ 'a:b' }}\": x } }",
            "the header `a:b` cannot be sent",
        ),
        (
            "publish: { subject: a, base64: \"{{ '*' }}\" }",
            "this is not base64",
        ),
    ] {
        let step = fails(
            world,
            &format!("  - nats: {{ service: nats, {arguments} }}\n"),
        )
        .await;
        assert_eq!(step.outcome, Outcome::Errored, "{arguments}");
        assert!(step.error().contains(said), "{arguments}: {}", step.error());
    }
    let step = fails(
        world,
        "  - nats: { service: nats, subscribe: { subject: silence } }\n  - nats: { service: nats, request: { subject: silence, within: 300ms } }\n",
    )
    .await;
    assert_eq!(
        step.error(),
        "nats:4222: no reply from silence within 300ms"
    );
    let large = format!(
        "  - nats: {{ service: nats, publish: {{ subject: a, text: \"{}\" }} }}\n",
        "x".repeat(1_100_000)
    );
    let step = fails(world, &large).await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert!(step.error().contains("payload"), "{}", step.error());
}

async fn subscriptions(world: &Arc<dyn World>) {
    let step = fails(
        world,
        "  - nats: { service: nats, subscribe: { subject: \"a.>\" } }\n  - nats: { service: nats, get: { count: 2, within: 200ms, where: { id: 1 } } }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Failed);
    assert_eq!(
        step.said(),
        ["get 2 from a.> where id: expected 2 messages where id within 200ms, got 0 came"]
    );
    let step = fails(
        world,
        "  - nats: { service: nats, subscribe: { subject: a, as: s } }\n  - nats: { service: nats, publish: { subject: a, text: x } }\n  - nats: { service: nats, get: { from: s, count: 0, within: 20s } }\n",
    )
    .await;
    assert_eq!(
        step.said(),
        ["get 0 from s: expected no message within 20s, got 1 came"]
    );
    for (steps, said) in [
        (
            "  - nats: { service: nats, get: {} }\n",
            "there is no subscription to nats",
        ),
        (
            "  - nats: { service: nats, subscribe: { subject: a, as: seen } }\n  - nats: { service: nats, drain: sean }\n",
            "did you mean `seen`?",
        ),
        (
            "  - nats: { service: nats, subscribe: { subject: a } }\n  - nats: { service: nats, subscribe: { subject: b } }\n  - nats: { service: nats, get: {} }\n",
            "say which with `from`: a, b",
        ),
    ] {
        let step = fails(world, steps).await;
        assert_eq!(step.outcome, Outcome::Errored);
        assert!(step.error().contains(said), "{}", step.error());
    }
    // Of a group, one gets each message; more than a subscription can keep is lost and told.
    passes(
        world,
        r#"
  - nats: { service: nats, subscribe: { subject: work, as: one, group: workers } }
  - nats: { service: nats, subscribe: { subject: work, as: two, group: workers } }
  - nats: { service: nats, publish: { subject: work, text: a } }
  - nats: { service: nats, publish: { subject: work, text: b } }
  - { id: first, nats: { service: nats, drain: one } }
  - { id: second, nats: { service: nats, drain: two } }
    expect: steps.first.count + count == 2
"#
        .replace("  - { id: first, nats: { service: nats, drain: one } }\n  - { id: second, nats: { service: nats, drain: two } }\n", "  - id: first\n    nats: { service: nats, drain: one }\n  - id: second\n    nats: { service: nats, drain: two }\n")
        .as_str(),
    )
    .await;
}

async fn who(world: &Arc<dyn World>) {
    passes(
        world,
        r#"
  - nats: { service: nats, user: shop, password: 'n"-pass', publish: { subject: a } }
  - nats: { service: token, publish: { subject: a } }
  - nats: { service: token, token: "{{ secrets.TOKEN }}", publish: { subject: a } }
  - nats: { service: open, publish: { subject: a } }
"#,
    )
    .await;
    for (arguments, said) in [
        (
            "service: nats, password: wrong, user: shop",
            "no session in nats:4222 as shop: authorization violation",
        ),
        (
            "service: token, token: wrong",
            "no session in token:4222 with a token: authorization violation",
        ),
        (
            "service: rules",
            "no session in rules:4222 as nobody: authorization violation (it wants `user` and `password`, or a `token`)",
        ),
    ] {
        let step = fails(
            world,
            &format!("  - nats: {{ {arguments}, publish: {{ subject: a }} }}\n"),
        )
        .await;
        assert_eq!(step.outcome, Outcome::Errored);
        assert!(
            step.error().contains(said) && !step.error().contains("wrong"),
            "{}",
            step.error()
        );
    }
}

async fn streams(world: &Arc<dyn World>) {
    passes(world, r#"
  - nats: { service: open, declare: { stream: ORDERS, subjects: ["orders.>"] } }
    expect: exists && depth == 0
  - nats: { service: open, publish: { subject: orders.paid, json: { id: 1 }, jetstream: true } }
    expect: stream == "ORDERS" && sequence == 1 && !duplicate
  - nats: { service: open, publish: { subject: orders.sent, json: { id: 2 }, jetstream: true, headers: { Nats-Msg-Id: m-2 } } }
  - nats: { service: open, publish: { subject: orders.sent, json: { id: 2 }, jetstream: true, headers: { Nats-Msg-Id: m-2 } } }
    expect: duplicate && sequence == 2
  - nats: { service: open, publish: { subject: orders.paid, json: { id: 3 } } }
  - nats: { service: open, stream: ORDERS }
    expect: exists && depth == 3 && consumers == 0
  - nats: { service: open, get: { stream: ORDERS, count: 3, within: 20s } }
    expect:
      - count == 3 && messages[0].json.id == 1 && messages[0].sequence == 1 && messages[0].delivered == 1
      - messages[1].subject == "orders.sent" && messages[0].reply == null && stream == "ORDERS"
  - nats: { service: open, get: { stream: ORDERS, count: 1, filter: orders.sent, within: 20s } }
    expect: messages[0].json.id == 2
  - nats: { service: open, get: { stream: ORDERS, where: { id: 3 }, within: 20s } }
    expect: messages[0].sequence == 3
  - nats: { service: open, get: { stream: ORDERS, durable: reader, filter: orders.paid, within: 20s, ack: false } }
    expect: messages[0].json.id == 1
  - nats: { service: open, get: { stream: ORDERS, durable: reader, filter: orders.paid, within: 20s } }
    expect: messages[0].json.id == 1 && messages[0].delivered == 2
  - nats: { service: open, get: { stream: ORDERS, durable: reader, filter: orders.paid, within: 20s } }
    expect: messages[0].json.id == 3
  - nats: { service: open, get: { stream: ORDERS, durable: reader, filter: orders.paid, count: 0, within: 300ms } }
  - nats: { service: open, stream: ORDERS }
    expect: consumers == 1
  - nats: { service: open, purge: ORDERS }
    expect: purged == 3
  - nats: { service: open, get: { stream: ORDERS, count: 0, within: 200ms } }
  - nats: { service: open, declare: { stream: KEPT, subjects: [kept], durable: true } }
"#).await;
    for (arguments, outcome, said) in [
        (
            "stream: NOTHING",
            Outcome::Failed,
            "stream NOTHING: expected a stream of this name, got there is none",
        ),
        (
            "purge: NOTHING",
            Outcome::Failed,
            "stream NOTHING: expected a stream of this name, got there is none",
        ),
        (
            "get: { stream: NOTHING }",
            Outcome::Failed,
            "stream NOTHING: expected a stream of this name, got there is none",
        ),
        (
            "publish: { subject: nowhere, jetstream: true }",
            Outcome::Failed,
            "publish to nowhere: expected that a stream stores the message, got no stream takes this subject",
        ),
        (
            "get: { stream: ORDERS, within: 200ms }",
            Outcome::Failed,
            "get 1 from ORDERS: expected 1 messages within 200ms, got 0 came",
        ),
        (
            "declare: { stream: \"a b\", subjects: [x] }",
            Outcome::Errored,
            "open:4222",
        ),
    ] {
        let step = fails(
            world,
            &format!("  - nats: {{ service: open, {arguments} }}\n"),
        )
        .await;
        assert_eq!(step.outcome, outcome, "{arguments}: {}", step.error());
        let told = format!("{} {:?}", step.error(), step.said());
        assert!(told.contains(said), "{arguments}: {told}");
    }
}

async fn permissions(world: &Arc<dyn World>) {
    let ann = "service: rules, user: ann, password: a-pass";
    passes(
        world,
        &format!(
            r#"
  - nats: {{ {ann}, subscribe: {{ subject: "mine.>", as: mine }} }}
  - nats: {{ {ann}, publish: {{ subject: mine.a, text: x }} }}
  - nats: {{ {ann}, get: {{ within: 20s }} }}
    expect: messages[0].body == "x"
"#
        ),
    )
    .await;
    for (arguments, said) in [
        (
            "publish: { subject: orders.paid }",
            "publish to orders.paid: expected that the server takes the message, got Permissions Violation for Publish",
        ),
        (
            "subscribe: { subject: orders.paid }",
            "subscribe to orders.paid: expected that the server allows it, got Permissions Violation for Subscription",
        ),
    ] {
        let step = fails(world, &format!("  - nats: {{ {ann}, {arguments} }}\n")).await;
        assert_eq!(step.outcome, Outcome::Failed, "{}", step.error());
        let said = said.to_lowercase();
        assert!(
            step.said()[0].to_lowercase().contains(&said),
            "{:?}",
            step.said()
        );
    }
}

async fn the_server_goes(world: &Arc<dyn World>) {
    let step = fails(
        world,
        r#"
  - nats: { service: open, subscribe: { subject: a, as: seen } }
  - nats: { service: open, publish: { subject: a, text: x } }
  - exec: { service: open, cmd: "kill 1" }
    expect: exit_code >= 0
  - nats: { service: open, get: { from: seen, within: 20s } }
    expect: messages[0].body == "x"
  - nats: { service: open, get: { from: seen, count: 0, within: 20s } }
"#,
    )
    .await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert_eq!(
        step.error(),
        "open:4222: seen: 0 messages came; the connection was lost, and with it what came since"
    );
    let step = fails(
        world,
        "  - nats: { service: open, publish: { subject: a } }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert!(step.error().contains("open:4222"), "{}", step.error());
}

#[tokio::test]
async fn ports_where_no_nats_is() {
    let banner = |line: &'static [u8]| {
        serve(move |mut s| async move {
            let _ = s.write_all(line).await;
            let _ = s.read(&mut [0; 1]).await;
        })
    };
    let world = Local::default()
        .host("nobody", 4222, nobody().await)
        .host("closes", 4222, closes().await)
        .host("resets", 4222, resets().await)
        .host("endless", 4222, endless().await)
        .host("silent", 4222, silent().await)
        .host("ssh", 4222, banner(b"SSH-2.0-OpenSSH\xff\r\n").await)
        .host("broken", 4222, banner(b"INFO {\"server_id\": \r\n").await)
        .host(
            "tls",
            4222,
            banner(b"INFO {\"tls_required\": true}\r\n").await,
        )
        .host("half", 4222, banner(b"INFO {}\r\n").await)
        .host("site", 4222, site().await)
        .world();
    let begun = Instant::now();
    for (host, said) in [
        ("nobody", "could not connect to nobody:4222"),
        (
            "closes",
            "no session in closes:4222: the connection was closed at once",
        ),
        ("endless", "what answers there does not speak NATS: \"xxxx"),
        (
            "ssh",
            "what answers there does not speak NATS: \"SSH-2.0-OpenSSH",
        ),
        ("broken", "what answers there does not speak NATS"),
        ("tls", "no session in tls:4222 as nobody: "),
        ("half", "no session in half:4222 as nobody"),
        (
            "silent",
            "what listens there did not greet as a NATS server does, within 5s",
        ),
        (
            "site",
            "what listens there did not greet as a NATS server does, within 5s",
        ),
        ("other", "not part of the stack"),
    ] {
        let step = fails(
            &world,
            &format!("  - nats: {{ service: {host}, publish: {{ subject: a }} }}\n"),
        )
        .await;
        assert_eq!(step.outcome, Outcome::Errored, "{host}");
        assert!(step.error().contains(said), "{host}: {}", step.error());
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
}

/// A server that demands TLS, and one that demands a certificate of its clients as well.
#[tokio::test(flavor = "multi_thread")]
async fn nats_with_tls() {
    on_engine(|rig| async move {
        let authority = Authority::new();
        let pair = authority.pair("safe", |p| {
            p.subject_alt_names.push(rcgen::SanType::DnsName("strict".try_into().unwrap()));
        });
        let conf = |more: &str| {
            format!("listen: \"0.0.0.0:4222\"\ntls {{ cert_file: \"/tls/cert.pem\", key_file: \"/tls/key.pem\"{more} }}\n")
        };
        let nats = |name: &str, more: &str| {
            image(name, "nats:2.9", &[])
                .file("/etc/nats/nats.conf", FileContent::Text(conf(more)))
                .file("/tls/cert.pem", FileContent::Text(pair.cert.clone()))
                .file("/tls/key.pem", FileContent::Text(pair.key.clone()))
                .file("/tls/ca.pem", FileContent::Text(authority.pem.clone()))
        };
        let plan = plan([
            nats("safe", ""),
            nats("strict", ", ca_file: \"/tls/ca.pem\", verify: true"),
            nats("renamed", ""),
        ]);
        let live = Arc::new(rig.up(plan.clone()).await.expect("the stack"));
        let trusting: Arc<dyn World> = Arc::new(
            StackWorld::new(live.clone(), &plan).with_roots(vec![authority.der.clone()]),
        );
        let stranger: Arc<dyn World> = Arc::new(StackWorld::new(live.clone(), &plan));
        passes(
            &trusting,
            r#"
  - wait: { for: { tcp: "safe:4222" } }
  - wait: { for: { tcp: "strict:4222" } }
  - wait: { for: { tcp: "renamed:4222" } }
  - nats: { service: safe, subscribe: { subject: a, as: seen } }
  - nats: { service: safe, publish: { subject: a, text: x } }
  - nats: { service: safe, get: { from: seen, within: 20s } }
    expect: messages[0].body == "x"
  - nats: { service: renamed, verify: false, publish: { subject: a, text: x } }
"#,
        )
        .await;
        let folder = tempfile::tempdir().unwrap();
        let client = authority.pair("a client", |_| {});
        for (name, text) in [("ca.pem", &authority.pem), ("cert.pem", &client.cert), ("key.pem", &client.key)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let steps = "scenario: it\nsteps:\n  - nats: { service: safe, ca: ca.pem, publish: { subject: a } }\n  - nats: { service: strict, ca: ca.pem, client_cert: { cert: cert.pem, key: key.pem }, publish: { subject: a } }\n";
        let path = folder.path().join("s.yaml");
        std::fs::write(&path, steps).unwrap();
        let program = programs_of(&SourceFile::read(&path, "s.yaml").unwrap()).remove(0);
        let played = played_with(&stranger, &program, &CaseOptions::default(), &Stop::new()).await;
        assert_eq!(played.end.outcome, Outcome::Passed, "{}", played.told());
        let mut said_all = Said::default();
        for (world, service, said) in [
            (&stranger, "safe", "no session in safe:4222 as nobody: the certificate is from an authority that is not trusted; `ca: file.pem` trusts one"),
            (&trusting, "renamed", "no session in renamed:4222 as nobody: the certificate is for other names"),
            (&trusting, "strict", "no session in strict:4222 as nobody: "),
        ] {
            let step = fails(world, &format!("  - nats: {{ service: {service}, publish: {{ subject: a }} }}\n")).await;
            assert_eq!(step.outcome, Outcome::Errored);
            said_all.see(said, step.error());
        }
        live.down(None).await;
    })
    .await;
}
