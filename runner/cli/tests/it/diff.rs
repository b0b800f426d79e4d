//! `diff`: what it writes and how it ends. Nothing is started.

use serde_json::Value;

use super::git;
use super::project::Project;

const A: &str = "services:\n  web:\n    image: example/web:1.0.0\n    read_only: true\n    environment: { API_TOKEN: s3cr3t-one9, LOG_LEVEL: info }\n";
const B: &str = "services:\n  web:\n    image: example/web:2.0.0\n    environment: { API_TOKEN: s3cr3t-two9, LOG_LEVEL: info, TZ: Europe/Berlin }\n  extra:\n    image: example/x:1.0.0\n";

fn fields(json: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(json).unwrap();
    let changes = document["changes"].as_array().unwrap();
    let of = |c: &Value| {
        format!(
            "{} {}",
            c["object"].as_str().unwrap(),
            c["field"].as_str().unwrap()
        )
    };
    changes.iter().map(of).collect()
}

fn all() -> [&'static str; 5] {
    [
        "service:web image",
        "service:web environment.API_TOKEN",
        "service:web read_only",
        "service:web time zone",
        "service:extra service",
    ]
}

#[test]
fn specs_and_projects() {
    let project = Project::with(&[
        ("a.yaml", A),
        ("sub/compose.yaml", B),
        ("b.mirror.yaml", "production: [sub/compose.yaml]\n"),
    ]);
    for (a, b) in [
        ("a.yaml", "sub/compose.yaml"),
        ("a.yaml", "sub"),
        ("./a.yaml", "b.mirror.yaml"),
    ] {
        let said = project.run(&["diff", a, b, "--format", "json"]);
        assert_eq!(said.code, 1, "{a} {b}\n{}", said.err);
        assert_eq!(fields(&said.out), all(), "{a} {b}");
        assert!(!said.out.contains("s3cr3t"), "{}", said.out);
    }
    let said = project.run(&["diff", "a.yaml", "sub"]);
    for text in [
        "A  a.yaml",
        "service web",
        "read_only",
        "a.yaml:4:16",
        "sub/compose.yaml:3:12",
        "5 differences",
    ] {
        assert!(said.out.contains(text), "{text} in\n{}", said.out);
    }
    assert!(!said.out.contains("s3cr3t"), "{}", said.out);
    let said = project.run(&["diff", "a.yaml", "a.yaml"]);
    assert_eq!(
        (said.code, said.out.contains("they do not differ")),
        (0, true),
        "{}",
        said.err
    );
}

#[test]
fn images_of_the_command_line() {
    let project = Project::with(&[("compose.yaml", A)]);
    let said = project.run(&["diff", "--image", "web=example/web:3", "--format", "json"]);
    assert_eq!(said.code, 1, "{}", said.err);
    assert_eq!(fields(&said.out), ["service:web image"]);
    let said = project.run(&[
        "diff",
        "--image-a",
        "web=example/web:3",
        "--image",
        "web=example/web:3",
    ]);
    assert_eq!(said.code, 0, "{}\n{}", said.out, said.err);
    project
        .run(&["diff", "--image", "wep=x:1"])
        .is(2, &["no service `wep`", "did you mean `web`?"]);
    project.run(&["diff"]).is(2, &["nothing to compare"]);
    project
        .run(&["diff", "compose.yaml", "gone.yaml"])
        .is(2, &["there is no `gone.yaml` here"]);
}

#[test]
fn revisions() {
    let project = Project::with(&[("app/compose.yaml", A)]);
    git(&project, &["init", "-q"]);
    git(&project, &["add", "-A"]);
    git(&project, &["commit", "-qm", "one"]);
    project.write("app/compose.yaml", B.as_bytes());
    for old in ["HEAD:app/compose.yaml", "HEAD:./app", "HEAD:app/"] {
        let said = project.run(&["diff", old, "app/compose.yaml", "--format", "json"]);
        assert_eq!(fields(&said.out), all(), "{old}: {}", said.err);
    }
    let said = project.run(&["diff", "HEAD:app/compose.yaml", "app/compose.yaml"]);
    assert!(
        said.out.contains("HEAD:app/compose.yaml:3:12"),
        "{}",
        said.out
    );
    for bad in ["nowhere:app", "HEAD:gone.yaml", "HEAD:../../etc/passwd"] {
        assert_eq!(project.run(&["diff", bad, "app"]).code, 2, "{bad}");
    }
}

#[test]
fn reports() {
    let project = Project::with(&[("a.yaml", A), ("b.yaml", B)]);
    let said = project.run(&["diff", "a.yaml", "b.yaml", "--report", "junit=diff.xml"]);
    assert_eq!(said.code, 1, "{}", said.err);
    let xml = std::fs::read_to_string(project.path().join("diff.xml")).unwrap();
    for text in [
        "tests=\"5\"",
        "failures=\"5\"",
        "name=\"read_only\"",
        "type=\"image\"",
        "example/web:2.0.0",
    ] {
        assert!(xml.contains(text), "{text} in\n{xml}");
    }
    assert!(!xml.contains("s3cr3t"), "{xml}");
    project.run(&["diff", "a.yaml", "a.yaml", "--report", "junit=same.xml"]);
    let xml = std::fs::read_to_string(project.path().join("same.xml")).unwrap();
    assert!(
        xml.contains("tests=\"1\"") && xml.contains("failures=\"0\""),
        "{xml}"
    );
    project
        .run(&["diff", "a.yaml", "b.yaml", "--report", "junitt=x"])
        .is(2, &["did you mean `junit`?"]);
}
