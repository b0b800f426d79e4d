//! The audit of an older state: what it found is not new.

use std::path::Path;

use prodmirror_model::audit::{Audit, Surroundings};
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::mirror::{Mirror, MountKind};
use prodmirror_model::project::Project;

use super::of;
use crate::cmd::Session;
use crate::git::Repository;
use crate::look_at::{self, Looked};

/// Audits the project as it was at a revision. When production could not be read then, there
/// is nothing that is not new; a warning says so.
///
/// # Errors
/// When there is no repository or no such revision.
pub fn audit_at(
    session: &Session,
    now: &Looked,
    repository: Option<&Repository>,
    surroundings: &Surroundings,
    revision: &str,
) -> Result<Audit, Problems> {
    let Some(repository) = repository else {
        return Err(Problem::new(
            ProblemKind::MissingFile,
            format!("{} is in no git repository", now.project.root.display()),
        )
        .help("--base compares with a revision of the repository")
        .into());
    };
    let dir = tempfile::tempdir().map_err(|e| {
        Problem::new(
            ProblemKind::MissingFile,
            format!("cannot make a directory: {e}"),
        )
    })?;
    let root = dir
        .path()
        .canonicalize()
        .unwrap_or_else(|_| dir.path().to_owned());
    let tracked = repository.write_out(revision, &root)?;
    keep_what_git_does_not(now, surroundings, &root);
    let then = Surroundings {
        tracked: Some(tracked),
        ..surroundings.clone()
    };
    let file = now.project.path.file_name().unwrap_or_default();
    let read = Project::load(&root.join(file))
        .and_then(|p| look_at::loaded(p, &session.global, &session.context))
        .and_then(|looked| of(&looked.project, &looked.compiled, &then));
    Ok(read.unwrap_or_else(|problems| nothing(revision, &problems)))
}

fn nothing(revision: &str, problems: &Problems) -> Audit {
    let why = problems
        .0
        .first()
        .map(ToString::to_string)
        .unwrap_or_default();
    let warning = Problem::new(
        ProblemKind::MissingFile,
        format!(
            "production cannot be read as it was at `{revision}`, so all findings count as new: {why}"
        ),
    );
    Audit {
        findings: Vec::new(),
        warnings: warning.warning().into(),
    }
}

/// Files that no revision has (`.env`, secrets) are taken to have been as they are now.
fn keep_what_git_does_not(now: &Looked, surroundings: &Surroundings, root: &Path) {
    for name in used(&now.project, &now.compiled.production) {
        let known = surroundings
            .tracked
            .as_ref()
            .is_some_and(|t| t.contains(&name));
        let (from, to) = (now.project.root.join(&name), root.join(&name));
        if known || to.exists() || !from.exists() {
            continue;
        }
        if let Some(parent) = to.parent() {
            let _ = std::fs::create_dir_all(parent);
        }
        // What cannot be copied is missing there, and then said to be.
        let _ = if from.is_dir() {
            std::fs::create_dir_all(to.join("kept"))
        } else {
            std::fs::copy(&from, &to).map(|_| ())
        };
    }
}

/// Every file of the project that it or production's spec names, relative to the project.
fn used(project: &Project, production: &Mirror) -> Vec<String> {
    let mut all: Vec<String> = production.inputs.iter().map(|i| i.path.clone()).collect();
    let mut add = |path: &Path| {
        if let Ok(inside) = path.strip_prefix(&project.root) {
            all.push(inside.to_string_lossy().into_owned());
        }
    };
    add(&project.path);
    let sources = project.production.iter().flat_map(|s| &s.files);
    sources.for_each(|f| add(f));
    let named = project.env_files.iter().chain(&project.template);
    named.for_each(|p| add(&p.path));
    let objects = production
        .config_files
        .values()
        .chain(production.secrets.values());
    objects
        .filter_map(|o| o.file.as_ref())
        .for_each(|f| add(Path::new(f.as_str())));
    for service in production.services.values() {
        let binds = service.mounts.list.iter();
        for m in binds.filter(|m| m.kind.value == MountKind::Bind) {
            if let Some(source) = &m.source {
                add(Path::new(source.as_str()));
            }
        }
    }
    all
}
