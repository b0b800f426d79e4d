//! Files between this host and a service.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::StreamExt;
use prodmirror_model::diag::{Problem, ProblemKind};
use tokio::sync::mpsc;

use super::standing::{Member, Standing};

/// Size of a piece of an archive on its way to the engine.
const PIECE: usize = 64 * 1024;

impl Standing {
    /// Copies a file or directory of this host into a service: into `to` if that is a
    /// directory there, else under that name.
    ///
    /// # Errors
    /// The file cannot be read, the directory is not there, or the service's root file system
    /// is read-only.
    pub async fn copy_in(&self, from: &Path, member: &Member, to: &str) -> Result<(), Problem> {
        let doing = format!("copy `{}` into `{}`", from.display(), member.service);
        let unreadable = |e: io::Error| {
            let message = format!("could not {doing}: {e}");
            Problem::new(ProblemKind::MissingFile, message)
        };
        let source = std::fs::canonicalize(from).map_err(unreadable)?;
        let as_directory = self.is_directory(member, to).await;
        let (dir, name) = if as_directory {
            (to.to_owned(), file_name(&source))
        } else {
            split_path(to)
        };
        let archive = pack(source, PathBuf::from(name), tar::HeaderMode::Complete);
        let put = self
            .engine()
            .put_archive_stream(&member.id, &dir, archive)
            .await;
        put.map_err(|e| e.problem(doing))
    }

    /// Copies a file or directory of a service to this host: into `to` if that is a directory
    /// here, else under that name.
    ///
    /// # Errors
    /// There is no such path in the service, or it cannot be written here.
    pub async fn copy_out(&self, member: &Member, from: &str, to: &Path) -> Result<(), Problem> {
        let doing = format!("copy `{from}` out of `{}`", member.service);
        let (dir, name) = if to.is_dir() {
            (to.to_path_buf(), None)
        } else {
            let dir = to.parent().filter(|p| !p.as_os_str().is_empty());
            (
                dir.unwrap_or(Path::new(".")).to_path_buf(),
                to.file_name().map(PathBuf::from),
            )
        };
        let (pieces, received) = mpsc::channel::<Bytes>(4);
        let unpacking =
            tokio::task::spawn_blocking(move || unpack(received, &dir, name.as_deref()));
        let mut archive = self.engine().get_archive(&member.id, from);
        let mut failed = None;
        while let Some(piece) = archive.next().await {
            match piece {
                Ok(piece) => {
                    if pieces.send(piece).await.is_err() {
                        break;
                    }
                }
                Err(e) => {
                    failed = Some(e.problem(&doing));
                    break;
                }
            }
        }
        drop(pieces);
        let unpacked = unpacking.await.map_err(io::Error::other).flatten();
        match (failed, unpacked) {
            (Some(problem), _) => Err(problem),
            (None, Ok(())) => Ok(()),
            (None, Err(e)) => Err(Problem::new(
                ProblemKind::Start,
                format!("could not {doing}: {e}"),
            )),
        }
    }

    /// Whether a path is a directory in a service: then it can be asked for as one.
    async fn is_directory(&self, member: &Member, path: &str) -> bool {
        if path.ends_with('/') {
            return true;
        }
        let inside = format!("{path}/.");
        let first = std::pin::pin!(self.engine().get_archive(&member.id, &inside))
            .next()
            .await;
        matches!(first, Some(Ok(_)))
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(|| "root".to_owned(), |n| n.to_string_lossy().into_owned())
}

/// A path of a container as its directory and its name there.
fn split_path(path: &str) -> (String, String) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/".to_owned(), name.to_owned()),
        Some((dir, name)) => (dir.to_owned(), name.to_owned()),
        None => ("/".to_owned(), path.to_owned()),
    }
}

/// A file or directory as an archive under another name, made while it is sent.
pub(crate) fn pack(
    source: PathBuf,
    name: PathBuf,
    mode: tar::HeaderMode,
) -> impl futures_util::Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
    let (pieces, received) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        let out = io::BufWriter::with_capacity(PIECE, Sender(pieces.clone()));
        let mut tar = tar::Builder::new(out);
        tar.follow_symlinks(false);
        tar.mode(mode);
        let added = if source.is_dir() {
            tar.append_dir_all(&name, &source)
        } else {
            std::fs::File::open(&source).and_then(|mut f| tar.append_file(&name, &mut f))
        };
        let done = added
            .and_then(|()| tar.into_inner())
            .and_then(|mut out| io::Write::flush(&mut out));
        if let Err(e) = done {
            let _ = pieces.blocking_send(Err(e));
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(received)
}

struct Sender(mpsc::Sender<Result<Bytes, io::Error>>);

impl io::Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        let sent = self.0.blocking_send(Ok(piece));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the upload ended early"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Receiver {
    pieces: mpsc::Receiver<Bytes>,
    open: Bytes,
}

impl io::Read for Receiver {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.open.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.open = piece,
                None => return Ok(0),
            }
        }
        let n = self.open.len().min(into.len());
        into[..n].copy_from_slice(&self.open.split_to(n));
        Ok(n)
    }
}

/// Unpacks an archive into a directory; what it holds is called `name` there, if that is
/// given (and no directory of that name exists). Nothing is written outside of the directory,
/// whatever the archive says.
fn unpack(pieces: mpsc::Receiver<Bytes>, dir: &Path, name: Option<&Path>) -> io::Result<()> {
    let mut archive = tar::Archive::new(Receiver {
        pieces,
        open: Bytes::new(),
    });
    archive.set_preserve_permissions(true);
    let Some(name) = name else {
        return archive.unpack(dir);
    };
    // Links inside the archive go by its own names, so it is unpacked whole, then renamed.
    let beside = dir.join(format!(".prodmirror-{}", uuid::Uuid::new_v4().simple()));
    std::fs::create_dir(&beside)?;
    let moved = archive.unpack(&beside).and_then(|()| {
        let mut inside = std::fs::read_dir(&beside)?;
        match inside.next() {
            Some(first) => std::fs::rename(first?.path(), dir.join(name)),
            None => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the archive is empty",
            )),
        }
    });
    std::fs::remove_dir_all(&beside)?;
    moved
}
