//! Debuggers: a port that no spec names, also one of the service's own loopback, and the command
//! that has the debugger in it.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use serde_json::Value;

use super::{Workshop, address, connect, has_engine, run_of, soon};
use crate::engine::IMAGE;
use crate::rig::left;

/// Waits for its client, as debuggers can, and only then runs what it is given: the service is
/// not ready before. It listens for its own host alone. A client that went away before it was
/// greeted, as one may on a busy machine, is none.
const WAIT: &str = "import os, socket, sys\nserver = socket.create_server(('127.0.0.1', 5678))\nword = b''\nwhile word != b'go on':\n    client, _ = server.accept()\n    try:\n        client.sendall(b'stopped at ' + ' '.join(sys.argv[1:]).encode() + b'\\n')\n        word = client.recv(100)\n    except OSError:\n        pass\nclient.sendall(b'going on\\n')\nos.execvp(sys.argv[1], sys.argv[1:])\n";

fn debugged() -> Workshop {
    let services = format!(
        "  app:\n    image: {IMAGE}\n    init: true\n    entrypoint: [python3]\n    command: [-m, http.server, \"8000\"]\n    environment: {{ MODE: production, KEY: \"${{KEY}}\" }}\n    configs: [{{ source: wait, target: /wait.py }}]\n    healthcheck: {{ test: [CMD, python3, -c, \"import urllib.request as u; u.urlopen('http://127.0.0.1:8000/')\"], interval: 1s, retries: 200 }}\nconfigs:\n  wait: {{ file: ./wait.py }}\n"
    );
    let workshop = Workshop::of(&services, &[("wait.py", WAIT)]);
    workshop.mirror("secrets: { KEY: { stub: the-key-of-production } }\n");
    workshop
}

#[test]
fn a_service_waits_for_its_debugger_on_its_own_loopback() {
    if !has_engine() {
        return;
    }
    let workshop = debugged();
    let args = [
        "up",
        "--offline",
        "--debug",
        "app=5678",
        "--debug-command",
        "app={program} /wait.py {command}",
        "--debug-env",
        "app=MODE=debugged",
    ];
    let running = workshop.0.start(&args, &[]);
    // The service is not ready, and the way to it is open, which is said.
    let mut at = None;
    soon("the port is said", || {
        let said = workshop.text("stderr");
        at = said.split_once("app:5678 is at ").and_then(|(_, rest)| {
            rest.split_once(" (for a debugger")
                .map(|(at, _)| at.to_owned())
        });
        at.is_some()
    });
    let at: std::net::SocketAddr = at.unwrap().parse().unwrap();
    let mut client = None;
    soon("the debugger greets its client", || {
        let Ok(stream) = std::net::TcpStream::connect(at) else {
            return false;
        };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
        let mut line = [0; 39];
        let greeted = (&stream).read_exact(&mut line).is_ok();
        client = greeted.then_some((stream, line));
        greeted
    });
    let (mut stream, line) = client.unwrap();
    let line = String::from_utf8_lossy(&line).into_owned();
    assert_eq!(line, "stopped at python3 -m http.server 8000\n");
    let said = workshop.text("stderr");
    assert!(!said.contains("ready"), "{said}");
    stream.write_all(b"go on").unwrap();
    soon("the mirror is up", || {
        let said = workshop.text("stderr");
        said.contains("Ctrl-C removes the mirror")
    });
    let said = workshop.text("stderr");
    for part in [
        "not as in production: app runs `python3 /wait.py python3 -m http.server 8000` instead of `python3 -m http.server 8000`",
        "not as in production: app has MODE otherwise than production",
    ] {
        assert!(said.contains(part), "missing {part:?} in\n{said}");
    }
    // It has all else of production.
    let env = workshop.beside(&["exec", "-T", "app", "env"]);
    assert!(
        env.out.contains("MODE=debugged") && env.out.contains("KEY=the-key"),
        "{}",
        env.out
    );
    let mut rest = String::new();
    let _ = stream.read_to_string(&mut rest);
    assert!(rest.starts_with("going on"), "{rest}");
    let run = run_of(&workshop.0, &workshop.name());
    running.signal("INT");
    running.end(Duration::from_secs(60)).is(0, &["3 high"]);
    assert!(left(&run).is_empty());
}

#[test]
fn a_port_inside_is_open_beside_a_mirror_that_was_left_running() {
    if !has_engine() {
        return;
    }
    let services = format!(
        "  app:\n    image: {IMAGE}\n    init: true\n    command: [python3, -m, http.server, \"9229\", --bind, 127.0.0.1]\n  six:\n    image: {IMAGE}\n    init: true\n    command: [python3, -m, http.server, \"9230\"]\n"
    );
    let workshop = Workshop::of(&services, &[]);
    let args = [
        "up",
        "-d",
        "--offline",
        "--debug",
        "app=9229",
        "--debug",
        "six=9230",
        "--debug",
        "six=9231",
        "--proxy",
    ];
    workshop.plays(&args).is(0, &["app:9229 is at 127.0.0.1:"]);
    let ports = workshop.ports();
    let ask = |at, target: &str| {
        let mut stream = connect(at);
        let request = format!("GET {target} HTTP/1.0\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer.lines().next().unwrap_or_default().to_owned()
    };
    let of = |target: u16| -> std::net::SocketAddr {
        let found = ports.iter().find(|p| p["target"] == target).unwrap();
        found["address"].as_str().unwrap().parse().unwrap()
    };
    soon("the service listens", || ask(of(9229), "/").contains("200"));
    soon("the other one listens", || {
        ask(of(9230), "/").contains("200")
    });
    // Nobody listens there: the connection ends without a word.
    assert_eq!(ask(of(9231), "/"), "");
    // It is a way for debuggers alone: others find what production's services find.
    let proxy = address(&ports, "proxy", "");
    let answer = ask(proxy, "http://app:9229/");
    assert!(answer.contains("502"), "{answer}");
    // It goes on after the service was started again.
    workshop.plays(&["restart", "app"]).is(0, &[]);
    soon("it answers again", || ask(of(9229), "/").contains("200"));
    let ports: Vec<Value> = ports;
    assert_eq!(ports.iter().filter(|p| p["why"] == "debugger").count(), 3);
}
