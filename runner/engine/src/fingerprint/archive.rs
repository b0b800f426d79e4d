//! The files of an image, one after the other, within limits.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Component;
use std::time::{Duration, Instant};

use prodmirror_model::compare::Fingerprint;
use tar::EntryType;

use super::asked::Asked;
use super::read::{READERS, finish};

/// What is read at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of one file that is looked into.
    pub file: u64,
    /// Bytes of all files that are looked into.
    pub all: u64,
    /// Files and directories of the image.
    pub entries: u64,
    /// How long the reading may take.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file: 192 << 20,
            all: 3 << 30,
            entries: 2_000_000,
            time: Duration::from_secs(150),
        }
    }
}

/// A file of an image.
#[derive(Debug)]
pub struct File<'f> {
    /// Its path, without a slash at the beginning.
    pub path: &'f str,
    /// Its content.
    pub bytes: &'f [u8],
}

/// What is known of a file before it is read.
#[derive(Debug, Clone, Copy)]
pub struct Head<'h> {
    /// Its path, without a slash at the beginning.
    pub path: &'h str,
    /// Its size, bytes.
    pub size: u64,
    /// Whether it may be executed.
    pub executable: bool,
}

impl Head<'_> {
    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }
}

/// Reads an archive of an image's files, and says of the paths in `ask` whether it has them.
///
/// # Errors
/// When it breaks off or is no archive.
pub fn read(archive: impl Read, limits: Limits, ask: &BTreeSet<String>) -> io::Result<Fingerprint> {
    let begun = Instant::now();
    let mut found = Fingerprint::default();
    let (mut entries, mut spent) = (0_u64, 0_u64);
    let mut too_large = 0_u64;
    let mut asked = Asked::new(ask);
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries()? {
        let mut entry = entry?;
        entries += 1;
        if entries > limits.entries || spent > limits.all || begun.elapsed() > limits.time {
            let what = format!("everything after {entries} files: the image is too large");
            found.left_out.push(what);
            // Of what was not seen nothing can be said.
            asked = Asked::new(&BTreeSet::new());
            break;
        }
        let path = plain(&entry.path()?);
        asked.see(&path, entry.header().entry_type() == EntryType::Symlink);
        match entry.header().entry_type() {
            EntryType::Symlink => {
                if let Some(target) = entry.link_name()? {
                    super::read::link(&path, &target.to_string_lossy(), &mut found);
                }
            }
            EntryType::Regular => {
                let head = Head {
                    path: &path,
                    size: entry.size(),
                    executable: entry.header().mode().is_ok_and(|m| m & 0o111 != 0),
                };
                let wanted = READERS
                    .iter()
                    .any(|r| (r.wants)(head) && head.size <= r.limit);
                if head.size > limits.file {
                    too_large += u64::from(READERS.iter().any(|r| (r.wants)(head)));
                } else if wanted {
                    spent += look_into(&mut entry, head, &mut found)?;
                } else {
                    super::read::name(&path, &mut found);
                }
            }
            _ => {}
        }
    }
    if too_large > 0 {
        found
            .left_out
            .push(format!("{too_large} files that are too large"));
    }
    finish(&mut found);
    found.paths = asked.answer();
    Ok(found)
}

/// Reads a file and shows it to those who want it; gives the number of bytes that it took.
fn look_into(entry: &mut impl Read, head: Head<'_>, found: &mut Fingerprint) -> io::Result<u64> {
    super::read::name(head.path, found);
    let mut bytes = vec![0; head.size.min(4) as usize];
    entry.read_exact(&mut bytes)?;
    let is_elf = bytes == b"\x7fELF";
    let readers: Vec<_> = READERS
        .iter()
        .filter(|r| (r.wants)(head) && head.size <= r.limit && (is_elf || !r.elf))
        .collect();
    if readers.is_empty() {
        return Ok(bytes.len() as u64);
    }
    entry.take(head.size).read_to_end(&mut bytes)?;
    let file = File {
        path: head.path,
        bytes: &bytes,
    };
    for reader in readers {
        (reader.read)(&file, found);
    }
    Ok(bytes.len() as u64)
}

/// A path without `.`, `..` and the slash at its beginning.
fn plain(path: &std::path::Path) -> String {
    let parts = path.components().filter_map(|c| match c {
        Component::Normal(part) => Some(part.to_string_lossy()),
        _ => None,
    });
    parts.collect::<Vec<_>>().join("/")
}
