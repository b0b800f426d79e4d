//! `fmt`: what it writes, and what it does not.

use std::io::Write as _;
use std::process::Stdio;

use super::{root, shop};

const UGLY: &str = "steps:\n- expect: status == 200 # ok\n  http: {url:  \"http://gateway/\"}\n\n\n\nscenario: a\n";
const PRETTY: &str =
    "scenario: a\nsteps:\n  - http: { url: \"http://gateway/\" }\n    expect: status == 200 # ok\n";

#[test]
fn files_are_formatted_in_place_and_once() {
    let p = shop(&[("scenarios/a.yaml", UGLY), ("scenarios/deep/b.yml", PRETTY)]);
    p.run(&["fmt", "--check"]).is(
        1,
        &[
            "scenarios/a.yaml:1: not formatted",
            "1 of 2 files not formatted",
        ],
    );
    let read = || std::fs::read_to_string(p.path().join("scenarios/a.yaml")).unwrap();
    assert_eq!(read(), UGLY);
    p.run(&["fmt"])
        .is(0, &["formatted scenarios/a.yaml", "1 of 2 files formatted"]);
    assert_eq!(read(), PRETTY);
    p.run(&["fmt", "--check"])
        .is(0, &["2 files: nothing to format"]);
    let said = p.run(&["fmt", "--check", "--format", "json", "scenarios/a.yaml"]);
    assert_eq!(
        said.out,
        "{\"changed\":0,\"files\":[{\"file\":\"scenarios/a.yaml\",\"formatted\":true,\"line\":null}],\"problems\":[]}\n"
    );
}

#[test]
fn line_ends_and_permissions_stay() {
    use std::os::unix::fs::PermissionsExt as _;
    let p = shop(&[("a.yaml", &UGLY.replace('\n', "\r\n"))]);
    let path = p.path().join("a.yaml");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    p.run(&["fmt", "a.yaml"]).is(0, &["formatted a.yaml"]);
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        PRETTY.replace('\n', "\r\n")
    );
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    p.run(&["fmt", "--check", "a.yaml"]).is(0, &[]);
}

#[test]
fn what_cannot_be_formatted_is_left_alone_and_named() {
    let odd = "scenario: a\n? x-a\n: 1\nsteps: []\n";
    let p = shop(&[
        ("scenarios/a.yaml", odd),
        ("scenarios/b.yaml", "a: [\n"),
        ("scenarios/c.yaml", UGLY),
    ]);
    p.run(&["fmt"]).is(
        2,
        &[
            "scenarios/a.yaml is left as it is",
            "invalid YAML",
            "formatted scenarios/c.yaml",
        ],
    );
    assert_eq!(
        std::fs::read_to_string(p.path().join("scenarios/a.yaml")).unwrap(),
        odd
    );
    p.run(&["fmt", "none.yaml"]).is(2, &["none.yaml"]);
    shop(&[])
        .run(&["fmt"])
        .is(2, &["there are no scenario files here"]);
}

#[test]
fn standard_input_to_standard_output() {
    let p = shop(&[]);
    let mut child = p
        .command(&["fmt", "-"], &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(UGLY.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), PRETTY);
}

#[test]
fn the_scenarios_of_the_repository_are_formatted() {
    let p = shop(&[]);
    let dir = root().join("scenarios");
    p.run(&["fmt", "--check", dir.to_str().unwrap()])
        .is(0, &["nothing to format"]);
}
