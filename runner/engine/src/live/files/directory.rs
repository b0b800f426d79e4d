//! A directory of files as orchestrators lay it out: the files are links into a directory that
//! is replaced as a whole when they change.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use prodmirror_model::plan::FilePlan;

use super::{DEFAULT_MODE, bytes_of};

/// What is replaced as a whole.
const DATA: &str = "..data";
/// What it leads to; a time, in production.
const VERSION: &str = "..1970_01_01_00_00_00.000000001";

/// Adds a directory to an archive.
pub fn add(
    tar: &mut tar::Builder<impl Write>,
    name: &Path,
    files: &[FilePlan],
    gid: u32,
) -> io::Result<()> {
    add_directory(tar, name, 0o777, gid)?;
    let version = name.join(VERSION);
    add_directory(tar, &version, 0o755, gid)?;
    add_link(tar, &name.join(DATA), Path::new(VERSION))?;
    let (mut made, mut linked) = (BTreeSet::new(), BTreeSet::new());
    for file in files {
        let path = Path::new(&file.target);
        let parents: Vec<&Path> = path.ancestors().skip(1).collect();
        for parent in parents
            .into_iter()
            .rev()
            .filter(|p| !p.as_os_str().is_empty())
        {
            if made.insert(parent.to_owned()) {
                add_directory(tar, &version.join(parent), 0o755, gid)?;
            }
        }
        let mode = file.mode.unwrap_or(DEFAULT_MODE);
        let rights = (mode, (file.uid, file.gid));
        add_file(tar, &version.join(path), &bytes_of(&file.content)?, rights)?;
        if let Some(first) = path.components().next()
            && linked.insert(first.as_os_str().to_owned())
        {
            let to = Path::new(DATA).join(first);
            add_link(tar, &name.join(first), &to)?;
        }
    }
    Ok(())
}

/// Adds a file to an archive.
pub fn add_file(
    tar: &mut tar::Builder<impl Write>,
    name: &Path,
    bytes: &[u8],
    (mode, (uid, gid)): (u32, (u32, u32)),
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_uid(uid.into());
    header.set_gid(gid.into());
    header.set_mtime(0);
    tar.append_data(&mut header, name, bytes)
}

/// Adds an empty directory to an archive.
pub fn add_directory(
    tar: &mut tar::Builder<impl Write>,
    name: &Path,
    mode: u32,
    gid: u32,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(gid.into());
    header.set_mtime(0);
    tar.append_data(&mut header, name, io::empty())
}

fn add_link(tar: &mut tar::Builder<impl Write>, name: &Path, to: &Path) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    header.set_mtime(0);
    tar.append_link(&mut header, name, to)
}

#[cfg(test)]
mod tests {
    use prodmirror_model::plan::FileContent;
    use prodmirror_model::secret::Secret;

    use super::*;

    #[test]
    fn files_are_links_into_one_version() {
        let file = |target: &str, content| FilePlan {
            target: target.into(),
            content,
            mode: Some(0o400),
            uid: 0,
            gid: 7,
            read_only: true,
        };
        let files = [
            file("a.conf", FileContent::Text("a".into())),
            file("sub/b", FileContent::Base64(Secret::new("AP8="))),
            file("sub/c", FileContent::Base64(Secret::new(" "))),
        ];
        let mut tar = tar::Builder::new(Vec::new());
        add(&mut tar, Path::new("3"), &files, 7).unwrap();
        let bytes = tar.into_inner().unwrap();
        let mut seen = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let link = entry.link_name().unwrap().map(|l| l.display().to_string());
            let mut content = Vec::new();
            io::Read::read_to_end(&mut entry, &mut content).unwrap();
            seen.push((path, link.unwrap_or_default(), content));
        }
        let version = format!("3/{VERSION}");
        let expected = [
            ("3/".to_owned(), "", vec![]),
            (format!("{version}/"), "", vec![]),
            ("3/..data".into(), VERSION, vec![]),
            (format!("{version}/a.conf"), "", b"a".to_vec()),
            ("3/a.conf".into(), "..data/a.conf", vec![]),
            (format!("{version}/sub/"), "", vec![]),
            (format!("{version}/sub/b"), "", vec![0, 255]),
            ("3/sub".into(), "..data/sub", vec![]),
            (format!("{version}/sub/c"), "", vec![]),
        ];
        let clean = |p: &str| p.trim_end_matches('/').to_owned();
        let seen: Vec<_> = seen
            .iter()
            .map(|(p, l, c)| (clean(p), l.clone(), c.clone()))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(p, l, c)| (clean(p), (*l).to_owned(), c.clone()))
            .collect();
        assert_eq!(seen, expected);
    }
}
