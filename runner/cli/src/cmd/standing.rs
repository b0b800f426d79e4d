//! Commands on a mirror that `up` left running: found by its labels, from any process.

use std::path::Path;
use std::time::Duration;

use prodmirror_engine::docker::Engine;
use prodmirror_engine::live::lease::{GcOptions, gc as collect};
use prodmirror_engine::live::{LogRequest, Standing, Teardown, down_project, standing};
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::redact::Redactor;
use serde_json::json;

use super::Session;
use super::forward;
use crate::args::{CpArgs, DownArgs, Format, GcArgs, LogsArgs, ServiceArg, ServicesArg};
use crate::exit::Exit;

impl Session {
    /// Tells a problem; the exit code that fits it.
    pub fn fail(&self, problem: Problem) -> Exit {
        let exit = match problem.kind {
            ProblemKind::Engine => Exit::Engine,
            ProblemKind::Start => Exit::Stack,
            ProblemKind::Drift => Exit::Gate,
            _ => Exit::Invalid,
        };
        self.tell(&Problems::from(problem), &Redactor::new());
        exit
    }

    /// The name under which the project's stacks run.
    pub fn stack_project(&self) -> Result<String, Exit> {
        let opened = self.open(super::engine::host_arch())?;
        match &opened.compiled.stack {
            Some(stack) => Ok(stack.mirror.name.value.clone()),
            None => {
                self.tell(&opened.problems, &opened.redactor);
                Err(Exit::Invalid)
            }
        }
    }

    /// The project's running mirror: the one that `up` started before any other.
    pub async fn standing(&self) -> Result<Standing, Exit> {
        self.standing_of(None).await
    }

    /// As [`Self::standing`], of one run where it is named.
    pub async fn standing_of(&self, run: Option<&str>) -> Result<Standing, Exit> {
        let project = self.stack_project()?;
        let engine = self.engine().await?;
        let stacks = standing(&engine, Some(&project))
            .await
            .map_err(|p| self.fail(p))?;
        let stacks: Vec<Standing> = stacks
            .into_iter()
            .filter(|s| run.is_none_or(|run| s.run == run))
            .collect();
        let named_up = |s: &&Standing| s.stack == super::up::STACK;
        let position = stacks.iter().position(|s| named_up(&s)).unwrap_or(0);
        stacks.into_iter().nth(position).ok_or_else(|| {
            let what = format!("no mirror of {project} is running");
            self.fail(
                Problem::new(ProblemKind::Missing, what).help("start it with `prodmirror up -d`"),
            )
        })
    }
}

/// `down`
pub async fn down(session: &Session, args: &DownArgs) -> Exit {
    let found = async {
        let connecting = session.connecting();
        let project = session.stack_project()?;
        let engine = session.connected(connecting).await?;
        Ok::<(String, Engine), Exit>((project, engine))
    };
    let (project, engine) = match found.await {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let grace = args.timeout.map(|t| Duration::from_secs(t.into()));
    let usual = Teardown::default();
    let how = Teardown {
        graceful: args.graceful || grace.is_some_and(|g| !g.is_zero()),
        grace,
        deadline: usual.deadline + grace.unwrap_or_default(),
    };
    match down_project(&engine, &project, &how).await {
        Ok(report) => {
            for left in &report.left {
                session.note(&format!("could not remove {left}\n"));
            }
            for (run, process) in &report.alive {
                session.note(&format!(
                    "left {run} alone: process {process} works on it; end it there (Ctrl-C)\n"
                ));
            }
            let took = report.took.as_secs_f64();
            session.note(&format!(
                "{project}: {} objects removed in {took:.2} s\n",
                report.removed
            ));
            if report.left.is_empty() {
                Exit::Ok
            } else {
                Exit::Engine
            }
        }
        Err(p) => session.fail(p),
    }
}

/// `ps`
pub async fn ps(session: &Session) -> Exit {
    let engine = match session.engine().await {
        Ok(engine) => engine,
        Err(exit) => return exit,
    };
    let stacks = match standing(&engine, None).await {
        Ok(stacks) => stacks,
        Err(p) => return session.fail(p),
    };
    let mut rows = vec![["STACK", "SERVICE", "STATE", "IMAGE", "CONTAINER"].map(str::to_owned)];
    let mut all = Vec::new();
    for stack in &stacks {
        let name = format!("{}/{}", stack.project, stack.stack);
        for m in stack.members() {
            all.push(json!({
                "project": stack.project, "run": stack.run, "stack": stack.stack,
                "service": m.service, "replica": m.replica, "stub": m.is_stub,
                "state": m.state, "status": m.status, "image": m.image, "container": m.name,
            }));
            let service = format!("{}-{}", m.service, m.replica);
            rows.push([name.clone(), service, m.status, m.image, m.name]);
        }
    }
    if session.global.format == Format::Json {
        session.print(&format!("{}\n", serde_json::Value::Array(all)));
    } else if all.is_empty() {
        session.note("no mirror is running\n");
    } else {
        session.print(&table(&rows));
    }
    Exit::Ok
}

/// Rows as columns.
pub fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (w, cell) in widths.iter_mut().zip(row) {
            *w = (*w).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, w)| format!("{cell:w$}"))
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// `ports`
pub async fn ports(session: &Session, args: &ServiceArg) -> Exit {
    let stack = match session.standing().await {
        Ok(stack) => stack,
        Err(exit) => return exit,
    };
    let open = forward::read(&stack.run);
    let wanted = |service: &str| args.service.as_deref().is_none_or(|s| s == service);
    let open: Vec<_> = open.into_iter().filter(|f| wanted(&f.service)).collect();
    if session.global.format == Format::Json {
        session.print(&format!(
            "{}\n",
            serde_json::to_value(&open).unwrap_or_default()
        ));
        return Exit::Ok;
    }
    for f in &open {
        let other = match f.declared {
            Some(d) if f.is_other_port() => format!("  (port {d} is in use here)"),
            _ => String::new(),
        };
        session.print(&format!(
            "{}:{} -> {}{other}\n",
            f.service, f.target, f.address
        ));
    }
    if open.is_empty() {
        session.note("no port is forwarded\n");
    }
    Exit::Ok
}

/// `logs`
pub async fn logs(session: &Session, args: &LogsArgs) -> Exit {
    let since = match args.since.as_deref().map(moment).transpose() {
        Ok(since) => since,
        Err(p) => return session.fail(p),
    };
    let stack = match session.standing().await {
        Ok(stack) => stack,
        Err(exit) => return exit,
    };
    let request = LogRequest {
        services: args.services.clone(),
        follow: args.follow,
        since,
        tail: args.tail,
    };
    let redactor = session
        .open(super::engine::host_arch())
        .map(|o| o.redactor)
        .unwrap_or_default();
    let mut lines = match stack.logs(&request).await {
        Ok(lines) => lines,
        Err(p) => return session.fail(p),
    };
    let stop = crate::signals::stop();
    loop {
        let spoken = tokio::select! {
            spoken = lines.recv() => spoken,
            () = stop.stopping() => None,
        };
        let Some(spoken) = spoken else {
            return Exit::Ok;
        };
        let time = if args.timestamps {
            format!("{} ", spoken.line.at)
        } else {
            String::new()
        };
        let text = redactor.redact(&spoken.line.text);
        session.print(&format!(
            "{}-{} | {time}{text}\n",
            spoken.service, spoken.replica
        ));
    }
}

/// `10m` ago, or a time.
fn moment(text: &str) -> Result<jiff::Timestamp, Problem> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(at);
    }
    let ago = prodmirror_model::scenario::parse_duration(text)
        .ok()
        .and_then(|d| jiff::Timestamp::now().checked_sub(d).ok());
    ago.ok_or_else(|| {
        Problem::new(
            ProblemKind::InvalidValue,
            format!("`--since {text}` is no duration and no time"),
        )
        .help("for example 10m, or 2026-11-01T12:00:00Z")
    })
}

/// `restart`
pub async fn restart(session: &Session, args: &ServicesArg) -> Exit {
    let stack = match session.standing().await {
        Ok(stack) => stack,
        Err(exit) => return exit,
    };
    match stack.restart(&args.services).await {
        Ok(()) => Exit::Ok,
        Err(p) => session.fail(p),
    }
}

/// `cp`
pub async fn cp(session: &Session, args: &CpArgs) -> Exit {
    let inside = |text: &str| {
        let (service, path) = text.split_once(':')?;
        // A drive letter or a path with a colon in it is no service.
        let name = !service.is_empty() && !service.contains(['/', '\\', '.']);
        name.then(|| (service.to_owned(), path.to_owned()))
    };
    let stack = match session.standing().await {
        Ok(stack) => stack,
        Err(exit) => return exit,
    };
    let here = |path: &str| session.context.cwd.join(Path::new(path));
    let done = match (inside(&args.from), inside(&args.to)) {
        (None, Some((service, path))) => match stack.member(&service, 1) {
            Ok(member) => stack.copy_in(&here(&args.from), &member, &path).await,
            Err(p) => Err(p),
        },
        (Some((service, path)), None) => match stack.member(&service, 1) {
            Ok(member) => stack.copy_out(&member, &path, &here(&args.to)).await,
            Err(p) => Err(p),
        },
        _ => Err(Problem::new(
            ProblemKind::InvalidValue,
            "one of the two must be SERVICE:PATH and the other a path here",
        )),
    };
    done.map_or_else(|p| session.fail(p), |()| Exit::Ok)
}

/// `gc`
pub async fn gc(session: &Session, args: &GcArgs) -> Exit {
    let engine = match session.engine().await {
        Ok(engine) => engine,
        Err(exit) => return exit,
    };
    let options = GcOptions {
        dry_run: args.dry_run,
        ..GcOptions::default()
    };
    match collect(&engine, &options).await {
        Ok(report) => {
            for (run, why) in &report.kept {
                session.note(&format!("kept {run}: {why}\n"));
            }
            for left in &report.left {
                session.note(&format!("could not remove {left}\n"));
            }
            let verb = if args.dry_run {
                "would be removed"
            } else {
                "removed"
            };
            session.note(&format!("{} objects {verb}\n", report.removed.len()));
            if report.left.is_empty() {
                Exit::Ok
            } else {
                Exit::Engine
            }
        }
        Err(p) => session.fail(p),
    }
}
