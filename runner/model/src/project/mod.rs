//! `mirror.yaml`: which files are production, and how it becomes a local mirror.

pub mod allow;
mod audit;
mod decode;
pub mod egress;
mod flags;
pub mod path;
mod sections;
mod snapshots;
pub mod stub;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

pub use allow::{Allow, Permit};
pub use audit::{AuditOptions, Off};
pub use decode::{Named, find};
pub use egress::{Egress, Endpoint, Fate};
pub use flags::{Flags, Matrix};
pub use path::{ProjectPath, ProjectSource};
pub use snapshots::{From as SnapshotFrom, Grow, Recipe, Subset};
pub use stub::Stub;

use crate::diag::{Problem, ProblemKind, Problems};
use crate::secret::Secret;
use crate::source::{SourceFile, Span};
use crate::yaml::{Mapping, Spanned, parse_one};

/// The names that a project file is looked for under, in order.
pub const FILE_NAMES: [&str; 2] = ["mirror.yaml", "mirror.yml"];

/// A project: everything that `mirror.yaml` says.
#[derive(Debug, Clone)]
pub struct Project {
    /// The file it was read from.
    pub file: Arc<SourceFile>,
    /// That file on this machine.
    pub path: PathBuf,
    /// The directory of that file: no path of the project leads out of it.
    pub root: PathBuf,
    /// Name of the project; absent = as the production spec, else the directory, is called.
    pub name: Option<Spanned<String>>,
    /// Production's specs, merged in this order.
    pub production: Vec<ProjectSource>,
    /// Files of variables for production's files; a later one wins.
    pub env_files: Vec<ProjectPath>,
    /// Profiles that are active.
    pub profiles: Vec<Spanned<String>>,
    /// Variables of the shell that production's files may see.
    pub pass: Vec<Spanned<String>>,
    /// Images by which the mirror differs from production.
    pub images: Images,
    /// What the volumes hold at the start, by volume.
    pub data: Vec<Named<Spanned<Data>>>,
    /// How snapshots are made, by name.
    pub snapshots: Vec<Named<Recipe>>,
    /// The key of masks; absent = one of the project's own, kept beside its runs.
    pub mask_key: Option<Spanned<SecretSource>>,
    /// Where the values of secrets come from, by name.
    pub secrets: Vec<Named<Spanned<SecretSource>>>,
    /// Traffic that leaves the mirror.
    pub egress: Vec<Egress>,
    /// Feature flags.
    pub flags: Option<Flags>,
    /// When differences from production close the gate.
    pub fidelity: FidelityGate,
    /// What audits leave out.
    pub audit: AuditOptions,
    /// What is allowed by name although it leads out of the mirror.
    pub allow: Allow,
    /// What production's format cannot hold.
    pub supply: Mapping,
    /// The project's stack template.
    pub template: Option<ProjectPath>,
}

/// Images by which the mirror differs from production.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Images {
    /// The change that is tested, by service; all else stays production's.
    pub under_test: Vec<Named<Spanned<String>>>,
    /// Prefixes of references, each with what takes its place; the longest that fits wins.
    pub rewrite: Vec<Named<Spanned<String>>>,
}

/// What a volume holds at the start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Data {
    /// A copy of this snapshot.
    Snapshot(String),
    /// Nothing, on purpose.
    Empty(bool),
}

/// Where the value of a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A stand-in that is no secret of production.
    Stub(Secret),
    /// A variable of the shell.
    Env(String),
    /// A file in the project, whose last newline is not part of the value.
    File(PathBuf),
}

/// When differences from production close the gate.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct FidelityGate {
    /// How many differences of each severity are let pass; absent = any number.
    #[serde(default)]
    pub allow: Limits,
    /// Differences that the project knows and accepts; they do not count.
    #[serde(default)]
    pub accept: Vec<Accept>,
}

impl FidelityGate {
    /// Whether the project itself has set a limit.
    pub fn is_set(&self) -> bool {
        self.allow != Limits::default()
    }
}

/// How many differences of each severity are let pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct Limits {
    /// Blockers; zero unless it is said.
    #[serde(default)]
    pub blocker: Option<u32>,
    /// High.
    #[serde(default)]
    pub high: Option<u32>,
    /// Medium.
    #[serde(default)]
    pub medium: Option<u32>,
    /// Low.
    #[serde(default)]
    pub low: Option<u32>,
}

/// A difference that the project accepts.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct Accept {
    /// The object (`db`, `service:db`, `volume:orders-db`); absent = any.
    #[serde(default)]
    pub on: Option<Spanned<String>>,
    /// The field, or a field above it.
    pub field: Spanned<String>,
    /// Why.
    pub because: String,
}

impl Project {
    /// The project file that applies in a directory: there, or in the nearest one above.
    ///
    /// # Errors
    /// [`ProblemKind::MissingFile`] when there is none up to the root.
    pub fn find(from: &Path) -> Result<PathBuf, Problem> {
        from.ancestors()
            .flat_map(|dir| FILE_NAMES.iter().map(move |name| dir.join(name)))
            .find(|p| p.is_file())
            .ok_or_else(|| {
                Problem::new(
                    ProblemKind::MissingFile,
                    format!("no mirror.yaml in {} or above it", from.display()),
                )
                .help("go to the project, name the file with -f, or run `prodmirror init`")
            })
    }

    /// Reads a project from its file, or from the directory that holds it.
    ///
    /// # Errors
    /// Every problem that was found in the file and in the files that it names.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let path = if path.is_dir() {
            let found = FILE_NAMES
                .iter()
                .map(|n| path.join(n))
                .find(|p| p.is_file());
            found.unwrap_or_else(|| path.join(FILE_NAMES[0]))
        } else {
            path.to_owned()
        };
        let path = std::path::absolute(&path).map_or(path.clone(), |p| path::normal(&p));
        let shown = path.file_name().map_or_else(
            || path.display().to_string(),
            |n| n.to_string_lossy().into_owned(),
        );
        let file = SourceFile::read(&path, shown)?;
        let node = parse_one(&file)?;
        sections::read(&file, &path, &node)
    }

    /// A project of nothing but sources of production in a directory, as if a `mirror.yaml`
    /// there had listed them.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn of_sources(root: &Path, sources: &[String]) -> Result<Self, Problems> {
        let root = std::path::absolute(root).map_or(root.to_owned(), |p| path::normal(&p));
        let text = serde_json::json!({ "production": sources }).to_string();
        let file = SourceFile::new("(given sources)", text);
        let node = parse_one(&file)?;
        sections::read(&file, &root.join(FILE_NAMES[0]), &node)
    }

    /// What the project is called: by its name, else by its directory.
    pub fn title(&self) -> String {
        match &self.name {
            Some(name) => name.value.clone(),
            None => self
                .root
                .file_name()
                .map_or_else(|| "mirror".into(), |n| n.to_string_lossy().into_owned()),
        }
    }

    /// Where the value of a secret comes from.
    pub fn secret(&self, name: &str) -> Option<&Spanned<SecretSource>> {
        find(&self.secrets, name)
    }

    /// The place of a top-level key, for messages about a section.
    pub fn place_of(&self, key: &str) -> Option<Span> {
        let node = parse_one(&self.file).ok()?;
        node.as_map()
            .and_then(|m| m.0.get(key))
            .map(|e| e.key.clone())
    }
}

/// Whether a text can be the name of a variable in `${…}`.
pub fn is_variable(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
