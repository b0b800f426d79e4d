//! `images.yaml`: which images there are and what they are made from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prodmirror_model::diag::{Problem, ProblemKind, Problems, nearest};
use prodmirror_model::source::SourceFile;
use prodmirror_model::yaml::{Node, Spanned, from_node, parse_one};
use serde::Deserialize;

/// The recipes of a directory.
#[derive(Debug, Clone)]
pub struct Recipes {
    /// The directory that holds `images.yaml` and the folders.
    pub dir: PathBuf,
    /// The images, parents before what is built on them.
    pub entries: Vec<Entry>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `repository:tag`.
    pub name: String,
    /// What it is made from.
    pub source: Source,
}

/// What an image is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A distribution's root file system.
    Rootfs(Rootfs),
    /// A folder with a Dockerfile.
    Folder {
        /// The folder, relative to the recipes' directory.
        folder: String,
        /// The image that it is built on, handed over as the build argument `PARENT`.
        parent: Option<String>,
        /// Build arguments.
        args: BTreeMap<String, String>,
    },
}

/// A distribution's root file system.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct Rootfs {
    /// The image that is taken where a registry answers.
    pub registry: String,
    /// The Debian suite that it is made from where none does.
    pub suite: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with the key `images`")]
struct WrittenFile {
    images: Vec<WrittenEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
struct WrittenEntry {
    name: Spanned<String>,
    #[serde(default)]
    rootfs: Option<Spanned<Rootfs>>,
    #[serde(default)]
    folder: Option<Spanned<String>>,
    #[serde(default)]
    parent: Option<Spanned<String>>,
    #[serde(default)]
    args: BTreeMap<String, Node>,
}

impl Recipes {
    /// Reads `images.yaml` of a directory.
    ///
    /// # Errors
    /// All that is wrong with it: syntax, unknown keys, folders that are not there,
    /// parents that are not listed, circles.
    pub fn read(dir: &Path) -> Result<Self, Problems> {
        let path = dir.join("images.yaml");
        let file = SourceFile::read(&path, path.display().to_string())?;
        let node = parse_one(&file)?;
        let written: WrittenFile = from_node(&node).map_err(Problems::from)?;
        let mut problems = Problems::default();
        let names: Vec<String> = written
            .images
            .iter()
            .map(|e| e.name.value.clone())
            .collect();
        let mut entries: Vec<Entry> = Vec::new();
        for w in &written.images {
            if entries.iter().any(|e| e.name == w.name.value) {
                problems.push(Problem::at(
                    ProblemKind::DuplicateKey,
                    &w.name.span,
                    format!("`{}` is listed twice", w.name.value),
                ));
                continue;
            }
            match w.read(dir, &names) {
                Ok(source) => entries.push(Entry {
                    name: w.name.value.clone(),
                    source,
                }),
                Err(p) => problems.push(p),
            }
        }
        if !problems.0.is_empty() {
            return Err(problems);
        }
        let entries = in_order(entries).map_err(|name| {
            Problem::at(
                ProblemKind::Cycle,
                &node.span,
                format!("`{name}` is, by way of its parents, built on itself"),
            )
        })?;
        Ok(Self {
            dir: dir.to_owned(),
            entries,
        })
    }

    /// The entry of a name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.name == name)
    }

    /// The images that are meant by `wanted` and all that they are built on, in order;
    /// everything when nothing is named. A name may be shortened to its last parts
    /// (`postgres:15` for `registry.example/postgres:15`).
    ///
    /// # Errors
    /// Names that fit no image.
    pub fn select(&self, wanted: &[String]) -> Result<Vec<&Entry>, Problems> {
        if wanted.is_empty() {
            return Ok(self.entries.iter().collect());
        }
        let mut problems = Problems::default();
        let mut chosen: Vec<&str> = Vec::new();
        for want in wanted {
            let ending = format!("/{want}");
            let fits = self
                .entries
                .iter()
                .filter(|e| e.name == *want || e.name.ends_with(&ending));
            let before = chosen.len();
            for entry in fits {
                let mut at = Some(entry);
                while let Some(e) = at {
                    chosen.push(&e.name);
                    at = e.parent().and_then(|p| self.get(p));
                }
            }
            if chosen.len() == before {
                problems.push(self.unknown(want));
            }
        }
        if problems.0.is_empty() {
            let is_chosen = |e: &&Entry| chosen.contains(&e.name.as_str());
            Ok(self.entries.iter().filter(is_chosen).collect())
        } else {
            Err(problems)
        }
    }

    fn unknown(&self, want: &str) -> Problem {
        let names = || self.entries.iter().map(|e| e.name.as_str());
        let short = names().map(|n| n.rsplit('/').next().unwrap_or(n));
        let near = nearest(want, names().chain(short)).map(str::to_owned);
        let problem = Problem::new(
            ProblemKind::UnknownReference,
            format!("there is no recipe for `{want}`"),
        );
        match near {
            Some(n) => problem.help(format!("did you mean `{n}`?")),
            None => problem.help(format!(
                "there are: {}",
                names().collect::<Vec<_>>().join(", ")
            )),
        }
    }
}

impl Entry {
    /// The image that it is built on.
    pub fn parent(&self) -> Option<&str> {
        match &self.source {
            Source::Folder { parent, .. } => parent.as_deref(),
            Source::Rootfs(_) => None,
        }
    }
}

impl WrittenEntry {
    fn read(&self, dir: &Path, names: &[String]) -> Result<Source, Problem> {
        if let Some(parent) = &self.parent
            && !names.contains(&parent.value)
        {
            let problem = Problem::at(
                ProblemKind::UnknownReference,
                &parent.span,
                format!("there is no recipe for the parent `{}`", parent.value),
            );
            return Err(
                match nearest(&parent.value, names.iter().map(String::as_str)) {
                    Some(n) => problem.help(format!("did you mean `{n}`?")),
                    None => problem,
                },
            );
        }
        match (&self.rootfs, &self.folder) {
            (Some(root), None) if self.parent.is_none() && self.args.is_empty() => {
                Ok(Source::Rootfs(root.value.clone()))
            }
            (None, Some(folder)) => self.folder(dir, folder),
            _ => Err(Problem::at(
                ProblemKind::Conflict,
                &self.name.span,
                format!(
                    "`{}` has to have either `rootfs` or `folder`",
                    self.name.value
                ),
            )
            .help("`parent` and `args` belong to `folder`")),
        }
    }

    fn folder(&self, dir: &Path, folder: &Spanned<String>) -> Result<Source, Problem> {
        if !dir.join(&folder.value).join("Dockerfile").is_file() {
            return Err(Problem::at(
                ProblemKind::MissingFile,
                &folder.span,
                format!("there is no Dockerfile in the folder `{}`", folder.value),
            )
            .help("folders are relative to images.yaml"));
        }
        let mut args = BTreeMap::new();
        for (name, node) in &self.args {
            let Some(text) = node.scalar_text() else {
                return Err(Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!(
                        "the build argument `{name}` is a text, found {}",
                        node.kind()
                    ),
                ));
            };
            args.insert(name.clone(), text);
        }
        Ok(Source::Folder {
            folder: folder.value.clone(),
            parent: self.parent.as_ref().map(|p| p.value.clone()),
            args,
        })
    }
}

/// Parents before what is built on them, otherwise as listed; the name of an image in a
/// circle when there is one.
fn in_order(entries: Vec<Entry>) -> Result<Vec<Entry>, String> {
    let mut left = entries;
    let mut done: Vec<Entry> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let (ready, waiting): (Vec<Entry>, Vec<Entry>) = left
            .into_iter()
            .partition(|e| e.parent().is_none_or(|p| done.iter().any(|d| d.name == p)));
        if ready.is_empty() {
            return Err(waiting.first().map(|e| e.name.clone()).unwrap_or_default());
        }
        done.extend(ready);
        left = waiting;
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Recipes, String> {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["a", "b"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
            std::fs::write(dir.path().join(folder).join("Dockerfile"), "FROM x").unwrap();
        }
        std::fs::write(dir.path().join("images.yaml"), text).unwrap();
        Recipes::read(dir.path()).map_err(|p| p.to_string())
    }

    const GOOD: &str = "
images:
  - { name: r.example/b:1, folder: b, parent: r.example/a:1, args: { V: 1 } }
  - { name: r.example/a:1, folder: a, parent: root }
  - { name: root, rootfs: { registry: debian@sha256:00, suite: bookworm } }
";

    #[test]
    fn parents_come_first() {
        let names: Vec<String> = read(GOOD)
            .unwrap()
            .entries
            .into_iter()
            .map(|e| e.name)
            .collect();
        assert_eq!(names, ["root", "r.example/a:1", "r.example/b:1"]);
    }

    #[test]
    fn a_short_name_brings_its_parents() {
        let recipes = read(GOOD).unwrap();
        let chosen = recipes.select(&["a:1".to_owned()]).unwrap();
        let names: Vec<&str> = chosen.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["root", "r.example/a:1"]);
        let unknown = recipes.select(&["a:2".to_owned()]).unwrap_err().to_string();
        assert!(unknown.contains("no recipe for `a:2`"), "{unknown}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, what) in [
            (
                "images: [{ name: x, folder: nowhere }]",
                "no Dockerfile in the folder `nowhere`",
            ),
            (
                "images: [{ name: x, folder: a, parent: y }]",
                "no recipe for the parent `y`",
            ),
            ("images: [{ name: x }]", "either `rootfs` or `folder`"),
            ("images: [{ name: x, folder: a, colour: red }]", "colour"),
            (
                "images: [{ name: x, folder: a }, { name: x, folder: b }]",
                "listed twice",
            ),
            (
                "images: [{ name: x, folder: a, parent: y }, { name: y, folder: b, parent: x }]",
                "built on itself",
            ),
            (
                "images: [{ name: x, folder: a, args: { V: [1] } }]",
                "is a text",
            ),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(what), "{text}: {said}");
        }
    }
}
