//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use prodmirror_model::project::Flags;

mod bisect;
mod bundle;
mod files;
mod inner;
mod look;
mod record;
mod snapshot;
mod up;
mod workshop;

pub use bisect::BisectArgs;
pub use bundle::{BundleArgs, BundleWhen, ReproArgs, TrustArgs};
pub use files::{FmtArgs, NewArgs, SchemaArgs, SchemaOf};
pub use inner::{InnerArgs, PauseOn};
pub use look::{AuditArgs, DiffArgs, FailOn};
pub use record::RecordArgs;
pub use snapshot::{CreateArgs, SnapshotArgs, SnapshotVerb};
pub use up::{DebugArgs, DoorArgs, ForwardArgs, UpArgs};
pub use workshop::{CarryArgs, EnvArgs, EnvForm, FlagArgs, FlagVerb, ReplaceArgs};

/// Run scenarios against a mirror of production.
///
/// prodmirror reads the specs that production really runs from, starts the same images,
/// versions, config and data as containers on your machine, runs scenario files against
/// them, and writes JUnit. Nothing it starts outlives it unless you ask.
#[derive(Debug, Parser)]
#[command(
    name = "prodmirror",
    version,
    max_term_width = 100,
    propagate_version = true
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Project file [default: mirror.yaml here or in a directory above]
    #[arg(short = 'f', long = "project", global = true, value_name = "FILE")]
    pub project: Option<PathBuf>,
    /// How problems and results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Let the specs see the whole environment of this shell, not only what `env.pass` names
    #[arg(long, global = true)]
    pub pass_env: bool,
    /// Run SERVICE from IMAGE instead of production's image
    #[arg(long, global = true, value_name = "SERVICE=IMAGE")]
    pub image: Vec<String>,
    /// Volume of the engine that holds the snapshots
    #[arg(long, global = true, env = "PRODMIRROR_STORE", value_name = "VOLUME", default_value = prodmirror_engine::store::STORE, hide_env_values = true)]
    pub store: String,
    /// A stack that was rendered before, which runs in the place of the project's own
    #[arg(skip)]
    pub stack: Option<GivenStack>,
    /// Feature flags of another project, in the place of the project's own
    #[arg(skip)]
    pub flags: Option<Flags>,
    /// Where all goes that would be printed: to a file, for runs inside of another command
    #[arg(skip)]
    pub quiet: Option<PathBuf>,
}

/// A stack that was rendered before.
#[derive(Debug, Clone)]
pub struct GivenStack {
    /// Its text.
    pub text: String,
    /// What messages call it.
    pub name: String,
    /// The variables that it asks for, each the name of a secret of the project.
    pub variables: Vec<String>,
    /// For one that somebody else wrote: the destinations outside (`host:port`) that it may
    /// reach. Anything else that leads out of it is refused.
    pub untrusted: Option<Vec<String>>,
}

/// How output is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// For programs.
    Json,
    /// SARIF 2.1.0, for code scanning (only `audit` and `check`).
    #[value(hide = true)]
    Sarif,
    /// Annotations for GitHub Actions (only `audit` and `check`).
    #[value(hide = true)]
    Github,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Check project, specs and scenarios without starting anything
    Check(CheckArgs),
    /// Say where a value of production comes from, and what the stack makes of it
    #[command(after_help = EXPLAIN_HELP)]
    Explain(ExplainArgs),
    /// Print the stack that would be started: a Compose file that is safe by itself
    Render,
    /// Print what the engine would be asked to do
    Plan,
    /// Pin images, sources and config in mirror.lock, or say what drifted from it
    Lock(LockArgs),
    /// Find what will fail in production, from its specs alone; starts nothing
    Audit(AuditArgs),
    /// Compare two environments: production and a developer's stack, two releases, two revisions
    Diff(DiffArgs),
    /// Run scenarios, each against a fresh stack, and report
    Run(RunArgs),
    /// Start the mirror and leave it running
    Up(UpArgs),
    /// Remove a mirror that `up` started
    Down(DownArgs),
    /// List the containers of running mirrors
    Ps,
    /// List where the mirror's ports can be reached
    Ports(ServiceArg),
    /// Print what services log
    Logs(LogsArgs),
    /// Run a command in a service
    Exec(ExecArgs),
    /// Copy files between here and a service (SERVICE:PATH)
    Cp(CpArgs),
    /// Give production's environment of a service to a process of this machine
    Env(EnvArgs),
    /// List or change the feature flags of a mirror of `up`, while it stands
    Flag(FlagArgs),
    /// Restart services
    Restart(ServicesArg),
    /// Remove what a run that died left behind
    Gc(GcArgs),
    /// Make, list, check and move snapshots of production's data
    Snapshot(SnapshotArgs),
    /// Build or list the images that recipes in `images/` describe
    Images(ImagesArgs),
    /// Run a failure again from the file that it left, and say whether it is the same
    Repro(ReproArgs),
    /// Find which difference between two environments makes a scenario fail
    Bisect(BisectArgs),
    /// Make reports again from a run's events
    Report(ReportArgs),
    /// Write a first project file here
    Init(InitArgs),
    /// Write a scenario file: of a kind of step, a curl command, a HAR, an OpenAPI operation, a log, a trace
    New(NewArgs),
    /// Write a scenario file of what you click: a proxy before the gateway of a mirror of `up`
    Record(RecordArgs),
    /// Format scenario files
    Fmt(FmtArgs),
    /// Print the JSON Schema of scenario files or of mirror.yaml, or pages on the kinds of steps
    Schema(SchemaArgs),
    /// Print the completion script of a shell
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Watches a run and removes what it leaves (started by `run` itself)
    #[command(hide = true)]
    Reaper(ReaperArgs),
    /// Forwards the ports of a mirror until it is gone (started by `up -d` itself)
    #[command(hide = true)]
    Forward(ForwardArgs),
    /// Carries connections between a mirror and processes here (started by `up` and `env`)
    #[command(hide = true)]
    Carry(CarryArgs),
}

/// What paths of `explain` look like.
const EXPLAIN_HELP: &str = "\
Paths:
  orders                     a service
  orders.image               a field of it, as Compose calls it
  orders.env.DATABASE_URL    `env` is short for `environment`
  db.volumes[/data]          an item of a list, by its target, its source, or its number
  network.front              also volume., config., secret.";

/// `explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The value
    pub path: String,
}

/// `check`
#[derive(Debug, Args)]
#[command(after_help = "\
--format is one of human, json, sarif (SARIF 2.1.0), github (annotations).")]
pub struct CheckArgs {
    /// Scenario files or directories [default: scenarios/]
    pub scenarios: Vec<PathBuf>,
}

/// What `run` ends with, after its help.
const EXIT_CODES: &str = "Exit codes:
  0    all passed
  1    a scenario failed
  2    usage, or a file is invalid: nothing was started
  3    a stack did not start
  4    a gate closed: fidelity or lock
  5    the engine could not be reached, or was lost
  130  interrupted: everything was removed";

/// `lock`
#[derive(Debug, Args)]
#[command(after_help = "\
Without options it pins what mirror.lock does not have yet, takes the hashes of all files again, \
and leaves the images that are pinned as they are.")]
pub struct LockArgs {
    /// Ask again what images stand for: all, or only those of SERVICE (and nothing else)
    #[arg(long, value_name = "SERVICE", num_args = 0.., conflicts_with = "check")]
    pub update: Option<Vec<String>>,
    /// Write nothing; say what drifted, and exit with 4 when anything did
    #[arg(long)]
    pub check: bool,
    /// Do not look anything up in a registry
    #[arg(long)]
    pub offline: bool,
}

/// `run`
#[derive(Debug, Clone, Args)]
#[command(after_help = EXIT_CODES)]
pub struct RunArgs {
    /// Scenario files, directories, or FILE:LINE for the scenario there [default: scenarios/]
    pub scenarios: Vec<PathBuf>,
    /// Only scenarios that have this label (several: any of them)
    #[arg(long, value_name = "LABEL")]
    pub label: Vec<String>,
    /// Only scenarios whose file or name contains TEXT
    #[arg(long, value_name = "TEXT")]
    pub filter: Vec<String>,
    /// Set a scenario variable
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub vars: Vec<String>,
    /// Serve VALUE of a feature flag by default in this run; it wins over matrix and scenarios
    #[arg(long = "flag", value_name = "NAME=VALUE")]
    pub flags: Vec<String>,
    /// How many scenarios run at once
    #[arg(short, long, default_value_t = 1, value_name = "N")]
    pub jobs: usize,
    /// Only the i-th of n equal parts of the scenarios
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
    /// Run a scenario that failed up to N more times; passing then is reported as flaky
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub retries: u32,
    /// Stop at the first scenario that fails
    #[arg(long)]
    pub fail_fast: bool,
    /// Only the scenarios that failed in the last run
    #[arg(long)]
    pub last_failed: bool,
    /// Only scenarios of which a file changed since REV (and what git does not know yet)
    #[arg(long, value_name = "REV", num_args = 0..=1, default_missing_value = "HEAD")]
    pub only_changed: Option<String>,
    /// Count a scenario that passed only when tried again as failed (exit 1)
    #[arg(long)]
    pub fail_on_flaky: bool,
    /// Run everything again and again, up to N times, and stop at the first failure
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "1000", conflicts_with = "repeat")]
    pub until_fail: Option<u32>,
    /// Run in another order, drawn by SEED [default: the run's seed]
    #[arg(long, value_name = "SEED", num_args = 0..=1)]
    pub shuffle: Option<Option<u64>>,
    /// Run everything N times, each time as a case of its own (`checkout [2-5]`)
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub repeat: u32,
    /// When to leave a stack running
    #[arg(long, value_enum, default_value_t = Keep::Never)]
    pub keep: Keep,
    /// Seed of everything random [default: drawn, and printed]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Additional reports, such as junit=out/junit.xml html=out/report.html json=-
    #[arg(long, value_name = "KIND=PATH")]
    pub report: Vec<String>,
    /// Write annotations for GitHub Actions
    #[arg(long)]
    pub github: bool,
    /// What failures are run again from
    #[command(flatten)]
    pub bundle: BundleArgs,
    /// Write snapshots that are missing or differ, instead of failing
    #[arg(long)]
    pub update_snapshots: bool,
    /// Refuse to run when anything drifted from mirror.lock (exit 4)
    #[arg(long)]
    pub locked: bool,
    /// Let `shell` steps run programs on this machine
    #[arg(long)]
    pub allow_shell: bool,
    /// Do not look anything up in a registry
    #[arg(long)]
    pub offline: bool,
    /// Say what would run, and start nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Again at every save, and step by step
    #[command(flatten)]
    pub inner: InnerArgs,
    /// Only these cases, by name, and what they need: what `repro` and `bisect` run
    #[arg(skip)]
    pub only: Option<Vec<String>>,
    /// The command that does all of it again, where that is not `run`
    #[arg(skip)]
    pub again: Option<String>,
}

/// When a stack is left running after its scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Keep {
    /// It is always removed.
    Never,
    /// It is left when its scenario did not pass.
    OnFailure,
    /// It is always left.
    Always,
}

/// `down`
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Stop services with their own signal and grace instead of killing them
    #[arg(long)]
    pub graceful: bool,
    /// Stop services with their own signal, and kill them after this many seconds; 0 = kill at
    /// once, unless --graceful is given [default: 0; with --graceful, each one's own grace]
    #[arg(short, long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
}

/// One optional service.
#[derive(Debug, Args)]
pub struct ServiceArg {
    /// Only this service
    pub service: Option<String>,
}

/// Some services.
#[derive(Debug, Args)]
pub struct ServicesArg {
    /// The services [default: all]
    pub services: Vec<String>,
}

/// `logs`
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Only these services
    pub services: Vec<String>,
    /// Go on printing what comes
    #[arg(long)]
    pub follow: bool,
    /// Only since then: a duration (10m) or a time (2026-11-01T12:00:00Z)
    #[arg(long)]
    pub since: Option<String>,
    /// Only the last N lines of each container
    #[arg(short = 'n', long)]
    pub tail: Option<u32>,
    /// Print the engine's time before each line
    #[arg(short = 't', long)]
    pub timestamps: bool,
}

/// `exec`
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// Do not allocate a terminal
    #[arg(short = 'T', long)]
    pub no_tty: bool,
    /// Run as this user
    #[arg(short, long)]
    pub user: Option<String>,
    /// Working directory in the container
    #[arg(short, long)]
    pub workdir: Option<String>,
    /// Set an environment variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Replica, from 1
    #[arg(long, default_value_t = 1)]
    pub index: u32,
    /// The run whose stack is meant [default: the mirror of `up`]
    #[arg(long)]
    pub run: Option<String>,
    /// The service
    pub service: String,
    /// Program and arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// `cp`
#[derive(Debug, Args)]
pub struct CpArgs {
    /// PATH or SERVICE:PATH
    pub from: String,
    /// PATH or SERVICE:PATH
    pub to: String,
}

/// `gc`
#[derive(Debug, Args)]
pub struct GcArgs {
    /// Also remove mirrors of `up` whose time to live is over, and say what is kept
    #[arg(long)]
    pub dry_run: bool,
}

/// `images`
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Directory of the recipes [default: images/ beside the project file]
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub verb: ImagesVerb,
}

/// What to do with recipes.
#[derive(Debug, Subcommand)]
pub enum ImagesVerb {
    /// Build what is missing or whose recipe changed
    Build {
        /// Only these images and what they are made from
        images: Vec<String>,
    },
    /// List recipes and whether their images exist
    Ls,
}

/// `report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A run's events.jsonl [default: that of the last run]
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Reports to write, such as junit=junit.xml html=report.html timeline=-
    #[arg(value_name = "KIND=PATH", required = true)]
    pub reports: Vec<String>,
}

/// `init`
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The production spec [default: found here]
    pub specs: Vec<PathBuf>,
}

/// `reaper`
#[derive(Debug, Args)]
pub struct ReaperArgs {
    /// Directory of the run, whose reports are completed
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// What to watch and to remove, as JSON (written by `run`)
    pub task: String,
}

/// Parses the command line. Help and errors are printed here.
///
/// # Errors
/// The exit code to end with when there is nothing to do (`--help`) or usage is wrong.
pub fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|e| {
        let _ = e.print();
        if e.use_stderr() {
            crate::exit::Exit::Invalid.into()
        } else {
            ExitCode::SUCCESS
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
