//! Options of the commands for those who work on a service beside a mirror of `up`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// A service of the mirror as a process of this machine.
#[derive(Debug, Clone, Args)]
pub struct ReplaceArgs {
    /// Let a process of this machine be SERVICE: connections to it, from inside the mirror, go
    /// to ADDRESS (host:port, or a port of 127.0.0.1) [all ports of the service, or one]
    #[arg(long, value_name = "SERVICE[:PORT]=ADDRESS")]
    pub replace: Vec<String>,
}

/// How an environment is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EnvForm {
    /// NAME='value', as dotenv tools read it.
    Dotenv,
    /// `export NAME='value'`, for a POSIX shell.
    Shell,
    /// An object, with what to know about it.
    Json,
}

/// `env`
#[derive(Debug, Args)]
#[command(after_help = "\
  prodmirror up -d --replace orders=127.0.0.1:8000
  prodmirror env orders -- python -m shop.orders      # as production configures it, on this machine
  prodmirror env orders                               # .prodmirror/env/orders.env, for an IDE

Names of services become addresses of this machine (127.77.0.N) at which they are reached, on \
production's ports. Secrets are the mirror's stand-ins; they are printed only with --show-secrets.")]
pub struct EnvArgs {
    /// The service
    pub service: String,
    /// How it is written [default: dotenv; json with --format json]
    #[arg(long, value_enum, value_name = "FORM")]
    pub form: Option<EnvForm>,
    /// Print it instead of writing a file; secrets are left out
    #[arg(long)]
    pub print: bool,
    /// Print it with its secrets
    #[arg(long)]
    pub show_secrets: bool,
    /// Run a program with it, in the place of this one
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// `carry`
#[derive(Debug, Args)]
pub struct CarryArgs {
    /// The run of the mirror
    #[arg(long)]
    pub run: String,
    /// The mirror's project name
    #[arg(long)]
    pub of: String,
    /// Which ports it opens; what became of them is written there, too
    #[arg(long)]
    pub list: PathBuf,
}

/// `flag`
#[derive(Debug, Args)]
#[command(after_help = "\
  prodmirror flag set checkout_v2=on
  prodmirror flag unset checkout_v2         # as production has it

The files that services of the mirror read flags from are written in place, while they run; services \
that have flags in variables are made again.")]
pub struct FlagArgs {
    /// What to do
    #[command(subcommand)]
    pub verb: FlagVerb,
    /// The run whose stack is meant [default: the mirror of `up`]
    #[arg(long, value_name = "RUN", global = true)]
    pub of: Option<String>,
}

/// What to do with the flags of a mirror.
#[derive(Debug, Subcommand)]
pub enum FlagVerb {
    /// List what is served there, and what production serves
    Ls,
    /// Serve another value by default
    Set {
        /// The flags
        #[arg(required = true, value_name = "NAME=VALUE")]
        flags: Vec<String>,
    },
    /// Serve what production does
    Unset {
        /// The flags
        #[arg(required = true, value_name = "NAME")]
        flags: Vec<String>,
    },
}
