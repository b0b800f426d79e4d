//! `tcp` against servers of every temper.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_engine::step::World;
use prodmirror_model::event::Outcome;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::local::Local;
use super::{fails, passes};

/// A server that does the same with every connection; it ends with the test.
pub async fn serve<F>(with: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(with(stream));
        }
    });
    address
}

/// A port where nobody listens.
pub async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A server that cuts each connection.
pub async fn resets() -> SocketAddr {
    serve(|mut s| async move {
        let mut first = [0; 1];
        let _ = s.read(&mut first).await;
        s.set_zero_linger().unwrap();
    })
    .await
}

/// A server that closes each connection at once.
pub async fn closes() -> SocketAddr {
    serve(|s| async move { drop(s) }).await
}

/// A server that says nothing, for as long as the other side stays.
pub async fn silent() -> SocketAddr {
    serve(|mut s| async move {
        let _ = tokio::io::copy(&mut s, &mut tokio::io::sink()).await;
    })
    .await
}

/// A server that never stops.
pub async fn endless() -> SocketAddr {
    serve(|mut s| async move { while s.write_all(&[b'x'; 8192]).await.is_ok() {} }).await
}

/// A certificate for a name, and the configuration of a server that has it.
pub fn certificate(name: &str) -> (Vec<u8>, Arc<rustls::ServerConfig>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let der = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], key)
        .unwrap();
    (der.to_vec(), Arc::new(config))
}

/// Answers each line with `+` before it; `quit` ends it.
async fn lines<S: AsyncReadExt + AsyncWriteExt + Unpin>(stream: S) {
    let (read, mut write) = tokio::io::split(stream);
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == "quit" {
            break;
        }
        let _ = write.write_all(format!("+{line}\r\nmore").as_bytes()).await;
    }
    let _ = write.shutdown().await;
}

#[tokio::test]
async fn bytes_go_and_come() {
    let counts = serve(|mut s| async move {
        let mut all = Vec::new();
        s.read_to_end(&mut all).await.unwrap();
        s.write_all(format!("{}", all.len()).as_bytes())
            .await
            .unwrap();
    });
    let binary = serve(|mut s| async move {
        let mut four = [0; 4];
        s.read_exact(&mut four).await.unwrap();
        s.write_all(&[0xff, 0xfe, four[3], four[0]]).await.unwrap();
        let _ = s.read(&mut four).await;
    });
    let world = Local::default()
        .host("lines", 7, serve(lines).await)
        .host("counts", 7, counts.await)
        .host("binary", 7, binary.await)
        .world();
    passes(
        &world,
        r#"
  - tcp: { host: "lines:7", send: "PING {{ 1 + 1 }}\r\n", until: "\r\n" }
    expect:
      - received == "+PING 2\r\n"
      - hex == "2b50494e4720320d0a"
      - bytes == 9 && connected && !closed && !truncated && error == null
      - duration < duration("4s")
  - tcp: { host: "lines:7", send: "a\nquit\n", within: 60s }
    expect: received == "+a\r\nmore" && closed && duration < duration("30s")
  - tcp: { host: "lines:7", send: "ab\n", bytes: 2 }
    expect: received == "+a"
  - tcp: { host: "lines:7", send: { json: { a: [1, "{{ 1 + 1 }}"] } }, end: true, within: 5s }
    expect: received == '+{"a":[1,2]}\r\nmore'
  - tcp: { host: "lines:7", send: "a\n", within: 300ms }
    expect: received == "+a\r\nmore" && !closed
  - tcp: { host: "counts:7", send: { base64: "AAEC/w==" }, end: true, within: 5s }
    expect: received == "4" && closed
  - tcp: { host: "binary:7", send: { hex: "00 01 02 03" }, until: { hex: "0300" } }
    expect: hex == "fffe0300" && bytes == 4 && received.endsWith("\u0003\u0000")
  - tcp: { host: "lines:7" }
    expect: connected && bytes == 0
"#,
    )
    .await;
}

#[tokio::test]
async fn a_connection_that_must_not_be() {
    let world = Local::default()
        .host("closed", 1, nobody().await)
        .host("open", 1, silent().await)
        .world();
    passes(
        &world,
        r#"
  - tcp: { host: "closed:1", refused: true }
    expect: "!connected && error.contains('could not connect')"
  - tcp: { host: "open:2", refused: true }
"#,
    )
    .await;
    let step = fails(&world, "  - tcp: { host: \"open:1\", refused: true }\n").await;
    assert_eq!(step.outcome, Outcome::Failed);
    assert_eq!(
        step.said(),
        ["connect to open:1: expected that no connection is possible, got something listens there"]
    );
    // A name that does not belong to the stack is no proof of anything.
    let step = fails(&world, "  - tcp: { host: \"other:1\", refused: true }\n").await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert!(
        step.error().contains("not part of the stack"),
        "{}",
        step.error()
    );
    let step = fails(&world, "  - tcp: { host: \"closed:1\" }\n").await;
    assert_eq!(step.outcome, Outcome::Errored);
    let step = fails(&world, "  - tcp: { host: \"{{ 'nothing' }}\" }\n").await;
    assert!(
        step.error().contains("`nothing` is not a host and a port"),
        "{}",
        step.error()
    );
}

#[tokio::test]
async fn servers_that_do_not_answer_as_they_should() {
    let half = serve(|mut s| async move { s.write_all(b"hal").await.unwrap() });
    let world = Local::default()
        .host("closes", 1, closes().await)
        .host("resets", 1, resets().await)
        .host("silent", 1, silent().await)
        .host("endless", 1, endless().await)
        .host("half", 1, half.await)
        .world();
    let begun = Instant::now();
    for (arguments, said) in [
        (
            "host: \"closes:1\", until: \"\\n\", within: 60s",
            "read from closes:1: expected \"\\n\" within 1m, got the connection was closed after 0 bytes",
        ),
        (
            "host: \"half:1\", bytes: 4, within: 60s",
            "read from half:1: expected 4 bytes within 1m, got the connection was closed after 3 bytes: \"hal\"",
        ),
        (
            "host: \"silent:1\", send: hello, until: { hex: \"00\" }, within: 200ms",
            "read from silent:1: expected the bytes of `until` within 200ms, got 0 bytes came",
        ),
        (
            "host: \"endless:1\", until: \"y\", limit: 1000, within: 60s",
            "read from endless:1: expected \"y\" within 1m, got 1000 bytes came without it, and no more are read (`limit`)",
        ),
    ] {
        let step = fails(&world, &format!("  - tcp: {{ {arguments} }}\n")).await;
        assert_eq!(
            step.outcome,
            Outcome::Failed,
            "{arguments}: {}",
            step.error()
        );
        assert!(step.said()[0].starts_with(said), "{:?}", step.said());
    }
    let step = fails(
        &world,
        "  - tcp: { host: \"resets:1\", send: a, until: \"\\n\", within: 60s }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert!(
        step.error()
            .starts_with("resets:1: the connection was cut after 0 bytes: "),
        "{}",
        step.error()
    );
    passes(
        &world,
        r#"
  - tcp: { host: "resets:1", send: a, within: 60s }
    expect: closed && error.contains("reset")
  - tcp: { host: "endless:1", within: 60s }
    expect: truncated && bytes == 1048576
  - tcp: { host: "endless:1", limit: 3, within: 60s }
    expect: truncated && received == "xxx"
"#,
    )
    .await;
    assert!(begun.elapsed() < Duration::from_secs(30));
}

/// A server that answers before it has read everything, with more than the buffers between
/// the two sides hold.
#[tokio::test]
async fn both_sides_talk_at_the_same_time() {
    const MUCH: usize = 8 * 1024 * 1024;
    let talks = serve(|mut s| async move {
        s.write_all(&vec![b'a'; MUCH]).await.unwrap();
        let mut all = Vec::new();
        s.read_to_end(&mut all).await.unwrap();
        s.write_all(format!("read {}", all.len()).as_bytes())
            .await
            .unwrap();
    });
    let world = Local::default().host("talks", 1, talks.await).world();
    let world: Arc<dyn World> = world;
    let step = format!(
        "  - tcp: {{ host: \"talks:1\", send: \"{}\", end: true, within: 60s, limit: 9000000 }}\n    expect: closed && bytes == {MUCH} + 12 && received.endsWith(\"read {MUCH}\")\n",
        "b".repeat(MUCH)
    );
    passes(&world, &step).await;
}

#[tokio::test]
async fn tls_with_a_certificate_that_is_trusted_or_not() {
    let (der, config) = certificate("secure");
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    let secure = serve(move |s| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(s).await {
                lines(stream).await;
            }
        }
    })
    .await;
    let world = |roots| {
        let local = Local {
            roots,
            ..Local::default()
        };
        local
            .host("secure", 7, secure)
            .host("another", 7, secure)
            .world()
    };
    let trusting = world(vec![der]);
    passes(
        &trusting,
        r#"
  - tcp: { host: "secure:7", tls: true, send: "hi\n", until: "\r\n" }
    expect: received == "+hi\r\n"
  - tcp: { host: "secure:7", tls: true, send: "hi\nquit\n", within: 60s }
    expect: received == "+hi\r\nmore" && closed
  - tcp: { host: "another:7", tls: true, verify: false, send: "hi\n", until: "\r\n" }
"#,
    )
    .await;
    let ask = |host| {
        format!("  - tcp: {{ host: \"{host}:7\", tls: true, send: \"hi\\n\", until: \"\\n\" }}\n")
    };
    for (world, host) in [(trusting, "another"), (world(Vec::new()), "secure")] {
        let step = fails(&world, &ask(host)).await;
        assert_eq!(step.outcome, Outcome::Errored);
        let said = format!("TLS with {host} failed: ");
        assert!(step.error().contains(&said), "{}", step.error());
    }
    let plain = Local::default()
        .host("plain", 7, serve(lines).await)
        .world();
    let step = fails(&plain, &ask("plain")).await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert!(
        step.error().contains("TLS with plain failed"),
        "{}",
        step.error()
    );
}
