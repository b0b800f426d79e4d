//! Signals that end a run: once, everything is cleaned up; twice, at once.

use prodmirror_engine::run::Stop;
use tokio::signal::unix::{SignalKind, signal};

/// Listens for interrupt, termination and a lost terminal from now on.
pub fn stop() -> Stop {
    let stop = Stop::new();
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        let Ok(mut signals) = signal(kind) else {
            continue;
        };
        let stop = stop.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if stop.is_stopping() {
                    stop.now();
                } else {
                    stop.signal();
                }
            }
        });
    }
    stop
}
