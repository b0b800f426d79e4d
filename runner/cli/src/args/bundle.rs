//! Options of `run` on bundles, and `repro`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What failures are run again from.
#[derive(Debug, Clone, Args)]
pub struct BundleArgs {
    /// When a file is left from which `prodmirror repro` runs a failure again
    #[arg(long = "bundle", value_enum, default_value_t = BundleWhen::OnFailure, value_name = "WHEN")]
    pub when: BundleWhen,
    /// Put the images into bundles, too: for machines without the registry
    #[arg(long)]
    pub with_images: bool,
    /// Put the snapshots that volumes start from into bundles, too: only masked ones
    #[arg(long)]
    pub with_data: bool,
    /// Sign bundles with a private Ed25519 key, as `openssl genpkey -algorithm ed25519` writes it
    /// [env: PRODMIRROR_SIGN_KEY]
    #[arg(long, value_name = "KEY.pem")]
    pub sign: Option<PathBuf>,
}

/// When bundles are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BundleWhen {
    /// For each scenario that does not pass.
    OnFailure,
    /// Never.
    Never,
}

/// What a bundle may have of this machine, and do without.
#[derive(Debug, Clone, Args)]
pub struct TrustArgs {
    /// Let the stack reach a destination outside that the failing one reached
    #[arg(long, value_name = "HOST:PORT")]
    pub allow_egress: Vec<String>,
    /// Give made-up values to secrets that have none here
    #[arg(long)]
    pub stand_ins: bool,
    /// Take images that are called the same when the very images cannot be had
    #[arg(long)]
    pub other_images: bool,
}

/// `repro`
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes:
  0    reproduced: the same failure
  1    not reproduced: it passed, failed otherwise, or was not judged
  2    the bundle cannot be used: nothing was started
  3    the stack did not start
  5    the engine could not be reached, or was lost
  130  interrupted: everything was removed")]
pub struct ReproArgs {
    /// The bundle: a file that `run` left, or an http(s) address of one
    #[arg(value_name = "FILE|URL")]
    pub bundle: String,
    /// Stop before the step that failed, and ask
    #[arg(long)]
    pub until: bool,
    /// Stop at the failure with everything up, and ask (a shell, logs, addresses are at hand)
    #[arg(long)]
    pub hold: bool,
    /// Do it N times, and say how often it failed the same way
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Say what is in the bundle and whether it could be run here, and start nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What it may have here
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Let `shell` steps run programs on this machine
    #[arg(long)]
    pub allow_shell: bool,
    /// Do not look anything up in a registry
    #[arg(long)]
    pub offline: bool,
    /// Refuse a bundle that none of the public keys in a file signed
    #[arg(long, value_name = "PUBLIC.pem")]
    pub verify: Option<PathBuf>,
}
