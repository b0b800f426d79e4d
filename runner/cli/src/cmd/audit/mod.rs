//! `audit`: what will fail in production, from its specs alone.

mod base;
mod github;
mod human;
mod json;
mod list;
mod sarif;

pub use sarif::uri;

use std::collections::BTreeMap;

use prodmirror_model::audit::{Audit, Finding, Request, Surroundings, audit};
use prodmirror_model::compile::Compiled;
use prodmirror_model::diag::Problems;
use prodmirror_model::fidelity::Severity;
use prodmirror_model::project::Project;
use prodmirror_model::redact::Redactor;

use super::{Session, probe};
use crate::args::{AuditArgs, FailOn, Format};
use crate::exit::Exit;
use crate::git::Repository;
use crate::look_at;

/// What is written.
struct Report<'r> {
    audit: &'r Audit,
    project: &'r Project,
    /// The repository that the project is in, for paths that others understand.
    repository: Option<&'r Repository>,
    /// The revision that it is compared with.
    base: Option<&'r str>,
    redactor: &'r Redactor,
}

impl Report<'_> {
    /// A file as the whole repository calls it.
    fn path(&self, file: &str) -> String {
        match self.repository {
            Some(r) => r.whole(file),
            None => file.to_owned(),
        }
    }
}

/// Audits production.
pub async fn run(session: &Session, args: &AuditArgs) -> Exit {
    if args.list {
        session.print(&list::text(session.global.format, session.look()));
        return Exit::Ok;
    }
    match report(session, args).await {
        Ok(exit) => exit,
        Err(Failed::Problems(problems, redactor)) => {
            session.tell(&problems, &redactor);
            Exit::Invalid
        }
        Err(Failed::Exit(exit)) => exit,
    }
}

/// Why there is no audit.
enum Failed {
    /// They are still to be told.
    Problems(Problems, Redactor),
    /// It was told.
    Exit(Exit),
}

async fn report(session: &Session, args: &AuditArgs) -> Result<Exit, Failed> {
    let plain = |p: Problems| Failed::Problems(p, Redactor::new());
    let looked = look_at::project(&session.global, &session.context).map_err(plain)?;
    let redactor = redactor(&looked, &session.context);
    let repository = Repository::of(&looked.project.root);
    let images = match args.probe {
        true => probe::facts(session, &looked, args.offline)
            .await
            .map_err(Failed::Exit)?,
        false => BTreeMap::new(),
    };
    let surroundings = Surroundings {
        tracked: repository.as_ref().and_then(Repository::tracked),
        platform: args.platform.clone(),
        images,
    };
    let failed = |p: Problems| Failed::Problems(p, redactor.clone());
    let mut found = of(&looked.project, &looked.compiled, &surroundings).map_err(failed)?;
    if let Some(revision) = &args.base {
        let base = base::audit_at(
            session,
            &looked,
            repository.as_ref(),
            &surroundings,
            revision,
        );
        let base = base.map_err(failed)?;
        found.since(&base);
        found
            .warnings
            .0
            .extend(base.warnings.0.into_iter().filter(|p| p.span.is_none()));
    }
    let report = Report {
        audit: &found,
        project: &looked.project,
        repository: repository.as_ref(),
        base: args.base.as_deref(),
        redactor: &redactor,
    };
    session.print(&match session.global.format {
        Format::Human => human::text(&report, session.look()),
        Format::Json => json::text(&report),
        Format::Sarif => sarif::text(&report),
        Format::Github => github::text(&report),
    });
    if !found.warnings.0.is_empty() && session.global.format == Format::Human {
        session.tell(&found.warnings, &redactor);
    }
    Ok(exit(&found, args.fail_on))
}

fn exit(found: &Audit, fail_on: FailOn) -> Exit {
    let severity = match fail_on {
        FailOn::Info => Severity::Info,
        FailOn::Low => Severity::Low,
        FailOn::Medium => Severity::Medium,
        FailOn::High => Severity::High,
        FailOn::Blocker => Severity::Blocker,
        FailOn::Never => return Exit::Ok,
    };
    if found.at_least(severity) > 0 {
        Exit::Gate
    } else {
        Exit::Ok
    }
}

fn of(
    project: &Project,
    compiled: &Compiled,
    surroundings: &Surroundings,
) -> Result<Audit, Problems> {
    audit(Request {
        mirror: &compiled.production,
        beyond: &compiled.beyond,
        project,
        problems: &compiled.reading,
        surroundings,
    })
}

/// Knows every secret that could stand in an excerpt of production's files.
fn redactor(looked: &look_at::Looked, context: &crate::context::Context) -> Redactor {
    let redactor = look_at::redactor(&[looked]);
    for s in &looked.project.secrets {
        if let Ok(value) = crate::open::value_of(&s.value.value, context) {
            redactor.add(&s.name.value, &value);
        }
    }
    redactor
}

/// The text of a finding: what, why, what to do.
fn words(f: &Finding, redactor: &Redactor) -> (String, String, String) {
    let clean = |t: &str| redactor.redact(&look_at::with_names(t)).into_owned();
    (clean(&f.message), clean(&f.why), clean(&f.fix))
}
