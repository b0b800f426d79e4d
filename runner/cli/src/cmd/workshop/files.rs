//! The files that production mounts into a service, below `.prodmirror/env/SERVICE/`.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Component, Path, PathBuf};

use prodmirror_engine::agent::CA_PATH;
use prodmirror_model::plan::{ContainerPlan, FileContent, FilePlan};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::rewrite::Book;

/// The largest file of this machine in which names are replaced; others are left where they are.
const LARGEST: u64 = 1 << 20;

/// One file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Its path in the service.
    pub target: String,
    /// Its path here.
    pub path: PathBuf,
    /// Whether it holds a secret.
    pub is_secret: bool,
    /// What could not be done.
    pub doubts: Vec<String>,
}

/// Writes the files of a service anew. `authority` is the certificate that signs the mirror's
/// stubs.
pub fn export(
    dir: &Path,
    container: &ContainerPlan,
    book: &Book,
    authority: Option<&str>,
) -> io::Result<Vec<Exported>> {
    // What an earlier mirror left must not be taken for this one's.
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut exported = Vec::new();
    for file in &container.files {
        let given = match (file.target.as_str(), authority) {
            (CA_PATH, Some(pem)) => FilePlan {
                content: FileContent::Text(pem.to_owned()),
                ..file.clone()
            },
            _ => file.clone(),
        };
        let path = dir.join(inside(&file.target));
        exported.push(put(&path, &given, book)?);
    }
    Ok(exported)
}

/// Writes one file or directory; gives where it is.
fn put(path: &Path, file: &FilePlan, book: &Book) -> io::Result<Exported> {
    let mut exported = Exported {
        target: file.target.clone(),
        path: path.to_owned(),
        is_secret: file.content.is_secret(),
        doubts: Vec::new(),
    };
    let mode = if exported.is_secret { 0o600 } else { 0o644 };
    match &file.content {
        FileContent::Text(text) => put_text(&mut exported, text, mode, book)?,
        FileContent::Secret(secret) => put_text(&mut exported, secret.expose(), mode, book)?,
        FileContent::Base64(secret) => {
            let bytes = STANDARD.decode(secret.expose()).map_err(io::Error::other)?;
            write(path, &bytes, mode)?;
        }
        FileContent::HostPath(source) => {
            let small = fs::metadata(source).is_ok_and(|m| m.is_file() && m.len() <= LARGEST);
            match small.then(|| fs::read_to_string(source)) {
                Some(Ok(text)) => put_text(&mut exported, &text, mode, book)?,
                // It is read where it is: a directory, or no text.
                _ => exported.path.clone_from(source),
            }
        }
        FileContent::Directory(files) => {
            directory(path)?;
            for file in files {
                // Their paths are below the directory's.
                let name = file.target.strip_prefix(&exported.target);
                let name = name.unwrap_or(&file.target);
                let inner = put(&path.join(inside(name)), file, book)?;
                exported.doubts.extend(inner.doubts);
            }
        }
    }
    Ok(exported)
}

fn put_text(exported: &mut Exported, text: &str, mode: u32, book: &Book) -> io::Result<()> {
    let new = book.text(text);
    let target = &exported.target;
    let doubts = new.doubts.iter().map(|d| format!("{target}: {d}"));
    exported.doubts.extend(doubts);
    write(&exported.path, new.text.as_bytes(), mode)
}

/// A path of a service as one below a directory: nothing in it leads out.
fn inside(target: &str) -> PathBuf {
    let parts = Path::new(target).components();
    parts
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect()
}

/// The name of a service as one of a file.
pub fn file_name(service: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let name: String = service
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    match name.starts_with('.') {
        true => format!("_{name}"),
        false => name,
    }
}

/// Where the files of services are.
pub fn directory_of(root: &Path) -> PathBuf {
    root.join(".prodmirror").join("env")
}

/// Where a file of a service is, when it was exported.
pub fn exported_at(root: &Path, service: &str, target: &str) -> PathBuf {
    directory_of(root)
        .join(file_name(service))
        .join(inside(target))
}

/// Lets a file hold something else. It stays the same file: somebody may be watching it.
pub fn rewrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
}

/// Makes a directory for what may hold secrets, which no repository takes.
pub fn prepare(dir: &Path) -> io::Result<()> {
    directory(dir)?;
    let ignore = dir.join(".gitignore");
    match ignore.exists() {
        true => Ok(()),
        false => fs::write(ignore, "*\n"),
    }
}

fn directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Writes a file that nobody else can read meanwhile.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    directory(path.parent().unwrap_or(Path::new(".")))?;
    // One that is there may be open to others.
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_beside_the_directory() {
        assert_eq!(inside("/etc/../../x"), Path::new("etc/x"));
        assert_eq!(inside("/run/./a"), Path::new("run/a"));
        assert_eq!(file_name(".."), "_..");
        assert_eq!(file_name("a/b"), "a_b");
    }
}
