//! `up --replace`: a process of this machine is a service of the mirror.

use std::time::Duration;

use super::{Local, Mirror, NGINX, PYTHON, free, get, lives, until};
use crate::rig::has_engine;

const PROXY: &str = "server { listen 80; location / { proxy_pass http://app:8080; } }\n";

/// A gateway before a service that says `container`.
fn site() -> Mirror {
    let compose = format!(
        "services:\n  gateway:\n    image: {NGINX}\n    ports: [\"80\"]\n    configs: [{{ source: proxy, target: /etc/nginx/conf.d/default.conf }}]\n    depends_on: [app]\n  app:\n    image: {PYTHON}\n    init: true\n    expose: [\"8080\"]\n    command: [python3, -m, http.server, \"8080\"]\n    healthcheck: {{ test: [CMD, http-check, \"8080\", /health] }}\n  job:\n    image: {PYTHON}\n    init: true\n    command: [sleep, infinity]\n    depends_on: {{ done: {{ condition: service_completed_successfully }} }}\n  done:\n    image: {PYTHON}\n    command: [\"true\"]\nconfigs:\n  proxy: {{ file: ./proxy.conf }}\n"
    );
    Mirror::of(&compose, "", &[("proxy.conf", PROXY)])
}

#[test]
fn a_local_process_is_a_service() {
    if !has_engine() {
        return;
    }
    let mirror = site();
    let at = free();
    let replace = format!("app=http://{at}");
    let mut up = mirror
        .project
        .start(&["up", "-d", "--offline", "--replace", &replace], &[]);
    let said = || mirror.text("stderr");
    up.until(|| said().contains("what needs app waits for it"));
    // It is there before the process is; the gateway, which would only wait for its start, is not.
    let agent = || mirror.run_ps();
    up.until(|| agent().contains("app-1") && agent().contains("(health: starting)"));
    assert!(!agent().contains("gateway-1  Up"), "{}", agent());
    let line = format!("are refused: nothing listens on {at}");
    let told = || mirror.run(&["logs", "app"]).out.matches(&line).count();
    up.until(|| told() == 1);
    let first = Local::start(at, "first");
    up.end(Duration::from_secs(120)).is(
        0,
        &[&format!(
            "app: replaced by a local process: port 8080 is at {at}"
        )],
    );
    let gateway = mirror.port("gateway");
    assert!(
        get(gateway, "/a").ends_with("first /a"),
        "{}",
        get(gateway, "/a")
    );
    let report = mirror.text(".prodmirror/up/fidelity.json");
    let said = format!("replaced by a local process: port 8080 at {at}");
    assert!(report.contains(&said), "{report}");
    // Down: refused at once, and said once.
    drop(first);
    assert!(
        get(gateway, "/").starts_with("HTTP/1.1 502"),
        "{}",
        get(gateway, "/")
    );
    let refused = mirror.run(&["exec", "-T", "gateway", "curl", "-sS", "http://app:8080/"]);
    assert_eq!(refused.code, 7, "{}{}", refused.out, refused.err);
    // Once before the process was there, and once now.
    until("it is said", Duration::from_secs(20), || told() == 2);
    // Another one takes its place, and a large answer comes whole.
    let _second = Local::start(at, "second");
    let long = format!("/{}", "x".repeat(3000));
    until(
        "the second process answers",
        Duration::from_secs(20),
        || get(gateway, &long).ends_with(&format!("second {long}")),
    );
    let carrier = mirror.carrier();
    assert!(lives(carrier));
    assert!(!mirror.text(".prodmirror/addresses.json").is_empty());
    mirror.run(&["down"]).is(0, &[]);
    until("what carries is gone", Duration::from_secs(20), || {
        !lives(carrier) && mirror.text(".prodmirror/addresses.json").is_empty()
    });
}

/// The gateway has no health check: it may need a moment.
#[track_caller]
fn gives(at: std::net::SocketAddr, path: &str, wanted: &str) {
    let mut answer = String::new();
    until(wanted, Duration::from_secs(30), || {
        answer = get(at, path);
        answer.ends_with(wanted)
    });
}

impl Mirror {
    fn run_ps(&self) -> String {
        let out = self.run(&["ps"]).out;
        let name = self.text("mirror.yaml");
        let name = name
            .lines()
            .next()
            .unwrap()
            .trim_start_matches("project: ")
            .to_owned();
        out.lines()
            .filter(|l| l.contains(&name))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

#[test]
fn what_carries_ends_with_up_however_that_ends() {
    if !has_engine() {
        return;
    }
    for signal in ["INT", "KILL"] {
        let mirror = site();
        let local = Local::start(free(), "here");
        let replace = format!("app:8080={}", local.at);
        let mut up = mirror
            .project
            .start(&["up", "--offline", "--replace", &replace], &[]);
        up.until(|| mirror.text("stderr").contains("Ctrl-C removes the mirror"));
        let gateway = mirror.text("stderr");
        let at = gateway.split("gateway:80 is at ").nth(1).unwrap();
        let at = at.split_whitespace().next().unwrap().parse().unwrap();
        gives(at, "/x", "here /x");
        let carrier = mirror.carrier();
        assert!(lives(carrier), "{signal}");
        up.signal(signal);
        up.end(Duration::from_secs(60));
        until("what carries is gone", Duration::from_secs(20), || {
            !lives(carrier)
        });
        until("the mirror is gone", Duration::from_secs(60), || {
            mirror.run_ps().is_empty()
        });
    }
}

#[test]
fn what_cannot_be_replaced_is_refused_before_anything_starts() {
    if !has_engine() {
        return;
    }
    let mirror = site();
    for (replace, said) in [
        ("ap=1", "did you mean `app`?"),
        ("app", "it is not SERVICE=ADDRESS"),
        (
            "app=203.0.113.9:80",
            "203.0.113.9 is no address of this machine",
        ),
        ("app=http://127.0.0.1:80/x", "an address has no path"),
        ("job=1", "names a TCP port"),
        ("done=1", "meant to run to its end"),
    ] {
        let up = mirror.run(&["up", "-d", "--offline", "--replace", replace]);
        up.is(2, &[said]);
        assert!(mirror.run_ps().is_empty(), "{replace}");
        assert!(mirror.text(".prodmirror/addresses.json").is_empty());
    }
    mirror
        .run(&["env", "app"])
        .is(2, &["no mirror of", "prodmirror up"]);
}
