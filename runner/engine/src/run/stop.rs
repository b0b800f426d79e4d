//! Ending a run before its time: the first signal lets `finally` run and everything be
//! removed, the second ends at once. A lost engine ends at once, too.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long it may take until it is known whether an engine is lost.
const DECIDED_WITHIN: Duration = Duration::from_secs(15);

/// The ways to end a run. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    soft: CancellationToken,
    hard: CancellationToken,
    lost: Arc<OnceLock<String>>,
    doubt: Arc<watch::Sender<bool>>,
}

impl Stop {
    /// Nothing is to end yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One signal more: the first is soft, the second hard.
    pub fn signal(&self) {
        if self.soft.is_cancelled() {
            self.hard.cancel();
        } else {
            self.soft.cancel();
        }
    }

    /// Ends at once.
    pub fn now(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Ends at once because the engine is lost, with the sentence that says so. What was
    /// said first stays.
    pub fn lose(&self, why: impl Into<String>) {
        let _ = self.lost.set(why.into());
        self.now();
    }

    /// Says whether what fails now may fail because the run's stacks are being removed: that
    /// is not known yet, but will be.
    pub fn doubt(&self, doubtful: bool) {
        self.doubt.send_replace(doubtful);
    }

    /// Waits until it is known whether the engine is lost, where that is in doubt. Why, when
    /// it is.
    pub async fn decided(&self) -> Option<&str> {
        let mut doubt = self.doubt.subscribe();
        tokio::select! {
            _ = doubt.wait_for(|doubtful| !doubtful) => {}
            () = self.stopping() => {}
            () = tokio::time::sleep(DECIDED_WITHIN) => {}
        }
        self.lost()
    }

    /// Why the engine counts as lost, when it does.
    pub fn lost(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// Why the run is to end, for what it cuts off.
    pub fn why(&self) -> &str {
        self.lost().unwrap_or("interrupted")
    }

    /// Whether the run is to end.
    pub fn is_stopping(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Whether the run is to end at once.
    pub fn is_now(&self) -> bool {
        self.hard.is_cancelled()
    }

    /// Waits for the first signal.
    pub async fn stopping(&self) {
        self.soft.cancelled().await;
    }

    /// Waits for the second signal.
    pub async fn stopped(&self) {
        self.hard.cancelled().await;
    }
}
