//! Source files and places in them.
//!
//! Everything that is read from a file keeps its place to the end, so that a failed
//! expectation or a refused value can point at the very line that says so.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

/// The largest file that is read as a specification, in bytes.
pub const MAX_SOURCE_BYTES: u64 = 32 * 1024 * 1024;

/// One file that was read, with the name that people know it by.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Path as it is shown in messages.
    pub name: String,
    /// The whole text.
    pub text: String,
    /// Where it was read from; absent for text that is in no file.
    pub path: Option<PathBuf>,
}

impl SourceFile {
    /// Wraps text under a display name.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self::made(name.into(), text.into(), None))
    }

    fn made(name: String, text: String, path: Option<PathBuf>) -> Self {
        Self { name, text, path }
    }

    /// Where a path that this file names is: beside the file itself.
    pub fn beside(&self, relative: &str) -> PathBuf {
        let folder = self.path.as_deref().and_then(Path::parent);
        folder.map_or_else(|| PathBuf::from(relative), |f| f.join(relative))
    }

    /// What messages call a path that this file names.
    pub fn name_beside(&self, relative: &str) -> String {
        let folder = Path::new(&self.name).parent().unwrap_or(Path::new(""));
        let mut parts: Vec<std::path::Component<'_>> = Vec::new();
        let joined = folder.join(relative);
        for part in joined.components() {
            match (part, parts.last()) {
                (std::path::Component::CurDir, _) => {}
                (std::path::Component::ParentDir, Some(std::path::Component::Normal(_))) => {
                    parts.pop();
                }
                _ => parts.push(part),
            }
        }
        let clean: PathBuf = parts.into_iter().collect();
        clean.to_string_lossy().into_owned()
    }

    /// Reads a file as UTF-8; `name` is what messages call it.
    ///
    /// # Errors
    /// A [`Problem`](crate::diag::Problem) when the file cannot be read, is larger than
    /// [`MAX_SOURCE_BYTES`], or is not UTF-8 (with the line of the first bad byte).
    pub fn read(path: &Path, name: impl Into<String>) -> Result<Arc<Self>, crate::diag::Problem> {
        use crate::diag::{Problem, ProblemKind};
        let name = name.into();
        let fail = |what: String| Problem::new(ProblemKind::MissingFile, what);
        let meta = std::fs::metadata(path).map_err(|e| {
            let shown = path.display();
            fail(format!("cannot read {name}: {}", io_reason(&e)))
                .help(format!("check the path; what was looked for is {shown}"))
        })?;
        if meta.is_dir() {
            return Err(fail(format!("cannot read {name}: it is a directory")));
        }
        if meta.len() > MAX_SOURCE_BYTES {
            return Err(Problem::new(
                ProblemKind::TooLarge,
                format!(
                    "{name} has {} bytes; at most {MAX_SOURCE_BYTES} are read",
                    meta.len()
                ),
            ));
        }
        let bytes = std::fs::read(path)
            .map_err(|e| fail(format!("cannot read {name}: {}", io_reason(&e))))?;
        Self::decoded(name, bytes, Some(path.to_owned()))
    }

    /// Takes the bytes of a file as UTF-8, without a byte order mark.
    ///
    /// # Errors
    /// A [`Problem`](crate::diag::Problem) with the line of the first byte that is not UTF-8.
    pub fn from_bytes(
        name: impl Into<String>,
        bytes: Vec<u8>,
    ) -> Result<Arc<Self>, crate::diag::Problem> {
        Self::decoded(name.into(), bytes, None)
    }

    fn decoded(
        name: String,
        bytes: Vec<u8>,
        path: Option<PathBuf>,
    ) -> Result<Arc<Self>, crate::diag::Problem> {
        use crate::diag::{Problem, ProblemKind};
        match String::from_utf8(bytes) {
            Ok(text) => {
                let text = match text.strip_prefix('\u{feff}') {
                    Some(rest) => rest.to_owned(),
                    None => text,
                };
                Ok(Arc::new(Self::made(name, text, path)))
            }
            Err(e) => {
                let valid = e.utf8_error().valid_up_to();
                let line = e.as_bytes()[..valid]
                    .iter()
                    .filter(|b| **b == b'\n')
                    .count()
                    + 1;
                Err(Problem::new(
                    ProblemKind::Syntax,
                    format!("{name}:{line}: the file is not valid UTF-8 (byte {valid})"),
                )
                .help("save the file as UTF-8"))
            }
        }
    }
}

/// The reason of an I/O error in words, without the number of the operating system.
pub fn io_reason(e: &std::io::Error) -> String {
    match e.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => e.to_string(),
    }
}

static GENERATED: LazyLock<Arc<SourceFile>> = LazyLock::new(|| SourceFile::new("", ""));

/// A place in a source file: 1-based lines and columns (in characters), end exclusive.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    /// The file.
    pub file: Arc<SourceFile>,
    /// First line, from 1. Zero when the place is not in any file.
    pub line: u32,
    /// First column, from 1.
    pub col: u32,
    /// Last line.
    pub end_line: u32,
    /// Column after the last character.
    pub end_col: u32,
}

impl Span {
    /// A span over part of one line; `len` in characters.
    pub fn in_line(file: &Arc<SourceFile>, line: u32, col: u32, len: u32) -> Self {
        Self {
            file: file.clone(),
            line,
            col,
            end_line: line,
            end_col: col + len,
        }
    }

    /// The place of a value that no file holds (a default, a computed value).
    pub fn generated() -> Self {
        Self {
            file: GENERATED.clone(),
            line: 0,
            col: 0,
            end_line: 0,
            end_col: 0,
        }
    }

    /// Whether this place is in a file.
    pub fn is_real(&self) -> bool {
        self.line > 0
    }

    /// From this place's start to the other's end (both must be of one file).
    pub fn to(&self, end: &Span) -> Self {
        Self {
            end_line: end.end_line,
            end_col: end.end_col,
            ..self.clone()
        }
    }

    /// The bytes of the file's text that the span covers.
    pub fn byte_range(&self) -> Range<usize> {
        let start = byte_offset(&self.file.text, self.line, self.col);
        let end = byte_offset(&self.file.text, self.end_line, self.end_col).max(start);
        start..end
    }

    /// The text that the span covers.
    pub fn text(&self) -> &str {
        self.file.text.get(self.byte_range()).unwrap_or("")
    }
}

fn byte_offset(text: &str, line: u32, col: u32) -> usize {
    let mut at = 0;
    for _ in 1..line {
        match text[at..].find('\n') {
            Some(n) => at += n + 1,
            None => return text.len(),
        }
    }
    let rest = &text[at..];
    rest.char_indices()
        .nth(col.saturating_sub(1) as usize)
        .map_or(text.len(), |(i, _)| at + i)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_real() {
            write!(f, "{}:{}:{}", self.file.name, self.line, self.col)
        } else {
            f.write_str("(generated)")
        }
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
