//! `up`: the mirror for people, without scenarios.

use std::sync::Arc;
use std::time::Duration;

use prodmirror_engine::bus::{BusOptions, Sink};
use prodmirror_engine::image::provide_all;
use prodmirror_engine::live::lease::{Hold, Lease};
use prodmirror_engine::live::{LiveError, LiveStack, UpOptions, standing, up};
use prodmirror_engine::reach::{Forward, Forwards};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::Plan;

use super::Session;
use super::{engine::host_arch, forward};
use crate::args::UpArgs;
use crate::exit::Exit;
use crate::report::terminal::{self, Terminal};
use crate::signals;

/// Identity of a stack that `up` starts.
pub const STACK: &str = "up";
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
    let (plan, _) = super::run::plan_of(session, &opened, &engine).await?;
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
    let stop = signals::stop();
    let images = super::run::images_of(&plan, args.offline);
    if let Err(problems) = provide_all(&engine, &images, (&session.logins(), &*sink)).await {
        session.tell(&problems, &opened.redactor);
        return Err(Exit::Stack);
    }
    let run = format!(
        "up-{}-{}",
        jiff::Timestamp::now().as_millisecond(),
        std::process::id()
    );
    let mut lease = session.lease(&project, &run, None);
    if args.detach {
        // It ends as soon as the mirror is up: for so long the process on this host is enough.
        lease.socket = None;
    }
    let lease = Lease::take(&engine, &lease, sink.clone())
        .await
        .map_err(|p| session.fail(p))?;
    let mut options = UpOptions::new(run.clone(), STACK);
    options.hold = if args.detach { Hold::Kept } else { Hold::Run };
    options.services = args.services.clone();
    options.timeout = START;
    let cancel = options.cancel.clone();
    let watched = stop.clone();
    let watcher = tokio::spawn(async move {
        watched.stopping().await;
        cancel.cancel();
    });
    let ports = ports_of(&plan);
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
            lease.release().await;
            finish().await;
            return Err(match e {
                LiveError::Cancelled => Exit::Interrupted,
                LiveError::Engine(p) if p.kind == ProblemKind::Engine => Exit::Engine,
                _ => Exit::Stack,
            });
        }
    };
    if args.detach {
        lease.release().await;
        let open = match ports.is_empty() {
            true => Vec::new(),
            false => forward::start(session, &run, &project).await,
        };
        finish().await;
        session.note(&format!("{project} is up; `prodmirror down` removes it\n"));
        tell_ports(session, &open);
        return Ok(Exit::Ok);
    }
    let forwards = Forwards::open(stack.reach(), &ports).await;
    tell_ports(session, forwards.list());
    session.note("Ctrl-C removes the mirror\n");
    follow(session, &stack, &stop, &opened.redactor).await;
    stack.down(None).await;
    lease.release().await;
    finish().await;
    Ok(Exit::Ok)
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
    redactor: &prodmirror_model::redact::Redactor,
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
