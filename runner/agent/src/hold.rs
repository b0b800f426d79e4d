//! Mode `hold`: does nothing until it is stopped. Also what a process 1 owes to its
//! container: taking in the children that others leave behind.

use prodmirror_agent::wire::Event;
use tokio::signal::unix::{SignalKind, signal};

use crate::output::{Failure, emit};

/// Sleeps until the program is stopped.
pub async fn run() -> Result<u8, Failure> {
    emit(&Event::ready("hold"));
    reap().await
}

/// Takes in ended children, for ever.
pub async fn reap() -> Result<u8, Failure> {
    let mut ended = signal(SignalKind::child())
        .map_err(|error| Failure::new("the signal CHLD cannot be watched", error))?;
    loop {
        ended.recv().await;
        // SAFETY: waitpid with a null status writes nothing through the pointer.
        while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } > 0 {}
    }
}
