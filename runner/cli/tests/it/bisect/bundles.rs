//! Bundles as sides: a failure that came from elsewhere, against what is here.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{answers, cause, report};
use crate::bundles::{entries, write};
use crate::project::{Project, Said};
use crate::rig::{SHELL, has_engine};

/// A service with this variable, a secret, a file that is mounted, and some that differ harmlessly.
fn compose(letter: &str, mode: &str) -> String {
    format!(
        r#"services:
  app:
    image: {SHELL}
    init: true
    command: [sleep, infinity]
    labels: {{ of: {letter} }}
    environment:
      MODE: {mode}
      ONE: {letter}1
      TWO: {letter}2
      TOKEN: ${{TOKEN}}
    volumes: ["./{letter}:/srv/of:ro"]
"#
    )
}

/// What fails where the mode is the one that the command line says.
const SCENARIO: &str = r#"scenario: it works
vars: { refused: none }
steps:
  - exec: { service: app, cmd: [sh, -c, 'test -n "$TOKEN" && test "$MODE" != {{ refused }}'] }
"#;

/// A project with one environment.
fn environment(letter: &str, mode: &str, token: &str) -> Project {
    let mirror =
        format!("project: pair\nproduction: [compose.yaml]\nsecrets: {{ TOKEN: {token} }}\n");
    Project::with(&[
        ("compose.yaml", &compose(letter, mode)),
        ("mirror.yaml", &mirror),
        (&format!("{letter}/file"), letter),
        ("scenarios/a.yaml", SCENARIO),
    ])
}

/// The bundle of a failing run there, as `bad.bundle` in the other project.
fn failing(from: &Project, mode: &str, to: &Project, name: &str) {
    let refused = format!("refused={mode}");
    let args = ["run", "--seed", "77", "--var", &refused];
    let said = from.run_with(&args, &[("TOKEN", "a-token-of-theirs")]);
    said.is(1, &["to run it again anywhere"]);
    std::fs::copy(from.bundle(), to.path().join(name)).unwrap();
}

fn bisect(p: &Project, a: &str, b: &str, more: &[&str]) -> Said {
    let mut args = vec!["bisect", a, b, "--report", "json=report.json"];
    args.extend(more);
    p.run(&args)
}

const STUB: &str = "{ stub: a-token-of-ours }";

#[test]
fn what_is_here_against_a_failure_from_elsewhere() {
    if !has_engine() {
        return;
    }
    // Nothing is here but the environment that passes: no scenario, and another value of the
    // secret.
    let here = environment("a", "lax", STUB);
    std::fs::remove_dir_all(here.path().join("scenarios")).unwrap();
    let there = environment("b", "strict", "{ env: TOKEN }");
    failing(&there, "strict", &here, "bad.bundle");
    drop(there);
    let said = bisect(&here, "production", "bad.bundle", &["--dry-run"]);
    answers(
        &said,
        0,
        &[
            "5 differences between production (A) and bad.bundle (B)",
            "app: env MODE lax → strict",
            "app: mount /srv/of bind ./a (read-only) → bind ./b (read-only)",
        ],
    );
    let left = here.path().join(".prodmirror/bisect");
    assert!(std::fs::read_dir(left).unwrap().next().is_none());

    let said = bisect(&here, "production", "bad.bundle", &[]);
    answers(
        &said,
        0,
        &[
            "fails because `app` has MODE=strict in bad.bundle and MODE=lax in production",
            "\n  A: compose.yaml:8:13\n  B: bad.bundle:stack.yaml:",
            "that is the whole story",
        ],
    );
    said.is(
        0,
        &["`it works` of scenarios/a.yaml in pair, which failed at"],
    );
    let report = report(&here);
    assert_eq!(cause(&report), ["app: env MODE lax → strict"]);
    assert_eq!(report["case"]["name"], "it works");
    // It was run as it was when it failed.
    let runs = super::runs(&here);
    let events = std::fs::read_to_string(runs[0].join("events.jsonl")).unwrap();
    let began: Json = serde_json::from_str(events.lines().next().unwrap()).unwrap();
    assert_eq!(began["seed"], 77, "{began}");
    // A release that is here, in the stack of the bundle, and one that is nowhere.
    let image = format!("app={SHELL}");
    let said = bisect(&here, "bad.bundle", "bad.bundle", &["--image-b", &image]);
    said.is(2, &["do not differ"]);
    bisect(&here, "production", "bad.bundle", &["--image-b", "web=x"])
        .is(2, &["bad.bundle has no service `web`", "its services: app"]);
}

#[test]
fn two_bundles_are_two_sides() {
    if !has_engine() {
        return;
    }
    let here = Project::empty();
    let one = environment("a", "lax", STUB);
    failing(&one, "lax", &here, "good.bundle");
    let other = environment("b", "strict", STUB);
    failing(&other, "strict", &here, "bad.bundle");
    // That of B is searched for: A fails by its own scenario, and passes this one.
    answers(
        &bisect(&here, "good.bundle", "bad.bundle", &[]),
        0,
        &[
            "fails because `app` has MODE=strict in bad.bundle and MODE=lax in good.bundle",
            "that is the whole story",
        ],
    );
    assert_eq!(cause(&report(&here)), ["app: env MODE lax → strict"]);
}

#[test]
fn secrets_are_found_as_for_repro() {
    if !has_engine() {
        return;
    }
    let here = Project::empty();
    let one = environment("a", "lax", "{ env: TOKEN }");
    failing(&one, "lax", &here, "good.bundle");
    let other = environment("b", "strict", "{ env: TOKEN }");
    failing(&other, "strict", &here, "bad.bundle");
    bisect(&here, "good.bundle", "bad.bundle", &[])
        .is(2, &["the secret TOKEN has no value here", "--stand-ins"]);
    for (env, more) in [
        (vec![("TOKEN", "a-token-that-nobody-sees")], vec![]),
        (vec![], vec!["--stand-ins"]),
    ] {
        let mut args = vec!["bisect", "good.bundle", "bad.bundle"];
        args.extend(&more);
        let said = here.run_with(&args, &env);
        answers(&said, 0, &["MODE=strict in bad.bundle"]);
        let text = format!("{}{}", said.out, said.err);
        assert!(!text.contains("a-token-that-nobody-sees"), "{text}");
    }
}

/// Changes the stack of a bundle, as somebody else would.
fn changed(p: &Project, change: impl Fn(&mut Json)) {
    let bundle = p.path().join("bad.bundle");
    let mut all: BTreeMap<String, Vec<u8>> = entries(&bundle.to_string_lossy());
    let mut stack: Json = serde_json::from_slice(&all["project/stack.yaml"]).unwrap();
    change(&mut stack);
    all.insert("project/stack.yaml".into(), stack.to_string().into_bytes());
    write(&p.path().join("evil.bundle"), all);
}

#[test]
fn neither_a_bundle_nor_what_it_is_combined_with_leads_out() {
    if !has_engine() {
        return;
    }
    let here = environment("a", "lax", STUB);
    let there = environment("b", "strict", STUB);
    failing(&there, "strict", &here, "bad.bundle");
    for source in ["/etc", "../../../../../a"] {
        changed(&here, |stack| {
            stack["services"]["app"]["volumes"] =
                serde_json::json!([{ "type": "bind", "source": source, "target": "/x" }]);
        });
        bisect(&here, "production", "evil.bundle", &[]).is(
            2,
            &["a stack of somebody else gets nothing of this machine"],
        );
    }
    // What is allowed here would be given to what the bundle runs.
    for (more, why) in [
        (
            "allow: { services: { app: [bind] } }\n",
            "production allows it, and a combination with a bundle would give it",
        ),
        (
            "egress: { \"api.example:443\": { allow: true } }\n",
            "the stack may reach api.example:443",
        ),
    ] {
        let mirror = format!(
            "project: pair\nproduction: [compose.yaml]\nsecrets: {{ TOKEN: {STUB} }}\n{more}"
        );
        here.write("mirror.yaml", mirror.as_bytes());
        let binds = compose("a", "lax").replace("]\n", ", \"/etc:/host:ro\"]\n");
        let text = if more.starts_with("allow") {
            binds
        } else {
            compose("a", "lax")
        };
        here.write("compose.yaml", text.as_bytes());
        bisect(&here, "production", "bad.bundle", &[]).is(2, &[why]);
        answers(&here.run(&["check"]), 0, &[]);
    }
    assert!(super::runs_of_any(&here).is_empty());
}
