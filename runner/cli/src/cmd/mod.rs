//! One file per command.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use prodmirror_model::diag::Problems;
use prodmirror_model::redact::Redactor;

use crate::args::{Cli, Format, Global, Verb};
use crate::context::Context;
use crate::exit::Exit;
use crate::explain as drawing;
use crate::report::look::Look;
use crate::report::terminal;

mod audit;
mod bisect;
mod bundled;
mod check;
mod completions;
mod data;
mod diff;
mod doors;
mod engine;
mod exec;
mod explain;
mod fidelity;
mod flagged;
mod fmt;
mod forward;
mod hops;
mod images;
mod init;
mod lease;
mod lock;
mod new;
mod pause;
mod plan;
mod planned;
mod play;
mod probe;
mod record;
mod render;
mod report;
mod repro;
mod run;
mod schema;
mod snapshot;
mod standing;
mod up;
mod workshop;

pub use engine::host_arch;

/// How long work that was told to stop may go on before the process ends all the same.
const LINGER: Duration = Duration::from_secs(2);

/// How long it may take to remove what a command made.
const SWEEP: Duration = Duration::from_secs(60);

/// What every command is given.
pub struct Session {
    /// Options of every command.
    pub global: Global,
    /// The process's surroundings.
    pub context: Context,
}

impl Session {
    /// How text for people looks.
    pub fn look(&self) -> Look {
        Look {
            colour: self.global.quiet.is_none() && self.context.colour(),
            width: terminal::width(),
        }
    }

    /// Prints problems in the form that was asked for: people's on standard error, JSON on
    /// standard output.
    pub fn tell(&self, problems: &Problems, redactor: &Redactor) {
        if self.global.format == Format::Json {
            self.print(&drawing::json(&problems.0, redactor));
        } else if !problems.0.is_empty() {
            self.note(&drawing::human(&problems.0, self.look(), redactor));
            if self.context.var("GITHUB_ACTIONS") == Some("true") {
                self.print(&drawing::github(&problems.0, redactor));
            }
        }
    }

    /// Writes to standard output. A reader that is gone is no error.
    pub fn print(&self, text: &str) {
        if self.global.quiet.is_some() {
            self.note(text);
            return;
        }
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Writes to standard error. A lost terminal is no error.
    pub fn note(&self, text: &str) {
        let _ = self.notes().write_all(text.as_bytes());
    }

    /// Where notes go: standard error, or a file for runs inside of another command.
    pub fn notes(&self) -> Box<dyn std::io::Write + Send> {
        let Some(path) = &self.global.quiet else {
            return Box::new(std::io::stderr());
        };
        match std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
        {
            Ok(file) => Box::new(file),
            Err(_) => Box::new(std::io::sink()),
        }
    }
}

/// Writes to standard error. A lost terminal is no error.
pub fn note(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Runs a command to its end.
pub fn run(cli: Cli, context: Context) -> ExitCode {
    let session = Session {
        global: cli.global,
        context,
    };
    let of_code = matches!(session.global.format, Format::Sarif | Format::Github);
    if of_code && !matches!(cli.verb, Verb::Audit(_) | Verb::Check(_)) {
        session.note(
            "error: `--format sarif` and `--format github` are formats of `audit` and `check`\n",
        );
        return Exit::Invalid.into();
    }
    match cli.verb {
        Verb::Completions { shell } => completions::run(shell),
        Verb::Audit(args) => with_runtime(audit::run(&session, &args)),
        Verb::Diff(args) => with_runtime(diff::run(&session, &args)),
        Verb::Check(args) => check::run(&session, &args),
        Verb::Explain(args) => explain::run(&session, &args),
        Verb::Render => render::run(&session),
        Verb::Report(args) => report::run(&session, &args),
        Verb::Repro(args) => with_runtime(repro::run(&session, &args)),
        Verb::Bisect(args) => with_runtime(bisect::run(&session, &args)),
        Verb::Images(args) => with_runtime(images::run(&session, &args)),
        Verb::Snapshot(args) => with_runtime(snapshot::run(&session, &args)),
        Verb::Run(args) => with_runtime(run::run(&session, &args)),
        Verb::Plan => with_runtime(plan::run(&session)),
        Verb::Lock(args) => with_runtime(lock::run(&session, &args)),
        Verb::Init(args) => init::run(&session, &args),
        Verb::New(args) => new::run(&session, &args),
        Verb::Record(args) => with_runtime(record::run(&session, &args)),
        Verb::Fmt(args) => fmt::run(&session, &args),
        Verb::Schema(args) => schema::run(&session, &args),
        Verb::Up(args) => with_runtime(up::run(&session, &args)),
        Verb::Down(args) => with_runtime(standing::down(&session, &args)),
        Verb::Ps => with_runtime(standing::ps(&session)),
        Verb::Ports(args) => with_runtime(standing::ports(&session, &args)),
        Verb::Logs(args) => with_runtime(standing::logs(&session, &args)),
        Verb::Exec(args) => match with_runtime(exec::run(&session, &args)) {
            Ok(code) => return ExitCode::from(u8::try_from(code).unwrap_or(1)),
            Err(exit) => exit,
        },
        Verb::Cp(args) => with_runtime(standing::cp(&session, &args)),
        Verb::Restart(args) => with_runtime(standing::restart(&session, &args)),
        Verb::Gc(args) => with_runtime(standing::gc(&session, &args)),
        Verb::Reaper(args) => with_runtime(lease::reaper(&args)),
        Verb::Env(args) => with_runtime(workshop::env::run(&session, &args)),
        Verb::Flag(args) => with_runtime(workshop::flag::run(&session, &args)),
        Verb::Carry(args) => with_runtime(workshop::carrier::run(&session, &args)),
        Verb::Forward(args) => with_runtime(forward::run(&session, &args)),
    }
    .into()
}

fn with_runtime<T: Unable>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(work);
            runtime.shutdown_timeout(LINGER);
            exit
        }
        Err(e) => {
            let _ = writeln!(std::io::stderr(), "cannot start threads: {e}");
            T::unable()
        }
    }
}

/// What a command ends with when not even threads can be had.
trait Unable {
    fn unable() -> Self;
}

impl Unable for Exit {
    fn unable() -> Self {
        Exit::Invalid
    }
}

impl<T> Unable for Result<T, Exit> {
    fn unable() -> Self {
        Err(Exit::Invalid)
    }
}
