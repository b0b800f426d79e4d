//! The runner's own steps do not leave the stack either.

use std::io::{Read as _, Write as _};

use crate::engine::{Beside, IMAGE};
use crate::host::{ANSWER, Host};
use crate::project::Project;

#[test]
fn redirects_variables_and_proxies_lead_nowhere_else() {
    let Some(beside) = Beside::connect() else {
        return;
    };
    let host = Host::listen();
    let (name, port) = (beside.name(), host.port);
    let proxy = format!("http://127.0.0.1:{port}");
    let mirror = format!(
        "project: {name}\nproduction: [compose.yaml]\negress:\n  'api.example:80': {{ stub: stub.yaml }}\n"
    );
    let stub = format!(
        "routes:\n  - path: /away\n    respond: {{ status: 302, headers: {{ location: 'http://127.0.0.1:{port}/' }} }}\n  - path: /by-name\n    respond: {{ status: 307, headers: {{ location: 'http://production.example:{port}/' }} }}\n  - path: /host\n    respond: {{ json: {{ host: 172.17.0.1 }} }}\n"
    );
    let compose = format!(
        "services:\n  web:\n    image: {IMAGE}\n    command: [sleep, infinity]\n    init: true\n"
    );
    let case =
        |name: &str, steps: &str| format!("scenario: {name}\nisolation: file\nsteps:\n{steps}");
    let scenarios = [
        case("stays", "  - http: { url: 'http://api.example/host' }\n    expect: json.host == '172.17.0.1'\n"),
        case("away", "  - http: { url: 'http://api.example/away' }\n"),
        case("by name", "  - http: { method: POST, url: 'http://api.example/by-name', json: { a: 1 } }\n"),
        case(
            "by variable",
            &format!("  - http: {{ url: 'http://api.example/host' }}\n    capture: {{ host: json.host }}\n  - http: {{ url: 'http://{{{{ host }}}}:{port}/' }}\n"),
        ),
        case(
            "another port",
            &format!("  - set: {{ port: {port} }}\n  - http: {{ url: 'http://api.example:{{{{ port }}}}/' }}\n"),
        ),
    ]
    .join("---\n");
    let project = Project::with(&[
        ("mirror.yaml", &mirror),
        ("compose.yaml", &compose),
        ("stub.yaml", &stub),
        ("scenarios/a.yaml", &scenarios),
    ]);
    let mut env = beside.env();
    let proxies = [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ];
    env.extend(proxies.map(|p| (p, proxy.as_str())));
    // An engine at an HTTP address would be asked through a proxy by some clients.
    let said = project.run_with(&["run", "--offline", "--report", "json=out.json"], &env);
    host.is_silent();
    said.is(1, &["not a service of the stack"]);
    let text = std::fs::read_to_string(project.path().join("out.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let outcomes: Vec<_> = json["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["name"].as_str().unwrap(), c["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("stays", "passed"),
            ("away", "errored"),
            ("by name", "errored"),
            ("by variable", "errored"),
            ("another port", "errored"),
        ],
        "{text}"
    );
    // What the listener would have heard.
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"control").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, ANSWER);
    host.hears("control");
}
