//! Production's names on this host: by a proxy, and by addresses with the real ports.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use serde_json::Value;

use super::{Workshop, address, connect, has_engine, head, is_postgres, soon};

const STUB: &str = "routes:\n  - method: GET\n    path: /v1/ping\n    respond: { status: 200, json: { ok: true } }\n";

/// A shop that also has a stand-in for a host outside.
fn shop() -> Workshop {
    let shop = Workshop::shop("");
    shop.0.write("pay.yaml", STUB.as_bytes());
    shop.mirror("egress: { \"api.pay.example:80\": { stub: pay.yaml } }\n");
    shop
}

fn client(proxy: SocketAddr) -> reqwest::Client {
    // The client wants one, though nothing here speaks TLS. The second time it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let proxy = reqwest::Proxy::all(format!("http://{proxy}")).unwrap();
    let builder = reqwest::Client::builder().proxy(proxy);
    builder
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Asks a proxy in its own words; the head of what it answers, and the connection.
fn asked(proxy: SocketAddr, request: &str) -> (String, std::net::TcpStream) {
    let mut stream = connect(proxy);
    stream.write_all(request.as_bytes()).unwrap();
    let head = head(&mut stream);
    (head, stream)
}

async fn get(client: &reqwest::Client, url: &str) -> (u16, String) {
    let answer = client.get(url).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[test]
fn production_is_reached_by_its_own_names_and_nothing_else_is() {
    if !has_engine() {
        return;
    }
    let shop = shop();
    let said = shop.plays(&["up", "-d", "--offline", "--proxy"]);
    said.is(
        0,
        &[
            "production's names work by the proxy http://127.0.0.1:",
            "http://web:8000/",
            "--proxy-pac-url=http://127.0.0.1:",
        ],
    );
    let ports = shop.ports();
    let proxy = address(&ports, "proxy", "");
    runtime().block_on(async {
        let client = client(proxy);
        // The site insists on its own name: it answers 421 to any other.
        for url in [
            "http://web:8000/health",
            "http://WEB:8000/health",
            "http://api.pay.example/v1/ping",
        ] {
            let (status, text) = get(&client, url).await;
            assert_eq!(status, 200, "{url}: {text}");
            assert!(text.contains("true"), "{text}");
        }
        let (status, text) = get(&client, "http://shop.internal:8000/").await;
        assert_eq!((status, text.contains("shop.internal:8000")), (421, true));
        let big = client.get("http://web:8000/big").send().await.unwrap();
        assert_eq!(big.bytes().await.unwrap().len(), 64 * 0x10000);
        let upload = client.post("http://web:8000/upload");
        let upload = upload.body(vec![0xff; 3 << 20]).send().await.unwrap();
        let upload: Value = upload.json().await.unwrap();
        assert_eq!(upload["size"], 3 << 20);
        let away = client.get("http://web:8000/away").send().await.unwrap();
        assert_eq!(
            away.headers()["location"],
            "https://elsewhere.example/login"
        );
        for url in [
            "http://elsewhere.example/",
            "http://169.254.169.254/latest/meta-data",
            "http://127.0.0.1:22/",
            "http://[::1]:22/",
            "http://web.elsewhere.example/",
            "http://dbb:5432/",
        ] {
            let (status, text) = get(&client, url).await;
            assert_eq!(status, 403, "{url}: {text}");
            assert!(text.contains("a mirror never reaches outside"), "{text}");
            assert!(url != "http://dbb:5432/" || text.contains("did you mean `db`?"));
        }
        for (url, why) in [
            ("http://web:81/", "could not connect to web:81"),
            ("http://web:8000/drop", "no answer of web:8000"),
            ("http://db:5432/", "no answer of db:5432"),
        ] {
            let (status, text) = get(&client, url).await;
            assert_eq!(status, 502, "{url}: {text}");
            assert!(text.contains(why), "{text}");
        }
        let tls = client.get("https://elsewhere.example/").send().await;
        assert!(tls.is_err(), "elsewhere.example cannot be reached");
    });
    // Any protocol, by CONNECT.
    let connect_to = |to: &str| format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
    let (said, stream) = asked(proxy, &connect_to("db:5432"));
    assert!(said.starts_with("http/1.1 200"), "{said}");
    is_postgres(stream);
    for (to, status) in [
        ("elsewhere.example:443", "403"),
        ("127.0.0.1:22", "403"),
        ("db:1", "502"),
        ("db", "400"),
    ] {
        let (said, _) = asked(proxy, &connect_to(to));
        assert!(
            said.starts_with(&format!("http/1.1 {status}")),
            "{to}: {said}"
        );
    }
    // A WebSocket, as browsers ask for it (a tunnel) and as other programs do (a URL).
    let socket = |target: &str| {
        format!(
            "GET {target} HTTP/1.1\r\nHost: web:8000\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let (said, mut tunnel) = asked(proxy, &connect_to("web:8000"));
    assert!(said.starts_with("http/1.1 200"), "{said}");
    tunnel.write_all(socket("/ws").as_bytes()).unwrap();
    let said = head(&mut tunnel);
    assert!(said.starts_with("http/1.1 101"), "{said}");
    let (said, direct) = asked(proxy, &socket("http://web:8000/ws"));
    assert!(
        said.starts_with("http/1.1 101") && said.contains("s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{said}"
    );
    for mut stream in [tunnel, direct] {
        stream.write_all(b"ping").unwrap();
        let mut pong = [0; 4];
        stream.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"ping");
    }
    // What the proxy has of its own, for this host alone.
    let own = |path: &str, host: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let (head, mut stream) = asked(proxy, &request);
        let mut body = String::new();
        stream.read_to_string(&mut body).unwrap();
        (head, body)
    };
    let (head, pac) = own("/proxy.pac", &proxy.to_string());
    assert!(
        head.contains("content-type: application/x-ns-proxy-autoconfig"),
        "{head}"
    );
    for name in ["\"web\":1", "\"shop.internal\":1", "\"api.pay.example\":1"] {
        assert!(pac.contains(name), "{pac}");
    }
    assert!(
        pac.contains(&format!("\"PROXY {proxy}\" : \"DIRECT\"")),
        "{pac}"
    );
    let (head, names) = own("/proxy.pac", "rebound.example");
    assert!(
        head.starts_with("http/1.1 421") && !names.contains("web"),
        "{head}{names}"
    );
    assert!(own("/other", "localhost").0.starts_with("http/1.1 404"));
    assert!(own("/", "127.0.0.1").1.contains("\nshop.internal\n"));
    let (garbled, _) = asked(proxy, "\u{1}nothing\r\n\r\n");
    assert!(garbled.starts_with("http/1.1 400"), "{garbled}");
    shop.plays(&["down"]).is(0, &[]);
    soon("the proxy closes", || {
        std::net::TcpStream::connect(proxy).is_err()
    });
}

/// Addresses and names of a file of hosts, without what is marked as a comment.
fn hosts(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    let mut all = BTreeMap::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let address = words.next().unwrap();
        all.extend(words.map(|name| (name.to_owned(), address.to_owned())));
    }
    all
}

#[test]
fn names_have_addresses_where_the_real_ports_answer() {
    if !has_engine() {
        return;
    }
    let shop = shop();
    let said = shop.plays(&["up", "-d", "--offline", "--hosts"]);
    let file = shop.0.path().join(".prodmirror/hosts");
    let append = format!("sudo sh -c 'cat {} >> /etc/hosts'", file.display());
    said.is(0, &["/etc/hosts is yours", &append]);
    let text = shop.text(".prodmirror/hosts");
    assert!(said.err.contains(&text), "{}\n{text}", said.err);
    let names = hosts(&text);
    assert_eq!(names["web"], names["shop.internal"]);
    assert_ne!(names["web"], names["db"]);
    assert!(!names.contains_key("worker"), "{text}");
    // Nobody loses the real one by accident.
    assert!(!names.contains_key("api.pay.example"), "{text}");
    let stand_in = text
        .lines()
        .find(|l| l.contains("api.pay.example"))
        .unwrap();
    let stand_in = stand_in.strip_prefix('#').unwrap();
    let stand_in = &hosts(stand_in)["api.pay.example"];
    let at = |address: &str, port: u16| -> SocketAddr {
        let at: SocketAddr = format!("{address}:{port}").parse().unwrap();
        assert!(at.to_string().starts_with("127.77."), "{at}");
        at
    };
    is_postgres(connect(at(&names["db"], 5432)));
    let ask = |at: SocketAddr, host: &str, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        asked(at, &request).0
    };
    let said = ask(at(&names["web"], 8000), "web:8000", "/health");
    assert!(said.contains(" 200 "), "{said}");
    let said = ask(at(stand_in, 80), "api.pay.example", "/v1/ping");
    assert!(said.contains(" 200 "), "{said}");
    shop.plays(&["down"]).is(0, &[]);
    // The next mirror has the same addresses: what is in /etc/hosts stays right.
    let again = shop.plays(&["up", "-d", "--offline", "--hosts"]);
    again.is(0, &[]);
    assert_eq!(shop.text(".prodmirror/hosts"), text);
}

#[test]
fn a_real_port_that_is_taken_is_said() {
    if !has_engine() {
        return;
    }
    let shop = Workshop::shop("");
    shop.plays(&["up", "-d", "--offline", "--hosts"]).is(0, &[]);
    let db = hosts(&shop.text(".prodmirror/hosts"))["db"].clone();
    let at: SocketAddr = format!("{db}:5432").parse().unwrap();
    shop.plays(&["down"]).is(0, &[]);
    let mut taken = None;
    soon("the address is free again", || {
        taken = std::net::TcpListener::bind(at).ok();
        taken.is_some()
    });
    let said = shop.plays(&["up", "-d", "--offline", "--hosts"]);
    let why = format!(
        "warning: db:5432 is not at {db}: another program listens at port 5432 of that address"
    );
    said.is(0, &[&why, "web:8000 is at 127.77."]);
    let names = hosts(&shop.text(".prodmirror/hosts"));
    assert!(names.contains_key("web") && !names.contains_key("db"));
}
