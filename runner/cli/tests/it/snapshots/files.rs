//! Files, kept exactly.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;

use super::Store;
use crate::project::Project;

/// What a scenario looks at in a volume that starts from the snapshot.
const LOOK: &str = r#"
import os, stat, sys
d = '/data'
s = lambda n: os.lstat(os.path.join(d, n))
a, b = s('a'), s('hard')
assert a.st_ino == b.st_ino and a.st_nlink == 2, 'hard links'
assert (a.st_uid, a.st_gid, stat.S_IMODE(a.st_mode)) == (1234, 4321, 0o640), 'owner and mode'
assert a.st_mtime_ns == 1500000000123456789, a.st_mtime_ns
assert os.getxattr(d + '/a', 'user.origin') == b'production', 'attributes'
assert os.readlink(d + '/link') == 'a', 'links'
assert s('sparse').st_size == 1 << 30 and s('sparse').st_blocks < 4096, 'holes'
assert open(d + '/sparse', 'rb').read(3) == b'top', 'sparse content'
assert stat.S_ISSOCK(s('socket').st_mode), 'sockets'
assert stat.S_ISFIFO(s('pipe').st_mode), 'pipes'
assert stat.S_IMODE(s('suid').st_mode) == 0o4755, oct(s('suid').st_mode)
assert os.path.exists(os.fsencode(d) + b'/\xff\n'), 'names that are no text'
assert stat.S_IMODE(os.stat(d).st_mode) == 0o1777, 'the top'
open(d + '/a', 'w').write('changed')
print('whole')
"#;

/// A production of one service with Python and the volume `files` at `/data`.
fn shelf(mirror: &str, files: &[(&str, &str)]) -> Project {
    let project = Project::with(&[
        (
            "compose.yaml",
            "services:\n  app:\n    image: registry.shop.example/python:3.11\n    init: true\n    \
             command: [sleep, infinity]\n    volumes: [\"files:/data\"]\nvolumes:\n  files: {}\n",
        ),
        ("mirror.yaml", mirror),
    ]);
    for (name, text) in files {
        project.write(name, text.as_bytes());
    }
    project
}

fn touch(path: &std::path::Path, stamp: &str) {
    let done = Command::new("touch").args(["-d", stamp]).arg(path).status();
    assert!(done.unwrap().success());
}

#[test]
fn everything_about_files_is_kept_and_each_stack_has_its_own() {
    let Some(store) = Store::new() else { return };
    let scenario = |name: &str| {
        format!(
            "scenario: {name}\nsteps:\n  - exec:\n      service: app\n      cmd: [python3, -c, {}]\n    \
             expect: [ exit_code == 0, {{ stdout: {{ contains: whole }} }} ]\n",
            serde_json::to_string(LOOK).unwrap()
        )
    };
    let scenarios = format!("{}---\n{}", scenario("one"), scenario("two"));
    let project = shelf(
        "project: t\nproduction: [compose.yaml]\ndata: { files: { snapshot: tree } }\n",
        &[("scenarios/a.yaml", &scenarios)],
    );
    let dir = project.path().join("tree");
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o1777)).unwrap();
    std::fs::write(dir.join("a"), "text").unwrap();
    std::fs::hard_link(dir.join("a"), dir.join("hard")).unwrap();
    symlink("a", dir.join("link")).unwrap();
    std::fs::write(dir.join("sparse"), "top").unwrap();
    let sparse = std::fs::File::options()
        .write(true)
        .open(dir.join("sparse"));
    sparse.unwrap().set_len(1 << 30).unwrap();
    let _socket = UnixListener::bind(dir.join("socket")).unwrap();
    let sh = |script: &str| {
        let done = Command::new("sh")
            .args(["-c", script])
            .current_dir(&dir)
            .status();
        assert!(done.unwrap().success(), "{script}");
    };
    sh(
        "mkfifo pipe; cp /bin/true suid; chmod 4755 suid; touch \"$(printf '\\377\\nx')\"; mv \"$(printf '\\377\\nx')\" \"$(printf '\\377\\n_')\" || true",
    );
    // A name of bytes that are no text, and a line break.
    std::fs::write(
        dir.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff\n")),
        "",
    )
    .unwrap();
    sh(
        "chown 1234:4321 a; chmod 640 a; python3 -c \"import os; os.setxattr('a', 'user.origin', b'production')\"",
    );
    touch(&dir.join("a"), "@1500000000.123456789");
    assert!(
        dir.join("socket")
            .metadata()
            .unwrap()
            .file_type()
            .is_socket()
    );
    assert_eq!(dir.join("a").metadata().unwrap().nlink(), 2);

    store
        .run(
            &project,
            &["snapshot", "create", "tree", "--directory", "tree"],
        )
        .is(0, &["tree sha256:"]);
    let run = store.run(&project, &["run"]);
    run.is(0, &["2 passed", "files = tree sha256:", "btrfs"]);
    store
        .run(&project, &["snapshot", "verify", "tree"])
        .is(0, &["is what its manifest says"]);
    // The same files give the same content, whatever the snapshot is called.
    store
        .run(
            &project,
            &["snapshot", "create", "again", "--directory", "tree"],
        )
        .is(0, &[]);
    let shown = |name: &str| {
        let said = store.run(&project, &["snapshot", "inspect", name, "--format", "json"]);
        let manifest: serde_json::Value = serde_json::from_str(&said.out).unwrap();
        manifest["content"].clone()
    };
    assert_eq!(shown("tree"), shown("again"));
    store
        .run(&project, &["snapshot", "diff", "tree", "again"])
        .is(0, &["the same"]);
    store.run(&project, &["snapshot", "rm", "tree"]).is(0, &[]);
    store
        .run(&project, &["snapshot", "verify", "again"])
        .is(0, &[]);
    store.run(&project, &["snapshot", "rm", "again"]).is(0, &[]);
    store.assert_gone();
}

#[test]
fn a_missing_snapshot_and_an_unknown_volume_are_told() {
    let Some(store) = Store::new() else { return };
    let project = shelf(
        "project: t\nproduction: [compose.yaml]\ndata: { files: { snapshot: treee } }\n",
        &[(
            "scenarios/a.yaml",
            "scenario: a\nsteps:\n  - exec: { service: app, cmd: [\"true\"] }\n",
        )],
    );
    project.write("tree/a", b"a");
    store
        .run(
            &project,
            &["snapshot", "create", "tree", "--directory", "tree"],
        )
        .is(0, &[]);
    store.run(&project, &["run"]).is(
        3,
        &[
            "the volume `files`: there is no snapshot `treee`",
            "did you mean `tree`?",
        ],
    );
    project.write(
        "scenarios/a.yaml",
        b"scenario: a\ndata: { fils: tree }\nsteps:\n  - exec: { service: app, cmd: [\"true\"] }\n",
    );
    store.run(&project, &["check"]).is(
        2,
        &[
            "production has no volume `fils`",
            "did you mean `files`?",
            "a.yaml:2:",
        ],
    );
    // A scenario's own data wins over the project's.
    project.write(
        "scenarios/a.yaml",
        b"scenario: a\ndata: { files: tree }\nsteps:\n  - exec: { service: app, cmd: [test, -f, /data/a] }\n",
    );
    store.run(&project, &["run"]).is(0, &["1 passed"]);
    store.run(&project, &["snapshot", "rm", "tree"]).is(0, &[]);
    store.assert_gone();
}

#[test]
fn a_kept_stack_keeps_its_clone_until_it_is_removed() {
    let Some(store) = Store::new() else { return };
    let project = shelf(
        "project: kept-data\nproduction: [compose.yaml]\ndata: { files: { snapshot: tree } }\n",
        &[],
    );
    project.write("tree/a", b"from the snapshot\n");
    store
        .run(
            &project,
            &["snapshot", "create", "tree", "--directory", "tree"],
        )
        .is(0, &[]);
    let up = store.run(&project, &["up", "-d"]);
    let read = store.run(&project, &["exec", "-T", "app", "cat", "/data/a"]);
    let restarted = store.run(&project, &["restart", "app"]);
    let again = store.run(&project, &["exec", "-T", "app", "cat", "/data/a"]);
    let refused = store.run(&project, &["snapshot", "rm", "tree"]);
    let other = store.run(&project, &["snapshot", "create", "b", "--mirror", "files"]);
    let down = store.run(&project, &["down"]);
    up.is(0, &[]);
    assert_eq!(
        (read.out.as_str(), again.out.as_str()),
        ("from the snapshot\n", "from the snapshot\n")
    );
    restarted.is(0, &[]);
    refused.is(2, &["is in use", "--force"]);
    other.is(0, &["b sha256:"]);
    down.is(0, &[]);
    store
        .run(&project, &["snapshot", "rm", "tree", "b"])
        .is(0, &[]);
    store.assert_gone();
}

#[test]
fn equal_files_of_different_snapshots_are_kept_once() {
    let Some(store) = Store::new() else { return };
    let project = Project::with(&[]);
    let noise: Vec<u8> = (0..60_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 7) as u8)
        .collect();
    project.write("one/big", &noise);
    project.write("two/other-name", &noise);
    project.write("two/more", b"more");
    let used = || {
        let mount = format!("{}:/s:ro", store.name);
        let args = [
            "run",
            "--rm",
            "-v",
            &mount,
            crate::rig::SHELL,
            "du",
            "-sm",
            "/s/disk",
        ];
        let out = Command::new("docker").args(args).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        text.split_whitespace()
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    store
        .run(
            &project,
            &["snapshot", "create", "one", "--directory", "one"],
        )
        .is(0, &["btrfs"]);
    let before = used();
    store
        .run(
            &project,
            &["snapshot", "create", "two", "--directory", "two"],
        )
        .is(0, &[]);
    let after = used();
    assert!(
        before >= 57 && after < before + 10,
        "{before} MiB, then {after} MiB"
    );
    store.run(&project, &["snapshot", "rm", "one"]).is(0, &[]);
    store
        .run(&project, &["snapshot", "verify", "two"])
        .is(0, &[]);
    store.run(&project, &["snapshot", "rm", "two"]).is(0, &[]);
    store.assert_gone();
}
