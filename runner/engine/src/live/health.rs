//! Finding out early that a service is healthy.
//!
//! The engine makes its first check after one whole interval, often ten seconds or more. So
//! the same command is run from here, at once and then at rising intervals: the service is
//! healthy at the first success, exactly as the engine would judge it. Failures are left to
//! the engine, which knows about start periods and retries.

use std::time::{Duration, Instant};

use crate::docker::{Engine, ExecSpec, HealthCheck};

use super::exec;

/// Pause after the first failed check.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// Longest pause between checks.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How much of a check's output is kept, as the engine does.
const KEPT_OUTPUT: usize = 4096;

/// Runs a container's health check until it succeeds. Every failure's output goes to
/// `failed`.
pub async fn first_success(
    engine: &Engine,
    id: &str,
    check: &HealthCheck,
    mut failed: impl FnMut(String),
) {
    let spec = ExecSpec {
        container: id.to_owned(),
        command: check.command.clone(),
        ..ExecSpec::default()
    };
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = Instant::now();
        let run = exec::run(engine, &spec, None, KEPT_OUTPUT);
        match tokio::time::timeout(check.timeout, run).await {
            Ok(Ok(done)) if done.exit_code == 0 => return,
            Ok(Ok(done)) => failed(format!("exit code {}: {}", done.exit_code, done.summary())),
            Ok(Err(e)) => failed(e.to_string()),
            Err(_) => failed(format!("the check took longer than {:?}", check.timeout)),
        }
        // On a busy machine a check takes long; half of the time is left to the service.
        tokio::time::sleep(pause.max(begun.elapsed())).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}
