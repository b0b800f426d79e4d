//! `check`: project, specs and scenarios, without starting anything.

mod github;
mod json;
mod rules;
mod sarif;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::fidelity::Fidelity;
use prodmirror_model::project::Project;
use prodmirror_model::redact::Redactor;
use prodmirror_model::source::SourceFile;

use super::Session;
use super::engine::host_arch;
use crate::args::{CheckArgs, Format};
use crate::exit::Exit;
use crate::git::Repository;
use crate::open::Opened;

/// What is written.
struct Report<'r> {
    problems: &'r Problems,
    redactor: &'r Redactor,
    /// How near the mirror is to production, when production could be read.
    fidelity: Option<&'r Fidelity>,
    paths: Paths,
}

/// Files as the whole repository calls them.
struct Paths {
    /// The project's directory, to which most names are relative.
    root: PathBuf,
    /// The working directory, to which names of files outside of the project are.
    cwd: PathBuf,
    /// The project file.
    project: String,
    repository: Option<Repository>,
}

impl Paths {
    fn new(project: Option<&Path>, cwd: &Path) -> Self {
        let root = project.and_then(Path::parent).unwrap_or(cwd).to_owned();
        let name = project.and_then(Path::file_name);
        Self {
            project: name.map_or_else(|| "mirror.yaml".into(), |n| n.to_string_lossy().into()),
            repository: Repository::of(&root),
            cwd: cwd.to_owned(),
            root,
        }
    }

    /// A file that a message names, as the repository calls it.
    fn whole(&self, file: &str) -> String {
        let Some(repository) = &self.repository else {
            return file.to_owned();
        };
        if !self.root.join(file).exists() {
            let whole = self.cwd.join(file);
            if let Ok(real) = whole.canonicalize()
                && let Ok(inside) = real.strip_prefix(&repository.top)
            {
                return inside.to_string_lossy().into_owned();
            }
        }
        if Path::new(file).is_absolute() {
            return file.to_owned();
        }
        repository.whole(file)
    }
}

/// Whether a doubt is about a declared secret that production does not ask for, and a scenario
/// does: `{{ secrets.TOKEN }}`.
fn is_of_a_secret_that_is_used(
    problem: &Problem,
    project: &Project,
    files: &[Arc<SourceFile>],
) -> bool {
    let mut secrets = project.secrets.iter();
    let secret = secrets.find(|s| problem.span.as_ref() == Some(&s.name.span));
    secret.filter(|_| !problem.is_error()).is_some_and(|s| {
        let used = format!("secrets.{}", s.name.as_str());
        files.iter().any(|f| f.text.contains(&used))
    })
}

/// Checks everything and says all that is wrong at once.
pub fn run(session: &Session, args: &CheckArgs) -> Exit {
    let cwd = &session.context.cwd;
    let opened = match Opened::open(&session.global, &session.context, host_arch()) {
        Ok(opened) => opened,
        Err(problems) => {
            let given = session.global.project.as_ref().map(|p| cwd.join(p));
            let project = given.or_else(|| Project::find(cwd).ok());
            let report = Report {
                problems: &problems,
                redactor: &Redactor::new(),
                fidelity: None,
                paths: Paths::new(project.as_deref(), cwd),
            };
            tell(session, &report);
            return Exit::Invalid;
        }
    };
    let scenarios = opened.scenarios(&args.scenarios, cwd);
    let mut problems = opened.problems.clone();
    problems
        .0
        .retain(|p| !is_of_a_secret_that_is_used(p, &opened.project, &scenarios.files));
    problems
        .0
        .extend(opened.redactor.unsafe_secrets().iter().map(|s| {
            Problem::new(
                ProblemKind::InvalidValue,
                format!(
                    "the secret `{}` cannot be taken out of what is printed: {}",
                    s.name, s.reason
                ),
            )
            .warning()
            .help("use a longer value; what a mirror is given need not be production's")
        }));
    problems.0.extend(scenarios.problems.0.clone());
    let report = Report {
        problems: &problems,
        redactor: &opened.redactor,
        fidelity: Some(&opened.compiled.fidelity),
        paths: Paths::new(Some(&opened.project.path), cwd),
    };
    tell(session, &report);
    if problems.has_errors() {
        return Exit::Invalid;
    }
    let over = opened.compiled.fidelity.over(&opened.project.fidelity);
    if session.global.format == Format::Human {
        let services = opened.compiled.production.services.len();
        session.note(&format!(
            "{} scenario{} in {} file{}, {services} service{} of production: nothing is wrong\n{}",
            scenarios.programs.len(),
            plural(scenarios.programs.len()),
            scenarios.files.len(),
            plural(scenarios.files.len()),
            plural(services),
            super::fidelity::line(&opened.compiled.fidelity),
        ));
    }
    if over.is_empty() {
        Exit::Ok
    } else {
        super::fidelity::gate(session, &over)
    }
}

/// Writes the report in the form that was asked for.
fn tell(session: &Session, report: &Report<'_>) {
    match session.global.format {
        Format::Human => session.tell(report.problems, report.redactor),
        Format::Json => session.print(&json::text(report)),
        Format::Sarif => session.print(&sarif::text(report)),
        Format::Github => session.print(&github::text(report)),
    }
}

fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}
