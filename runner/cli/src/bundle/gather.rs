//! The files that a scenario and its stack are made of.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prodmirror_engine::step::Program;
use prodmirror_model::project::path::normal;
use prodmirror_model::source::SourceFile;
use prodmirror_model::yaml::{Node, Value, parse_all};
use serde_json::{Value as Json, json};

/// Files that one name may stand for at most: a directory of protos, of bodies.
const MOST_BELOW: usize = 5_000;
/// The largest file that is looked at for names of others, in bytes.
const LARGEST_STEPS: u64 = 1 << 20;
/// The directory of snapshots beside a scenario file.
const SNAPSHOTS: &str = "__snapshots__";

/// Files with their places in a bundle.
#[derive(Debug)]
pub struct Gathered {
    /// Paths below `project/`, each with the file that it is a copy of.
    pub files: BTreeMap<String, PathBuf>,
    /// Where the project's directory is below `project/`; empty = there.
    pub root: String,
    /// Files of scenarios that the one needs, below `project/`, beside its own.
    pub scenarios: Vec<String>,
    /// The directory of this machine that `project/` is a copy of.
    base: PathBuf,
    given: usize,
}

impl Gathered {
    /// The files of a scenario: its own, its fragments, and whatever they name. Of `files`, those
    /// of the whole run, the ones that have what it needs. Its file is read as a whole elsewhere:
    /// what the other scenarios in it name comes along.
    pub fn of(root: &Path, program: &Program, files: &[Arc<SourceFile>]) -> Self {
        let mut open: Vec<Arc<SourceFile>> = program.scenario.sources.clone();
        let own = program.scenario.file.path.as_deref().map(normal);
        let mut needed: BTreeSet<PathBuf> = BTreeSet::new();
        let mut read: BTreeSet<PathBuf> = BTreeSet::new();
        let mut named: BTreeSet<PathBuf> = BTreeSet::new();
        while let Some(source) = open.pop() {
            let Some(path) = source.path.as_deref().map(normal) else {
                continue;
            };
            if !read.insert(path.clone()) {
                continue;
            }
            named.insert(path);
            let documents = parse_all(&source).unwrap_or_default();
            let mut here = BTreeSet::new();
            documents.iter().for_each(|d| texts(d, &source, &mut here));
            open.extend(here.iter().filter(|p| may_name(p)).filter_map(|p| {
                let name = p.display().to_string();
                SourceFile::read(p, name).ok()
            }));
            for file in needs(&documents, files) {
                needed.extend(file.path.as_deref().map(normal));
                open.push(file);
            }
            named.append(&mut here);
            below(&source.beside(SNAPSHOTS), &mut named);
        }
        needed.retain(|path| Some(path) != own.as_ref());
        let dirs = named.iter().filter_map(|p| p.parent());
        let base = dirs.fold(normal(root), |base, dir| common(&base, dir));
        let relative = |path: &Path| slashed(path.strip_prefix(&base).unwrap_or(path));
        Self {
            files: named.iter().map(|p| (relative(p), p.clone())).collect(),
            root: relative(&normal(root)),
            scenarios: needed.iter().map(|p| relative(p)).collect(),
            base,
            given: 0,
        }
    }

    /// Where a scenario file is below `project/`.
    pub fn place(&self, file: &Arc<SourceFile>) -> String {
        let path = file.path.as_deref().map(normal).unwrap_or_default();
        slashed(path.strip_prefix(&self.base).unwrap_or(&path))
    }

    /// Puts the paths of a stack's files (its configs, secrets and binds) into the bundle, and
    /// their places there into the stack's document.
    pub fn stack(&mut self, stack: &mut Json) {
        for section in ["configs", "secrets"] {
            let objects = stack.get_mut(section).and_then(Json::as_object_mut);
            for object in objects.into_iter().flat_map(|m| m.values_mut()) {
                if let Some(file) = object.get_mut("file") {
                    self.path(file);
                }
            }
        }
        let services = stack.get_mut("services").and_then(Json::as_object_mut);
        let services = services.into_iter().flat_map(|m| m.values_mut());
        for mounts in services.filter_map(|s| s.get_mut("volumes")?.as_array_mut()) {
            for mount in mounts.iter_mut().filter(|m| m["type"] == "bind") {
                if let Some(source) = mount.get_mut("source") {
                    self.path(source);
                }
            }
        }
    }

    /// Takes a file of the machine, and gives its place from the project's directory.
    pub fn take(&mut self, path: &Path) -> String {
        let path = normal(path);
        let place = match path.strip_prefix(&self.base) {
            Ok(inside) => slashed(inside),
            Err(_) => {
                self.given += 1;
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let below = if self.root.is_empty() { "" } else { "/" };
                format!("{}{below}given/{}/{name}", self.root, self.given)
            }
        };
        if path.is_dir() {
            let mut all = BTreeSet::new();
            below(&path, &mut all);
            for file in all {
                let inside = slashed(file.strip_prefix(&path).unwrap_or(&file));
                self.files.insert(format!("{place}/{inside}"), file);
            }
        } else {
            self.files.insert(place.clone(), path);
        }
        let seen = from_root(&self.root, &place);
        match seen.starts_with("../") {
            true => seen,
            false => format!("./{seen}"),
        }
    }

    fn path(&mut self, value: &mut Json) {
        let text = value.as_str().unwrap_or_default();
        // Secrets that only plain Compose reads from files have a variable there.
        if !text.is_empty() && !text.contains("${") && Path::new(text).is_absolute() {
            let place = self.take(&PathBuf::from(text));
            *value = json!(place);
        }
    }
}

/// A place below `project/`, from the project's directory, which is at `root` there.
pub fn from_root(root: &str, place: &str) -> String {
    if root.is_empty() {
        return place.to_owned();
    }
    match place.strip_prefix(&format!("{root}/")) {
        Some(inside) => inside.to_owned(),
        None => format!("{}{place}", "../".repeat(root.split('/').count())),
    }
}

/// Whether a file may be one of steps, which name files themselves.
fn may_name(path: &Path) -> bool {
    let yaml = path.extension().is_some_and(|e| e == "yaml" || e == "yml");
    let small = |m: std::fs::Metadata| m.len() < LARGEST_STEPS;
    yaml && path.metadata().is_ok_and(small)
}

/// The files that have the scenarios which documents say they need, and do not have themselves.
fn needs(documents: &[Node], files: &[Arc<SourceFile>]) -> Vec<Arc<SourceFile>> {
    let name_of = |d: &Node| d.get("scenario").and_then(Node::as_str).map(str::to_owned);
    let here: Vec<String> = documents.iter().filter_map(name_of).collect();
    let lists = documents.iter().filter_map(|d| d.get("needs"));
    let mut wanted: Vec<&str> = lists
        .flat_map(|needs| match &needs.value {
            Value::Seq(items) => items.iter().filter_map(Node::as_str).collect(),
            _ => needs.as_str().into_iter().collect::<Vec<_>>(),
        })
        .collect();
    wanted.retain(|name| !here.iter().any(|h| h == name));
    if wanted.is_empty() {
        return Vec::new();
    }
    let has = |file: &&Arc<SourceFile>| {
        let documents = parse_all(file).unwrap_or_default();
        let mut names = documents.iter().filter_map(name_of);
        // A combination of a matrix is named by what it is one of, and its values.
        names.any(|n| wanted.iter().any(|w| w.starts_with(n.as_str())))
    };
    files.iter().filter(has).cloned().collect()
}

/// The files that texts of a document name, beside the file that it stands in.
fn texts(node: &Node, source: &SourceFile, to: &mut BTreeSet<PathBuf>) {
    match &node.value {
        Value::Map(map) => map.iter().for_each(|(_, n)| texts(n, source, to)),
        Value::Seq(items) => items.iter().for_each(|n| texts(n, source, to)),
        _ => {
            let Some(text) = node.as_str().filter(|t| could_name(t)) else {
                return;
            };
            // `bodies/{{ sku }}.json` is one of the files in `bodies`.
            let literal = match text.split_once("{{") {
                None => text,
                Some((before, _)) => match before.rsplit_once('/') {
                    Some((dir, _)) if !dir.is_empty() => dir,
                    _ => return,
                },
            };
            let path = normal(&source.beside(literal));
            if path.is_file() {
                // Protos name others, of their own directory and below.
                let proto = path.extension().is_some_and(|e| e == "proto");
                if let Some(dir) = path.parent().filter(|_| proto) {
                    below(dir, to);
                }
                to.insert(path);
            } else if literal != text || literal.ends_with('/') {
                below(&path, to);
            }
        }
    }
}

/// Whether a text may be the name of a file beside another one.
fn could_name(text: &str) -> bool {
    text.len() < 512
        && !text.starts_with('/')
        && !text.contains("://")
        && !text.contains('\n')
        && (text.contains('.') || text.contains('/'))
}

/// The files below a directory.
fn below(dir: &Path, to: &mut BTreeSet<PathBuf>) {
    let mut dirs = vec![normal(dir)];
    let mut found = 0;
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            // A link may lead anywhere: what it shows is read as a file, directories are not
            // followed.
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() {
                dirs.push(path);
            } else if path.is_file() && found < MOST_BELOW {
                found += 1;
                to.insert(path);
            }
        }
    }
}

fn common(a: &Path, b: &Path) -> PathBuf {
    let both = a.components().zip(b.components());
    both.take_while(|(x, y)| x == y).map(|(x, _)| x).collect()
}

fn slashed(path: &Path) -> String {
    let parts = path.components().map(|c| c.as_os_str().to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}
