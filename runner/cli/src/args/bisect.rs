//! Options of `bisect`.

use std::path::PathBuf;

use clap::Args;

use super::TrustArgs;

/// `bisect`
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
A and B are each a name (local: local.mirror.yaml; production: mirror.yaml), a mirror.yaml, a production
spec (a file or a directory), REVISION:PATH of either, or a bundle that a failure left (a file or an address).

  prodmirror bisect local production scenarios/history.yaml --image orders=shop/orders:2.5.0
  prodmirror bisect production production scenarios/checkout.yaml --image-b orders=shop/orders:2.5.0
  prodmirror bisect production production scenarios/checkout.yaml --flag-b express=on
  prodmirror bisect HEAD~3:mirror.yaml production scenarios/checkout.yaml
  prodmirror bisect local checkout.bundle

Exit codes:
  0    the cause is named
  1    there is none to name: it passes in B, fails in A, or the runs did not tell
  2    usage, or a file is invalid: nothing was started
  3    the stack of A did not start
  5    the engine could not be reached, or was lost
  130  interrupted: everything was removed")]
pub struct BisectArgs {
    /// The environment in which the scenario passes
    pub a: String,
    /// The environment in which it fails
    pub b: String,
    /// The scenario: a file, a directory, or FILE:LINE [default: that of the bundle, else scenarios/ beside A]. Of several, the first that fails in B
    #[arg(value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    /// Only scenarios whose file or name contains TEXT
    #[arg(long, value_name = "TEXT")]
    pub filter: Vec<String>,
    /// In A, run SERVICE from IMAGE (in both: --image)
    #[arg(long, value_name = "SERVICE=IMAGE")]
    pub image_a: Vec<String>,
    /// In B, run SERVICE from IMAGE
    #[arg(long, value_name = "SERVICE=IMAGE")]
    pub image_b: Vec<String>,
    /// In A, serve VALUE of a feature flag
    #[arg(long, value_name = "NAME=VALUE")]
    pub flag_a: Vec<String>,
    /// In B, serve VALUE of a feature flag
    #[arg(long, value_name = "NAME=VALUE")]
    pub flag_b: Vec<String>,
    /// How many stacks run at once: more runs, in less time
    #[arg(short, long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// How many runs it may take
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    pub max_runs: u32,
    /// How often A and B are run first: a failure that comes and goes is seen by that, and everything is repeated then
    #[arg(long, default_value_t = 1, value_name = "K", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeats: u32,
    /// How sure the answer has to be where runs are repeated
    #[arg(long, default_value_t = 0.99, value_name = "P")]
    pub confidence: f64,
    /// Go on when the failure is still there without the first cause
    #[arg(long)]
    pub all: bool,
    /// A file with all verdicts: json=PATH
    #[arg(long, value_name = "json=PATH")]
    pub report: Vec<String>,
    /// Seed of everything random in the runs [default: that of the bundle, else 1]
    #[arg(long, value_name = "SEED")]
    pub seed: Option<u64>,
    /// What bundles may have here
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Look the images of bundles up in no registry
    #[arg(long)]
    pub offline: bool,
    /// Let `shell` steps run programs on this machine
    #[arg(long)]
    pub allow_shell: bool,
    /// Say what differs, and start nothing
    #[arg(long)]
    pub dry_run: bool,
}
