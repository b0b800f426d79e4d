//! One of the two environments: found, and opened.

use std::path::{Path, PathBuf};

use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::event::Place;
use prodmirror_model::explain::explain;
use prodmirror_model::hybrid::{Home, Side};
use prodmirror_model::project::{FILE_NAMES, Flags, Matrix};
use prodmirror_model::yaml::parse_one;

use super::bundles::OfBundle;
use crate::cmd::Session;
use crate::cmd::diff::side;
use crate::git::Repository;
use crate::open::Opened;

/// An environment.
pub struct Environment {
    /// What it is called.
    pub name: String,
    /// What stands before the files of its places.
    pub(super) prefix: String,
    pub opened: Opened,
    /// For the stack of a bundle: its text with whole paths, and how its failure was run.
    pub(super) bundle: Option<OfBundle>,
    /// Where a revision was written to; removed at the end.
    pub(super) written: Option<tempfile::TempDir>,
}

impl Environment {
    /// Opens what a text of the command line names, unless it is a bundle.
    ///
    /// # Errors
    /// What keeps it from being read or started.
    pub fn open(session: &Session, text: &str, images: &[String]) -> Result<Self, Problems> {
        let cwd = &session.context.cwd;
        let Found {
            path,
            prefix,
            written,
        } = find(cwd, text)?;
        let mut inner = Session {
            global: session.global.clone(),
            context: session.context.clone(),
        };
        inner.global.image.extend(images.iter().cloned());
        let arch = crate::cmd::host_arch();
        let opened = if is_spec(&path)? {
            let project = side::read(&path)?;
            Opened::of(project, &inner.global, &inner.context, arch)?
        } else {
            inner.global.project = Some(path);
            Opened::open(&inner.global, &inner.context, arch)?
        };
        only_sound(&opened)?;
        let prefix = prefix.unwrap_or_else(|| side::below(cwd, &opened.project.root));
        Ok(Self {
            name: text.to_owned(),
            prefix,
            opened,
            bundle: None,
            written,
        })
    }

    /// Its stack and the values of its variables.
    pub fn side(&self) -> Result<Side, Problems> {
        let Some(stack) = self.opened.stack() else {
            let text = format!("{} has no stack that could be started", self.name);
            return Err(Problem::new(ProblemKind::NothingRuns, text).into());
        };
        let document = match &self.bundle {
            Some(bundle) => bundle.document.clone(),
            None => parse_one(&stack.text.file)?.to_json(),
        };
        Ok(Side {
            document,
            values: self.opened.values(stack)?,
            home: self.home(),
        })
    }

    /// Where its files are.
    fn home(&self) -> Home {
        let project = self.opened.project.root.clone();
        let top = match (&self.written, &self.bundle) {
            (Some(written), _) => written.path().canonicalize().ok(),
            (None, Some(_)) => None,
            (None, None) => Repository::of(&project).map(|r| r.top),
        };
        Home {
            project,
            top: top.unwrap_or_default(),
        }
    }

    /// Where its files say what is at a path of `explain`.
    pub fn place(&self, path: &str) -> Option<String> {
        let explained = explain(&self.opened.project, &self.opened.compiled, path).ok()?;
        let place = explained
            .span
            .is_real()
            .then(|| Place::from(&explained.span))?;
        Some(format!(
            "{}{}:{}:{}",
            self.prefix, place.file, place.line, place.column
        ))
    }

    /// What its project says of feature flags. Cases are not multiplied by it: one fails.
    pub fn flags(&self) -> Option<Flags> {
        let flags = self.opened.project.flags.clone()?;
        Some(Flags {
            matrix: Matrix::Nothing,
            ..flags
        })
    }
}

/// What is wrong with an environment, if anything is.
pub(super) fn only_sound(opened: &Opened) -> Result<(), Problems> {
    if !opened.problems.has_errors() {
        return Ok(());
    }
    let mut problems = opened.problems.clone();
    problems.0.retain(Problem::is_error);
    Err(problems)
}

/// A project or a spec that was found.
struct Found {
    path: PathBuf,
    /// What stands before its places, where that is not its directory.
    prefix: Option<String>,
    written: Option<tempfile::TempDir>,
}

/// The project or the spec that a text means.
fn find(cwd: &Path, text: &str) -> Result<Found, Problems> {
    let named = [format!("{text}.mirror.yaml"), format!("{text}.mirror.yml")];
    let mut named: Vec<PathBuf> = named.iter().map(|n| cwd.join(n)).collect();
    if text == "production" {
        named.extend(FILE_NAMES.iter().map(|n| cwd.join(n)));
    }
    let here = |path| Found {
        path,
        prefix: None,
        written: None,
    };
    if let Some(path) = named.into_iter().find(|p| p.is_file()) {
        return Ok(here(path));
    }
    if cwd.join(text).exists() {
        return Ok(here(cwd.join(text)));
    }
    let (path, prefix, written) = side::at_revision(cwd, text)?;
    Ok(Found {
        path,
        prefix: Some(prefix),
        written: Some(written),
    })
}

/// Whether a path leads to a production spec, and not to a project.
fn is_spec(path: &Path) -> Result<bool, Problem> {
    Ok(match path.is_dir() {
        true => !FILE_NAMES.iter().any(|n| path.join(n).is_file()),
        false => !side::is_project(path)?,
    })
}
