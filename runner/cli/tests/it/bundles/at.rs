//! `up --at`: the stack of a failure, kept for people.

use std::path::Path;

use serde_json::{Value, json};

use super::{entries, write};
use crate::doors::{address, beside, ports, run_of};
use crate::engine::IMAGE;
use crate::forms::forms;
use crate::project::{Project, Said};
use crate::rig::{has_engine, left, sleeper};

/// A directory from which a stack may be up; it is removed with this.
struct Here(Project);

impl Here {
    fn empty() -> Self {
        Self(Project::empty())
    }

    fn at(&self, bundle: &str, args: &[&str], env: &[(&str, &str)]) -> Said {
        let all = [&["up", "--at", bundle, "-d", "--offline"], args].concat();
        self.0.plays(&all, env)
    }

    fn has(&self, name: &str) -> bool {
        self.0.path().join(".prodmirror").join(name).exists()
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        if self.has("at.json") {
            self.0.plays(&["down"], &[]);
        }
    }
}

fn name_of(project: &Project) -> String {
    let dir = project.path().file_name().unwrap().to_string_lossy();
    format!("at-{}", dir.to_lowercase().replace('.', ""))
}

/// A project that has failed, under a name of its own; its name, and the bundle.
fn failed(project: &Project, more: &str, env: &[(&str, &str)]) -> (String, String) {
    let name = name_of(project);
    let mirror = format!("project: {name}\nproduction: [compose.yaml]\n{more}");
    project.write("mirror.yaml", mirror.as_bytes());
    project.plays(&["run"], env).is(1, &[]);
    (name, project.bundle())
}

const FAILS: &str = "scenario: says yes\nsteps:\n  - exec: { service: app, cmd: [sh, -c, \"touch /tmp/done; echo no\"] }\n    expect: stdout.contains(\"yes\")\n";

#[test]
fn the_stack_of_a_failure_is_kept_and_found_again() {
    if !has_engine() {
        return;
    }
    let compose = format!(
        "services:\n  app:\n    image: {IMAGE}\n    init: true\n    command: [sh, -c, \"echo the key is $$KEY; exec python3 -m http.server 8000\"]\n    environment: {{ KEY: \"${{KEY}}\" }}\n    expose: [\"8000\"]\n"
    );
    let project = Project::with(&[("compose.yaml", &compose), ("scenarios/a.yaml", FAILS)]);
    let secrets = "secrets: { KEY: { env: KEY } }\n";
    let (name, bundle) = failed(&project, secrets, &[("KEY", "of-the-other-machine")]);

    let here = Here::empty();
    let said = here.at(&bundle, &[], &[]);
    said.is(
        2,
        &[
            "the secret KEY has no value here",
            "KEY=… prodmirror up --at …",
        ],
    );
    assert!(!here.has("at.json"));
    let key = "sw0rdfish/of+this=machine";
    let said = here.at(
        &bundle,
        &["--publish", "--proxy", "--hosts"],
        &[("KEY", key)],
    );
    said.is(
        0,
        &[
            "`says yes` of scenarios/a.yaml",
            "given to the stack, of this environment: KEY",
            "app:8000 is at 127.0.0.1:",
            "before any step of `says yes`",
            "`exec`, `cp`, `restart` and `down` mean it until it is down",
            "/evidence has what was seen",
        ],
    );
    // The directory has no project; each command finds the stack all the same.
    let run = run_of(&here.0, &name);
    let exec = |args: &[&str]| beside(&here.0, &[&["exec", "-T", "app"], args].concat());
    assert_eq!(
        exec(&["test", "!", "-e", "/tmp/done"]).code,
        0,
        "no step ran"
    );
    assert_eq!(exec(&["sh", "-c", "test -n \"$KEY\""]).code, 0);
    let all = ports(&here.0);
    let proxy = address(&all, "proxy", "").to_string();
    let hosts = std::fs::read_to_string(here.0.path().join(".prodmirror/hosts")).unwrap();
    assert!(hosts.contains(" app"), "{hosts}");
    let url = format!("http://{proxy}/proxy.pac");
    let pac = std::process::Command::new("curl")
        .args(["-sS", &url])
        .output();
    let pac = String::from_utf8(pac.unwrap().stdout).unwrap();
    assert!(pac.contains("\"app\":1"), "{pac}");
    beside(&here.0, &["restart", "app"]).is(0, &[]);
    // The value is taken out of what is printed, though nobody says it again.
    let logs = beside(&here.0, &["logs"]);
    assert!(
        logs.out.contains("the key is ***"),
        "{}{}",
        logs.out,
        logs.err
    );
    for form in forms(key) {
        let form = String::from_utf8_lossy(&form).into_owned();
        for text in [&logs.out, &logs.err, &said.out, &said.err] {
            assert!(!text.contains(&form), "{text}");
        }
    }
    let kept = std::fs::read_to_string(here.0.path().join(".prodmirror/at.json")).unwrap();
    assert!(!kept.contains("sw0rdfish"), "{kept}");
    // One at a time, and what runs keeps its files.
    let again = here.at(&bundle, &[], &[("KEY", key)]);
    again.is(
        2,
        &["is up in this directory", "`prodmirror down` removes it"],
    );
    assert!(here.has("repro"));
    // From elsewhere it is another's.
    let elsewhere = Here::empty();
    beside(&elsewhere.0, &["logs"]).is(2, &[]);
    beside(&here.0, &["down"]).is(0, &["objects removed"]);
    assert!(left(&run).is_empty());
    assert!(!here.has("at.json"));
    beside(&here.0, &["logs"]).is(2, &["mirror.yaml"]);
}

#[test]
fn it_ends_with_its_command_when_that_stays() {
    if !has_engine() {
        return;
    }
    let project = sleeper(&[("scenarios/a.yaml", FAILS)]);
    let (name, bundle) = failed(&project, "", &[]);
    let here = Here::empty();
    let args = ["up", "--at", bundle.as_str(), "--offline"];
    let mut running = here.0.start(&args, &[]);
    let said = || std::fs::read_to_string(here.0.path().join("stderr")).unwrap();
    running.until(|| said().contains("Ctrl-C removes the mirror"));
    assert!(said().contains("in this directory (of another terminal)"));
    let run = run_of(&here.0, &name);
    let done = beside(&here.0, &["exec", "-T", "app", "true"]);
    assert_eq!(done.code, 0, "{}", done.err);
    running.signal("INT");
    running.end(std::time::Duration::from_secs(60)).is(0, &[]);
    assert!(left(&run).is_empty());
    assert!(!here.has("at.json"));
}

#[test]
fn it_has_the_flags_of_the_failure_and_the_image_that_is_given() {
    if !has_engine() {
        return;
    }
    let scenario = "scenario: says yes\nflags: { checkout_v2: on }\nsteps:\n  - exec: { service: app, cmd: [\"false\"] }\n    expect: exit_code == 0\n";
    let project = sleeper(&[("scenarios/a.yaml", scenario)]);
    let compose = std::fs::read_to_string(project.path().join("compose.yaml")).unwrap();
    let compose = format!("{compose}    environment: {{ FEATURE_CHECKOUT_V2: \"false\" }}\n");
    project.write("compose.yaml", compose.as_bytes());
    let scenario = scenario.replace("checkout_v2: on", "FEATURE_CHECKOUT_V2: true");
    project.write("scenarios/a.yaml", scenario.as_bytes());
    let (_, bundle) = failed(&project, "flags: { prefix: FEATURE_ }\n", &[]);
    let here = Here::empty();
    let other = here.at(&bundle, &["--image", "appp=x:1"], &[]);
    other.is(2, &["the bundle has no service `appp`", "it has app"]);
    let image = format!("app={IMAGE}");
    let said = here.at(&bundle, &["--image", &image], &[]);
    said.is(0, &["not as where it failed: app runs"]);
    let python = beside(&here.0, &["exec", "-T", "app", "python3", "--version"]);
    assert!(python.out.starts_with("Python 3"), "{}", python.err);
    let env = beside(&here.0, &["exec", "-T", "app", "env"]);
    assert!(env.out.contains("FEATURE_CHECKOUT_V2=true"), "{}", env.out);
}

#[test]
fn a_stack_of_somebody_else_gets_nothing_here_either() {
    if !has_engine() {
        return;
    }
    let project = sleeper(&[("scenarios/a.yaml", FAILS)]);
    let (name, bundle) = failed(&project, "", &[]);
    let whole = entries(&bundle);
    let stack = "project/stack.yaml";
    let bind = json!([{ "type": "bind", "source": "/etc", "target": "/x" }]);
    let cases: [(&str, Value, &str); 4] = [
        ("privileged", json!(true), "`privileged`"),
        ("volumes", bind, "/etc"),
        ("pid", json!("host"), "`pid: host`"),
        ("build", json!({ "context": "." }), "`build`"),
    ];
    for (key, value, why) in cases {
        let mut entries = whole.clone();
        let mut document: Value = serde_json::from_slice(&entries[stack]).unwrap();
        document["services"]["app"][key] = value;
        entries.insert(stack.to_owned(), document.to_string().into_bytes());
        let here = Here::empty();
        let changed = here.0.path().join("x.bundle");
        write(Path::new(&changed), entries);
        let said = here.at("x.bundle", &[], &[]);
        said.is(2, &[why, "nothing was started"]);
        assert!(!here.has("at.json"));
        let ps = beside(&here.0, &["ps", "--format", "json"]);
        assert!(!ps.out.contains(&name), "{}", ps.out);
    }
}
