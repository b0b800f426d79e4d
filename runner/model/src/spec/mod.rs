//! Readers of production specs: one module per format.
//!
//! Compose files are read as they are. Every other format has a *translator*: it makes a
//! document with the keys of a Compose file of its files, in which every value keeps its place
//! in the original, and says of what Compose has no word for. So several sources of several
//! formats merge by one set of rules, in their order, and one typed mirror comes out.
//!
//! A new format is one module with a [`Format`], and one line in [`FORMATS`].

pub mod beyond;
pub mod compose;
pub mod ecs;
mod inspect;
pub mod kubernetes;
mod read;
pub mod swarm;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use beyond::{Beyond, Front, FrontMode, Plain};
pub(crate) use read::sha256;
pub use read::{Production, ReadRequest, read};

use crate::diag::{Problem, Problems};
use crate::fidelity::Record;
use crate::project::{Named, SecretSource};
use crate::source::SourceFile;
use crate::yaml::{Mapping, Node, Spanned};

/// A format of production specs that is translated.
#[derive(Debug)]
pub struct Format {
    /// Its name in `mirror.yaml` and in messages.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// Whether a file looks like it. Must be cheap: every source is asked.
    pub sniff: fn(&SourceFile) -> bool,
    /// Translates files that belong together.
    pub read: fn(&Sources<'_>) -> Result<Translation, Problems>,
}

/// All formats that are translated; the first one that recognises a file has it.
pub static FORMATS: &[&Format] = &[&kubernetes::FORMAT, &ecs::FORMAT, &inspect::FORMAT];

/// The name of the format that is read as it is.
pub const COMPOSE: &str = "compose";

/// Files of one format that are translated together.
#[derive(Debug)]
pub struct Sources<'s> {
    /// The files, in the order of `mirror.yaml`; those of a directory by name.
    pub files: Vec<Source>,
    /// The name of the project.
    pub project: &'s str,
    /// The project's directory: nothing outside of it may be read.
    pub root: &'s Path,
    /// What `mirror.yaml` supplies because the format cannot hold it.
    pub supply: &'s Mapping,
    /// The secrets whose values `mirror.yaml` gives.
    pub secrets: &'s [Named<Spanned<SecretSource>>],
}

/// A file to translate.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its text.
    pub file: Arc<SourceFile>,
}

/// What a translator made of its files.
#[derive(Debug, Clone)]
pub struct Translation {
    /// A document with the keys of a Compose file (`services`, `networks`, `volumes`,
    /// `configs`, `secrets`). Every value stands for itself: a `$` is a `$`; paths are
    /// absolute. Every value has the place where production says it.
    pub document: Node,
    /// What Compose has no word for.
    pub beyond: Beyond,
    /// Facts of production that the mirror drops, substitutes or cannot know.
    pub records: Vec<Record>,
    /// Further files that were read, by path, with their bytes' SHA-256 in lowercase hex.
    pub inputs: Vec<compose::Input>,
    /// What is worth knowing; and errors that are better told together with all else that
    /// is found in the project (values that `mirror.yaml` has to give).
    pub warnings: Vec<Problem>,
}
