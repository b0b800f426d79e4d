//! A whole run with secrets, in a stack whose services print them in every form: they are in
//! nothing that the run makes, shows or leaves.

use std::path::Path;

use serde_json::Value;

use crate::engine::{Beside, IMAGE};
use crate::forms::forms;
use crate::held::{self, Held};
use crate::project::Project;

/// A text that must not be found, and whose it is.
struct Sought {
    whose: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Sought {
    fn new(whose: &'static str, secret: &str) -> Self {
        Self {
            whose,
            forms: forms(secret),
        }
    }

    #[track_caller]
    fn is_not_in(&self, bytes: &[u8], place: &str) {
        for form in &self.forms {
            let found = bytes.windows(form.len()).position(|w| w == form);
            let shown = String::from_utf8_lossy(form);
            assert!(
                found.is_none(),
                "{}, as {shown}, is in {place} at {found:?}",
                self.whose
            );
        }
    }

    /// As [`Self::is_not_in`], for all files below a directory.
    fn is_not_below(&self, dir: &Path) -> usize {
        let mut files = 0;
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                files += self.is_not_below(&path);
            } else if let Ok(bytes) = std::fs::read(&path) {
                self.is_not_in(&bytes, &path.display().to_string());
                files += 1;
            }
        }
        files
    }

    /// Command lines of all processes, those in containers too.
    fn is_in_no_command_line(&self) {
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let path = entry.path().join("cmdline");
            if let Ok(bytes) = std::fs::read(&path) {
                self.is_not_in(&bytes, &path.display().to_string());
            }
        }
    }

    /// What the engine shows of a run's objects. Services alone have their own environment.
    fn is_not_shown(&self, beside: &Beside) {
        let mut roles = std::collections::BTreeSet::new();
        for (found, shown) in beside.objects(beside.name()) {
            let role = found.label("dev.prodmirror.role").to_owned();
            let mut shown: Value = serde_json::from_str(&shown).unwrap();
            if role == "service" {
                let env = shown["Config"]["Env"].take().to_string();
                let own = env.contains("API_KEY=") && !env.contains("DB_PASSWORD=");
                assert!(own, "{env}");
            }
            // As JSON, and as the texts that it stands for.
            self.is_not_in(shown.to_string().as_bytes(), &found.name);
            self.is_not_in(texts(&shown).as_bytes(), &found.name);
            roles.insert(role);
        }
        for role in ["service", "sandbox", "stub", "keeper", "files", "network"] {
            assert!(roles.contains(role), "no {role} among {roles:?}");
        }
    }
}

fn texts(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text}\n"),
        Value::Array(list) => list.iter().map(texts).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| format!("{k}\n{}", texts(v)))
            .collect(),
        _ => String::new(),
    }
}

fn project(name: &str, password: &str) -> Project {
    let mirror = format!(
        "project: {name}\nproduction: [compose.yaml]\nsecrets:\n  API_KEY: {{ env: SOURCE_OF_KEY }}\n  db_password: {{ file: password.txt }}\negress:\n  'api.example:443': {{ stub: {{ default: {{ status: 201, json: {{ echo: '{{{{header.x-key}}}}' }}, template: true }} }} }}\n"
    );
    let compose = format!(
        r#"
services:
  web:
    image: {IMAGE}
    init: true
    command: [sh, -c, 'python3 /loud.py; echo "key $$API_KEY" >&2; exec sleep infinity']
    environment: {{ API_KEY: "${{API_KEY}}" }}
    secrets: [db_password]
    volumes: ['./loud.py:/loud.py:ro']
secrets:
  db_password: {{ file: /of/production/password }}
"#
    );
    let scenario = format!(
        r#"
scenario: everything that is said of a secret
steps:
  - logs: {{ service: web, any: "all was said", within: 60s, since: stack }}
  - soft: true
    exec: {{ service: web, cmd: [python3, /loud.py], env: {{ GIVEN: "{{{{ secrets.API_KEY }}}}" }} }}
    expect:
      - stdout == secrets.API_KEY
      - stdout.contains("never said")
      - {{ stdout: {{ matches: "^never" }} }}
  - soft: true
    http: {{ method: POST, url: "https://api.example/a", query: {{ key: "{{{{ secrets.API_KEY }}}}" }}, headers: {{ x-id: a }}, json: {{ password: "{{{{ secrets.db_password }}}}" }} }}
    expect: [ status == 500, json.echo == secrets.db_password ]
  - soft: true
    exec: {{ service: web, cmd: [sh, -c, "no-such-program"], stdin: "{{{{ secrets.db_password }}}}" }}
{}"#,
        held::step("web")
    );
    Project::with(&[
        ("mirror.yaml", &mirror),
        ("compose.yaml", &compose),
        ("password.txt", password),
        ("loud.py", include_str!("loud.py")),
        ("scenarios/a.yaml", &scenario),
    ])
}

#[test]
fn no_secret_is_shown_anywhere_while_and_after_a_run() {
    let Some(beside) = Beside::connect() else {
        return;
    };
    let key = format!("hunter2-{}-Ünsäfe/&<\"'$+ key", std::process::id());
    let password = format!("sk_live_{}_4eC39HqLyjWDarjtT1zdp7dc", std::process::id());
    let project = project(beside.name(), &password);
    let sought = [
        Sought::new("the key", &key),
        Sought::new("the password", &password),
    ];
    let mut env = beside.env();
    env.push(("SOURCE_OF_KEY", &key));
    let held = Held::start(
        &project,
        &[
            "run",
            "--offline",
            "--report",
            "html=a.html",
            "--report",
            "json=a.json",
        ],
        &env,
    );
    let run = held::run_dir(&project).unwrap();
    for s in &sought {
        s.is_not_shown(&beside);
        s.is_in_no_command_line();
        assert!(s.is_not_below(&run) > 2);
    }
    let web = beside.containers(beside.name());
    let web = web
        .iter()
        .find(|(f, _)| f.label("dev.prodmirror.role") == "service")
        .unwrap();
    // What is looked for is there, where it belongs: the service really said it.
    let said = beside.exec(&web.0.id, &["python3", "/loud.py"]);
    for s in &sought {
        let there = |form: &Vec<u8>| said.as_bytes().windows(form.len()).any(|w| w == form);
        assert!(s.forms.iter().filter(|f| there(f)).count() > 8, "{said}");
    }
    let ended = held.go_on(&beside, &web.0.id, &project);
    assert_eq!(ended.code, 1, "{}", ended.err);
    for s in &sought {
        assert!(s.is_not_below(&run) > 3);
        for (text, place) in [(&ended.out, "stdout"), (&ended.err, "stderr")] {
            s.is_not_in(text.as_bytes(), place);
        }
        for report in ["a.html", "a.json"] {
            let bytes = std::fs::read(project.path().join(report)).unwrap();
            s.is_not_in(&bytes, report);
        }
    }
    assert!(
        beside.objects(beside.name()).is_empty(),
        "something is left"
    );
    // For readers of other makes: `ci/junit-readers`.
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile-run.xml");
    std::fs::copy(run.join("junit.xml"), kept).unwrap();
}
