//! Configuration files and secrets.

use indexmap::IndexMap;

use super::{FileMode, Sourced, Texts};
use crate::secret::Secret;
use crate::yaml::Node;

/// A configuration file or a secret that services may use.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileObject {
    /// Where it is declared.
    pub declared: Sourced<()>,
    /// Its name on the orchestrator.
    pub name: Option<Sourced<String>>,
    /// The file that holds it.
    pub file: Option<Sourced<String>>,
    /// The environment variable (of whoever starts the stack) that holds it.
    pub environment: Option<Sourced<String>>,
    /// The text itself.
    pub content: Option<Sourced<String>>,
    /// Whether it is kept elsewhere, beyond the spec.
    pub external: Option<Sourced<bool>>,
    /// Labels.
    pub labels: Texts,
    /// The store that holds it.
    pub driver: Option<Sourced<String>>,
    /// Options of the store.
    pub driver_opts: Texts,
    /// The program that fills in placeholders.
    pub template_driver: Option<Sourced<String>>,
    /// Extension values (`x-…`).
    pub extensions: IndexMap<String, Node>,
    /// A value that was supplied for it (by `mirror.yaml`); it stands before all other sources
    /// and is no part of the spec.
    pub given: Option<Secret>,
}

impl FileObject {
    /// Whether it is kept elsewhere, beyond the spec.
    pub fn is_external(&self) -> bool {
        self.external.as_ref().is_some_and(|e| e.value)
    }
}

/// A service's use of a configuration file or a secret.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileUse {
    /// Key of the object.
    pub source: Option<Sourced<String>>,
    /// Path in the container.
    pub target: Option<Sourced<String>>,
    /// Owner.
    pub uid: Option<Sourced<String>>,
    /// Group.
    pub gid: Option<Sourced<String>>,
    /// Permission bits.
    pub mode: Option<Sourced<FileMode>>,
}
