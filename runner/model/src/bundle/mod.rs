//! Bundles: one file from which a failure can be run again elsewhere.
//!
//! A bundle is a gzip-compressed tar archive. Its first entry is `bundle.json`, the
//! [`Manifest`], which lists every other entry with its size and digest, so that whoever reads
//! one knows what comes before anything is written. `docs/reference/bundle.md` describes it.

mod normal;
mod signature;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use signature::{FailedStep, Likeness, Signature};

use crate::diag::{Problem, ProblemKind};
use crate::event::CaseId;

/// What says that a file is a bundle.
pub const FORMAT: &str = "prodmirror-bundle";
/// Version of the format that is written, and the newest that is read.
pub const VERSION: u32 = 1;
/// Name of the manifest in the archive.
pub const MANIFEST: &str = "bundle.json";
/// Name of the signature of the manifest in the archive.
pub const SIGNATURE: &str = "bundle.sig";
/// Below it stand the files that the failure is run again from.
pub const PROJECT: &str = "project/";
/// Below it stands what was seen.
pub const EVIDENCE: &str = "evidence/";
/// Below it stand production's own files as they were, for people.
pub const SOURCES: &str = "sources/";
/// The images, as `docker save` writes them.
pub const IMAGES: &str = "images.tar";
/// Below it stand snapshots, as `prodmirror snapshot export` writes them.
pub const DATA: &str = "data/";

/// What a bundle is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// Version of the format.
    pub version: u32,
    /// Version of the tool that wrote it.
    pub tool: String,
    /// Name of the project.
    pub project: String,
    /// Where the project's directory is below `project/`; empty = there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub root: String,
    /// The case that failed; its file is named from `project/`.
    pub case: CaseId,
    /// The cases of its file that were played before it on the same stack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// Other files that have scenarios which it needs, named from `project/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// How it failed.
    pub failure: Signature,
    /// How it was run.
    pub run: RunFacts,
    /// The images of the stack, by service.
    pub images: BTreeMap<String, ImageFacts>,
    /// The snapshots that its volumes started from, by volume.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, DataFacts>,
    /// The secrets that the stack asks for, by variable. None of their values is in the bundle.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, SecretFacts>,
    /// The machine on which it failed.
    pub host: HostFacts,
    /// All other entries, by name.
    pub files: BTreeMap<String, FileFacts>,
}

/// How a case was run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// The run.
    pub id: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Values of `--var`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, Json>,
    /// Values of `--flag`, each `NAME=VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Whether steps may run programs on the machine (`--allow-shell`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_shell: bool,
    /// Destinations outside of the stack that services really reached (`egress: allow`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<String>,
    /// How long the case took, in milliseconds.
    pub took_ms: u64,
}

/// An image of the stack.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ImageFacts {
    /// The reference that the stack names.
    pub reference: String,
    /// What the lock pinned it to, or the digests under which a registry has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub digests: Vec<String>,
    /// Its identity on the engine on which it failed (`sha256:…`).
    pub id: String,
}

/// A snapshot that a volume started from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFacts {
    /// Its name.
    pub snapshot: String,
    /// Digest of its manifest.
    pub digest: String,
    /// The entry that holds it, when it is in the bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// A secret that the stack asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretFacts {
    /// What the project calls it; absent when it stands in production's files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where its value came from.
    pub from: SecretFrom,
}

/// Where the value of a secret came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretFrom {
    /// A stand-in of the project, for which any other does as well.
    Stub,
    /// The environment of the shell.
    Env,
    /// A file.
    File,
    /// It stands in production's files.
    Production,
}

/// The machine on which a case failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFacts {
    /// The engine and its version.
    pub engine: String,
    /// The engine's operating system.
    pub os: String,
    /// Its architecture.
    pub arch: String,
    /// Its kernel.
    pub kernel: String,
    /// Its processors.
    pub cpus: u64,
    /// Its memory, in bytes.
    pub memory: u64,
    /// What the memory limits of the stack's services come to, in bytes.
    pub limits: u64,
}

/// An entry of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Its SHA-256 (`sha256:…`).
    pub digest: String,
    /// Its size, in bytes.
    pub size: u64,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// It is none, it is of a newer version, or it names what no bundle may name. `from` is what
    /// messages call the bundle.
    pub fn read(bytes: &[u8], from: &str) -> Result<Self, Problem> {
        let broken = |why: String| {
            let text = format!("{from} is no bundle that can be read: {why}");
            Problem::new(ProblemKind::Syntax, text)
                .help("name a .bundle file that `prodmirror run` left in .prodmirror/runs/")
        };
        let json: Json = serde_json::from_slice(bytes).map_err(|e| broken(e.to_string()))?;
        if json["format"] != FORMAT {
            return Err(broken(format!("its {MANIFEST} does not say `{FORMAT}`")));
        }
        let version = json["version"].as_u64().unwrap_or(0);
        if version == 0 || version > u64::from(VERSION) {
            let text = format!(
                "{from} is a bundle of version {}, and this prodmirror reads up to version {VERSION}",
                json["version"]
            );
            let by = json["tool"].as_str().unwrap_or("a newer prodmirror");
            let help = format!("it was written by {}: use that", normal::one_line(by, 40));
            return Err(Problem::new(ProblemKind::Unsupported, text).help(help));
        }
        let manifest: Self = serde_json::from_value(json).map_err(|e| broken(e.to_string()))?;
        manifest.sound().map_err(broken)?;
        Ok(manifest)
    }

    /// The text that is written: equal manifests give equal bytes.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// What is unpacked in all, in bytes.
    pub fn size(&self) -> u64 {
        let sizes = self.files.values().map(|f| f.size);
        sizes.fold(0, u64::saturating_add)
    }

    fn sound(&self) -> Result<(), String> {
        let named = self.files.keys().map(String::as_str);
        let data = self.data.values().filter_map(|d| d.file.as_deref());
        for name in named.chain(data) {
            wrong_name(name).map_or(Ok(()), |why| Err(format!("the entry `{name}` {why}")))?;
        }
        let also = self.also.iter().map(String::as_str);
        for path in [self.root.as_str(), self.case.file.as_str()]
            .into_iter()
            .chain(also)
        {
            let wrong = (!path.is_empty()).then(|| wrong_name(path)).flatten();
            wrong.map_or(Ok(()), |why| Err(format!("the path `{path}` {why}")))?;
        }
        Ok(())
    }
}

/// Why a name is none of an entry. Names are relative, of plain components with `/` between
/// them, on every system.
pub fn wrong_name(name: &str) -> Option<&'static str> {
    let device = |part: &str| {
        let stem = part.split('.').next().unwrap_or(part).to_ascii_uppercase();
        matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
            || (stem.len() == 4
                && (stem.starts_with("COM") || stem.starts_with("LPT"))
                && stem.ends_with(|c: char| c.is_ascii_digit()))
    };
    if name.is_empty() || name.len() > 1024 {
        return Some("has no name that can be written");
    }
    if name.starts_with('/')
        || name.contains(['\\', ':', '\0'])
        || name.chars().any(char::is_control)
    {
        return Some("leads out of the bundle, or has a name that cannot be written");
    }
    let parts = || name.split('/');
    if parts().any(|p| p.is_empty() || p == "." || p == "..") {
        return Some("leads out of the bundle");
    }
    if parts().any(|p| p.len() > 255 || p.ends_with(['.', ' ']) || device(p)) {
        return Some("has a name that some systems cannot write");
    }
    None
}
