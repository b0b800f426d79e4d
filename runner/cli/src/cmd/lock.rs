//! `lock`: the pins of a mirror, and whether it is still what they say.

use std::collections::BTreeMap;

use prodmirror_engine::bus::Sink;
use prodmirror_engine::docker::Engine;
use prodmirror_engine::image::{Ask, resolve};
use prodmirror_model::diag::{Problem, ProblemKind, Problems, Severity};
use prodmirror_model::event::What;
use prodmirror_model::lock::{self, FILE_NAME, Lock, Needed, Now, Pin, Renew, Seen};
use prodmirror_model::source::io_reason;

use super::Session;
use super::{data, engine::host_arch};
use crate::args::{Format, LockArgs};
use crate::exit::Exit;
use crate::open::Opened;
use crate::report::Target;
use crate::report::look::count;

/// Writes the lock, or compares it.
pub async fn run(session: &Session, args: &LockArgs) -> Exit {
    let done = if args.check {
        check(session, args).await
    } else {
        renew(session, args).await
    };
    match done {
        Ok(()) => Exit::Ok,
        Err(exit) => exit,
    }
}

/// Before a stack is started: with `--locked` nothing may have drifted from the lock; without,
/// what the engine alone can tell is told, and what the lock says runs all the same.
pub async fn gate(
    session: &Session,
    opened: &Opened,
    engine: &Engine,
    (locked, offline): (bool, bool),
) -> Result<(), Exit> {
    let Some(lock) = &opened.lock else {
        return if locked {
            Err(no_lock(session))
        } else {
            Ok(())
        };
    };
    let ask = if locked && !offline {
        Ask::Registries
    } else {
        Ask::Engine
    };
    let now = now(session, opened, engine, (&opened.images, Some(lock), ask)).await?;
    let mut found = lock::drift(lock, &now);
    if locked {
        let drifted = found.has_errors();
        tell(session, opened, &found, drifted);
        return if drifted { Err(Exit::Gate) } else { Ok(()) };
    }
    found.0.retain(Problem::is_error);
    for p in &mut found.0 {
        p.severity = Severity::Warning;
    }
    tell(session, opened, &found, false);
    Ok(())
}

async fn check(session: &Session, args: &LockArgs) -> Result<(), Exit> {
    let opened = open(session, Opened::open)?;
    let Some(lock) = &opened.lock else {
        return Err(no_lock(session));
    };
    let engine = session.engine().await?;
    let now = now(
        session,
        &opened,
        &engine,
        (&opened.images, Some(lock), ask(args)),
    )
    .await?;
    let found = lock::drift(lock, &now);
    // What could not be asked was not found to be as it was.
    let unanswered = now
        .images
        .values()
        .any(|(_, seen)| matches!(seen, Seen::Unanswered(_)));
    let closed = found.has_errors() || unanswered;
    tell(session, &opened, &found, true);
    if closed {
        return Err(Exit::Gate);
    }
    if session.global.format == Format::Human {
        session.note(&format!("{FILE_NAME} holds: {}\n", summary(lock)));
    }
    Ok(())
}

async fn renew(session: &Session, args: &LockArgs) -> Result<(), Exit> {
    let opened = open(session, Opened::without_lock)?;
    let refused = |problems: Problems| {
        session.tell(&problems, &opened.redactor);
        let lost = |p: &Problem| p.kind == ProblemKind::Start;
        if problems.0.iter().any(lost) {
            Exit::Stack
        } else {
            Exit::Invalid
        }
    };
    let old = match lock::load(&opened.project.root) {
        Ok(old) => old,
        // One that is broken is written anew; one of a newer version is not touched.
        Err(p) if p.0.iter().any(|p| p.kind == ProblemKind::Unsupported) => return Err(refused(p)),
        Err(_) => None,
    };
    let how = match &args.update {
        None => Renew::Missing,
        Some(services) if services.is_empty() => Renew::All,
        Some(services) => Renew::Services(services.clone()),
    };
    let wanted = how.images(old.as_ref(), &opened.images).map_err(refused)?;
    let engine = session.engine().await?;
    let now = now(session, &opened, &engine, (&wanted, None, ask(args))).await?;
    let seen = now.clone();
    let new = how
        .lock(old.as_ref(), &opened.images, now)
        .map_err(refused)?;
    let text = lock::write(&new);
    let path = opened.project.root.join(FILE_NAME);
    let same = std::fs::read_to_string(&path).is_ok_and(|old| old == text);
    if !same {
        let put = Target::File(path).put(text.as_bytes());
        put.map_err(|e| {
            let what = format!("cannot write {FILE_NAME}: {}", io_reason(&e));
            session.fail(Problem::new(ProblemKind::MissingFile, what));
            Exit::Invalid
        })?;
    }
    if session.global.format == Format::Human {
        changes(session, old.as_ref(), &new);
        local_only(session, &seen);
        let how = if same { "is as it was" } else { "written" };
        session.note(&format!("{FILE_NAME} {how}: {}\n", summary(&new)));
    }
    Ok(())
}

fn ask(args: &LockArgs) -> Ask {
    if args.offline {
        Ask::Engine
    } else {
        Ask::Registries
    }
}

type Open = fn(&crate::args::Global, &crate::context::Context, &str) -> Result<Opened, Problems>;

fn open(session: &Session, how: Open) -> Result<Opened, Exit> {
    let opened = how(&session.global, &session.context, host_arch()).map_err(|problems| {
        session.tell(&problems, &prodmirror_model::redact::Redactor::new());
        Exit::Invalid
    })?;
    if opened.stack().is_none() {
        session.tell(&opened.problems, &opened.redactor);
        return Err(Exit::Invalid);
    }
    Ok(opened)
}

/// The mirror at present.
async fn now(
    session: &Session,
    opened: &Opened,
    engine: &Engine,
    (images, lock, ask): (&BTreeMap<String, Needed>, Option<&Lock>, Ask),
) -> Result<Now, Exit> {
    let env = &session.context.env;
    let mut facts = lock::facts(&opened.project, &opened.compiled, env).map_err(|problems| {
        session.tell(&problems, &opened.redactor);
        Exit::Invalid
    })?;
    data::manifests(session, engine, &mut facts)
        .await
        .map_err(|p| session.fail(p))?;
    let logins = session.logins();
    let notes = Notes { session };
    let images = resolve(engine, images.clone(), (lock, ask), (&logins, &notes)).await;
    Ok(Now {
        images: images.map_err(|p| session.fail(p))?,
        facts,
        tool: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// Programs get one document, and only when it decides how the command ends.
fn tell(session: &Session, opened: &Opened, found: &Problems, ends: bool) {
    if ends || session.global.format == Format::Human {
        session.tell(found, &opened.redactor);
    }
}

fn no_lock(session: &Session) -> Exit {
    let what = format!("there is no {FILE_NAME} beside mirror.yaml");
    let problem = Problem::new(ProblemKind::Drift, what).help("`prodmirror lock` writes it");
    session.fail(problem)
}

fn summary(lock: &Lock) -> String {
    let local = |p: &&prodmirror_model::mirror::Sourced<Pin>| matches!(p.value, Pin::Local { .. });
    let local = lock.images.values().filter(local).count();
    let facts = &lock.facts;
    let files = facts.sources.len() + facts.configs.len();
    let by_digest = lock.images.len() - local;
    format!(
        "{} by digest, {local} local only, {}",
        count(by_digest, "image"),
        count(files, "file")
    )
}

/// Says which images came, went and moved.
fn changes(session: &Session, old: Option<&Lock>, new: &Lock) {
    let none = BTreeMap::new();
    let before = old.map_or(&none, |l| &l.images);
    for (name, pin) in &new.images {
        match before.get(name) {
            Some(old) if old.value == pin.value => {}
            Some(old) => session.note(&format!(
                "moved  {name}  from {} to {}\n",
                old.described(),
                pin.described()
            )),
            None => session.note(&format!("locked {name}  {}\n", pin.described())),
        }
    }
    for name in before.keys().filter(|name| !new.images.contains_key(*name)) {
        session.note(&format!("gone   {name}\n"));
    }
}

/// Says which images no other machine can have.
fn local_only(session: &Session, seen: &Now) {
    for (name, (_, seen)) in &seen.images {
        if matches!(seen, Seen::Is(Pin::Local { .. })) {
            session.note(&format!(
                "warning: {name} is local only: it is locked by its id, which no registry knows\n"
            ));
        }
    }
}

/// Says why a registry is waited for.
struct Notes<'s> {
    session: &'s Session,
}

impl Sink for Notes<'_> {
    fn emit(&self, what: What) {
        if let What::Image {
            image,
            state,
            detail,
        } = what
        {
            self.session
                .note(&format!("image {image} {state}: {detail}\n"));
        }
    }
}
