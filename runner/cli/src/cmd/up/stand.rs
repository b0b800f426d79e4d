//! The mirror on its way up, and while it stands.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_engine::bus::{Bus, Sink};
use prodmirror_engine::live::lease::{Hold, Lease};
use prodmirror_engine::live::{LiveError, LiveStack, UpOptions, up};
use prodmirror_engine::reach::Forwards;
use prodmirror_engine::run::{Stop, pulse};
use prodmirror_engine::store::Clones;
use prodmirror_model::diag::{ProblemKind, Problems};
use prodmirror_model::event::What;
use prodmirror_model::plain::visible;
use prodmirror_model::redact::Redactor;

use super::{Prepared, STACK};
use crate::args::UpArgs;
use crate::cmd::{Session, data, doors, forward};
use crate::exit::Exit;

/// How long it may take to start.
const START: Duration = Duration::from_secs(300);

/// Starts it, and keeps it up: until a signal comes, or for good.
pub async fn go(session: &Session, args: &UpArgs, prepared: Prepared) -> Result<Exit, Exit> {
    let Prepared {
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
    } = prepared;
    let project = plan.project.clone();
    let run = format!(
        "up-{}-{}",
        jiff::Timestamp::now().as_millisecond(),
        std::process::id()
    );
    let sink: Arc<dyn Sink> = bus.clone();
    let observer = book.observer(sink.clone());
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
    let programs: Vec<_> = program.into_iter().collect();
    let start = (&plan, run.as_str(), options.hold);
    options.data = data::clones(session, &opened, &engine, start, &programs);
    for (volume, snapshot) in programs.iter().flat_map(|p| &p.scenario.data) {
        let snapshot = snapshot.value.clone();
        options.snapshots.insert(volume.clone(), snapshot);
    }
    let clones = options.data.clone();
    options.services = args.services.clone();
    options.timeout = START;
    let cancel = options.cancel.clone();
    let watched = stop.clone();
    let watcher = tokio::spawn(async move {
        watched.stopping().await;
        cancel.cancel();
    });
    let kept = at.as_ref().map(|at| at.kept(&plan, &run));
    let mut forwards = Forwards::default();
    if !args.detach {
        // Whatever waits for its debugger is not ready before that has come.
        let mirror = doors::Mirror {
            engine: engine.clone(),
            project: project.clone(),
            run: run.clone(),
        };
        doors::open_debuggers(&mirror, &asked.debuggers, &mut forwards).await;
        for forward in forwards.list() {
            session.note(&doors::line(forward));
        }
    }
    let began = Instant::now();
    let started = up(&engine, Arc::new(plan), options, sink).await;
    watcher.abort();
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
            finish(&bus).await;
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
    if let (Some(at), Some(kept)) = (&at, &kept) {
        at.keep(session, kept);
    }
    if args.detach {
        pulse.abort();
        lease.release().await;
        let listed = match asked.is_empty() {
            true => doors::Listed::default(),
            false => forward::start(session, (&run, &project), &asked).await,
        };
        if let Some(carrier) = carrier {
            carrier.stay().await;
        }
        finish(&bus).await;
        session.note(&format!("{project} is up; `prodmirror down` removes it\n"));
        session.note(&doors::tell(&listed));
        if let Some(at) = &at {
            session.note(&at.how(args.detach));
        }
        return Ok(Exit::Ok);
    }
    let doors = doors::Doors::open(&asked, stack.reach(), forwards).await;
    session.note(&doors::tell(&doors.listed.without_debuggers()));
    if let Err(e) = doors::write(&run, &doors.listed) {
        session.note(&format!("warning: `prodmirror ports` will not know: {e}\n"));
    }
    if let Some(at) = &at {
        session.note(&at.how(args.detach));
    }
    session.note("Ctrl-C removes the mirror\n");
    follow(session, &stack, &stop, &opened.redactor).await;
    drop(doors);
    doors::forget(&run);
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
    if let Some(at) = &at {
        at.forget();
    }
    finish(&bus).await;
    if stop.lost().is_some() || report.lost.is_some() {
        return Ok(Exit::Engine);
    }
    Ok(Exit::Ok)
}

/// Lets the events that are under way come to the terminal.
async fn finish(bus: &Arc<Bus>) {
    let bus = bus.clone();
    let _ = tokio::task::spawn_blocking(move || bus.finish(crate::cmd::LINGER)).await;
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

/// Prints what services log until a signal comes.
async fn follow(session: &Session, stack: &LiveStack, stop: &Stop, redactor: &Redactor) {
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
