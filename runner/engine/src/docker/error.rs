//! What the engine answers when it does not do what it was asked.

use bollard::errors::Error as Client;
use prodmirror_model::diag::{Problem, ProblemKind};

/// A request to the engine that failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// The engine answered with an error status.
    #[error("{message}")]
    Answered {
        /// HTTP status: 404 not found, 409 conflict, 403 refused, 500 failed.
        status: u16,
        /// The engine's own words.
        message: String,
    },
    /// The engine did not answer in time.
    #[error("the engine did not answer in time")]
    Timeout,
    /// The connection could not be made or broke.
    #[error("the connection to the engine failed: {0}")]
    Lost(String),
    /// The engine answered something that this client cannot read.
    #[error("the engine's answer cannot be read: {0}")]
    Garbled(String),
}

impl EngineError {
    /// Whether the object that was asked for does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Answered { status: 404, .. })
    }

    /// Whether the object is in a state that excludes the request (also: is being removed).
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Answered { status: 409, .. })
    }

    /// Whether the state that was asked for was there already.
    pub fn is_not_modified(&self) -> bool {
        matches!(self, Self::Answered { status: 304, .. })
    }

    /// Whether the engine is away rather than refusing.
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Timeout | Self::Lost(_))
    }

    /// The error as a problem, with what was being done in front ("create network `front`").
    pub fn problem(&self, doing: impl std::fmt::Display) -> Problem {
        let kind = if self.is_lost() {
            ProblemKind::Engine
        } else {
            ProblemKind::Start
        };
        let problem = Problem::new(kind, format!("could not {doing}: {self}"));
        if self.is_lost() {
            problem.help("see whether the engine still runs (`docker info`)")
        } else {
            problem
        }
    }
}

impl From<Client> for EngineError {
    fn from(e: Client) -> Self {
        match e {
            Client::DockerResponseServerError {
                status_code,
                message,
            } => Self::Answered {
                status: status_code,
                message: message.trim().to_owned(),
            },
            Client::DockerStreamError { error } => Self::Answered {
                status: 500,
                message: error,
            },
            Client::DockerContainerWaitError { error, code } => Self::Answered {
                status: 500,
                message: if error.is_empty() {
                    format!("exit code {code}")
                } else {
                    error
                },
            },
            Client::RequestTimeoutError => Self::Timeout,
            e @ (Client::JsonDataError { .. }
            | Client::JsonSerdeError { .. }
            | Client::StrParseError { .. }
            | Client::APIVersionParseError {}) => Self::Garbled(e.to_string()),
            e => Self::Lost(chain(&e)),
        }
    }
}

/// An error with all its causes: client libraries hide "connection refused" three levels down.
pub(super) fn chain(e: &dyn std::error::Error) -> String {
    let mut text = e.to_string();
    let mut next = e.source();
    while let Some(e) = next {
        let more = e.to_string();
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = e.source();
    }
    // Whose layers they are is no news to people.
    for layer in [
        "Error in the hyper legacy client: ",
        "client error (Connect): ",
    ] {
        text = text.replace(layer, "");
    }
    text
}
