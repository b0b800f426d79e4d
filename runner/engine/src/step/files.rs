//! Files that a step names: relative to the scenario's own file.

use std::path::PathBuf;

use bytes::Bytes;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::source::{Span, io_reason};
use prodmirror_model::template::{Scope, Text};

/// Bytes of a file at most.
pub(super) const LARGEST: u64 = 64 * 1024 * 1024;

/// Where a file is that is named at `span`. `None`: the scenario was not read from a file,
/// so that nothing is beside it.
pub(super) fn locate(name: &str, span: &Span) -> Option<PathBuf> {
    let path = PathBuf::from(name);
    if path.is_absolute() {
        return Some(path);
    }
    let scenario = span.file.path.as_ref()?;
    Some(scenario.parent()?.join(path))
}

/// As [`locate`], for when the file is needed now.
pub(super) fn find(name: &str, span: &Span) -> Result<PathBuf, Problem> {
    locate(name, span).ok_or_else(|| {
        Problem::at(
            ProblemKind::Unsupported,
            span,
            format!("`{name}` is beside the scenario's file, and this scenario comes from none"),
        )
        .help("write the whole path")
    })
}

/// What is wrong with a file that is named without a template, as far as it can be looked at.
pub(super) fn check(name: &Text) -> Option<Problem> {
    let path = locate(name.plain()?, name.span())?;
    match std::fs::metadata(&path) {
        Err(e) => Some(unread(name.source(), &path, name.span(), &e)),
        Ok(meta) => unfit(name.source(), &meta, name.span()),
    }
}

/// The bytes of a file, when the step runs.
pub(super) async fn read(name: &Text, scope: &Scope) -> Result<Bytes, Problem> {
    let shown = name.render(scope)?;
    let path = find(&shown, name.span())?;
    let fail = |e: std::io::Error| unread(&shown, &path, name.span(), &e);
    let meta = tokio::fs::metadata(&path).await.map_err(fail)?;
    if let Some(p) = unfit(&shown, &meta, name.span()) {
        return Err(p);
    }
    tokio::fs::read(&path).await.map(Bytes::from).map_err(fail)
}

/// The bytes of a file, when the scenario is compiled; `None` as for [`locate`].
pub(super) fn read_now(name: &str, span: &Span) -> Result<Option<Vec<u8>>, Problem> {
    let Some(path) = locate(name, span) else {
        return Ok(None);
    };
    let fail = |e: std::io::Error| unread(name, &path, span, &e);
    let meta = std::fs::metadata(&path).map_err(fail)?;
    if let Some(p) = unfit(name, &meta, span) {
        return Err(p);
    }
    std::fs::read(&path).map(Some).map_err(fail)
}

pub(super) fn unread(
    name: &str,
    path: &std::path::Path,
    span: &Span,
    e: &std::io::Error,
) -> Problem {
    Problem::at(
        ProblemKind::MissingFile,
        span,
        format!("cannot read {name}: {}", io_reason(e)),
    )
    .help(format!(
        "paths are relative to the scenario's file; what was looked for is {}",
        path.display()
    ))
}

fn unfit(name: &str, meta: &std::fs::Metadata, span: &Span) -> Option<Problem> {
    if meta.is_dir() {
        return Some(Problem::at(
            ProblemKind::MissingFile,
            span,
            format!("cannot read {name}: it is a directory"),
        ));
    }
    if !meta.is_file() {
        // A pipe would never end, a device either.
        return Some(Problem::at(
            ProblemKind::Unsupported,
            span,
            format!("cannot read {name}: it is not a regular file"),
        ));
    }
    (meta.len() > LARGEST).then(|| {
        Problem::at(
            ProblemKind::TooLarge,
            span,
            format!(
                "{name} has {} bytes; at most {LARGEST} are sent",
                meta.len()
            ),
        )
    })
}
