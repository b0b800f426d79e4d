//! `run --watch`: what is made again when production's files or feature flags change, and what
//! stays.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::engine::IMAGE;
use super::super::project::Project;
use super::super::rig::{Running, SHELL, clean_within, has_engine, left};
use super::watch::next;

const WAITING: &str = "waiting for a save";
const END: Duration = Duration::from_secs(60);

/// `app` is given a variable and a file, `db` has a volume, `web` is restarted with `app`.
const COMPOSE: &str = "services:
  app:
    image: APP_IMAGE
    init: true
    command: [sleep, infinity]
    environment: { WORD: one }
    configs: [{ source: conf, target: /etc/app.conf }]
    volumes: ['data:/data']
  db:
    image: SHELL_IMAGE
    init: true
    command: [sleep, infinity]
    configs: [{ source: conf2, target: /etc/db.conf }]
    volumes: ['data:/data']
  web:
    image: SHELL_IMAGE
    init: true
    command: [sleep, infinity]
    depends_on: { app: { condition: service_started, restart: true } }
configs: { conf: { file: ./app.conf }, conf2: { content: other } }
volumes: { data: {} }
";

const SCENARIO: &str = "scenario: runs
steps:
  - exec: { service: app, cmd: [sh, -c, 'echo $WORD; cat /etc/app.conf'] }
    expect: stdout.contains(\"o\")
";

fn compose(app_image: &str) -> String {
    let all = COMPOSE.replace("APP_IMAGE", app_image);
    all.replace("SHELL_IMAGE", SHELL)
}

fn project() -> Project {
    Project::with(&[
        ("compose.yaml", &compose(SHELL)),
        ("app.conf", "port = 1\n"),
        ("scenarios/a.yaml", SCENARIO),
    ])
}

/// Ids of containers, by what they are for: `service app`, `sandbox app`.
fn ids(run: &str) -> BTreeMap<String, String> {
    let all = left(run).into_iter();
    let named = all.filter(|f| !f.label("dev.prodmirror.service").is_empty());
    named
        .map(|f| {
            let role = f.label("dev.prodmirror.role");
            let service = f.label("dev.prodmirror.service");
            (format!("{role} {service}"), f.id.clone())
        })
        .collect()
}

/// The containers that are others than before.
fn replaced(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> Vec<String> {
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    let others = a.iter().filter(|(name, id)| b[*name] != **id);
    others.map(|(name, _)| name.clone()).collect()
}

/// What a line of a shell prints in a service of the run.
fn asked(project: &Project, service: &str, line: &str) -> String {
    let run = project.run_id();
    let said = project.run(&["exec", "--run", &run, service, "sh", "-c", line]);
    assert_eq!(said.code, 0, "{line}: {}{}", said.out, said.err);
    said.out.trim().to_owned()
}

fn ended(project: &Project, running: Running<'_>) {
    let run = project.run_id();
    running.signal("INT");
    running.end(END);
    clean_within(&run, Duration::ZERO);
}

#[test]
fn only_services_that_changed_are_made_again() {
    if !has_engine() {
        return;
    }
    let project = project();
    let mut running = project.start(&["run", "--watch"], &[]);
    let mut at = 0;
    let mut turn = |running: &mut Running<'_>| next(running, &project, &mut at, WAITING);
    let first = turn(&mut running);
    assert!(first.contains("turn 1: 1 passed"), "{first}");
    let run = project.run_id();
    let mut before = ids(&run);
    asked(&project, "db", "echo kept > /data/mark");
    let since = "stat -c %Y /proc/1; cat /proc/1/stat | cut -d' ' -f22";
    let web = asked(&project, "web", since);
    let db = asked(&project, "db", since);

    // A variable.
    let more = compose(SHELL).replace("WORD: one", "WORD: two");
    project.write("compose.yaml", more.as_bytes());
    let said = turn(&mut running);
    assert!(said.contains("app: env WORD: made again in "), "{said}");
    assert!(said.contains(" s; web restarted; the rest stays"), "{said}");
    assert!(said.contains("turn 2: 1 passed"), "{said}");
    let now = ids(&run);
    // Its network stays, with what guards it.
    assert_eq!(replaced(&before, &now), ["service app"]);
    assert_eq!(asked(&project, "app", "echo $WORD"), "two");
    assert_eq!(asked(&project, "app", "cat /etc/app.conf"), "port = 1");
    assert_eq!(asked(&project, "app", "cat /data/mark"), "kept");
    assert_ne!(asked(&project, "web", since), web);
    assert_eq!(asked(&project, "db", since), db);
    before = now;

    // A file that it is given.
    project.write("app.conf", b"port = 2 # now\n");
    let said = turn(&mut running);
    assert!(
        said.contains("app: file /etc/app.conf: made again"),
        "{said}"
    );
    let now = ids(&run);
    assert_eq!(replaced(&before, &now), ["service app"]);
    assert_eq!(
        asked(&project, "app", "cat /etc/app.conf"),
        "port = 2 # now"
    );
    assert_eq!(asked(&project, "db", "cat /etc/db.conf"), "other");
    before = now;

    // The file as it is now, and another image.
    let other = more.replacen(SHELL, IMAGE, 1);
    project.write("compose.yaml", other.as_bytes());
    let said = turn(&mut running);
    assert!(said.contains("app: image: made again"), "{said}");
    let now = ids(&run);
    assert_eq!(replaced(&before, &now), ["service app"]);
    assert_eq!(
        asked(&project, "app", "cat /etc/app.conf"),
        "port = 2 # now"
    );
    assert_eq!(
        asked(
            &project,
            "app",
            "cat /data/mark; command -v python3 > /data/is"
        ),
        "kept"
    );
    before = now;

    // Nothing that runs.
    project.write("compose.yaml", format!("# words\n{other}").as_bytes());
    let said = turn(&mut running);
    assert!(said.contains("the stack stays"), "{said}");
    assert!(replaced(&before, &ids(&run)).is_empty());

    // What cannot be changed while it runs.
    let name = other.replace("    environment:", "    hostname: named\n    environment:");
    project.write("compose.yaml", name.as_bytes());
    let said = turn(&mut running);
    let whole = "service app: hostname is new: the whole stack is made again, with fresh data";
    assert!(said.contains(whole), "{said}");
    let now = ids(&run);
    assert_eq!(replaced(&before, &now).len(), now.len());
    assert_eq!(asked(&project, "db", "cat /data/mark || echo none"), "none");
    ended(&project, running);
}

#[test]
fn a_broken_change_is_told_and_the_next_save_repairs_it() {
    if !has_engine() {
        return;
    }
    let project = project();
    let mut running = project.start(&["run", "--watch"], &[]);
    let mut at = 0;
    let mut turn = |running: &mut Running<'_>| next(running, &project, &mut at, WAITING);
    turn(&mut running);
    let run = project.run_id();
    let before = ids(&run);
    asked(&project, "db", "echo kept > /data/mark");

    // An image that is nowhere: what runs stays as it is.
    let nowhere = compose("registry.shop.example/nowhere:1");
    project.write("compose.yaml", nowhere.as_bytes());
    let said = turn(&mut running);
    assert!(said.contains("registry.shop.example/nowhere:1"), "{said}");
    assert!(!said.contains("passed"), "{said}");
    assert!(replaced(&before, &ids(&run)).is_empty());

    // A service that is never healthy, together with a file that changed: told, with its words.
    let check = "    healthcheck: { test: [CMD-SHELL, 'echo no way; exit 1'], interval: 200ms, retries: 1 }\n    environment:";
    let ill = compose(SHELL).replacen("    environment:", check, 1);
    project.write("app.conf", b"port = two\n");
    project.write("compose.yaml", ill.as_bytes());
    let said = turn(&mut running);
    assert!(
        said.contains("unhealthy") && said.contains("no way"),
        "{said}"
    );
    assert!(said.contains("1 could not be run"), "{said}");

    project.write("compose.yaml", compose(SHELL).as_bytes());
    let said = turn(&mut running);
    assert!(said.contains("1 passed"), "{said}");
    assert!(said.contains("the rest stays"), "{said}");
    assert_eq!(replaced(&before, &ids(&run)), ["service app"]);
    assert_eq!(
        asked(&project, "app", "cat /data/mark /etc/app.conf"),
        "kept\nport = two"
    );
    ended(&project, running);
}

#[test]
fn a_signal_while_a_service_is_made_again_leaves_nothing() {
    if !has_engine() {
        return;
    }
    let project = project();
    let mut running = project.start(&["run", "--watch"], &[]);
    let mut at = 0;
    next(&mut running, &project, &mut at, WAITING);
    let run = project.run_id();
    let before = ids(&run);
    let check =
        "    healthcheck: { test: [CMD, 'false'], interval: 1s, retries: 1000 }\n    environment:";
    let slow = compose(SHELL).replacen("    environment:", check, 1);
    project.write("compose.yaml", slow.as_bytes());
    running.until(|| {
        let app = ids(&run).remove("service app");
        app.is_some_and(|id| id != before["service app"])
    });
    running.signal("INT");
    running.end(END).is(130, &[]);
    clean_within(&run, Duration::ZERO);
}

/// What a flag is, from inside.
const FLAGGED: &str = "scenario: sees it
flags: { NEW: [on, off] }
steps:
  - exec: { service: app, cmd: [sh, -c, 'echo $NEW'] }
    expect: ['stdout == (flags.NEW ? \"on\\n\" : \"off\\n\")']
";
const PLAIN: &str = "scenario: nobody sets it
steps:
  - exec: { service: app, cmd: [sh, -c, 'echo $NEW'] }
    expect: stdout == \"off\\n\"
";

#[test]
fn each_case_has_its_flags_and_other_services_stay() {
    if !has_engine() {
        return;
    }
    let compose = compose(SHELL).replace("WORD: one", "WORD: one, NEW: 'off'");
    let project = Project::with(&[
        (
            "mirror.yaml",
            "project: t\nproduction: [compose.yaml]\nflags: { names: [NEW] }\n",
        ),
        ("compose.yaml", &compose),
        ("app.conf", "port = 1\n"),
        ("scenarios/a.yaml", FLAGGED),
        ("scenarios/b.yaml", PLAIN),
    ]);
    let mut running = project.start(&["run", "--watch"], &[]);
    let mut at = 0;
    let mut turn = |running: &mut Running<'_>| next(running, &project, &mut at, WAITING);
    let first = turn(&mut running);
    assert!(first.contains("sees it [flag NEW=on]"), "{first}");
    assert!(first.contains("app: env NEW: made again"), "{first}");
    assert!(first.contains("turn 1: 3 passed"), "{first}");
    let run = project.run_id();
    let before = ids(&run);
    asked(&project, "db", "echo kept > /data/mark");

    // On, and back to what production serves.
    project.write("scenarios/a.yaml", format!("# again\n{FLAGGED}").as_bytes());
    let said = turn(&mut running);
    assert!(said.contains("turn 2: 2 passed"), "{said}");
    assert_eq!(
        said.matches("app: env NEW: made again").count(),
        2,
        "{said}"
    );
    assert_eq!(replaced(&before, &ids(&run)), ["service app"]);
    assert_eq!(asked(&project, "db", "cat /data/mark"), "kept");

    // Nothing to do for who has production's flags already; a flag that there is none of is told.
    project.write("scenarios/b.yaml", format!("# again\n{PLAIN}").as_bytes());
    let said = turn(&mut running);
    assert!(
        said.contains("turn 3: 1 passed") && !said.contains("made again"),
        "{said}"
    );
    let wrong = FLAGGED.replace("NEW:", "OLD:");
    project.write("scenarios/a.yaml", wrong.as_bytes());
    let said = turn(&mut running);
    assert!(said.contains("OLD") && !said.contains("turn 4"), "{said}");

    // Production serves another value from now on.
    project.write("scenarios/a.yaml", FLAGGED.as_bytes());
    let said = turn(&mut running);
    assert!(said.contains("turn 4: 2 passed"), "{said}");
    project.write(
        "compose.yaml",
        compose.replace("NEW: 'off'", "NEW: 'on'").as_bytes(),
    );
    let said = turn(&mut running);
    assert!(
        said.contains("turn 5: 1 failed, 2 passed") || said.contains("turn 5: 2 passed, 1 failed"),
        "{said}"
    );
    ended(&project, running);
}

/// A stub under TLS, asked from inside and from outside, and two services with a secret each.
const PAYS: &str = "services:
  app:
    image: PYTHON
    init: true
    command: [sleep, infinity]
    secrets: [one]
  db:
    image: PYTHON
    init: true
    command: [sleep, infinity]
    secrets: [two]
secrets: { one: { file: ./one.txt }, two: { file: ./two.txt } }
";
const ASKS_STUB: &str = "scenario: pays
steps:
  - http: { url: \"https://api.pay.example/v1\" }
    expect: json.state == \"STATE\"
  - exec: { service: app, cmd: [python3, -c, 'import urllib.request as r; print(r.urlopen(\"https://api.pay.example/v1\").read().decode())'] }
    expect: stdout.contains(\"STATE\")
  - exec: { service: app, cmd: [cat, /run/secrets/one] }
    expect: stdout.contains(\"s3cret\")
";
const STUB: &str = "routes:\n  - method: GET\n    path: /v1\n    respond: { status: 200, json: { state: STATE } }\n";

#[test]
fn stubs_and_secrets_change_in_place_and_are_trusted_as_before() {
    if !has_engine() {
        return;
    }
    let mirror = "project: t\nproduction: [compose.yaml]\negress:\n  \"api.pay.example:443\": { stub: pay.yaml }\nsecrets:\n  one: { file: one.txt }\n  two: { file: two.txt }\n";
    let project = Project::with(&[
        ("mirror.yaml", mirror),
        ("compose.yaml", &PAYS.replace("PYTHON", IMAGE)),
        ("pay.yaml", &STUB.replace("STATE", "paid")),
        ("one.txt", "s3cret-one"),
        ("two.txt", "s3cret-two"),
        ("scenarios/a.yaml", &ASKS_STUB.replace("STATE", "paid")),
    ]);
    let mut running = project.start(&["run", "--watch"], &[]);
    let mut at = 0;
    let mut turn = |running: &mut Running<'_>| next(running, &project, &mut at, WAITING);
    let first = turn(&mut running);
    assert!(first.contains("turn 1: 1 passed"), "{first}");
    let run = project.run_id();
    let before = ids(&run);

    // The stub says something else; services that are there trust its new certificate.
    project.write("pay.yaml", STUB.replace("STATE", "declined").as_bytes());
    let said = turn(&mut running);
    assert!(
        said.contains("1 failed") && said.contains("the rest stays"),
        "{said}"
    );
    project.write(
        "scenarios/a.yaml",
        ASKS_STUB.replace("STATE", "declined").as_bytes(),
    );
    let said = turn(&mut running);
    assert!(said.contains("1 passed"), "{said}");
    let now = ids(&run);
    let others = replaced(&before, &now);
    assert!(
        matches!(&others[..], [one] if one.starts_with("stub ")),
        "{others:?}"
    );

    // A secret, twice: what held the one before is gone, and others keep theirs.
    let holders = || {
        let all = left(&run);
        all.iter()
            .filter(|f| f.label("dev.prodmirror.role") == "files")
            .count()
    };
    let mut counts = Vec::new();
    for value in ["s3cret-three", "s3cret-four"] {
        project.write("one.txt", value.as_bytes());
        let said = turn(&mut running);
        assert!(
            said.contains("app: file /run/secrets/one: made again"),
            "{said}"
        );
        assert!(said.contains("1 passed") && !said.contains(value), "{said}");
        assert_eq!(asked(&project, "app", "cat /run/secrets/one"), value);
        assert_eq!(asked(&project, "db", "cat /run/secrets/two"), "s3cret-two");
        counts.push(holders());
    }
    assert_eq!(counts[0], counts[1]);
    assert_eq!(replaced(&now, &ids(&run)), ["service app"]);
    // It is guarded as before.
    let out = "python3 -c \"import socket; socket.create_connection(('192.0.2.1', 80), 3)\" 2>&1 | tail -1";
    let refused = asked(&project, "app", out);
    assert!(refused.contains("Error"), "{refused}");
    assert!(!refused.contains("timed out"), "{refused}");
    ended(&project, running);
}
