//! The environments of the command line: projects, specs, and both at a revision.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prodmirror_model::compare::Fingerprint;
use prodmirror_model::diag::{Problem, ProblemKind, Problems, nearest};
use prodmirror_model::mirror::Sourced;
use prodmirror_model::project::{FILE_NAMES, Project};
use prodmirror_model::source::SourceFile;
use prodmirror_model::yaml::parse_one;

use crate::cmd::Session;
use crate::git::Repository;
use crate::look_at::{self, Looked};

/// The names of Compose files, as Compose looks for them.
const COMPOSE_NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

/// One side of the comparison.
pub struct Environment {
    /// What it is called.
    pub name: String,
    /// What stands before the paths of its places: its directory, and its revision.
    pub prefix: String,
    /// The project and what its files say.
    pub looked: Looked,
    /// What is inside of its images.
    pub fingerprints: BTreeMap<String, Fingerprint>,
    /// Where a revision was written to; removed at the end.
    _written: Option<tempfile::TempDir>,
}

/// Opens a side: what `text` names, or the project of the directory.
///
/// # Errors
/// What keeps it from being read.
pub fn open(
    session: &Session,
    text: Option<&str>,
    images: &[String],
) -> Result<Environment, Problems> {
    let cwd = &session.context.cwd;
    let (path, revision, written) = match text {
        None => (default(session)?, None, None),
        Some(text) if cwd.join(text).exists() => (cwd.join(text), None, None),
        Some(text) => {
            let (path, revision, written) = at_revision(cwd, text)?;
            (path, Some(revision), Some(written))
        }
    };
    let project = read(&path)?;
    let looked = look_at::loaded(project, &session.global, &session.context)?;
    let name = match (text, images) {
        (Some(text), []) => text.to_owned(),
        (None, []) => looked.project.file.name.clone(),
        (text, images) => format!(
            "{} with {}",
            text.unwrap_or(&looked.project.file.name),
            images.join(", ")
        ),
    };
    let prefix = match &revision {
        Some(prefix) => prefix.clone(),
        None => below(cwd, &looked.project.root),
    };
    let mut environment = Environment {
        name,
        prefix,
        looked,
        fingerprints: BTreeMap::new(),
        _written: written,
    };
    environment.replace(images)?;
    Ok(environment)
}

impl Environment {
    /// Runs services from other images.
    fn replace(&mut self, images: &[String]) -> Result<(), Problem> {
        let services = &mut self.looked.compiled.production.services;
        for (name, image) in crate::open::images(images)? {
            let known: Vec<String> = services.keys().cloned().collect();
            let Some(service) = services.get_mut(&name) else {
                let what = format!("{} has no service `{name}`", self.name);
                let problem = Problem::new(ProblemKind::UnknownReference, what);
                return Err(match nearest(&name, known.iter().map(String::as_str)) {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None => problem.help(format!("its services: {}", known.join(", "))),
                });
            };
            service.image.reference = Some(Sourced::generated(image));
        }
        Ok(())
    }

    /// A place of the environment for people.
    pub fn place(&self, place: &prodmirror_model::event::Place) -> String {
        format!(
            "{}{}:{}:{}",
            self.prefix, place.file, place.line, place.column
        )
    }
}

fn default(session: &Session) -> Result<PathBuf, Problem> {
    match &session.global.project {
        Some(path) => Ok(session.context.cwd.join(path)),
        None => Project::find(&session.context.cwd),
    }
}

/// Where a directory is, seen from another one: `production/`, or nothing.
pub fn below(cwd: &Path, root: &Path) -> String {
    match root.strip_prefix(cwd) {
        Ok(rest) if rest.as_os_str().is_empty() => String::new(),
        Ok(rest) => format!("{}/", rest.display()),
        Err(_) => format!("{}/", root.display()),
    }
}

/// A project, or a spec that stands for one.
///
/// # Errors
/// What keeps it from being read.
pub fn read(path: &Path) -> Result<Project, Problems> {
    if path.is_dir() {
        if FILE_NAMES.iter().any(|n| path.join(n).is_file()) {
            return Project::load(path);
        }
        let compose = COMPOSE_NAMES.iter().find(|n| path.join(n).is_file());
        return match compose {
            Some(name) => Project::of_sources(path, &[(*name).to_owned()]),
            None => of_one(path),
        };
    }
    if is_project(path)? {
        Project::load(path)
    } else {
        of_one(path)
    }
}

fn of_one(path: &Path) -> Result<Project, Problems> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let dir = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Project::of_sources(dir, &[name.into_owned()])
}

/// Whether a file is a project's: it says what production is, and is none itself.
pub fn is_project(path: &Path) -> Result<bool, Problem> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if FILE_NAMES.contains(&name.as_ref()) {
        return Ok(true);
    }
    let file = SourceFile::read(path, path.display().to_string())?;
    let Ok(node) = parse_one(&file) else {
        return Ok(false);
    };
    let map = node.as_map();
    Ok(map.is_some_and(|m| m.get("production").is_some() && m.get("services").is_none()))
}

/// `REVISION:PATH`, written out. The path is that of the repository, as git has it, or begins
/// with `./` and is that of the directory.
pub fn at_revision(
    cwd: &Path,
    text: &str,
) -> Result<(PathBuf, String, tempfile::TempDir), Problem> {
    let missing = || {
        Problem::new(
            ProblemKind::MissingFile,
            format!("there is no `{text}` here"),
        )
        .help("name a mirror.yaml, a spec, a directory of specs, or REVISION:PATH")
    };
    let (revision, path) = text.split_once(':').ok_or_else(missing)?;
    let here = Repository::of(cwd).ok_or_else(missing)?;
    if !here.has(revision) {
        return Err(missing());
    }
    let path = match path.strip_prefix("./") {
        Some(rest) => here.whole(rest),
        None => path.to_owned(),
    };
    let top = Repository::of(&here.top).ok_or_else(missing)?;
    let dir = tempfile::tempdir().map_err(|e| {
        let what = format!("cannot make a directory: {e}");
        Problem::new(ProblemKind::MissingFile, what)
    })?;
    let root = dir
        .path()
        .canonicalize()
        .unwrap_or_else(|_| dir.path().to_owned());
    top.write_out(revision, &root)?;
    let found = root.join(&path);
    let inside = found.canonicalize().is_ok_and(|p| p.starts_with(&root));
    if !inside {
        let what = format!("the revision `{revision}` has no `{path}`");
        return Err(Problem::new(ProblemKind::MissingFile, what));
    }
    let parent = if found.is_dir() {
        path.as_str()
    } else {
        path.rsplit_once('/').map_or("", |(d, _)| d)
    };
    let parent = parent.trim_matches('/');
    let prefix = if parent.is_empty() {
        format!("{revision}:")
    } else {
        format!("{revision}:{parent}/")
    };
    Ok((found, prefix, dir))
}

/// What is said when both sides are the same.
pub fn nothing_to_compare() -> Problem {
    Problem::new(ProblemKind::Missing, "there is nothing to compare with")
        .help("name two environments, or an image: `prodmirror diff --image SERVICE=IMAGE`")
}
