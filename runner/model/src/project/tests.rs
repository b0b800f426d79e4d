use super::*;

/// A project directory with these files.
fn dir(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

fn problems(files: &[(&str, &str)]) -> String {
    let dir = dir(files);
    Project::load(dir.path()).unwrap_err().to_string()
}

const SHOP: &str = r#"
project: shop
production: [production/compose.yaml]
env_files: production/.env
profiles: [web]
env: { pass: [CI_COMMIT_SHA] }
images:
  under_test: { orders: "shop/orders:dev" }
  rewrite: { "registry.example.com/": "mirror.example.com/hub/" }
data:
  orders-db: { snapshot: orders-2026-11 }
  cache: { empty: true }
secrets:
  PAYMENT_KEY: { stub: "sk_test_1" }
  DB_PASSWORD: { env: TEST_DB_PASSWORD }
  tls-key: { file: secrets/tls.key }
egress:
  "api.payments.example:443": { stub: stubs/payments.yaml }
  "smtp.example:25": { stub: { raw: { kind: bytes, text: "220 ready\r\n" } } }
  "telemetry.vendor.example:443": { deny: true, because: no telemetry from tests }
flags: { file: production/flags.json }
fidelity:
  allow: { blocker: 0, high: 0, medium: 10 }
  accept: [{ on: db, field: volumes, because: the snapshot is enough }]
allow:
  services:
    agent: [privileged, bind=/var/log, { rule: docker-socket, because: it lists containers }]
    worker: { "capability=NET_ADMIN": it sets up a tunnel }
supply: { files: {} }
template: templates/stack.yaml.tera
x-note: free
"#;

fn shop() -> Vec<(&'static str, &'static str)> {
    vec![
        ("mirror.yaml", SHOP),
        ("production/compose.yaml", "services: {}"),
        ("production/.env", ""),
        ("production/flags.json", "{}"),
        (
            "stubs/payments.yaml",
            "routes: [{ path: /v1/charges, respond: { status: 201 } }]",
        ),
        ("templates/stack.yaml.tera", ""),
    ]
}

#[test]
fn a_whole_project() {
    let dir = dir(&shop());
    let p = Project::load(&dir.path().join("mirror.yaml")).unwrap();
    assert_eq!(p.name.as_ref().unwrap().as_str(), "shop");
    assert_eq!(p.root, dir.path());
    assert_eq!(
        p.production[0].path,
        dir.path().join("production/compose.yaml")
    );
    assert_eq!(p.env_files.len(), 1);
    assert_eq!(
        find(&p.images.under_test, "orders").unwrap().as_str(),
        "shop/orders:dev"
    );
    assert_eq!(
        p.secret("PAYMENT_KEY").unwrap().value,
        SecretSource::Stub(Secret::new("sk_test_1"))
    );
    assert_eq!(p.egress.len(), 3);
    assert!(matches!(&p.egress[0].fate, Fate::Stub { tls: true, .. }));
    assert!(matches!(&p.egress[1].fate, Fate::Stub { tls: false, .. }));
    assert_eq!(p.egress[2].fate, Fate::Deny);
    assert_eq!(p.egress[0].at.span.to_string(), "mirror.yaml:18:3");
    assert_eq!(p.fidelity.allow.medium, Some(10));
    assert!(p.template.is_some());
    let permit = p
        .allow
        .permits("services", "agent", "docker-socket", "x")
        .unwrap();
    assert_eq!(permit.because.as_deref(), Some("it lists containers"));
    assert!(
        p.allow
            .permits("services", "agent", "bind", "/etc")
            .is_none()
    );
    assert!(
        p.allow
            .permits("services", "agent", "bind", "/var/log")
            .is_some()
    );
    assert!(
        p.allow
            .permits("services", "worker", "privileged", "")
            .is_none()
    );
    let unused: Vec<_> = p
        .allow
        .unused()
        .map(|(_, o, p)| format!("{} {}", o.as_str(), p.rule))
        .collect();
    assert_eq!(unused, ["agent privileged", "worker capability"]);
}

#[test]
fn a_project_is_found_from_below() {
    let dir = dir(&shop());
    let found = Project::find(&dir.path().join("production")).unwrap();
    assert_eq!(found, dir.path().join("mirror.yaml"));
    let p = Project::find(Path::new("/nowhere/at/all")).unwrap_err();
    assert!(p.to_string().contains("prodmirror init"), "{p}");
}

#[test]
fn all_problems_come_at_once() {
    let text = problems(&[(
        "mirror.yaml",
        concat!(
            "productoin: [a.yaml]\n",
            "project: My Shop\n",
            "env_files: [../.env, none.env]\n",
            "env: { pass: [1A], pas: [] }\n",
            "images: { under_test: { orders: 'a b', db: [] } }\n",
            "data: { d: { snapsot: x } }\n",
            "secrets: { K: { stub: a, env: B }, L: plain, M: { env: 'A B' }, N: { file: /etc/shadow } }\n",
            "egress: { 'https://x.example/a': { deny: true }, 'y.example:443': {}, 'z.example:1': { stub: none.yaml } }\n",
            "fidelity: { allow: { medum: 1 } }\n",
            "allow: { service: {} }\n",
            "flags: production/flags.json\n",
            "template: [3]\n",
        ),
    )]);
    for part in [
        "1:1: mirror.yaml has no key `productoin`\n  help: did you mean `production`?",
        "the key `production` is missing",
        "`My Shop` is not a project name",
        "3:13: `../.env` leads out of the project directory",
        "cannot read `none.env`: no such file",
        "`1A` is not the name of a variable",
        "has no key `pas`\n  help: did you mean `pass`?",
        "`a b` is not an image reference",
        "`db`: expected a text, found a list",
        "did you mean `snapshot`?",
        "expected a mapping with exactly one key",
        "{ stub: VALUE }",
        "`A B` is not the name of a variable",
        "`/etc/shadow` leads out of the project",
        "here `x.example:443`",
        "exactly one of `stub`, `allow: true`, `deny: true`",
        "cannot read `none.yaml`",
        "did you mean `medium`?",
        "did you mean `services`?",
        "`flags`: expected a mapping, found the string",
        "`template`: expected a text",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn problems_in_a_stub_file_point_into_it() {
    let mut files = shop();
    files[4].1 = "routes:\n  - { path: v1 }\n";
    let text = problems(&files);
    assert!(text.starts_with("stubs/payments.yaml:2:13: "), "{text}");
}

#[test]
fn hostile_files_are_refused_without_panic() {
    let deep = "a: ".to_owned() + &"[".repeat(500);
    for text in [
        "",
        "null",
        "[]",
        "3",
        "a: b: c",
        "\u{0}",
        "production: {}",
        "egress: 3",
        &deep,
    ] {
        let said = problems(&[("mirror.yaml", text)]);
        assert!(!said.is_empty(), "{text:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mirror.yaml"), b"a: \xff").unwrap();
    assert!(
        Project::load(dir.path())
            .unwrap_err()
            .to_string()
            .contains("UTF-8")
    );
    assert!(Project::load(&dir.path().join("none.yaml")).is_err());
}

#[test]
fn a_secret_is_not_printed() {
    let dir = dir(&shop());
    let p = Project::load(dir.path()).unwrap();
    assert!(!format!("{:?}", p.secrets).contains("sk_test_1"));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]
    #[test]
    fn no_file_makes_it_panic(
        text in proptest::prelude::any::<String>(),
        words in proptest::collection::vec("(production|secrets|egress|allow|env|data|images|stub|x:443|[\\[\\]{}:, \\n-]|  )", 0..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        for t in [text, words.concat()] {
            std::fs::write(dir.path().join("mirror.yaml"), t).unwrap();
            let _ = Project::load(dir.path());
        }
    }
}
