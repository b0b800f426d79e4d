//! What an act gets when it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::Scope;

use super::StepError;
use super::evidence::Trail;
use super::session::Sessions;
use super::world::{Connection, Cursor, World};

/// Points in the stack's log that steps can name.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    /// Where the scenario began.
    pub scenario: Cursor,
    /// Where each step with an id began last.
    pub steps: BTreeMap<String, Cursor>,
}

/// What an act gets when it runs.
pub struct Context<'a> {
    /// The stack.
    pub world: &'a Arc<dyn World>,
    /// Variables, captures, earlier steps.
    pub scope: &'a Scope,
    /// Connections that outlive a step.
    pub sessions: &'a Sessions,
    /// Points in the log.
    pub marks: &'a Marks,
    /// What was sent and what came.
    pub trail: &'a mut Trail,
    /// Whether steps may run programs on this machine.
    pub allow_shell: bool,
}

impl Context<'_> {
    /// Connects to a port of a service, stub or declared name.
    ///
    /// # Errors
    /// A name that is none of these is refused; anything else is a matter of transport.
    pub async fn connect(&self, host: &str, port: u16) -> Result<Connection, StepError> {
        self.world.connect(host, port).await.map_err(reach_error)
    }

    /// An address at which this process reaches the port.
    ///
    /// # Errors
    /// As [`Context::connect`].
    pub async fn address(&self, host: &str, port: u16) -> Result<std::net::SocketAddr, StepError> {
        self.world.address(host, port).await.map_err(reach_error)
    }
}

/// Names that do not exist will not exist at the next attempt either.
pub(super) fn reach_error(p: Problem) -> StepError {
    match p.kind {
        ProblemKind::Forbidden | ProblemKind::UnknownReference | ProblemKind::Unsupported => {
            p.into()
        }
        _ => StepError::Transport(match p.help {
            Some(help) => format!("{} ({help})", p.message),
            None => p.message,
        }),
    }
}
