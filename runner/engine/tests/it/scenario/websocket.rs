//! `websocket` against a server of this process, and against ports that speak something else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use prodmirror_engine::step::World;
use prodmirror_model::event::Outcome;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::broadcast;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::local::Local;
use super::site::site;
use super::tcp::{certificate, closes, endless, nobody, resets, serve, silent};
use super::{fails, passes};

/// Does what the path of each connection says.
async fn server<S: AsyncRead + AsyncWrite + Unpin>(stream: S, news: broadcast::Sender<String>) {
    let (mut path, mut seen) = (String::new(), json!({}));
    let look = |request: &Request, mut response: Response| {
        path = request.uri().path().to_owned();
        for (name, value) in request.headers() {
            seen[name.as_str()] = value.to_str().unwrap_or("?").into();
        }
        if path == "/guarded" && !request.headers().contains_key("authorization") {
            let mut refused = ErrorResponse::new(Some("who are you?".to_owned()));
            *refused.status_mut() = StatusCode::UNAUTHORIZED;
            return Err(refused);
        }
        if path == "/v2" {
            let name = HeaderValue::from_static("v2");
            response
                .headers_mut()
                .insert("sec-websocket-protocol", name);
        }
        Ok(response)
    };
    let mut news = news.subscribe();
    let Ok(mut socket) = accept_hdr_async(stream, look).await else {
        return;
    };
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        ["seen" | "guarded" | "v2"] => {
            let _ = socket.send(Message::text(seen.to_string())).await;
        }
        ["count", n] => {
            for i in 0..n.parse().unwrap() {
                let text = json!({"n": i, "kind": if i % 2 == 0 { "even" } else { "odd" }});
                let _ = socket.send(Message::text(text.to_string())).await;
            }
        }
        ["close", code] => {
            let frame = CloseFrame {
                code: code.parse::<u16>().unwrap().into(),
                reason: "enough".into(),
            };
            let _ = socket.send(Message::text("last")).await;
            let _ = socket.close(Some(frame)).await;
        }
        ["cut"] => {
            let _ = socket.send(Message::text("last")).await;
            return;
        }
        ["ping"] => {
            let _ = socket.send(Message::Ping(vec![1, 2].into())).await;
            if let Some(Ok(Message::Pong(p))) = socket.next().await {
                let _ = socket.send(Message::text(format!("{p:?}"))).await;
            }
        }
        ["flood"] => {
            let text = "x".repeat(1000);
            while socket.send(Message::text(text.clone())).await.is_ok() {}
            return;
        }
        ["raw", what] => {
            let bytes: &[u8] = match *what {
                // A text of two bytes that are no UTF-8.
                "text" => &[0x81, 2, 0xff, 0xfe],
                // A binary message of 32 MiB, said to come.
                "large" => &[0x82, 127, 0, 0, 0, 0, 2, 0, 0, 0, 1, 2, 3],
                // Reserved bits.
                _ => &[0xf1, 1, b'a'],
            };
            let _ = socket.get_mut().write_all(bytes).await;
            let _ = socket.get_mut().flush().await;
        }
        ["live"] => {
            let _ = socket.send(Message::text("welcome")).await;
            loop {
                tokio::select! {
                    line = news.recv() => {
                        let _ = socket.send(Message::text(line.unwrap())).await;
                    }
                    message = socket.next() => match message {
                        Some(Ok(m)) if m.is_text() => { let _ = socket.send(m).await; }
                        Some(Ok(_)) => {}
                        _ => return,
                    }
                }
            }
        }
        _ => {}
    }
    while let Some(Ok(m)) = socket.next().await {
        if m.is_text() || m.is_binary() {
            let _ = socket.send(m).await;
        }
    }
}

/// The server on `ws:80`, and on `news:7` a port where each line is told to all who are live.
async fn world() -> Arc<dyn World> {
    let (news, _) = broadcast::channel(16);
    let told = news.clone();
    let web = serve(move |s| server(s, told.clone())).await;
    let teller = serve(move |s| {
        let news = news.clone();
        async move {
            let mut lines = BufReader::new(s).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let told = news.send(line).unwrap_or(0);
                let answer = format!("{told}\n");
                lines.get_mut().write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    Local::default()
        .host("ws", 80, web)
        .host("news", 7, teller)
        .world()
}

#[tokio::test]
async fn messages_go_and_come() {
    let world = world().await;
    passes(&world, r#"
  - websocket: { url: "ws://ws/echo", send: ["a {{ 1 + 1 }}", { json: { n: "{{ 1 + 1 }}" } }, { base64: "AAH/" }], receive: { count: 3 } }
    expect:
      - count == 3
      - messages[0].type == "text" && messages[0].text == "a 2" && messages[0].json == null && messages[0].bytes == 3
      - messages[1].json.n == 2
      - messages[2].type == "binary" && messages[2].base64 == "AAH/" && messages[2].bytes == 3
      - status == 101 && headers.upgrade == "websocket"
      - close_code == 1000
  - websocket: { url: "ws://ws/echo", send: one, receive: {} }
    expect: messages[0].text == "one"
  - websocket: { url: "ws://ws/count/9", receive: { count: 2, where: { kind: odd, n: { gt: 2 } } } }
    expect: messages[0].json.n == 3 && messages[1].json.n == 5
  - websocket: { url: "ws://ws/ping", receive: { count: 1 } }
    expect: messages[0].text.contains("\\x01\\x02")
  - websocket: { url: "ws://ws/echo", receive: { count: 0, within: 100ms } }
  - websocket: { url: "ws://ws/echo" }
    expect: status == 101 && count == 0
  - websocket: { url: "ws://ws/seen", headers: { X-Sku: "{{ 1 + 1 }}", User-Agent: me }, receive: {} }
    expect:
      - messages[0].json["x-sku"] == "2"
      - messages[0].json["user-agent"] == "me"
      - messages[0].json.host == "ws"
  - websocket: { url: "ws://ws/v2", subprotocol: v2, receive: {} }
    expect: headers["sec-websocket-protocol"] == "v2"
  - websocket: { url: "ws://ws/guarded" }
    expect: status == 401 && body == "who are you?" && count == 0
  - websocket: { url: "ws://ws/guarded", headers: { Authorization: "Bearer x" } }
"#).await;
}

#[tokio::test]
async fn a_named_one_stays_open_across_steps() {
    let world = world().await;
    passes(
        &world,
        r#"
  - websocket: { url: "ws://ws/live", session: live, receive: { count: 1 } }
    expect: messages[0].text == "welcome" && close_code == null
  - websocket: { url: "ws://ws/live", session: other, receive: { count: 1 } }
  - tcp: { host: "news:7", send: "{\"id\": 7}\n{\"id\": 8}\nlate\n", until: "2\n2\n2\n" }
  - websocket: { session: live, receive: { where: { id: 8 } } }
    expect: count == 1 && messages[0].json.id == 8 && status == 101
  - websocket: { session: live, receive: { count: 2 } }
    expect: messages[0].json.id == 7 && messages[1].text == "late"
  - websocket: { session: live, send: again, receive: {} }
    expect: messages[0].text == "again"
  - parallel:
      - websocket: { session: other, receive: { count: 3 } }
      - - websocket: { url: "ws://ws/live", session: live, receive: {} }
        - websocket: { session: live, close: true }
  - websocket: { session: live, send: still there, receive: {}, close: true }
    expect: messages[0].text == "still there" && close_code == 1000
"#,
    )
    .await;
    let step = fails(
        &world,
        "  - websocket: { url: \"ws://ws/live\", session: live, close: true }\n  - websocket: { session: live, send: a }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert!(
        step.error().contains("no websocket named `live` is open"),
        "{}",
        step.error()
    );
    let step = fails(
        &world,
        "  - websocket: { url: \"ws://ws/live\", session: live }\n  - websocket: { session: life, send: a }\n",
    )
    .await;
    assert!(
        step.error().contains("did you mean `live`?"),
        "{}",
        step.error()
    );
}

#[tokio::test]
async fn servers_that_close() {
    let world = world().await;
    passes(
        &world,
        r#"
  - websocket: { url: "ws://ws/close/1008", receive: {} }
    expect: messages[0].text == "last" && close_code == 1008 && close_reason == "enough"
  - websocket: { url: "ws://ws/close/4001", session: s, receive: { count: 1, within: 60s } }
  - eventually: 5s
    websocket: { session: s, receive: { count: 0, within: 60s } }
    expect: close_code == 4001
  - websocket: { session: s, close: true }
    expect: close_code == 4001
"#,
    )
    .await;
    let begun = Instant::now();
    let step = fails(
        &world,
        "  - websocket: { url: \"ws://ws/close/1008\", receive: { count: 2, within: 60s } }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Failed);
    assert_eq!(
        step.said(),
        [
            "get 2 from ws://ws/close/1008: expected 2 messages within 1m, got 1 came; the server closed with 1008 (enough)"
        ]
    );
    let step = fails(
        &world,
        "  - websocket: { url: \"ws://ws/cut\", receive: { count: 2, within: 60s } }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert_eq!(
        step.error(),
        "ws://ws/cut: 1 messages came; the connection was cut without a goodbye"
    );
    let step = fails(
        &world,
        "  - websocket: { url: \"ws://ws/cut\", session: s, receive: { count: 1 } }\n  - websocket: { session: s, receive: { count: 0, within: 60s } }\n  - websocket: { session: s, send: a }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert!(
        step.error().starts_with("s: a message was not taken: "),
        "{}",
        step.error()
    );
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn servers_that_break_the_rules() {
    let world = world().await;
    for (path, said) in [
        ("raw/text", "a text message came that is no UTF-8"),
        ("raw/large", "a message came that is larger than 16 MiB"),
        (
            "raw/bits",
            "the server broke the rules of websockets: Reserved bits are non-zero",
        ),
    ] {
        let step = fails(
            &world,
            &format!("  - websocket: {{ url: \"ws://ws/{path}\", receive: {{ within: 20s }} }}\n"),
        )
        .await;
        assert_eq!(step.outcome, Outcome::Errored, "{path}");
        assert!(step.error().ends_with(said), "{path}: {}", step.error());
    }
    // What never ends is lost from some point on, and that is told.
    let step = fails(
        &world,
        "  - websocket: { url: \"ws://ws/flood\", receive: { count: 10000, where: { n: 1 }, within: 4s } }\n",
    )
    .await;
    assert_eq!(step.outcome, Outcome::Failed);
    assert!(
        step.said()[0].contains("got 0 came, and 10000 that are not meant"),
        "{:?}",
        step.said()
    );
    let hint = step.mismatches[0].hint.clone().unwrap();
    assert!(hint.contains("messages were lost"), "{hint}");
    let step = fails(
        &world,
        "  - websocket: { url: \"ws://ws/echo\", subprotocol: v3 }\n",
    )
    .await;
    assert_eq!(
        step.said(),
        ["open ws://ws/echo: expected the subprotocol v3, got the server chose none"]
    );
    let step = fails(&world, "  - websocket: { url: \"ws://ws/guarded\" }\n").await;
    assert_eq!(step.said(), ["status: expected == 101, got 401"]);
}

#[tokio::test]
async fn ports_where_no_websocket_is() {
    let world = Local::default()
        .host("nobody", 80, nobody().await)
        .host("closes", 80, closes().await)
        .host("resets", 80, resets().await)
        .host("silent", 80, silent().await)
        .host("endless", 80, endless().await)
        .host("site", 80, site().await)
        .world();
    for (host, more, said) in [
        ("nobody", "", "could not connect to nobody:80"),
        ("closes", "", "no websocket at closes:80: "),
        ("resets", "", "no websocket at resets:80: "),
        ("silent", "    timeout: 300ms\n", "300ms"),
        (
            "endless",
            "",
            "no websocket at endless:80: what answers there does not speak HTTP",
        ),
        ("other", "", "not part of the stack"),
    ] {
        let step = fails(
            &world,
            &format!("  - websocket: {{ url: \"ws://{host}/\", receive: {{}} }}\n{more}"),
        )
        .await;
        let outcome = match host {
            "silent" => Outcome::TimedOut,
            _ => Outcome::Errored,
        };
        assert_eq!(step.outcome, outcome, "{host}");
        let told = format!("{} {:?}", step.error(), step.said());
        assert!(told.contains(said), "{host}: {told}");
    }
    // A web server that knows no websockets answers all the same.
    passes(
        &world,
        "  - websocket: { url: \"ws://site/status/404\" }\n    expect: status == 404\n",
    )
    .await;
}

#[tokio::test]
async fn cookies_of_the_scenario_go_along() {
    let (news, _) = broadcast::channel(1);
    let web = serve(move |s| server(s, news.clone())).await;
    let login = serve(|mut s| async move {
        let mut lines = BufReader::new(&mut s).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line.is_empty() {
                break;
            }
        }
        let answer = "HTTP/1.1 200 OK\r\nset-cookie: sid=s3; Path=/\r\ncontent-length: 0\r\n\r\n";
        s.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let world = Local::default()
        .host("shop", 81, login)
        .host("shop", 80, web)
        .world();
    passes(
        &world,
        r#"
  - http: { url: "http://shop:81/login" }
  - websocket: { url: "ws://shop/seen", receive: {} }
    expect: messages[0].json.cookie == "sid=s3"
"#,
    )
    .await;
}

#[tokio::test]
async fn over_tls() {
    let (der, config) = certificate("shop");
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    let (news, _) = broadcast::channel(1);
    let secure: SocketAddr = serve(move |s| {
        let (acceptor, news) = (acceptor.clone(), news.clone());
        async move {
            if let Ok(stream) = acceptor.accept(s).await {
                server(stream, news).await;
            }
        }
    })
    .await;
    let world = |roots| {
        let local = Local {
            roots,
            ..Local::default()
        };
        local.host("shop", 443, secure).world()
    };
    let ask = "  - websocket: { url: \"wss://shop/echo\", send: hi, receive: {} }\n    expect: messages[0].text == \"hi\" && close_code == 1000\n";
    passes(&world(vec![der]), ask).await;
    let step = fails(&world(Vec::new()), ask).await;
    assert_eq!(step.outcome, Outcome::Errored);
    assert!(
        step.error().contains("TLS with shop failed"),
        "{}",
        step.error()
    );
    passes(
        &world(Vec::new()),
        &ask.replace("send:", "verify: false, send:"),
    )
    .await;
}
