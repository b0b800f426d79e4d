//! The engine, as commands need it.

use prodmirror_engine::docker::{Engine, EngineEnv};
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::redact::Redactor;
use tokio::task::JoinHandle;

use super::Session;
use crate::exit::Exit;

/// A connection that is being made.
pub type Connecting = JoinHandle<Result<Engine, Problem>>;

impl Session {
    /// Connects to the engine that the environment names.
    pub async fn engine(&self) -> Result<Engine, Exit> {
        self.connected(self.connecting()).await
    }

    /// Begins to connect, beside what the caller does until it needs the engine.
    pub fn connecting(&self) -> Connecting {
        let env = EngineEnv::from_vars(|name| self.context.var(name));
        tokio::spawn(async move { Engine::connect(&env).await })
    }

    /// The engine that it was begun to connect to.
    pub async fn connected(&self, connecting: Connecting) -> Result<Engine, Exit> {
        let connected = connecting.await.unwrap_or_else(|e| {
            let what = format!("connecting to the engine broke off: {e}");
            Err(Problem::new(ProblemKind::Engine, what))
        });
        connected.map_err(|problem| {
            self.tell(&Problems::from(problem), &Redactor::new());
            Exit::Engine
        })
    }
}

/// The architecture of this host in the engine's words.
pub fn host_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
