//! The mirror: a typed model of what runs in production, whatever format describes it.
//!
//! Every leaf is [`Sourced`]: it knows the file, line and column that it came from and how.
//! An absent value means "the spec does not say" (so the image or the engine decides); the
//! model never fills in an engine's default.
//!
//! [`Mirror::from_compose`] reads the normal form of Compose and [`Mirror::to_compose`]
//! writes it; the two are inverse. The names here are those of containers in general, the
//! names of formats stay in the module of the format.

mod build;
mod compose;
mod deployment;
mod env;
mod file;
mod health;
mod hook;
mod limits;
mod mode;
mod mount;
mod network;
pub mod quantity;
mod security;
mod service;
mod sourced;
#[cfg(test)]
mod tests;

use indexmap::IndexMap;
use serde::Serialize;

pub(crate) use compose::condition_name;

pub use build::{Build, Develop, WatchRule};
pub use deployment::{
    Deployment, Placement, PlacementPreference, ResourceSet, Resources, RestartRule, RolloutRule,
};
pub use deployment::{DiscreteResource, GenericResource};
pub use env::{EnvFile, EnvVar};
pub use file::{FileObject, FileUse};
pub use health::Health;
pub use hook::Hook;
pub use limits::{
    BlockIo, Device, DeviceRequest, Limits, ThrottledDevice, Ulimit, WeightedDevice, highest_nofile,
};
pub use mode::{NamespaceMode, Restart};
pub use mount::{
    BindOptions, ImageOptions, Mount, MountKind, Mounts, Tmpfs, TmpfsOptions, Volume, VolumeOptions,
};
pub use network::{Attachment, HostEntry, Ipam, IpamPool, Link, Network, Port, ServiceNetwork};
pub use quantity::{Bytes, Cpus, FileMode};
pub use security::{CredentialSpec, Namespaces, Security};
pub use service::{
    Argv, Condition, Dependency, Image, Logging, Model, ModelUse, Process, Provider, Service,
};
pub use sourced::Sourced;

use crate::diag::Problems;
use crate::source::Span;
use crate::yaml::Node;

/// Names with sourced texts, in the order in which the spec has them.
pub type Texts = IndexMap<String, Sourced<String>>;

/// Production as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mirror {
    /// The name of the project.
    pub name: Sourced<String>,
    /// The files that it was read from.
    pub inputs: Vec<Input>,
    /// Services by name.
    pub services: IndexMap<String, Service>,
    /// Networks by the key that services use.
    pub networks: IndexMap<String, Network>,
    /// Named volumes by the key that services use.
    pub volumes: IndexMap<String, Volume>,
    /// Configuration files by the key that services use.
    pub config_files: IndexMap<String, FileObject>,
    /// Secrets by the key that services use.
    pub secrets: IndexMap<String, FileObject>,
    /// Language models by the key that services use.
    pub models: IndexMap<String, Model>,
    /// Extension values (`x-…`), which have no meaning of their own.
    pub extensions: IndexMap<String, Node>,
    /// What the spec says and the model has no place for.
    pub unmapped: Vec<Unmapped>,
}

/// A file that a mirror was read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Input {
    /// Path as people know it.
    pub path: String,
    /// SHA-256 of its text, hexadecimal.
    pub sha256: String,
}

/// A value that the model has no place for.
#[derive(Debug, Clone, PartialEq)]
pub struct Unmapped {
    /// Keys and indices from the top (`services`, `web`, `ports`, `0`, `nonsense`).
    pub path: Vec<String>,
    /// Where its key stands.
    pub span: Span,
    /// The value.
    pub node: Node,
}

impl Unmapped {
    /// Whether it is an extension (`x-…`), which nothing has to honour.
    pub fn is_extension(&self) -> bool {
        self.path.last().is_some_and(|key| key.starts_with("x-"))
    }
}

impl Mirror {
    /// Reads the normal form of Compose: what `docker compose config` prints, with literal
    /// `$` not doubled.
    ///
    /// # Errors
    /// All values of a wrong type or form, each with its place. Unknown keys are no error:
    /// they are kept in [`Mirror::unmapped`].
    pub fn from_compose(node: &Node) -> Result<Self, Problems> {
        compose::read(node)
    }

    /// Writes the normal form of Compose. Values that [`Mirror::from_compose`] could not map
    /// are not in it; secret values that were supplied from elsewhere are not either.
    pub fn to_compose(&self) -> serde_json::Value {
        compose::write(self)
    }
}
