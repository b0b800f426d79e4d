//! What an environment may be: a project, a spec, a revision, a value of a flag.

use std::process::Command;

use super::{answers, bisect, cause, compose, project, report};
use crate::docker::{build, docker};
use crate::git;
use crate::project::Project;
use crate::rig::{SHELL, has_engine};

#[test]
fn specs_stand_for_themselves() {
    if !has_engine() {
        return;
    }
    let p = project(
        &[("MODE", "lax")],
        &[("MODE", "strict")],
        "",
        "test \"$MODE\" != strict",
    );
    for side in ["good", "bad"] {
        std::fs::remove_file(p.path().join(format!("{side}.mirror.yaml"))).unwrap();
    }
    let args = ["bisect", "good.compose.yaml", "bad.compose.yaml", "s.yaml"];
    answers(
        &p.run(&args),
        0,
        &[
            "MODE=strict in bad.compose.yaml and MODE=lax in good.compose.yaml",
            "\n  A: good.compose.yaml:20:13\n  B: bad.compose.yaml:20:13\n",
        ],
    );
}

#[test]
fn paths_are_shown_as_they_were_written() {
    let p = Project::empty();
    let shop = |name: &str| {
        format!(
            "services:\n  app:\n    image: {SHELL}\n    command: [sleep, infinity]\n    volumes: [\"./{name}:/srv/rates:ro\", \"../{name}:/srv/more:ro\"]\n"
        )
    };
    for name in ["one", "two"] {
        p.write(&format!("deploy/{name}/rates"), name.as_bytes());
        p.write(&format!("{name}/rates"), name.as_bytes());
    }
    p.write(
        "deploy/mirror.yaml",
        b"project: t\nproduction: [compose.yaml]\nallow: { services: { app: [bind] } }\n",
    );
    p.write("deploy/compose.yaml", shop("one").as_bytes());
    git(&p, &["init", "-q"]);
    git(&p, &["add", "."]);
    git(&p, &["commit", "-q", "-m", "one"]);
    p.write("deploy/compose.yaml", shop("two").as_bytes());
    let said = p.run(&["bisect", "HEAD:deploy/mirror.yaml", "deploy", "--dry-run"]);
    answers(
        &said,
        0,
        &["app: mount /srv/rates bind ./one (read-only) → bind ./two (read-only)"],
    );
    assert!(
        !said.out.contains(&*p.path().to_string_lossy()),
        "{}",
        said.out
    );
}

#[test]
fn a_revision_is_a_side() {
    if !has_engine() {
        return;
    }
    let p = project(&[], &[], "", "grep -q old /srv/rates/list");
    p.write("rates/list", b"old");
    let with_mount = |letter: &str| {
        format!(
            "{}    volumes: [\"./rates:/srv/rates:ro\", \"./same:/srv/same:ro\"]\n",
            compose(letter, &[])
        )
    };
    p.write("same/file", b"same");
    p.write(
        "mirror.yaml",
        b"project: pair\nproduction: [compose.yaml]\n",
    );
    p.write("compose.yaml", with_mount("a").as_bytes());
    git(&p, &["init", "-q"]);
    git(&p, &["add", "."]);
    git(&p, &["commit", "-q", "-m", "one"]);
    p.write("rates/list", b"new");
    p.write("compose.yaml", with_mount("b").as_bytes());
    let args = [
        "bisect",
        "HEAD:mirror.yaml",
        "production",
        "s.yaml",
        "--report",
        "json=report.json",
    ];
    answers(
        &p.run(&args),
        0,
        &[
            "`app` finds something else at /srv/rates in production than in HEAD:mirror.yaml: bind ./rates (read-only)",
            "\n  A: HEAD:compose.yaml:20:15\n  B: compose.yaml:20:15\n",
            "that is the whole story",
        ],
    );
    let report = report(&p);
    assert_eq!(
        cause(&report),
        ["app: mount /srv/rates bind ./rates (read-only) differs"]
    );
    // What both revisions have alike is no difference, wherever it was written out.
    let all = report["differences"].to_string();
    assert!(!all.contains("/srv/same"), "{all}");
}

#[test]
fn a_flag_is_a_difference() {
    if !has_engine() {
        return;
    }
    let test = r#"tr -d " \n" </etc/flags.json | grep -q "defaultVariant.:.off""#;
    let given = "    configs: [{ source: flags, target: /etc/flags.json }]\nconfigs: { flags: { file: ./flags.json } }\n";
    let p = project(&[], &[], given, test);
    let good = format!("{}{given}", compose("a", &[]));
    p.write("good.compose.yaml", good.as_bytes());
    let flags = r#"{ "flags": { "express": { "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": "off" } } }"#;
    p.write("flags.json", flags.as_bytes());
    for side in ["good", "bad"] {
        let text = format!(
            "project: pair\nproduction: [{side}.compose.yaml]\nflags: {{ file: flags.json }}\n"
        );
        p.write(&format!("{side}.mirror.yaml"), text.as_bytes());
    }
    answers(
        &bisect(&p, &["--flag-b", "express=on"]),
        0,
        &[
            "the flag express is on in bad and what its files say in good",
            "that is the whole story",
        ],
    );
    let report = report(&p);
    assert_eq!(cause(&report), ["flag express as it is → on"]);
    assert!(report["runs"].as_array().unwrap().len() <= 12, "{report:#}");

    // The same environment twice, with the flag on one side only.
    let args = [
        "bisect",
        "bad",
        "bad",
        "s.yaml",
        "--flag-a",
        "express=off",
        "--flag-b",
        "express=on",
    ];
    answers(
        &p.run(&args),
        0,
        &["the flag express is on in bad with express=on and off in bad with express=off"],
    );
}

/// An image of a name that is given to other images later; all are removed at the end.
struct Moved(String);

impl Moved {
    fn name(&self) -> String {
        format!("{}:1", self.0)
    }

    /// Gives the name to an image of that kind; it has a name of its own, too, that stays.
    fn to(&self, kind: &str) {
        let kept = format!("{}:{kind}", self.0);
        // Made once: what is built again is another image.
        if docker(&["images", "-q", &kept]).is_empty() {
            build(&kept, &format!("FROM {SHELL}\nENV KIND={kind}\n"));
        }
        docker(&["tag", &kept, &self.name()]);
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        for tag in ["1", "one", "two", "three"] {
            let name = format!("{}:{tag}", self.0);
            let _ = Command::new("docker").args(["rmi", &name]).output();
        }
    }
}

/// Two projects with a lock each, which name one image.
fn locked(moved: &Moved, kinds: [&str; 2], test: &str) -> Project {
    let p = Project::empty();
    for (side, mode, kind) in [("good", "lax", kinds[0]), ("bad", "strict", kinds[1])] {
        let text = format!(
            "services:\n  app:\n    image: {}\n    init: true\n    command: [sleep, infinity]\n    environment: {{ MODE: {mode}, OTHER: {side} }}\n",
            moved.name()
        );
        let file = format!("{side}/mirror.yaml");
        p.write(&format!("{side}/compose.yaml"), text.as_bytes());
        p.write(&file, b"project: pair\nproduction: [compose.yaml]\n");
        moved.to(kind);
        p.run(&["--project", &file, "lock", "--offline"]).is(0, &[]);
    }
    let scenario = format!(
        "scenario: it works\nsteps:\n  - exec: {{ service: app, cmd: [sh, -c, '{test}'] }}\n    expect: exit_code == 0\n"
    );
    p.write("s.yaml", scenario.as_bytes());
    // What the name stands for at present is in neither lock.
    moved.to("three");
    p
}

/// The same lock means the same bytes, in a search as in a run.
#[test]
fn images_are_those_of_the_locks() {
    if !has_engine() {
        return;
    }
    let moved = Moved(format!("prodmirror-test/moved-{}", std::process::id()));
    let search = |p: &Project, cause_is: &dyn Fn(&str) -> bool| {
        answers(&bisect(p, &[]), 0, &["fails because"]);
        let causes = cause(&report(p));
        assert!(causes.len() == 1 && cause_is(&causes[0]), "{causes:?}");
    };

    let p = locked(&moved, ["one", "two"], "test $KIND = one");
    search(&p, &|label| label.starts_with("app: image sha256:"));

    // One name of one image is no difference, and stands for what is locked.
    let p = locked(
        &moved,
        ["one", "one"],
        "test $KIND = one && test $MODE = lax",
    );
    search(&p, &|label| label.contains("MODE"));
    let said = bisect(&p, &["--dry-run"]);
    assert!(!said.out.contains("image"), "{}", said.out);
}
