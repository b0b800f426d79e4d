//! `record`: what a person clicks through the proxy becomes a scenario that passes.

mod shop;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::engine::IMAGE;
use super::project::{Project, Said};
use super::rig::{Running, has_engine};

const SITE: &str = include_str!("site.py");
const PASSWORD: &str = "hunter22-of-ann";

/// A running mirror of a small site; it is removed with this.
struct Mirror(Project);

impl Mirror {
    fn up() -> Self {
        let compose = format!(
            "services:\n  web:\n    image: {IMAGE}\n    init: true\n    command: [python3, /site.py]\n    ports: [\"18000:8000\"]\n    configs: [{{ source: site, target: /site.py }}]\n    healthcheck: {{ test: [CMD, python3, -c, \"import http.client as h; c = h.HTTPConnection('web:8000'); c.request('GET', '/health'); assert c.getresponse().status == 200\"], interval: 1s, retries: 60 }}\nconfigs:\n  site: {{ file: ./site.py }}\n"
        );
        let project = Project::with(&[("compose.yaml", &compose), ("site.py", SITE)]);
        let name = format!(
            "rec-{}",
            project.path().file_name().unwrap().to_string_lossy()
        );
        let name = name.to_lowercase().replace('.', "");
        project.write(
            "mirror.yaml",
            format!("project: {name}\nproduction: [compose.yaml]\nsecrets: {{ ANN: {{ stub: {PASSWORD} }} }}\n").as_bytes(),
        );
        let mirror = Self(project);
        mirror.engine(&["up", "-d", "--offline"]).is(0, &[]);
        mirror
    }

    fn engine(&self, args: &[&str]) -> Said {
        self.0.start(args, &[]).end(Duration::from_secs(120))
    }

    /// Starts a recording; where it listens.
    fn record(&self, args: &[&str]) -> (Running<'_>, String) {
        self.record_with(args, &[])
    }

    fn record_with(&self, args: &[&str], env: &[(&str, &str)]) -> (Running<'_>, String) {
        let mut all = vec!["record"];
        all.extend(args);
        let mut running = self.0.start(&all, env);
        let mut at = None;
        running.until(|| {
            let said = std::fs::read_to_string(self.0.path().join("stderr")).unwrap();
            at = said
                .split_once(" at http://")
                .and_then(|(_, rest)| Some(rest.split_once('\n')?.0.to_owned()));
            at.is_some()
        });
        (running, at.unwrap())
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).unwrap()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.engine(&["down"]);
    }
}

/// Asks as a program that speaks no HTTP of its own would.
fn raw(at: &str, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(at).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A browser: it keeps cookies and follows redirects.
fn browser() -> reqwest::Client {
    // The client wants one, though nothing here speaks TLS. The second time it is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().cookie_store(true).no_proxy();
    builder.build().unwrap()
}

async fn click(at: &str) {
    let browser = browser();
    let url = |path: &str| format!("http://{at}{path}");
    // The cookie is of another domain and needs TLS; the redirect names production's host.
    let form = format!("user=ann&password={PASSWORD}");
    let login = browser
        .post(url("/login"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let home = login.send().await.unwrap();
    assert_eq!(home.url().as_str(), url("/home"));
    assert_eq!(home.status(), 200);
    let css = browser.get(url("/a.css")).send().await.unwrap();
    assert_eq!(css.text().await.unwrap(), "a{}");
    let order = browser
        .post(url("/orders"))
        .header("origin", url(""))
        .header("referer", url("/home"))
        .json(&serde_json::json!({ "sku": "A1", "qty": 2 }));
    let order = order.send().await.unwrap();
    assert_eq!(order.status(), 201);
    let location = order.headers()["location"].to_str().unwrap().to_owned();
    let seen = browser.get(url(&location)).send().await.unwrap();
    assert_eq!(seen.json::<Value>().await.unwrap()["qty"], 2);
    // What a browser has kept is asked for again, and may not be kept.
    let kept = browser.get(url("/kept")).header("if-none-match", "\"1\"");
    let kept = kept.send().await.unwrap();
    assert_eq!(kept.status(), 200);
    assert_eq!(kept.headers()["cache-control"], "no-store");
    let head = browser.head(url("/bytes")).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "256");
}

#[test]
fn what_is_clicked_becomes_a_scenario_that_passes() {
    if !has_engine() {
        return;
    }
    let mirror = Mirror::up();
    let (running, at) = mirror.record(&[
        "--name",
        "ann orders two mugs",
        "--out",
        "scenarios/mugs.yaml",
        "--har",
        "out.har",
    ]);
    runtime().block_on(click(&at));
    running.signal("INT");
    let said = running.end(Duration::from_secs(30));
    said.is(
        0,
        &[
            "1  POST /login  303",
            "-  GET /a.css  200",
            "(left out: static files)",
            "6  HEAD /bytes  200",
            "left out: 1 static files",
            "wrote scenarios/mugs.yaml",
        ],
    );
    let text = mirror.text("scenarios/mugs.yaml");
    for part in [
        "scenario: ann orders two mugs\n",
        "url: \"http://web:8000/login\"",
        "password: \"{{ secrets.ANN }}\"",
        "redirects: 0",
        "cookie_sid: { cookie: sid }",
        "sid={{ cookie_sid }}",
        "- status == 303",
        "json: { sku: A1, qty: 2 }",
        "origin: \"http://web:8000\"",
        "order_id: { jsonpath: \"$.id\" }",
        "http://web:8000/orders/{{ order_id }}",
        "partial: { sku: A1, qty: 2, id: \"{{ order_id }}\" }",
        "method: HEAD",
    ] {
        assert!(text.contains(part), "missing {part:?} in\n{text}");
    }
    for never in [PASSWORD, "127.0.0.1", "a.css", "if-none-match", "304"] {
        assert!(!text.contains(never), "{never} in\n{text}");
    }
    let har = mirror.text("out.har");
    assert!(
        !har.contains(PASSWORD) && !said.err.contains(PASSWORD),
        "{har}"
    );
    let har: Value = serde_json::from_str(&har).unwrap();
    assert_eq!(har["log"]["entries"].as_array().unwrap().len(), 7);
    mirror.0.run(&["check", "scenarios/mugs.yaml"]).is(0, &[]);
    mirror
        .0
        .run(&["fmt", "--check", "scenarios/mugs.yaml"])
        .is(0, &[]);
    // On a fresh stack, where every id is another one.
    mirror
        .engine(&["run", "--offline", "scenarios/mugs.yaml"])
        .is(0, &["1 passed"]);
    let broken = SITE.replace("self.say(201, order,", "self.say(201, {**order, 'qty': 1},");
    assert_ne!(broken, SITE);
    mirror.0.write("site.py", broken.as_bytes());
    mirror
        .engine(&["run", "--offline", "scenarios/mugs.yaml"])
        .is(1, &["partial"]);
}

#[test]
fn what_browsers_and_servers_do_in_the_middle() {
    if !has_engine() {
        return;
    }
    let mirror = Mirror::up();
    let (running, at) = mirror.record(&["--out", "s.yaml", "--har", "out.har", "--all"]);
    let browser = browser();
    runtime().block_on(async {
        let url = |path: &str| format!("http://{at}{path}");
        let big = browser.get(url("/big")).send().await.unwrap();
        assert_eq!(big.bytes().await.unwrap().len(), 64 * 0x10000);
        let bytes = browser.get(url("/bytes")).send().await.unwrap();
        assert_eq!(
            bytes.bytes().await.unwrap().to_vec(),
            (0..=255).collect::<Vec<u8>>()
        );
        let upload = browser
            .post(url("/upload"))
            .body(vec![0xff; 3 * 1024 * 1024]);
        let upload: Value = upload.send().await.unwrap().json().await.unwrap();
        assert_eq!(upload["size"], 3 * 1024 * 1024);
        let upload = browser.post(url("/upload")).body(&b"\xff\xfe"[..]);
        assert_eq!(upload.send().await.unwrap().status(), 200);
        let css = browser.get(url("/a.css")).send().await.unwrap();
        assert_eq!(css.status(), 200);
        // A server that hangs up without an answer.
        let lost = browser.get(url("/drop")).send().await.unwrap();
        assert_eq!(lost.status(), 502);
        let away = browser.get(url("/away")).send().await;
        assert!(away.is_err(), "elsewhere.example cannot be reached");
    });
    // A person who goes away in the middle of an answer, and one in the middle of a question.
    let mut endless = raw(&at, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
    endless.read_exact(&mut [0; 200]).unwrap();
    drop(endless);
    drop(raw(
        &at,
        "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc",
    ));
    let mut odd = String::new();
    let mut stream = raw(&at, "CONNECT web:8000 HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut first = [0; 12];
    stream.read_exact(&mut first).unwrap();
    odd.push_str(&String::from_utf8_lossy(&first));
    assert_eq!(odd, "HTTP/1.1 405");
    drop(stream);
    let mut garbage = raw(&at, "\u{0}\u{1}garbage\r\n\r\n");
    let _ = garbage.read_to_end(&mut Vec::new());
    let mut socket = raw(
        &at,
        "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(
        head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{head}"
    );
    socket.write_all(b"ping").unwrap();
    let mut pong = [0; 4];
    socket.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"ping");
    // It is still open when the recording ends, and so is this answer.
    let mut open = raw(&at, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
    open.read_exact(&mut [0; 200]).unwrap();
    running.signal("INT");
    let said = running.end(Duration::from_secs(30));
    said.is(
        0,
        &[
            "GET /ws  101",
            "left out: 1 WebSockets",
            "GET /drop  -",
            "requests without an answer",
            "/away redirects to https://elsewhere.example",
            "the body of POST /upload is left out: it was too long to be recorded",
            "the body of POST /upload is left out: it is no text",
            "wrote s.yaml",
        ],
    );
    let text = mirror.text("s.yaml");
    assert!(
        text.contains("/a.css") && !text.contains("https://elsewhere.example"),
        "{text}"
    );
    let har: Value = serde_json::from_str(&mirror.text("out.har")).unwrap();
    let entries = har["log"]["entries"].as_array().unwrap();
    let of = |path: &str| {
        let url = format!("http://web:8000{path}");
        entries
            .iter()
            .find(|e| e["request"]["url"] == *url)
            .unwrap()
    };
    assert_eq!(of("/bytes")["response"]["content"]["encoding"], "base64");
    let big = &of("/big")["response"]["content"];
    assert_eq!(
        (&big["size"], &big["text"]),
        (&Value::from(64 * 0x10000), &Value::from(""))
    );
    let endless = &of("/endless")["response"];
    assert_eq!(endless["comment"], "the answer did not come to its end");
    assert_eq!(
        of("/away")["response"]["redirectURL"],
        "https://elsewhere.example/login"
    );
    mirror.0.run(&["check", "s.yaml"]).is(0, &[]);
}

#[test]
fn a_recording_ends_by_itself_and_writes_over_nothing() {
    if !has_engine() {
        return;
    }
    let mirror = Mirror::up();
    let (running, at) = mirror.record(&["--requests", "2"]);
    let browser = browser();
    runtime().block_on(async {
        for path in ["/health", "/a.css", "/health?token=t0k3n9"] {
            let url = format!("http://{at}{path}");
            assert_eq!(browser.get(url).send().await.unwrap().status(), 200);
        }
    });
    let said = running.end(Duration::from_secs(30));
    said.is(
        0,
        &[
            "2  GET /health?token=***  200",
            "wrote scenarios/recorded.yaml",
        ],
    );
    assert!(!said.err.contains("t0k3n9"), "{}", said.err);
    let there = "scenarios/recorded.yaml is there already";
    mirror.engine(&["record"]).is(2, &[there, "--force"]);
    // Nobody listens there: the person is told, and there is nothing to write.
    let (running, at) = mirror.record(&["--to", "web:9", "--force", "--for", "3s"]);
    runtime().block_on(async {
        let lost = browser
            .get(format!("http://{at}/health"))
            .send()
            .await
            .unwrap();
        assert_eq!(lost.status(), 502);
        let text = lost.text().await.unwrap();
        assert!(
            text.contains("no answer of http://web:9: could not connect"),
            "{text}"
        );
    });
    let said = running.end(Duration::from_secs(30));
    said.is(
        2,
        &["no scenario is written", "1 requests without an answer"],
    );
    // What there was before is there still.
    assert!(mirror.text("scenarios/recorded.yaml").contains("/health"));
    // Somebody else writes the file while it is recorded: nothing of either is lost.
    let temp = [("TMPDIR", mirror.0.path().to_str().unwrap())];
    let (running, at) = mirror.record_with(&["--out", "late.yaml", "--requests", "1"], &temp);
    mirror.0.write("late.yaml", b"theirs");
    runtime().block_on(async {
        let asked = browser
            .get(format!("http://{at}/health"))
            .send()
            .await
            .unwrap();
        assert_eq!(asked.status(), 200);
    });
    let said = running.end(Duration::from_secs(30));
    said.is(2, &["late.yaml is there already", "what passed is in"]);
    assert_eq!(mirror.text("late.yaml"), "theirs");
    let kept = said.err.split_once("what passed is in ").unwrap().1;
    let kept = kept.split_once(';').unwrap().0;
    mirror
        .0
        .run(&["new", "--from-har", kept, "--out", "kept.yaml"])
        .is(0, &[]);
    mirror
        .engine(&["record", "--to", "http://other", "--force"])
        .is(2, &["the mirror has no service `other`"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    mirror
        .engine(&["record", "--listen", &port, "--force"])
        .is(2, &["cannot listen on 127.0.0.1", "--listen"]);
}

#[test]
fn mistakes_are_told_before_anything_is_asked() {
    let two = "services:\n  a: { image: \"x:1\", ports: [\"80:80\"] }\n  b: { image: \"x:1\", ports: [\"81:81\"] }\n";
    let p = Project::with(&[("compose.yaml", two), ("is.har", "mine")]);
    for (args, why) in [
        (
            &[][..],
            "several services publish ports: http://a, http://b:81",
        ),
        (
            &["--to", "https://a"],
            "https://a cannot be recorded: only plain HTTP can",
        ),
        (&["--to", "http://a/x"], "is not a base URL"),
        (&["--to", "http://a:99999"], "names no port"),
        (
            &["--to", "a", "--listen", "0.0.0.0:80"],
            "is not on loopback",
        ),
        (&["--to", "a", "--listen", "x"], "is no address"),
        (&["--to", "a", "--for", "soon"], "is no duration"),
        (&["--to", "a", "--requests", "0"], "0 is not in"),
        (&["--to", "a", "--har", "is.har"], "is.har is there already"),
    ] {
        let mut all = vec!["record"];
        all.extend(args);
        p.run(&all).is(2, &[why]);
    }
    assert_eq!(
        std::fs::read_to_string(p.path().join("is.har")).unwrap(),
        "mine"
    );
}

#[test]
fn without_a_mirror_there_is_nothing_to_record() {
    if !has_engine() {
        return;
    }
    let compose = format!("services:\n  web: {{ image: \"{IMAGE}\", ports: [\"80:80\"] }}\n");
    let p = Project::with(&[("compose.yaml", &compose)]);
    p.write(
        "mirror.yaml",
        b"project: nothing-runs-here\nproduction: [compose.yaml]\n",
    );
    let said = p.start(&["record"], &[]).end(Duration::from_secs(60));
    said.is(
        2,
        &[
            "no mirror of nothing-runs-here-mirror is running",
            "prodmirror up -d",
        ],
    );
}
