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
use super::bundled::Kept;
use super::doors;
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

    /// The name under which the stacks run that are meant here: those of a bundle that
    /// `up --at` started in this directory, as long as they run, else the project's.
    pub async fn meant_here(&self, engine: &Engine) -> Result<(String, Option<Kept>), Exit> {
        let kept = match self.global.project {
            // Who names a project means that.
            Some(_) => None,
            None => self.kept_here(engine).await?,
        };
        match kept {
            Some(kept) => Ok((kept.project.clone(), Some(kept))),
            None => Ok((self.stack_project()?, None)),
        }
    }

    /// What `up --at` left running from this directory, if it still runs.
    pub async fn kept_here(&self, engine: &Engine) -> Result<Option<Kept>, Exit> {
        let Some(kept) = Kept::read(&self.context.cwd) else {
            return Ok(None);
        };
        let stacks = standing(engine, Some(&kept.project)).await;
        let stacks = stacks.map_err(|p| self.fail(p))?;
        if stacks.iter().any(|s| s.run == kept.run) {
            return Ok(Some(kept));
        }
        Kept::remove(&self.context.cwd);
        Ok(None)
    }

    /// The running mirror that is meant here: the one that `up` started before any other.
    pub async fn standing(&self) -> Result<Standing, Exit> {
        Ok(self.standing_of(None).await?.0)
    }

    /// As [`Self::standing`], of one run where it is named; with the bundle that it is of.
    pub async fn standing_of(&self, run: Option<&str>) -> Result<(Standing, Option<Kept>), Exit> {
        let engine = self.engine().await?;
        let (project, kept) = self.meant_here(&engine).await?;
        let stacks = standing(&engine, Some(&project))
            .await
            .map_err(|p| self.fail(p))?;
        let stacks: Vec<Standing> = stacks
            .into_iter()
            .filter(|s| run.is_none_or(|run| s.run == run))
            .collect();
        let named_up = |s: &&Standing| s.stack == super::up::STACK;
        let position = stacks.iter().position(|s| named_up(&s)).unwrap_or(0);
        let stack = stacks.into_iter().nth(position).ok_or_else(|| {
            let what = format!("no mirror of {project} is running");
            self.fail(
                Problem::new(ProblemKind::Missing, what).help("start it with `prodmirror up -d`"),
            )
        })?;
        let kept = kept.filter(|k| k.run == stack.run);
        Ok((stack, kept))
    }
}

/// `down`
pub async fn down(session: &Session, args: &DownArgs) -> Exit {
    let found = async {
        let connecting = session.connecting();
        // Reading the project goes on while the engine is asked.
        let other = session.global.project.is_none() && Kept::read(&session.context.cwd).is_some();
        let project = match other {
            true => None,
            false => Some(session.stack_project()?),
        };
        let engine = session.connected(connecting).await?;
        let project = match project {
            Some(project) => project,
            None => session.meant_here(&engine).await?.0,
        };
        let runs = standing(&engine, Some(&project)).await.unwrap_or_default();
        let runs: Vec<String> = runs.into_iter().map(|s| s.run).collect();
        Ok::<_, Exit>((project, engine, runs))
    };
    let (project, engine, runs) = match found.await {
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
            for run in runs.iter().filter(|r| !report.alive.contains_key(*r)) {
                forget(session, run);
            }
            if report.left.is_empty() {
                Exit::Ok
            } else {
                Exit::Engine
            }
        }
        Err(p) => session.fail(p),
    }
}

/// Takes away what was written down of a run that is down.
fn forget(session: &Session, run: &str) {
    doors::forget(run);
    if Kept::read(&session.context.cwd).is_some_and(|k| k.run == run) {
        Kept::remove(&session.context.cwd);
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
    let rows = doors::rows(&doors::read(&stack.run));
    let wanted = |service: &Option<String>| {
        let wanted = args.service.as_deref();
        wanted.is_none_or(|s| service.as_deref() == Some(s))
    };
    let rows = rows.into_iter().filter(|(service, ..)| wanted(service));
    if session.global.format == Format::Json {
        let all: Vec<serde_json::Value> = rows.map(|(.., json)| json).collect();
        session.print(&format!("{}\n", serde_json::Value::Array(all)));
        return Exit::Ok;
    }
    let lines: String = rows.map(|(_, line, _)| line).collect();
    session.print(&lines);
    if lines.is_empty() {
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
    let (stack, kept) = match session.standing_of(None).await {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let request = LogRequest {
        services: args.services.clone(),
        follow: args.follow,
        since,
        tail: args.tail,
    };
    let redactor = match &kept {
        Some(kept) => kept.redactor(session, &stack).await,
        None => session
            .open(super::engine::host_arch())
            .map(|o| o.redactor)
            .unwrap_or_default(),
    };
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
