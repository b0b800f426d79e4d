//! `audit`: what it writes and how it ends. Nothing is started.

use std::process::Command;

use serde_json::Value;

use super::git;
use super::project::{Project, Said};

const BAD: &str = "services:\n  web:\n    image: example/web:1.0.0\n    environment:\n      DATABASE_URL: postgres://app:s3cr3t-w9xK2@db:5433/x\n      API_KEY: changeme\n  db:\n    image: postgres:15\n";

/// A well-known schema: SARIF 2.1.0 of OASIS.
const SCHEMA: &str = include_str!("../schema/sarif-2.1.0.json");

fn valid_sarif(said: &Said) -> Value {
    let document: Value = serde_json::from_str(&said.out).unwrap();
    let mut schema: Value = serde_json::from_str(SCHEMA).unwrap();
    // Its patterns of languages have a `]` that only ECMAScript takes for itself.
    for of in ["run", "toolComponent"] {
        let language = schema["definitions"][of]["properties"]["language"].as_object_mut();
        assert!(language.unwrap().remove("pattern").is_some());
    }
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&document)
        .map(|e| format!("{}: {e}", e.instance_path()))
        .collect();
    assert_eq!(errors, [""; 0]);
    document
}

fn rules(document: &Value) -> Vec<String> {
    let findings = document["findings"].as_array().unwrap();
    let of = |f: &Value| {
        format!(
            "{} {}",
            f["rule"].as_str().unwrap(),
            f["object"].as_str().unwrap()
        )
    };
    findings.iter().map(of).collect()
}

#[test]
fn findings_close_the_gate() {
    let project = Project::with(&[("compose.yaml", BAD)]);
    let said = project.run(&["audit"]);
    assert_eq!(said.code, 4, "{}\n{}", said.out, said.err);
    for text in [
        "service web",
        "port-mismatch",
        "compose.yaml:5:21",
        "db:5433",
        "placeholder",
        "[",
        "→",
    ] {
        assert!(said.out.contains(text), "{text} in\n{}", said.out);
    }
    assert!(!said.out.contains("s3cr3t"), "{}", said.out);
    assert_eq!(project.run(&["audit", "--fail-on", "never"]).code, 0);
    assert_eq!(project.run(&["audit", "--fail-on", "blocker"]).code, 0);
    let good = Project::with(&[]);
    assert_eq!(good.run(&["audit"]).code, 0);
    assert_eq!(good.run(&["audit", "--fail-on", "info"]).code, 4);
}

#[test]
fn required_variables_without_a_value_are_findings() {
    let project = Project::with(&[(
        "compose.yaml",
        "services:\n  web:\n    image: \"x:${TAG:?which release}\"\n    environment: { KEY: \"${KEY:?}\" }\n",
    )]);
    let said = project.run(&["audit", "--format", "json"]);
    assert_eq!(said.code, 4, "{}", said.err);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        rules(&document)[..2],
        [
            "required-variable variable:TAG",
            "required-variable variable:KEY"
        ]
    );
    assert!(!said.out.contains("pm-secret"), "{}", said.out);
}

#[test]
fn production_that_cannot_be_read_is_invalid() {
    let project = Project::with(&[("compose.yaml", "services:\n  web:\n    imagee: x\n")]);
    project
        .run(&["audit"])
        .is(2, &["imagee", "compose.yaml:3:5"]);
    let project = Project::with(&[(
        "mirror.yaml",
        "production: [compose.yaml]\naudit: { off: [{ rule: floatin-tag, because: x }] }\n",
    )]);
    project
        .run(&["audit"])
        .is(2, &["did you mean `floating-tag`?", "mirror.yaml:2:24"]);
}

#[test]
fn sarif_is_valid() {
    let off = "production: [compose.yaml]\naudit: { off: [{ rule: floating-tag, on: db, because: \"it is \\\"pinned\\\"\" }] }\n";
    let project = Project::with(&[("sub dir/compose.yaml", BAD), ("sub dir/mirror.yaml", off)]);
    git(&project, &["init", "-q"]);
    git(&project, &["add", "-A"]);
    let said = project.run(&["-f", "sub dir/mirror.yaml", "audit", "--format", "sarif"]);
    assert_eq!(said.code, 4, "{}", said.err);
    let document = valid_sarif(&said);
    let results = document["runs"][0]["results"].as_array().unwrap();
    let ports = results
        .iter()
        .find(|r| r["ruleId"] == "port-mismatch")
        .unwrap();
    let place = &ports["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "sub%20dir/compose.yaml");
    assert_eq!(place["region"]["startLine"], 5);
    let tag = results
        .iter()
        .find(|r| r["ruleId"] == "floating-tag")
        .unwrap();
    assert_eq!(tag["suppressions"][0]["justification"], "it is \"pinned\"");
    assert!(!said.out.contains("s3cr3t"));
    let nothing = Project::with(&[("mirror.yaml", "production: [compose.yaml]\n")]);
    valid_sarif(&nothing.run(&["audit", "--format", "sarif"]));
    let said = project.run(&["-f", "sub dir/mirror.yaml", "audit", "--format", "github"]);
    assert!(
        said.out
            .contains("::error file=sub dir/compose.yaml,line=5,col=21,"),
        "{}",
        said.out
    );
}

#[test]
fn only_what_came_in_since_a_revision() {
    let project = Project::with(&[
        ("app/compose.yaml", BAD),
        ("app/.env", "X=1\n"),
        (".gitignore", ".env\n"),
        (
            "app/mirror.yaml",
            "production: [compose.yaml]\nenv_files: [.env]\n",
        ),
    ]);
    git(&project, &["init", "-q"]);
    git(&project, &["add", "-A"]);
    git(&project, &["commit", "-qm", "one"]);
    let audit = |extra: &[&str]| {
        project.run(
            &[
                &[
                    "-f",
                    "app/mirror.yaml",
                    "audit",
                    "--format",
                    "json",
                    "--base",
                ],
                extra,
            ]
            .concat(),
        )
    };
    let said = audit(&["HEAD"]);
    assert_eq!(
        (said.code, rules(&serde_json::from_str(&said.out).unwrap())),
        (0, vec![]),
        "{}",
        said.err
    );
    let more = format!("# moved\n\n{BAD}  cache:\n    image: redis\n");
    project.write("app/compose.yaml", more.as_bytes());
    let said = audit(&["HEAD"]);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    let found = rules(&document);
    assert_eq!(said.code, 4);
    assert!(
        found.contains(&"floating-tag service:cache".to_owned()),
        "{found:?}"
    );
    assert!(
        found.iter().all(|f| f.ends_with("service:cache")),
        "{found:?}"
    );
    let sarif = audit(&["HEAD", "--format", "sarif"]);
    assert_eq!(sarif.code, 2, "an option twice is refused");
    let status = Command::new("git")
        .args(["status", "--porcelain"])
        .current_dir(project.path())
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&status.stdout),
        " M app/compose.yaml\n"
    );
    let said = project.run(&["-f", "app/mirror.yaml", "audit", "--base", "nowhere"]);
    said.is(2, &["git knows no revision `nowhere`"]);
    let said = project.run(&["-f", "app/mirror.yaml", "audit", "--base=--output=x"]);
    said.is(2, &["git knows no revision"]);
    // A state in which production cannot be read: all is new, and it is said.
    git(&project, &["checkout", "-q", "--orphan", "empty"]);
    git(&project, &["rm", "-rqf", "--cached", "."]);
    git(
        &project,
        &["commit", "-q", "--allow-empty", "-m", "nothing"],
    );
    git(&project, &["add", "-A"]);
    git(&project, &["commit", "-qm", "all"]);
    let said = audit(&["HEAD~1"]);
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(said.code, 4, "{}", said.err);
    assert!(rules(&document).contains(&"floating-tag service:cache".to_owned()));
    let warned = document["warnings"].to_string();
    assert!(warned.contains("all findings count as new"), "{warned}");
}

#[test]
fn files_that_git_does_not_keep() {
    let compose =
        "services:\n  web:\n    image: x:1.0\n    volumes: [\"./mine.conf:/etc/a.conf\"]\n";
    let project = Project::with(&[
        ("compose.yaml", compose),
        ("mine.conf", "x\n"),
        (".gitignore", "mine.conf\n"),
    ]);
    git(&project, &["init", "-q"]);
    git(&project, &["add", "-A"]);
    let said = project.run(&["audit", "--format", "json"]);
    let found = rules(&serde_json::from_str(&said.out).unwrap());
    assert!(
        found.contains(&"untracked-file service:web".to_owned()),
        "{found:?}"
    );
}

#[test]
fn keys_in_files_are_not_shown() {
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n";
    let compose = "services:\n  web:\n    image: x:1.0\n    command: [\"--api-key=w9xK2-s3cr3t\"]\n    volumes: [\"./k.pem:/k.pem\"]\n";
    let project = Project::with(&[("compose.yaml", compose), ("k.pem", key)]);
    for format in ["human", "json", "sarif", "github"] {
        let said = project.run(&["audit", "--format", format]);
        assert!(
            said.out.contains("plaintext-secret"),
            "{format}: {}",
            said.out
        );
        assert!(
            !said.out.contains("MIIEvQ") && !said.out.contains("s3cr3t"),
            "{format}: {}",
            said.out
        );
    }
}

#[test]
fn placeholders_are_shown() {
    let compose = "services:\n  web:\n    image: x:1.0\n    environment: { API_TOKEN: changeme }\n";
    let said = Project::with(&[("compose.yaml", compose)]).run(&["audit"]);
    let text = "`API_TOKEN` holds the placeholder `changeme`";
    assert!(said.out.contains(text), "{}", said.out);
}

#[test]
fn rules_are_listed() {
    let said = Project::with(&[]).run(&["audit", "--list"]);
    assert!(said.out.contains("floating-tag") && said.code == 0);
    let said = Project::with(&[]).run(&["render", "--format", "sarif"]);
    said.is(2, &["formats of `audit` and `check`"]);
}
