//! `bisect`: from two environments to the difference.

mod bundles;
mod ends;
mod sides;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::project::{Project, Said};
use crate::rig::{SHELL, has_engine};

/// A stack of one service: the same in both environments but for what is given, and harmless
/// things.
fn compose(letter: &str, variables: &[(&str, &str)]) -> String {
    let mut text = format!(
        "services:\n  app:\n    image: {SHELL}\n    init: true\n    command: [sleep, infinity]\n    labels: {{ of: {letter} }}\n    environment:\n"
    );
    for i in 0..12 {
        let _ = writeln!(text, "      HARMLESS_{i}: {letter}{i}");
    }
    for (name, value) in variables {
        let _ = writeln!(text, "      {name}: \"{value}\"");
    }
    text
}

/// Two environments, and a scenario that runs a test in the service.
fn project(ours: &[(&str, &str)], theirs: &[(&str, &str)], more: &str, test: &str) -> Project {
    let b = format!("{}{more}", compose("b", theirs));
    let scenario = format!(
        "scenario: it works\nsteps:\n  - exec: {{ service: app, cmd: [sh, -c, '{test}'] }}\n    expect: exit_code == 0\n"
    );
    Project::with(&[
        ("good.compose.yaml", &compose("a", ours)),
        ("bad.compose.yaml", &b),
        (
            "good.mirror.yaml",
            "project: pair\nproduction: [good.compose.yaml]\n",
        ),
        (
            "bad.mirror.yaml",
            "project: pair\nproduction: [bad.compose.yaml]\n",
        ),
        ("s.yaml", &scenario),
    ])
}

/// What it printed as its result has all of these.
fn answers(said: &Said, code: i32, texts: &[&str]) {
    said.is(code, &[]);
    for text in texts {
        assert!(
            said.out.contains(text),
            "missing {text:?} in\n{}\n{}",
            said.out,
            said.err
        );
    }
}

fn report(project: &Project) -> Json {
    let text = std::fs::read_to_string(project.path().join("report.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn bisect(project: &Project, more: &[&str]) -> Said {
    let mut args = vec![
        "bisect",
        "good",
        "bad",
        "s.yaml",
        "--report",
        "json=report.json",
    ];
    args.extend(more);
    project.run(&args)
}

/// The labels of the differences of the only cause.
fn cause(report: &Json) -> Vec<String> {
    let mut all = causes(report);
    assert_eq!(all.len(), 1, "{report:#}");
    all.remove(0)
}

/// The labels of the differences of each cause.
fn causes(report: &Json) -> Vec<Vec<String>> {
    let all = &report["answer"]["outcome"]["found"]["causes"];
    let all = all.as_array().unwrap();
    all.iter().map(|c| labels(report, c)).collect()
}

fn labels(report: &Json, cause: &Json) -> Vec<String> {
    let members = cause["members"].as_array().unwrap().iter();
    let label = |m: &Json| {
        let index = usize::try_from(m["atom"].as_u64().unwrap()).unwrap();
        report["differences"][index]["label"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    members.map(label).collect()
}

fn below(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    let mut all: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

/// The directories of the runs of all searches.
fn runs_of_any(project: &Project) -> Vec<PathBuf> {
    let searches = below(&project.path().join(".prodmirror/bisect"));
    let combinations = searches.into_iter().flat_map(|search| below(&search));
    let runs = combinations.flat_map(|dir| below(&dir.join(".prodmirror/runs")));
    runs.collect()
}

/// The directories of the runs of the only search.
fn runs(project: &Project) -> Vec<PathBuf> {
    let searches = below(&project.path().join(".prodmirror/bisect"));
    assert_eq!(searches.len(), 1, "{searches:?}");
    runs_of_any(project)
}

#[test]
fn the_one_variable_is_named() {
    if !has_engine() {
        return;
    }
    let p = project(
        &[("MODE", "lax")],
        &[("MODE", "strict")],
        "    user: \"1000\"\n",
        "test \"$MODE\" != strict",
    );
    let said = bisect(&p, &[]);
    answers(
        &said,
        0,
        &[
            "fails because `app` has MODE=strict in bad and MODE=lax in good",
            "bad.compose.yaml:",
            "that is the whole story",
        ],
    );
    let report = report(&p);
    assert_eq!(cause(&report), ["app: env MODE lax → strict"]);
    assert_eq!(report["differences"].as_array().unwrap().len(), 15);
    assert!(report["runs"].as_array().unwrap().len() <= 12, "{report:#}");
    let id = std::fs::read_dir(p.path().join(".prodmirror/bisect"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let minimal: Json = serde_json::from_str(
        &std::fs::read_to_string(id.path().join("minimal.stack.yaml")).unwrap(),
    )
    .unwrap();
    let env = &minimal["services"]["app"]["environment"];
    assert_eq!(
        (env["MODE"].as_str(), env["HARMLESS_1"].as_str()),
        (Some("strict"), Some("a1"))
    );
    assert!(minimal["services"]["app"].get("user").is_none());
}

#[test]
fn two_that_only_fail_together_are_named_both() {
    if !has_engine() {
        return;
    }
    let test = "test -z \"$CACHE\" || test \"$(id -u)\" = 0";
    let p = project(&[], &[("CACHE", "on")], "    user: \"1000\"\n", test);
    answers(
        &bisect(&p, &["--jobs", "2"]),
        0,
        &[
            "fails because",
            "`app` runs as 1000 in bad",
            "`app` has CACHE=on in bad, and no CACHE in good",
        ],
    );
    let mut found = cause(&report(&p));
    found.sort();
    assert_eq!(
        found,
        [
            "app: env CACHE none → on",
            "app: user the image's user → 1000"
        ]
    );
}

#[test]
fn ends_that_are_not_apart_are_told() {
    if !has_engine() {
        return;
    }
    let p = project(&[], &[], "", "true");
    answers(&bisect(&p, &[]), 1, &["it passes in bad"]);
    let p = project(&[], &[], "", "false");
    answers(&bisect(&p, &[]), 1, &["it fails in good in the same way"]);
}

#[test]
fn what_differs_is_listed_and_nothing_started() {
    let p = project(
        &[("MODE", "lax")],
        &[("MODE", "strict")],
        "    user: \"1000\"\n",
        "true",
    );
    let said = p.run(&["bisect", "good", "bad", "--dry-run"]);
    answers(
        &said,
        0,
        &[
            "15 differences between good (A) and bad (B)",
            "app: env MODE lax → strict",
            "app: user the image's user → 1000",
        ],
    );
    assert!(
        !p.path()
            .join(".prodmirror/bisect")
            .read_dir()
            .is_ok_and(|mut d| d.next().is_some())
    );
    p.run(&["bisect", "good", "good", "s.yaml"])
        .is(2, &["do not differ"]);
    p.run(&["bisect", "good", "nowhere"])
        .is(2, &["there is no `nowhere` here"]);
    p.run(&["bisect", "good", "bad", "--report", "junit=x"])
        .is(2, &["is not json=PATH"]);
    p.run(&["bisect", "good", "bad", "--confidence", "2"])
        .is(2, &["between 0 and 1"]);
}
