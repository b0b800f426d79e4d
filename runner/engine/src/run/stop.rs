//! Ending a run before its time: the first signal lets `finally` run and everything be
//! removed, the second ends at once.

use tokio_util::sync::CancellationToken;

/// The two ways to end a run. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    soft: CancellationToken,
    hard: CancellationToken,
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
