//! What `http` has beside plain requests: files, packed bodies, GraphQL, events, certificates.

use std::path::Path;
use std::sync::Arc;

use prodmirror_engine::step::{World, compile};
use prodmirror_model::event::Outcome;
use prodmirror_model::source::SourceFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::local::Local;
use super::site::{answers, listens, secure_site, site};
use super::tls::Authority;
use super::{Played, Said, fails, passes, played_with, programs_of};

/// A scenario in a file, with files beside it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.path().join(name), bytes).unwrap();
        self
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn scenario(&self, steps: &str) -> Arc<SourceFile> {
        let path = self.path().join("s.yaml");
        std::fs::write(
            &path,
            format!("scenario: it\nvars: {{ what: note }}\nsteps:\n{steps}"),
        )
        .unwrap();
        SourceFile::read(&path, "scenarios/s.yaml").unwrap()
    }

    async fn play(&self, world: &Arc<dyn World>, steps: &str) -> Played {
        let program = programs_of(&self.scenario(steps)).remove(0);
        let (options, stop) = Default::default();
        played_with(world, &program, &options, &stop).await
    }

    async fn passes(&self, world: &Arc<dyn World>, steps: &str) {
        let played = self.play(world, steps).await;
        assert_eq!(played.end.outcome, Outcome::Passed, "{}", played.told());
    }

    fn problems(&self, steps: &str) -> String {
        let (_, problems) = compile(&self.scenario(steps));
        problems.iter().map(|p| format!("{p}\n")).collect()
    }
}

#[tokio::test]
async fn files_and_forms_with_files() {
    let world = Local::default().host("gateway", 80, site().await).world();
    let folder = Folder::new()
        .with("order.json", "{\"sku\":\"A1\"}")
        .with("note.txt", "hello\n")
        .with("raw", [0, 159, 146, 150]);
    folder
        .passes(
            &world,
            r#"
  - http: { url: "http://gateway/echo", body_file: order.json }
    expect:
      - json.method == "POST"
      - json.body == '{"sku":"A1"}'
      - json.headers["content-type"] == "application/json"
  - http: { method: PUT, url: "http://gateway/echo", body_file: "{{ what }}.txt", headers: { Content-Type: text/x } }
    expect: json.body == "hello\n" && json.headers["content-type"] == "text/x"
  - http:
      url: "http://gateway/echo"
      multipart:
        - { name: sku, value: "{{ what }}" }
        - { name: 'a"b', value: { x: [1] } }
        - { name: file, file: note.txt }
        - { name: raw, file: raw, filename: photo.png }
        - { name: typed, value: 5, content_type: text/x, filename: f }
    expect:
      - json.headers["content-type"].startsWith("multipart/form-data; boundary=")
      - |-
        json.body.contains('Content-Disposition: form-data; name="sku"\r\n\r\nnote\r\n')
      - |-
        json.body.contains('Content-Disposition: form-data; name="a%22b"\r\nContent-Type: application/json\r\n\r\n{"x":[1]}\r\n')
      - |-
        json.body.contains('Content-Disposition: form-data; name="file"; filename="note.txt"\r\nContent-Type: text/plain\r\n\r\nhello\n\r\n')
      - |-
        json.body.contains('name="raw"; filename="photo.png"\r\nContent-Type: image/png\r\n\r\n')
      - |-
        json.body.contains('name="typed"; filename="f"\r\nContent-Type: text/x\r\n\r\n5\r\n')
      - json.body.endsWith("--\r\n")
      - |-
        json.body.split("--" + json.headers["content-type"].split("boundary=")[1]).size() == 7
"#,
        )
        .await;
    // A file that is gone when the step runs, and one of which the name is computed.
    for (name, gone) in [("order.json", true), ("{{ what }}s.txt", false)] {
        let steps =
            format!("  - http: {{ url: \"http://gateway/echo\", body_file: \"{name}\" }}\n");
        let program = programs_of(&folder.scenario(&steps)).remove(0);
        if gone {
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
        let (options, stop) = Default::default();
        let played = played_with(&world, &program, &options, &stop).await;
        let step = played.steps().pop().unwrap();
        assert_eq!(step.outcome, Outcome::Errored);
        assert!(
            step.error().contains(
                ": no such file or directory\n  help: paths are relative to the scenario's file"
            ),
            "{}",
            step.error()
        );
    }
}

#[test]
fn mistakes_are_found_before_anything_starts() {
    let folder = Folder::new().with("a.txt", "a");
    let authority = Authority::new();
    let (one, two) = (authority.pair("a", |_| {}), authority.pair("b", |_| {}));
    let folder = folder
        .with("one.pem", &one.cert)
        .with("one.key", &one.key)
        .with("two.key", &two.key)
        .with(
            "locked.key",
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
        );
    let mut said_all = Said::default();
    for (keys, said) in [
        (
            "body_file: gone.json",
            "scenarios/s.yaml:4:49: cannot read gone.json: no such file or directory",
        ),
        ("body_file: .", "cannot read .: it is a directory"),
        (
            "body_file: /dev/zero",
            "cannot read /dev/zero: it is not a regular file",
        ),
        ("body_file: a.txt, json: {}", "a request has one body"),
        ("multipart: []", "`multipart` has no parts"),
        ("multipart: [ { name: a } ]", "the part `a` has no content"),
        (
            "multipart: [ { name: a, value: b, file: a.txt } ]",
            "the part `a` has a `value` and a `file`",
        ),
        (
            "multipart: [ { name: a, file: b.txt } ]",
            "cannot read b.txt",
        ),
        (
            "multipart: [ { name: a, valeu: b } ]",
            "unknown key `valeu`\n  help: did you mean `value`?",
        ),
        (
            "multipart: [ { name: a, value: b, content_type: \"a\\nb\" } ]",
            "`content_type` holds a line break",
        ),
        ("compress: brotli", "`compress` is `gzip`, found `brotli`"),
        (
            "version: \"3\"",
            "`version` is \"1.0\", \"1.1\" or \"2\", found `3`",
        ),
        (
            "graphql: { query: \"{ a }\", variables: [1] }",
            "`variables` is a mapping, found [1]",
        ),
        ("graphql: { quer: a }", "unknown key `quer`"),
        ("events: { count: 10001 }", "at most 10000 events are read"),
        ("events: { until: \"json.\" }", "scenarios/s.yaml:4:"),
        ("ca: gone.pem", "cannot read gone.pem"),
        ("ca: a.txt", "a.txt: no certificate in it"),
        (
            "client_cert: { cert: one.pem, key: two.key }",
            "two.key: the key does not belong to the certificate",
        ),
        (
            "client_cert: { cert: one.pem, key: one.pem }",
            "one.pem: no key in it",
        ),
        (
            "client_cert: { cert: one.key, key: one.key }",
            "one.key: no certificate in it",
        ),
        (
            "client_cert: { cert: one.pem, key: locked.key }",
            "locked.key: the key is encrypted",
        ),
        ("client_cert: { cert: one.pem }", "the key `key` is missing"),
    ] {
        let told = folder.problems(&format!(
            "  - http: {{ url: \"https://gateway/\", {keys} }}\n"
        ));
        said_all.see(said, &told);
    }
}

#[tokio::test]
async fn packed_bodies() {
    let world = Local::default().host("gateway", 80, site().await).world();
    passes(
        &world,
        r#"
  - http: { url: "http://gateway/unpack", compress: gzip, json: { a: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" } }
    expect:
      - json.encoding == "gzip"
      - json.body.startsWith('{"a":"aaa')
      - json.wire < 50
  - http: { url: "http://gateway/encoded/zlib" }
    expect: json.packed && size == 15 && encoded_size > 15
  - http: { url: "http://gateway/encoded/raw" }
    expect: json.packed
  - http: { url: "http://gateway/encoded/twice" }
    expect: json.packed
  - http: { url: "http://gateway/encoded/br" }
    expect: json.packed && size == 15 && headers["content-encoding"] == "br" && encoded_size == 19
  - http: { url: "http://gateway/encoded/zstd" }
    expect: json.packed && size == 15 && encoded_size == 28
  - http: { url: "http://gateway/encoded/zstdframes" }
    expect: json.packed && size == 15
  - http: { url: "http://gateway/encoded/compress" }
    expect: body == '{"packed":true}' && headers["content-encoding"] == "compress" && encoded_size == size
  - http: { method: HEAD, url: "http://gateway/gzip" }
    expect: status == 200
"#,
    )
    .await;
    for (page, said) in [
        ("bomb", "the body is larger than 16 MiB"),
        ("broken", "the body says it is gzip but cannot be unpacked"),
        ("brbomb", "the body is larger than 16 MiB"),
        ("brbroken", "the body says it is br but cannot be unpacked"),
        ("brcut", "the body says it is br but cannot be unpacked"),
        ("zstdbomb", "the body is larger than 16 MiB"),
        (
            "zstdbroken",
            "the body says it is zstd but cannot be unpacked",
        ),
        ("zstdcut", "the body says it is zstd but cannot be unpacked"),
    ] {
        let step = fails(
            &world,
            &format!("  - http: {{ url: \"http://gateway/encoded/{page}\" }}\n"),
        )
        .await;
        assert_eq!(step.outcome, Outcome::Errored);
        assert!(step.error().contains(said), "{}", step.error());
    }
    // What people see is what was meant.
    let step = fails(
        &world,
        "  - http: { url: \"http://gateway/status/500\", compress: gzip, body: readable }\n",
    )
    .await;
    assert!(
        step.evidence.contains("content-encoding: gzip\n\nreadable"),
        "{}",
        step.evidence
    );
}

#[tokio::test]
async fn graphql() {
    let world = Local::default().host("gateway", 80, site().await).world();
    passes(
        &world,
        r#"
  - id: one
    http: { url: "http://gateway/graphql", graphql: { query: "query Q($id: ID!) { order(id: $id) { id } }", variables: { id: "{{ 3 + 4 }}" }, operation: Q } }
    expect:
      - json.data.asked.variables.id == 7
      - json.data.asked.operationName == "Q"
      - |-
        json.data.asked.query == "query Q($id: ID!) { order(id: $id) { id } }"
  - http: { url: "http://gateway/graphql", graphql: { query: "{ a }" } }
  - http: { url: "http://gateway/graphql", graphql: { query: "{ bad }" } }
    expect: json.errors[0].message == "no field `bad`"
"#,
    )
    .await;
    // Errors come with status 200.
    let step = fails(
        &world,
        "  - http: { url: \"http://gateway/graphql\", graphql: { query: \"{ bad }\" } }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Failed);
    assert!(
        step.said()[0].contains("no field `bad`"),
        "{:?}",
        step.said()
    );
    let step = fails(
        &world,
        "  - http: { url: \"http://gateway/status/500\", graphql: { query: \"{ a }\" } }\n",
    )
    .await;
    assert_eq!(step.said(), ["status: expected < 400, got 500"]);
}

/// A server of events: after the head, each piece with the next.
async fn events(
    head: &'static str,
    pieces: &'static [&'static str],
    ends: bool,
) -> std::net::SocketAddr {
    listens(move |mut stream| async move {
        let mut asked = [0; 2048];
        let _ = stream.read(&mut asked).await;
        let _ = stream.write_all(head.as_bytes()).await;
        for piece in pieces {
            let _ = stream.write_all(piece.as_bytes()).await;
            let _ = stream.flush().await;
        }
        if !ends {
            while stream.read(&mut asked).await.is_ok_and(|n| n > 0) {}
        }
    })
    .await
}

const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

#[tokio::test]
async fn server_sent_events() {
    let open = events(
        HEAD,
        &[
            "\u{feff}retry: 10\n\nid: 1\nevent: order\ndata: {\"state\":",
            "\"new\"}\n\n: hush\n\ndata: one\ndata: two\r\n\r\ni",
            "d: 3\ndata: {\"state\":\"paid\"}\n\ndata: four\n\n",
        ],
        false,
    )
    .await;
    let ended = events(HEAD, &["data: 1\n\ndata: 2\n\n"], true).await;
    let world = Local::default()
        .host("open", 80, open)
        .host("ended", 80, ended)
        .host("gateway", 80, site().await)
        .world();
    passes(
        &world,
        r#"
  - http: { url: "http://open/", events: { count: 3, within: 10s } }
    expect:
      - events.map(e, e.event) == ["order", "message", "message"]
      - events.map(e, e.id) == ["1", "1", "3"]
      - events[0].json.state == "new"
      - events[1].data == "one\ntwo" && events[1].json == null
      - headers["content-type"] == "text/event-stream"
  - http: { url: "http://open/", events: { until: "event == 'message' && json.state == 'paid'" } }
    expect: size(events) == 3
  - http: { url: "http://open/", events: { within: 300ms } }
    expect: size(events) == 4 && events[3].data == "four"
  - http: { url: "http://ended/", events: {} }
    expect: events.map(e, e.json) == [1, 2]
"#,
    )
    .await;
    for (keys, said) in [
        (
            "url: \"http://open/\", events: { count: 9, within: 300ms }",
            "events: expected 9 events within 300ms, got 4 came",
        ),
        (
            "url: \"http://open/\", events: { count: 0, within: 300ms }",
            "events: expected no event within 300ms, got 1 came",
        ),
        (
            "url: \"http://ended/\", events: { count: 3 }",
            "events: expected 3 events before the response ended, got 2 came",
        ),
        (
            "url: \"http://ended/\", events: { until: data == '3' }",
            "events: expected an event with `data == '3'` before the response ended, got 2 came",
        ),
        (
            "url: \"http://gateway/html\", events: { count: 1 }",
            "events: expected 1 events before the response ended, got 0 came; the response is text/html, not text/event-stream",
        ),
    ] {
        let step = fails(&world, &format!("  - http: {{ {keys} }}\n")).await;
        assert_eq!(step.outcome, Outcome::Failed, "{said}");
        assert_eq!(step.said(), [said]);
    }
    // What an event does not have is told, when none was the one.
    let step = fails(
        &world,
        "  - http: { url: \"http://open/\", events: { until: json.state == 'shipped', within: 300ms } }\n",
    )
    .await;
    let hint = step.mismatches[0].hint.as_deref().unwrap_or_default();
    assert!(hint.contains("json is null"), "{hint}");
}

#[tokio::test]
async fn streams_that_break_or_do_not_end() {
    let reset = events(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        &["9\r\ndata: 1\n\n\r\n", "5\r\nda"],
        true,
    )
    .await;
    let flood = |what: &'static [u8]| {
        listens(move |mut stream| async move {
            let mut asked = [0; 2048];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(HEAD.as_bytes()).await;
            let some = what.repeat(4096);
            while stream.write_all(&some).await.is_ok() {}
        })
    };
    let invalid = answers(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: \xff\xfe\n\n").await;
    let world = Local::default()
        .host("reset", 80, reset)
        .host("many", 80, flood(b"data: x\n\n").await)
        .host("long", 80, flood(b"data: xxxxxxxxxxxxxxxx").await)
        .host("invalid", 80, invalid)
        .host("packed", 80, answers(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\nno gzip").await)
        .world();
    let mut said_all = Said::default();
    for (host, said) in [
        ("reset", "the response broke off: "),
        (
            "many",
            "the response has more than 10000 events\n  help: say how many are enough",
        ),
        ("long", "the body is larger than 16 MiB"),
        ("packed", "the events cannot be unpacked"),
    ] {
        let step = fails(
            &world,
            &format!("  - http: {{ url: \"http://{host}/\", events: {{}} }}\n"),
        )
        .await;
        assert_eq!(step.outcome, Outcome::Errored, "{said}");
        said_all.see(said, step.error());
    }
    passes(&world, "  - http: { url: \"http://invalid/\", events: { count: 1 } }\n    expect: events[0].data == \"\\ufffd\\ufffd\"\n").await;
}

#[tokio::test]
async fn certificates_and_versions() {
    let authority = Authority::new();
    let other = Authority::new();
    let gateway = authority.pair("gateway", |p| {
        p.not_after = rcgen::date_time_ymd(2040, 1, 2);
    });
    let old = authority.pair("gateway", |p| {
        p.not_before = rcgen::date_time_ymd(2020, 1, 1);
        p.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    let client = other.pair("a client", |_| {});
    let stranger = authority.pair("a stranger", |_| {});
    let both = ["h2", "http/1.1"];
    let mut local = Local::default()
        .host(
            "gateway",
            443,
            secure_site(gateway.server(None, &both)).await,
        )
        .host(
            "gateway",
            444,
            secure_site(gateway.server(Some(&other), &both)).await,
        )
        .host("gateway", 445, secure_site(old.server(None, &both)).await)
        .host(
            "gateway",
            446,
            secure_site(other.pair("gateway", |_| {}).server(None, &both)).await,
        )
        .host(
            "gateway",
            447,
            secure_site(gateway.server(None, &["http/1.1"])).await,
        )
        .host(
            "another",
            443,
            secure_site(gateway.server(None, &both)).await,
        )
        .host("plain", 80, site().await)
        .host("plain", 443, site().await);
    local.roots = vec![authority.der.clone()];
    let world = local.world();
    let folder = Folder::new()
        .with("ca.pem", &other.pem)
        .with("client.pem", &client.cert)
        .with("client.key", &client.key)
        .with("stranger.pem", &stranger.cert)
        .with("stranger.key", &stranger.key);
    folder
        .passes(
            &world,
            r#"
  - http: { url: "https://gateway/echo" }
    expect:
      - version == "2" && json.version == "HTTP/2.0"
      - certificate.subject == "CN=gateway" && certificate.issuer.contains("CN=an authority")
      - certificate.expire_date == "2040-01-02T00:00:00Z"
      - certificate.subject_alt_name == ["DNS:gateway"]
      - size(certificate.sha256) == 64
      - duration(timings.connect) > duration("0s")
      - duration(timings.first_byte) < duration("20s")
      - remote == "gateway:443"
  - http: { url: "https://gateway/echo" }
    expect: duration(timings.connect) == duration("0s")
  - http: { url: "https://gateway/echo", version: "1.1" }
    expect: version == "1.1" && json.version == "HTTP/1.1"
  - http: { url: "https://gateway/echo", version: "1.0" }
    expect: json.version == "HTTP/1.0"
  - http: { url: "https://gateway/echo", version: "2" }
    expect: version == "2"
  - http: { url: "http://plain/echo", version: "1.0" }
    expect: json.version == "HTTP/1.0" && certificate == null
  - http: { url: "https://gateway:444/echo", client_cert: { cert: client.pem, key: client.key } }
    expect: status == 200
  - http: { url: "https://gateway:446/echo", ca: ca.pem }
    expect: status == 200
  - http: { url: "https://gateway:447/echo" }
    expect: version == "1.1"
"#,
        )
        .await;
    let mut said_all = Said::default();
    for (keys, said) in [
        (
            "url: \"https://gateway:444/\"",
            "the server wants a certificate of its clients: `client_cert: { cert: …, key: … }`",
        ),
        (
            "url: \"https://gateway:444/\", version: \"1.1\"",
            "the server wants a certificate of its clients",
        ),
        (
            "url: \"https://gateway:444/\", client_cert: { cert: stranger.pem, key: stranger.key }",
            "the server does not take the client's certificate",
        ),
        (
            "url: \"https://gateway:445/\"",
            "the certificate has expired",
        ),
        (
            "url: \"https://gateway:446/\"",
            "TLS with gateway failed: the certificate is from an authority that is not trusted; `ca: file.pem` trusts one",
        ),
        (
            "url: \"https://gateway:447/\", version: \"2\"",
            "the server does not speak the HTTP version that was asked for",
        ),
        (
            "url: \"https://another/\"",
            "the certificate is for other names: ",
        ),
        (
            "url: \"https://plain/\"",
            "what answers there does not speak TLS",
        ),
    ] {
        let played = folder
            .play(&world, &format!("  - http: {{ {keys} }}\n"))
            .await;
        let step = played.steps().pop().unwrap();
        assert_eq!(step.outcome, Outcome::Errored, "{said}");
        said_all.see(said, step.error());
        assert!(!played.told().contains("PRIVATE KEY"), "{}", played.told());
    }
}

#[tokio::test]
async fn the_body_by_its_hash() {
    let world = Local::default().host("gateway", 80, site().await).world();
    let steps = "  - http: { url: \"http://gateway/html\" }\n    expect: sha256 == \"d0a26d23e9d8e0538fd47e7bc502d26cf6c320e8daaec7c8521d4769530f5900\"\n";
    passes(&world, steps).await;
}
