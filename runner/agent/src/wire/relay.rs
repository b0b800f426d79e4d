//! Configuration of mode `relay`.

use serde::{Deserialize, Serialize};

/// Configuration of mode `relay`: ports behind each of which is one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayConfig {
    /// What events call this relay.
    pub name: String,
    /// The ports that are listened on.
    pub ports: Vec<RelayPort>,
}

/// A port and where its connections lead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelayPort {
    /// TCP port, on all addresses.
    pub port: u16,
    /// The destination, `host:port`.
    pub to: String,
}
