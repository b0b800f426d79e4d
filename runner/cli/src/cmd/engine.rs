//! The engine, as commands need it.

use prodmirror_engine::docker::{Engine, EngineEnv};
use prodmirror_model::diag::Problems;
use prodmirror_model::redact::Redactor;

use super::Session;
use crate::exit::Exit;

impl Session {
    /// Connects to the engine that the environment names.
    pub async fn engine(&self) -> Result<Engine, Exit> {
        let env = EngineEnv::from_vars(|name| self.context.var(name));
        Engine::connect(&env).await.map_err(|problem| {
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
