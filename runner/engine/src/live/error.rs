//! Why a stack did not start.

use prodmirror_model::diag::{Problem, ProblemKind};

/// Why a stack did not start. Everything it had made is removed by then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LiveError {
    /// A service died, turned unhealthy, or did not get ready.
    #[error("{0}")]
    Service(Box<ServiceFailure>),
    /// The engine refused something, or was lost ([`ProblemKind::Engine`]).
    #[error("{0}")]
    Engine(Box<Problem>),
    /// The plan cannot be started (unknown service, missing image, no free subnet).
    #[error("{0}")]
    Refused(Box<Problem>),
    /// The start was cancelled.
    #[error("the start was cancelled")]
    Cancelled,
}

impl LiveError {
    /// The error as a problem for people.
    pub fn problem(&self) -> Problem {
        match self {
            Self::Service(f) => f.problem(),
            Self::Engine(p) | Self::Refused(p) => (**p).clone(),
            Self::Cancelled => Problem::new(ProblemKind::Start, self.to_string()),
        }
    }

    /// The service that it is about.
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Service(f) => Some(&f.service),
            _ => None,
        }
    }

    /// The last log lines of that service.
    pub fn log(&self) -> &[String] {
        match self {
            Self::Service(f) => &f.log,
            _ => &[],
        }
    }
}

/// A service that failed the start.
#[derive(Debug, Clone, thiserror::Error)]
#[error("service `{service}`{} {what}", replica_text(*.replica))]
pub struct ServiceFailure {
    /// The service.
    pub service: String,
    /// Its replica, from 1.
    pub replica: u32,
    /// What happened to it.
    pub what: Failed,
    /// Its last log lines, oldest first.
    pub log: Vec<String>,
}

fn replica_text(replica: u32) -> String {
    if replica > 1 {
        format!(" (replica {replica})")
    } else {
        String::new()
    }
}

impl ServiceFailure {
    /// The failure as a problem for people; the log lines are in [`ServiceFailure::log`].
    pub fn problem(&self) -> Problem {
        let p = Problem::new(ProblemKind::Start, self.to_string());
        match &self.what {
            Failed::Died { oom: true, .. } => {
                p.help("raise its memory limit, or make it need less: the limit is production's")
            }
            Failed::Died {
                code: 125..=127, ..
            } => p.help("see whether its command exists in its image and may be executed"),
            Failed::NotReady { .. } => {
                p.help("see its log; a slow start can be given more time by the start timeout")
            }
            _ => p,
        }
    }
}

/// What happened to a service that failed the start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// Its process ended, and the engine will not restart it (any more).
    #[error("ended with exit code {code}{}{}", if *.oom { " (out of memory)" } else { "" }, restarts_text(*.restarts))]
    Died {
        /// Exit code; above 128 = 128 + the signal.
        code: i64,
        /// Whether the kernel killed it for its memory limit.
        oom: bool,
        /// How often the engine had restarted it.
        restarts: u32,
    },
    /// Its health check failed more often than it may.
    #[error("is unhealthy: {output}")]
    Unhealthy {
        /// The last output of the check.
        output: String,
    },
    /// It did not get ready in time.
    #[error("was not ready after {after_ms} ms: {waiting_for}")]
    NotReady {
        /// How long was waited, in milliseconds.
        after_ms: u64,
        /// What was waited for, with the last output of the health check.
        waiting_for: String,
    },
    /// The engine could not start it.
    #[error("could not be started: {0}")]
    NotStarted(String),
    /// A command around its start failed.
    #[error("ran `{command}` after its start, which ended with exit code {code}: {output}")]
    Hook {
        /// The command.
        command: String,
        /// Its exit code.
        code: i64,
        /// The end of its output.
        output: String,
    },
    /// Its sandbox (network, guard) could not be put in place.
    #[error("has no network: {0}")]
    Sandbox(String),
}

fn restarts_text(restarts: u32) -> String {
    match restarts {
        0 => String::new(),
        1 => " after one restart".to_owned(),
        n => format!(" after {n} restarts"),
    }
}
