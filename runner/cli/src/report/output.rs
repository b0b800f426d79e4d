//! Where reports go. A file is replaced as a whole or not at all.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Where a report goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output, once, at the end.
    Stdout,
    /// A file, made anew.
    File(PathBuf),
}

impl Target {
    /// Reads a path of the command line; `-` is standard output.
    pub fn parse(path: &str) -> Self {
        if path == "-" {
            Self::Stdout
        } else {
            Self::File(path.into())
        }
    }

    /// Whether it can be replaced while the run goes on.
    pub fn is_replaceable(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// Puts `content` there. Whoever reads the file meanwhile sees the old or the new one, and
    /// so does whoever reads it after a crash.
    ///
    /// # Errors
    /// When it cannot be written; the old file is then untouched.
    pub fn put(&self, content: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(content)?;
                out.flush()
            }
            Self::File(path) => replace(path, content),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("on standard output"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    // A device or a pipe (`/dev/stdout`) is written to, not replaced.
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file() && !m.is_dir()) {
        return File::options().write(true).open(path)?.write_all(content);
    }
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(dir)?;
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
    // In the same directory, so that the rename is atomic; named after the process, so that
    // two runs with one target do not write into each other's file.
    let mut temp_name = temp_prefix(name);
    temp_name.push(format!("{}.tmp", std::process::id()));
    let temp = dir.join(temp_name);
    let written = write_and_rename(&temp, path, content);
    if written.is_err() {
        let _ = std::fs::remove_file(&temp);
    }
    written?;
    if let Ok(dir) = File::open(dir) {
        // Not every file system can; the rename itself has happened.
        let _ = dir.sync_all();
    }
    Ok(())
}

fn temp_prefix(name: &std::ffi::OsStr) -> std::ffi::OsString {
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    prefix
}

/// Removes what a process that was killed while it wrote `path` left beside it.
pub fn remove_unfinished(path: &Path) {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return;
    };
    let dir = if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    };
    let prefix = temp_prefix(name);
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let file = entry.file_name();
        let writer = file
            .as_encoded_bytes()
            .strip_prefix(prefix.as_encoded_bytes())
            .and_then(|rest| rest.strip_suffix(b".tmp"))
            .and_then(|pid| std::str::from_utf8(pid).ok()?.parse().ok())
            .and_then(rustix::process::Pid::from_raw);
        let Some(writer) = writer else { continue };
        let gone = rustix::process::test_kill_process(writer) == Err(rustix::io::Errno::SRCH);
        if gone {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn write_and_rename(temp: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(temp)?;
    file.write_all(content)?;
    file.sync_data()?;
    std::fs::rename(temp, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/r.xml");
        let target = Target::parse(path.to_str().unwrap());
        target.put(b"one").unwrap();
        target.put(b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        assert!(Target::File(taken.clone()).put(b"x").is_err());
        assert!(taken.is_dir());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
