//! `flag`: what a mirror serves changes while it stands, and its services see it.

use std::time::Duration;

use serde_json::Value;

use super::{Local, Mirror, PYTHON, free, get, until};
use crate::docker::docker;
use crate::rig::has_engine;

const FLAGS: &str = "{\n  \"flags\": {\n    \"checkout\": { \"state\": \"ENABLED\", \"variants\": { \"on\": true, \"off\": false }, \"defaultVariant\": \"off\" },\n    \"colour\": { \"state\": \"ENABLED\", \"variants\": { \"red\": \"r\", \"blue\": \"b\" }, \"defaultVariant\": \"red\" }\n  }\n}\n";

fn body(answer: &str) -> &str {
    answer.split("\r\n\r\n").nth(1).unwrap_or(answer)
}

#[test]
fn services_see_the_file_change_while_they_run() {
    if !has_engine() {
        return;
    }
    let compose = format!(
        "services:\n  app:\n    image: {PYTHON}\n    init: true\n    user: \"1000:1000\"\n    read_only: true\n    command: [python3, -m, http.server, \"8000\", -d, /etc/app]\n    ports: [\"8000\"]\n    configs: [{{ source: flags, target: /etc/app/flags.json }}]\n    healthcheck: {{ test: [CMD, python3, -c, \"import socket; socket.create_connection(('127.0.0.1', 8000))\"], interval: 1s, retries: 60 }}\n  side:\n    image: {PYTHON}\n    expose: [\"9000\"]\n    command: [sleep, infinity]\n    environment: {{ FLAGS: /etc/side/flags.json }}\n    configs: [{{ source: flags, target: /etc/side/flags.json }}]\nconfigs:\n  flags: {{ file: ./flags.json }}\n"
    );
    let mirror = Mirror::of(
        &compose,
        "flags: { file: flags.json }\n",
        &[("flags.json", FLAGS)],
    );
    let local = Local::start(free(), "side");
    let replace = format!("side={}", local.at);
    mirror
        .run(&["up", "-d", "--offline", "--replace", &replace])
        .is(0, &[]);
    let exported = mirror.run(&["env", "side"]).out;
    let exported = std::fs::read_to_string(exported.trim()).unwrap();
    let exported = exported
        .lines()
        .find_map(|l| l.strip_prefix("FLAGS="))
        .unwrap()
        .to_owned();
    let at = mirror.port("app");
    let served = |name: &str| -> String {
        let answer = get(at, "/flags.json");
        let flags: Value = serde_json::from_str(body(&answer)).expect(&answer);
        flags["flags"][name]["defaultVariant"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let containers = || mirror.run(&["--format", "json", "ps"]).out;
    let project = mirror.text("mirror.yaml");
    let project = project.lines().next().unwrap();
    let project = project.trim_start_matches("project: ").to_owned();
    let ids = |all: &str| -> Vec<String> {
        let all: Value = serde_json::from_str(all).unwrap();
        let ours = |c: &&Value| {
            c["service"] == "app" && c["project"].as_str().unwrap().starts_with(&project)
        };
        let all = all.as_array().unwrap().iter().filter(ours);
        all.map(|c| c["container"].to_string()).collect()
    };
    let before = ids(&containers());
    let listed = |flag: &str| {
        let said = mirror.run(&["flag", "ls"]);
        let line = said
            .out
            .lines()
            .find(|l| l.starts_with(flag))
            .map(str::to_owned);
        let line = line.unwrap_or_else(|| panic!("{}{}", said.out, said.err));
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(served("checkout"), "off");
    assert_eq!(listed("checkout"), "checkout off off app side");
    mirror.run(&["flag", "set", "checkout=on"]).is(
        0,
        &[
            "app-1: /etc/app/flags.json is written",
            "prodmirror restart app",
        ],
    );
    assert_eq!(served("checkout"), "on");
    assert_eq!(listed("checkout"), "checkout on off app side");
    let here = std::fs::read_to_string(&exported).unwrap();
    assert!(here.contains("\"defaultVariant\": \"on\""), "{here}");
    // Another one, and the first stays.
    mirror.run(&["flag", "set", "colour=blue"]).is(0, &[]);
    assert_eq!(
        (served("checkout"), served("colour")),
        ("on".into(), "blue".into())
    );
    mirror.run(&["flag", "unset", "checkout"]).is(0, &[]);
    assert_eq!(
        (served("checkout"), served("colour")),
        ("off".into(), "blue".into())
    );
    // With all as production has it, the file is production's, to the byte.
    mirror.run(&["flag", "set", "colour=red"]).is(0, &[]);
    assert_eq!(body(&get(at, "/flags.json")), FLAGS);
    assert_eq!(ids(&containers()), before);
    for (args, said) in [
        (["flag", "set", "chekout=on"], "did you mean `checkout`?"),
        (["flag", "set", "checkout=maybe"], "it has on, off"),
        (["flag", "set", "checkout"], "is not NAME=VALUE"),
        (["flag", "unset", "nothing"], "no flag `nothing`"),
    ] {
        mirror.run(&args).is(2, &[said]);
    }
    assert_eq!(body(&get(at, "/flags.json")), FLAGS);
}

const SAYS: &str = "import http.server, os\nprint('NEW is', os.environ['FEATURE_NEW'], flush=True)\nclass H(http.server.BaseHTTPRequestHandler):\n    def do_GET(self):\n        body = (os.environ['FEATURE_NEW'] + ' ' + open('/data/kept').read()).encode()\n        self.send_response(200)\n        self.send_header('content-length', str(len(body)))\n        self.end_headers()\n        self.wfile.write(body)\nhttp.server.ThreadingHTTPServer(('', 8000), H).serve_forever()\n";

/// The name that the engine gave to the volume at a path of `app`.
fn volume(mirror: &Mirror, path: &str) -> String {
    let text = mirror.text("mirror.yaml");
    let project = text.lines().next().unwrap().strip_prefix("project: ");
    let of = |label: &str| format!("label=dev.prodmirror.{label}");
    let id = docker(&[
        "ps",
        "-q",
        "--filter",
        &of(&format!("project={}-mirror", project.unwrap())),
        "--filter",
        &of("service=app"),
        "--filter",
        &of("role=service"),
    ]);
    let at = format!(
        "{{{{range .Mounts}}}}{{{{if eq .Destination \"{path}\"}}}}{{{{.Name}}}}{{{{end}}}}{{{{end}}}}"
    );
    docker(&["inspect", "-f", &at, &id])
}

#[test]
fn a_service_with_flags_in_variables_is_made_again() {
    if !has_engine() {
        return;
    }
    let compose = format!(
        "services:\n  app:\n    image: {PYTHON}\n    init: true\n    stop_grace_period: 1s\n    command: [sh, -c, \"echo once >> /data/kept; exec python3 /app.py\"]\n    ports: [\"8000\"]\n    environment: {{ FEATURE_NEW: \"false\" }}\n    volumes: [/data]\n    configs: [{{ source: app, target: /app.py }}]\n    healthcheck: {{ test: [CMD, python3, -c, \"import socket; socket.create_connection(('127.0.0.1', 8000))\"], interval: 1s, retries: 60 }}\nconfigs:\n  app: {{ file: ./app.py }}\n"
    );
    let mirror = Mirror::of(
        &compose,
        "flags: { prefix: FEATURE_ }\n",
        &[("app.py", SAYS)],
    );
    let mut up = mirror.project.start(&["up", "--offline"], &[]);
    up.until(|| mirror.text("stderr").contains("Ctrl-C removes the mirror"));
    let said = mirror.text("stderr");
    let at = said.split("app:8000 is at ").nth(1).unwrap();
    let at = at.split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(body(&get(at, "/")), "false once\n");
    let volume = volume(&mirror, "/data");
    // Beside `up`, which goes on.
    let flag = |args: &[&str]| mirror.run(args);
    flag(&["flag", "set", "FEATURE_NEW=true"])
        .is(0, &["app-1: made again, with another value of FEATURE_NEW"]);
    // Its volume came along, and its network.
    assert_eq!(body(&get(at, "/")), "true once\nonce\n");
    let listed = flag(&["flag", "ls"]).out;
    assert!(listed.contains("FEATURE_NEW  on"), "{listed}");
    until("`up` shows what it says", Duration::from_secs(20), || {
        mirror.text("stdout").contains("NEW is true")
    });
    // Nothing to do.
    let same = flag(&["flag", "set", "FEATURE_NEW=true"]);
    same.is(0, &[]);
    assert!(!same.err.contains("made again"), "{}", same.err);
    flag(&["flag", "unset", "FEATURE_NEW"]).is(0, &["made again"]);
    assert_eq!(body(&get(at, "/")), "false once\nonce\nonce\n");
    up.signal("INT");
    up.end(Duration::from_secs(60));
    let left = docker(&["volume", "ls", "-q", "--filter", &format!("name={volume}")]);
    assert_eq!(left, "", "a volume without a name goes with its service");
}
