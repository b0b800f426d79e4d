//! Who keeps a run's objects alive, and who removes them when it is gone.
//!
//! A run holds its lease in two hands. The *keeper* is a container beside the stacks that
//! hears the runner's beats; it works when the runner's whole host disappears. The *reaper* is
//! a process on the runner's host that sees the runner end; it works when the keeper is not
//! there yet, or cannot be. Each removes by the run's label, so both may.

mod gc;
mod keeper;
mod owner;
mod reaper;

use std::sync::Arc;
use std::time::Duration;

use prodmirror_model::diag::Problem;
use prodmirror_model::event::What;

pub use gc::{GcOptions, GcReport, gc};
pub use keeper::{ENGINE_SOCKET, KeeperEnd};
pub use owner::{Life, Owner};
pub use reaper::{ReaperCommand, ReaperTask, reap};

use crate::bus::Sink;
use crate::docker::Engine;

/// Who keeps a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The run: when the runner is gone, so is the stack.
    Run,
    /// Nobody, but it may be collected after this long (whole seconds).
    For(Duration),
    /// Nobody: it stays until somebody removes it. (While its run has a lease, that still
    /// ends it when the runner dies.)
    Kept,
}

/// What a lease is taken with.
#[derive(Debug, Clone)]
pub struct LeaseOptions {
    /// Project name, for labels and names.
    pub project: String,
    /// The run.
    pub run: String,
    /// Path of the engine's socket on the engine's host; absent = no keeper.
    pub socket: Option<String>,
    /// How long the keeper waits for a beat.
    pub grace: Duration,
    /// How the reaper is started; absent = none.
    pub reaper: Option<ReaperCommand>,
    /// Is told when the keeper ended before its time.
    pub keeper_end: KeeperEnd,
}

impl LeaseOptions {
    /// The usual lease of a run: a keeper, and a reaper when it is known how to start one.
    pub fn new(
        project: impl Into<String>,
        run: impl Into<String>,
        reaper: Option<ReaperCommand>,
    ) -> Self {
        Self {
            project: project.into(),
            run: run.into(),
            socket: Some(ENGINE_SOCKET.to_owned()),
            grace: Duration::from_secs(20),
            reaper,
            keeper_end: KeeperEnd::default(),
        }
    }
}

/// A run's lease. When it is dropped without [`Lease::release`], or its process dies, all
/// objects of the run are removed.
#[derive(Debug)]
pub struct Lease {
    keeper: Option<keeper::Keeper>,
    reaper: Option<reaper::Watcher>,
}

impl Lease {
    /// Takes the lease, before the run makes its first object. A keeper that cannot be had
    /// is a warning: then the reaper is alone.
    ///
    /// # Errors
    /// The engine was lost, or neither keeper nor reaper can be had though both are wanted.
    pub async fn take(
        engine: &Engine,
        options: &LeaseOptions,
        sink: Arc<dyn Sink>,
    ) -> Result<Self, Problem> {
        // The reaper first: it also sees to a runner that dies while the keeper is made.
        let reaper = match &options.reaper {
            Some(command) => Some(reaper::Watcher::start(command, &options.run)?),
            None => None,
        };
        let keeper = match &options.socket {
            None => None,
            Some(socket) => match keeper::Keeper::start(engine, options, socket, &sink).await {
                Ok(keeper) => Some(keeper),
                Err(problem) if reaper.is_some() => {
                    let message = format!(
                        "{problem}; only the process on this host cleans up if this run is killed"
                    );
                    sink.emit(What::Warning { message });
                    None
                }
                Err(problem) => return Err(problem),
            },
        };
        Ok(Self { keeper, reaper })
    }

    /// Gives the lease back: what is left of the run stays. Returns when the keeper is gone.
    pub async fn release(mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.release().await;
        }
        if let Some(reaper) = self.reaper.take() {
            reaper.release().await;
        }
    }

    /// Leaves it to keeper and reaper to remove what is left of the run, as if its runner had
    /// died. They go on after this process has ended.
    pub fn abandon(self) {
        drop(self);
    }

    /// Process id of the reaper that runs at present.
    pub fn reaper_pid(&self) -> Option<u32> {
        self.reaper.as_ref().and_then(reaper::Watcher::pid)
    }
}
