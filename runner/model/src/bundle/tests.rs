use std::collections::BTreeMap;

use serde_json::json;

use super::normal::class;
use super::*;
use crate::event::Outcome;

fn step(position: &str, expectations: &[&str], error: Option<&str>) -> FailedStep {
    FailedStep {
        position: position.into(),
        title: "GET /orders".into(),
        kind: "http".into(),
        outcome: Some(if error.is_some() {
            Outcome::Errored
        } else {
            Outcome::Failed
        }),
        expectations: expectations.iter().map(|e| (*e).to_owned()).collect(),
        error: error.map(str::to_owned),
    }
}

fn failed(step: Option<FailedStep>, reason: &str) -> Signature {
    Signature {
        outcome: Some(Outcome::Failed),
        step,
        reason: Some(reason.into()),
    }
}

#[test]
fn numbers_and_identities_make_no_other_failure() {
    let a = class("connect 172.18.0.4:5432: refused after 1.5 s (try 3), id 5f10793bf824");
    let b = class("connect 10.0.0.17:5432: refused after 22 s (try 11), id 0a1b2c3d4e5f");
    assert_eq!(a, b);
    assert_ne!(class("connection refused"), class("connection reset"));
    assert_eq!(
        class("at 2026-11-28T16:19:03Z"),
        class("at 2025-01-02T03:04:05Z")
    );
}

#[test]
fn the_same_step_and_expectations_are_the_same_failure() {
    let was = failed(Some(step("steps[0]", &["status == 200"], None)), "a");
    let same = failed(Some(step("steps[0]", &["status == 200"], None)), "b");
    assert_eq!(was.like(&same), Likeness::Same);
    let more = failed(
        Some(step("steps[0]", &["json.a == 1", "status == 200"], None)),
        "b",
    );
    assert!(matches!(was.like(&more), Likeness::Other(d) if d.contains("json.a == 1")));
    let later = failed(Some(step("steps[1]", &["status == 200"], None)), "b");
    assert!(matches!(was.like(&later), Likeness::Other(d) if d.contains("steps[1]")));
    let error = failed(Some(step("steps[0]", &[], Some("connection refused"))), "b");
    assert!(matches!(was.like(&error), Likeness::Other(_)));
    let passed = Signature {
        outcome: Some(Outcome::Passed),
        step: None,
        reason: None,
    };
    assert_eq!(was.like(&passed), Likeness::Passed);
    let stack = failed(None, "the stack did not start");
    assert!(matches!(was.like(&stack), Likeness::NotJudged(_)));
    assert_eq!(
        stack.like(&failed(None, "the stack did not start")),
        Likeness::Same
    );
    let skipped = Signature {
        outcome: Some(Outcome::Skipped),
        step: None,
        reason: Some("no data".into()),
    };
    assert_eq!(was.like(&skipped), Likeness::NotJudged("no data".into()));
}

#[test]
fn how_long_it_took_only_counts_where_nothing_else_was_missed() {
    let with = |e: &[&str]| failed(Some(step("steps[0]", e, None)), "a");
    let limit = "duration < duration(\"1s\")";
    let (plain, slow) = (with(&["status == 200"]), with(&["status == 200", limit]));
    assert_eq!(plain.like(&slow), Likeness::Same);
    assert_eq!(slow.like(&plain), Likeness::Same);
    let only_slow = with(&[limit]);
    assert_eq!(only_slow.like(&with(&[limit])), Likeness::Same);
    assert!(matches!(only_slow.like(&slow), Likeness::Other(_)));
    assert!(matches!(slow.like(&only_slow), Likeness::Other(_)));
    // A name that has the word in it is another thing.
    let named = with(&["status == 200", "json.duration_text == \"a\""]);
    assert!(matches!(plain.like(&named), Likeness::Other(_)));
}

fn manifest() -> Manifest {
    Manifest {
        format: FORMAT.into(),
        version: VERSION,
        tool: "0.1.0".into(),
        project: "shop".into(),
        root: String::new(),
        case: CaseId {
            file: "scenarios/a.yaml".into(),
            name: "a".into(),
        },
        before: Vec::new(),
        also: Vec::new(),
        failure: failed(None, "x"),
        run: RunFacts::default(),
        images: BTreeMap::new(),
        data: BTreeMap::new(),
        secrets: BTreeMap::new(),
        host: HostFacts::default(),
        files: BTreeMap::from([(
            "project/stack.yaml".to_owned(),
            FileFacts {
                digest: "sha256:00".into(),
                size: 3,
            },
        )]),
    }
}

#[test]
fn a_manifest_is_read_as_it_was_written() {
    let text = manifest().text();
    assert_eq!(
        Manifest::read(text.as_bytes(), "a.bundle").unwrap(),
        manifest()
    );
    assert_eq!(manifest().text(), text);
}

#[test]
fn what_is_none_is_refused_with_the_reason() {
    let said = |bytes: &[u8]| Manifest::read(bytes, "a.bundle").unwrap_err();
    assert!(said(b"{").message.contains("a.bundle is no bundle"));
    assert!(said(b"{}").message.contains("does not say"));
    let mut newer = serde_json::to_value(manifest()).unwrap();
    newer["version"] = json!(9);
    newer["tool"] = json!("9.9.9");
    let p = said(newer.to_string().as_bytes());
    assert!(p.message.contains("version 9") && p.message.contains("up to version 1"));
    assert!(p.help.unwrap().contains("9.9.9"));
    let mut no_files = serde_json::to_value(manifest()).unwrap();
    no_files.as_object_mut().unwrap().remove("files");
    assert!(
        said(no_files.to_string().as_bytes())
            .message
            .contains("files")
    );
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in [
        "../x",
        "/etc/passwd",
        "a/../../b",
        "a//b",
        "a/./b",
        "",
        "a\\b",
        "C:/x",
        "a\0b",
        "nul",
        "project/COM1.txt",
        "a/ ",
        "a/b.",
        "x\ny",
    ] {
        assert!(wrong_name(name).is_some(), "{name:?}");
        let mut m = manifest();
        m.files.insert(
            name.to_owned(),
            FileFacts {
                digest: String::new(),
                size: 0,
            },
        );
        assert!(
            Manifest::read(m.text().as_bytes(), "x").is_err(),
            "{name:?}"
        );
    }
    for name in [
        "a",
        "project/mirror.yaml",
        "project/a b/ü.txt",
        "comet/..x",
        "a/.b",
    ] {
        assert_eq!(wrong_name(name), None, "{name:?}");
    }
    let mut m = manifest();
    m.root = "../..".into();
    assert!(Manifest::read(m.text().as_bytes(), "x").is_err());
    let mut m = manifest();
    m.case.file = "/etc/x".into();
    assert!(Manifest::read(m.text().as_bytes(), "x").is_err());
}
