//! What cannot be made into a snapshot, and what is left of an attempt: nothing.

use std::process::Command;
use std::time::Duration;

use super::Store;
use crate::project::Project;

#[test]
fn what_is_wrong_is_told_and_leaves_nothing() {
    let Some(store) = Store::new() else { return };
    let project = Project::with(&[
        ("not.tar", "certainly no archive"),
        (
            "mirror.yaml",
            "project: t\nproduction: [compose.yaml]\nsnapshots: { b: { tar: gone.tar } }\n",
        ),
    ]);
    for (args, why) in [
        (&["a/b", "--directory", "."][..], "is no name of a snapshot"),
        (&["a", "--directory", "nowhere"], "cannot read"),
        (&["a", "--tar", "not.tar"], "is no whole tar archive"),
        (
            &["a", "--volume", "no-such-volume-here"],
            "there is no volume `no-such-volume-here`",
        ),
        (&["a"], "nothing says what `a` is made from"),
        (&["b"], "gone.tar"),
        (
            &["a", "--dump", "not.tar", "--service", "web"],
            "is no dump that is known",
        ),
        (
            &["a", "--snapshot", "c", "--service", "web"],
            "there is no snapshot `c`",
        ),
    ] {
        let said = store.run(&project, &[&["snapshot", "create"], args].concat());
        said.is(2, &[why]);
    }
    project.write(
        "mirror.yaml",
        b"project: t\nproduction: [compose.yaml]\nsnapshots:\n  b: { dump: a, service: wep }\n",
    );
    project.run(&["check"]).is(
        2,
        &[
            "production has no service `wep`",
            "did you mean `web`?",
            "mirror.yaml:4:",
        ],
    );
    store
        .run(&project, &["snapshot", "rm", "x"])
        .is(2, &["there is no snapshot `x`"]);
    store.assert_gone();
}

#[test]
fn archives_are_unpacked_with_all_that_they_can_hold() {
    let Some(store) = Store::new() else { return };
    let project = Project::with(&[]);
    project.write("tree/sub/a", b"text");
    let tar = |args: &[&str]| {
        let done = Command::new("tar")
            .args(args)
            .current_dir(project.path())
            .status();
        assert!(done.unwrap().success());
    };
    tar(&["-C", "tree", "-cf", "plain.tar", "."]);
    tar(&["-C", "tree", "-czf", "packed.tar.gz", "."]);
    tar(&["-C", "tree", "-cJf", "packed.tar.xz", "."]);
    let mut contents = Vec::new();
    for (name, file) in [
        ("a", "plain.tar"),
        ("b", "packed.tar.gz"),
        ("c", "packed.tar.xz"),
    ] {
        store
            .run(&project, &["snapshot", "create", name, "--tar", file])
            .is(0, &[]);
        let said = store.run(&project, &["snapshot", "inspect", name, "--format", "json"]);
        let manifest: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        assert!(
            manifest["source"]["digest"]
                .as_str()
                .unwrap()
                .starts_with("sha256:")
        );
        contents.push(manifest["content"]["hash"].clone());
    }
    assert!(contents.iter().all(|c| *c == contents[0]), "{contents:?}");
    store
        .run(&project, &["snapshot", "create", "a", "--tar", "plain.tar"])
        .is(2, &["there is a snapshot `a` already"]);
    let list = store.run(&project, &["snapshot", "ls", "--format", "json"]);
    let list: serde_json::Value = serde_json::from_str(&list.out).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 3);
    store
        .run(&project, &["snapshot", "rm", "a", "b", "c"])
        .is(0, &[]);
    store.assert_gone();
}

#[test]
fn of_two_creators_at_once_one_wins() {
    let Some(store) = Store::new() else { return };
    let project = Project::with(&[]);
    for (dir, size) in [("one", 3_000_000), ("two", 3_000_001)] {
        project.write(&format!("{dir}/a"), &vec![7; size]);
    }
    let env = [("PRODMIRROR_STORE", store.name.as_str())];
    let start = |dir: &str| {
        let args = ["snapshot", "create", "a", "--directory", dir];
        let mut command = project.command(&args, &env);
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let both = [start("one"), start("two")];
    let ended: Vec<_> = both
        .into_iter()
        .map(|c| c.wait_with_output().unwrap())
        .collect();
    let mut codes: Vec<_> = ended.iter().map(|o| o.status.code().unwrap()).collect();
    codes.sort_unstable();
    assert_eq!(codes, [0, 2], "{ended:?}");
    store.run(&project, &["snapshot", "verify", "a"]).is(0, &[]);
    store.run(&project, &["snapshot", "rm", "a"]).is(0, &[]);
    store.assert_gone();
}

#[test]
fn a_creation_that_is_interrupted_leaves_nothing() {
    let Some(store) = Store::new() else { return };
    let project = Project::with(&[]);
    for i in 0..6 {
        // Not all alike, so that it takes its time.
        let bytes: Vec<u8> = (0..40_000_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> (i + 8)) as u8)
            .collect();
        project.write(&format!("tree/{i}"), &bytes);
    }
    let env = [("PRODMIRROR_STORE", store.name.as_str())];
    let args = ["snapshot", "create", "a", "--directory", "tree"];
    for signal in ["INT", "KILL"] {
        let mut running = project.start(&args, &env);
        running.until(|| store.left().iter().any(|n| n.contains("-store-")));
        running.signal(signal);
        let said = running.end(Duration::from_secs(30));
        if signal == "INT" {
            said.is(130, &["nothing is left"]);
        }
        // The helper of a creator that was killed sees its end, and goes.
        let gone = || store.left().iter().all(|n| !n.contains("-store-"));
        let begun = std::time::Instant::now();
        while !gone() {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{:?}",
                store.left()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    store
        .run(&project, &["snapshot", "ls"])
        .is(0, &["no snapshot"]);
    // What it had copied is not in the way, and takes no room.
    store.run(&project, &args).is(0, &[]);
    store.run(&project, &["snapshot", "rm", "a"]).is(0, &[]);
    store.assert_gone();
}

#[test]
fn a_volume_in_use_is_refused_or_its_users_are_stopped_and_started_again() {
    let Some(store) = Store::new() else { return };
    let project = Project::with(&[]);
    let docker = |args: &[&str]| {
        let done = Command::new("docker").args(args).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{args:?}: {said}");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    };
    let (volume, user) = (
        format!("{}-data", store.name),
        format!("{}-user", store.name),
    );
    docker(&["volume", "create", &volume]);
    let mount = format!("{volume}:/data");
    let script = "trap 'echo stopped >> /data/log; exit 0' TERM; echo started >> /data/log; sleep 1000 & wait";
    docker(&[
        "run",
        "-d",
        "--name",
        &user,
        "-v",
        &mount,
        super::super::rig::SHELL,
        "sh",
        "-c",
        script,
    ]);
    let refused = store.run(&project, &["snapshot", "create", "a", "--volume", &volume]);
    let stopped = store.run(
        &project,
        &["snapshot", "create", "a", "--volume", &volume, "--stop"],
    );
    let state = docker(&[
        "inspect",
        "-f",
        "{{.State.Running}} {{.RestartCount}}",
        &user,
    ]);
    let log = docker(&["exec", &user, "cat", "/data/log"]);
    docker(&["rm", "-fv", &user]);
    docker(&["volume", "rm", &volume]);
    refused.is(2, &[&format!("is in use by `{user}`"), "--stop"]);
    stopped.is(0, &["a sha256:"]);
    // It ended by itself, and runs again.
    assert_eq!(state, "true 0");
    assert_eq!(log, "started\nstopped\nstarted");
    store.run(&project, &["snapshot", "rm", "a"]).is(0, &[]);
    store.assert_gone();
}
