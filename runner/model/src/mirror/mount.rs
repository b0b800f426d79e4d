//! Volumes and what is mounted into containers.

use std::fmt;

use indexmap::IndexMap;

use super::{Bytes, Sourced, Texts};
use crate::yaml::Node;

/// All that is mounted into a container, but for configuration files and secrets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mounts {
    /// Volumes, binds and others.
    pub list: Vec<Sourced<Mount>>,
    /// File systems in memory in their short form.
    pub tmpfs: Vec<Sourced<Tmpfs>>,
    /// Services or containers whose mounts are taken over.
    pub volumes_from: Vec<Sourced<String>>,
    /// Driver of volumes that are made on the way.
    pub volume_driver: Option<Sourced<String>>,
    /// Options of the storage driver, such as its size.
    pub storage_opt: Texts,
}

/// Something that is mounted into a container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mount {
    /// What kind of thing.
    pub kind: Sourced<MountKind>,
    /// Key of a volume, path of the host, or reference of an image; absent = anonymous.
    pub source: Option<Sourced<String>>,
    /// Path in the container.
    pub target: Option<Sourced<String>>,
    /// Whether the container must not write it.
    pub read_only: Option<Sourced<bool>>,
    /// How exactly it must agree with the host (Docker Desktop).
    pub consistency: Option<Sourced<String>>,
    /// Options of a bind.
    pub bind: Option<Sourced<BindOptions>>,
    /// Options of a volume.
    pub volume: Option<Sourced<VolumeOptions>>,
    /// Options of a file system in memory.
    pub tmpfs: Option<Sourced<TmpfsOptions>>,
    /// Options of an image.
    pub image: Option<Sourced<ImageOptions>>,
}

/// Kinds of mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MountKind {
    /// A volume of the engine, named or anonymous.
    #[default]
    Volume,
    /// A file or directory of the host.
    Bind,
    /// A file system in memory.
    Tmpfs,
    /// The content of an image.
    Image,
    /// A named pipe (Windows).
    NamedPipe,
    /// A volume of the cluster.
    Cluster,
}

impl MountKind {
    /// All kinds with their names.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Volume, "volume"),
        (Self::Bind, "bind"),
        (Self::Tmpfs, "tmpfs"),
        (Self::Image, "image"),
        (Self::NamedPipe, "npipe"),
        (Self::Cluster, "cluster"),
    ];

    /// Reads a kind's name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(kind, _)| *kind)
    }
}

impl fmt::Display for MountKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL
            .iter()
            .find(|(kind, _)| kind == self)
            .map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

/// Options of a bind.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BindOptions {
    /// SELinux label: `z` (shared) or `Z` (private).
    pub selinux: Option<Sourced<String>>,
    /// How mounts below it spread.
    pub propagation: Option<Sourced<String>>,
    /// Whether a path that is not there is made, as a directory.
    pub create_host_path: Option<Sourced<bool>>,
    /// What happens to mounts below it: `enabled`, `disabled`, `writable`, `readonly`.
    pub recursive: Option<Sourced<String>>,
}

/// Options of a mounted volume.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VolumeOptions {
    /// Labels of an anonymous volume.
    pub labels: Texts,
    /// Whether the image's content is kept from being copied into an empty volume.
    pub no_copy: Option<Sourced<bool>>,
    /// The part of the volume that is mounted.
    pub subpath: Option<Sourced<String>>,
}

/// Options of a file system in memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TmpfsOptions {
    /// Its size.
    pub size: Option<Sourced<Bytes>>,
    /// Permission bits of its root.
    pub mode: Option<Sourced<u32>>,
}

/// Options of a mounted image.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageOptions {
    /// The part of the image that is mounted.
    pub subpath: Option<Sourced<String>>,
}

/// A file system in memory in its short form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tmpfs {
    /// Path in the container.
    pub target: String,
    /// Options such as `size=64m,mode=1777`; absent = none.
    pub options: Option<String>,
}

impl Tmpfs {
    /// Reads `path[:options]`.
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((target, options)) => Self {
                target: target.to_owned(),
                options: Some(options.to_owned()),
            },
            None => Self {
                target: text.to_owned(),
                options: None,
            },
        }
    }
}

impl fmt::Display for Tmpfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.target)?;
        match &self.options {
            Some(options) => write!(f, ":{options}"),
            None => Ok(()),
        }
    }
}

/// A named volume.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Volume {
    /// Where it is declared.
    pub declared: Sourced<()>,
    /// Its name on the engine.
    pub name: Option<Sourced<String>>,
    /// Its driver; absent = the engine's own.
    pub driver: Option<Sourced<String>>,
    /// Options of the driver.
    pub driver_opts: Texts,
    /// Whether it exists beyond the spec.
    pub external: Option<Sourced<bool>>,
    /// Labels.
    pub labels: Texts,
    /// Extension values (`x-…`).
    pub extensions: IndexMap<String, Node>,
}

impl Volume {
    /// Whether it exists beyond the spec.
    pub fn is_external(&self) -> bool {
        self.external.as_ref().is_some_and(|e| e.value)
    }
}
