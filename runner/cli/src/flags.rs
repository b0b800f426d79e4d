//! Feature flags of a project: which are varied, and which are set for one run.

use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::flags::{Choices, FlagSet, read_file};
use prodmirror_model::project::Project;
use prodmirror_model::source::SourceFile;
use serde_json::Value;

use crate::git::Repository;

/// The revision that `matrix: changed` compares with.
const REVISION: &str = "HEAD";

/// What the project asks for, and what the command line sets.
pub fn choices(
    project: &Project,
    set: Option<&FlagSet>,
    fixed: &[(String, Value)],
) -> (Choices, Problems) {
    let changed = |_: &_| set.map_or_else(|| Ok(Vec::new()), |set| changed(project, set));
    Choices::new(project, set, changed, fixed)
}

/// The flags whose state is another one than at the revision.
fn changed(project: &Project, set: &FlagSet) -> Result<Vec<String>, Problem> {
    let Some((flags, file)) = project
        .flags
        .as_ref()
        .and_then(|f| Some((f, f.file.as_ref()?)))
    else {
        return Ok(Vec::new());
    };
    let revision = flags.since.as_ref().map_or(REVISION, |s| s.as_str());
    let Some(repository) = Repository::of(&project.root) else {
        let text = format!(
            "`matrix: changed` compares with git, and {} is in no repository",
            project.root.display()
        );
        return Err(
            Problem::new(ProblemKind::MissingFile, text).help("name the flags, or write `all`")
        );
    };
    let name = &file.written.value;
    let Some(text) = repository.file_at(revision, name)? else {
        // All of them are new.
        return Ok(set.flags.keys().cloned().collect());
    };
    let before = SourceFile::new(format!("{revision}:{name}"), text);
    let environment = flags.environment.as_ref().map(|e| e.value.clone());
    let before = read_file(&before, &file.path, Some(set.format), environment);
    match before {
        Ok(before) => Ok(set.changed_from(&before)),
        Err(found) => Err(found.0.into_iter().next().unwrap_or_else(|| {
            Problem::new(
                ProblemKind::Syntax,
                format!("{name} cannot be read at {revision}"),
            )
        })),
    }
}

/// Reads `NAME=VALUE`; a value that is JSON keeps its type.
///
/// # Errors
/// The text is not of that form.
pub fn fixed(text: &str) -> Result<(String, Value), Problem> {
    let Some((name, value)) = text.split_once('=').filter(|(n, _)| !n.is_empty()) else {
        let what = format!("`--flag {text}` is not NAME=VALUE");
        return Err(Problem::new(ProblemKind::InvalidValue, what));
    };
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}
