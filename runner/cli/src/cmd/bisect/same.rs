//! Whether two paths lead to the same content: a file or a directory of one checkout or another.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

/// Directories that are larger than this are compared by their paths alone.
const MOST: usize = 10_000;

/// Whether the files or directories at two paths say the same.
pub fn same_path(one: &str, other: &str) -> bool {
    one == other || same(Path::new(one), Path::new(other), &mut 0)
}

fn same(one: &Path, other: &Path, seen: &mut usize) -> bool {
    *seen += 1;
    if *seen > MOST {
        return false;
    }
    let (Ok(a), Ok(b)) = (one.symlink_metadata(), other.symlink_metadata()) else {
        return false;
    };
    let (a, b) = (a.file_type(), b.file_type());
    if a.is_symlink() && b.is_symlink() {
        return std::fs::read_link(one).ok() == std::fs::read_link(other).ok();
    }
    if a.is_dir() && b.is_dir() {
        let (Some(ours), Some(theirs)) = (names(one), names(other)) else {
            return false;
        };
        return ours == theirs
            && ours
                .iter()
                .all(|n| same(&one.join(n), &other.join(n), seen));
    }
    a.is_file() && b.is_file() && same_file(one, other)
}

fn names(dir: &Path) -> Option<BTreeSet<OsString>> {
    let entries = std::fs::read_dir(dir).ok()?;
    entries.map(|e| Some(e.ok()?.file_name())).collect()
}

fn same_file(one: &Path, other: &Path) -> bool {
    let size = |p: &Path| p.metadata().ok().map(|m| m.len());
    if size(one) != size(other) {
        return false;
    }
    matches!((std::fs::read(one), std::fs::read(other)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_the_same_by_what_is_in_them() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        for (name, text) in [("a", "x"), ("b", "x"), ("c", "y")] {
            std::fs::create_dir_all(dir.path().join(name).join("sub")).unwrap();
            std::fs::write(dir.path().join(name).join("sub/file"), text).unwrap();
        }
        assert!(same_path(&at("a"), &at("b")));
        assert!(!same_path(&at("a"), &at("c")));
        assert!(!same_path(&at("a"), &at("missing")));
        std::fs::write(dir.path().join("b/more"), "").unwrap();
        assert!(!same_path(&at("a"), &at("b")));
    }
}
