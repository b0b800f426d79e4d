//! The only door to the container engine, and the only place that knows its client library.

mod agent_image;
mod build;
mod connect;
mod container;
mod error;
mod exec;
mod facts;
mod image;
mod object;
mod progress;
mod ssh;
mod stream;

use std::sync::Arc;

use prodmirror_model::lock::Platform;

pub use build::NewImage;
pub use connect::{Endpoint, EngineEnv};
pub use container::{ContainerState, CreatedContainer, HealthCheck, NewContainer};
pub use error::EngineError;
pub use exec::{ExecIo, ExecSpec};
pub use facts::HostFacts;
pub use image::{Distribution, ImageConfig, ImageFacts, PullProgress, RegistryLogin};
pub use object::{Found, FoundKind, NewNetwork, NewVolume, UsedSubnet};
pub use stream::{Attached, EngineEvent, LogQuery, LogStream, Output, OutputFrom};

/// A connection to a container engine. Cloning is cheap and shares it.
#[derive(Clone)]
pub struct Engine {
    client: bollard::Docker,
    facts: Arc<HostFacts>,
    endpoint: Arc<Endpoint>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("endpoint", &self.endpoint.to_string())
            .finish()
    }
}

impl Engine {
    /// What is known of the engine and its host.
    pub fn facts(&self) -> &HostFacts {
        &self.facts
    }

    /// What containers run on, where their image and their spec do not say otherwise.
    pub fn platform(&self) -> Platform {
        Platform::new(&self.facts.os, &self.facts.arch, None)
    }

    /// Where the engine is, as people write it (`unix:///var/run/docker.sock`).
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    /// It gave none.
    pub async fn ping(&self) -> Result<(), EngineError> {
        self.client
            .ping()
            .await
            .map(|_| ())
            .map_err(EngineError::from)
    }

    /// The client library, for the other modules below [`crate::docker`] and for images.
    pub(crate) fn client(&self) -> &bollard::Docker {
        &self.client
    }
}
