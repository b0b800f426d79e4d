//! Snapshots that move: by files, whole or damaged.

use super::Store;
use crate::project::Project;

/// Offsets of the entries of a tar archive, by name.
fn entries(bytes: &[u8]) -> Vec<(String, usize, usize)> {
    let mut all = Vec::new();
    let mut at = 0;
    while at + 512 <= bytes.len() && bytes[at] != 0 {
        let text = |from: usize, to: usize| {
            let field = &bytes[at + from..at + to];
            let end = field.iter().position(|b| *b == 0 || *b == b' ');
            String::from_utf8_lossy(&field[..end.unwrap_or(field.len())]).into_owned()
        };
        let size = usize::from_str_radix(&text(124, 136), 8).unwrap();
        all.push((text(0, 100), at + 512, size));
        at += 512 + size.div_ceil(512) * 512;
    }
    all
}

#[test]
fn a_file_brings_a_snapshot_to_another_store_exactly() {
    let (Some(here), Some(there)) = (Store::new(), Store::new()) else {
        return;
    };
    let project = Project::with(&[]);
    project.write("tree/a", b"text");
    // More than one part, and little that can be compressed.
    let noise: Vec<u8> = (0..35_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    project.write("tree/d/noise", &noise);
    let sparse = std::fs::File::create(project.path().join("tree/sparse")).unwrap();
    sparse.set_len(300 << 20).unwrap();
    here.run(
        &project,
        &["snapshot", "create", "a", "--directory", "tree"],
    )
    .is(0, &[]);
    here.run(&project, &["snapshot", "export", "a", "a.oci"])
        .is(0, &["a is in a.oci", "2 parts"]);
    let size = std::fs::metadata(project.path().join("a.oci"))
        .unwrap()
        .len();
    assert!(size < 40_000_000, "{size}: holes take no room");
    there
        .run(&project, &["snapshot", "import", "a.oci"])
        .is(0, &["a sha256:"]);
    there
        .run(&project, &["snapshot", "import", "a.oci"])
        .is(0, &["is here already"]);
    there.run(&project, &["snapshot", "verify", "a"]).is(0, &[]);
    let shown = |store: &Store| {
        store
            .run(&project, &["snapshot", "inspect", "a", "--format", "json"])
            .out
    };
    assert_eq!(shown(&here), shown(&there));
    there
        .run(&project, &["snapshot", "import", "a.oci", "--name", "b"])
        .is(0, &["b sha256:"]);
    there
        .run(&project, &["snapshot", "rm", "a", "b"])
        .is(0, &[]);
    there.assert_gone();

    // What was cut, damaged or edited.
    let whole = std::fs::read(project.path().join("a.oci")).unwrap();
    project.write("cut.oci", &whole[..whole.len() / 2]);
    let all = entries(&whole);
    let part = all.iter().find(|(n, ..)| n.starts_with("blobs/")).unwrap();
    let mut damaged = whole.clone();
    damaged[part.1 + part.2 / 2] ^= 1;
    project.write("damaged.oci", &damaged);
    let manifest = all
        .iter()
        .find(|(_, at, size)| whole[*at..at + size].starts_with(b"{\"version\""));
    let (_, at, size) = manifest.unwrap();
    let mut edited = whole.clone();
    let text = String::from_utf8(whole[*at..at + size].to_vec()).unwrap();
    let other = text.replace("\"entries\":4", "\"entries\":5");
    assert_ne!(text, other);
    edited[*at..at + size].copy_from_slice(other.as_bytes());
    project.write("edited.oci", &edited);
    project.write("other.oci", b"something else");
    for (file, why) in [
        ("cut.oci", "cut.oci cannot be brought here"),
        ("damaged.oci", "a part of it is damaged"),
        ("edited.oci", "its manifest was changed"),
        ("other.oci", "other.oci cannot be brought here"),
        ("none.oci", "cannot read none.oci"),
    ] {
        there
            .run(&project, &["snapshot", "import", file])
            .is(2, &[why]);
    }
    there
        .run(&project, &["snapshot", "ls"])
        .is(0, &["no snapshot"]);
    here.run(&project, &["snapshot", "export", "a", "nowhere/a.oci"])
        .is(2, &["cannot write"]);
    here.run(&project, &["snapshot", "rm", "a"]).is(0, &[]);
    here.assert_gone();
    let left: Vec<_> = std::fs::read_dir(project.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(
        left.iter().all(|n| !n.to_string_lossy().contains(".part")),
        "{left:?}"
    );
}
