//! Modes `pack` and `unpack`: a directory tree as one stream of bytes, with all that a tar
//! archive cannot hold, and back.
//!
//! After [`HEAD`] comes a line of JSON for each entry, in the order of the tree; after that of a
//! file its pieces without holes, each with its offset (8 bytes), its length (4 bytes, little
//! endian) and its bytes, up to one of no length. A line without a path is the top, and the end.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::tree::{self, Like};
use crate::output::Failure;

const HEAD: &[u8] = b"prodmirror tree 1\n";
/// How much is read at once; holes are found in whole pages of it.
const PIECE: usize = 1 << 20;
const PAGE: usize = 4096;
/// A line is never longer: paths and attributes are short.
const LONGEST: u64 = 1 << 20;

/// An entry. Bytes that are no text are written as `%XX`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Path; absent = the top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    kind: Kind,
    mode: u32,
    uid: u32,
    gid: u32,
    /// Seconds and nanoseconds of the last change.
    time: (i64, i64),
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    /// Bytes of a file.
    #[serde(default)]
    size: u64,
    /// What a link leads to; the first path of a file that has several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    to: String,
    #[serde(default)]
    device: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    File,
    Directory,
    Link,
    Same,
    Other,
}

/// Writes the tree below a directory to stdout.
pub fn pack(args: &[String]) -> Result<u8, Failure> {
    let [dir] = args else {
        return Err(Failure::usage("pack needs a directory"));
    };
    let mut out = BufWriter::with_capacity(PIECE, io::stdout().lock());
    let mut pack = Pack {
        out: &mut out,
        links: HashMap::new(),
    };
    let packed = pack.all(Path::new(dir));
    let packed = packed.and_then(|()| out.flush());
    packed.map_err(|e| Failure::new("the data cannot be read", e))?;
    Ok(0)
}

/// Writes what comes over stdin below a directory that is there and empty.
pub fn unpack(args: &[String]) -> Result<u8, Failure> {
    let [dir] = args else {
        return Err(Failure::usage("unpack needs a directory"));
    };
    let mut from = BufReader::with_capacity(PIECE, io::stdin().lock());
    let unpacked = read(&mut from, Path::new(dir));
    unpacked.map_err(|e| Failure::new("the data cannot be unpacked", e))?;
    Ok(0)
}

struct Pack<'o, W> {
    out: &'o mut W,
    links: HashMap<(u64, u64), PathBuf>,
}

impl<W: Write> Pack<'_, W> {
    fn all(&mut self, top: &Path) -> io::Result<()> {
        self.out.write_all(HEAD)?;
        self.directory(top, Path::new(""))?;
        let entry = entry(top, None, Kind::Directory)?;
        self.line(&entry)
    }

    fn line(&mut self, entry: &Entry) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, entry)?;
        self.out.write_all(b"\n")
    }

    fn directory(&mut self, top: &Path, below: &Path) -> io::Result<()> {
        let mut names: Vec<OsString> = Vec::new();
        for entry in fs::read_dir(top.join(below))? {
            names.push(entry?.file_name());
        }
        names.sort();
        for name in names {
            self.entry(top, &below.join(name))?;
        }
        Ok(())
    }

    fn entry(&mut self, top: &Path, path: &Path) -> io::Result<()> {
        let from = top.join(path);
        let meta = fs::symlink_metadata(&from)?;
        let kind = meta.file_type();
        if !kind.is_dir() && meta.nlink() > 1 {
            let id = (meta.dev(), meta.ino());
            if let Some(first) = self.links.get(&id) {
                let mut same = entry(&from, Some(path), Kind::Same)?;
                same.to = escaped(first.as_os_str());
                return self.line(&same);
            }
            self.links.insert(id, path.to_owned());
        }
        if kind.is_dir() {
            self.line(&entry(&from, Some(path), Kind::Directory)?)?;
            return self.directory(top, path);
        }
        if kind.is_file() {
            self.line(&entry(&from, Some(path), Kind::File)?)?;
            return self.pieces(&from);
        }
        if kind.is_symlink() {
            let mut link = entry(&from, Some(path), Kind::Link)?;
            link.to = escaped(fs::read_link(&from)?.as_os_str());
            return self.line(&link);
        }
        let mut other = entry(&from, Some(path), Kind::Other)?;
        if kind.is_block_device() || kind.is_char_device() {
            other.device = meta.rdev();
        }
        self.line(&other)
    }

    fn pieces(&mut self, from: &Path) -> io::Result<()> {
        let file = File::open(from)?;
        let mut buffer = vec![0; PIECE];
        let mut offset = 0_u64;
        loop {
            let mut filled = 0;
            while filled < PIECE {
                match file.read_at(&mut buffer[filled..], offset + filled as u64)? {
                    0 => break,
                    n => filled += n,
                }
            }
            if filled == 0 {
                break;
            }
            let mut at = 0;
            while at < filled {
                let zero = |from: usize| {
                    buffer[from..filled.min(from + PAGE)]
                        .iter()
                        .all(|b| *b == 0)
                };
                let (start, hole) = (at, zero(at));
                while at < filled && zero(at) == hole {
                    at += PAGE;
                }
                let end = at.min(filled);
                if !hole {
                    self.piece(offset + start as u64, &buffer[start..end])?;
                }
            }
            offset += filled as u64;
        }
        self.piece(offset, &[])
    }

    fn piece(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).unwrap_or_default();
        self.out.write_all(&offset.to_le_bytes())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(bytes)
    }
}

fn entry(from: &Path, path: Option<&Path>, kind: Kind) -> io::Result<Entry> {
    let meta = fs::symlink_metadata(from)?;
    let attributes = tree::attributes(from)?.into_iter();
    Ok(Entry {
        path: path.map(|p| escaped(p.as_os_str())),
        kind,
        mode: meta.mode(),
        uid: meta.uid(),
        gid: meta.gid(),
        time: (meta.mtime(), meta.mtime_nsec()),
        attributes: attributes
            .map(|(name, value)| (escaped(&name), tree::hex(&value)))
            .collect(),
        size: meta.len(),
        to: String::new(),
        device: 0,
    })
}

fn bad(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

fn read(from: &mut impl BufRead, top: &Path) -> io::Result<()> {
    let mut head = [0; HEAD.len()];
    from.read_exact(&mut head)?;
    if head != HEAD {
        return Err(bad("it is no tree"));
    }
    // Directories get their times when all is in them.
    let mut directories: Vec<(PathBuf, Like)> = Vec::new();
    loop {
        let mut line = Vec::new();
        from.take(LONGEST).read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return Err(bad("it ends in the middle"));
        }
        let entry: Entry = serde_json::from_slice(&line)?;
        let like = like_of(&entry)?;
        let Some(path) = &entry.path else {
            for (path, like) in directories.iter().rev() {
                like.give(path)?;
            }
            return like.give(top);
        };
        let to = top.join(inside(path)?);
        write(from, top, &to, &entry)?;
        match entry.kind {
            Kind::Directory => directories.push((to, like)),
            Kind::Same => {}
            _ => like.give(&to)?,
        }
    }
}

fn write(from: &mut impl Read, top: &Path, to: &Path, entry: &Entry) -> io::Result<()> {
    match entry.kind {
        Kind::Directory => fs::create_dir(to),
        Kind::File => pieces(from, to, entry.size),
        Kind::Link => {
            let target = plain(&entry.to)?;
            std::os::unix::fs::symlink(target, to)
        }
        Kind::Same => fs::hard_link(top.join(inside(&entry.to)?), to),
        Kind::Other => {
            let name = CString::new(to.as_os_str().as_bytes())?;
            // SAFETY: the name ends with a zero.
            match unsafe { libc::mknod(name.as_ptr(), entry.mode, entry.device) } {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            }
        }
    }
}

fn pieces(from: &mut impl Read, to: &Path, size: u64) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(to)?;
    file.set_len(size)?;
    let mut buffer = Vec::new();
    loop {
        let mut head = [0; 12];
        from.read_exact(&mut head)?;
        let (offset, length) = head.split_at(8);
        let offset = u64::from_le_bytes(offset.try_into().map_err(io::Error::other)?);
        let length = u32::from_le_bytes(length.try_into().map_err(io::Error::other)?) as usize;
        if length == 0 {
            return Ok(());
        }
        if length > PIECE || offset.saturating_add(length as u64) > size {
            return Err(bad("a piece is outside of its file"));
        }
        buffer.resize(length, 0);
        from.read_exact(&mut buffer)?;
        file.write_all_at(&buffer, offset)?;
    }
}

fn like_of(entry: &Entry) -> io::Result<Like> {
    let mut attributes = Vec::new();
    for (name, value) in &entry.attributes {
        attributes.push((plain(name)?, unhex(value)?));
    }
    Ok(Like {
        uid: entry.uid,
        gid: entry.gid,
        mode: (entry.kind != Kind::Link).then_some(entry.mode & 0o7777),
        attributes,
        times: [entry.time, entry.time],
    })
}

/// A path that stays below the top.
fn inside(text: &str) -> io::Result<PathBuf> {
    let path = PathBuf::from(plain(text)?);
    let normal = |c: Component<'_>| matches!(c, Component::Normal(_));
    match path.components().all(normal) && !path.as_os_str().is_empty() {
        true => Ok(path),
        false => Err(bad(format!("`{text}` leads out of the tree"))),
    }
}

fn escaped(name: &OsStr) -> String {
    tree::escaped(name)
}

fn plain(text: &str) -> io::Result<OsString> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let (digits, after) = after.split_at_checked(2).ok_or_else(|| bad("a bad name"))?;
            let digits = std::str::from_utf8(digits).map_err(io::Error::other)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(io::Error::other)?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Ok(OsString::from_vec(bytes))
}

fn unhex(text: &str) -> io::Result<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).map_err(io::Error::other)?;
        u8::from_str_radix(pair, 16).map_err(io::Error::other)
    };
    digits.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_tree_comes_back_as_it_was() {
        let dir = std::env::temp_dir().join(format!("prodmirror-pack-{}", std::process::id()));
        let (from, to) = (dir.join("from"), dir.join("to"));
        fs::create_dir_all(from.join("d/e")).unwrap();
        fs::create_dir_all(&to).unwrap();
        fs::write(from.join("d/plain"), vec![7; 3_000_000]).unwrap();
        fs::set_permissions(from.join("d"), fs::Permissions::from_mode(0o500)).unwrap();
        fs::hard_link(from.join("d/plain"), from.join("z")).unwrap();
        symlink("no\nwhere", from.join("sym")).unwrap();
        fs::write(from.join(OsStr::from_bytes(b"bad\xff \n%41")), b"").unwrap();
        let sparse = File::create(from.join("sparse")).unwrap();
        sparse.write_all_at(b"end", (8 << 20) + 5).unwrap();
        sparse.set_len(20 << 20).unwrap();
        let mut out = Vec::new();
        let mut pack = Pack {
            out: &mut out,
            links: HashMap::new(),
        };
        pack.all(&from).unwrap();
        assert!(out.len() < 3_100_000, "holes are packed");
        read(&mut &out[..], &to).unwrap();
        let content = |of: &Path| tree::content(of, &mut |_| Ok(())).unwrap();
        assert_eq!(content(&from), content(&to));
        let time = |of: &Path| fs::metadata(of.join("d")).unwrap().mtime_nsec();
        assert_eq!(time(&from), time(&to));
        assert!(fs::metadata(to.join("sparse")).unwrap().blocks() < 64);
        // What was cut, or leads out, is told.
        for cut in [0, 10, 100, out.len() / 2, out.len() - 1] {
            let other = dir.join(format!("cut{cut}"));
            fs::create_dir(&other).unwrap();
            assert!(read(&mut &out[..cut], &other).is_err(), "{cut}");
        }
        for path in ["..", "/etc/x", "a/../../b", "", "%2e%2e/x"] {
            assert!(inside(path).is_err(), "{path}");
        }
        fs::set_permissions(from.join("d"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(to.join("d"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::remove_dir_all(dir).unwrap();
    }
}
