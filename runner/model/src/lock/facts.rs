//! What the files of a project say at present.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};

use super::{Content, Digest, Facts, Hashes, Passed, hash};
use crate::compile::Compiled;
use crate::diag::{Problem, ProblemKind, Problems};
use crate::mirror::{Mirror, MountKind, Sourced};
use crate::policy::sensitive;
use crate::project::{Data, Project, SecretSource};
use crate::source::io_reason;
use crate::stack::secret_ref::holds_secret;
use crate::yaml::{Node, parse_one};

/// Sections of `mirror.yaml` whose facts stand elsewhere in the lock, or that decide nothing
/// of what runs. Those of `secrets` are read without values.
const NOT_HASHED: [&str; 7] = [
    "images",
    "env",
    "data",
    "fidelity",
    "secrets",
    // What they give is in the manifest of the snapshot.
    "snapshots",
    "mask_key",
];

/// Longer values of variables stand in the lock as their digest.
const MAX_TEXT: usize = 120;

/// Reads the facts of a project that was compiled. Values of secrets, stand-ins included, are
/// not among them. `shell` is the environment that `env.pass` takes from.
///
/// # Errors
/// Files that cannot be read.
pub fn facts(
    project: &Project,
    compiled: &Compiled,
    shell: &BTreeMap<String, String>,
) -> Result<Facts, Problems> {
    let node = parse_one(&project.file)?;
    let mut files = Files {
        root: &project.root,
        problems: Problems::default(),
    };
    let mut facts = Facts {
        sources: files.sources(project, compiled, &node),
        project: sections(project, &node),
        configs: Hashes::new(),
        env: passed(project, shell),
        data: data(project),
    };
    if let Some(stack) = &compiled.stack {
        facts.configs = files.configs(&compiled.production, &stack.mirror);
        // One fact stands on one line only.
        let sources = &facts.sources;
        facts.configs.retain(|name, _| !sources.contains_key(name));
    }
    if files.problems.0.is_empty() {
        Ok(facts)
    } else {
        Err(files.problems)
    }
}

fn sections(project: &Project, node: &Node) -> Hashes {
    let mut hashes = Hashes::new();
    let map = node.as_map().into_iter().flat_map(|m| m.iter());
    for (name, node) in map {
        if !NOT_HASHED.contains(&name) && !name.starts_with("x-") {
            hashes.insert(name.to_owned(), hash::value(&node.to_json()).into());
        }
    }
    if !project.secrets.is_empty() {
        let secrets = project.secrets.iter().map(|s| {
            let source = match &s.value.value {
                SecretSource::Stub(_) => json!("stub"),
                SecretSource::Env(name) => json!({ "env": name }),
                SecretSource::File(path) => {
                    json!({ "file": shown(&project.root, path) })
                }
            };
            (s.name.value.clone(), source)
        });
        let secrets = Json::Object(secrets.collect());
        hashes.insert("secrets".to_owned(), hash::value(&secrets).into());
    }
    hashes
}

fn passed(
    project: &Project,
    shell: &BTreeMap<String, String>,
) -> BTreeMap<String, Sourced<Passed>> {
    let of = |name: &str| match shell.get(name) {
        None => Passed::Unset,
        Some(value) if is_text(name, value) => Passed::Text(value.clone()),
        // With the name before it, equal values of two variables do not look alike.
        Some(value) => Passed::Hash(Digest::of(format!("{name}={value}").as_bytes())),
    };
    let names = project.pass.iter();
    names
        .map(|n| (n.value.clone(), of(n.as_str()).into()))
        .collect()
}

/// Whether a value may stand in the lock as it is.
fn is_text(name: &str, value: &str) -> bool {
    value.len() <= MAX_TEXT
        && !sensitive::is_secret_name(name)
        && !sensitive::has_password(value)
        && !holds_secret(value)
}

fn data(project: &Project) -> BTreeMap<String, Sourced<Content>> {
    let of = |data: &Data| Content {
        snapshot: match data {
            Data::Snapshot(name) => Some(name.clone()),
            Data::Empty(_) => None,
        },
        manifest: None,
    };
    let volumes = project.data.iter();
    volumes
        .map(|d| (d.name.value.clone(), of(&d.value.value).into()))
        .collect()
}

struct Files<'f> {
    root: &'f Path,
    problems: Problems,
}

impl Files<'_> {
    fn sources(&mut self, project: &Project, compiled: &Compiled, node: &Node) -> Hashes {
        let mut hashes = Hashes::new();
        // What was read of other formats and put in the place of a file is no file.
        let read = compiled.production.inputs.iter();
        let mut paths: Vec<PathBuf> = read
            .map(|i| self.root.join(&i.path))
            .filter(|p| p.is_file())
            .collect();
        paths.extend(project.production.iter().flat_map(|s| s.files.clone()));
        let named = project.env_files.iter().chain(&project.template);
        let named = named.chain(project.flags.iter().filter_map(|f| f.file.as_ref()));
        paths.extend(named.map(|p| p.path.clone()));
        let egress = node.get("egress").and_then(Node::as_map);
        for (_, fate) in egress.into_iter().flat_map(|m| m.iter()) {
            if let Some(stub) = fate.get("stub").and_then(Node::as_str) {
                paths.push(self.root.join(stub));
            }
        }
        for path in paths {
            self.add(&mut hashes, &path);
        }
        // A base, a values file or another version of the program changes what production gets
        // without touching what the project names.
        for (source, text) in &compiled.rendered {
            let name = format!("rendered:{}", shown(self.root, source));
            hashes.insert(name, Digest::of(text.text.as_bytes()).into());
        }
        hashes
    }

    /// Files and texts that services are given: configs, and binds of the project's own files.
    fn configs(&mut self, production: &Mirror, stack: &Mirror) -> Hashes {
        let mut hashes = Hashes::new();
        for key in production.config_files.keys() {
            let Some(object) = stack.config_files.get(key) else {
                continue;
            };
            if let Some(file) = &object.file {
                self.add(&mut hashes, Path::new(file.as_str()));
            } else if let Some(content) = &object.content {
                let digest = Digest::of(content.as_bytes());
                hashes.insert(format!("config:{key}"), digest.into());
            }
        }
        let mounts = stack.services.values().flat_map(|s| &s.mounts.list);
        for mount in mounts.filter(|m| *m.kind == MountKind::Bind) {
            let source = mount.source.as_ref().map(|s| Path::new(s.as_str()));
            if let Some(path) = source.filter(|p| p.starts_with(self.root) && p.exists()) {
                self.add(&mut hashes, path);
            }
        }
        hashes
    }

    fn add(&mut self, hashes: &mut Hashes, path: &Path) {
        let name = shown(self.root, path);
        if hashes.contains_key(&name) {
            return;
        }
        match hash::path(path) {
            Ok(digest) => {
                hashes.insert(name, digest.into());
            }
            Err(e) => self.problems.push(Problem::new(
                ProblemKind::MissingFile,
                format!("cannot read {name}: {}", io_reason(&e)),
            )),
        }
    }
}

/// A path from the project, with `/` on every system.
fn shown(root: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(root).unwrap_or(path);
    match inside.to_string_lossy().replace('\\', "/") {
        here if here.is_empty() => ".".to_owned(),
        inside => inside,
    }
}
