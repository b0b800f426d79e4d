//! How images are built, and rules for a developer's machine.

use indexmap::IndexMap;

use super::{Bytes, EnvVar, FileUse, Hook, HostEntry, Sourced, Texts, Ulimit};
use crate::yaml::Node;

/// How an image is built.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Build {
    /// Directory or address with the sources.
    pub context: Option<Sourced<String>>,
    /// Path of the Dockerfile in it.
    pub dockerfile: Option<Sourced<String>>,
    /// The Dockerfile's text itself.
    pub dockerfile_inline: Option<Sourced<String>>,
    /// Privileges that the build gets.
    pub entitlements: Vec<Sourced<String>>,
    /// Arguments; one without a value comes from the environment of the build.
    pub args: Vec<EnvVar>,
    /// Kind of provenance attestation.
    pub provenance: Option<Sourced<String>>,
    /// Kind of software bill of materials.
    pub sbom: Option<Sourced<String>>,
    /// SSH agents or keys.
    pub ssh: Option<Node>,
    /// Labels of the image.
    pub labels: Texts,
    /// Where cached layers come from.
    pub cache_from: Vec<Sourced<String>>,
    /// Where cached layers go.
    pub cache_to: Vec<Sourced<String>>,
    /// Whether nothing is taken from the cache.
    pub no_cache: Option<Sourced<bool>>,
    /// Stages that are not taken from the cache.
    pub no_cache_filter: Vec<Sourced<String>>,
    /// Further sources by name.
    pub additional_contexts: Texts,
    /// Whether base images are pulled anew.
    pub pull: Option<Sourced<bool>>,
    /// Names with fixed addresses.
    pub extra_hosts: Vec<Sourced<HostEntry>>,
    /// Isolation technology (Windows).
    pub isolation: Option<Sourced<String>>,
    /// Network of the build.
    pub network: Option<Sourced<String>>,
    /// Stage that is built.
    pub target: Option<Sourced<String>>,
    /// Secrets that the build gets.
    pub secrets: Vec<Sourced<FileUse>>,
    /// Size of `/dev/shm`.
    pub shm_size: Option<Sourced<Bytes>>,
    /// Further tags of the image.
    pub tags: Vec<Sourced<String>>,
    /// Limits of the kernel.
    pub ulimits: IndexMap<String, Sourced<Ulimit>>,
    /// Platforms that it is built for.
    pub platforms: Vec<Sourced<String>>,
    /// Whether the build has all rights.
    pub privileged: Option<Sourced<bool>>,
}

/// Rules for a developer's machine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Develop {
    /// What happens when files change.
    pub watch: Vec<Sourced<WatchRule>>,
}

/// What happens when files change.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WatchRule {
    /// The files.
    pub path: Option<Sourced<String>>,
    /// `sync`, `rebuild`, `restart`, `sync+restart`, `sync+exec`.
    pub action: Option<Sourced<String>>,
    /// Path in the container.
    pub target: Option<Sourced<String>>,
    /// Command that runs then.
    pub exec: Option<Sourced<Hook>>,
    /// Patterns that are left out.
    pub ignore: Vec<Sourced<String>>,
    /// Patterns that are let in.
    pub include: Vec<Sourced<String>>,
    /// Whether the files are copied at the start.
    pub initial_sync: Option<Sourced<bool>>,
}
