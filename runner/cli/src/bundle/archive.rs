//! The archive: gzip over tar, with the manifest in front.

mod metered;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::{GzBuilder, bufread};
use prodmirror_model::bundle::{FileFacts, MANIFEST, Manifest, SIGNATURE};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::lock::Digest;
use prodmirror_model::source::io_reason;
use sha2::{Digest as _, Sha256};

use self::metered::Metered;
use super::sign::{self, PublicKey, Signer};

/// The largest manifest that is read, in bytes.
const LARGEST_MANIFEST: u64 = 16 << 20;
/// Entries at most.
const MOST_FILES: usize = 50_000;
/// What may come out of one byte of a bundle, beside [`SMALL`]: text compresses by 10 to 20,
/// gzip by 1032 at most.
const MOST_RATIO: u64 = 200;
/// What any bundle may hold, in bytes.
const SMALL: u64 = 256 << 20;

/// What stands before and after the bytes of an entry at most, in bytes: its headers, its long
/// name, what fills its last block.
const MOST_AROUND: u64 = 64 << 10;

/// What an entry is made of.
#[derive(Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file, which is not read into memory.
    File(PathBuf),
}

impl Content {
    fn open(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(bytes.as_slice()),
            Self::File(path) => Box::new(BufReader::new(File::open(path)?)),
        })
    }

    /// Its digest and size.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn facts(&self) -> io::Result<FileFacts> {
        let mut hasher = Sha256::new();
        let size = io::copy(&mut self.open()?, &mut HashWriter(&mut hasher))?;
        Ok(FileFacts {
            digest: Digest::finish(hasher).to_string(),
            size,
        })
    }
}

struct HashWriter<'h>(&'h mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a bundle: the manifest, its signature if somebody signs it, then the entries in the
/// order of their names. Equal contents give equal bytes. What is there before stays until the
/// new one is whole.
///
/// # Errors
/// A file cannot be read or written.
pub fn pack(
    to: &Path,
    manifest: &mut Manifest,
    entries: &BTreeMap<String, Content>,
    signer: Option<&Signer>,
) -> io::Result<()> {
    for (name, content) in entries {
        manifest.files.insert(name.clone(), content.facts()?);
    }
    let dir = to.parent().unwrap_or(Path::new("."));
    let file = tempfile::NamedTempFile::new_in(dir)?;
    let mut packed = GzBuilder::new()
        .mtime(0)
        // "Unknown", on every system.
        .operating_system(255)
        .write(BufWriter::new(file), Compression::fast());
    {
        let mut tar = tar::Builder::new(&mut packed);
        tar.mode(tar::HeaderMode::Deterministic);
        let text = manifest.text();
        append(&mut tar, MANIFEST, text.len() as u64, text.as_bytes())?;
        if let Some(signer) = signer {
            let signature = signer.sign(text.as_bytes());
            let size = signature.len() as u64;
            append(&mut tar, SIGNATURE, size, signature.as_slice())?;
        }
        for (name, content) in entries {
            let size = manifest.files.get(name).map_or(0, |f| f.size);
            append(&mut tar, name, size, content.open()?)?;
        }
        tar.finish()?;
    }
    let file = packed
        .finish()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    file.persist(to).map_err(|e| e.error)?;
    Ok(())
}

fn append(
    tar: &mut tar::Builder<impl Write>,
    name: &str,
    size: u64,
    from: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    // A file that grew while it was read is cut where its digest ends.
    tar.append_data(&mut header, name, from.take(size))
}

/// A bundle whose manifest was read.
pub struct Reading {
    path: PathBuf,
    /// What messages call it.
    pub name: String,
    /// Its manifest.
    pub manifest: Manifest,
    /// Digest of the manifest, which is that of the bundle: it has those of all entries.
    pub digest: Digest,
    /// The key that signed it: the signature holds, whoever's it is.
    pub signed_by: Option<PublicKey>,
}

impl Reading {
    /// Opens a bundle and reads its manifest and its signature; nothing is written.
    ///
    /// # Errors
    /// It is none, it is damaged, of a newer version, or hostile, or its signature does not hold.
    pub fn open(path: &Path, name: &str) -> Result<Self, Problem> {
        let unreadable = |e: &io::Error| {
            let text = format!("cannot read {name}: {}", io_reason(e));
            Problem::new(ProblemKind::MissingFile, text)
        };
        let packed = std::fs::metadata(path).map_err(|e| unreadable(&e))?;
        if packed.is_dir() {
            return Err(unreadable(&io::ErrorKind::IsADirectory.into()));
        }
        let unpacked = unpacking(path).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidInput
            | io::ErrorKind::InvalidData
            | io::ErrorKind::UnexpectedEof => damaged(name, "it is no gzip archive"),
            _ => unreadable(&e),
        })?;
        let (metered, left) = Metered::of(unpacked, MOST_AROUND);
        let mut tar = tar::Archive::new(metered);
        let mut entries = tar.entries().map_err(|e| damaged(name, &e.to_string()))?;
        let mut first = match entries.next() {
            Some(Ok(entry)) => entry,
            Some(Err(e)) => return Err(damaged(name, &e.to_string())),
            None => return Err(damaged(name, "it is empty")),
        };
        if first.path_bytes().as_ref() != MANIFEST.as_bytes() {
            return Err(damaged(name, &format!("its first entry is not {MANIFEST}")));
        }
        if first.size() > LARGEST_MANIFEST {
            return Err(damaged(
                name,
                &format!("its {MANIFEST} is larger than any can be"),
            ));
        }
        left.set(first.size() + MOST_AROUND);
        let mut bytes = Vec::new();
        let read = first.read_to_end(&mut bytes);
        read.map_err(|e| damaged(name, &e.to_string()))?;
        let manifest = Manifest::read(&bytes, name)?;
        let signed_by = match signature(entries.next(), &left) {
            Ok(Some(entry)) => Some(sign::signed_by(&bytes, &entry)),
            Ok(None) => None,
            Err(e) => return Err(damaged(name, &e.to_string())),
        };
        let signed_by = signed_by.transpose().map_err(|why| damaged(name, &why))?;
        if manifest.files.len() > MOST_FILES {
            return Err(damaged(
                name,
                &format!("it lists more than {MOST_FILES} entries"),
            ));
        }
        let most = packed
            .len()
            .saturating_mul(MOST_RATIO)
            .saturating_add(SMALL);
        if manifest.size() > most {
            let text = format!(
                "of {} bytes it would make {}: no bundle compresses so well",
                packed.len(),
                manifest.size()
            );
            return Err(damaged(name, &text));
        }
        Ok(Self {
            path: path.to_owned(),
            name: name.to_owned(),
            manifest,
            digest: Digest::of(&bytes),
            signed_by,
        })
    }

    /// Refuses a bundle that none of these keys signed.
    ///
    /// # Errors
    /// Who signed it, if anybody did. `file` is what messages call the file of the keys.
    pub fn verify(&self, keys: &[PublicKey], file: &str) -> Result<(), Problem> {
        let text = match &self.signed_by {
            Some(key) if keys.contains(key) => return Ok(()),
            Some(key) => {
                let (name, print) = (&self.name, key.fingerprint());
                format!("{name} is signed by another key ({print}) than {file} holds")
            }
            None => format!("{} is not signed", self.name),
        };
        Err(Problem::new(ProblemKind::Forbidden, text).help(
            "nothing was started; get one that `prodmirror run --sign KEY.pem` left, or leave \
             --verify out if you trust this one",
        ))
    }

    /// Unpacks every entry below a directory, which must be empty, and checks that each is what
    /// the manifest says. What was written when it fails is for the caller to remove.
    ///
    /// # Errors
    /// The bundle is damaged or hostile, or the disk's.
    pub fn unpack(&self, to: &Path) -> Result<(), Problem> {
        let name = &self.name;
        let file = unpacking(&self.path).map_err(|e| damaged(name, &e.to_string()))?;
        let (metered, left) = Metered::of(file, MOST_AROUND);
        let mut tar = tar::Archive::new(metered);
        let mut seen = BTreeSet::new();
        let mut entries = tar.entries().map_err(|e| damaged(name, &e.to_string()))?;
        for entry in entries.by_ref() {
            let mut entry = entry.map_err(|e| damaged(name, &e.to_string()))?;
            let bytes = entry.path_bytes().into_owned();
            let Ok(entry_name) = String::from_utf8(bytes) else {
                return Err(damaged(name, "the name of an entry is no text"));
            };
            if entry_name == MANIFEST && seen.is_empty() {
                left.set(LARGEST_MANIFEST + MOST_AROUND);
                let skipped = io::copy(&mut entry, &mut io::sink());
                skipped.map_err(|e| damaged(name, &e.to_string()))?;
                left.set(MOST_AROUND);
                seen.insert(entry_name);
                continue;
            }
            // It was read with the manifest, and stands nowhere else.
            if entry_name == SIGNATURE && seen.len() == 1 && self.signed_by.is_some() {
                left.set(sign::LARGEST + MOST_AROUND);
                let skipped = io::copy(&mut entry, &mut io::sink());
                skipped.map_err(|e| damaged(name, &e.to_string()))?;
                left.set(MOST_AROUND);
                seen.insert(entry_name);
                continue;
            }
            // Names were looked at when the manifest was read: what it does not list is refused.
            let Some(facts) = self.manifest.files.get(&entry_name) else {
                let text = format!("its {MANIFEST} does not list the entry `{entry_name}`");
                return Err(damaged(name, &text));
            };
            if entry.header().entry_type() != tar::EntryType::Regular {
                let text = format!("the entry `{entry_name}` is no plain file");
                return Err(damaged(name, &text));
            }
            if !seen.insert(entry_name.clone()) {
                return Err(damaged(name, &format!("it has `{entry_name}` twice")));
            }
            let wrong = || {
                let text = format!(
                    "`{entry_name}` is not what its {MANIFEST} says: it was cut off or changed"
                );
                damaged(name, &text)
            };
            if entry.size() != facts.size {
                return Err(wrong());
            }
            left.set(facts.size.saturating_add(MOST_AROUND));
            match write(&mut entry, &to.join(&entry_name)) {
                Ok((size, digest)) if size == facts.size && digest == facts.digest => {}
                Ok(_) => return Err(wrong()),
                Err(Trouble::Read(e)) => return Err(damaged(name, &e.to_string())),
                Err(Trouble::Write(e)) => {
                    let text = format!("cannot unpack {name}: {entry_name}: {}", io_reason(&e));
                    return Err(Problem::new(ProblemKind::MissingFile, text));
                }
            }
            left.set(MOST_AROUND);
        }
        end(&mut tar.into_inner()).map_err(|e| damaged(name, &e.to_string()))?;
        let lacking = self.manifest.files.keys().find(|f| !seen.contains(*f));
        match lacking {
            Some(file) => Err(damaged(
                name,
                &format!("`{file}` is missing: it was cut off"),
            )),
            None => Ok(()),
        }
    }
}

/// The bytes of the entry behind the manifest, when that is a signature.
fn signature<R: Read>(
    second: Option<io::Result<tar::Entry<'_, R>>>,
    left: &Cell<u64>,
) -> io::Result<Option<Vec<u8>>> {
    let Some(entry) = second else {
        return Ok(None);
    };
    let mut entry = entry?;
    if entry.path_bytes().as_ref() != SIGNATURE.as_bytes() {
        return Ok(None);
    }
    if entry.size() > sign::LARGEST {
        let text = format!("its {SIGNATURE} is larger than any can be");
        return Err(io::Error::other(text));
    }
    left.set(entry.size() + MOST_AROUND);
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Reads what follows the last entry: nothing but zeros, and the checksum of all.
fn end(rest: &mut impl Read) -> io::Result<()> {
    let mut piece = [0; 4096];
    loop {
        let read = rest.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        if piece[..read].iter().any(|b| *b != 0) {
            return Err(io::Error::other("something follows its end"));
        }
    }
}

enum Trouble {
    Read(io::Error),
    Write(io::Error),
}

/// Writes an entry to a new file.
fn write(from: &mut impl Read, to: &Path) -> Result<(u64, String), Trouble> {
    if let Some(dir) = to.parent() {
        std::fs::create_dir_all(dir).map_err(Trouble::Write)?;
    }
    let mut file = File::create_new(to).map_err(Trouble::Write)?;
    let mut hasher = Sha256::new();
    let mut size = 0;
    let mut piece = vec![0; 128 << 10];
    loop {
        let read = from.read(&mut piece).map_err(Trouble::Read)?;
        if read == 0 {
            break;
        }
        hasher.update(&piece[..read]);
        file.write_all(&piece[..read]).map_err(Trouble::Write)?;
        size += read as u64;
    }
    Ok((size, Digest::finish(hasher).to_string()))
}

fn unpacking(path: &Path) -> io::Result<MultiGzDecoder<BufReader<File>>> {
    let file = File::open(path)?;
    // What is no gzip at all is said so, instead of as a broken archive.
    let mut looked = bufread::GzDecoder::new(BufReader::new(file.try_clone()?));
    looked.read_exact(&mut [0; 1])?;
    drop(looked);
    Ok(MultiGzDecoder::new(BufReader::new(File::open(path)?)))
}

fn damaged(name: &str, why: &str) -> Problem {
    let text = format!("{name} cannot be used: {why}");
    Problem::new(ProblemKind::Syntax, text)
        .help("nothing was started, and nothing of it is kept; get the bundle again")
}
