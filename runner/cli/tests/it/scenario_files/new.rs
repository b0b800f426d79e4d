//! `new`: what it writes is accepted, and never written over anything.

use super::shop;
use crate::project::Project;

/// Writes a scenario, checks that `check` takes it and that `fmt` would not change it; its text.
#[track_caller]
pub fn made(p: &Project, args: &[&str]) -> (String, String) {
    let mut all = vec!["new", "--out", "scenarios/made.yaml", "--force"];
    all.extend(args);
    let said = p.run(&all);
    assert_eq!(said.code, 0, "{}\n{}", said.out, said.err);
    let text = std::fs::read_to_string(p.path().join("scenarios/made.yaml")).unwrap();
    let checked = p.run(&["check", "scenarios/made.yaml"]);
    assert_eq!(checked.code, 0, "{text}\n{}", checked.err);
    let formatted = p.run(&["fmt", "--check", "scenarios/made.yaml"]);
    assert_eq!(formatted.code, 0, "{text}\n{}", formatted.err);
    (text, said.err)
}

#[test]
fn every_kind_has_a_first_step_that_is_accepted() {
    let p = shop(&[]);
    use prodmirror_engine::step::{KINDS, catalog};
    let kinds = KINDS.iter().map(|k| k.name);
    let (doubtful, kinds): (Vec<_>, Vec<_>) =
        kinds.partition(|k| catalog::experimental(k).is_some());
    for kind in doubtful {
        let said = format!("`{kind}` is experimental (it was tried with ");
        p.run(&["new", "--kind", kind, "--out", "-"])
            .is(2, &[&said]);
    }
    for kind in kinds.into_iter().chain(["parallel", "race"]) {
        let (text, _) = made(&p, &["--kind", kind]);
        assert!(text.contains(&format!("  - {kind}:")), "{text}");
        assert!(text.contains("Fields of the result"), "{text}");
    }
    let (text, _) = made(&p, &["it's: a #name", "--kind", "sql"]);
    assert!(text.contains("scenario: \"it's: a #name\"\n"), "{text}");
    assert!(text.contains("service: db"), "{text}");
    p.run(&["new", "--kind", "sqll"])
        .is(2, &["there is no kind `sqll`; did you mean `sql`?"]);
    // Services are those of the project, with the port where a kind names it.
    let (text, _) = made(&p, &["--kind", "container"]);
    assert!(text.contains("beside: gateway"), "{text}");
    let (text, _) = made(&p, &["--kind", "grpc"]);
    assert!(text.contains("service: \"gateway:50051\""), "{text}");
}

#[test]
fn nothing_is_written_over_without_force() {
    let p = shop(&[]);
    p.run(&["new", "A customer pays!"]).is(
        0,
        &["wrote scenarios/a-customer-pays.yaml", "prodmirror check"],
    );
    let path = p.path().join("scenarios/a-customer-pays.yaml");
    std::fs::write(&path, "mine").unwrap();
    p.run(&["new", "A customer pays!"])
        .is(2, &["is there already", "--force"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    p.run(&["new", "A customer pays!", "--force"])
        .is(0, &["wrote"]);
    assert_ne!(std::fs::read_to_string(&path).unwrap(), "mine");
    let said = p.run(&["new", "x", "--out", "-"]);
    assert!(said.out.contains("scenario: x\n"), "{}", said.out);
    assert!(!p.path().join("scenarios/x.yaml").exists());
    let said = p.run(&["new", "y", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(document["file"], "scenarios/y.yaml");
}

#[test]
fn it_works_without_a_project_and_with_several_doors() {
    let dir = tempfile::tempdir().unwrap();
    let p = Project::within(dir.path(), &[]);
    std::fs::remove_file(p.path().join("mirror.yaml")).unwrap();
    let said = p.run(&[
        "new",
        "--out",
        "-",
        "--from-curl",
        "curl https://shop.example/a",
    ]);
    assert!(said.out.contains("https://shop.example/a"), "{}", said.out);
    said.is(
        0,
        &[
            "nothing says which service serves https://shop.example",
            "--host",
        ],
    );
    let two =
        "services:\n  a: { image: x, ports: [\"1:80\"] }\n  b: { image: x, ports: [\"2:8443\"] }\n";
    let p = Project::with(&[("compose.yaml", two)]);
    let curl = [
        "new",
        "--out",
        "-",
        "--from-curl",
        "curl https://shop.example/a?b",
    ];
    p.run(&curl)
        .is(0, &["several services do (http://a, http://b:8443)"]);
    let mut with = curl.to_vec();
    with.extend(["--host", "http://b:8443/"]);
    assert!(p.run(&with).out.contains("\"http://b:8443/a?b\""));
    with.pop();
    with.push("b:1/path");
    p.run(&with).is(2, &["is not a base URL"]);
}

#[test]
fn one_source_at_a_time() {
    let said = shop(&[]).run(&["new", "--kind", "sql", "--from-log", "x"]);
    assert_eq!(said.code, 2);
    let said = shop(&[]).run(&["new", "--openapi", "x.yaml"]);
    assert_eq!(said.code, 2);
}
