//! Options of the commands that only look: `audit` and `diff`.

use clap::{Args, ValueEnum};

/// `audit`
#[derive(Debug, Args)]
#[command(after_help = "\
--format is one of human, json, sarif (SARIF 2.1.0), github (annotations).

Exit code: 0 nothing at or above --fail-on, 4 findings at or above it, 2 production cannot be read.
Rules are switched off in mirror.yaml: audit: { off: [ { rule: floating-tag, on: db, because: \"…\" } ] }")]
pub struct AuditArgs {
    /// Exit with 4 when there is a finding of this severity or worse
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t = FailOn::High)]
    pub fail_on: FailOn,
    /// Only what came in since this git revision
    #[arg(long, value_name = "REV")]
    pub base: Option<String>,
    /// Platform of production's hosts, such as linux/amd64 [default: `audit.platform` in mirror.yaml]
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// Look into the images too (they are not run): platform, users, ports, health check, time zone
    #[arg(long)]
    pub probe: bool,
    /// With --probe, do not pull images that are not there
    #[arg(long)]
    pub offline: bool,
    /// List the rules
    #[arg(long)]
    pub list: bool,
}

/// `diff`
#[derive(Debug, Args)]
#[command(after_help = "\
A and B are each a mirror.yaml, a production spec (a file or a directory), or REVISION:PATH of either.

  prodmirror diff mirror.yaml local.mirror.yaml
  prodmirror diff --image orders=shop/orders:2.5.0 --probe      # this release against the next
  prodmirror diff v1.4:production/compose.yaml production/compose.yaml

Exit code: 0 they do not differ, 1 they differ, 2 one of them cannot be read, 5 no engine (--probe).")]
pub struct DiffArgs {
    /// The one environment [default: the project]
    pub a: Option<String>,
    /// The other one [default: A, with the images of --image]
    pub b: Option<String>,
    /// In A, run SERVICE from IMAGE (in B: --image)
    #[arg(long, value_name = "SERVICE=IMAGE")]
    pub image_a: Vec<String>,
    /// Also compare what is inside of the images: releases, libraries, runtimes, packages
    #[arg(long)]
    pub probe: bool,
    /// With --probe, do not pull images that are not there
    #[arg(long)]
    pub offline: bool,
    /// Reports, such as junit=diff.xml: each difference is a failed case
    #[arg(long, value_name = "KIND=PATH")]
    pub report: Vec<String>,
}

/// From which severity on findings close the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Any finding.
    Info,
    /// Low and above.
    Low,
    /// Medium and above.
    Medium,
    /// High and above.
    High,
    /// Only what keeps production from starting.
    Blocker,
    /// Nothing.
    Never,
}
