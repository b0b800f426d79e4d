//! A folder as a build context.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// A file of a build context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContextFile {
    /// Its path in the context, with `/`.
    pub path: String,
    /// Whether it may be executed: 0o111 when all may, else the bits that are set.
    pub execute: u32,
    /// Its content.
    pub content: Vec<u8>,
}

/// The files of a folder: of each directory first its files, then its directories, by name.
/// Python's caches are left out: they are made by running tests, not by editing.
pub(super) fn files(folder: &Path) -> io::Result<Vec<ContextFile>> {
    let mut found = Vec::new();
    walk(folder, "", &mut found)?;
    Ok(found)
}

fn walk(dir: &Path, prefix: &str, found: &mut Vec<ContextFile>) -> io::Result<()> {
    let mut entries: Vec<(String, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| {
            io::Error::other(format!("the name of {} is not UTF-8", name.display()))
        })?;
        if name != "__pycache__" {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    let (dirs, files): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(_, p)| p.is_dir());
    for (name, path) in files {
        found.push(ContextFile {
            path: format!("{prefix}{name}"),
            execute: std::fs::metadata(&path)?.permissions().mode() & 0o111,
            content: std::fs::read(&path)?,
        });
    }
    for (name, path) in dirs {
        walk(&path, &format!("{prefix}{name}/"), found)?;
    }
    Ok(())
}

/// The files as a tar archive in which nothing depends on who checked them out and when:
/// root's, without times, readable by all.
pub(super) fn archive(files: &[ContextFile]) -> io::Result<Bytes> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut dirs: Vec<&str> = Vec::new();
    for file in files {
        for (at, _) in file.path.match_indices('/') {
            let dir = &file.path[..at];
            if !dirs.contains(&dir) {
                dirs.push(dir);
                append(
                    &mut tar,
                    &format!("{dir}/"),
                    tar::EntryType::Directory,
                    (0o755, &[]),
                )?;
            }
        }
        let mode = 0o644 | file.execute;
        append(
            &mut tar,
            &file.path,
            tar::EntryType::Regular,
            (mode, &file.content),
        )?;
    }
    Ok(tar.into_inner()?.into())
}

fn append(
    tar: &mut tar::Builder<Vec<u8>>,
    path: &str,
    kind: tar::EntryType,
    (mode, content): (u32, &[u8]),
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, path, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_has_all_files_in_order_with_their_modes() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, mode: u32| {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "x").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        put("z", 0o600);
        put("b/run", 0o755);
        put("b/__pycache__/run.pyc", 0o644);
        let files = files(dir.path()).unwrap();
        let seen: Vec<_> = files.iter().map(|f| (f.path.as_str(), f.execute)).collect();
        assert_eq!(seen, [("z", 0), ("b/run", 0o111)]);

        let bytes = archive(&files).unwrap();
        let mut tar = tar::Archive::new(&bytes[..]);
        let entries: Vec<_> = tar
            .entries()
            .unwrap()
            .map(|e| {
                let e = e.unwrap();
                let path = e.path().unwrap().display().to_string();
                (path, e.header().mode().unwrap())
            })
            .collect();
        assert_eq!(
            entries,
            [
                ("z".to_owned(), 0o644),
                ("b/".to_owned(), 0o755),
                ("b/run".to_owned(), 0o755)
            ]
        );
    }
}
