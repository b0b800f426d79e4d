//! The reader as a whole: provenance, texts in memory, and bad input.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::yaml::ViaKind;

fn request(text: &str) -> TextRequest {
    TextRequest {
        name: "compose.yaml".into(),
        text: text.into(),
        dir: "/p".into(),
        shell: BTreeMap::from([
            ("TAG".into(), "7".into()),
            ("HOME".into(), "/home/u".into()),
        ]),
        project_name: Some("shop".into()),
        ..TextRequest::default()
    }
}

fn loaded(text: &str, files: &[(&str, &str)]) -> Loaded {
    let mut request = request(text);
    let given = files
        .iter()
        .map(|(p, t)| (PathBuf::from(p), t.as_bytes().to_vec()));
    request.files = given.collect();
    load_text(&request).unwrap()
}

fn refused(text: &str) -> ProblemKind {
    load_text(&request(text)).unwrap_err().0[0].kind
}

#[test]
fn every_value_says_where_it_comes_from() {
    let loaded = loaded(
        "include: [inc.yaml]\nx: &e {A: 1}\nservices:\n  web:\n    extends: {file: base.yaml, service: base}\n    image: web:${TAG}\n    env_file: web.env\n    environment:\n      <<: *e\n      B: ${B:-dflt}\n"
            .replace("x: &e", "x-e: &e")
            .as_str(),
        &[
            ("/p/inc.yaml", "services: {inc: {image: inc}}\n"),
            ("/p/base.yaml", "services: {base: {image: base, user: root}}\n"),
            ("/p/web.env", "# note\nC=3\n"),
        ],
    );
    let at = |path: &[&str]| loaded.root.at(path).unwrap();
    let kinds = |path: &[&str]| {
        at(path)
            .history()
            .map(|v| v.what.clone())
            .collect::<Vec<_>>()
    };
    let place = |path: &[&str]| at(path).span.to_string();
    assert_eq!(place(&["services", "web", "image"]), "compose.yaml:6:12");
    assert_eq!(
        kinds(&["services", "web", "image"]),
        [
            ViaKind::Override,
            ViaKind::Variable {
                name: "TAG".into(),
                from: "shell".into()
            }
        ]
    );
    assert_eq!(place(&["services", "web", "user"]), "base.yaml:1:38");
    assert_eq!(kinds(&["services", "web", "user"]), [ViaKind::Extends]);
    assert_eq!(place(&["services", "inc", "image"]), "inc.yaml:1:25");
    assert_eq!(kinds(&["services", "inc", "image"]), [ViaKind::Include]);
    assert_eq!(
        place(&["services", "web", "environment", "C"]),
        "web.env:2:1"
    );
    assert_eq!(
        kinds(&["services", "web", "environment", "C"]),
        [ViaKind::EnvFile]
    );
    assert_eq!(
        place(&["services", "web", "environment", "A"]),
        "compose.yaml:2:13"
    );
    assert!(kinds(&["services", "web", "environment", "A"]).contains(&ViaKind::MergeKey));
    assert_eq!(
        kinds(&["services", "web", "networks", "default"]),
        [ViaKind::Default]
    );
    let sources: Vec<_> = loaded
        .variables
        .iter()
        .map(|(name, v)| format!("{name} {}", v.uses[0].source))
        .collect();
    assert_eq!(sources, ["B default", "TAG shell"]);
    let inputs: Vec<_> = loaded
        .inputs
        .iter()
        .map(|i| i.path.to_string_lossy())
        .collect();
    assert_eq!(
        inputs,
        [
            "/p/compose.yaml",
            "/p/base.yaml",
            "/p/inc.yaml",
            "/p/web.env"
        ]
    );
    assert_eq!(loaded.inputs[0].sha256.len(), 64);
}

#[test]
fn a_text_reads_no_other_files() {
    let text = "services: {web: {image: web, env_file: /etc/passwd}}";
    assert_eq!(refused(text), ProblemKind::MissingFile);
    let text = "include: [/etc/passwd]\nservices: {}";
    assert_eq!(refused(text), ProblemKind::MissingFile);
}

#[test]
fn extensions_are_kept_beside_the_normal_form() {
    let loaded = loaded(
        "x-top: 1\nservices:\n  web:\n    image: web\n    x-prodmirror: {stub: true}\n    deploy: {x-a: 1}\n",
        &[],
    );
    assert_eq!(loaded.root.at(&["x-top"]).unwrap().as_int(), Some(1));
    assert!(
        loaded
            .root
            .at(&["services", "web", "x-prodmirror"])
            .is_none()
    );
    assert_eq!(
        loaded.extensions.to_json(),
        serde_json::json!({"services": {"web": {
            "x-prodmirror": {"stub": true}, "deploy": {"x-a": 1}}}})
    );
}

#[test]
fn values_of_variables_are_not_shown() {
    let mut request = request("services: {web: {image: web}}");
    request.shell.insert("TOKEN".into(), "s3cret".into());
    let loaded = load_text(&request).unwrap();
    assert_eq!(loaded.environment.get("TOKEN").unwrap().text, "s3cret");
    assert!(!format!("{loaded:?}").contains("s3cret"));
}

#[test]
fn remote_files_are_not_fetched() {
    for text in [
        "include: [https://example.com/compose.yaml]\nservices: {}",
        "include: [oci://example.com/compose]\nservices: {}",
        "services: {a: {extends: {file: git@example.com:x.git, service: a}}}",
    ] {
        assert_eq!(refused(text), ProblemKind::Unsupported, "{text}");
    }
}

#[test]
fn includes_that_multiply_are_refused() {
    let mut files = Vec::new();
    for level in 0..16 {
        for side in ["a", "b"] {
            let next = level + 1;
            let text = if level == 15 {
                format!("services: {{{side}: {{image: x}}}}")
            } else {
                format!("include: [a{next}.yaml, b{next}.yaml]")
            };
            files.push((
                PathBuf::from(format!("/p/{side}{level}.yaml")),
                text.into_bytes(),
            ));
        }
    }
    let mut request = request("include: [a0.yaml, b0.yaml]");
    request.files = files.into_iter().collect();
    let problems = load_text(&request).unwrap_err();
    assert!(
        problems.0.iter().any(|p| p.kind == ProblemKind::TooLarge),
        "{problems}"
    );
}

#[test]
fn large_projects_are_read() {
    let mut text = String::from("x-e: &e {A: 1, B: \"${TAG}\"}\nservices:\n");
    for i in 0..2_000 {
        text.push_str(&format!(
            "  s{i}: {{image: \"x:${{TAG}}\", environment: *e, ports: [\"{i}:80\"], depends_on: [s{}]}}\n",
            i + 1
        ));
    }
    text.push_str("  s2000: {image: x}\n");
    let loaded = loaded(&text, &[]);
    assert_eq!(
        loaded.root.get("services").unwrap().as_map().unwrap().len(),
        2_001
    );
}

#[test]
fn long_lines_of_variables_take_no_longer_than_they_are() {
    let line = "${TAG:-x}".repeat(100_000);
    let loaded = loaded(
        &format!("services: {{a: {{image: x, hostname: \"{line}\"}}}}"),
        &[],
    );
    let text = loaded.root.at(&["services", "a", "hostname"]).unwrap();
    assert_eq!(text.as_str().unwrap().len(), 100_000);
}

/// A document of known keys with any values.
fn document() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?[0-9]{1,3}(\\.[0-9])?",
        Just("\"\"".to_owned()),
        "[a-z./:=$,{}-]{1,9}".prop_map(|s| format!("{s:?}")),
        prop::sample::select(vec![
            "\"${TAG}\"",
            "\"${NO}\"",
            "service:web",
            "web",
            "1m30s",
            "64m",
            "0440",
            "!reset null",
            "\"80:80\"",
            "\"./a:/b:ro\"",
            "!override [a]",
            "1e400",
            "9223372036854775808",
        ])
        .prop_map(str::to_owned),
    ];
    let keys = prop::sample::select(vec![
        "web",
        "db",
        "image",
        "ports",
        "volumes",
        "environment",
        "env_file",
        "build",
        "context",
        "depends_on",
        "condition",
        "deploy",
        "replicas",
        "resources",
        "limits",
        "cpus",
        "memory",
        "networks",
        "default",
        "ipam",
        "config",
        "subnet",
        "secrets",
        "configs",
        "source",
        "target",
        "type",
        "extends",
        "service",
        "file",
        "healthcheck",
        "test",
        "ulimits",
        "nofile",
        "soft",
        "hard",
        "logging",
        "driver",
        "options",
        "external",
        "name",
        "labels",
        "x-a",
        "extra_hosts",
        "dns",
        "command",
        "links",
        "network_mode",
        "scale",
        "profiles",
        "gpus",
        "develop",
        "watch",
        "path",
        "devices",
        "tmpfs",
        "models",
        "provider",
        "ssh",
        "external",
        "services",
        "include",
        "blkio_config",
        "stop_grace_period",
        "container_name",
    ]);
    let value = scalar.prop_recursive(5, 40, 6, move |inner| {
        let pairs = prop::collection::btree_map(keys.clone(), inner.clone(), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|v| format!("[{}]", v.join(", "))),
            pairs.prop_map(|m| {
                let pairs: Vec<_> = m.iter().map(|(k, v)| format!("{k}: {v}")).collect();
                format!("{{{}}}", pairs.join(", "))
            }),
        ]
    });
    (value.clone(), value.clone(), value.clone(), value).prop_map(|(a, b, c, d)| {
        format!(
            "services:\n  web: {a}\n  db: {{image: x, environment: {b}, volumes: [{c}], ports: {d}}}\nnetworks: {b}\nsecrets: {c}\n---\nservices: {{web: {d}, db: {c}}}\nvolumes: {a}\n"
        )
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "([a-z:${}\\[\\]\"'&*!|>#,\n -]|\\PC){0,200}") {
        let _ = load_text(&request(&text));
        let _ = load_text(&request(&format!("services:\n  web:\n    image: x\n    {text}")));
    }

    #[test]
    fn any_document_is_read_or_refused(text in document()) {
        if let Ok(loaded) = load_text(&request(&text)) {
            // What was read is a Compose file itself, and means the same.
            let again = loaded.root.to_json().to_string();
            let again = load_text(&request(&escape(&again)));
            if let Ok(again) = again {
                prop_assert!(again.root.get("services").is_some());
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut request = request("include: [any.yaml]\nservices: {a: {image: x, env_file: any.yaml}}");
        request.files.insert("/p/any.yaml".into(), bytes);
        let _ = load_text(&request);
    }
}
