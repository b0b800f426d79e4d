//! The lease of a run, and the process that watches it.

use std::path::Path;

use prodmirror_engine::docker::EngineEnv;
use prodmirror_engine::live::lease::{LeaseOptions, ReaperCommand, ReaperTask, reap};

use super::Session;
use crate::args::ReaperArgs;
use crate::exit::Exit;
use crate::report::{Wanted, replay};

/// What a reaper needs of the environment to reach a remote engine through `ssh`.
const FOR_SSH: [&str; 4] = ["PATH", "HOME", "SSH_AUTH_SOCK", "USER"];

impl Session {
    /// How a run takes its lease: this very program is its reaper, and completes the reports
    /// in `dir` should the run be killed.
    pub fn lease(&self, project: &str, run: &str, dir: Option<&Path>) -> LeaseOptions {
        let env = FOR_SSH
            .iter()
            .filter_map(|n| Some(((*n).to_owned(), self.context.var(n)?.to_owned())));
        let reaper = self.context.exe.as_ref().map(|program| ReaperCommand {
            program: program.clone(),
            args: arguments(dir),
            env: env.collect(),
            engine: EngineEnv::from_vars(|name| self.context.var(name)),
        });
        LeaseOptions::new(project, run, reaper)
    }
}

fn arguments(dir: Option<&Path>) -> Vec<String> {
    let mut args = vec!["reaper".to_owned()];
    if let Some(dir) = dir {
        args.extend(["--dir".to_owned(), dir.to_string_lossy().into_owned()]);
    }
    args
}

/// Watches a run until it ends, and removes what it leaves.
pub async fn reaper(args: &ReaperArgs) -> Exit {
    let Ok(task) = serde_json::from_str::<ReaperTask>(&args.task) else {
        return Exit::Invalid;
    };
    let reaped = reap(&task, tokio::io::stdin()).await;
    if matches!(reaped, Ok(removed) if removed > 0) {
        // The command that wrote it down is gone.
        super::doors::forget(&task.run);
    }
    if let Some(dir) = &args.dir {
        complete(dir);
    }
    match reaped {
        Ok(_) => Exit::Ok,
        Err(_) => Exit::Engine,
    }
}

/// Completes the reports of a run that was killed: what had not ended then is told as such.
fn complete(dir: &Path) {
    let events = dir.join("events.jsonl");
    let Ok(replay) = replay::read(&events) else {
        return;
    };
    if replay.summary.end.is_some() {
        return;
    }
    let _ = replay::complete_junit(&events, &dir.join("junit.xml"));
    if let Some(html) = Wanted::file("html", dir.join("report.html")) {
        let _ = replay::write(&replay.summary, &[html]);
    }
}
