//! Files that are put into services: configs, secrets, files of the project.
//!
//! They are uploaded into volumes of ours and mounted from there, file by file, so that a
//! remote engine needs none of this host's paths, images keep their digest, and read-only
//! root file systems work. Secrets go to a volume in memory.

mod directory;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::Stream;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::{ContainerPlan, FileContent, FilePlan};
use serde_json::{Value, json};
use tokio::sync::mpsc;

pub use directory::add_directory;

/// Permission bits of generated files that ask for none.
const DEFAULT_MODE: u32 = 0o444;
/// Size of a piece of an archive on its way to the engine.
const PIECE: usize = 64 * 1024;

/// Which volume a file lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// An ordinary volume.
    Disk,
    /// A volume in memory, for secrets.
    Memory,
}

/// One file or directory to be uploaded; it is called by its number there.
#[derive(Debug, Clone)]
pub struct Entry {
    number: usize,
    content: FileContent,
    mode: Option<u32>,
    uid: u32,
    gid: u32,
}

/// One mount of an entry in a container.
#[derive(Debug, Clone)]
struct Placed {
    shelf: Shelf,
    /// Which upload it came with.
    upload: u32,
    number: usize,
    target: String,
    read_only: bool,
}

/// All files of a stack. Its entries are those of the last upload.
#[derive(Debug, Default)]
pub struct Files {
    upload: u32,
    disk: Vec<Entry>,
    memory: Vec<Entry>,
    placed: Vec<Vec<Placed>>,
}

impl Files {
    /// Gathers the files of these containers.
    ///
    /// # Errors
    /// [`ProblemKind::MissingFile`] when a file of the project cannot be read.
    pub fn gather(containers: &[&ContainerPlan]) -> Result<Self, Problem> {
        Self::default().and(containers, |_, _| None)
    }

    /// Gathers the files of these containers for a further upload. `there` says of a file of a
    /// container (both by their positions) where it is, when that is to stay: by the same of
    /// the containers before.
    ///
    /// # Errors
    /// As [`Files::gather`].
    pub fn again(
        &self,
        upload: u32,
        containers: &[&ContainerPlan],
        there: impl Fn(usize, usize) -> Option<(usize, usize)>,
    ) -> Result<Self, Problem> {
        let files = Self {
            upload,
            ..Self::default()
        };
        files.and(containers, |container, file| {
            let (container, file) = there(container, file)?;
            self.placed.get(container)?.get(file).cloned()
        })
    }

    fn and(
        self,
        containers: &[&ContainerPlan],
        there: impl Fn(usize, usize) -> Option<Placed>,
    ) -> Result<Self, Problem> {
        let mut files = self;
        let mut shared: BTreeMap<(PathBuf, bool, Option<u32>, u32, u32), usize> = BTreeMap::new();
        for (position, container) in containers.iter().enumerate() {
            let mut placed = Vec::with_capacity(container.files.len());
            for (number, file) in container.files.iter().enumerate() {
                if let Some(there) = there(position, number) {
                    placed.push(there);
                    continue;
                }
                let shelf = match file.content.is_secret() {
                    true => Shelf::Memory,
                    false => Shelf::Disk,
                };
                let number = match &file.content {
                    FileContent::HostPath(path) => {
                        check_readable(path, &container.service)?;
                        // Services that bind the same directory see each other's writes.
                        let key = (path.clone(), file.read_only, file.mode, file.uid, file.gid);
                        *shared.entry(key).or_insert_with(|| files.add(shelf, file))
                    }
                    _ => files.add(shelf, file),
                };
                let target = file.target.clone();
                placed.push(Placed {
                    shelf,
                    upload: files.upload,
                    number,
                    target,
                    read_only: file.read_only,
                });
            }
            files.placed.push(placed);
        }
        Ok(files)
    }

    fn add(&mut self, shelf: Shelf, file: &FilePlan) -> usize {
        let entries = match shelf {
            Shelf::Disk => &mut self.disk,
            Shelf::Memory => &mut self.memory,
        };
        let number = entries.len();
        entries.push(Entry {
            number,
            content: file.content.clone(),
            mode: file.mode,
            uid: file.uid,
            gid: file.gid,
        });
        number
    }

    /// Which upload its entries are for.
    pub fn upload(&self) -> u32 {
        self.upload
    }

    /// Whether that is the one of the stack's start.
    pub fn is_first(&self) -> bool {
        self.upload == 0
    }

    /// The name of something that an upload needs.
    pub fn named(&self, what: &str) -> String {
        match self.upload {
            0 => what.to_owned(),
            n => format!("{what}-again-{n}"),
        }
    }

    /// The uploads of which something is still in use.
    pub fn used(&self) -> BTreeSet<u32> {
        self.placed.iter().flatten().map(|p| p.upload).collect()
    }

    /// The entries of a shelf.
    pub fn entries(&self, shelf: Shelf) -> &[Entry] {
        match shelf {
            Shelf::Disk => &self.disk,
            Shelf::Memory => &self.memory,
        }
    }

    /// Whether a container (by its position in [`Files::gather`]) has files on a shelf.
    pub fn uses(&self, container: usize, shelf: Shelf) -> bool {
        self.placed
            .get(container)
            .is_some_and(|p| p.iter().any(|p| p.shelf == shelf))
    }

    /// Bytes that the secrets take.
    pub fn memory_bytes(&self) -> usize {
        self.memory.iter().map(|e| size(&e.content)).sum()
    }

    /// The mounts of a container as `HostConfig.Binds` has them: paths on the engine's host
    /// inside the volumes' own directories.
    pub fn binds(&self, container: usize, root: impl Fn(Shelf, u32) -> String) -> Vec<String> {
        let placed = self.placed.get(container).map_or(&[][..], Vec::as_slice);
        placed
            .iter()
            .map(|p| {
                let mode = if p.read_only { "ro" } else { "rw" };
                let root = root(p.shelf, p.upload);
                format!("{root}/{}:{}:{mode}", p.number, p.target)
            })
            .collect()
    }

    /// The mounts of a container as `HostConfig.Mounts` has them from API 1.45 on: parts of
    /// volumes.
    pub fn mounts(&self, container: usize, volume: impl Fn(Shelf, u32) -> String) -> Vec<Value> {
        let placed = self.placed.get(container).map_or(&[][..], Vec::as_slice);
        placed
            .iter()
            .map(|p| {
                json!({
                    "Type": "volume",
                    "Source": volume(p.shelf, p.upload),
                    "Target": p.target,
                    "ReadOnly": p.read_only,
                    "VolumeOptions": {"NoCopy": true, "Subpath": p.number.to_string()},
                })
            })
            .collect()
    }
}

/// Bytes that a content takes in memory, whole pages for each file of a directory.
fn size(content: &FileContent) -> usize {
    match content {
        FileContent::Secret(s) | FileContent::Base64(s) => s.expose().len(),
        FileContent::Text(t) => t.len(),
        FileContent::HostPath(_) => 0,
        FileContent::Directory(files) => {
            let files = files.iter();
            files.map(|f| size(&f.content) + 4 * 4096).sum::<usize>() + 4 * 4096
        }
    }
}

fn check_readable(path: &Path, service: &str) -> Result<(), Problem> {
    let read = if path.is_dir() {
        std::fs::read_dir(path).map(|_| ())
    } else {
        std::fs::File::open(path).map(|_| ())
    };
    read.map_err(|e| {
        Problem::new(
            ProblemKind::MissingFile,
            format!(
                "`{}`, which service `{service}` mounts, cannot be read: {e}",
                path.display()
            ),
        )
    })
}

/// The entries as a tar archive, made while it is sent: a project's directory may be large.
pub fn archive(
    entries: Vec<Entry>,
) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
    let (pieces, received) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let mut out = Pieces {
            pieces: pieces.clone(),
            open: Vec::with_capacity(PIECE),
        };
        let written = write_archive(&mut out, &entries).and_then(|()| out.flush());
        if let Err(e) = written {
            let _ = pieces.blocking_send(Err(e));
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(received)
}

/// A writer that hands what is written over in pieces.
struct Pieces {
    pieces: mpsc::Sender<Result<Bytes, io::Error>>,
    open: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.open.extend_from_slice(bytes);
        if self.open.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.open, Vec::with_capacity(PIECE));
        self.pieces
            .blocking_send(Ok(piece.into()))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the upload ended early"))
    }
}

fn write_archive(out: &mut impl Write, entries: &[Entry]) -> io::Result<()> {
    let mut tar = tar::Builder::new(out);
    tar.follow_symlinks(false);
    for entry in entries {
        let name = PathBuf::from(entry.number.to_string());
        match &entry.content {
            // The path itself may be a link; links inside a directory stay what they are.
            FileContent::HostPath(path) => {
                add_path(&mut tar, &name, &std::fs::canonicalize(path)?, entry)?;
            }
            FileContent::Directory(files) => directory::add(&mut tar, &name, files, entry.gid)?,
            other => {
                let mode = entry.mode.unwrap_or(DEFAULT_MODE);
                let owner = (entry.uid, entry.gid);
                directory::add_file(&mut tar, &name, &bytes_of(other)?, (mode, owner))?;
            }
        }
    }
    tar.finish()
}

/// The bytes of a content that is not on this host's disk.
fn bytes_of(content: &FileContent) -> io::Result<Vec<u8>> {
    use base64::Engine as _;
    match content {
        FileContent::Text(text) => Ok(text.clone().into_bytes()),
        FileContent::Secret(s) => Ok(s.expose().as_bytes().to_vec()),
        FileContent::Base64(s) => {
            let text: String = s.expose().split_whitespace().collect();
            let bytes = base64::engine::general_purpose::STANDARD.decode(text);
            bytes.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))
        }
        FileContent::HostPath(_) | FileContent::Directory(_) => Ok(Vec::new()),
    }
}

fn add_path(
    tar: &mut tar::Builder<impl Write>,
    name: &Path,
    path: &Path,
    entry: &Entry,
) -> io::Result<()> {
    let about = std::fs::symlink_metadata(path)?;
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&about);
    header.set_uid(entry.uid.into());
    header.set_gid(entry.gid.into());
    if about.is_symlink() {
        header.set_size(0);
        return tar.append_link(&mut header, name, std::fs::read_link(path)?);
    }
    if about.is_dir() {
        header.set_size(0);
        tar.append_data(&mut header, name, io::empty())?;
        let mut children: Vec<_> = std::fs::read_dir(path)?.collect::<Result<_, _>>()?;
        children.sort_by_key(std::fs::DirEntry::file_name);
        for child in children {
            add_path(tar, &name.join(child.file_name()), &child.path(), entry)?;
        }
        return Ok(());
    }
    if !about.is_file() {
        // Sockets and devices of this host mean nothing on the engine's.
        return Ok(());
    }
    if let Some(mode) = entry.mode {
        header.set_mode(mode);
    }
    // The file may grow while it is read; the archive holds what the header says.
    let file = std::fs::File::open(path)?;
    tar.append_data(&mut header, name, io::Read::take(file, about.len()))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use prodmirror_model::secret::Secret;

    use super::*;

    fn entry(number: usize, content: FileContent) -> Entry {
        Entry {
            number,
            content,
            mode: None,
            uid: 7,
            gid: 8,
        }
    }

    #[tokio::test]
    async fn an_archive_holds_texts_and_trees() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/a.conf"), "hello").unwrap();
        std::os::unix::fs::symlink("sub/a.conf", dir.path().join("link")).unwrap();
        let entries = vec![
            entry(0, FileContent::Text("text".into())),
            entry(1, FileContent::Secret(Secret::new("key"))),
            entry(2, FileContent::HostPath(dir.path().into())),
        ];
        let pieces: Vec<_> = archive(entries).map(Result::unwrap).collect().await;
        let bytes = pieces.concat();
        let mut tar = tar::Archive::new(&bytes[..]);
        let mut seen = Vec::new();
        for e in tar.entries().unwrap() {
            let mut e = e.unwrap();
            assert_eq!(
                (e.header().uid().unwrap(), e.header().gid().unwrap()),
                (7, 8)
            );
            let mut text = String::new();
            io::Read::read_to_string(&mut e, &mut text).unwrap();
            seen.push((e.path().unwrap().display().to_string(), text));
        }
        let expected = [
            ("0", "text"),
            ("1", "key"),
            ("2", ""),
            ("2/link", ""),
            ("2/sub", ""),
            ("2/sub/a.conf", "hello"),
        ];
        let expected: Vec<_> = expected
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect();
        assert_eq!(seen, expected);
    }
}
