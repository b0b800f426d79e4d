//! The files that a load reads: each once, with its hash.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::lexical;
use super::request::Input;
use crate::diag::{Problem, ProblemKind};
use crate::source::{MAX_SOURCE_BYTES, SourceFile, Span, io_reason};
use crate::yaml::{self, Node};

/// How many files one load may read.
const MAX_FILES: usize = 1_000;

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathKind {
    /// A file, or what reads like one.
    File,
    /// A directory.
    Directory,
}

/// The files that exist for a load.
pub(super) trait FileAccess {
    /// What a path is, if it is there.
    fn kind(&self, path: &str) -> Option<PathKind>;
    /// The bytes of a file.
    fn read(&self, path: &str) -> io::Result<Vec<u8>>;
    /// The path with its first symbolic link followed.
    fn follow_link(&self, path: &str) -> String;
}

/// The files of this machine.
pub(super) struct Disk;

impl FileAccess for Disk {
    fn kind(&self, path: &str) -> Option<PathKind> {
        let meta = std::fs::metadata(path).ok()?;
        Some(if meta.is_dir() {
            PathKind::Directory
        } else {
            PathKind::File
        })
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let meta = std::fs::metadata(path)?;
        if meta.len() > MAX_SOURCE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        std::fs::read(path)
    }

    fn follow_link(&self, path: &str) -> String {
        let mut at = PathBuf::from("/");
        for part in Path::new(path).components().skip(1) {
            at.push(part);
            let is_link = std::fs::symlink_metadata(&at).is_ok_and(|m| m.is_symlink());
            if is_link && let (Ok(target), Some(link)) = (std::fs::canonicalize(&at), at.to_str()) {
                return path.replacen(link, &target.to_string_lossy(), 1);
            }
        }
        path.to_owned()
    }
}

/// Files that are given with a text; no others exist.
pub(super) struct Given<'a>(pub &'a BTreeMap<PathBuf, Vec<u8>>);

impl FileAccess for Given<'_> {
    fn kind(&self, path: &str) -> Option<PathKind> {
        if self.0.contains_key(Path::new(path)) {
            return Some(PathKind::File);
        }
        let inside = |p: &PathBuf| p.starts_with(path);
        self.0.keys().any(inside).then_some(PathKind::Directory)
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let bytes = self.0.get(Path::new(path));
        bytes.cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn follow_link(&self, path: &str) -> String {
        path.to_owned()
    }
}

/// Reads files, remembers what was read, and parses each once.
pub(super) struct Store<'a> {
    access: &'a dyn FileAccess,
    /// Paths in messages are shown from here.
    shown_from: String,
    /// What was read, in order.
    pub inputs: Vec<Input>,
    sources: HashMap<String, Arc<SourceFile>>,
    documents: HashMap<String, Arc<Vec<Node>>>,
    reads: usize,
}

impl<'a> Store<'a> {
    /// A store that has read nothing.
    pub fn new(access: &'a dyn FileAccess, shown_from: &str) -> Self {
        Self {
            access,
            shown_from: shown_from.to_owned(),
            inputs: Vec::new(),
            sources: HashMap::new(),
            documents: HashMap::new(),
            reads: 0,
        }
    }

    /// What a path is, if it is there.
    pub fn kind(&self, path: &str) -> Option<PathKind> {
        self.access.kind(path)
    }

    /// The path with its first symbolic link followed.
    pub fn follow_link(&self, path: &str) -> String {
        self.access.follow_link(path)
    }

    /// What messages call a path.
    pub fn shown(&self, path: &str) -> String {
        let inside = path
            .strip_prefix(self.shown_from.as_str())
            .and_then(|rest| rest.strip_prefix('/'));
        inside.unwrap_or(path).to_owned()
    }

    /// The text of a file, by its absolute path; `wanted_at` is where it is named.
    pub fn text(
        &mut self,
        path: &str,
        wanted_at: Option<&Span>,
    ) -> Result<Arc<SourceFile>, Problem> {
        self.reads += 1;
        if self.reads > MAX_FILES * 10 || self.sources.len() > MAX_FILES {
            return Err(Problem::new(
                ProblemKind::TooLarge,
                format!("these files name each other too often: {MAX_FILES} are read at most"),
            ));
        }
        if let Some(file) = self.sources.get(path) {
            return Ok(file.clone());
        }
        let name = self.shown(path);
        let bytes = self.bytes(path, &name).map_err(|p| match wanted_at {
            Some(span) => p.or_at(span),
            None => p,
        })?;
        self.inputs.push(Input {
            path: PathBuf::from(path),
            sha256: hex(&Sha256::digest(&bytes)),
        });
        let file = SourceFile::from_bytes(name, bytes)?;
        self.sources.insert(path.to_owned(), file.clone());
        Ok(file)
    }

    fn bytes(&self, path: &str, name: &str) -> Result<Vec<u8>, Problem> {
        let missing = |why: String| {
            Problem::new(
                ProblemKind::MissingFile,
                format!("cannot read {name}: {why}"),
            )
            .help("check the path; relative paths start at the project directory")
        };
        if self.access.kind(path) == Some(PathKind::Directory) {
            return Err(missing("it is a directory".into()));
        }
        self.access.read(path).map_err(|e| match e.kind() {
            io::ErrorKind::FileTooLarge => Problem::new(
                ProblemKind::TooLarge,
                format!("{name} is larger than the {MAX_SOURCE_BYTES} bytes that are read"),
            ),
            _ => missing(io_reason(&e)),
        })
    }

    /// The YAML documents of a file, by its absolute path.
    pub fn documents(&mut self, path: &str, at: Option<&Span>) -> Result<Arc<Vec<Node>>, Problem> {
        if let Some(docs) = self.documents.get(path) {
            self.reads += 1;
            return Ok(docs.clone());
        }
        let file = self.text(path, at)?;
        let docs = Arc::new(yaml::parse_all(&file)?);
        self.documents.insert(path.to_owned(), docs.clone());
        Ok(docs)
    }

    /// Puts a text in the place of a file.
    pub fn insert(&mut self, path: &str, name: &str, text: &str) {
        self.inputs.push(Input {
            path: PathBuf::from(path),
            sha256: hex(&Sha256::digest(text.as_bytes())),
        });
        let file = SourceFile::new(name, text);
        self.sources.insert(path.to_owned(), file);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut s, b| {
        let _ = write!(s, "{b:02x}");
        s
    })
}

/// Whether a path names something that Compose would fetch (a Git or OCI reference).
pub(super) fn is_remote(path: &str) -> bool {
    path.contains("://") || path.starts_with("git@") || path.starts_with("github.com/")
}

/// The problem of a path that would have to be fetched.
pub(super) fn remote_refused(path: &str, span: &Span) -> Problem {
    Problem::at(
        ProblemKind::Unsupported,
        span,
        format!("`{path}` is remote; only local files are read"),
    )
    .help("fetch it first and name the local copy")
}

/// The first of several names that is a path in a directory.
pub(super) fn first_existing(store: &Store<'_>, dir: &str, names: &[&str]) -> Option<String> {
    names
        .iter()
        .map(|name| lexical::join(dir, name))
        .find(|path| store.kind(path).is_some())
}
