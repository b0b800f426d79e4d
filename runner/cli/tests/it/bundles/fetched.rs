//! Bundles that come from an address.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};

use crate::project::Project;
use crate::rig::{has_engine, sleeper};

const FAILS: &str = "scenario: a\nsteps:\n  - exec: { service: app, cmd: [\"false\"] }\n    expect: exit_code == 0\n";

/// Serves a bundle, and other things that addresses may give. It ends with the test's process.
fn serving(bundle: Vec<u8>) -> SocketAddr {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = server.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut client in server.incoming().flatten() {
            let mut request = vec![0; 4096];
            let read = client.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            let half = &bundle[..bundle.len() / 2];
            let (head, body) = match path.split('?').next().unwrap_or_default() {
                "/a.bundle" => (
                    format!("200 OK\r\nContent-Length: {}", bundle.len()),
                    &bundle[..],
                ),
                "/moved" => (
                    "302 Found\r\nLocation: /a.bundle\r\nContent-Length: 0".to_owned(),
                    &[][..],
                ),
                "/large" => (format!("200 OK\r\nContent-Length: {}", 65_u64 << 30), half),
                "/cut" => (format!("200 OK\r\nContent-Length: {}", bundle.len()), half),
                // Whoever writes no length may end anywhere.
                "/ended" => ("200 OK".to_owned(), half),
                "/page" => ("200 OK\r\nContent-Length: 6".to_owned(), &b"<html>"[..]),
                "/shut" => ("401 Unauthorized\r\nContent-Length: 0".to_owned(), &[][..]),
                _ => (
                    "404 Not Found\r\nContent-Length: 7".to_owned(),
                    &b"nothing"[..],
                ),
            };
            let head = format!("HTTP/1.1 {head}\r\nConnection: close\r\n\r\n");
            let _ = client.write_all(head.as_bytes());
            let _ = client.write_all(body);
        }
    });
    at
}

#[test]
fn it_is_run_when_it_comes_whole_and_refused_when_not() {
    if !has_engine() {
        return;
    }
    let project = sleeper(&[("scenarios/a.yaml", FAILS)]);
    project.plays(&["run"], &[]).is(1, &[]);
    let at = serving(std::fs::read(project.bundle()).unwrap());
    let elsewhere = Project::empty();
    for (path, why) in [
        ("gone.bundle", "the answer is 404"),
        ("shut", "the answer is 401"),
        ("large", "it is larger than 68719476736 bytes"),
        ("cut", "cannot fetch"),
        ("ended", "cannot be used"),
        ("page", "it is no gzip archive"),
    ] {
        let address = format!("http://me:word@{at}/{path}?token=abc");
        let said = elsewhere.plays(&["repro", &address], &[]);
        said.is(2, &[why, &at.to_string()]);
        let shown = [said.out.as_str(), said.err.as_str()].concat();
        assert!(
            !shown.contains("word") && !shown.contains("token"),
            "{shown}"
        );
        assert!(!elsewhere.path().join(".prodmirror/runs").exists());
    }
    // Nobody listens there.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let said = elsewhere.plays(&["repro", &format!("http://{port}/a.bundle")], &[]);
    said.is(2, &["cannot fetch", "refused"]);
    assert_eq!(elsewhere.reproduced(), 0);
    for path in ["a.bundle", "moved"] {
        let address = format!("http://{at}/{path}");
        elsewhere
            .plays(&["repro", &address], &[])
            .is(0, &["reproduced: steps[0]"]);
    }
    assert_eq!(elsewhere.reproduced(), 1);
}
