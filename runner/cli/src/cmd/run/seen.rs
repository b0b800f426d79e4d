//! Files that are looked at again and again: what a save changes of them is seen.
//!
//! They are asked for their state, which works on every file system (shared folders of virtual
//! machines tell nobody of changes), and sees an editor that writes a new file and renames it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Files below one directory at most; of more than so many nobody waits for a save.
const MOST: usize = 5_000;

/// The state of a file: another one after every write and every rename. Its change time cannot
/// be set from outside, as the time of its content can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    inode: u64,
    changed: (i64, i64),
    size: u64,
}

impl Mark {
    fn of(path: &Path) -> Option<Self> {
        let m = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: m.ino(),
            changed: (m.ctime(), m.ctime_nsec()),
            size: m.len(),
        })
    }

    fn time(&self) -> Option<SystemTime> {
        let seconds = u64::try_from(self.changed.0).ok()?;
        let nanos = u32::try_from(self.changed.1).ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))
    }
}

/// What was seen of files.
#[derive(Debug, Default)]
pub struct Seen(BTreeMap<PathBuf, Option<Mark>>);

/// Files that changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// Their paths.
    pub paths: BTreeSet<PathBuf>,
    /// When the last of them was saved.
    pub saved: Option<SystemTime>,
}

impl Seen {
    /// Looks at files for the first time, and forgets all others. What was seen of one before
    /// stays, so that a save in between is still one.
    pub fn watch(&mut self, paths: BTreeSet<PathBuf>) {
        let before = std::mem::take(&mut self.0);
        self.0 = paths
            .into_iter()
            .map(|p| {
                let mark = before.get(&p).copied().unwrap_or_else(|| Mark::of(&p));
                (p, mark)
            })
            .collect();
    }

    /// Looks again, also at files that may be new.
    pub fn changes(&mut self, new: BTreeSet<PathBuf>) -> Changes {
        let mut changes = Changes::default();
        for path in new {
            self.0.entry(path).or_insert(None);
        }
        for (path, mark) in &mut self.0 {
            let now = Mark::of(path);
            if now == *mark {
                continue;
            }
            *mark = now;
            changes.paths.insert(path.clone());
            changes.saved = changes.saved.max(now.and_then(|m| m.time()));
        }
        changes
    }
}

impl Seen {
    /// Whether one of these is empty: it was opened to be written anew.
    pub fn has_empty(&self, paths: &BTreeSet<PathBuf>) -> bool {
        let mut marks = paths.iter().filter_map(|p| self.0.get(p));
        marks.any(|m| m.as_ref().is_some_and(|m| m.size == 0))
    }
}

impl Changes {
    /// Takes over what changed later.
    pub fn add(&mut self, other: Self) {
        self.paths.extend(other.paths);
        self.saved = self.saved.max(other.saved);
    }
}

/// All files below a directory (or the file itself), without hidden ones.
pub fn below(path: &Path, to: &mut BTreeSet<PathBuf>) {
    if !path.is_dir() {
        to.insert(path.to_owned());
        return;
    }
    let mut open = vec![path.to_owned()];
    let mut left = MOST;
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with('.') || left == 0 {
                continue;
            }
            left -= 1;
            // Links are not followed: they may lead in circles.
            match entry.file_type() {
                Ok(t) if t.is_dir() => open.push(entry.path()),
                Ok(_) => {
                    to.insert(entry.path());
                }
                Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_renames_removals_and_new_files_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("a"), "1").unwrap();
        std::fs::write(at("b"), "1").unwrap();
        let mut seen = Seen::default();
        seen.watch([at("a"), at("b")].into());
        let mut changed = |new: BTreeSet<PathBuf>| seen.changes(new).paths;
        assert_eq!(changed(BTreeSet::new()), BTreeSet::new());
        std::fs::write(at("a"), "22").unwrap();
        assert_eq!(changed(BTreeSet::new()), [at("a")].into());
        // As vim and others save: another file takes the name, its content no younger.
        std::fs::write(at("a.new"), "22").unwrap();
        std::fs::rename(at("a.new"), at("a")).unwrap();
        assert_eq!(changed(BTreeSet::new()), [at("a")].into());
        std::fs::remove_file(at("b")).unwrap();
        assert_eq!(changed(BTreeSet::new()), [at("b")].into());
        std::fs::write(at("c"), "1").unwrap();
        assert_eq!(changed([at("c")].into()), [at("c")].into());
        assert_eq!(changed([at("c")].into()), BTreeSet::new());
        assert!(!seen.has_empty(&[at("a"), at("b")].into()));
        std::fs::write(at("a"), "").unwrap();
        seen.changes(BTreeSet::new());
        assert!(seen.has_empty(&[at("a"), at("b")].into()));
    }
}
