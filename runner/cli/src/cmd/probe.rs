//! Looking into images, for `audit` and `diff`.

use std::collections::{BTreeMap, BTreeSet};

use prodmirror_engine::bus::NoSink;
use prodmirror_engine::docker::Engine;
use prodmirror_engine::fingerprint::{Options, fingerprint};
use prodmirror_engine::image::{Policy, Wanted, provide};
use prodmirror_engine::run::Stop;
use prodmirror_model::audit::ImageFacts;
use prodmirror_model::compare::Fingerprint;
use prodmirror_model::diag::{ProblemKind, Problems};
use prodmirror_model::redact::Redactor;
use prodmirror_model::stack::secret_ref::holds_secret;

use super::Session;
use crate::exit::Exit;
use crate::look_at::Looked;
use crate::signals;

/// What images hold, by reference, and whether they have something at the paths in `ask`. Those
/// that cannot be had are told and left out.
///
/// # Errors
/// The exit code when the engine cannot be reached or somebody interrupts.
pub async fn images(
    session: &Session,
    (references, ask): (BTreeSet<String>, BTreeSet<String>),
    project: &str,
    offline: bool,
) -> Result<BTreeMap<String, Fingerprint>, Exit> {
    let engine = session.engine().await?;
    let options = Options {
        ask,
        ..Options::new(project)
    };
    let mut probe = Probe {
        session,
        engine,
        options,
        offline,
        stop: signals::stop(),
        by_id: BTreeMap::new(),
    };
    let mut found = BTreeMap::new();
    let known = references.into_iter().filter(|r| !holds_secret(r));
    for reference in known {
        if let Some(inside) = probe.one(&reference).await? {
            found.insert(reference, inside);
        }
    }
    Ok(found)
}

/// What audits ask of images, by reference.
///
/// # Errors
/// As [`images`].
pub async fn facts(
    session: &Session,
    looked: &Looked,
    offline: bool,
) -> Result<BTreeMap<String, ImageFacts>, Exit> {
    let services = looked.compiled.production.services.values();
    let references = services.filter_map(|s| s.image.reference.as_ref());
    let references = references.map(|r| r.value.clone()).collect();
    let wanted = (references, BTreeSet::new());
    let found = images(session, wanted, &looked.project.title(), offline).await?;
    Ok(found.into_iter().map(|(r, f)| (r, facts_of(&f))).collect())
}

fn facts_of(found: &Fingerprint) -> ImageFacts {
    let users = (!found.users.is_empty()).then(|| found.users.keys().cloned().collect());
    ImageFacts {
        platform: Some(found.platform.clone()).filter(|p| !p.is_empty()),
        ports: found.ports.clone(),
        health: found.health,
        user: found.user.clone(),
        users,
        time_zone: found.facts.get("time zone").cloned(),
    }
}

struct Probe<'p> {
    session: &'p Session,
    engine: Engine,
    options: Options,
    offline: bool,
    stop: Stop,
    /// One image may have several names.
    by_id: BTreeMap<String, Fingerprint>,
}

impl Probe<'_> {
    async fn one(&mut self, reference: &str) -> Result<Option<Fingerprint>, Exit> {
        let wanted = Wanted {
            reference: reference.to_owned(),
            platform: None,
            policy: if self.offline {
                Policy::Never
            } else {
                Policy::Missing
            },
            locked_for: None,
        };
        let logins = self.session.logins();
        let there = tokio::select! {
            there = provide(&self.engine, &wanted, (&logins, &NoSink)) => there,
            () = self.stop.stopping() => return Err(Exit::Interrupted),
        };
        let there = match there {
            Ok(there) => there,
            Err(problem) => return self.without(problem),
        };
        if let Some(known) = self.by_id.get(&there.id) {
            return Ok(Some(known.clone()));
        }
        if self.session.context.stderr_tty {
            self.session.note(&format!("looking into {reference}…\n"));
        }
        let found = fingerprint(&self.engine, reference, &self.options, &self.stop).await;
        if self.stop.is_stopping() {
            return Err(Exit::Interrupted);
        }
        match found {
            Ok(found) => {
                for what in &found.left_out {
                    self.session
                        .note(&format!("warning: {reference}: left out {what}\n"));
                }
                self.by_id.insert(there.id, found.clone());
                Ok(Some(found))
            }
            Err(problem) => self.without(problem),
        }
    }

    /// An image that is not there is no end; an engine that is not there is.
    fn without(
        &self,
        problem: prodmirror_model::diag::Problem,
    ) -> Result<Option<Fingerprint>, Exit> {
        let lost = problem.kind == ProblemKind::Engine;
        let shown = if lost { problem } else { problem.warning() };
        let look = self.session.look();
        let text = crate::explain::human(&Problems::from(shown).0, look, &Redactor::new());
        self.session.note(&text);
        if lost { Err(Exit::Engine) } else { Ok(None) }
    }
}
