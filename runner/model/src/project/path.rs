//! Paths of a project: relative to its `mirror.yaml`, and never leading out of it.

use std::path::{Component, Path, PathBuf};

use crate::diag::{Problem, ProblemKind};
use crate::yaml::Spanned;

/// A path inside the project.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectPath {
    /// As it is written.
    pub written: Spanned<String>,
    /// The whole path on this machine.
    pub path: PathBuf,
}

/// A source of production: a file, or a directory of files.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectSource {
    /// As it is written.
    pub written: Spanned<String>,
    /// The whole path on this machine.
    pub path: PathBuf,
    /// The format that `mirror.yaml` says it has; absent = it is recognised.
    pub format: Option<Spanned<String>>,
    /// The files: itself, or those of the directory that are YAML or JSON, by name.
    pub files: Vec<PathBuf>,
}

/// As [`existing`], for a file or a directory of files.
///
/// # Errors
/// As [`existing`], and [`ProblemKind::MissingFile`] for a directory without specs.
pub fn source(
    root: &Path,
    written: &Spanned<String>,
    format: Option<Spanned<String>>,
) -> Result<ProjectSource, Problem> {
    let path = inside(root, root, written)?;
    let files = if path.is_dir() {
        specs_of(root, &path, written)?
    } else {
        vec![existing(root, written)?.path]
    };
    Ok(ProjectSource {
        written: written.clone(),
        path,
        format,
        files,
    })
}

/// The files of a directory that may be specs, by name; directories in it are not looked into.
fn specs_of(root: &Path, dir: &Path, written: &Spanned<String>) -> Result<Vec<PathBuf>, Problem> {
    let problem = |what: String| Problem::at(ProblemKind::MissingFile, &written.span, what);
    let entries = std::fs::read_dir(dir).map_err(|e| {
        let why = crate::source::io_reason(&e);
        problem(format!("cannot read `{}`: {why}", written.as_str()))
    })?;
    let mut files = Vec::new();
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let is_spec = path
            .extension()
            .is_some_and(|e| e == "yaml" || e == "yml" || e == "json");
        if is_spec && path.is_file() {
            let name = Spanned::new(
                path.strip_prefix(root)
                    .unwrap_or(&path)
                    .to_string_lossy()
                    .into_owned(),
                written.span.clone(),
            );
            files.push(inside(root, root, &name)?);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(problem(format!("`{}` holds no specs", written.as_str()))
            .help("a directory is read for its .yaml, .yml and .json files"));
    }
    Ok(files)
}

/// Resolves `written` against `base` (a directory inside `root`) and makes sure that it
/// stays below `root`, symbolic links included.
///
/// # Errors
/// [`ProblemKind::PathEscape`] when it leads out, [`ProblemKind::InvalidValue`] when empty.
pub fn inside(root: &Path, base: &Path, written: &Spanned<String>) -> Result<PathBuf, Problem> {
    if written.is_empty() || written.contains('\0') {
        return Err(Problem::at(
            ProblemKind::InvalidValue,
            &written.span,
            "a path may not be empty or hold NUL",
        ));
    }
    let path = normal(&base.join(written.as_str()));
    let real_root = real(root);
    if path.starts_with(normal(root)) && real(&path).starts_with(&real_root) {
        return Ok(path);
    }
    Err(Problem::at(
        ProblemKind::PathEscape,
        &written.span,
        format!(
            "`{}` leads out of the project directory {}",
            written.as_str(),
            root.display()
        ),
    )
    .help("keep the file inside the project, or move mirror.yaml to a directory above both"))
}

/// As [`inside`], and the file must be there.
///
/// # Errors
/// As [`inside`], and [`ProblemKind::MissingFile`].
pub fn existing(root: &Path, written: &Spanned<String>) -> Result<ProjectPath, Problem> {
    let path = inside(root, root, written)?;
    match std::fs::metadata(&path) {
        Ok(m) if m.is_file() => Ok(ProjectPath {
            written: written.clone(),
            path,
        }),
        Ok(_) => Err(Problem::at(
            ProblemKind::MissingFile,
            &written.span,
            format!("`{}` is not a file", written.as_str()),
        )),
        Err(e) => Err(Problem::at(
            ProblemKind::MissingFile,
            &written.span,
            format!(
                "cannot read `{}`: {}",
                written.as_str(),
                crate::source::io_reason(&e)
            ),
        )
        .help(format!(
            "relative paths start at mirror.yaml; this one is {}",
            path.display()
        ))),
    }
}

/// A path without `.` and `..`, decided by its text alone.
pub fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !out.pop() {
                    out.push("..");
                }
            }
            other => out.push(other),
        }
    }
    out
}

/// The path with the symbolic links of its existing part followed.
fn real(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    let mut at = path;
    loop {
        if let Ok(found) = std::fs::canonicalize(at) {
            return rest
                .iter()
                .rev()
                .fold(found, |p: PathBuf, part| p.join(part));
        }
        match (at.parent(), at.file_name()) {
            (Some(parent), Some(name)) => {
                rest.push(name.to_owned());
                at = parent;
            }
            _ => return path.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Span;

    fn at(text: &str) -> Spanned<String> {
        Spanned::new(text.into(), Span::generated())
    }

    #[test]
    fn paths_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir(root.join("a")).unwrap();
        assert_eq!(
            inside(root, root, &at("a/../b.yaml")).unwrap(),
            root.join("b.yaml")
        );
        for bad in ["../x", "/etc/passwd", "a/../../x", "", "a\0b"] {
            assert!(inside(root, root, &at(bad)).is_err(), "{bad:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_leads_out_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(other.path(), dir.path().join("out")).unwrap();
        let p = inside(dir.path(), dir.path(), &at("out/secret.txt")).unwrap_err();
        assert_eq!(p.kind, ProblemKind::PathEscape);
    }
}
