//! A running stack.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::Plan;

use super::{LiveError, LogBook, Teardown, UpOptions};
use crate::bus::Sink;
use crate::docker::Engine;
use crate::reach::Reach;

/// A stack that is up. Remove it with [`LiveStack::down`]; dropping it leaves it running
/// (until its run's lease ends).
pub struct LiveStack {
    id: String,
    engine: Engine,
    reach: Reach,
    logs: LogBook,
    services: BTreeMap<String, u32>,
}

/// A command to run in a service.
#[derive(Debug, Clone, Default)]
pub struct ExecRequest {
    /// Service.
    pub service: String,
    /// Replica; 0 = the first.
    pub replica: u32,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment on top of the service's, `NAME=value`.
    pub env: Vec<String>,
    /// User; absent = the service's.
    pub user: Option<String>,
    /// Working directory; absent = the service's.
    pub working_dir: Option<String>,
    /// What it reads from stdin.
    pub stdin: Option<Vec<u8>>,
    /// How long it may take; absent = for ever.
    pub timeout: Option<Duration>,
}

/// What a command in a service gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Exit code.
    pub exit_code: i64,
    /// What it printed on stdout.
    pub stdout: Vec<u8>,
    /// What it printed on stderr.
    pub stderr: Vec<u8>,
}

/// What removing a stack gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DownReport {
    /// How many objects were removed.
    pub removed: usize,
    /// Objects that could not be removed, with the engine's words.
    pub left: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl LiveStack {
    /// Its identity within the run.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The engine it runs on.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Its services with their number of replicas.
    pub fn services(&self) -> &BTreeMap<String, u32> {
        &self.services
    }

    /// The way to its services.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// What its services printed.
    pub fn logs(&self) -> &LogBook {
        &self.logs
    }

    /// Runs a command in a service.
    ///
    /// # Errors
    /// Unknown service, a service that does not run, a command that is not there, time over.
    pub async fn exec(&self, request: ExecRequest) -> Result<ExecOutput, Problem> {
        if !self.services.contains_key(&request.service) {
            return Err(Problem::new(
                ProblemKind::UnknownReference,
                format!("there is no service `{}` in the stack", request.service),
            ));
        }
        Err(Problem::new(
            ProblemKind::Unsupported,
            "commands cannot be run in services yet",
        ))
    }

    /// Removes it. May be called again; then it removes what is left.
    pub async fn down(&self, _how: &Teardown) -> DownReport {
        DownReport::default()
    }
}

/// Starts a plan and returns when all of it is ready.
///
/// # Errors
/// See [`LiveError`]. Everything that was made is removed by then, also when the start was
/// cancelled or this future was dropped.
pub async fn up(
    _engine: &Engine,
    _plan: Arc<Plan>,
    _options: UpOptions,
    _sink: Arc<dyn Sink>,
) -> Result<LiveStack, LiveError> {
    Err(LiveError::Refused(Box::new(Problem::new(
        ProblemKind::Unsupported,
        "stacks cannot be started yet",
    ))))
}
