//! Rights, confinement and shared namespaces of a container.

use super::{NamespaceMode, Sourced, Texts};

/// Rights and confinement of a container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Security {
    /// Whether it has all rights and devices of the host.
    pub privileged: Option<Sourced<bool>>,
    /// Capabilities beyond the engine's default.
    pub cap_add: Vec<Sourced<String>>,
    /// Capabilities that it loses.
    pub cap_drop: Vec<Sourced<String>>,
    /// Options of security modules, such as `no-new-privileges:true` or `seccomp=FILE`.
    pub options: Vec<Sourced<String>>,
    /// Whether its root file system is read-only.
    pub read_only_root: Option<Sourced<bool>>,
    /// Kernel parameters of its namespaces.
    pub sysctls: Texts,
    /// The cgroup above its own.
    pub cgroup_parent: Option<Sourced<String>>,
    /// The OCI runtime.
    pub runtime: Option<Sourced<String>>,
    /// Isolation technology (Windows).
    pub isolation: Option<Sourced<String>>,
    /// Credentials of a managed account (Windows).
    pub credential_spec: Option<Sourced<CredentialSpec>>,
    /// Whether it is given the engine's API socket and credentials.
    pub engine_socket: Option<Sourced<bool>>,
}

/// Namespaces that a container shares, but for the network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Namespaces {
    /// Processes.
    pub pid: Option<Sourced<NamespaceMode>>,
    /// Shared memory and message queues.
    pub ipc: Option<Sourced<NamespaceMode>>,
    /// Host name.
    pub uts: Option<Sourced<NamespaceMode>>,
    /// Control groups.
    pub cgroup: Option<Sourced<NamespaceMode>>,
    /// Users.
    pub user: Option<Sourced<NamespaceMode>>,
}

/// Credentials of a managed account (Windows).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CredentialSpec {
    /// Key of the configuration file that holds them.
    pub config: Option<Sourced<String>>,
    /// The file that holds them.
    pub file: Option<Sourced<String>>,
    /// The registry value that holds them.
    pub registry: Option<Sourced<String>>,
}
