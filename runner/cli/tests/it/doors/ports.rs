//! `up --publish`, `ports`, and what is refused before anything starts.

use std::net::TcpListener;
use std::time::Duration;

use super::{Workshop, address, connect, has_engine, is_postgres, listed, run_of, soon};
use crate::rig::{clean_within, left};

#[test]
fn ports_that_no_spec_publishes_are_forwarded_on_request() {
    if !has_engine() {
        return;
    }
    let shop = Workshop::shop("");
    let said = shop.plays(&["up", "-d", "--offline", "--publish"]);
    said.is(
        0,
        &[
            "web:8000 is at 127.0.0.1:",
            "db:5432 is at 127.0.0.1:",
            "warning: web:5353/udp is not forwarded: only TCP is",
        ],
    );
    assert!(!said.err.contains("worker:"), "{}", said.err);
    let ports = shop.ports();
    // What the spec publishes is forwarded once, whoever asks for it, too.
    assert_eq!(ports.len(), 2, "{ports:#?}");
    let db = address(&ports, "asked", "db");
    assert!(db.ip().is_loopback());
    is_postgres(connect(db));
    address(&ports, "declared", "web");
    let said = shop.plays(&["ports", "db"]);
    assert_eq!(said.out, format!("db:5432 -> {db}\n"));
    let run = run_of(&shop.0, &shop.name());
    assert!(listed(&run).exists());
    shop.plays(&["down"]).is(0, &["objects removed"]);
    assert!(!listed(&run).exists());
    assert!(left(&run).is_empty());
    // The process that kept it open ends with the mirror.
    soon("the port closes", || {
        TcpListener::bind(db).is_ok_and(|l| l.local_addr().is_ok())
    });
}

#[test]
fn a_mirror_that_is_killed_leaves_nothing_open_and_nothing_written() {
    if !has_engine() {
        return;
    }
    let shop = Workshop::shop("");
    let args = ["up", "--offline", "--publish", "db:5432", "db:5433"];
    let mut running = shop.0.start(&args, &[]);
    let mut ports = Vec::new();
    running.until(|| {
        let said = shop.text("stderr");
        said.contains("Ctrl-C removes the mirror")
    });
    ports.extend(shop.ports());
    assert_eq!(ports.len(), 3, "{ports:#?}");
    let five = |p: &&serde_json::Value| p["target"] == 5432;
    let db = ports.iter().find(five).unwrap()["address"]
        .as_str()
        .unwrap();
    is_postgres(connect(db.parse().unwrap()));
    let run = run_of(&shop.0, &shop.name());
    assert!(listed(&run).exists());
    running.signal("KILL");
    running.end(Duration::from_secs(10));
    clean_within(&run, Duration::from_secs(60));
    soon("what was written down goes", || !listed(&run).exists());
}

#[test]
fn what_is_wrong_is_said_before_anything_starts() {
    if !has_engine() {
        return;
    }
    let shop = Workshop::shop("");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let cases: &[(&[&str], &[&str])] = &[
        (
            &["--publish", "dbb"],
            &["there is no service `dbb`", "did you mean `db`?"],
        ),
        (
            &["--publish", "db:0", "web:x"],
            &["db:0`: `0` is no port", "web:x`: `x` is no port"],
        ),
        (
            &["--publish", "worker"],
            &["neither production's spec nor the image of worker names a port"],
        ),
        (
            &["--proxy", "0.0.0.0:80"],
            &["is not on loopback: other hosts could reach the mirror"],
        ),
        (&["--proxy", "web"], &["`--proxy web` is no address"]),
        (&["--proxy", &taken], &["cannot listen on", "--proxy"]),
        (&["--debug", "web"], &["is not SERVICE=PORT"]),
        (&["--debug", "wbe=1"], &["did you mean `web`?"]),
        (&["--debug-command", "web"], &["is not SERVICE=COMMAND"]),
        (
            &["--debug-command", "wbe=x {command}"],
            &["there is no service `wbe`", "did you mean `web`?"],
        ),
        (
            &["--debug-env", "web=TOKEN"],
            &["`--debug-env web…` is not SERVICE=NAME=VALUE"],
        ),
        (
            &["--stand-ins"],
            &["`--stand-ins` is about a bundle", "--at BUNDLE"],
        ),
        (&["--at", "none.bundle"], &["none.bundle"]),
    ];
    for (args, texts) in cases {
        let all = [&["up", "-d", "--offline"], *args].concat();
        let said = shop.plays(&all);
        said.is(2, texts);
        assert!(!said.err.contains("TOKEN"), "{}", said.err);
    }
    let said = shop.beside(&["ps", "--format", "json"]);
    assert!(!said.out.contains(&shop.name()), "{}", said.out);
}

#[test]
fn a_project_that_is_refused_is_told_why() {
    if !has_engine() {
        return;
    }
    let shop = Workshop::of("  web: { image: \"x:1\", privileged: true }\n", &[]);
    let said = shop.plays(&["up", "-d", "--offline"]);
    said.is(2, &["`privileged` is refused", "compose.yaml:2"]);
}
