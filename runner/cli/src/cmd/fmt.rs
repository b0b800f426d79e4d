//! `fmt`: scenario files in one form.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::project::Project;
use prodmirror_model::redact::Redactor;
use prodmirror_model::scenario::format;
use prodmirror_model::source::{MAX_SOURCE_BYTES, SourceFile, io_reason};
use serde_json::json;

use super::Session;
use crate::args::{FmtArgs, Format};
use crate::exit::Exit;
use crate::{explain, select};

/// What became of a file.
struct Seen {
    name: String,
    /// The first line that is not formatted; none = all are.
    line: Option<usize>,
}

/// Formats files.
pub fn run(session: &Session, args: &FmtArgs) -> Exit {
    if args.paths == [PathBuf::from("-")] {
        return standard_input(session, args);
    }
    let cwd = &session.context.cwd;
    let given = session.global.project.as_ref().map(|p| cwd.join(p));
    let project = given.or_else(|| Project::find(cwd).ok());
    let root = project.as_deref().and_then(Path::parent).unwrap_or(cwd);
    let (mut paths, mut problems) = select::paths_of(&args.paths, root, cwd);
    let mut real = std::collections::HashSet::new();
    paths.retain(|p| real.insert(p.canonicalize().unwrap_or_else(|_| p.clone())));
    if paths.is_empty() && problems.0.is_empty() {
        problems.push(
            Problem::new(ProblemKind::MissingFile, "there are no scenario files here")
                .help("name files or directories, or go to the project"),
        );
    }
    let mut seen = Vec::new();
    for path in paths {
        match one(
            &path,
            select::shown(&path, root, cwd),
            args.check,
            &mut problems,
        ) {
            Ok(file) => seen.push(file),
            Err(p) => problems.push(p),
        }
    }
    tell(session, args, &seen, &problems);
    if problems.has_errors() {
        Exit::Invalid
    } else if args.check && seen.iter().any(|s| s.line.is_some()) {
        Exit::Failed
    } else {
        Exit::Ok
    }
}

fn one(path: &Path, name: String, check: bool, problems: &mut Problems) -> Result<Seen, Problem> {
    let file = SourceFile::read(path, name)?;
    let done = format(&file)?;
    problems.0.extend(done.kept);
    let line = first_difference(&file.text, &done.text);
    if line.is_some() && !check {
        replace(path, &done.text).map_err(|e| {
            let what = format!("cannot write {}: {}", file.name, io_reason(&e));
            Problem::new(ProblemKind::MissingFile, what)
        })?;
    }
    Ok(Seen {
        name: file.name.clone(),
        line,
    })
}

fn first_difference(old: &str, new: &str) -> Option<usize> {
    if old == new {
        return None;
    }
    let same = old.split('\n').zip(new.split('\n'));
    Some(same.take_while(|(a, b)| a == b).count() + 1)
}

/// Puts a text in the place of a file, at once: a reader sees the old one or the new one.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = path.canonicalize()?;
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(dir)?;
    new.write_all(text.as_bytes())?;
    new.as_file()
        .set_permissions(std::fs::metadata(&path)?.permissions())?;
    new.persist(&path).map_err(|e| e.error)?;
    Ok(())
}

fn tell(session: &Session, args: &FmtArgs, seen: &[Seen], problems: &Problems) {
    let nothing = Redactor::new();
    let changed = seen.iter().filter(|s| s.line.is_some()).count();
    if session.global.format == Format::Json {
        let files: Vec<_> = seen
            .iter()
            .map(|s| json!({ "file": s.name, "formatted": s.line.is_none(), "line": s.line }))
            .collect();
        let all: Vec<_> = problems
            .0
            .iter()
            .filter_map(|p| serde_json::to_value(p).ok())
            .collect();
        let mut document = json!({ "changed": changed, "files": files, "problems": all });
        explain::redact_value(&mut document, &nothing);
        session.print(&format!("{document}\n"));
        return;
    }
    session.tell(problems, &nothing);
    for s in seen {
        let Some(line) = s.line else { continue };
        session.note(&match args.check {
            true => format!("{}:{line}: not formatted\n", s.name),
            false => format!("formatted {}\n", s.name),
        });
    }
    let files = if seen.len() == 1 { "file" } else { "files" };
    let total = seen.len();
    session.note(&match (changed, args.check) {
        (0, _) => format!("{total} {files}: nothing to format\n"),
        (n, true) => format!("{n} of {total} {files} not formatted: run `prodmirror fmt`\n"),
        (n, false) => format!("{n} of {total} {files} formatted\n"),
    });
}

fn standard_input(session: &Session, args: &FmtArgs) -> Exit {
    let mut bytes = Vec::new();
    let most = MAX_SOURCE_BYTES + 1;
    let read = std::io::stdin().lock().take(most).read_to_end(&mut bytes);
    let file = match read {
        Ok(n) if n as u64 > MAX_SOURCE_BYTES => Err(Problem::new(
            ProblemKind::TooLarge,
            format!("standard input has more than {MAX_SOURCE_BYTES} bytes"),
        )),
        Ok(_) => SourceFile::from_bytes("(standard input)", bytes),
        Err(e) => Err(Problem::new(
            ProblemKind::MissingFile,
            format!("cannot read standard input: {}", io_reason(&e)),
        )),
    };
    match file.and_then(|f| Ok((format(&f)?, f))) {
        Ok((done, file)) => {
            if !done.kept.is_empty() {
                session.tell(&Problems(done.kept), &Redactor::new());
            }
            if args.check {
                return match file.text == done.text {
                    true => Exit::Ok,
                    false => Exit::Failed,
                };
            }
            session.print(&done.text);
            Exit::Ok
        }
        Err(p) => {
            session.tell(&p.into(), &Redactor::new());
            Exit::Invalid
        }
    }
}
