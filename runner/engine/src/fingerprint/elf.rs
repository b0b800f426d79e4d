//! What programs say of themselves: Go's build information, Rust's list of crates, versions
//! in text.

use std::io::Read as _;

use prodmirror_model::compare::Fingerprint;
use serde::Deserialize;

/// What begins Go's build information.
const GO_MAGIC: &[u8] = b"\xff Go buildinf:";
/// Largest text that is taken from a program.
const MAX_TEXT: usize = 4 << 20;

/// Go's build information: version of Go, and modules with their versions.
pub fn go(program: &str, bytes: &[u8], found: &mut Fingerprint) {
    let mut from = 0;
    while let Some(at) = find(&bytes[from..], GO_MAGIC).map(|at| at + from) {
        if let Some((version, modules)) = go_info(&bytes[at..]) {
            found.package("go", "go (toolchain)", version.trim_start_matches("go"));
            go_modules(program, modules, found);
            return;
        }
        from = at + GO_MAGIC.len();
    }
}

/// The version and the module text, as programs have them since Go 1.18: two texts with their
/// lengths before them. Older ones have pointers in their place and are not read.
fn go_info(info: &[u8]) -> Option<(&str, &str)> {
    let flags = *info.get(15)?;
    if flags & 2 == 0 {
        return None;
    }
    let (version, rest) = counted(info.get(32..)?)?;
    let (modules, _) = counted(rest)?;
    let version = std::str::from_utf8(version).ok()?;
    // The module text stands between two marks of 16 bytes that are no text.
    let inner = modules
        .get(16..modules.len().checked_sub(16)?)
        .unwrap_or(b"");
    let modules = std::str::from_utf8(inner).unwrap_or("");
    version.starts_with("go").then_some((version, modules))
}

/// Bytes with their number before them, as a varint.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut shift) = (0_usize, 0);
    for (i, byte) in bytes.iter().enumerate().take(5) {
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            let end = (i + 1).checked_add(length).filter(|_| length <= MAX_TEXT)?;
            return Some((bytes.get(i + 1..end)?, bytes.get(end..)?));
        }
    }
    None
}

fn go_modules(program: &str, text: &str, found: &mut Fingerprint) {
    let mut last: Option<(String, String)> = None;
    let mut flush = |m: Option<(String, String)>| {
        if let Some((name, version)) = m {
            found.package("go", &name, &version);
        }
    };
    for line in text.lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        match parts[..] {
            ["mod", name, version, ..] if version != "(devel)" => {
                flush(last.replace((name.to_owned(), version.to_owned())));
            }
            ["dep", name, version, ..] => {
                flush(last.replace((name.to_owned(), version.to_owned())));
            }
            // What stands in the place of the module before.
            ["=>", name, version, ..] => {
                let of = last.take().map_or(String::new(), |(n, _)| n);
                let shown = if of.is_empty() { name.to_owned() } else { of };
                last = Some((shown, format!("{version} ({name})")));
            }
            ["build", setting] => {
                if let Some(revision) = setting.strip_prefix("vcs.revision=") {
                    let base = program.rsplit('/').next().unwrap_or(program);
                    last_revision(base, revision, &mut flush);
                }
            }
            _ => {}
        }
    }
    flush(last);
}

fn last_revision(program: &str, revision: &str, flush: &mut impl FnMut(Option<(String, String)>)) {
    let short: String = revision.chars().take(12).collect();
    flush(Some((format!("{program} (revision)"), short)));
}

/// The crates of a Rust program that was built with `cargo auditable`: JSON, compressed, in
/// the section `.dep-v0`.
pub fn rust(bytes: &[u8], found: &mut Fingerprint) {
    #[derive(Deserialize)]
    struct List {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let Some(section) = section(bytes, b".dep-v0") else {
        return;
    };
    let mut text = Vec::new();
    let limit = MAX_TEXT as u64;
    let unpacked = flate2::read::ZlibDecoder::new(section)
        .take(limit)
        .read_to_end(&mut text);
    let Ok(list) = serde_json::from_slice::<List>(&text) else {
        return;
    };
    if unpacked.is_ok() {
        for p in list.packages {
            found.package("rust", &p.name, &p.version);
        }
    }
}

/// The compiler that a Rust program was made with, from the section `.comment`.
pub fn rust_compiler(bytes: &[u8], found: &mut Fingerprint) {
    let Some(comment) = section(bytes, b".comment") else {
        return;
    };
    let texts = comment
        .split(|b| *b == 0)
        .filter_map(|t| std::str::from_utf8(t).ok());
    for text in texts {
        if let Some(version) = text.strip_prefix("rustc version ") {
            let version = version.split(' ').next().unwrap_or(version);
            found.package("rust", "rustc", version);
        }
    }
}

/// A section of an ELF file of 64 bits, little endian: what production runs on.
fn section<'b>(bytes: &'b [u8], wanted: &[u8]) -> Option<&'b [u8]> {
    if bytes.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, count) = (number(bytes, 40, 8)?, number(bytes, 60, 2)?);
    let (size, names) = (number(bytes, 58, 2)?, number(bytes, 62, 2)?);
    let header = |i: usize| {
        let at = table.checked_add(size.checked_mul(i)?)?;
        bytes.get(at..at.checked_add(64)?)
    };
    let body = |h: &[u8]| {
        let at = number(h, 24, 8)?;
        bytes.get(at..at.checked_add(number(h, 32, 8)?)?)
    };
    let names = body(header(names)?)?;
    for i in 0..count {
        let h = header(i)?;
        let name = names.get(number(h, 0, 4)?..)?;
        if name.starts_with(wanted) && name.get(wanted.len()) == Some(&0) {
            return body(h);
        }
    }
    None
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let part = bytes.get(at..at.checked_add(width)?)?;
    let value = part.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b));
    usize::try_from(value).ok()
}

/// The text after a mark, up to the first byte that is no printable ASCII.
pub fn text_after<'b>(bytes: &'b [u8], mark: &[u8]) -> Option<&'b str> {
    let at = find(bytes, mark)? + mark.len();
    let rest = &bytes[at..bytes.len().min(at + 200)];
    let end = rest
        .iter()
        .position(|b| !(0x20..0x7f).contains(b))
        .unwrap_or(rest.len());
    std::str::from_utf8(&rest[..end]).ok()
}

/// Where a mark stands first.
pub fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, mark)
}
