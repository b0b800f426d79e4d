//! `up`: the mirror for people, without scenarios.

mod at;
mod debug;
mod stand;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prodmirror_engine::bus::{Bus, BusOptions, Sink};
use prodmirror_engine::docker::Engine;
use prodmirror_engine::image::provide_all;
use prodmirror_engine::live::standing;
use prodmirror_engine::run::Stop;
use prodmirror_engine::step::Program;
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::plan::Plan;

use self::at::At;
use self::debug::Changes;
use super::Session;
use super::bundled::Stopped;
use super::doors::{self, Asked};
use super::engine::host_arch;
use super::fidelity::Book;
use super::flagged::Flagged;
use super::workshop::replace::Replaced;
use crate::args::UpArgs;
use crate::exit::Exit;
use crate::open::Opened;
use crate::report::terminal::{self, Terminal};
use crate::signals;

/// Identity of a stack that `up` starts.
pub const STACK: &str = "up";

/// Starts the mirror.
pub async fn run(session: &Session, args: &UpArgs) -> Exit {
    start(session, args)
        .await
        .unwrap_or_else(|stopped| stopped.tell(session))
}

async fn start(session: &Session, args: &UpArgs) -> Result<Exit, Stopped> {
    let changes = Changes::read(&args.debug)?;
    let Some(bundle) = &args.at else {
        of_bundles_only(args)?;
        let prepared = prepare(session, args, &changes, None).await?;
        return Ok(stand::go(session, args, prepared).await?);
    };
    let (at, inner) = At::open(session, args, bundle).await?;
    let started = async {
        let prepared = prepare(&inner, args, &changes, Some(at.clone())).await?;
        stand::go(&inner, args, prepared).await
    };
    let ended = started.await;
    if !matches!(ended, Ok(Exit::Ok)) {
        at.remove();
    }
    Ok(ended?)
}

/// Refuses options that say something of bundles where there is none.
fn of_bundles_only(args: &UpArgs) -> Result<(), Problem> {
    let trust = &args.trust;
    let given = [
        ("--allow-egress", !trust.allow_egress.is_empty()),
        ("--stand-ins", trust.stand_ins),
        ("--other-images", trust.other_images),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => {
            let what = format!("`{option}` is about a bundle, and none is named");
            Err(Problem::new(ProblemKind::InvalidValue, what).help("name it with --at BUNDLE"))
        }
    }
}

/// All that is known before the stack is started.
struct Prepared {
    opened: Opened,
    engine: Engine,
    plan: Plan,
    /// The scenario of the bundle, whose data and flags the stack has.
    program: Option<Arc<Program>>,
    book: Arc<Book>,
    asked: Asked,
    bus: Arc<Bus>,
    stop: Stop,
    at: Option<At>,
    replaced: Replaced,
}

async fn prepare(
    session: &Session,
    args: &UpArgs,
    changes: &Changes,
    at: Option<At>,
) -> Result<Prepared, Exit> {
    let mut opened = session.open(host_arch())?;
    let engine = session.engine().await?;
    if engine.facts().arch != host_arch() {
        opened = session.open(&engine.facts().arch)?;
    }
    if opened.problems.has_errors() {
        session.tell(&opened.problems, &opened.redactor);
        return Err(Exit::Invalid);
    }
    let program = match &at {
        Some(at) => Some(at.scenario(session, &mut opened)?),
        None => None,
    };
    super::lock::gate(session, &opened, &engine, (args.locked, args.offline)).await?;
    let (plan, _) = super::planned::plan_of(session, &opened, &engine).await?;
    let programs: Vec<Arc<Program>> = program.iter().cloned().collect();
    let mut flagged =
        Flagged::of(&plan, &opened.flags, &as_refs(&programs)).map_err(|p| session.fail(p))?;
    let key = flagged.observed_key();
    let mut plan = flagged.plans.get(&key).map_or(plan, |p| (**p).clone());
    let refused = |problems: Problems, opened: &Opened| {
        session.tell(&problems, &opened.redactor);
        Exit::Invalid
    };
    is_down(session, &engine, &plan.project).await?;
    let replaced = Replaced::put(session, &engine, &mut plan, &args.replace.replace).await?;
    changes.check(&plan).map_err(|p| refused(p, &opened))?;
    let hosts = hosts_file(&opened, at.as_ref());
    early(args, &plan, &hosts)
        .await
        .map_err(|p| refused(p, &opened))?;
    let bus = bus(session, &opened)?;
    let stop = signals::stop();
    let images = super::planned::images_of(&plan, opened.lock.as_ref(), args.offline);
    let (logins, sink): (_, Arc<dyn Sink>) = (session.logins(), bus.clone());
    let provided = tokio::select! {
        provided = provide_all(&engine, &images, (&logins, &*sink)) => provided,
        () = stop.stopping() => return Err(Exit::Interrupted),
    };
    if let Err(problems) = provided {
        session.tell(&problems, &opened.redactor);
        let lost = problems.0.iter().any(|p| p.kind == ProblemKind::Engine);
        return Err(if lost { Exit::Engine } else { Exit::Stack });
    }
    let changed = changes.apply(&engine, &mut plan).await;
    for line in changed.map_err(|p| session.fail(p))? {
        let line = opened.redactor.redact(&line);
        session.note(&format!("not as in production: {line}\n"));
    }
    let asked = ask(args, (&opened, &engine, &plan), &hosts).await;
    let asked = asked.map_err(|p| refused(p, &opened))?;
    if !key.is_empty() {
        flagged.plans.insert(key, Arc::new(plan.clone()));
    }
    let report = replaced.report(&opened.project.root);
    let (book, _) =
        Book::open(&opened, &plan, report, &flagged).map_err(|p| refused(p, &opened))?;
    Ok(Prepared {
        opened,
        engine,
        plan,
        program,
        book,
        asked,
        bus,
        stop,
        at,
        replaced,
    })
}

fn as_refs(programs: &[Arc<Program>]) -> Vec<&Program> {
    programs.iter().map(|p| &**p).collect()
}

/// One project has one mirror of `up`.
async fn is_down(session: &Session, engine: &Engine, project: &str) -> Result<(), Exit> {
    let running = standing(engine, Some(project)).await;
    let running = running.map_err(|p| session.fail(p))?;
    if !running.iter().any(|s| s.stack == STACK) {
        return Ok(());
    }
    let what = format!("the mirror of {project} is up already");
    Err(session.fail(
        Problem::new(ProblemKind::Conflict, what)
            .help("`prodmirror ps` shows it, `prodmirror down` removes it"),
    ))
}

/// Where the lines for the file of hosts are written.
fn hosts_file(opened: &Opened, at: Option<&At>) -> PathBuf {
    let root = match at {
        Some(at) => &at.cwd,
        None => &opened.project.root,
    };
    root.join(".prodmirror").join("hosts")
}

/// What of the ports that are asked for is wrong, as far as that is seen without the images.
async fn early(args: &UpArgs, plan: &Plan, hosts: &Path) -> Result<(), Problems> {
    let services = plan.containers.iter().map(|c| c.service.clone());
    let known = services.map(|s| (s, Default::default())).collect();
    let asked = match doors::ask((&args.doors, &args.debug), plan, &known, hosts) {
        Ok(asked) => asked,
        Err(mut problems) => {
            // Images may name ports.
            problems.0.retain(|p| p.kind != ProblemKind::Missing);
            match problems.0.is_empty() {
                true => return Ok(()),
                false => return Err(problems),
            }
        }
    };
    match asked.proxy {
        Some(at) => Ok(doors::is_free("--proxy", at).await?),
        None => Ok(()),
    }
}

async fn ask(
    args: &UpArgs,
    (opened, engine, plan): (&Opened, &Engine, &Plan),
    hosts: &Path,
) -> Result<Asked, Problems> {
    let needed = args.doors.publish.is_some() || args.doors.hosts;
    let known = match opened.stack() {
        // Nobody asks for ports that only images know.
        Some(stack) if needed => {
            doors::ports_by_service(engine, plan, &stack.extension.stubs).await?
        }
        _ => {
            let services = plan.containers.iter().map(|c| c.service.clone());
            services.map(|s| (s, Default::default())).collect()
        }
    };
    doors::ask((&args.doors, &args.debug), plan, &known, hosts)
}

/// The events of the start, on the terminal.
fn bus(session: &Session, opened: &Opened) -> Result<Arc<Bus>, Exit> {
    let terminal = Terminal::new(terminal::Options {
        live: session.context.live(),
        colour: session.context.colour(),
        width: terminal::width(),
        reports: Vec::new(),
        out: Box::new(std::io::stderr()),
    });
    let bus = BusOptions::new(opened.redactor.clone())
        .subscriber("terminal", Box::new(terminal))
        .start();
    let bus = bus.map_err(|e| session.fail(Problem::new(ProblemKind::Start, e.to_string())))?;
    Ok(Arc::new(bus))
}
