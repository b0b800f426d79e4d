//! A destination that `mirror.yaml` allows is really reached, and only it.

use crate::engine::{Beside, IMAGE};
use crate::host::Host;
use crate::project::Project;

#[test]
fn traffic_leaves_to_what_is_allowed_and_to_nothing_else() {
    let Some(beside) = Beside::connect() else {
        return;
    };
    let (outside, silent) = (Host::listen(), Host::listen());
    let (open, closed) = (outside.port, silent.port);
    let name = beside.name();
    // Two names for this host: one by an address, one by what the engine calls its host.
    let compose = format!(
        "services:\n  web:\n    image: {IMAGE}\n    command: [sleep, infinity]\n    init: true\n    extra_hosts: ['outside.example=172.17.0.1', 'gateway.example=host-gateway']\n    volumes: ['./ask.py:/ask.py:ro']\n"
    );
    let mirror = format!(
        "project: {name}\nproduction: [compose.yaml]\negress:\n  'outside.example:{open}': {{ allow: true, because: a test }}\n  'gateway.example:{open}': {{ allow: true }}\n  'outside.example:{closed}': {{ deny: true }}\n"
    );
    let ask = "import socket, sys\ntry:\n    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as s:\n        s.sendall(sys.argv[3].encode())\n        s.shutdown(socket.SHUT_WR)\n        print(s.makefile().read())\nexcept OSError as e:\n    print('no:', e)\n";
    let step = |host: &str, port: u16, text: &str, expected: &str| {
        format!(
            "  - exec: {{ service: web, cmd: [python3, /ask.py, {host}, '{port}', {text}] }}\n    expect: [ '{expected}' ]\n"
        )
    };
    let reached = "stdout == \"host\\n\"";
    let refused = "stdout.startsWith(\"no:\")";
    let scenario = [
        "scenario: only what is allowed is reached\nsteps:\n".to_owned(),
        step("outside.example", open, "by-address", reached),
        step("gateway.example", open, "by-gateway", reached),
        step("outside.example", closed, "another-port", refused),
        step("gateway.example", closed, "another-port", refused),
        // The relays lead to that one destination, not to its address on any other way.
        step("172.17.0.1", open, "around-the-relay", refused),
        step("egress-outside-example", closed, "another-port", refused),
        step("egress-outside-example", 10002, "behind-the-relay", refused),
        step("prodmirror-egress", 10001, "behind-the-relay", refused),
        format!("  - http: {{ url: \"http://outside.example:{open}/from-a-step\" }}\n    expect: [ status == 200, body == 'host' ]\n"),
    ]
    .concat();
    let project = Project::with(&[
        ("mirror.yaml", &mirror),
        ("compose.yaml", &compose),
        ("ask.py", ask),
        ("scenarios/a.yaml", &scenario),
    ]);
    let said = project.run_with(&["run", "--offline"], &beside.env());
    assert_eq!(said.code, 0, "{}\n{}", said.out, said.err);
    for text in ["by-address", "by-gateway", "GET /from-a-step"] {
        outside.hears(text);
    }
    let heard = outside.heard();
    let others = ["another-port", "around-the-relay", "behind-the-relay"];
    assert!(
        !heard.iter().any(|h| others.iter().any(|o| h.contains(o))),
        "{heard:?}"
    );
    silent.is_silent();
    assert!(beside.containers(name).is_empty(), "something is left");
}
