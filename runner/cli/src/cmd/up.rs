//! `up`: the mirror for people, without scenarios.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_engine::bus::{BusOptions, Sink};
use prodmirror_engine::image::provide_all;
use prodmirror_engine::live::lease::{Hold, Lease};
use prodmirror_engine::live::{LiveError, LiveStack, UpOptions, standing, up};
use prodmirror_engine::reach::{Forward, Forwards};
use prodmirror_engine::run::pulse;
use prodmirror_engine::store::Clones;
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::event::What;
use prodmirror_model::plain::visible;
use prodmirror_model::plan::Plan;
use prodmirror_model::redact::Redactor;

use super::Session;
use super::fidelity::Book;
use super::flagged::Flagged;
use super::workshop::replace::Replaced;
use super::{data, engine::host_arch, forward};
use crate::args::UpArgs;
use crate::exit::Exit;
use crate::report::terminal::{self, Terminal};
use crate::signals;

/// Identity of a stack that `up` starts.
pub const STACK: &str = "up";
/// How long it may take to remove what a command made.
pub const SWEEP: Duration = Duration::from_secs(60);
/// How long it may take to start.
const START: Duration = Duration::from_secs(300);

/// Starts the mirror.
pub async fn run(session: &Session, args: &UpArgs) -> Exit {
    match start(session, args).await {
        Ok(exit) | Err(exit) => exit,
    }
}

async fn start(session: &Session, args: &UpArgs) -> Result<Exit, Exit> {
    let opened = session.open(host_arch())?;
    let engine = session.engine().await?;
    let opened = match engine.facts().arch.as_str() {
        arch if arch == host_arch() => opened,
        arch => session.open(arch)?,
    };
    super::lock::gate(session, &opened, &engine, (args.locked, args.offline)).await?;
    let (mut plan, _) = super::planned::plan_of(session, &opened, &engine).await?;
    let replaced = Replaced::put(session, &engine, &mut plan, &args.replace.replace).await?;
    let project = plan.project.clone();
    let running = standing(&engine, Some(&project))
        .await
        .map_err(|p| session.fail(p))?;
    if running.iter().any(|s| s.stack == STACK) {
        let what = format!("the mirror of {project} is up already");
        return Err(session.fail(
            Problem::new(ProblemKind::Conflict, what)
                .help("`prodmirror ps` shows it, `prodmirror down` removes it"),
        ));
    }
    let terminal = Terminal::new(terminal::Options {
        live: session.context.live(),
        colour: session.context.colour(),
        width: terminal::width(),
        reports: Vec::new(),
        out: Box::new(std::io::stderr()),
    });
    let bus = BusOptions::new(opened.redactor.clone())
        .subscriber("terminal", Box::new(terminal))
        .start()
        .map_err(|e| session.fail(Problem::new(ProblemKind::Start, e.to_string())))?;
    let bus = Arc::new(bus);
    let sink: Arc<dyn Sink> = bus.clone();
    let report = replaced.report(&opened.project.root);
    let (book, _) =
        Book::open(&opened, &plan, report, &Flagged::default()).map_err(|problems| {
            session.tell(&problems, &opened.redactor);
            Exit::Invalid
        })?;
    let observer = book.observer(sink.clone());
    let stop = signals::stop();
    let images = super::planned::images_of(&plan, opened.lock.as_ref(), args.offline);
    let logins = session.logins();
    let provided = tokio::select! {
        provided = provide_all(&engine, &images, (&logins, &*sink)) => provided,
        () = stop.stopping() => return Err(Exit::Interrupted),
    };
    if let Err(problems) = provided {
        session.tell(&problems, &opened.redactor);
        let lost = problems.0.iter().any(|p| p.kind == ProblemKind::Engine);
        return Err(if lost { Exit::Engine } else { Exit::Stack });
    }
    let run = format!(
        "up-{}-{}",
        jiff::Timestamp::now().as_millisecond(),
        std::process::id()
    );
    let carrier = replaced.carry(session, &opened, &engine, &run).await;
    let carrier = carrier.map_err(|p| session.fail(p))?;
    let mut lease = session.lease(&project, &run, None);
    if args.detach {
        // It ends as soon as the mirror is up: for so long the process on this host is enough.
        lease.socket = None;
    }
    let keeper_end = lease.keeper_end.clone();
    let pulse = tokio::spawn(pulse(
        engine.clone(),
        stop.clone(),
        sink.clone(),
        keeper_end,
    ));
    let lease = Lease::take(&engine, &lease, sink.clone())
        .await
        .map_err(|p| session.fail(p))?;
    let mut options = UpOptions::new(run.clone(), STACK);
    options.hold = if args.detach { Hold::Kept } else { Hold::Run };
    options.data = data::clones(session, &opened, &engine, (&plan, &run, options.hold), &[]);
    let clones = options.data.clone();
    options.services = args.services.clone();
    options.timeout = START;
    let cancel = options.cancel.clone();
    let watched = stop.clone();
    let watcher = tokio::spawn(async move {
        watched.stopping().await;
        cancel.cancel();
    });
    let ports = ports_of(&plan);
    let began = Instant::now();
    let started = up(&engine, Arc::new(plan), options, sink).await;
    watcher.abort();
    let finish = {
        let bus = bus.clone();
        move || async move {
            let _ = tokio::task::spawn_blocking(move || bus.finish(super::LINGER)).await;
        }
    };
    let stack = match started {
        Ok(stack) => stack,
        Err(e) => {
            pulse.abort();
            close(clones.as_ref()).await;
            let exit = match &e {
                _ if stop.lost().is_some() => Exit::Engine,
                LiveError::Cancelled => Exit::Interrupted,
                LiveError::Engine(p) if p.kind == ProblemKind::Engine => Exit::Engine,
                _ => Exit::Stack,
            };
            if exit == Exit::Engine {
                lease.abandon();
            } else {
                lease.release().await;
            }
            finish().await;
            if exit != Exit::Interrupted {
                tell_failure(session, &e, &opened.redactor);
                replaced.tell_missing(session).await;
            }
            return Err(exit);
        }
    };
    bus.emit(What::StackReady {
        stack: STACK.to_owned(),
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    let observed = stack.observe().await;
    let unread = observed.is_err();
    match observed {
        Ok(observation) => observer(STACK, observation),
        Err(p) => session.note(&format!(
            "warning: the mirror could not be read back: {p}\n"
        )),
    }
    book.shut(unread).tell(session);
    if args.detach {
        pulse.abort();
        lease.release().await;
        let open = match ports.is_empty() {
            true => Vec::new(),
            false => forward::start(session, &run, &project).await,
        };
        if let Some(carrier) = carrier {
            carrier.stay().await;
        }
        finish().await;
        session.note(&format!("{project} is up; `prodmirror down` removes it\n"));
        tell_ports(session, &open);
        return Ok(Exit::Ok);
    }
    let forwards = Forwards::open(stack.reach(), &ports).await;
    tell_ports(session, forwards.list());
    session.note("Ctrl-C removes the mirror\n");
    follow(session, &stack, &stop, &opened.redactor).await;
    pulse.abort();
    let report = stack.down(None).await;
    close(clones.as_ref()).await;
    for left in &report.left {
        session.note(&format!("warning: could not remove {left}\n"));
    }
    if report.left.is_empty() {
        lease.release().await;
    } else {
        lease.abandon();
    }
    finish().await;
    if stop.lost().is_some() || report.lost.is_some() {
        return Ok(Exit::Engine);
    }
    Ok(Exit::Ok)
}

/// Ends the use of the store, unless a stack stays that needs it.
async fn close(clones: Option<&Arc<Clones>>) {
    if let Some(clones) = clones {
        clones.close().await;
    }
}

/// Says why the mirror did not start, with the last log lines of the service that kept it.
fn tell_failure(session: &Session, e: &LiveError, redactor: &Redactor) {
    session.tell(&Problems::from(e.problem()), redactor);
    for line in e.log() {
        session.note(&format!("  | {}\n", visible(&redactor.redact(line))));
    }
}

fn ports_of(plan: &Plan) -> Vec<(String, prodmirror_model::plan::PortPlan)> {
    let of = |c: &prodmirror_model::plan::ContainerPlan| {
        let service = c.service.clone();
        c.ports
            .clone()
            .into_iter()
            .map(move |p| (service.clone(), p))
    };
    plan.containers.iter().flat_map(of).collect()
}

fn tell_ports(session: &Session, open: &[Forward]) {
    for f in open {
        let note = if f.is_other_port() {
            " (the declared port is in use here)"
        } else {
            ""
        };
        session.note(&format!(
            "{}:{} is at {}{note}\n",
            f.service, f.target, f.address
        ));
    }
}

/// Prints what services log until a signal comes.
async fn follow(
    session: &Session,
    stack: &LiveStack,
    stop: &prodmirror_engine::run::Stop,
    redactor: &Redactor,
) {
    let mut at = stack.logs().cursor();
    loop {
        tokio::select! {
            () = stop.stopping() => return,
            () = stack.logs().changed(at) => {}
        }
        let next = stack.logs().cursor();
        for line in stack.logs().all(at) {
            let text = redactor.redact(&line.text);
            session.print(&format!("{}-{} | {text}\n", line.service, line.replica));
        }
        at = next;
    }
}
