//! The lease of a run, and the process that watches it.

use prodmirror_engine::docker::EngineEnv;
use prodmirror_engine::live::lease::{LeaseOptions, ReaperCommand, ReaperTask, reap};

use super::Session;
use crate::args::ReaperArgs;
use crate::exit::Exit;

/// What a reaper needs of the environment to reach a remote engine through `ssh`.
const FOR_SSH: [&str; 4] = ["PATH", "HOME", "SSH_AUTH_SOCK", "USER"];

impl Session {
    /// How a run takes its lease: this very program is its reaper.
    pub fn lease(&self, project: &str, run: &str) -> LeaseOptions {
        let env = FOR_SSH
            .iter()
            .filter_map(|n| Some(((*n).to_owned(), self.context.var(n)?.to_owned())));
        let reaper = self.context.exe.as_ref().map(|program| ReaperCommand {
            program: program.clone(),
            args: vec!["reaper".to_owned()],
            env: env.collect(),
            engine: EngineEnv::from_vars(|name| self.context.var(name)),
        });
        LeaseOptions::new(project, run, reaper)
    }
}

/// Watches a run until it ends, and removes what it leaves.
pub async fn reaper(args: &ReaperArgs) -> Exit {
    let Ok(task) = serde_json::from_str::<ReaperTask>(&args.task) else {
        return Exit::Invalid;
    };
    match reap(&task, tokio::io::stdin()).await {
        Ok(_) => Exit::Ok,
        Err(_) => Exit::Engine,
    }
}
