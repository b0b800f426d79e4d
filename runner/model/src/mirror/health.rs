//! The health check of a container.

use std::time::Duration;

use super::Sourced;

/// A health check that the engine runs. What is absent is what the image says, else the
/// engine's default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// The command, beginning with `CMD`, `CMD-SHELL` or `NONE`.
    pub test: Option<Sourced<Vec<Sourced<String>>>>,
    /// Time between two checks.
    pub interval: Option<Sourced<Duration>>,
    /// Time after which a check counts as failed.
    pub timeout: Option<Sourced<Duration>>,
    /// Failures in a row until the container is unhealthy.
    pub retries: Option<Sourced<u64>>,
    /// Time in which failures do not count.
    pub start_period: Option<Sourced<Duration>>,
    /// Time between two checks in the start period.
    pub start_interval: Option<Sourced<Duration>>,
    /// Whether there is no check, whatever the image says.
    pub disable: Option<Sourced<bool>>,
}
