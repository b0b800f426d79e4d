//! Reading `mirror.yaml` section by section.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::decode::{Named, entries, keep, known_keys, mapping, one_or_many, under, value};
use super::snapshots::Recipe;
use super::{
    Data, Egress, Flags, Images, Project, ProjectPath, ProjectSource, SecretSource, allow, egress,
    flags, is_variable, path, snapshots,
};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::secret::Secret;
use crate::source::SourceFile;
use crate::yaml::{Mapping, Node, Spanned, from_node};

const KEYS: [&str; 17] = [
    "project",
    "production",
    "env_files",
    "profiles",
    "env",
    "images",
    "data",
    "snapshots",
    "mask_key",
    "secrets",
    "egress",
    "flags",
    "fidelity",
    "audit",
    "allow",
    "supply",
    "template",
];

/// Reads a project; all problems of all sections at once.
pub(super) fn read(file: &Arc<SourceFile>, path: &Path, node: &Node) -> Result<Project, Problems> {
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
    let project = Project {
        name: reader.name(),
        production: reader.production(node),
        env_files: reader.files("env_files"),
        profiles: one_or_many(map, "profiles", reader.problems),
        pass: reader.pass(),
        images: reader.images(),
        data: reader.data(),
        snapshots: reader.snapshots(),
        mask_key: reader.mask_key(),
        secrets: reader.secrets(),
        egress: reader.egress(),
        flags: reader.flags(),
        fidelity: value(map, "fidelity", reader.problems).unwrap_or_default(),
        audit: value(map, "audit", reader.problems).unwrap_or_default(),
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

    fn production(&mut self, node: &Node) -> Vec<ProjectSource> {
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
        let Some(node) = self.map.get("production").filter(|n| !n.is_null()) else {
            return Vec::new();
        };
        let one = std::slice::from_ref(node);
        let items = node.as_seq().unwrap_or(one);
        items.iter().filter_map(|n| self.source(n)).collect()
    }

    /// `PATH`, or `{ path: PATH, format: FORMAT }`.
    fn source(&mut self, node: &Node) -> Option<ProjectSource> {
        #[derive(Deserialize)]
        #[serde(
            deny_unknown_fields,
            expecting = "a path, or a mapping with `path` and `format`"
        )]
        struct Written {
            path: Spanned<String>,
            #[serde(default)]
            format: Option<Spanned<String>>,
        }
        let read = if node.as_map().is_some() {
            from_node::<Written>(node).map(|w| (w.path, w.format))
        } else {
            from_node::<Spanned<String>>(node).map(|path| (path, None))
        };
        let read = read.map_err(|p| under(p, "production"));
        let (path, format) = keep(read, self.problems)?;
        keep(path::source(self.root, &path, format), self.problems)
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

    fn snapshots(&mut self) -> Vec<Named<Recipe>> {
        let root = self.root;
        entries(
            self.map,
            "snapshots",
            self.problems,
            |name, node, problems| snapshots::read(root, name, node, problems),
        )
    }

    fn mask_key(&mut self) -> Option<Spanned<SecretSource>> {
        let node = self.map.get("mask_key")?;
        let name = Spanned::new("mask_key".to_owned(), node.span.clone());
        let source = secret_source(self.root, &name, node);
        Some(Spanned::new(
            keep(source, self.problems)?,
            node.span.clone(),
        ))
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
        let node = self.map.get("flags").filter(|n| !n.is_null())?;
        flags::read(self.root, node, self.problems)
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
    if !is_secret_name(name) {
        return Err(Problem::at(
            ProblemKind::InvalidValue,
            &name.span,
            format!("`{}` is not the name of a secret", name.as_str()),
        )
        .help("letters, digits, and any of `_ - . / : @ + =`"));
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

/// Names of variables, of Compose secrets, and of secrets and parameters in stores.
fn is_secret_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-./:@+=".contains(c);
    name.contains(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(fits)
}

fn not_a_variable(name: &Spanned<String>) -> Problem {
    Problem::at(
        ProblemKind::InvalidValue,
        &name.span,
        format!("`{}` is not the name of a variable", name.as_str()),
    )
    .help("letters, digits and `_`, not beginning with a digit")
}
