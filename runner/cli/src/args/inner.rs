//! Options of `run` for those who write scenarios: again at every save, and step by step.

use clap::{Args, ValueEnum};

/// Again at every save, and step by step.
#[derive(Debug, Clone, Args)]
pub struct InnerArgs {
    /// Run once, keep the stack, and run again what a saved file is part of
    #[arg(long, conflicts_with_all = ["step", "pause_on", "repeat", "until_fail", "dry_run", "keep", "fail_fast", "last_failed", "only_changed"])]
    pub watch: bool,
    /// Stop before each step and ask (Enter: do it, c: go on to the end, q: quit)
    #[arg(long)]
    pub step: bool,
    /// Leave out the steps before the one with this id
    #[arg(long, value_name = "ID")]
    pub from: Option<String>,
    /// Leave out the steps behind the one with this id
    #[arg(long, value_name = "ID")]
    pub until: Option<String>,
    /// Stop after a step that does not pass, before anything is removed, and ask
    #[arg(long, value_enum, value_name = "WHEN")]
    pub pause_on: Option<PauseOn>,
    /// Stop before the step at this position of this case and ask: what `repro --until` does
    #[arg(skip)]
    pub at: Option<(String, String)>,
}

/// When a run stops and asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PauseOn {
    /// A step did not pass.
    Fail,
}

impl InnerArgs {
    /// Whether a run may stop and ask.
    pub fn asks(&self) -> bool {
        self.step || self.pause_on.is_some() || self.at.is_some()
    }
}
