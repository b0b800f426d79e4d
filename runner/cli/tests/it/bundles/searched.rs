//! `ci/search-bundle`, which looks for secrets in bundles without any of the code that keeps them out.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;

use super::write;
use crate::forms::forms;
use crate::project::Project;

const VALUE: &str = "v\u{e4}lue/of+the=key & \"more\" it's";

const EMPTY: &str = r#"{"format":"prodmirror-bundle","version":1}"#;

/// Searches a bundle with these entries: the exit code, and what was said.
fn searched(dir: &Project, all: &[(&str, Vec<u8>)]) -> (i32, String) {
    let bundle = dir.path().join("x.bundle");
    let mut entries: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    entries.insert("bundle.json".into(), EMPTY.into());
    entries.insert("project/a.yaml".into(), b"nothing of the kind".to_vec());
    entries.extend(all.iter().map(|(n, b)| ((*n).to_owned(), b.clone())));
    write(&bundle, entries);
    let mut command = search();
    command.arg("--values").arg(dir.path().join("values"));
    said(command.arg(&bundle))
}

/// The program, with no argument yet.
pub fn search() -> Command {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut command = Command::new("python3");
    command.arg("-B").arg(top.join("ci/search-bundle"));
    command
}

/// Its exit code, and what it said.
pub fn said(command: &mut Command) -> (i32, String) {
    let done = command.output().unwrap();
    let text = [done.stdout, done.stderr].concat();
    (
        done.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn tar(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    tar.append_data(&mut header, name, bytes).unwrap();
    tar.into_inner().unwrap()
}

#[test]
fn every_form_is_found_wherever_it_is_and_never_shown() {
    let dir = Project::empty();
    let values = format!("# of a test\nKEY={VALUE}\nOTHER=quite-another-thing\n");
    dir.write("values", values.as_bytes());
    let (code, text) = searched(&dir, &[]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("2 values") && text.contains("nothing found"),
        "{text}"
    );
    for form in forms(VALUE) {
        let shown = String::from_utf8_lossy(&form).into_owned();
        let planted = [b"before ", form.as_slice(), b" after"].concat();
        let (code, text) = searched(&dir, &[("evidence/logs/app-1.log", planted)]);
        assert_eq!(code, 1, "{shown}: {text}");
        assert!(
            text.contains("evidence/logs/app-1.log: the secret KEY, as "),
            "{shown}: {text}"
        );
        assert!(!text.contains("OTHER"), "{shown}: {text}");
        assert!(!text.contains(&shown), "{shown}: {text}");
    }

    // Where it is in none of the bytes: packed, in a name, across a border, in lines.
    let value = "quite-another-thing".as_bytes();
    let mut border = vec![b'.'; (8 << 20) - 7];
    border.extend_from_slice(value);
    border.extend_from_slice(&[b'.'; 100]);
    let base64 = base64::engine::general_purpose::STANDARD.encode([b"xyz", value, b"zz"].concat());
    let lines: String = base64.chars().flat_map(|c| [c, '\n']).collect();
    let deep = gzip(&tar("layer.tar", &tar("etc/key", value)));
    for (name, bytes, place) in [
        ("evidence/a", gzip(value), "evidence/a (unpacked)"),
        ("images.tar", tar("etc/key", value), "images.tar: etc/key"),
        (
            "data/a.snapshot",
            deep,
            "data/a.snapshot: layer.tar: etc/key",
        ),
        ("project/quite-another-thing", b"x".to_vec(), "(its name)"),
        ("evidence/b", border, "evidence/b"),
        ("evidence/c", lines.into_bytes(), "evidence/c"),
    ] {
        let (code, text) = searched(&dir, &[(name, bytes)]);
        assert_eq!(code, 1, "{name}: {text}");
        let line = text
            .lines()
            .find(|l| l.contains("the secret OTHER") && l.contains(place));
        assert!(line.is_some(), "{place}: {text}");
    }
}

#[test]
fn what_cannot_be_looked_through_is_no_pass() {
    let dir = Project::empty();
    dir.write("values", b"KEY=quite-another-thing\n");
    let mut broken = gzip(&[7; 100_000]);
    broken.truncate(60);
    let (code, text) = searched(&dir, &[("evidence/a", broken)]);
    assert_eq!(code, 2, "{text}");
    let gone = dir.path().join("gone.bundle");
    let (code, text) = said(search().arg(&gone));
    assert_eq!(code, 2, "{text}");
    // Nothing to look for, and a secret that it cannot make out.
    dir.write("values", b"# none\n");
    let (code, text) = searched(&dir, &[]);
    assert_eq!(code, 2, "{text}");
    dir.write("mirror.yaml", b"secrets:\n  KEY: *elsewhere\n");
    let mut command = search();
    let project = dir.path().join("mirror.yaml");
    let (code, text) = said(command.arg("--project").arg(&project).arg(&gone));
    assert_eq!(code, 2, "{text}");
    assert!(
        text.contains("what the secret KEY is cannot be read"),
        "{text}"
    );
}

#[test]
fn the_values_of_a_project_are_looked_for() {
    let dir = Project::empty();
    dir.write("key", b"the-value-of-a-file\n");
    dir.write(
        "mirror.yaml",
        b"project: t\nsecrets:\n  A: { stub: \"the-value-of-a-stub\" }\n  B: { file: key }\n  C:\n    env: OF_THE_SHELL\nmask_key: { stub: the-key-of-masks }\n",
    );
    for (value, name) in [
        ("the-value-of-a-stub", "A"),
        ("the-value-of-a-file", "B"),
        ("the-value-of-the-shell", "C"),
        ("the-key-of-masks", "mask_key"),
    ] {
        let bundle = dir.path().join("x.bundle");
        let entries = [("bundle.json", EMPTY), ("project/a", value)];
        let entries = entries.map(|(n, t)| (n.to_owned(), t.as_bytes().to_vec()));
        write(&bundle, entries.into());
        let mut command = search();
        command.env("OF_THE_SHELL", "the-value-of-the-shell");
        let project = dir.path().join("mirror.yaml");
        let (code, text) = said(command.arg("--project").arg(project).arg(&bundle));
        assert_eq!(code, 1, "{name}: {text}");
        assert!(
            text.contains(&format!("project/a: the secret {name}, as plain")),
            "{text}"
        );
    }
}
