//! Options of `up`, and of the process that keeps its ports open.

use clap::Args;

use super::{ReplaceArgs, TrustArgs};

/// `up`
#[derive(Debug, Args)]
#[command(after_help = "\
  prodmirror up --publish                       # every port of every service, on loopback
  prodmirror up -d --proxy 4711                 # production's names in a browser: http://gateway/
  prodmirror up -d --hosts                      # production's names and ports for any program
  prodmirror up --at a-says-so.bundle           # the stack of a failure, to look into
  prodmirror up --debug orders=5678 \\
    --debug-command 'orders=python3 -m debugpy --listen 5678 {args}'

In --debug-command, {command} stands for the service's own program with its arguments,
{program} for the program and {args} for the arguments.")]
pub struct UpArgs {
    /// Only these services and what they depend on
    pub services: Vec<String>,
    /// Return when everything is ready instead of following the logs
    #[arg(short, long)]
    pub detach: bool,
    /// What is opened on this host
    #[command(flatten)]
    pub doors: DoorArgs,
    /// Debuggers
    #[command(flatten)]
    pub debug: DebugArgs,
    /// Processes of this machine in the place of services
    #[command(flatten)]
    pub replace: ReplaceArgs,
    /// Start the stack of a bundle instead: a file that `run` left, or an http(s) address of one
    #[arg(long, value_name = "BUNDLE", conflicts_with = "locked")]
    pub at: Option<String>,
    /// What the bundle may have here
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Refuse to start when anything drifted from mirror.lock (exit 4)
    #[arg(long)]
    pub locked: bool,
    /// Do not look anything up in a registry
    #[arg(long)]
    pub offline: bool,
}

/// What is opened on this host.
#[derive(Debug, Clone, Default, Args)]
pub struct DoorArgs {
    /// Also forward these ports on loopback [without a value: all that services or images name]
    #[arg(long, value_name = "SERVICE[:PORT]", num_args = 0..)]
    pub publish: Option<Vec<String>>,
    /// An HTTP proxy on loopback by which production's names work: ADDRESS:PORT or PORT [without
    /// a value: a free port of 127.0.0.1]
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "0")]
    pub proxy: Option<String>,
    /// Give each name of production a loopback address with its real ports, and write lines for
    /// /etc/hosts to .prodmirror/hosts
    #[arg(long)]
    pub hosts: bool,
}

/// Debuggers in services.
#[derive(Debug, Clone, Default, Args)]
pub struct DebugArgs {
    /// Open a port inside of a service, also one of its own loopback, at the same port here
    #[arg(long, value_name = "SERVICE=PORT")]
    pub debug: Vec<String>,
    /// Run COMMAND in a service instead of its own
    #[arg(long, value_name = "SERVICE=COMMAND")]
    pub debug_command: Vec<String>,
    /// Set a variable of a service
    #[arg(long, value_name = "SERVICE=NAME=VALUE")]
    pub debug_env: Vec<String>,
}

/// `forward`
#[derive(Debug, Args)]
pub struct ForwardArgs {
    /// The run of the mirror
    #[arg(long)]
    pub run: String,
    /// The mirror's project name
    #[arg(long)]
    pub of: String,
    /// What is opened, as JSON (written by `up`)
    pub asked: String,
}
