//! Contents of configuration files.

use sha2::{Digest as _, Sha256};
use similar::TextDiff;

use super::fact::Value;
use super::mask;
use crate::mirror::FileObject;
use crate::project::{Project, path};
use crate::source::Span;
use crate::yaml::Spanned;

/// Larger files are not read.
const MAX_READ: u64 = 4 * 1024 * 1024;
/// Lines of a diff that are kept.
const MAX_LINES: usize = 80;
/// Lines around a difference.
const AROUND: usize = 2;

/// The content of a file of the project; absent when it is not there or not in the project.
pub(super) fn of_file(project: &Project, file: &str) -> Option<Value> {
    let written = Spanned::new(file.to_owned(), Span::generated());
    let path = path::inside(&project.root, &project.root, &written).ok()?;
    let meta = std::fs::metadata(&path).ok()?;
    if !meta.is_file() || meta.len() > MAX_READ {
        return None;
    }
    Some(of_bytes(std::fs::read(&path).ok()?))
}

/// The content of a config that says where it is kept.
pub(super) fn of_object(project: &Project, object: &FileObject) -> Option<Value> {
    match (&object.content, &object.file) {
        (Some(content), _) => Some(of_bytes(content.value.clone().into_bytes())),
        (None, Some(file)) => of_file(project, file),
        _ => None,
    }
}

fn of_bytes(bytes: Vec<u8>) -> Value {
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Value::Lines(text),
        Ok(text) => summary(text.as_bytes()),
        Err(e) => summary(e.as_bytes()),
    }
}

fn summary(bytes: &[u8]) -> Value {
    let digest = Sha256::digest(bytes);
    Value::Bytes {
        length: bytes.len() as u64,
        sha256: digest.iter().map(|b| format!("{b:02x}")).collect(),
    }
}

/// A unified diff, without secrets. Lines that differ in their secrets only are told as such.
pub(super) fn diff(left: &str, right: &str) -> Vec<String> {
    let clean = |t: &str| -> String { t.lines().map(|l| mask::secrets(l) + "\n").collect() };
    let (a, b) = (clean(left), clean(right));
    if a == b {
        return vec!["(only secrets, or the ends of lines, differ)".to_owned()];
    }
    let diff = TextDiff::configure()
        .timeout(std::time::Duration::from_millis(500))
        .diff_lines(&a, &b);
    let text = diff.unified_diff().context_radius(AROUND).to_string();
    let all: Vec<&str> = text.lines().collect();
    let mut out: Vec<String> = all
        .iter()
        .take(MAX_LINES)
        .map(|l| (*l).to_owned())
        .collect();
    if all.len() > MAX_LINES {
        out.push(format!("… {} more lines", all.len() - MAX_LINES));
    }
    out
}
