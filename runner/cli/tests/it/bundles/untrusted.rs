//! Bundles of others: what would get anything of this machine is refused before it starts.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{entries, write};
use crate::engine::Beside;
use crate::project::Project;
use crate::rig::sleeper;

/// Paths below a directory, outside of where bundles are unpacked.
fn outside(project: &Project) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut dirs = vec![project.path().to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with(".prodmirror/repro") {
                continue;
            }
            if path.is_dir() {
                dirs.push(path.clone());
            }
            found.insert(path);
        }
    }
    found
}

/// A bundle of a project with this name.
fn made(name: &str) -> Project {
    let scenario = "scenario: a\nsteps:\n  - exec: { service: app, cmd: [\"false\"] }\n    expect: exit_code == 0\n";
    let project = sleeper(&[("scenarios/a.yaml", scenario)]);
    let mirror = format!("project: {name}\nproduction: [compose.yaml]\n");
    project.write("mirror.yaml", mirror.as_bytes());
    project.plays(&["run"], &[]).is(1, &[]);
    project
}

/// Sets a value in a stack's document, by its JSON pointer; what is above it is made.
fn set(document: &mut Value, pointer: &str, value: &Value) {
    let mut at = document;
    for part in pointer.split('/').skip(1) {
        at = &mut at[part];
    }
    *at = value.clone();
}

#[test]
fn stacks_that_reach_for_the_machine_are_refused() {
    let Some(beside) = Beside::connect() else {
        return;
    };
    let project = made(beside.name());
    let whole = entries(&project.bundle());
    let elsewhere = Project::empty();
    elsewhere.write("stdout", b"");
    elsewhere.write("stderr", b"");
    elsewhere.write("x.bundle", b"");
    elsewhere.write(".prodmirror/repro/kept", b"");
    let before = outside(&elsewhere);
    let app = |key: &str| format!("/services/app/{key}");
    let bind = |source: &str| json!([{ "type": "bind", "source": source, "target": "/x" }]);
    let volume = |more: Value| {
        vec![
            (
                app("volumes"),
                json!([{ "type": "volume", "source": "data", "target": "/x" }]),
            ),
            ("/volumes/data".to_owned(), more),
        ]
    };
    let object = |section: &str, more: Value| {
        vec![
            (app(section), json!([{ "source": "c", "target": "/c" }])),
            (format!("/{section}/c"), more),
        ]
    };
    let one = |key: &str, value: Value| vec![(app(key), value)];
    let top = |key: &str, value: Value| vec![(format!("/{key}"), value)];
    let cases: Vec<(Vec<(String, Value)>, &str)> = vec![
        (one("privileged", json!(true)), "`privileged`"),
        (one("volumes", bind("/etc")), "/etc"),
        (
            one("volumes", bind("../../../../../../../../../etc")),
            "/etc",
        ),
        (one("volumes", bind("/var/run/docker.sock")), "docker.sock"),
        (
            [
                one("volumes", bind("/etc")),
                top("x-prodmirror/host_binds", json!({ "app": ["/x"] })),
            ]
            .concat(),
            "/etc",
        ),
        (one("network_mode", json!("host")), "network_mode"),
        (one("pid", json!("host")), "`pid: host`"),
        (one("ipc", json!("host")), "`ipc: host`"),
        (one("userns_mode", json!("host")), "userns_mode"),
        (one("pid", json!("container:other")), "container:other"),
        (
            one("volumes_from", json!(["container:other"])),
            "container:other",
        ),
        (one("devices", json!(["/dev/kmsg:/dev/kmsg"])), "/dev/kmsg"),
        (
            one("device_cgroup_rules", json!(["a *:* rwm"])),
            "device_cgroup_rules",
        ),
        (one("cap_add", json!(["SYS_ADMIN"])), "SYS_ADMIN"),
        (
            one("security_opt", json!(["seccomp:unconfined"])),
            "security_opt",
        ),
        (
            one("sysctls", json!({ "kernel.core_pattern": "|/x" })),
            "kernel.core_pattern",
        ),
        (
            one("logging", json!({ "driver": "syslog" })),
            "logging.driver",
        ),
        (
            one("extra_hosts", json!(["host:host-gateway"])),
            "host-gateway",
        ),
        (
            one("ports", json!(["0.0.0.0:8099:80"])),
            "other machines could reach it",
        ),
        (
            one(
                "post_start",
                json!([{ "command": ["id"], "privileged": true }]),
            ),
            "post_start",
        ),
        (one("provider", json!({ "type": "sh" })), "provider"),
        (one("env_file", json!(["/etc/passwd"])), "`env_file`"),
        (one("label_file", json!(["/etc/passwd"])), "`label_file`"),
        (
            one("extends", json!({ "file": "/etc/passwd", "service": "x" })),
            "`extends`",
        ),
        (one("build", json!("/etc")), "`build`"),
        (top("include", json!(["/etc/passwd"])), "`include`"),
        (
            top("networks/default/internal", json!(false)),
            "internal: false",
        ),
        (
            top(
                "networks/default",
                json!({ "external": true, "name": "bridge" }),
            ),
            "external: bridge",
        ),
        (top("networks/default/driver", json!("macvlan")), "macvlan"),
        (
            volume(json!({ "driver_opts": { "type": "none", "o": "bind", "device": "/etc" } })),
            "/etc",
        ),
        (volume(json!({ "driver": "sshfs" })), "sshfs"),
        (
            volume(json!({ "external": true, "name": "of-others" })),
            "of-others",
        ),
        (
            object("configs", json!({ "file": "/etc/shadow" })),
            "/etc/shadow",
        ),
        (
            object("secrets", json!({ "file": "/etc/shadow" })),
            "/etc/shadow",
        ),
        (object("secrets", json!({ "environment": "HOME" })), "HOME"),
        (
            top(
                "x-prodmirror/egress",
                json!({ "allow": ["api.example:443"] }),
            ),
            "the stack may reach api.example:443",
        ),
    ];
    for (changes, why) in cases {
        let mut changed = whole.clone();
        let text = changed.get_mut("project/stack.yaml").unwrap();
        let mut stack: Value = serde_json::from_slice(text).unwrap();
        for (pointer, value) in &changes {
            if pointer.ends_with("/network_mode") {
                stack["services"]["app"]
                    .as_object_mut()
                    .unwrap()
                    .remove("networks");
            }
            set(&mut stack, pointer, value);
        }
        *text = stack.to_string().into_bytes();
        write(&elsewhere.path().join("x.bundle"), changed);
        let said = elsewhere.plays(&["repro", "x.bundle"], &[]);
        said.is(2, &[why]);
        assert_eq!(elsewhere.reproduced(), 0, "{changes:?}");
        assert_eq!(beside.objects(beside.name()).len(), 0, "{changes:?}");
        assert_eq!(outside(&elsewhere), before, "{changes:?}");
    }
}

#[test]
fn a_project_file_of_others_allows_nothing() {
    let Some(beside) = Beside::connect() else {
        return;
    };
    let project = made(beside.name());
    let mut changed = entries(&project.bundle());
    let mut stack: Value = serde_json::from_slice(&changed["project/stack.yaml"]).unwrap();
    set(&mut stack, "/services/app/privileged", &json!(true));
    changed.insert("project/stack.yaml".into(), stack.to_string().into_bytes());
    let allows = json!({
        "project": beside.name(),
        "production": ["stack.yaml"],
        "allow": { "services": { "app": ["privileged"] } },
        "secrets": { "LOOT": { "file": "/etc/hostname" } },
    });
    changed.insert(
        "project/mirror.yaml".into(),
        allows.to_string().into_bytes(),
    );
    let elsewhere = Project::empty();
    write(&elsewhere.path().join("x.bundle"), changed);
    elsewhere
        .plays(&["repro", "x.bundle"], &[])
        .is(2, &["`privileged`"]);
    assert_eq!(beside.objects(beside.name()).len(), 0);
}

#[test]
fn a_run_that_comes_along_is_no_verdict() {
    let Some(beside) = Beside::connect() else {
        return;
    };
    let project = made(beside.name());
    let mut changed = entries(&project.bundle());
    let events = changed["evidence/events.jsonl"].clone();
    changed.insert(
        "project/.prodmirror/runs/99999999-999999-ffff/events.jsonl".into(),
        events,
    );
    let passes = "scenario: a\nsteps:\n  - exec: { service: app, cmd: [\"true\"] }\n    expect: exit_code == 0\n";
    changed.insert("project/scenarios/a.yaml".into(), passes.into());
    let elsewhere = Project::empty();
    write(&elsewhere.path().join("x.bundle"), changed);
    elsewhere
        .plays(&["repro", "x.bundle"], &[])
        .is(1, &["not reproduced: it passed here"]);
    assert_eq!(elsewhere.reproduced(), 1);
}

#[test]
fn what_does_not_fit_here_is_told_before_anything_starts() {
    let Some(beside) = Beside::connect() else {
        return;
    };
    let project = made(beside.name());
    let whole = entries(&project.bundle());
    let elsewhere = Project::empty();
    let said = |change: &dyn Fn(&mut Value), args: &[&str]| {
        let mut changed = whole.clone();
        let mut m: Value = serde_json::from_slice(&changed["bundle.json"]).unwrap();
        change(&mut m);
        changed.insert("bundle.json".into(), m.to_string().into_bytes());
        write(&elsewhere.path().join("x.bundle"), changed);
        elsewhere.plays(&[&["repro", "x.bundle"], args].concat(), &[])
    };
    said(&|m| m["host"]["arch"] = json!("s390x"), &[]).is(
        2,
        &["it failed on linux/s390x", "its images do not run here"],
    );
    said(&|m| m["version"] = json!(2), &[]).is(2, &["a bundle of version 2", "up to version 1"]);
    said(&|m| m["images"] = json!({}), &[]).is(2, &["does not say which image `app` had"]);
    let missing = json!({ "data": { "snapshot": "no-such-snapshot", "digest": "sha256:00" } });
    said(&|m| m["data"] = missing.clone(), &[]).is(
        2,
        &[
            "the snapshot no-such-snapshot of `data`",
            "is neither here nor in the bundle",
        ],
    );
    let large = |m: &mut Value| {
        m["host"]["memory"] = json!(1_u64 << 60);
        m["host"]["limits"] = json!(1_u64 << 60);
        m["host"]["cpus"] = json!(100_000);
    };
    said(&large, &["--dry-run"]).is(0, &["for want of memory", "it failed on 100000 CPUs"]);
    assert_eq!(elsewhere.reproduced(), 0);
    std::fs::write(elsewhere.path().join("x.bundle"), b"no bundle").unwrap();
    elsewhere
        .plays(&["repro", "x.bundle"], &[])
        .is(2, &["it is no gzip archive"]);
    elsewhere
        .plays(&["repro", "gone.bundle"], &[])
        .is(2, &["cannot read gone.bundle"]);
    assert_eq!(beside.objects(beside.name()).len(), 0);
}
