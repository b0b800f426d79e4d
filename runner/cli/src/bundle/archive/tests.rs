use std::hash::{BuildHasher as _, Hasher as _};

use prodmirror_model::bundle::{FORMAT, HostFacts, RunFacts, Signature, VERSION};
use prodmirror_model::event::{CaseId, Outcome};

use super::*;

fn manifest() -> Manifest {
    Manifest {
        format: FORMAT.into(),
        version: VERSION,
        tool: "0.1.0".into(),
        project: "shop".into(),
        root: String::new(),
        case: CaseId {
            file: "a.yaml".into(),
            name: "a".into(),
        },
        before: Vec::new(),
        also: Vec::new(),
        failure: Signature {
            outcome: Some(Outcome::Failed),
            step: None,
            reason: Some("x".into()),
        },
        run: RunFacts::default(),
        images: BTreeMap::new(),
        data: BTreeMap::new(),
        secrets: BTreeMap::new(),
        host: HostFacts::default(),
        files: BTreeMap::new(),
    }
}

/// Bytes that do not compress.
fn noise(length: usize, mut state: u64) -> Vec<u8> {
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn contents() -> BTreeMap<String, Vec<u8>> {
    let long = format!(
        "project/{}/long.txt",
        "directory/".repeat(20).trim_end_matches('/')
    );
    BTreeMap::from([
        ("project/stack.yaml".to_owned(), b"services: {}\n".to_vec()),
        ("evidence/noise".to_owned(), noise(20_000, 7)),
        ("project/empty".to_owned(), Vec::new()),
        (long, b"a long name".to_vec()),
    ])
}

fn packed(to: &Path) {
    let entries = contents().into_iter().map(|(n, b)| (n, Content::Bytes(b)));
    pack(to, &mut manifest(), &entries.collect(), None).unwrap();
}

/// A directory with a bundle in it and one to unpack into.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("above/into")).unwrap();
        std::fs::write(dir.path().join("above/beside"), b"of others").unwrap();
        Self(dir)
    }

    fn bundle(&self) -> PathBuf {
        self.0.path().join("x.bundle")
    }

    /// Reads the bundle. Whatever comes of it, nothing but the directory is written to.
    #[track_caller]
    fn read(&self) -> Result<BTreeMap<PathBuf, Vec<u8>>, String> {
        let into = self.0.path().join("above/into");
        let before = self.outside();
        let read = Reading::open(&self.bundle(), "x.bundle").and_then(|r| r.unpack(&into));
        assert_eq!(self.outside(), before);
        let found = files(&into);
        std::fs::remove_dir_all(&into).unwrap();
        std::fs::create_dir(&into).unwrap();
        read.map(|()| found).map_err(|p| p.to_string())
    }

    fn outside(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = files(self.0.path());
        all.retain(|path, _| !path.starts_with("above/into"));
        all
    }

    #[track_caller]
    fn refused(&self, why: &str) {
        let said = self.read().expect_err("it was taken");
        assert!(said.contains(why), "{why:?} is not in {said}");
    }
}

/// Files below a directory; links by where they lead.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let kind = std::fs::symlink_metadata(&path).unwrap();
            let bytes = if kind.is_dir() {
                dirs.push(path);
                continue;
            } else if kind.is_symlink() {
                std::fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else {
                std::fs::read(&path).unwrap()
            };
            found.insert(path.strip_prefix(dir).unwrap().to_owned(), bytes);
        }
    }
    found
}

fn whole() -> BTreeMap<PathBuf, Vec<u8>> {
    contents().into_iter().map(|(n, b)| (n.into(), b)).collect()
}

/// One entry as anybody can write it.
struct Raw<'r> {
    name: &'r str,
    kind: tar::EntryType,
    size: u64,
    link: &'r str,
    bytes: Vec<u8>,
}

fn plain<'r>(name: &'r str, bytes: &[u8]) -> Raw<'r> {
    Raw {
        name,
        kind: tar::EntryType::Regular,
        size: bytes.len() as u64,
        link: "",
        bytes: bytes.to_vec(),
    }
}

fn forged(to: &Path, entries: &[Raw<'_>]) {
    let file = File::create(to).unwrap();
    let mut packed = GzBuilder::new().write(file, Compression::fast());
    for e in entries {
        let mut header = tar::Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..e.name.len()].copy_from_slice(e.name.as_bytes());
        old.linkname[..e.link.len()].copy_from_slice(e.link.as_bytes());
        header.set_entry_type(e.kind);
        header.set_size(e.size);
        header.set_mode(0o644);
        header.set_cksum();
        packed.write_all(header.as_bytes()).unwrap();
        packed.write_all(&e.bytes).unwrap();
        let rest = (512 - e.bytes.len() % 512) % 512;
        packed.write_all(&vec![0; rest]).unwrap();
    }
    packed.write_all(&[0; 1024]).unwrap();
    packed.finish().unwrap();
}

/// The manifest of entries that are as they are listed.
fn listing(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut m = manifest();
    for (name, bytes) in files {
        let facts = Content::Bytes(bytes.to_vec()).facts().unwrap();
        m.files.insert((*name).to_owned(), facts);
    }
    m.text().into_bytes()
}

#[test]
fn equal_contents_give_equal_bytes_and_come_back() {
    let place = Place::new();
    packed(&place.bundle());
    let first = std::fs::read(place.bundle()).unwrap();
    packed(&place.bundle());
    assert_eq!(std::fs::read(place.bundle()).unwrap(), first);
    assert_eq!(place.read(), Ok(whole()));
}

#[test]
fn a_part_of_one_is_never_taken_for_a_whole() {
    let place = Place::new();
    packed(&place.bundle());
    let bytes = std::fs::read(place.bundle()).unwrap();
    assert!(bytes.len() > 20_000);
    let ends = (0..bytes.len()).step_by(1024);
    for end in ends.chain((1..20).map(|n| bytes.len() - n)) {
        std::fs::write(place.bundle(), &bytes[..end]).unwrap();
        let said = place.read().expect_err("a part was taken");
        assert!(said.contains("x.bundle"), "{said}");
    }
}

#[test]
fn what_was_changed_is_refused_or_harmless() {
    let place = Place::new();
    packed(&place.bundle());
    let bytes = std::fs::read(place.bundle()).unwrap();
    let seed = std::hash::RandomState::new().build_hasher().finish() | 1;
    let drawn = noise(400 * 9, seed);
    let mut refused = 0;
    for draw in drawn.chunks_exact(9) {
        let at = draw[..8].iter().fold(0, |n, b| n << 8 | usize::from(*b)) % bytes.len();
        let mut changed = bytes.clone();
        changed[at] ^= draw[8] | 1;
        std::fs::write(place.bundle(), &changed).unwrap();
        // The head of gzip has bytes that say nothing of the contents.
        match place.read() {
            Ok(found) => assert_eq!(found, whole(), "byte {at}, seed {seed}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 390, "{refused}, seed {seed}");
}

#[test]
fn what_is_none_is_refused() {
    let place = Place::new();
    let refused = |bytes: &[u8], why: &str| {
        std::fs::write(place.bundle(), bytes).unwrap();
        place.refused(why);
    };
    refused(b"", "no gzip");
    refused(b"services: {}\n", "no gzip");
    packed(&place.bundle());
    let good = std::fs::read(place.bundle()).unwrap();
    refused(&[&good[..], b"and more"].concat(), "cannot be used");
    refused(
        &[&good[..], &good[..]].concat(),
        "something follows its end",
    );
    forged(&place.bundle(), &[]);
    place.refused("it is empty");
    forged(
        &place.bundle(),
        &[plain("project/a", b"x"), plain(MANIFEST, &listing(&[]))],
    );
    place.refused("first entry is not");
    std::fs::remove_file(place.bundle()).unwrap();
    assert!(Reading::open(&place.bundle(), "x.bundle").is_err());
    std::fs::create_dir(place.bundle()).unwrap();
    assert!(Reading::open(&place.bundle(), "x.bundle").is_err());
}

#[test]
fn a_newer_version_is_told() {
    let place = Place::new();
    let mut newer = manifest();
    newer.version = VERSION + 1;
    newer.tool = "9.9.9".into();
    forged(&place.bundle(), &[plain(MANIFEST, newer.text().as_bytes())]);
    let p = Reading::open(&place.bundle(), "x.bundle")
        .map(|_| ())
        .unwrap_err();
    assert!(p.message.contains("version 2"), "{}", p.message);
    assert!(p.help.unwrap().contains("9.9.9"));
}

#[test]
fn nothing_leads_out() {
    let place = Place::new();
    for name in [
        "../out",
        "/tmp/prodmirror-out",
        "project/../../out",
        "project/./a",
    ] {
        forged(
            &place.bundle(),
            &[
                plain(MANIFEST, &listing(&[(name, b"x")])),
                plain(name, b"x"),
            ],
        );
        place.refused("leads out");
        // Also when the manifest says nothing of it.
        forged(
            &place.bundle(),
            &[plain(MANIFEST, &listing(&[])), plain(name, b"x")],
        );
        place.refused("does not list");
    }
    for kind in [
        tar::EntryType::Symlink,
        tar::EntryType::Link,
        tar::EntryType::Char,
        tar::EntryType::Block,
        tar::EntryType::Fifo,
        tar::EntryType::Directory,
    ] {
        let mut bad = plain("project/a", b"");
        (bad.kind, bad.link) = (kind, "../../../beside");
        let first = plain(MANIFEST, &listing(&[("project/a", b"")]));
        forged(&place.bundle(), &[first, bad, plain("project/a/b", b"x")]);
        place.refused("no plain file");
    }
    // A file in the place of a directory.
    let both: [(&str, &[u8]); 2] = [("project/a", b"x"), ("project/a/b", b"y")];
    let first = plain(MANIFEST, &listing(&both));
    forged(
        &place.bundle(),
        &[first, plain(both[0].0, b"x"), plain(both[1].0, b"y")],
    );
    place.refused("cannot unpack");
}

#[test]
fn entries_are_those_that_are_listed() {
    let place = Place::new();
    let first = || {
        plain(
            MANIFEST,
            &listing(&[("project/a", b"one"), ("project/b", b"two")]),
        )
    };
    let (a, b) = (|| plain("project/a", b"one"), || plain("project/b", b"two"));
    forged(&place.bundle(), &[first(), a(), b()]);
    assert_eq!(place.read().unwrap().len(), 2);
    forged(&place.bundle(), &[first(), a(), a(), b()]);
    place.refused("`project/a` twice");
    forged(
        &place.bundle(),
        &[first(), a(), b(), plain("project/c", b"x")],
    );
    place.refused("does not list the entry `project/c`");
    forged(&place.bundle(), &[first(), a()]);
    place.refused("`project/b` is missing");
    forged(&place.bundle(), &[first(), first(), a(), b()]);
    place.refused("does not list");
    forged(&place.bundle(), &[first(), a(), plain("project/b", b"too")]);
    place.refused("`project/b` is not what");
    forged(
        &place.bundle(),
        &[first(), a(), plain("project/b", b"two and more")],
    );
    place.refused("`project/b` is not what");
}

#[test]
fn sizes_that_lie_are_refused() {
    let place = Place::new();
    let first = || plain(MANIFEST, &listing(&[("project/a", b"one")]));
    for size in [0, 2, 4, 513, 1 << 33, u64::MAX >> 3] {
        let mut lying = plain("project/a", b"one");
        lying.size = size;
        forged(&place.bundle(), &[first(), lying]);
        place.refused("x.bundle cannot be used");
    }
    let mut large = first();
    large.size = LARGEST_MANIFEST + 1;
    forged(&place.bundle(), &[large]);
    place.refused("larger than any can be");
}

#[test]
fn what_would_fill_the_disk_or_memory_is_refused() {
    let place = Place::new();
    let mut m = manifest();
    let digest = Digest::of(b"").to_string();
    m.files.insert(
        "a".into(),
        FileFacts {
            digest: digest.clone(),
            size: 1 << 40,
        },
    );
    forged(&place.bundle(), &[plain(MANIFEST, m.text().as_bytes())]);
    place.refused("no bundle compresses so well");
    m.files.insert(
        "b".into(),
        FileFacts {
            digest,
            size: u64::MAX,
        },
    );
    forged(&place.bundle(), &[plain(MANIFEST, m.text().as_bytes())]);
    place.refused("no bundle compresses so well");
    // A name of 32 MB, in front and in between.
    let zeros = vec![b'a'; 32 << 20];
    let mut name = plain("././@LongLink", &zeros);
    name.kind = tar::EntryType::GNULongName;
    forged(&place.bundle(), &[name, plain(MANIFEST, &listing(&[]))]);
    place.refused("more comes out of it");
    let mut name = plain("././@LongLink", &zeros);
    name.kind = tar::EntryType::GNULongName;
    let first = plain(MANIFEST, &listing(&[("project/a", b"x")]));
    forged(&place.bundle(), &[first, name, plain("project/a", b"x")]);
    place.refused("more comes out of it");
    // Zeros after the end.
    let first = plain(MANIFEST, &listing(&[("project/a", b"x")]));
    forged(&place.bundle(), &[first, plain("project/a", b"x")]);
    let mut bytes = Vec::new();
    MultiGzDecoder::new(File::open(place.bundle()).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    bytes.resize(bytes.len() + (32 << 20), 0);
    let mut packed =
        GzBuilder::new().write(File::create(place.bundle()).unwrap(), Compression::fast());
    packed.write_all(&bytes).unwrap();
    packed.finish().unwrap();
    place.refused("more comes out of it");
}

#[test]
fn what_was_there_stays_until_the_new_one_is_whole() {
    let place = Place::new();
    packed(&place.bundle());
    let before = files(place.0.path());
    let gone = Content::File(place.0.path().join("gone"));
    let entries = BTreeMap::from([("project/a".to_owned(), gone)]);
    assert!(pack(&place.bundle(), &mut manifest(), &entries, None).is_err());
    assert_eq!(files(place.0.path()), before);
}
