//! What rules look at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Request;
use crate::diag::Problems;
use crate::mirror::{Argv, Condition, Mirror, MountKind, NamespaceMode, Service, Sourced};
use crate::policy::externals::{NamedHost, named};
use crate::policy::names_of;
use crate::project::{Project, path};
use crate::source::{SourceFile, Span};
use crate::spec::Beyond;
use crate::yaml::{Spanned, ViaKind};

/// Longer files are not searched.
const MAX_SEARCHED: u64 = 256 * 1024;

/// What the caller of an audit knows beside production's files.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The files of the project that its repository keeps, relative to the project's
    /// directory, with `/`; absent = not known.
    pub tracked: Option<BTreeSet<String>>,
    /// The platform of production's hosts (`linux/amd64`), when it is known.
    pub platform: Option<String>,
    /// What is known of images, by reference.
    pub images: BTreeMap<String, ImageFacts>,
}

/// What is known of an image without running it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// Its platform, `os/arch[/variant]`.
    pub platform: Option<String>,
    /// Ports that it exposes.
    pub ports: BTreeSet<u16>,
    /// Whether it has a health check.
    pub health: bool,
    /// The user that it runs as, as it is written; empty = root.
    pub user: String,
    /// Names and numbers of the users that it knows; absent = not known.
    pub users: Option<BTreeSet<String>>,
    /// The time zone that `/etc/localtime` or `TZ` sets.
    pub time_zone: Option<String>,
}

/// Everything that rules may look at.
pub struct Look<'r> {
    /// Production.
    pub mirror: &'r Mirror,
    /// What its files say beyond Compose.
    pub beyond: &'r Beyond,
    /// The project.
    pub project: &'r Project,
    /// What reading found.
    pub problems: &'r Problems,
    /// What the caller knows.
    pub surroundings: &'r Surroundings,
    /// All hosts that values name.
    pub hosts: Vec<NamedHost>,
    /// Services by each of their names.
    pub names: BTreeMap<String, String>,
    /// Texts of services that a person wrote.
    pub texts: Vec<Text<'r>>,
    /// Configuration files, each once for each service that has it.
    pub bodies: Vec<Body<'r>>,
}

/// A text of a service: the value of a variable, or an argument.
pub struct Text<'r> {
    /// The service.
    pub service: &'r str,
    /// `environment.NAME`, `command`, `entrypoint`.
    pub field: String,
    /// The variable's name; absent for arguments.
    pub name: Option<&'r str>,
    /// The text.
    pub value: &'r Sourced<String>,
    /// Whether it holds a secret.
    pub sensitive: bool,
}

impl Text<'_> {
    /// Whether a part of the value came from the shell of whoever starts production.
    pub fn is_from_shell(&self) -> bool {
        self.vias()
            .any(|(what, _)| matches!(what, ViaKind::Variable { from, .. } if from == "shell"))
    }

    /// Where the value's text is kept: its own place, and the definitions of its variables.
    pub fn homes(&self) -> Vec<Span> {
        let mut homes: Vec<Span> = self
            .vias()
            .filter(|(what, span)| matches!(what, ViaKind::Variable { .. }) && span.is_real())
            .map(|(_, span)| span.clone())
            .collect();
        if homes.is_empty() {
            homes.push(self.value.span.clone());
        }
        homes
    }

    fn vias(&self) -> impl Iterator<Item = (&ViaKind, &Span)> {
        std::iter::successors(self.value.via.as_deref(), |v| v.before.as_deref())
            .map(|v| (&v.what, &v.span))
    }
}

/// A configuration file of a service that could be read.
pub struct Body<'r> {
    /// The service.
    pub service: &'r str,
    /// The field that names it.
    pub field: String,
    /// Where the spec names it.
    pub named: Span,
    /// The file; its lines have places of their own.
    pub file: Arc<SourceFile>,
}

impl<'r> Look<'r> {
    pub(super) fn new(request: Request<'r>) -> Self {
        let Request {
            mirror,
            beyond,
            project,
            problems,
            surroundings,
        } = request;
        Self {
            mirror,
            beyond,
            project,
            problems,
            surroundings,
            hosts: named(mirror, project),
            names: names_of(mirror),
            texts: texts(mirror),
            bodies: bodies(mirror, project),
        }
    }

    /// All services with their keys, but for those that only hold networks or stand before others.
    pub fn services(&self) -> impl Iterator<Item = (&'r str, &'r Service)> {
        let all = self.mirror.services.iter().map(|(k, s)| (k.as_str(), s));
        let beyond = self.beyond;
        all.filter(move |(k, _)| !beyond.is_ours(k))
    }

    /// Whether a service does its work and ends.
    pub fn is_job(&self, key: &str, service: &Service) -> bool {
        let mode = service.deployment.as_ref().and_then(|d| d.mode.as_ref());
        let waited_for = self.mirror.services.values().any(|s| {
            let mut needs = s.depends_on.iter();
            needs.any(|d| {
                d.service.value == key && d.condition() == Condition::CompletedSuccessfully
            })
        });
        waited_for || mode.is_some_and(|m| m.ends_with("-job"))
    }

    /// Whether a service shares its network namespace with another service or the host, so that
    /// loopback is not its own.
    pub fn shares_network(&self, key: &str, service: &Service) -> bool {
        let joins = service.network.mode.as_ref().is_some_and(|m| {
            matches!(
                m.value,
                NamespaceMode::Service(_) | NamespaceMode::Container(_) | NamespaceMode::Host
            )
        });
        joins || {
            let mut others = self.mirror.services.values();
            others.any(|s| {
                let mode = s.network.mode.as_ref();
                mode.and_then(|m| m.service()) == Some(key)
            })
        }
    }

    /// The services that are reached at the same address as one: those of its pod or task.
    pub fn group(&self, key: &str) -> Vec<(&'r str, &'r Service)> {
        let mode = |s: &'r Service| s.network.mode.as_ref().and_then(|m| m.service());
        let own = self.mirror.services.get(key).and_then(mode);
        let holder = own.unwrap_or(key);
        let all = self.mirror.services.iter();
        all.filter(|(k, s)| *k == key || *k == holder || mode(s) == Some(holder))
            .map(|(k, s)| (k.as_str(), s))
            .collect()
    }

    /// What is known of a service's image.
    pub fn image(&self, service: &Service) -> Option<&'r ImageFacts> {
        let reference = service.image.reference.as_ref()?;
        self.surroundings.images.get(reference.as_str())
    }

    /// A path as the repository calls it; none when it is outside of the project.
    pub fn in_project(&self, file: &str) -> Option<(PathBuf, String)> {
        let written = Spanned::new(file.to_owned(), Span::generated());
        let path = path::inside(&self.project.root, &self.project.root, &written).ok()?;
        let shown = path.strip_prefix(&self.project.root).ok()?;
        let shown = shown.to_string_lossy().replace('\\', "/");
        Some((path, shown))
    }

    /// Whether the repository keeps a file, or anything below a directory; none = not known.
    pub fn is_tracked(&self, shown: &str) -> Option<bool> {
        let tracked = self.surroundings.tracked.as_ref()?;
        let below = format!("{shown}/");
        let first = tracked.range(below.clone()..).next();
        Some(
            shown.is_empty()
                || tracked.contains(shown)
                || first.is_some_and(|f| f.starts_with(&below)),
        )
    }
}

pub(super) fn texts(mirror: &Mirror) -> Vec<Text<'_>> {
    let mut out = Vec::new();
    for (key, service) in &mirror.services {
        for var in &service.env {
            if let Some(value) = &var.value {
                out.push(Text {
                    service: key,
                    field: format!("environment.{}", var.name.value),
                    name: Some(&var.name.value),
                    value,
                    sensitive: var.sensitive,
                });
            }
        }
        let argvs = [
            ("entrypoint", &service.process.entrypoint),
            ("command", &service.process.command),
        ];
        for (field, argv) in argvs {
            if let Argv::Set(args) = &argv.value {
                out.extend(args.iter().map(|value| Text {
                    service: key,
                    field: field.to_owned(),
                    name: None,
                    value,
                    sensitive: false,
                }));
            }
        }
    }
    out
}

pub(super) fn bodies<'r>(mirror: &'r Mirror, project: &Project) -> Vec<Body<'r>> {
    let mut out = Vec::new();
    for (key, service) in &mirror.services {
        let mut add = |path: &str, field: String, named: &Span| {
            if let Some(file) = read(project, path) {
                out.push(Body {
                    service: key,
                    field,
                    named: named.clone(),
                    file,
                });
            }
        };
        for used in &service.config_files {
            let Some(source) = &used.source else { continue };
            let object = mirror.config_files.get(source.as_str());
            if let Some(file) = object.and_then(|o| o.file.as_ref()) {
                add(file, format!("config {}", source.value), &file.span);
            }
        }
        let binds = service.mounts.list.iter();
        for m in binds.filter(|m| m.kind.value == MountKind::Bind) {
            if let Some(source) = &m.source {
                let base = source.rsplit('/').next().unwrap_or(source);
                add(source, format!("file {base}"), &m.span);
            }
        }
    }
    out
}

fn read(project: &Project, file: &str) -> Option<Arc<SourceFile>> {
    let written = Spanned::new(file.to_owned(), Span::generated());
    let path = path::inside(&project.root, &project.root, &written).ok()?;
    let meta = std::fs::metadata(&path).ok()?;
    if !meta.is_file() || meta.len() > MAX_SEARCHED {
        return None;
    }
    SourceFile::read(&path, shown(&project.root, &path)).ok()
}

fn shown(root: &Path, path: &Path) -> String {
    let shown = path.strip_prefix(root).unwrap_or(path);
    shown.to_string_lossy().into_owned()
}
