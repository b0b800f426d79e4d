//! What a plan depends on besides the mirror.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::mirror::{Mirror, NamespaceMode, Network};
use crate::secret::Secret;
use crate::stack::Extension;

/// What is known of the engine that will run the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// Agreed API version, such as `(1, 41)`.
    pub api: (usize, usize),
    /// Processors of the host; 0 = not known.
    pub cpus: u32,
    /// Highest `nofile` limit that a container may have, when it is known.
    pub nofile_limit: Option<u64>,
    /// The engine's default logging driver; empty = not known.
    pub log_driver: String,
    /// OCI runtimes of the engine; empty = not known.
    pub runtimes: Vec<String>,
}

impl Default for HostFacts {
    /// The oldest engine that is served, of which nothing else is known.
    fn default() -> Self {
        Self {
            api: (1, 41),
            cpus: 0,
            nofile_limit: None,
            log_driver: String::new(),
            runtimes: Vec::new(),
        }
    }
}

impl HostFacts {
    /// Whether the agreed API is at least this one.
    pub fn api_at_least(&self, major: usize, minor: usize) -> bool {
        self.api >= (major, minor)
    }
}

/// What a plan depends on besides the mirror.
#[derive(Debug, Clone, Default)]
pub struct PlanOptions {
    /// Directory of the project: relative paths start there, and files in it are copied into
    /// containers instead of being bound.
    pub project_dir: PathBuf,
    /// Further directories whose files are copied.
    pub copied: Vec<PathBuf>,
    /// Networks that may lead out of the engine's host, by key. All others are internal.
    pub open_networks: BTreeSet<String>,
    /// Services that may use a network which is not the stack's (`network_mode: host` and the
    /// like). Others that ask for one are refused.
    pub foreign_networks: BTreeSet<String>,
    /// The engine.
    pub host: HostFacts,
    /// Values of variables that configuration files and secrets are taken from
    /// (`environment: NAME`).
    pub values: BTreeMap<String, Secret>,
    /// Configuration files and secrets, by key, whose content is written in base64.
    pub base64: BTreeSet<String>,
    /// Services that the engine restarts as production does, because they crash until what they
    /// need is there.
    pub patient: BTreeSet<String>,
}

impl PlanOptions {
    /// Options for a mirror that went through the policy: what is open there was allowed by
    /// name.
    pub fn for_stack(mirror: &Mirror, project_dir: PathBuf, host: HostFacts) -> Self {
        let internal = |n: &Network| n.internal.as_ref().is_some_and(|i| i.value);
        let networks = mirror.networks.iter().filter(|(_, n)| !internal(n));
        let modes = mirror.services.iter().filter(|(_, s)| {
            let mode = s.network.mode.as_ref().map(|m| &m.value);
            mode.is_some_and(|m| !matches!(m, NamespaceMode::None | NamespaceMode::Service(_)))
        });
        let extension = Extension::of(mirror).unwrap_or_default();
        Self {
            base64: extension.base64.into_iter().collect(),
            patient: extension.patient.into_iter().collect(),
            open_networks: networks.map(|(key, _)| key.clone()).collect(),
            foreign_networks: modes.map(|(name, _)| name.clone()).collect(),
            project_dir,
            host,
            ..Self::default()
        }
    }
}
