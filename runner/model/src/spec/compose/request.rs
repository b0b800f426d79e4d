//! What a load is asked for, and what it gives.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use crate::diag::Problem;
use crate::fidelity::Record;
use crate::source::Span;
use crate::yaml::{Node, Spanned};

/// Which Compose files to read, and with what around them.
///
/// Nothing is taken from the process: its environment and its working directory are what
/// [`shell`](Self::shell) and [`working_dir`](Self::working_dir) say.
#[derive(Debug, Clone, Default)]
pub struct LoadRequest {
    /// Where relative paths of this request start; absolute. `PWD` has this value in
    /// interpolation when [`shell`](Self::shell) does not set it.
    pub working_dir: PathBuf,
    /// Where relative paths of the first files start (`--project-directory`); by default the
    /// directory of the first file.
    pub project_dir: Option<PathBuf>,
    /// Compose files, later ones merged over earlier ones. When empty, `COMPOSE_FILE` or the
    /// default names are looked for, upward from the working directory.
    pub files: Vec<PathBuf>,
    /// Files of variables (`--env-file`), later ones win. When empty, `.env` of the project
    /// directory is read.
    pub env_files: Vec<PathBuf>,
    /// The shell's environment: the only one that is visible.
    pub shell: BTreeMap<String, String>,
    /// Profiles to activate; `*` activates all. When empty, `COMPOSE_PROFILES` decides.
    pub profiles: Vec<String>,
    /// Services to keep, with what they depend on; all when empty. Naming a service activates
    /// its profiles.
    pub services: Vec<String>,
    /// The project's name (`--project-name`).
    pub project_name: Option<String>,
    /// Files of [`files`](Self::files) that are written in another format, with what a
    /// translator made of them: a document with the keys of a Compose file, in which every
    /// value stands for itself (a `$` is a `$`). It is merged in the file's place.
    pub translated: BTreeMap<PathBuf, Node>,
    /// Files of [`files`](Self::files) that are read as `docker stack deploy` reads them. When
    /// all are, no `.env` is read.
    pub stacks: BTreeSet<PathBuf>,
    /// The name that those are deployed under.
    pub stack_name: String,
}

/// A Compose text that is already in memory (a rendered stack), and all that it may read.
#[derive(Debug, Clone, Default)]
pub struct TextRequest {
    /// What messages call the text.
    pub name: String,
    /// The text.
    pub text: String,
    /// Where relative paths start; absolute. Nothing is read from there.
    pub dir: PathBuf,
    /// Other files that the text may name, by absolute path. No others exist for it.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// The shell's environment: the only one that is visible.
    pub shell: BTreeMap<String, String>,
    /// Profiles to activate; `*` activates all.
    pub profiles: Vec<String>,
    /// Services to keep, with what they depend on; all when empty.
    pub services: Vec<String>,
    /// The project's name.
    pub project_name: Option<String>,
}

/// What was read.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The normal form: what `docker compose config --format json` prints of the same files,
    /// with every `$` single. Every value keeps its place and how it came there.
    pub root: Node,
    /// The `x-` keys of services and below, which the normal form leaves out: a tree with the
    /// same keys as [`root`](Self::root) down to each of them. (Those at the top of the file
    /// stand in the root.)
    pub extensions: Node,
    /// Every file that was read, in the order of first reading.
    pub inputs: Vec<Input>,
    /// Every variable that interpolation asked for, by name.
    pub variables: BTreeMap<String, Variable>,
    /// All variables of the project: the shell's and those of its env files. Configs and
    /// secrets with `environment:` take their values here.
    pub environment: Environment,
    /// Every `env_file` and `label_file` of services that was read, with the place that names it.
    pub value_files: Vec<Spanned<String>>,
    /// What is worth knowing but refuses nothing.
    pub warnings: Vec<Problem>,
    /// What Swarm ignores or fills in of stack files.
    pub records: Vec<Record>,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its absolute path.
    pub path: PathBuf,
    /// The SHA-256 of its bytes, in lowercase hex.
    pub sha256: String,
}

/// A variable that interpolation asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    /// Where it was asked for, and what it got there: the same variable may have a default
    /// in one place and none in another.
    pub uses: Vec<VariableUse>,
}

/// One use of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableUse {
    /// The value that names the variable.
    pub at: Span,
    /// Where the variable's value came from.
    pub source: ValueSource,
}

/// Where the value of a variable came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueSource {
    /// The shell's environment.
    Shell,
    /// A file of variables.
    File {
        /// The file, as messages call it.
        name: String,
        /// Where it is set there.
        span: Span,
    },
    /// Set by the reader itself (`COMPOSE_PROJECT_NAME`, `PWD`).
    Reader,
    /// The default that stands beside the name (`${NAME:-default}`).
    Default,
    /// It is unset; the empty string took its place.
    Unset,
}

impl fmt::Display for ValueSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shell => f.write_str("shell"),
            Self::File { name, .. } => f.write_str(name),
            Self::Reader => f.write_str("reader"),
            Self::Default => f.write_str("default"),
            Self::Unset => f.write_str("unset"),
        }
    }
}

/// The value of a variable and where it came from. Debug output does not show the value.
#[derive(Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub text: String,
    /// Where it came from.
    pub source: ValueSource,
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "*** from {}", self.source)
    }
}

/// Variables with where each came from. Debug output shows names only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    pub(super) vars: BTreeMap<String, Setting>,
}

impl Environment {
    /// A variable.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.vars.get(name)
    }

    /// All variables by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        self.vars.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// Sets a variable.
    pub(super) fn set(&mut self, name: impl Into<String>, text: String, source: ValueSource) {
        self.vars.insert(name.into(), Setting { text, source });
    }

    /// Adds the variables that are not set yet.
    pub(super) fn fill(&mut self, other: Self) {
        for (name, setting) in other.vars {
            self.vars.entry(name).or_insert(setting);
        }
    }
}
