//! Volumes of tasks, and where containers mount them.

use std::collections::BTreeMap;
use std::path::Path;

use super::compose::Part;
use super::network::unknown_container;
use super::notes::{Fact, Notes};
use super::object::Object;
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::Severity;
use crate::yaml::{Mapping, Node, Spanned};

/// What a volume of a task is.
#[derive(Debug, Clone)]
enum Source {
    /// A path of the host.
    Bind(Spanned<String>),
    /// A volume of the engine, by its key.
    Named(String),
}

/// The volumes of one task, by name.
#[derive(Debug, Default)]
pub(super) struct TaskVolumes {
    by_name: BTreeMap<String, Source>,
}

/// The volumes of all tasks.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    /// `volumes` of the document.
    pub declared: Part,
    /// How many tasks have a volume of a name.
    names: BTreeMap<String, usize>,
    /// Volumes that several tasks share, each with its key.
    shared: BTreeMap<String, String>,
}

impl Volumes {
    /// Notes the names of a task's volumes, before any is read.
    pub fn named(&mut self, task: &Node) {
        let volumes = task.get("volumes").and_then(Node::as_seq);
        for volume in volumes.into_iter().flatten() {
            if let Some(name) = volume.get("name").and_then(Node::as_str) {
                *self.names.entry(name.to_owned()).or_default() += 1;
            }
        }
    }

    /// Reads the volumes of a task.
    pub fn of_task(
        &mut self,
        task: &mut Object<'_>,
        family: &str,
        dir: &Path,
        notes: &mut Notes,
    ) -> TaskVolumes {
        let mut found = TaskVolumes::default();
        for mut volume in task.objects("volumes", notes) {
            let Some(name) = volume.word("name", notes) else {
                notes.invalid(volume.span, "a volume has a `name`");
                continue;
            };
            let source = self.source(&mut volume, &name, family, dir, notes);
            if found.by_name.insert(name.value.clone(), source).is_some() {
                notes.refuse(Problem::at(
                    ProblemKind::DuplicateKey,
                    &name.span,
                    format!("the task has two volumes `{}`", name.value),
                ));
            }
            volume.finish(notes);
        }
        found
    }

    fn source(
        &mut self,
        volume: &mut Object<'_>,
        name: &Spanned<String>,
        family: &str,
        dir: &Path,
        notes: &mut Notes,
    ) -> Source {
        let span = volume.span.clone();
        // Some write it here, where ECS does not look for it.
        let reason = "a volume is read-only where it is mounted, not here";
        volume.drop("readOnly", Severity::Info, reason, notes);
        if let Some(mut host) = volume.object("host", notes) {
            let path = host.word("sourcePath", notes);
            host.finish(notes);
            if let Some(path) = path {
                return Source::Bind(absolute(path, dir, notes));
            }
        }
        if let Some(docker) = volume.object("dockerVolumeConfiguration", notes) {
            return Source::Named(self.docker(docker, name, family, notes));
        }
        let stores = [
            ("efsVolumeConfiguration", "EFS"),
            ("fsxWindowsFileServerVolumeConfiguration", "FSx"),
            ("s3filesVolumeConfiguration", "S3"),
        ];
        for (key, title) in stores {
            if let Some(node) = volume.node(key) {
                let part = |path: &[&str]| node.at(path).and_then(Node::scalar_text);
                let identity = format!(
                    "{title} {:?} {:?} {:?}",
                    part(&["fileSystemId"]),
                    part(&["rootDirectory"]),
                    part(&["authorizationConfig", "accessPointId"]),
                );
                let key = self.key_for(identity, name, family);
                self.stored(&key, title, node, notes);
                return Source::Named(key);
            }
        }
        let at_launch = volume.flag("configuredAtLaunch", notes);
        let key = self.own_key(name, family);
        if at_launch.is_some_and(|a| a.value) {
            let node = Node::str("configuredAtLaunch", span.clone());
            self.stored(&key, "EBS", &node, notes);
        } else {
            self.declared.set(&key, Part::default().node(&span));
        }
        Source::Named(key)
    }

    /// A volume of the task's own: by its name, with the family before it where several tasks
    /// have one of the name.
    fn own_key(&self, name: &Spanned<String>, family: &str) -> String {
        let alone = self.names.get(name.as_str()).is_none_or(|n| *n <= 1);
        let key = super::names::clean(name);
        if alone {
            key
        } else {
            format!("{family}-{key}")
        }
    }

    /// The key of what several tasks share.
    fn key_for(&mut self, identity: String, name: &Spanned<String>, family: &str) -> String {
        if let Some(key) = self.shared.get(&identity) {
            return key.clone();
        }
        let mut key = super::names::clean(name);
        if self.declared.0.contains_key(&key) {
            key = format!("{family}-{key}");
        }
        self.shared.insert(identity, key.clone());
        key
    }

    fn stored(&mut self, key: &str, title: &str, node: &Node, notes: &mut Notes) {
        let before = std::mem::replace(&mut notes.object, format!("volume:{key}"));
        let reason = "a file system of AWS is out of reach; its data and its owners are not here";
        let field = match title {
            "EBS" => "configuredAtLaunch",
            "FSx" => "fsxWindowsFileServerVolumeConfiguration",
            "S3" => "s3filesVolumeConfiguration",
            _ => "efsVolumeConfiguration",
        };
        let file_system = node
            .get("fileSystemId")
            .and_then(Node::as_str)
            .unwrap_or("");
        let fact = Fact {
            field,
            declared: format!("{title} {file_system}").trim_end().to_owned(),
            actual: "an empty volume",
            reason,
            span: &node.span,
        };
        notes.substituted(Severity::Medium, fact);
        notes.raise(format!("give it data in mirror.yaml:\ndata:\n  {key}: {{ snapshot: NAME }}   # or {{ empty: true }}"));
        notes.object = before;
        self.declared.set(key, Part::default().node(&node.span));
    }

    fn docker(
        &mut self,
        mut docker: Object<'_>,
        name: &Spanned<String>,
        family: &str,
        notes: &mut Notes,
    ) -> String {
        let span = docker.span.clone();
        let scope = docker.word("scope", notes);
        let autoprovision = docker.flag("autoprovision", notes);
        let mut part = Part::default();
        part.text("driver", docker.word("driver", notes));
        for (from, to) in [("driverOpts", "driver_opts"), ("labels", "labels")] {
            if let Some(values) = docker.node(from) {
                let path = docker.path(from);
                part.map(to, super::container::text_map(values, &path, notes));
            }
        }
        docker.finish(notes);
        let is_shared = scope.as_ref().is_some_and(|s| s.value == "shared");
        if !is_shared {
            let key = self.own_key(name, family);
            self.declared.set(&key, part.node(&span));
            return key;
        }
        if !autoprovision.is_some_and(|a| a.value) {
            // It must be there before; nothing else of it counts.
            part = Part::default();
            part.set("external", Node::bool(true, span.clone()));
        }
        let key = self.key_for(format!("shared {}", name.value), name, family);
        self.declared.set(&key, part.node(&span));
        key
    }
}

/// A path as the host would see it. A relative one means nothing there; files that were
/// written for one developer's machine have such.
fn absolute(path: Spanned<String>, dir: &Path, notes: &mut Notes) -> Spanned<String> {
    let windows = path.as_bytes().get(1) == Some(&b':');
    if path.starts_with('/') || windows {
        return path;
    }
    let full: std::path::PathBuf = dir.join(path.as_str()).components().collect();
    let full = full.to_string_lossy().into_owned();
    let fact = Fact {
        field: &format!("volumes[{}].host.sourcePath", path.as_str()),
        declared: path.value.clone(),
        actual: "the path from the directory of the file",
        reason: "a relative path has no meaning on a container instance",
        span: &path.span,
    };
    notes.substituted(Severity::Medium, fact);
    Spanned::new(full, path.span)
}

/// Writes the mounts of a container.
pub(super) fn mounts(
    container: &mut Object<'_>,
    service: &mut Part,
    volumes: &TaskVolumes,
    key_of: impl Fn(&str) -> Option<String>,
    notes: &mut Notes,
) {
    let mut list = Vec::new();
    for mut mount in container.objects("mountPoints", notes) {
        let source = mount.word("sourceVolume", notes);
        let target = mount.word("containerPath", notes);
        let read_only = mount.flag("readOnly", notes);
        let span = mount.span.clone();
        mount.finish(notes);
        let (Some(source), Some(target)) = (source, target) else {
            notes.invalid(
                &span,
                "a mount point has a `sourceVolume` and a `containerPath`",
            );
            continue;
        };
        let Some(found) = volumes.by_name.get(source.as_str()) else {
            notes.refuse(Problem::at(
                ProblemKind::UnknownReference,
                &source.span,
                format!("the task has no volume `{}`", source.value),
            ));
            continue;
        };
        let mut part = Part::default();
        match found {
            Source::Bind(path) => {
                part.set("type", Node::str("bind", span.clone()));
                part.set("source", Node::str(path.value.clone(), path.span.clone()));
                let mut bind = Mapping::default();
                bind.insert("create_host_path", Node::bool(true, span.clone()));
                part.map("bind", bind);
            }
            Source::Named(key) => {
                part.set("type", Node::str("volume", span.clone()));
                part.set("source", Node::str(key.clone(), source.span.clone()));
            }
        }
        part.text("target", Some(target));
        part.flag("read_only", read_only);
        list.push(part.node(&span));
    }
    service.list("volumes", list);
    let mut from = Vec::new();
    for mut other in container.objects("volumesFrom", notes) {
        let name = other.word("sourceContainer", notes);
        let read_only = other.flag("readOnly", notes).is_some_and(|r| r.value);
        let span = other.span.clone();
        other.finish(notes);
        let Some(name) = name else {
            notes.invalid(&span, "an item of `volumesFrom` has a `sourceContainer`");
            continue;
        };
        match key_of(&name) {
            Some(key) => {
                let mode = if read_only { "ro" } else { "rw" };
                from.push(Node::str(format!("{key}:{mode}"), name.span));
            }
            None => notes.refuse(unknown_container(&name, &name.span)),
        }
    }
    service.list("volumes_from", from);
}
