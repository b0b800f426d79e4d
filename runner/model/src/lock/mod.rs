//! `mirror.lock`: the pins of a mirror. The same lock means the same bytes.
//!
//! A lock holds one fact a line, in the order of its names, so that versions of it are merged
//! line by line. [`read`] and [`write`] are inverse; [`facts`] takes what the files of a
//! project say now, an engine's registries say what images are now, and [`drift()`] compares.
//! [`Lock::pin`] puts the pins into a plan.

mod digest;
mod drift;
mod facts;
mod fidelity;
mod hash;
mod images;
mod pin;
mod platform;
mod read;
mod reference;
mod renew;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

use serde::Serialize;

pub use digest::Digest;
pub use drift::{Now, Seen, drift};
pub use facts::facts;
pub use fidelity::records;
pub use images::{Needed, needed};
pub use platform::Platform;
pub use read::{load, read};
pub use reference::Reference;
pub use renew::Renew;
pub use write::write;

use crate::mirror::Sourced;

/// The name of the file, beside `mirror.yaml`.
pub const FILE_NAME: &str = "mirror.lock";

/// The format that this version writes, and the newest that it reads.
pub const VERSION: i64 = 1;

/// A lock.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lock {
    /// Version of the tool that wrote it.
    pub tool: String,
    /// What each image reference of the mirror stands for.
    pub images: BTreeMap<String, Sourced<Pin>>,
    /// Everything else that decides what runs.
    pub facts: Facts,
}

/// What decides what runs, but for the images.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// Files that production and the mirror are described in, by path from the project.
    pub sources: Hashes,
    /// Sections of `mirror.yaml` that decide what runs, by key.
    pub project: Hashes,
    /// Files and texts that services are given, by path from the project or as `config:KEY`.
    pub configs: Hashes,
    /// Variables that `env.pass` takes from the shell.
    pub env: BTreeMap<String, Sourced<Passed>>,
    /// What volumes hold at the start, by volume.
    pub data: BTreeMap<String, Sourced<Content>>,
}

/// Digests by name.
pub type Hashes = BTreeMap<String, Sourced<Digest>>;

/// What an image reference stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pin {
    /// What a registry has.
    Registry {
        /// Digest of the manifest, or of the index over the manifests of several platforms.
        digest: Digest,
        /// The manifest of each platform; absent where nobody could say its digest (the index
        /// decides it all the same).
        platforms: BTreeMap<Platform, Option<Digest>>,
    },
    /// An image that only an engine has: no registry could be asked for these bytes.
    Local {
        /// The engine's id of it.
        id: Digest,
        /// What it was built for.
        platform: Option<Platform>,
    },
}

/// A variable of the shell.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Passed {
    /// It is not set.
    Unset,
    /// Its value, when nothing says that it is secret.
    Text(String),
    /// The digest of its value.
    Hash(Digest),
}

/// What a volume holds at the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Content {
    /// Name of the snapshot; absent = it is empty on purpose.
    pub snapshot: Option<String>,
    /// Digest of the snapshot's manifest, once the snapshot is there.
    pub manifest: Option<Digest>,
}

impl Pin {
    /// The reference by which an engine finds exactly this image: `repository@digest`, or the
    /// image's id.
    pub fn reference(&self, name: &str) -> String {
        match self {
            Self::Registry { digest, .. } => {
                format!("{}@{digest}", Reference::parse(name).repository)
            }
            Self::Local { id, .. } => id.to_string(),
        }
    }

    /// The platforms that it has, as far as that is known.
    pub fn platforms(&self) -> Vec<&Platform> {
        match self {
            Self::Registry { platforms, .. } => platforms.keys().collect(),
            Self::Local { platform, .. } => platform.iter().collect(),
        }
    }

    /// Whether it is an index over several manifests.
    pub fn is_index(&self) -> bool {
        match self {
            Self::Registry { digest, platforms } => {
                platforms.len() > 1 || platforms.values().any(|m| m.as_ref() != Some(digest))
            }
            Self::Local { .. } => false,
        }
    }

    /// In words, for people.
    pub fn described(&self) -> String {
        match self {
            Self::Registry { digest, .. } => digest.short().to_owned(),
            Self::Local { id, .. } => format!("local image {}", id.short()),
        }
    }
}

impl std::fmt::Debug for Passed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unset => f.write_str("unset"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Hash(digest) => write!(f, "{digest:?}"),
        }
    }
}

impl Lock {
    /// The name of the image that a pinned reference (of [`Pin::reference`]) is locked for.
    pub fn name_of(&self, pinned: &str) -> Option<&str> {
        self.images
            .iter()
            .find(|(name, pin)| pin.reference(name) == pinned)
            .map(|(name, _)| name.as_str())
    }
}
