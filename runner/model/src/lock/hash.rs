//! Digests of files, directories and values.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::{Digest, FILE_NAME};

/// What changes with every run or commit without any effect on a mirror.
const LEFT_OUT: [&str; 3] = [".git", ".prodmirror", FILE_NAME];

/// The digest of a file's bytes (as `sha256sum` gives it), or of a directory: of all names in
/// it in byte order, each with its kind, whether it may be executed, and its bytes.
pub(super) fn path(path: &Path) -> io::Result<Digest> {
    let mut hasher = Sha256::new();
    if fs::metadata(path)?.is_dir() {
        directory(path, &mut hasher)?;
    } else {
        io::copy(&mut fs::File::open(path)?, &mut Writer(&mut hasher))?;
    }
    Ok(Digest::finish(hasher))
}

fn directory(dir: &Path, hasher: &mut Sha256) -> io::Result<()> {
    let mut names: Vec<_> = fs::read_dir(dir)?
        .map(|e| e.map(|e| e.file_name()))
        .collect::<io::Result<_>>()?;
    names.retain(|n| !LEFT_OUT.iter().any(|left_out| n == left_out));
    names.sort();
    for name in names {
        let path = dir.join(&name);
        let meta = fs::symlink_metadata(&path)?;
        field(hasher, name.as_encoded_bytes());
        if meta.is_dir() {
            hasher.update(b"d");
            directory(&path, hasher)?;
            // Ends the directory: a name is never empty.
            field(hasher, b"");
        } else if meta.is_symlink() {
            hasher.update(b"l");
            field(hasher, fs::read_link(&path)?.as_os_str().as_encoded_bytes());
        } else if meta.is_file() {
            hasher.update(if executable(&meta) { b"x" } else { b"f" });
            hasher.update(meta.len().to_be_bytes());
            io::copy(&mut fs::File::open(&path)?, &mut Writer(hasher))?;
        } else {
            hasher.update(b"o");
        }
    }
    Ok(())
}

fn field(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

#[cfg(unix)]
fn executable(meta: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    meta.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn executable(_: &fs::Metadata) -> bool {
    false
}

/// The digest of a value, whatever the order of its keys, its comments and its layout.
pub(super) fn value(value: &Json) -> Digest {
    let mut text = String::new();
    canonical(value, &mut text);
    Digest::of(text.as_bytes())
}

fn canonical(value: &Json, out: &mut String) {
    match value {
        Json::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (key, value) in entries {
                out.push_str(&Json::from(key.as_str()).to_string());
                out.push(':');
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Json::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

struct Writer<'h>(&'h mut Sha256);

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let of = || path(dir.path()).unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/b", "one");
        write("c", "two");
        let first = of();
        write(".prodmirror/runs/1/events.jsonl", "{}");
        assert_eq!(of(), first, "runs do not count");
        write("c", "three");
        assert_ne!(of(), first);
        write("c", "two");
        assert_eq!(of(), first);
        fs::rename(dir.path().join("a/b"), dir.path().join("b")).unwrap();
        assert_ne!(of(), first, "the same bytes at another place");
    }

    #[test]
    fn a_value_has_no_layout() {
        let json = |text| serde_json::from_str::<Json>(text).unwrap();
        assert_eq!(
            value(&json(r#"{"a": 1, "b": [1, "x"]}"#)),
            value(&json(r#"{"b":[1,"x"],"a":1}"#))
        );
        assert_ne!(value(&json(r#"{"a": 1}"#)), value(&json(r#"{"a": "1"}"#)));
    }
}
