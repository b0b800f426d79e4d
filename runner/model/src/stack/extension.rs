//! `x-prodmirror`: what a stack says that Compose cannot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::diag::Problem;
use crate::mirror::Mirror;
use crate::yaml::from_node;

/// The key at the top of a stack.
pub const KEY: &str = "x-prodmirror";
/// Version of its format.
pub const VERSION: u32 = 1;

/// The value of `x-prodmirror` at the top of a stack.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct Extension {
    /// Version of the format.
    pub version: u32,
    /// Name of the project.
    pub project: String,
    /// The name under which production's containers run, by which others may call them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub production: String,
    /// Services that stand in for hosts outside of the mirror.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stubs: BTreeMap<String, StubSpec>,
    /// Destinations that have no stub.
    #[serde(default, skip_serializing_if = "EgressSpec::is_empty")]
    pub egress: EgressSpec,
    /// What volumes hold at the start, by volume.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, DataSpec>,
    /// Environment variables whose values are secret, by service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sensitive: BTreeMap<String, Vec<String>>,
    /// Secrets of services with a read-only root, by key, each with the variable that holds its
    /// value. (Plain Compose puts only files into those: it takes the path of one from the
    /// variable with `_FILE` behind its name.)
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_files: BTreeMap<String, String>,
    /// Binds that a service may write, by service and path in it: it writes to a copy. (For
    /// plain Compose they are read-only.)
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub writable_copies: BTreeMap<String, Vec<String>>,
    /// Binds of the engine's host that are allowed, by service and path in it. All others are
    /// copies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub host_binds: BTreeMap<String, Vec<String>>,
}

/// A service that stands in for a host outside of the mirror.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct StubSpec {
    /// The host.
    pub host: String,
    /// Ports that it answers on.
    pub ports: Vec<u16>,
    /// Those of them that speak TLS. Each run puts certificates of its own authority into the
    /// configuration (`listen[].tls`); plain Compose has none, so there they speak plain text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tls: Vec<u16>,
    /// Key of the configuration file, in `configs`.
    pub config: String,
}

/// Destinations that have no stub, as `host:port`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct EgressSpec {
    /// Traffic to these really leaves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Traffic to these fails, and is no surprise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

impl EgressSpec {
    fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

/// What a volume holds at the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataSpec {
    /// A copy of this snapshot.
    Snapshot(String),
    /// Nothing, on purpose.
    Empty(bool),
}

impl Extension {
    /// The extension of a stack; the default when it has none.
    ///
    /// # Errors
    /// What in it has a wrong form.
    pub fn of(mirror: &Mirror) -> Result<Self, Problem> {
        match mirror.extensions.get(KEY) {
            Some(node) => from_node(node),
            None => Ok(Self::default()),
        }
    }
}
