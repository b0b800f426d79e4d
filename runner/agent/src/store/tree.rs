//! Copies of directory trees that keep everything: owners, modes, times, extended attributes,
//! holes, hard links, sockets, pipes and devices; and what a tree holds as one hash.

use std::collections::HashMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// How much is read at once.
const PIECE: usize = 1 << 20;

/// What a tree holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// SHA-256 of the list of all that is in it, in hexadecimal digits.
    pub hash: String,
    /// Files, directories and all else, without the top.
    pub entries: u64,
    /// Bytes of all files, holes included.
    pub bytes: u64,
}

/// Is told of each piece of a file that was read, and may end the work.
pub type Progress<'p> = &'p mut dyn FnMut(u64) -> io::Result<()>;

/// A tree that is copied, or only read.
pub struct Walk<'p> {
    to: Option<PathBuf>,
    list: Sha256,
    content: Content,
    /// The first path of each file that has several.
    links: HashMap<(u64, u64), PathBuf>,
    known: Option<&'p mut Known>,
    progress: Progress<'p>,
}

/// Large files that are sealed already, by size. Their hashes are read when a file of the same
/// size comes.
#[derive(Debug, Default)]
pub struct Known {
    by_size: HashMap<u64, Vec<PathBuf>>,
    by_hash: HashMap<PathBuf, String>,
}

/// Files below this size are not worth sharing.
const SHARED: u64 = 64 * 1024;

impl Known {
    /// The files of all contents in a directory.
    pub fn of(contents: &Path) -> Self {
        let mut known = Self::default();
        known.look(contents);
        known
    }

    fn look(&mut self, dir: &Path) {
        let Ok(entries) = fs::read_dir(dir) else {
            return;
        };
        for entry in entries.filter_map(Result::ok) {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                self.look(&entry.path());
            } else if meta.is_file() && meta.len() >= SHARED {
                let same = self.by_size.entry(meta.len()).or_default();
                same.push(entry.path());
            }
        }
    }

    /// A file with this content, if one is sealed.
    fn find(&mut self, size: u64, hash: &str) -> Option<PathBuf> {
        for path in self.by_size.get(&size)?.clone() {
            if !self.by_hash.contains_key(&path) {
                let read = hash_of(&path).unwrap_or_default();
                self.by_hash.insert(path.clone(), read);
            }
            if self.by_hash.get(&path).is_some_and(|h| h == hash) {
                return Some(path);
            }
        }
        None
    }
}

fn hash_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; PIECE];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

/// What an entry has besides its content.
#[derive(Debug, Clone)]
pub struct Like {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Mode; links have none.
    pub mode: Option<u32>,
    /// Extended attributes.
    pub attributes: Vec<(OsString, Vec<u8>)>,
    /// Seconds and nanoseconds of the last access and change.
    pub times: [(i64, i64); 2],
}

/// The bytes of all files that take room, of those with several names once.
pub fn size(of: &Path) -> io::Result<u64> {
    let mut seen = std::collections::HashSet::new();
    let mut all = 0;
    let mut left = vec![of.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).map_err(|e| at(&dir, &e))? {
            let entry = entry?;
            let meta = entry.metadata()?;
            if meta.is_dir() {
                left.push(entry.path());
            } else if meta.nlink() == 1 || seen.insert((meta.dev(), meta.ino())) {
                all += meta.blocks() * 512;
            }
        }
    }
    Ok(all)
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn c(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from)
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Copies what is below a directory into another one that is there and empty.
pub fn copy(from: &Path, to: &Path, progress: Progress<'_>) -> io::Result<Content> {
    Walk::new(Some(to), progress).all(from)
}

/// The same, where the file system lets files share their bytes with those that are known.
pub fn copy_sharing(
    from: &Path,
    to: &Path,
    known: &mut Known,
    progress: Progress<'_>,
) -> io::Result<Content> {
    let mut walk = Walk::new(Some(to), progress);
    walk.known = Some(known);
    walk.all(from)
}

/// What is below a directory.
pub fn content(of: &Path, progress: Progress<'_>) -> io::Result<Content> {
    Walk::new(None, progress).all(of)
}

impl<'p> Walk<'p> {
    fn new(to: Option<&Path>, progress: Progress<'p>) -> Self {
        Self {
            to: to.map(Path::to_owned),
            list: Sha256::new(),
            content: Content::default(),
            links: HashMap::new(),
            known: None,
            progress,
        }
    }

    fn all(mut self, top: &Path) -> io::Result<Content> {
        self.directory(top, Path::new(""))?;
        let to = self.to.clone();
        // The top is an entry too: its owner and mode are what a database looks at first.
        self.note(top, Path::new("."), "")?;
        if let Some(to) = to {
            like(top, &to)?;
        }
        self.content.hash = hex(&self.list.finalize());
        Ok(self.content)
    }

    fn directory(&mut self, top: &Path, below: &Path) -> io::Result<()> {
        let dir = top.join(below);
        let mut names: Vec<OsString> = Vec::new();
        for entry in fs::read_dir(&dir).map_err(|e| at(&dir, &e))? {
            names.push(entry?.file_name());
        }
        names.sort();
        for name in names {
            let path = below.join(name);
            self.entry(top, &path).map_err(|e| match e.raw_os_error() {
                Some(_) => at(&path, &e),
                None => e,
            })?;
        }
        Ok(())
    }

    fn entry(&mut self, top: &Path, path: &Path) -> io::Result<()> {
        let from = top.join(path);
        let meta = fs::symlink_metadata(&from)?;
        self.content.entries += 1;
        let to = self.to.as_ref().map(|to| to.join(path));
        let kind = meta.file_type();
        if !kind.is_dir() && meta.nlink() > 1 {
            let id = (meta.dev(), meta.ino());
            if let Some(first) = self.links.get(&id).cloned() {
                if let (Some(root), Some(to)) = (&self.to, &to) {
                    fs::hard_link(root.join(&first), to)?;
                }
                let first = escaped(first.as_os_str());
                return self.line(&format!("{} = {first}\n", escaped(path.as_os_str())));
            }
            self.links.insert(id, path.to_owned());
        }
        let mut detail = String::new();
        if kind.is_dir() {
            if let Some(to) = &to {
                fs::create_dir(to)?;
            }
            self.directory(top, path)?;
        } else if kind.is_file() {
            detail = self.file(&from, to.as_deref(), &meta)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&from)?;
            if let Some(to) = &to {
                std::os::unix::fs::symlink(&target, to)?;
            }
            detail = escaped(target.as_os_str());
        } else {
            if let Some(to) = &to {
                let name = c(to)?;
                // SAFETY: the name ends with a zero.
                let made = unsafe { libc::mknod(name.as_ptr(), meta.mode(), meta.rdev()) };
                if made == -1 {
                    return Err(io::Error::last_os_error());
                }
            }
            if kind.is_block_device() || kind.is_char_device() {
                detail = format!("{}:{}", libc::major(meta.rdev()), libc::minor(meta.rdev()));
            }
        }
        if let Some(to) = &to {
            like(&from, to)?;
        }
        self.note(&from, path, &detail)
    }

    /// Copies the bytes of a file, but for its holes, and gives their hash.
    fn file(&mut self, from: &Path, to: Option<&Path>, meta: &Metadata) -> io::Result<String> {
        let source = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NOATIME)
            .open(from)
            .or_else(|_| File::open(from))?;
        if let Some(shared) = self.shared(from, to, meta)? {
            return Ok(shared);
        }
        let target = to
            .map(|to| {
                OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(to)
            })
            .transpose()?;
        if let Some(target) = &target {
            target.set_len(meta.len())?;
        }
        let mut hash = Sha256::new();
        let mut buffer = vec![0; PIECE];
        let mut reader = &source;
        let mut offset = 0;
        loop {
            let read = reader.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            let piece = &buffer[..read];
            hash.update(piece);
            if let Some(target) = &target {
                write_but_zeros(target, piece, offset)?;
            }
            offset += read as u64;
            (self.progress)(read as u64)?;
        }
        if let Some(target) = target.filter(|_| offset != meta.len()) {
            target.set_len(offset)?;
        }
        self.content.bytes += offset;
        Ok(format!("{offset} {}", hex(&hash.finalize())))
    }

    /// Lets a file have the bytes of one that is known, if there is an equal one.
    fn shared(
        &mut self,
        from: &Path,
        to: Option<&Path>,
        meta: &Metadata,
    ) -> io::Result<Option<String>> {
        let size = meta.len();
        let (Some(known), Some(to)) = (&mut self.known, to) else {
            return Ok(None);
        };
        if size < SHARED || !known.by_size.contains_key(&size) {
            return Ok(None);
        }
        let hash = hash_of(from)?;
        let Some(same) = known.find(size, &hash) else {
            return Ok(None);
        };
        if share(&same, to).is_err() {
            // Where it cannot be shared, it is copied.
            let _ = fs::remove_file(to);
            return Ok(None);
        }
        self.content.bytes += size;
        (self.progress)(size)?;
        Ok(Some(format!("{size} {hash}")))
    }

    /// Writes an entry into the list.
    fn note(&mut self, from: &Path, path: &Path, detail: &str) -> io::Result<()> {
        let meta = fs::symlink_metadata(from)?;
        let mut line = format!(
            "{} {:o} {}:{} {detail}",
            escaped(path.as_os_str()),
            meta.mode(),
            meta.uid(),
            meta.gid()
        );
        for (name, value) in attributes(from)? {
            line.push_str(&format!(" {}={}", escaped(&name), hex(&value)));
        }
        line.push('\n');
        self.line(&line)
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        self.list.update(line.as_bytes());
        Ok(())
    }
}

/// Lets a file have its bytes from another that is equal.
fn share(from: &Path, to: &Path) -> io::Result<()> {
    let from = File::open(from)?;
    let mut options = OpenOptions::new();
    let to = options.write(true).create_new(true).mode(0o600).open(to)?;
    super::sys::share(&from, &to)
}

/// Pages of zeros are left as holes.
fn write_but_zeros(target: &File, piece: &[u8], offset: u64) -> io::Result<()> {
    const PAGE: usize = 4096;
    let mut at = 0;
    while at < piece.len() {
        let is_zero = |from: usize| {
            let page = &piece[from..piece.len().min(from + PAGE)];
            page.iter().all(|b| *b == 0)
        };
        let start = at;
        let zero = is_zero(at);
        while at < piece.len() && is_zero(at) == zero {
            at += PAGE;
        }
        let end = at.min(piece.len());
        if !zero {
            target.write_all_at(&piece[start..end], offset + start as u64)?;
        }
    }
    Ok(())
}

/// Letters, digits and plain signs as they are; all else as `%XX`.
pub fn escaped(name: &OsStr) -> String {
    let mut out = String::new();
    for byte in name.as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'/' => {
                out.push(char::from(*byte));
            }
            _ => out.push_str(&format!("%{byte:02x}")),
        }
    }
    out
}

/// Extended attributes by name, access lists among them.
pub fn attributes(path: &Path) -> io::Result<Vec<(OsString, Vec<u8>)>> {
    let name = c(path)?;
    // SAFETY: the name ends with a zero; without a buffer the kernel gives the size only.
    let size = unsafe { libc::llistxattr(name.as_ptr(), std::ptr::null_mut(), 0) };
    let Ok(size) = usize::try_from(size) else {
        return Ok(Vec::new());
    };
    let mut list = vec![0_u8; size];
    // SAFETY: the buffer has the size that is given.
    let size = unsafe { libc::llistxattr(name.as_ptr(), list.as_mut_ptr().cast(), list.len()) };
    list.truncate(usize::try_from(size).unwrap_or_default());
    let mut all = Vec::new();
    for attribute in list.split(|b| *b == 0).filter(|a| !a.is_empty()) {
        // Properties of the file system itself, and what the kernel gives each file.
        if attribute.starts_with(b"btrfs.") || attribute == b"security.selinux" {
            continue;
        }
        let key = CString::new(attribute)?;
        let mut value = vec![0_u8; 64 * 1024];
        // SAFETY: both names end with a zero; the buffer has the size that is given.
        let size = unsafe {
            libc::lgetxattr(
                name.as_ptr(),
                key.as_ptr(),
                value.as_mut_ptr().cast(),
                value.len(),
            )
        };
        let Ok(size) = usize::try_from(size) else {
            return Err(io::Error::last_os_error());
        };
        value.truncate(size);
        all.push((OsString::from_vec(attribute.to_vec()), value));
    }
    all.sort();
    Ok(all)
}

/// Gives a copy the owner, mode, attributes and times of what it is a copy of.
pub fn like(from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(from)?;
    let is_link = meta.file_type().is_symlink();
    let like = Like {
        uid: meta.uid(),
        gid: meta.gid(),
        mode: (!is_link).then_some(meta.mode() & 0o7777),
        attributes: attributes(from)?,
        times: [
            (meta.atime(), meta.atime_nsec()),
            (meta.mtime(), meta.mtime_nsec()),
        ],
    };
    like.give(to)
}

impl Like {
    /// Gives it to an entry.
    pub fn give(&self, to: &Path) -> io::Result<()> {
        let name = c(to)?;
        std::os::unix::fs::lchown(to, Some(self.uid), Some(self.gid))?;
        if let Some(mode) = self.mode {
            fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
        }
        for (key, value) in &self.attributes {
            let key = CString::new(key.as_bytes())?;
            // SAFETY: both names end with a zero; the value has the size that is given.
            let set = unsafe {
                libc::lsetxattr(
                    name.as_ptr(),
                    key.as_ptr(),
                    value.as_ptr().cast(),
                    value.len(),
                    0,
                )
            };
            if set == -1 {
                return Err(io::Error::last_os_error());
            }
        }
        let times = self.times.map(|(seconds, nanos)| {
            // SAFETY: all zeros is a time.
            let mut time: libc::timespec = unsafe { std::mem::zeroed() };
            time.tv_sec = seconds as _;
            time.tv_nsec = nanos as _;
            time
        });
        // SAFETY: the name ends with a zero; there are two times.
        let set = unsafe {
            libc::utimensat(
                libc::AT_FDCWD,
                name.as_ptr(),
                times.as_ptr(),
                libc::AT_SYMLINK_NOFOLLOW,
            )
        };
        match set {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

/// Flushes a directory's file system to its disk.
pub fn sync(dir: &Path) -> io::Result<()> {
    let dir = File::open(dir)?;
    // SAFETY: the descriptor is open.
    match unsafe { libc::syncfs(dir.as_raw_fd()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    fn dirs(name: &str) -> (PathBuf, PathBuf) {
        let top =
            std::env::temp_dir().join(format!("prodmirror-tree-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&top);
        let (from, to) = (top.join("from"), top.join("to"));
        fs::create_dir_all(&from).unwrap();
        fs::create_dir_all(&to).unwrap();
        (from, to)
    }

    #[test]
    fn a_copy_has_all_that_the_original_has() {
        let (from, to) = dirs("all");
        fs::create_dir(from.join("d")).unwrap();
        fs::write(from.join("d/plain"), b"hello").unwrap();
        fs::set_permissions(from.join("d/plain"), fs::Permissions::from_mode(0o2751)).unwrap();
        fs::write(from.join("empty"), b"").unwrap();
        let sparse = File::create(from.join("sparse")).unwrap();
        sparse.write_all_at(b"end", 8 << 20).unwrap();
        fs::hard_link(from.join("d/plain"), from.join("link")).unwrap();
        symlink("no\nwhere", from.join("sym")).unwrap();
        fs::write(from.join(OsStr::from_bytes(b"bad\xff \n")), b"x").unwrap();
        drop(UnixListener::bind(from.join("socket")).unwrap());
        let mut seen = 0;
        let mut count = |n| {
            seen += n;
            Ok(())
        };
        let copied = copy(&from, &to, &mut count).unwrap();
        let mut nothing = |_| Ok(());
        assert_eq!(copied, content(&from, &mut nothing).unwrap());
        assert_eq!(copied, content(&to, &mut nothing).unwrap());
        assert_eq!(copied.entries, 8);
        assert_eq!(copied.bytes, 5 + 1 + 3 + (8 << 20));
        assert_eq!(seen, copied.bytes);
        let meta = |path: &str| fs::symlink_metadata(to.join(path)).unwrap();
        assert_eq!(meta("d/plain").mode() & 0o7777, 0o2751);
        assert_eq!(meta("d/plain").ino(), meta("link").ino());
        assert!(meta("socket").file_type().is_socket());
        assert!(meta("sparse").blocks() * 512 < 1 << 20, "it has no holes");
        let times = |path: &Path| fs::symlink_metadata(path).unwrap().mtime_nsec();
        assert_eq!(times(&from.join("sym")), times(&to.join("sym")));
        fs::remove_dir_all(from.parent().unwrap()).unwrap();
    }

    #[test]
    fn every_change_changes_the_hash() {
        let (from, _) = dirs("hash");
        fs::write(from.join("a"), b"hello").unwrap();
        let mut nothing = |_| Ok(());
        let mut seen = vec![content(&from, &mut nothing).unwrap().hash];
        let mut changed = |change: &dyn Fn()| {
            change();
            let hash = content(&from, &mut |_| Ok(())).unwrap().hash;
            assert!(!seen.contains(&hash));
            seen.push(hash);
        };
        changed(&|| fs::write(from.join("a"), b"hellp").unwrap());
        changed(&|| {
            fs::set_permissions(from.join("a"), fs::Permissions::from_mode(0o600)).unwrap()
        });
        changed(&|| fs::rename(from.join("a"), from.join("b")).unwrap());
        changed(&|| symlink("b", from.join("c")).unwrap());
        changed(&|| fs::hard_link(from.join("b"), from.join("d")).unwrap());
        changed(&|| fs::set_permissions(&from, fs::Permissions::from_mode(0o700)).unwrap());
        fs::remove_dir_all(from.parent().unwrap()).unwrap();
    }

    #[test]
    fn it_ends_when_it_is_told_to() {
        let (from, to) = dirs("stop");
        fs::write(from.join("a"), b"hello").unwrap();
        let mut stop = |_| Err(io::Error::new(io::ErrorKind::Interrupted, "stopped"));
        let ended = copy(&from, &to, &mut stop);
        assert!(ended.unwrap_err().to_string().contains("stopped"));
        fs::remove_dir_all(from.parent().unwrap()).unwrap();
    }
}
