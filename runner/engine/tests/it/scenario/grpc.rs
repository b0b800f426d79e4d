//! `grpc` against a server in this process, against Python's own implementation in a
//! container, and against servers that behave badly.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prodmirror_engine::step::{StackWorld, World, compile};
use prodmirror_model::event::Outcome;
use prodmirror_model::source::SourceFile;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::grpc_server::{Kind, proto, serve};
use super::local::Local;
use super::site::{answers, closed, endless, listens, site};
use super::tls::Authority;
use super::{Said, fails, passes, played_with, programs_of};
use crate::live::plan::{plan, service};
use crate::live::rig::on_engine;

/// Calls of all kinds, by reflection; the server may be any that has the service.
const CALLS: &str = r#"
  - id: create
    grpc:
      service: "orders:50051"
      method: shop.Orders/Create
      message: { sku: A1, qty: "2", price_each: { currency: EUR, units: 5 }, labels: { a: 1, b: true } }
      metadata: { X-Request: r-1 }
    expect:
      - status == "OK" && code == 0 && message == ""
      - json.id == 9007199254740993
      - json.sku == "A1" && json.qty == 2
      - json.state == "STATE_NEW"
      - json.total.units == 10 && json.total.currency == "EUR" && json.total.nanos == 0
      - json.createdAt == "2024-02-29T10:00:00Z"
      - json.labels == {"a":"1","b":"true"}
      - headers["x-request"] == "r-1"
      - count == 1 && messages[0].sku == "A1"
      - details == []
      - duration < duration("20s")
  - grpc: { service: "orders:50051", method: shop.Orders/Get, message: { id: "{{ steps.create.json.id }}" } }
    expect:
      - status == "NOT_FOUND" && code == 5
      - message.startsWith("there is no order 9007199254740993")
      - json == null && count == 0
  - grpc: { service: "orders:50051", method: shop.Orders/List, message: { count: 5 } }
    expect:
      - count == 5
      - messages[0].id == 0 && messages[4].sku == "S4"
      - json.sku == "S4"
  - grpc: { service: "orders:50051", method: shop.Orders/List }
    expect: count == 0 && json == null && code == 0
  - grpc: { service: "orders:50051", method: shop.Orders/List, message: { count: 3 } }
    expect:
      - status == "DATA_LOSS" && message == "the rest is lost"
      - count == 3
  - grpc: { service: "orders:50051", method: shop.Orders/Import, messages: [ { sku: A1 }, { sku: B2 }, { sku: "{{ steps.create.json.sku }}" } ] }
    expect: json.count == 3 && json.skus == ["A1", "B2", "A1"]
  - grpc: { service: "orders:50051", method: shop.Orders/Import }
    expect: json.count == 0
  - grpc: { service: "orders:50051", method: shop.Orders/Chat, messages: [ { text: one, number: 1 }, { text: two } ] }
    expect: messages == [{"text":"ONE","number":2},{"text":"TWO","number":1}]
  - grpc: { service: "orders:50051", method: shop.Orders/Chat, messages: [ { text: one } ], receive: { count: 1, within: 10s } }
    expect: json.text == "ONE"
  - grpc: { service: "orders:50051", method: shop.Orders/Watch, receive: { count: 4 } }
    expect: messages.map(m, m.number) == [0, 1, 2, 3]
  - grpc: { service: "orders:50051", method: shop.Orders/Watch, receive: { within: 300ms } }
    expect: count > 2 && code == 0
  - grpc: { service: "orders:50051", method: shop.Orders/Watch, deadline: 200ms }
    expect: code == 4 && status == "DEADLINE_EXCEEDED" && count > 2
  - grpc: { service: "orders:50051", method: shop.Orders/Get, message: { id: 0 }, deadline: 100ms }
    expect: status == "DEADLINE_EXCEEDED"
"#;

const EVERYTHING: &str = r#"
  - grpc:
      service: "orders:50051"
      method: shop.Orders/Echo
      message:
        a_double: "1.5"
        aFloat: 0.10
        an_int32: "{{ seven }}"
        an_int64: "-9007199254740993"
        a_uint32: 4294967295
        a_uint64: "18446744073709551615"
        a_sint64: -3.0
        a_fixed64: 1e3
        a_bool: "{{ yes }}"
        a_string: 12.50
        some_bytes: AAH/
        state: STATE_PAID
        numbers: [1, "2", "{{ seven }}"]
        prices: { mug: { units: 3 } }
        flags: { 1: true, 2: "false" }
        money: { currency: EUR }
        maybe: 0
        at: "2024-02-29T10:00:00.5Z"
        took: 1.5s
        note: { a: [1, 2.50, null, { b: x }] }
        value: 3.25
        wrapped: "{{ seven }}"
        wrapped_text: 5
        any: { "@type": type.googleapis.com/shop.Money, currency: USD, units: "7" }
        children: [ { a_string: "{{ name }}" }, { maybe: 4 } ]
    expect:
      - json.aDouble == 1.5
      - json.aFloat > 0.099 && json.aFloat < 0.101
      - json.anInt32 == 7
      - json.anInt64 == -9007199254740993
      - json.aUint32 == 4294967295
      - { jsonpath: $.aUint64, equals: 18446744073709551615 }
      - json.aSint64 == -3
      - json.aFixed64 == 1000
      - json.aBool == true
      - json.aString == "12.50"
      - json.someBytes == "AAH/"
      - json.state == "STATE_PAID"
      - json.numbers == [1, 2, 7]
      - json.prices.mug.units == 3
      - json.flags == {"1":true,"2":false}
      - json.money.currency == "EUR" && !has(json.name)
      - json.maybe == 0
      - json.at == "2024-02-29T10:00:00.500Z"
      - json.took == "1.500s"
      - json.note.a[1] == 2.5 && json.note.a[2] == null && json.note.a[3].b == "x"
      - json.value == 3.25
      - json.wrapped == 7
      - json.wrappedText == "5"
      - json.any == {"@type":"type.googleapis.com/shop.Money","currency":"USD","units":7,"nanos":0}
      - json.children[0].aString == "a \"b\"" && !has(json.children[0].maybe) && json.children[1].maybe == 4
"#;

fn vars(steps: &str) -> String {
    format!("scenario: it\nvars: {{ seven: 7, yes: \"true\", name: 'a \"b\"' }}\nsteps:\n{steps}")
}

async fn everything_passes(world: &Arc<dyn World>, steps: &str) {
    let played = super::played(world, &vars(steps)).await;
    assert_eq!(played.end.outcome, Outcome::Passed, "{}", played.told());
}

#[tokio::test]
async fn calls_of_all_kinds() {
    for reflection in ["v1", "v1alpha"] {
        let served = serve(Kind {
            reflection: Some(reflection),
            ..Kind::default()
        })
        .await;
        let world = Local::default()
            .host("orders", 50051, served.address)
            .world();
        passes(&world, CALLS).await;
        // One connection for all, and each file was asked for once: those that the server
        // does not give are known anyway.
        assert_eq!(served.connections.load(Ordering::Relaxed), 1);
        assert_eq!(served.asked.load(Ordering::Relaxed), 7);
        everything_passes(&world, EVERYTHING).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pythons_own_server() {
    on_engine(|rig| async move {
        let ready = json!({"Test": ["CMD", "/srv/venv/bin/python", "-c", "import grpc; grpc.channel_ready_future(grpc.insecure_channel('127.0.0.1:50051')).result(5)"], "Interval": 500_000_000u64, "Retries": 60});
        let orders = service("orders", &[]).with(|c| {
            c.image = "registry.shop.example/grpc:1".into();
            c.body.as_object_mut().unwrap().remove("Cmd");
            c.body["Healthcheck"] = ready;
        });
        let plan = plan([orders]);
        let live = Arc::new(rig.up(plan.clone()).await.expect("the stack"));
        let world: Arc<dyn World> = Arc::new(StackWorld::new(live.clone(), &plan));
        passes(&world, CALLS).await;
        everything_passes(&world, EVERYTHING).await;
        passes(&world, r#"
  - grpc: { service: "orders:50051", method: shop.Orders/Get, message: { id: 5 }, metadata: { x-raw-bin: AP8= } }
    expect:
      - code == 5
      - details[0] == {"@type":"google.rpc.ErrorInfo","reason":"NO_SUCH_ORDER","domain":"shop.example","metadata":{"id":"5"}}
      - details[1] == {"@type":"shop.Note","text":"look elsewhere","number":2}
  - grpc: { service: "orders:50051", method: shop.Orders/Create }
    expect:
      - headers["x-raw-bin"] == "AP8="
      - trailers == {"x-cost":"3"}
      - json.qty == 0
  - grpc: { service: "orders:50051", method: shop.Orders/Get, message: { id: 13 } }
    expect: status == "UNKNOWN" && message.contains("a fault of the server")
"#).await;
        let mut said_all = Said::default();
        for (step, said) in UNKNOWN {
            let step = fails(&world, step).await;
            said_all.see(said, step.error());
        }
        live.down(None).await;
    })
    .await;
}

/// Names that the server does not have.
const UNKNOWN: [(&str, &str); 5] = [
    (
        "  - grpc: { service: \"orders:50051\", method: shop.Order/Create }\n",
        "s.yaml:3:46: orders:50051 has no service `shop.Order`\n  help: did you mean `shop.Orders`?",
    ),
    (
        "  - grpc: { service: \"orders:50051\", method: shop.Orders/Crate }\n",
        "shop.Orders has no method `Crate`\n  help: did you mean `Create`?",
    ),
    (
        "  - grpc: { service: \"orders:50051\", method: shop.Orders/Create, message: { skuu: A1 } }\n",
        "s.yaml:3:77: shop.CreateRequest has no field `skuu`\n  help: did you mean `sku`?",
    ),
    (
        "  - grpc: { service: \"orders:50051\", method: shop.Orders/Create, message: { price_each: { units: \"{{ 'x' }}\" } } }\n",
        "`price_each.units`: expected a whole number, found \"x\"",
    ),
    (
        "  - grpc: { service: \"orders:50051\", method: shop.Orders/Create, messages: [ { sku: a }, { sku: b } ] }\n",
        "shop.Orders.Create takes one message, not 2",
    ),
];

#[tokio::test]
async fn names_that_the_server_does_not_have() {
    let served = serve(Kind {
        reflection: Some("v1"),
        ..Kind::default()
    })
    .await;
    let world = Local::default()
        .host("orders", 50051, served.address)
        .world();
    let mut said_all = Said::default();
    for (step, said) in UNKNOWN {
        let step = fails(&world, step).await;
        assert_eq!(step.outcome, Outcome::Errored, "{said}");
        assert_eq!(step.attempts, 1, "{said}");
        said_all.see(said, step.error());
    }
    // An error that nobody expects is told with what the server said.
    let step = fails(
        &world,
        "  - grpc: { service: \"orders:50051\", method: shop.Orders/Get, message: { id: 4 } }\n",
    )
    .await;
    assert_eq!(step.said(), ["code: expected == 0, got 5"]);
    assert!(
        step.evidence
            .contains("NOT_FOUND: there is no order 4 (für Ann)\n")
            && step
                .evidence
                .contains("\n{\"@type\":\"a.Ab\",\"value\":\"Af8=\"}"),
        "{}",
        step.evidence
    );
    for (receive, said) in [
        (
            "{ count: 7, within: 10s }",
            "receive 7: expected 7 messages within 10s, got 2 came",
        ),
        (
            "{ count: 0, within: 10s }",
            "receive 0: expected no message within 10s, got 1 came",
        ),
    ] {
        let step = fails(&world, &format!("  - grpc: {{ service: \"orders:50051\", method: shop.Orders/List, message: {{ count: 2 }}, receive: {receive} }}\n")).await;
        assert_eq!(step.outcome, Outcome::Failed);
        assert_eq!(step.said(), [said]);
    }
}

/// A scenario in a file, beside which there is a folder with the service's files.
fn beside(steps: &str) -> (tempfile::TempDir, Arc<SourceFile>) {
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("protos/shop");
    std::fs::create_dir_all(&shop).unwrap();
    for name in ["orders.proto", "types.proto"] {
        std::fs::copy(proto().join("shop").join(name), shop.join(name)).unwrap();
    }
    let path = folder.path().join("s.yaml");
    std::fs::write(&path, vars(steps)).unwrap();
    let file = SourceFile::read(&path, "scenarios/s.yaml").unwrap();
    (folder, file)
}

async fn play(world: &Arc<dyn World>, file: &Arc<SourceFile>) -> super::Played {
    let program = programs_of(file).remove(0);
    let (options, stop) = Default::default();
    played_with(world, &program, &options, &stop).await
}

#[tokio::test]
async fn a_server_without_reflection() {
    let served = serve(Kind::default()).await;
    let world = Local::default()
        .host("orders", 50051, served.address)
        .world();
    let step = fails(
        &world,
        "  - grpc: { service: \"orders:50051\", method: shop.Orders/List }\n",
    )
    .await;
    assert!(
        step.error()
            .contains("orders:50051 has no server reflection\n  help: name the service's files: `proto: [orders.proto]`"),
        "{}",
        step.error()
    );
    // The same calls, by files.
    let with_files = |steps: &str| {
        steps.replace(
            "service: \"orders:50051\"",
            "\"proto\": [protos/shop/orders.proto], \"import\": [protos], \"service\": \"orders:50051\"",
        )
        .replace(
            "      \"proto\": [protos/shop/orders.proto], \"import\": [protos], \"service\": \"orders:50051\"\n",
            "      proto: [protos/shop/orders.proto]\n      import: [protos]\n      service: \"orders:50051\"\n",
        )
    };
    for steps in [CALLS, EVERYTHING] {
        let (_folder, file) = beside(&with_files(steps));
        let played = play(&world, &file).await;
        assert_eq!(played.end.outcome, Outcome::Passed, "{}", played.told());
    }
    // A text that no file holds has nothing beside it.
    let step = fails(
        &world,
        "  - grpc: { service: \"orders:50051\", method: shop.Orders/List, proto: [a.proto] }\n",
    )
    .await;
    assert!(
        step.error()
            .contains("`a.proto` is beside the scenario's file"),
        "{}",
        step.error()
    );
}

#[test]
fn mistakes_with_files_are_found_before_anything_starts() {
    let call = |rest: &str| {
        format!(
            "  - grpc: {{ service: \"orders:50051\", import: [protos], proto: [protos/shop/orders.proto], {rest} }}\n"
        )
    };
    let mut said_all = Said::default();
    for (steps, said) in [
        (
            call("method: shop.Orders/Crate"),
            "scenarios/s.yaml:4:99: shop.Orders has no method `Crate`\n  help: did you mean `Create`?",
        ),
        (
            call("method: shop.Orderz/Create"),
            "the files have no service `shop.Orderz`\n  help: did you mean `shop.Orders`?",
        ),
        (
            call("method: shop.Orders/Create, message: { sku: A1, qtty: 5 }"),
            "scenarios/s.yaml:4:139: shop.CreateRequest has no field `qtty`\n  help: did you mean `qty`?",
        ),
        (
            call("method: shop.Orders/Create, message: { qty: many }"),
            "scenarios/s.yaml:4:135: expected a whole number, found \"many\"",
        ),
        (
            call("method: shop.Orders/Create, message: { qty: 2147483648 }"),
            "expected a whole number from -2147483648 to 2147483647, found 2147483648",
        ),
        (
            call("method: shop.Orders/Create, message: { sku: [a] }"),
            "expected a text, found [\"a\"]",
        ),
        (
            call("method: shop.Orders/Create, message: [1]"),
            "a shop.CreateRequest is a mapping, found [1]",
        ),
        (
            call("method: shop.Orders/Echo, message: { state: STATE_PAYED }"),
            "shop.State has no value `STATE_PAYED`\n  help: did you mean `STATE_PAID`?",
        ),
        (
            call("method: shop.Orders/Echo, message: { children: [ { numbers: [1, x] } ] }"),
            "expected a whole number, found \"x\"",
        ),
        (
            call("method: shop.Orders/Echo, message: { at: 5 }"),
            "google.protobuf.Timestamp is written as a text, found 5",
        ),
        (
            call("method: shop.Orders.Create"),
            "`shop.Orders.Create` is not a method\n  help: write `shop.Orders/Create`",
        ),
        (
            call("method: shop.Orders/Watch, messages: [ {}, {} ]"),
            "shop.Orders.Watch takes one message, not 2",
        ),
        (
            call("method: shop.Orders/List, metadata: { grpc-timeout: 1S }"),
            "`grpc-timeout` belongs to the protocol itself",
        ),
        (
            call("method: shop.Orders/List, ca: nowhere.pem"),
            "cannot read nowhere.pem: no such file or directory",
        ),
        (
            "  - grpc: { service: orders, method: a.B/C }\n".into(),
            "`service` is a name and a port, found `orders`\n  help: write `service: \"orders:50051\"`",
        ),
        (
            "  - grpc: { service: \"orders:1\", method: a.B/C, proto: [none.proto] }\n".into(),
            "scenarios/s.yaml:4:57: cannot read none.proto: no such file or directory",
        ),
        (
            "  - grpc: { service: \"orders:1\", method: a.B/C, proto: [bad.proto] }\n".into(),
            "scenarios/bad.proto:3:12: ",
        ),
        (
            "  - grpc: { service: \"orders:1\", method: a.B/C, proto: [lost.proto] }\n".into(),
            "scenarios/lost.proto:2:1: import 'gone.proto' not found",
        ),
        (
            "  - grpc: { service: \"orders:1\", method: a.B/C, proto: [odd.proto] }\n".into(),
            "scenarios/odd.proto:2:13: name 'B' is not defined",
        ),
        (
            "  - grpc: { service: \"orders:1\", method: a.B/C, import: [protos] }\n".into(),
            "`import` is for the files of `proto`",
        ),
    ] {
        let (folder, file) = beside(&steps);
        for (name, text) in [
            (
                "bad.proto",
                "syntax = \"proto3\";\nmessage A {\n  string a 1;\n}\n",
            ),
            (
                "lost.proto",
                "syntax = \"proto3\";\nimport \"gone.proto\";\n",
            ),
            (
                "odd.proto",
                "syntax = \"proto3\";\nmessage A { B b = 1; }\n",
            ),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let (_, problems) = compile(&file);
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        said_all.see(said, &told.join("\n"));
    }
}

#[tokio::test]
async fn servers_that_speak_tls() {
    let authority = Authority::new();
    let other = Authority::new();
    let orders = authority.pair("orders", |_| {});
    let client = other.pair("a client", |_| {});
    let kind = |clients| Kind {
        reflection: Some("v1"),
        tls: Some(orders.server(clients, &["h2"])),
    };
    let plain = serve(kind(None)).await;
    let mutual = serve(kind(Some(&other))).await;
    let clear = serve(Kind::default()).await;
    let mut local = Local::default()
        .host("orders", 443, plain.address)
        .host("orders", 444, mutual.address)
        .host("orders", 445, clear.address)
        .host("another", 443, plain.address);
    local.roots = vec![authority.der.clone()];
    let world = local.world();
    let stranger: Arc<dyn World> = Local::default().host("orders", 443, plain.address).world();
    let (folder, _) = beside("");
    for (name, text) in [
        ("ca.pem", &authority.pem),
        ("cert.pem", &client.cert),
        ("key.pem", &client.key),
        ("wrong.pem", &orders.key),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let at = |steps: &str| {
        let path = folder.path().join("s.yaml");
        std::fs::write(&path, vars(steps)).unwrap();
        SourceFile::read(&path, "s.yaml").unwrap()
    };
    let list = "method: shop.Orders/List, message: { count: 2 }";
    let steps = format!(
        "  - grpc: {{ service: \"orders:443\", tls: true, {list} }}\n\
         \x20 - grpc: {{ service: \"another:443\", verify: false, {list} }}\n\
         \x20 - grpc: {{ service: \"orders:444\", client_cert: {{ cert: cert.pem, key: key.pem }}, {list} }}\n\
         \x20   expect: count == 2\n"
    );
    let played = play(&world, &at(&steps)).await;
    assert_eq!(played.end.outcome, Outcome::Passed, "{}", played.told());
    let steps = format!("  - grpc: {{ service: \"orders:443\", ca: ca.pem, {list} }}\n");
    let played = play(&stranger, &at(&steps)).await;
    assert_eq!(played.end.outcome, Outcome::Passed, "{}", played.told());

    let mut said_all = Said::default();
    for (world, call, said) in [
        (
            &stranger,
            "service: \"orders:443\", tls: true",
            "TLS with orders failed: the certificate is from an authority that is not trusted; `ca: file.pem` trusts one",
        ),
        (
            &world,
            "service: \"another:443\", tls: true",
            "the certificate is for other names: ",
        ),
        (
            &world,
            "service: \"orders:444\", tls: true",
            "the server wants a certificate of its clients: `client_cert: { cert: …, key: … }`",
        ),
        (
            &world,
            "service: \"orders:443\"",
            "it speaks TLS: say `tls: true`",
        ),
        (
            &world,
            "service: \"orders:445\", tls: true",
            "what answers there does not speak TLS",
        ),
    ] {
        let played = play(world, &at(&format!("  - grpc: {{ {call}, {list} }}\n"))).await;
        let step = played.steps().pop().unwrap();
        assert_eq!(step.outcome, Outcome::Errored, "{said}");
        said_all.see(said, step.error());
    }
    let (_, problems) = compile(&at(&format!(
        "  - grpc: {{ service: \"orders:444\", client_cert: {{ cert: cert.pem, key: wrong.pem }}, {list} }}\n"
    )));
    assert!(
        problems[0]
            .to_string()
            .contains("wrong.pem: the key does not belong to the certificate"),
        "{problems:?}"
    );
}

/// What a server sends after the preface of HTTP/2: settings, then whatever is given.
async fn frames(then: Vec<u8>, closes: bool) -> std::net::SocketAddr {
    listens(move |mut stream| {
        let then = then.clone();
        async move {
            let mut asked = vec![0; 4096];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
            // The request itself comes after the settings.
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(&then).await;
            let _ = stream.flush().await;
            if !closes {
                while stream.read(&mut asked).await.is_ok_and(|n| n > 0) {}
            }
        }
    })
    .await
}

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut all = length[1..].to_vec();
    all.extend_from_slice(&[kind, flags, 0, 0, 0, stream]);
    all.extend_from_slice(payload);
    all
}

/// The head of an answer: `:status: 200`, and its type.
fn head(kind: &str) -> Vec<u8> {
    let mut block = vec![0x88, 0x0f, 0x10, u8::try_from(kind.len()).unwrap()];
    block.extend_from_slice(kind.as_bytes());
    frame(1, 4, 1, &block)
}

#[tokio::test]
async fn servers_that_behave_badly() {
    let grpc = || head("application/grpc");
    let order = frame(0, 0, 1, &[0, 0, 0, 0, 2, 8, 1]);
    let mut said_all = Said::default();
    for (address, said) in [
        (
            closed().await,
            "could not connect to orders:50051: Connection refused",
        ),
        (
            answers(b"").await,
            "the connection was closed before anything came",
        ),
        (
            answers(b"SSH-2.0-OpenSSH_9.2\r\n").await,
            "does not speak HTTP/2, on which gRPC is built; it began with `SSH-2.0-OpenSSH_9.2`",
        ),
        (
            site().await,
            "what is there does not speak HTTP/2, on which gRPC is built",
        ),
        (endless().await, "it began with `HTTP/1.1 200 OK`"),
        (
            frames([grpc(), order.clone()].concat(), true).await,
            "no answer from orders:50051: ",
        ),
        (
            frames(
                [grpc(), order.clone(), frame(3, 0, 1, &[0, 0, 0, 2])].concat(),
                false,
            )
            .await,
            "no answer from orders:50051: ",
        ),
        // An end without a status.
        (
            frames([grpc(), frame(0, 1, 1, &[])].concat(), false).await,
            "missing grpc-status trailer",
        ),
        // A message that says it has 3 GiB.
        (
            frames([grpc(), frame(0, 0, 1, &[0, 192, 0, 0, 0])].concat(), false).await,
            "gave more than 16 MiB",
        ),
        // Half a message.
        (
            frames(
                [grpc(), frame(0, 1, 1, &[0, 0, 0, 0, 9, 8])].concat(),
                false,
            )
            .await,
            "no answer from orders:50051: ",
        ),
        (
            frames(
                [grpc(), frame(0, 0, 1, &[0, 0, 0, 0, 2, 0xff, 0xff])].concat(),
                false,
            )
            .await,
            "what came is no shop.Order: ",
        ),
        (
            frames(
                [
                    grpc(),
                    frame(0, 0, 1, &[0, 0, 0, 0, 4, 0x12, 2, 0xff, 0xfe]),
                ]
                .concat(),
                false,
            )
            .await,
            "what came is no shop.Order: ",
        ),
        (
            frames([head("text/html"), frame(0, 1, 1, b"<p>")].concat(), false).await,
            "what answers there is not gRPC: status 200 of HTTP, text/html",
        ),
    ] {
        let world = Local::default().host("orders", 50051, address).world();
        let (_folder, file) = beside(
            "  - grpc: { service: \"orders:50051\", method: shop.Orders/List, proto: [protos/shop/orders.proto], import: [protos] }\n    timeout: 5s\n",
        );
        let step = play(&world, &file).await.steps().pop().unwrap();
        assert_eq!(step.outcome, Outcome::Errored, "{said}\n{step:?}");
        said_all.see(said, step.error());
    }
    // A server that says nothing.
    let silent = listens(|mut stream| async move {
        let mut asked = vec![0; 4096];
        while stream.read(&mut asked).await.is_ok_and(|n| n > 0) {}
    })
    .await;
    let world = Local::default().host("orders", 50051, silent).world();
    let step = fails(
        &world,
        "  - grpc: { service: \"orders:50051\", method: shop.Orders/List }\n    timeout: 200ms\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::TimedOut);
    // One that never stops sending.
    let flood = listens(|mut stream| async move {
        let mut asked = vec![0; 4096];
        let _ = stream.read(&mut asked).await;
        let _ = stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await;
        let _ = stream.write_all(&head("application/grpc")).await;
        let mut payload = Vec::new();
        for _ in 0..2000 {
            payload.extend_from_slice(&[0, 0, 0, 0, 2, 8, 1]);
        }
        let some = frame(0, 0, 1, &payload);
        let (mut reader, mut writer) = stream.into_split();
        let drain = async move { while reader.read(&mut asked).await.is_ok_and(|n| n > 0) {} };
        let send = async move { while writer.write_all(&some).await.is_ok() {} };
        tokio::join!(drain, send);
    })
    .await;
    let world = Local::default().host("orders", 50051, flood).world();
    let (_folder, file) = beside(
        "  - grpc: { service: \"orders:50051\", method: shop.Orders/List, proto: [protos/shop/orders.proto], import: [protos] }\n",
    );
    let step = play(&world, &file).await.steps().pop().unwrap();
    assert!(
        step.error().contains("or 10000 messages") || step.error().contains("no answer"),
        "{}",
        step.error()
    );
}

#[tokio::test]
async fn a_server_that_comes_back_is_connected_to_again() {
    let first = serve(Kind {
        reflection: Some("v1"),
        ..Kind::default()
    })
    .await;
    let backend = first.address;
    // Connections are cut when the scenario asks for it.
    let cut = Arc::new(tokio::sync::Notify::new());
    let notified = cut.clone();
    let proxy = listens(move |mut stream| {
        let cut = notified.clone();
        async move {
            let mut server = tokio::net::TcpStream::connect(backend).await.unwrap();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut stream, &mut server) => {}
                () = cut.notified() => {}
            }
        }
    })
    .await;
    let control = listens(move |mut stream| {
        let cut = cut.clone();
        async move {
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked).await;
            cut.notify_waiters();
            let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    let world = Local::default()
        .host("orders", 50051, proxy)
        .host("control", 80, control)
        .world();
    passes(
        &world,
        r#"
  - grpc: { service: "orders:50051", method: shop.Orders/List, message: { count: 1 } }
  - http: { method: POST, url: "http://control/cut" }
  - retry: 3
    grpc: { service: "orders:50051", method: shop.Orders/List, message: { count: 1 } }
"#,
    )
    .await;
    assert_eq!(first.connections.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn secrets_are_not_evidence() {
    let served = serve(Kind {
        reflection: Some("v1"),
        ..Kind::default()
    })
    .await;
    let mut local = Local::default().host("orders", 50051, served.address);
    local.secrets.insert("TOKEN".into(), "s3cr3t-token".into());
    let world = local.world();
    let played = passes(&world, "  - grpc: { service: \"orders:50051\", method: shop.Orders/List, metadata: { Authorization: \"Bearer {{ secrets.TOKEN }}\" } }\n").await;
    assert!(!played.told().contains("s3cr3t"), "{}", played.told());
    assert!(played.told().contains("authorization: ***"));
    assert!(Path::new(&proto()).is_dir());
}
