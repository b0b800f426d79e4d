//! Archives on their way into the store.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::hashing::Hashing;
use bytes::Bytes;
use futures_util::Stream;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::source::io_reason;
use serde_json::json;
use tokio::sync::mpsc;

use crate::docker::{Engine, NewContainer, NewVolume};
use crate::live::label::{Role, Tags};

/// Where a volume is that is filled: below a directory, so that its top can be given rights.
const ABOVE: &str = "/into";
const DIR: &str = "/into/volume";
const NAME: &str = "volume";
/// Bytes that are sent at once.
const PIECE: usize = 256 * 1024;
/// Begins of compressed files that the engine unpacks itself.
const GZIP: &[u8] = &[0x1f, 0x8b];
const OTHERS: [(&str, &[u8]); 3] = [
    ("bzip2", b"BZh"),
    ("xz", &[0xfd, b'7', b'z', b'X', b'Z', 0]),
    ("zstd", &[0x28, 0xb5, 0x2f, 0xfd]),
];

/// Makes an empty volume that is removed with what else has these tags.
///
/// # Errors
/// The engine's.
pub async fn scratch(engine: &Engine, tags: &Tags) -> Result<String, Problem> {
    let new = NewVolume {
        name: tags.name(&format!("scratch-{}", uuid::Uuid::new_v4().simple())),
        labels: tags.labels(Role::Volume),
        ..NewVolume::default()
    };
    let made = engine.create_volume(&new).await;
    made.map_err(|e| e.problem("make a volume"))?;
    Ok(new.name)
}

/// Unpacks an archive into a volume, through a container that is never started.
///
/// # Errors
/// The archive is none, or the engine's.
pub async fn fill(
    engine: &Engine,
    tags: &Tags,
    volume: &str,
    tar: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
) -> Result<(), Problem> {
    put(engine, tags, volume, DIR, tar).await
}

/// Lets everybody write to the top of a volume.
///
/// # Errors
/// The engine's.
pub async fn open_up(engine: &Engine, tags: &Tags, volume: &str) -> Result<(), Problem> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o1777);
    header.set_size(0);
    // Writing to memory does not fail.
    let added = tar.append_data(&mut header, NAME, io::empty());
    let packed = added.and_then(|()| tar.into_inner());
    let packed = packed.unwrap_or_default();
    let piece = futures_util::stream::iter([Ok(Bytes::from(packed))]);
    put(engine, tags, volume, ABOVE, piece).await
}

async fn put(
    engine: &Engine,
    tags: &Tags,
    volume: &str,
    into: &str,
    tar: impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
) -> Result<(), Problem> {
    let image = engine.load_agent().await?;
    let body = json!({
        "Image": image,
        "Cmd": ["hold"],
        "Labels": tags.labels(Role::Files),
        "HostConfig": {"NetworkMode": "none", "Binds": [format!("{volume}:{DIR}:nocopy")]},
    });
    let new = NewContainer {
        name: tags.name(&format!("fill-{}", uuid::Uuid::new_v4().simple())),
        body,
        platform: None,
    };
    let doing = "unpack the archive";
    let made = engine.create_container(&new).await;
    let id = made.map_err(|e| e.problem(doing))?.id;
    let put = engine.put_archive_stream(&id, into, tar).await;
    let removed = engine.remove_container(&id).await;
    put.and(removed).map_err(|e| e.problem(doing))
}

/// A directory of this host as an archive, made while it is read.
pub fn pack(dir: PathBuf) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
    crate::live::pack(dir, PathBuf::from("."), tar::HeaderMode::Complete)
}

/// A file or directory of this host as an archive, under another name; everybody may read it.
pub fn pack_as(
    path: PathBuf,
    name: &str,
) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static + use<> {
    crate::live::pack(path, PathBuf::from(name), tar::HeaderMode::Deterministic)
}

/// The pieces of a file.
///
/// # Errors
/// It cannot be read.
pub fn pieces(
    path: &Path,
) -> Result<impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static + use<>, Problem> {
    let mut file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let (send, received) = mpsc::channel(4);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let read = file.read(&mut piece);
            let ended = !matches!(read, Ok(n) if n > 0);
            match read {
                Ok(0) => return,
                Ok(n) => {
                    piece.truncate(n);
                    if send.blocking_send(Ok(Bytes::from(piece))).is_err() {
                        return;
                    }
                }
                Err(e) => {
                    let _ = send.blocking_send(Err(e));
                }
            }
            if ended {
                return;
            }
        }
    });
    Ok(tokio_stream::wrappers::ReceiverStream::new(received))
}

/// Reads a tar archive to its end, so that a part of one is not taken for a whole; gives its
/// digest.
///
/// # Errors
/// It cannot be read, is none, or is not whole.
pub fn check_tar(path: &Path) -> Result<String, Problem> {
    let mut file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let mut head = [0; 6];
    let read = file.read(&mut head).map_err(|e| unreadable(path, &e))?;
    let head = &head[..read];
    let file = File::open(path).map_err(|e| unreadable(path, &e))?;
    let mut hashing = Hashing::of(file);
    if head.starts_with(GZIP) {
        let mut inner = flate2::read::MultiGzDecoder::new(&mut hashing);
        whole(&mut inner).map_err(|why| broken(path, &why))?;
        drain(&mut inner).map_err(|why| broken(path, &why))?;
    } else if let Some((name, _)) = OTHERS.iter().find(|(_, magic)| head.starts_with(magic)) {
        // The engine reads these; that it is whole is seen when it is unpacked.
        if *name == "zstd" {
            let message = format!("{} is compressed with zstd", path.display());
            return Err(Problem::new(ProblemKind::Unsupported, message)
                .help("unpack it first (`zstd -d`), or pack it with gzip or xz"));
        }
    } else {
        whole(&mut hashing).map_err(|why| broken(path, &why))?;
    }
    let digest = hashing.finish().map_err(|e| unreadable(path, &e))?;
    Ok(digest.to_string())
}

/// Whether an archive has all its entries and its end.
fn whole(mut from: impl Read) -> Result<(), String> {
    let mut ending = Ending {
        inner: &mut from,
        last: [0; 1024],
        count: 0,
    };
    let mut archive = tar::Archive::new(&mut ending);
    let mut entries = 0;
    for entry in archive.entries().map_err(|e| e.to_string())? {
        let mut entry = entry.map_err(|e| e.to_string())?;
        let size = entry.size();
        let read = drain(&mut entry)?;
        if read < size {
            let name = entry
                .path()
                .map_or_else(|_| "?".into(), |p| p.display().to_string());
            return Err(format!("it ends in the middle of `{name}`"));
        }
        entries += 1;
    }
    drain(&mut ending)?;
    if ending.count < 1024 || ending.last.iter().any(|b| *b != 0) {
        return Err(format!(
            "it ends after {entries} entries, without the mark of its end"
        ));
    }
    Ok(())
}

/// Keeps the last bytes that were read.
struct Ending<R> {
    inner: R,
    last: [u8; 1024],
    count: u64,
}

impl<R: Read> Read for Ending<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        self.count += n as u64;
        let keep = n.min(self.last.len());
        self.last.rotate_left(keep);
        let from = self.last.len() - keep;
        self.last[from..].copy_from_slice(&into[n - keep..n]);
        Ok(n)
    }
}

fn drain(mut from: impl Read) -> Result<u64, String> {
    io::copy(&mut from, &mut io::sink()).map_err(|e| e.to_string())
}

/// Why a helper failed, from what it said as an event.
pub fn reason(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let last = text.lines().rev().find(|l| !l.trim().is_empty());
    let last = last.unwrap_or("it gave no reason");
    let event: Option<serde_json::Value> = serde_json::from_str(last).ok();
    let why = event.as_ref().and_then(|e| e.get("why")?.as_str());
    why.unwrap_or(last).to_owned()
}

fn unreadable(path: &Path, e: &io::Error) -> Problem {
    let message = format!("cannot read {}: {}", path.display(), io_reason(e));
    Problem::new(ProblemKind::MissingFile, message)
}

fn broken(path: &Path, why: &str) -> Problem {
    let message = format!("{} is no whole tar archive: {why}", path.display());
    Problem::new(ProblemKind::InvalidValue, message)
        .help("it may be truncated or corrupt: copy it again and compare its checksum")
}

#[cfg(test)]
mod tests {
    use super::*;
    use prodmirror_model::lock::Digest;

    fn archive() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3000);
        header.set_mode(0o644);
        tar.append_data(&mut header, "a", &[7; 3000][..]).unwrap();
        tar.into_inner().unwrap()
    }

    fn checked(bytes: &[u8]) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tar");
        std::fs::write(&path, bytes).unwrap();
        check_tar(&path).map_err(|p| p.message)
    }

    #[test]
    fn whole_archives_have_a_digest() {
        let whole = archive();
        let sum = Digest::of(&whole).to_string();
        assert_eq!(checked(&whole), Ok(sum));
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut packed, &whole).unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(checked(&packed), Ok(Digest::of(&packed).to_string()));
        assert!(checked(&packed[..packed.len() - 9]).is_err());
    }

    #[test]
    fn parts_of_archives_are_refused() {
        let whole = archive();
        for (length, why) in [
            (2000, "middle of `a`"),
            (3584, "without the mark"),
            (4000, ""),
        ] {
            let told = checked(&whole[..length]).unwrap_err();
            assert!(told.contains(why), "{length}: {told}");
        }
        assert!(checked(b"certainly no archive").is_err());
        assert!(checked(b"").is_err());
    }
}
