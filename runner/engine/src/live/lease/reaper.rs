//! The reaper: a process on the runner's host, in a session of its own, that removes the
//! run's objects when the runner has ended without saying so.
//!
//! It learns of the end by its stdin, which the kernel closes however the runner dies.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::super::label;
use super::super::sweep::sweep;
use super::gc::{GcOptions, gc};
use crate::docker::{Engine, EngineEnv};

/// What the runner writes before it closes the pipe on purpose.
const RELEASE: &str = "release";
/// How long the reaper tries while the engine is away.
const TRY_FOR: Duration = Duration::from_secs(3600);
/// How long one sweep may take.
const SWEEP_WITHIN: Duration = Duration::from_secs(60);
/// Between two sweeps: the engine may still finish what the runner asked for last.
const BETWEEN: Duration = Duration::from_millis(1500);
/// Between two looks at what other runs left.
const LOOK_EVERY: Duration = Duration::from_secs(4);
/// How long one look may take: what the engine does not let go of is tried again at the next,
/// and must not keep what died meanwhile.
const LOOK_WITHIN: Duration = Duration::from_secs(10);
/// How old the youngest object of a dead run must be before others remove it.
const LEFT_FOR: Duration = Duration::from_secs(15);
/// Before another reaper is started in place of one that died.
const RESPAWN_AFTER: Duration = Duration::from_millis(200);

/// How a reaper is started: this program, in a mode that calls [`reap`].
#[derive(Debug, Clone)]
pub struct ReaperCommand {
    /// The program.
    pub program: PathBuf,
    /// Its arguments; the task, as JSON, is added as the last one.
    pub args: Vec<String>,
    /// Its whole environment (what `ssh` needs to reach a remote engine; nothing secret).
    pub env: Vec<(String, String)>,
    /// Where the engine is.
    pub engine: EngineEnv,
}

/// What a reaper has to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReaperTask {
    /// The run to watch.
    pub run: String,
    /// Where the engine is.
    pub engine: EngineEnv,
}

/// Waits until the runner at the other end of `input` is gone, and removes what it left.
/// Returns how many objects that were; 0 also when the runner said that all is well.
///
/// # Errors
/// The engine stayed away for an hour, or objects could not be removed.
pub async fn reap(task: &ReaperTask, input: impl AsyncRead + Unpin) -> Result<usize, Problem> {
    let mut lines = BufReader::new(input).lines();
    let around = tokio::spawn(look_around(task.engine.clone()));
    while let Ok(Some(line)) = lines.next_line().await {
        if line == RELEASE {
            around.abort();
            return Ok(0);
        }
    }
    around.abort();
    let filter = [format!("{}={}", label::RUN, task.run)];
    let begun = Instant::now();
    let mut removed = 0;
    // Clean twice in a row, since a request may still have been under way.
    let mut clean = 0;
    let mut problem = None;
    while clean < 2 && begun.elapsed() < TRY_FOR {
        match Engine::connect(&task.engine).await {
            Ok(engine) => {
                let report = sweep(&engine, &filter, SWEEP_WITHIN).await;
                removed += report.removed;
                clean = if report.left.is_empty() { clean + 1 } else { 0 };
                problem = report.left.first().map(|left| {
                    Problem::new(ProblemKind::Start, format!("could not remove {left}"))
                });
            }
            Err(p) => {
                clean = 0;
                problem = Some(p);
            }
        }
        if clean < 2 {
            tokio::time::sleep(BETWEEN).await;
        }
    }
    match problem.filter(|_| clean < 2) {
        Some(problem) => Err(problem),
        None => Ok(removed),
    }
}

/// Removes what others left on this host whose runner, reaper and keeper died together, as long
/// as its own runner lives. There is a moment in which a run's first object exists and nobody
/// else could.
async fn look_around(engine: EngineEnv) {
    let options = GcOptions {
        dry_run: false,
        deadline: LOOK_WITHIN,
        older_than: LEFT_FOR,
    };
    loop {
        // The first look comes late enough for short runs to have none.
        tokio::time::sleep(LOOK_EVERY).await;
        // An engine that is away is its own run's to tell of.
        if let Ok(engine) = Engine::connect(&engine).await {
            let _ = gc(&engine, &options).await;
        }
    }
}

/// The runner's half: starts a reaper, and another one whenever it dies.
#[derive(Debug)]
pub(super) struct Watcher {
    release: oneshot::Sender<()>,
    work: JoinHandle<()>,
    pid: Arc<AtomicU32>,
}

impl Watcher {
    pub fn start(command: &ReaperCommand, run: &str) -> Result<Self, Problem> {
        let child = spawn(command, run).map_err(|e| {
            let message = format!("could not start {}: {e}", command.program.display());
            Problem::new(ProblemKind::Start, message)
        })?;
        let pid = Arc::new(AtomicU32::new(child.id().unwrap_or(0)));
        let (release, released) = oneshot::channel();
        let work = watch(
            child,
            command.clone(),
            run.to_owned(),
            pid.clone(),
            released,
        );
        Ok(Self {
            release,
            work: tokio::spawn(work),
            pid,
        })
    }

    pub fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }

    pub async fn release(self) {
        let _ = self.release.send(());
        let _ = self.work.await;
    }
}

async fn watch(
    mut child: Child,
    command: ReaperCommand,
    run: String,
    pid: Arc<AtomicU32>,
    mut released: oneshot::Receiver<()>,
) {
    // Waiting for a child closes its stdin, which here must stay open: so it is kept apart.
    let mut input = child.stdin.take();
    loop {
        tokio::select! {
            told = &mut released => {
                if let Some(mut input) = input.filter(|_| told.is_ok()) {
                    let _ = input.write_all(format!("{RELEASE}\n").as_bytes()).await;
                    drop(input);
                    let _ = child.wait().await;
                }
                return;
            }
            _ = child.wait() => {
                tokio::time::sleep(RESPAWN_AFTER).await;
                let Ok(again) = spawn(&command, &run) else {
                    // Its program is gone (an update): the keeper still is there.
                    let _ = released.await;
                    return;
                };
                child = again;
                input = child.stdin.take();
                pid.store(child.id().unwrap_or(0), Ordering::Relaxed);
            }
        }
    }
}

fn spawn(command: &ReaperCommand, run: &str) -> std::io::Result<Child> {
    let task = ReaperTask {
        run: run.to_owned(),
        engine: command.engine.clone(),
    };
    let mut reaper = Command::new(&command.program);
    reaper
        .args(&command.args)
        .arg(serde_json::to_string(&task).map_err(std::io::Error::other)?)
        .env_clear()
        .envs(command.env.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    #[cfg(unix)]
    {
        reaper.current_dir("/");
        // SAFETY: `setsid` is async-signal-safe and touches nothing of this process. The
        // reaper must not get the terminal's Ctrl-C, nor end with the session.
        unsafe {
            reaper.pre_exec(|| rustix::process::setsid().map(|_| ()).map_err(Into::into));
        }
    }
    reaper.spawn()
}
