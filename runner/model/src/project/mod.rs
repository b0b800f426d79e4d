//! `mirror.yaml`: which files are production, and how it becomes a local mirror.

pub mod allow;
pub mod egress;
pub mod path;
mod read;
pub mod stub;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

pub use allow::{Allow, Permit};
pub use egress::{Egress, Endpoint, Fate};
pub use path::ProjectPath;
pub use read::{Named, find};
pub use stub::Stub;

use self::read::{entries, keep, known_keys, mapping, one_or_many, under, value};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::secret::Secret;
use crate::source::{SourceFile, Span};
use crate::yaml::{Mapping, Node, Spanned, from_node, parse_one};

/// The names that a project file is looked for under, in order.
pub const FILE_NAMES: [&str; 2] = ["mirror.yaml", "mirror.yml"];

const KEYS: [&str; 15] = [
    "project",
    "production",
    "env_files",
    "profiles",
    "env",
    "images",
    "data",
    "secrets",
    "egress",
    "flags",
    "fidelity",
    "allow",
    "supply",
    "template",
    "version",
];

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
    /// Production's files, merged in this order.
    pub production: Vec<ProjectPath>,
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
    /// Where the values of secrets come from, by name.
    pub secrets: Vec<Named<Spanned<SecretSource>>>,
    /// Traffic that leaves the mirror.
    pub egress: Vec<Egress>,
    /// Feature flags.
    pub flags: Option<Flags>,
    /// When differences from production close the gate.
    pub fidelity: FidelityGate,
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

/// Feature flags.
#[derive(Debug, Clone, PartialEq)]
pub struct Flags {
    /// The file that holds production's flags.
    pub file: ProjectPath,
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
        Self::read(&file, &path, &node)
    }

    fn read(file: &Arc<SourceFile>, path: &Path, node: &Node) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let empty = Mapping::default();
        let map = mapping(node, &file.name, &mut problems).unwrap_or(&empty);
        let root = path.parent().unwrap_or(Path::new("/")).to_owned();
        known_keys(map, &KEYS, &file.name, &mut problems);
        let mut reader = Reader {
            root: &root,
            map,
            problems: &mut problems,
        };
        let project = Self {
            name: reader.name(),
            production: reader.production(node),
            env_files: reader.files("env_files"),
            profiles: one_or_many(map, "profiles", reader.problems),
            pass: reader.pass(),
            images: reader.images(),
            data: reader.data(),
            secrets: reader.secrets(),
            egress: reader.egress(),
            flags: reader.flags(),
            fidelity: value(map, "fidelity", reader.problems).unwrap_or_default(),
            allow: allow::read(map, reader.problems),
            supply: reader.supply(),
            template: reader.files("template").pop(),
            file: file.clone(),
            path: path.to_owned(),
            root: root.clone(),
        };
        if problems.0.is_empty() {
            Ok(project)
        } else {
            Err(problems)
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

struct Reader<'n> {
    root: &'n Path,
    map: &'n Mapping,
    problems: &'n mut Problems,
}

impl Reader<'_> {
    fn name(&mut self) -> Option<Spanned<String>> {
        let name: Spanned<String> = value(self.map, "project", self.problems)?;
        let fits = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if !fits {
            self.problems.push(
                Problem::at(
                    ProblemKind::InvalidValue,
                    &name.span,
                    format!("`{}` is not a project name", name.as_str()),
                )
                .help("use lower-case letters, digits, `-` and `_`; begin with a letter or digit"),
            );
        }
        Some(name)
    }

    fn files(&mut self, key: &str) -> Vec<ProjectPath> {
        one_or_many(self.map, key, self.problems)
            .iter()
            .filter_map(|w| keep(path::existing(self.root, w), self.problems))
            .collect()
    }

    fn production(&mut self, node: &Node) -> Vec<ProjectPath> {
        let none = match self.map.get("production") {
            None => true,
            Some(n) => n.is_null() || n.as_seq().is_some_and(<[Node]>::is_empty),
        };
        if none {
            self.problems.push(
                Problem::at(
                    ProblemKind::Missing,
                    &node.span,
                    "the key `production` is missing: nothing says what runs in production",
                )
                .help("add for example `production: [compose.yaml]`"),
            );
        }
        self.files("production")
    }

    fn pass(&mut self) -> Vec<Spanned<String>> {
        let Some(node) = self.map.get("env") else {
            return Vec::new();
        };
        let Some(map) = mapping(node, "`env`", self.problems) else {
            return Vec::new();
        };
        known_keys(map, &["pass"], "`env`", self.problems);
        let names = one_or_many(map, "pass", self.problems);
        for n in &names {
            if !is_variable(n) {
                self.problems.push(not_a_variable(n));
            }
        }
        names
    }

    fn images(&mut self) -> Images {
        let Some(node) = self.map.get("images") else {
            return Images::default();
        };
        let Some(map) = mapping(node, "`images`", self.problems) else {
            return Images::default();
        };
        known_keys(map, &["under_test", "rewrite"], "`images`", self.problems);
        let images = Images {
            under_test: entries(map, "under_test", self.problems, text),
            rewrite: entries(map, "rewrite", self.problems, text),
        };
        for e in &images.under_test {
            if e.value.is_empty() || e.value.contains(char::is_whitespace) {
                self.problems.push(Problem::at(
                    ProblemKind::InvalidValue,
                    &e.value.span,
                    format!("`{}` is not an image reference", e.value.as_str()),
                ));
            }
        }
        images
    }

    fn data(&mut self) -> Vec<Named<Spanned<Data>>> {
        entries(self.map, "data", self.problems, |_, node, problems| {
            let data: Spanned<Data> = keep(from_node(node), problems)?;
            if data.value == Data::Empty(false) {
                problems.push(Problem::at(
                    ProblemKind::InvalidValue,
                    &data.span,
                    "`empty: false` says nothing; name a snapshot instead",
                ));
            }
            Some(data)
        })
    }

    fn secrets(&mut self) -> Vec<Named<Spanned<SecretSource>>> {
        let root = self.root;
        entries(
            self.map,
            "secrets",
            self.problems,
            |name, node, problems| {
                let source = secret_source(root, name, node);
                Some(Spanned::new(keep(source, problems)?, node.span.clone()))
            },
        )
    }

    fn egress(&mut self) -> Vec<Egress> {
        let root = self.root;
        let read = entries(self.map, "egress", self.problems, |name, node, problems| {
            egress::read(root, name, node, problems)
        });
        let mut all: Vec<Egress> = Vec::new();
        for e in read.into_iter().map(|n| n.value) {
            match all.iter().find(|o| o.to == e.to) {
                Some(first) => self.problems.push(
                    Problem::at(
                        ProblemKind::DuplicateKey,
                        &e.at.span,
                        format!("`{}` is declared twice", e.to),
                    )
                    .related(&first.at.span, "it is first declared here"),
                ),
                None => all.push(e),
            }
        }
        all
    }

    fn flags(&mut self) -> Option<Flags> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, expecting = "a mapping")]
        struct Written {
            file: Spanned<String>,
        }
        let written: Written = value(self.map, "flags", self.problems)?;
        let file = keep(path::existing(self.root, &written.file), self.problems)?;
        Some(Flags { file })
    }

    fn supply(&mut self) -> Mapping {
        self.map
            .get("supply")
            .and_then(|n| mapping(n, "`supply`", self.problems).cloned())
            .unwrap_or_default()
    }
}

fn text(name: &Spanned<String>, node: &Node, problems: &mut Problems) -> Option<Spanned<String>> {
    keep(from_node(node).map_err(|p| under(p, name)), problems)
}

fn secret_source(
    root: &Path,
    name: &Spanned<String>,
    node: &Node,
) -> Result<SecretSource, Problem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Written {
        Stub(Node),
        Env(Spanned<String>),
        File(Spanned<String>),
    }
    if !is_variable(&name.replace(['-', '.'], "_")) {
        return Err(not_a_variable(name));
    }
    match from_node::<Written>(node)
        .map_err(|p| p.help("write one of { stub: VALUE }, { env: NAME }, { file: PATH }"))?
    {
        Written::Stub(n) => n
            .scalar_text()
            .map(|t| SecretSource::Stub(Secret::new(t)))
            .ok_or_else(|| {
                Problem::at(
                    ProblemKind::WrongType,
                    &n.span,
                    format!("the stand-in of a secret is a text, not {}", n.kind()),
                )
            }),
        Written::Env(var) if is_variable(&var) => Ok(SecretSource::Env(var.value)),
        Written::Env(var) => Err(not_a_variable(&var)),
        Written::File(p) => path::inside(root, root, &p)
            .map(SecretSource::File)
            .map_err(|p| p.help("use { env: NAME } for a value from outside of the project")),
    }
}

/// Whether a text can be the name of a variable in `${…}`.
pub fn is_variable(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn not_a_variable(name: &Spanned<String>) -> Problem {
    Problem::at(
        ProblemKind::InvalidValue,
        &name.span,
        format!("`{}` is not the name of a variable", name.as_str()),
    )
    .help("letters, digits and `_`, not beginning with a digit")
}
