//! A file of a service, read whole, with what its directory entry says of it.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Component, Path};

use bytes::Bytes;
use futures_util::StreamExt;
use prodmirror_model::diag::{Problem, ProblemKind};
use tokio::sync::mpsc;

use super::stack::LiveStack;
use crate::docker::EngineError;

/// Bytes of a file at most.
const LARGEST: u64 = 256 << 20;
/// Bytes of an archive that are looked through for the names of a directory.
const SEARCHED: u64 = 1 << 30;
/// Names of a directory at most.
const NAMES: usize = 10_000;
/// Links that are followed.
const LINKS: usize = 8;

/// Which file of which service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileRequest {
    /// Service.
    pub service: String,
    /// Replica; 0 = the first.
    pub replica: u32,
    /// Where it stands in the container.
    pub path: String,
    /// Whether a link itself is meant, and not what it leads to.
    pub link_itself: bool,
}

impl FileRequest {
    /// What stands at a path of a service's first container, links followed.
    pub fn new(service: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            service: service.into(),
            path: path.into(),
            ..Self::default()
        }
    }
}

/// A file of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceFile {
    /// Where it stands, links followed.
    pub path: String,
    /// What is in it; nothing of what is no regular file.
    pub bytes: Vec<u8>,
    /// What it is.
    pub kind: FileKind,
    /// Its size in bytes.
    pub size: u64,
    /// Permissions, with the bits for set-user-ID, set-group-ID and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// When its content was changed, in seconds since 1970.
    pub modified: u64,
    /// Where the link at the path that was asked for leads, as it is written there.
    pub link: Option<String>,
    /// Names in a directory, in order.
    pub entries: Vec<String>,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device.
    Device,
    /// A pipe.
    Pipe,
    /// Something else.
    Other,
}

impl FileKind {
    /// Its name in results.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Link => "link",
            Self::Device => "device",
            Self::Pipe => "pipe",
            Self::Other => "other",
        }
    }
}

impl LiveStack {
    /// What stands at a path of a service; nothing where there is nothing. The container need
    /// not run.
    ///
    /// # Errors
    /// Unknown service, a file that is too large.
    pub async fn read_file(&self, ask: &FileRequest) -> Result<Option<ServiceFile>, Problem> {
        let doing = format!("read {} of `{}`", ask.path, ask.service);
        let fail = |kind, why: &str| Problem::new(kind, format!("could not {doing}: {why}"));
        let key = self.key(&ask.service, ask.replica)?;
        let id = self.context().board.get(&key).id;
        if id.is_empty() {
            return Err(fail(ProblemKind::Start, "it does not run"));
        }
        let mut path = ask.path.clone();
        let mut link = None;
        for _ in 0..LINKS {
            let Some(mut found) = self.file_of(&id, &path, &doing).await? else {
                return Ok(None);
            };
            if found.kind != FileKind::Link || ask.link_itself {
                found.path = path;
                found.link = link.or(found.link);
                return Ok(Some(found));
            }
            let to = found.link.unwrap_or_default();
            path = beside(&path, &to);
            link.get_or_insert(to);
        }
        Err(fail(ProblemKind::Cycle, "its links lead nowhere"))
    }

    /// What stands at a path of a container itself, links not followed; nothing where there is
    /// nothing. `doing` is what failed, in words, when it does.
    pub(super) async fn file_of(
        &self,
        id: &str,
        path: &str,
        doing: &str,
    ) -> Result<Option<ServiceFile>, Problem> {
        let fail = |kind, why: &str| Problem::new(kind, format!("could not {doing}: {why}"));
        match self.look(id, path).await {
            Ok(found) => Ok(Some(found)),
            Err(Unread::Missing) => Ok(None),
            Err(Unread::Engine(e)) => Err(e.problem(doing)),
            Err(Unread::TooLarge(most)) => {
                let why = format!("{path} has more than {} MiB", most >> 20);
                Err(fail(ProblemKind::TooLarge, &why))
            }
            Err(Unread::Archive(e)) => Err(fail(ProblemKind::Engine, &e.to_string())),
        }
    }

    async fn look(&self, id: &str, path: &str) -> Result<ServiceFile, Unread> {
        let mut pieces = std::pin::pin!(self.engine().get_archive(id, path));
        let (give, from) = mpsc::channel(4);
        let reading = tokio::task::spawn_blocking(move || {
            first(Pieces {
                from,
                now: Bytes::new(),
                left: SEARCHED,
            })
        });
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) => {
                    // Who has read enough hears no more.
                    if give.send(piece).await.is_err() {
                        break;
                    }
                }
                Err(e) if e.is_missing() => return Err(Unread::Missing),
                Err(e) => return Err(Unread::Engine(e)),
            }
        }
        drop(give);
        match reading.await {
            Ok(found) => found,
            Err(e) => Err(Unread::Archive(io::Error::other(e))),
        }
    }
}

/// Why there is no file.
#[derive(Debug)]
enum Unread {
    Missing,
    Engine(EngineError),
    TooLarge(u64),
    Archive(io::Error),
}

impl From<io::Error> for Unread {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::FileTooLarge => Self::TooLarge(SEARCHED),
            _ => Self::Archive(e),
        }
    }
}

/// The pieces of an archive, for who reads it in a thread of its own.
struct Pieces {
    from: mpsc::Receiver<Bytes>,
    now: Bytes,
    left: u64,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.from.blocking_recv() {
                Some(piece) => self.now = piece,
                None => return Ok(0),
            }
        }
        let n = self.now.len().min(buffer.len());
        self.left = self
            .left
            .checked_sub(n as u64)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        buffer[..n].copy_from_slice(&self.now.split_to(n));
        Ok(n)
    }
}

/// The first entry of an archive; of a directory, with the names in it.
fn first(archive: impl Read) -> Result<ServiceFile, Unread> {
    let mut archive = tar::Archive::new(archive);
    let mut entries = archive.entries()?;
    let Some(entry) = entries.next() else {
        return Err(Unread::Missing);
    };
    let mut entry = entry?;
    let header = entry.header();
    let kind = match header.entry_type() {
        tar::EntryType::Regular | tar::EntryType::Continuous => FileKind::File,
        tar::EntryType::Directory => FileKind::Directory,
        tar::EntryType::Symlink => FileKind::Link,
        tar::EntryType::Char | tar::EntryType::Block => FileKind::Device,
        tar::EntryType::Fifo => FileKind::Pipe,
        _ => FileKind::Other,
    };
    let mut found = ServiceFile {
        path: String::new(),
        bytes: Vec::new(),
        kind,
        size: entry.size(),
        mode: header.mode()? & 0o7777,
        uid: header.uid()?,
        gid: header.gid()?,
        modified: header.mtime()?,
        link: None,
        entries: Vec::new(),
    };
    match kind {
        FileKind::Link => {
            let to = entry.link_name_bytes().unwrap_or_default();
            found.link = Some(String::from_utf8_lossy(&to).into_owned());
        }
        FileKind::File if found.size > LARGEST => return Err(Unread::TooLarge(LARGEST)),
        FileKind::File => {
            entry.by_ref().take(LARGEST).read_to_end(&mut found.bytes)?;
            if found.bytes.len() as u64 != found.size {
                return Err(Unread::Archive(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        FileKind::Directory => {
            let depth = names(&entry.path_bytes()).len();
            let mut inside = BTreeSet::new();
            for entry in entries {
                let path = entry?.path_bytes().into_owned();
                if let Some(name) = names(&path).into_iter().nth(depth) {
                    inside.insert(name);
                }
                if inside.len() > NAMES {
                    return Err(Unread::Archive(io::Error::other(format!(
                        "the directory has more than {NAMES} entries"
                    ))));
                }
            }
            found.entries = inside.into_iter().collect();
        }
        _ => {}
    }
    Ok(found)
}

/// The names of a path, from the archive's root on.
fn names(path: &[u8]) -> Vec<String> {
    let path = String::from_utf8_lossy(path).into_owned();
    Path::new(&path)
        .components()
        .filter_map(|c| match c {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect()
}

/// Where a link at `path` leads.
fn beside(path: &str, to: &str) -> String {
    match path.rsplit_once('/') {
        Some((dir, _)) if !to.starts_with('/') => format!("{dir}/{to}"),
        _ => to.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_where_they_stand() {
        assert_eq!(beside("/data/app.db", "real.db"), "/data/real.db");
        assert_eq!(beside("/data/app.db", "/x"), "/x");
        assert_eq!(beside("/app.db", "x"), "/x");
    }

    #[test]
    fn what_is_no_archive_is_an_error_or_nothing() {
        assert!(matches!(first(&b""[..]), Err(Unread::Missing)));
        assert!(first(&b"not an archive".repeat(100)[..]).is_err());
    }

    fn archive(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o104_640);
            header.set_uid(7);
            header.set_gid(7);
            header.set_mtime(0);
            header.set_size(bytes.len() as u64);
            builder.append_data(&mut header, path, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn a_directory_has_the_names_of_its_own_level() {
        use tar::EntryType::{Directory, Regular};
        let all = archive(&[
            ("data/", Directory, b""),
            ("data/b/", Directory, b""),
            ("data/b/deep", Regular, b"x"),
            ("data/a", Regular, b"y"),
        ]);
        let found = first(&all[..]).unwrap();
        assert_eq!(found.kind, FileKind::Directory);
        assert_eq!(found.entries, ["a", "b"]);
    }

    #[test]
    fn a_file_that_was_cut_is_an_error() {
        let all = archive(&[("a", tar::EntryType::Regular, &[b'x'; 2000])]);
        let found = first(&all[..]).unwrap();
        assert_eq!((found.size, found.mode, found.uid), (2000, 0o4640, 7));
        assert_eq!(found.bytes.len(), 2000);
        assert!(first(&all[..1024]).is_err());
    }

    #[test]
    fn no_more_than_allowed_is_searched() {
        let (give, from) = mpsc::channel(4);
        give.blocking_send(Bytes::from(vec![0; 600])).unwrap();
        drop(give);
        let mut pieces = Pieces {
            from,
            now: Bytes::new(),
            left: 512,
        };
        let e = pieces.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::FileTooLarge);
    }
}
