//! Where a bundle is unpacked: a directory that nobody else uses meanwhile.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A directory below `.prodmirror/repro/`. While this lives, no other process takes it: of two
/// `repro` of one bundle at once, the second has one of its own.
#[derive(Debug)]
pub struct Place {
    /// The directory; it need not be there.
    pub path: PathBuf,
    lock: PathBuf,
    _held: File,
}

impl Place {
    /// The first of `name`, `name-2`, `name-3`… that nobody uses. What an earlier one left there
    /// is removed.
    ///
    /// # Errors
    /// The disk's.
    pub fn take(below: &Path, name: &str) -> io::Result<Self> {
        std::fs::create_dir_all(below)?;
        let mut number = 1;
        loop {
            let name = match number {
                1 => name.to_owned(),
                n => format!("{name}-{n}"),
            };
            let lock = below.join(format!("{name}.lock"));
            match held(&lock)? {
                Held::Here(file) => {
                    let place = Self {
                        path: below.join(name),
                        lock,
                        _held: file,
                    };
                    place.remove()?;
                    return Ok(place);
                }
                Held::Elsewhere => number += 1,
                Held::Gone => {}
            }
        }
    }

    /// Removes the directory, if it is there.
    ///
    /// # Errors
    /// The disk's.
    pub fn remove(&self) -> io::Result<()> {
        match std::fs::remove_dir_all(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Before the lock ends: whoever waited for it sees that its file is another one now.
        let _ = std::fs::remove_file(&self.lock);
    }
}

enum Held {
    /// By this process, with the file that holds it.
    Here(File),
    /// By another one.
    Elsewhere,
    /// The file was removed while it was opened.
    Gone,
}

fn held(path: &Path) -> io::Result<Held> {
    let options = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    let file = options?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Held::Elsewhere),
        Err(TryLockError::Error(e)) => return Err(e),
    }
    // A lock on a file that its holder has removed keeps nobody out.
    let (own, there) = (file.metadata()?, std::fs::metadata(path));
    Ok(match there {
        Ok(there) if (there.dev(), there.ino()) == (own.dev(), own.ino()) => Held::Here(file),
        Ok(_) => Held::Gone,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Held::Gone,
        Err(e) => return Err(e),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_of_its_own_and_nothing_of_another_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("repro");
        let first = Place::take(&below, "abc").unwrap();
        std::fs::create_dir(&first.path).unwrap();
        std::fs::write(first.path.join("kept"), "x").unwrap();
        let second = Place::take(&below, "abc").unwrap();
        assert_eq!(second.path, below.join("abc-2"));
        let third = Place::take(&below, "abc").unwrap();
        assert_eq!(third.path, below.join("abc-3"));
        drop(second);
        assert_eq!(
            Place::take(&below, "abc").unwrap().path,
            below.join("abc-2")
        );
        assert!(first.path.join("kept").is_file());
        drop((first, third));
        // What ended is replaced, and no lock is left.
        let again = Place::take(&below, "abc").unwrap();
        assert_eq!(again.path, below.join("abc"));
        assert!(!again.path.exists());
        drop(again);
        assert_eq!(std::fs::read_dir(&below).unwrap().count(), 0);
    }

    #[test]
    fn however_many_take_and_leave_one_no_two_have_it() {
        let dir = tempfile::tempdir().unwrap();
        let taken = |_| {
            for _ in 0..200 {
                let place = Place::take(dir.path(), "abc").unwrap();
                // Fails when it is there already.
                std::fs::create_dir(&place.path).unwrap();
                place.remove().unwrap();
            }
        };
        std::thread::scope(|s| {
            for n in 0..4 {
                s.spawn(move || taken(n));
            }
        });
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
