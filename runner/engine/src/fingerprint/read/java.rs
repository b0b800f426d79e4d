//! Java: runtimes and archives.

use std::io::Read as _;

use prodmirror_model::compare::Fingerprint;

use super::File;

/// Largest manifest that is read.
const MAX_MANIFEST: u64 = 256 << 10;

/// The file `release` of a runtime.
pub fn release(file: &File<'_>, found: &mut Fingerprint) {
    let text = String::from_utf8_lossy(file.bytes);
    let version = text.lines().find_map(|l| l.strip_prefix("JAVA_VERSION="));
    if let Some(version) = version {
        let version = version.trim_matches('"').to_owned();
        found.runtimes.insert("java".to_owned(), version);
    }
}

/// A `.jar`: its manifest's version, else that of its name (`name-1.2.3.jar`).
pub fn jar(file: &File<'_>, found: &mut Fingerprint) {
    let base = file.path.rsplit('/').next().unwrap_or(file.path);
    let stem = base.strip_suffix(".jar").unwrap_or(base);
    let (name, version) = by_name(stem).unwrap_or((stem, ""));
    let manifest = member(file.bytes, b"META-INF/MANIFEST.MF").unwrap_or_default();
    let text = String::from_utf8_lossy(&manifest);
    let field = |wanted: &str| {
        let mut lines = text.lines();
        lines.find_map(|l| {
            Some(
                l.strip_prefix(wanted)?
                    .strip_prefix(": ")?
                    .trim()
                    .to_owned(),
            )
        })
    };
    let told = field("Implementation-Version").or_else(|| field("Bundle-Version"));
    let version = if version.is_empty() {
        told.unwrap_or_default()
    } else {
        version.to_owned()
    };
    found.package("java", name, &version);
}

fn by_name(stem: &str) -> Option<(&str, &str)> {
    let (at, _) = stem
        .match_indices('-')
        .find(|(at, _)| stem[at + 1..].starts_with(|c: char| c.is_ascii_digit()))?;
    Some((&stem[..at], &stem[at + 1..]))
}

/// A file of a zip archive, found by its central directory (APPNOTE 4.3.12).
fn member(zip: &[u8], wanted: &[u8]) -> Option<Vec<u8>> {
    let end = zip.windows(4).rposition(|w| w == b"PK\x05\x06")?;
    let count = number(zip, end + 10, 2)?;
    let mut at = number(zip, end + 16, 4)?;
    for _ in 0..count {
        if zip.get(at..at + 4)? != b"PK\x01\x02" {
            return None;
        }
        let (name, extra, comment) = (
            number(zip, at + 28, 2)?,
            number(zip, at + 30, 2)?,
            number(zip, at + 32, 2)?,
        );
        if zip.get(at + 46..at + 46 + name)? == wanted {
            let packed = number(zip, at + 20, 4)?;
            let method = number(zip, at + 10, 2)?;
            return unpack(zip, number(zip, at + 42, 4)?, packed, method);
        }
        at = at.checked_add(46 + name + extra + comment)?;
    }
    None
}

fn unpack(zip: &[u8], at: usize, packed: usize, method: usize) -> Option<Vec<u8>> {
    let skip = 30 + number(zip, at.checked_add(26)?, 2)? + number(zip, at.checked_add(28)?, 2)?;
    let begin = at.checked_add(skip)?;
    let body = zip.get(begin..begin.checked_add(packed)?)?;
    match method {
        0 => Some(body.to_vec()),
        8 => {
            let mut out = Vec::new();
            flate2::read::DeflateDecoder::new(body)
                .take(MAX_MANIFEST)
                .read_to_end(&mut out)
                .ok()?;
            Some(out)
        }
        _ => None,
    }
}

fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let part = bytes.get(at..at.checked_add(width)?)?;
    Some(part.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b)))
}
