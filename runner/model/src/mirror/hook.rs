//! Commands around the life of a container.

use super::{Argv, EnvVar, Sourced};

/// A command that runs in a container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hook {
    /// Program and arguments.
    pub command: Sourced<Argv>,
    /// User; absent = the container's.
    pub user: Option<Sourced<String>>,
    /// Whether it runs with all rights.
    pub privileged: Option<Sourced<bool>>,
    /// Working directory; absent = the container's.
    pub working_dir: Option<Sourced<String>>,
    /// Further environment.
    pub env: Vec<EnvVar>,
}
