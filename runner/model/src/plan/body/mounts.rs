//! What is mounted into the container.

use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};

use super::fields::Fields;
use super::{BodyRequest, Naming};
use crate::mirror::{
    BindOptions, FileMode, FileObject, FileUse, Mount, MountKind, Service, Sourced,
};

/// Kinds of files that a service is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A configuration file.
    Config,
    /// A secret.
    Secret,
}

/// A configuration file or a secret in a container.
#[derive(Debug, Clone, Copy)]
pub struct ServiceFile<'a> {
    /// Which of both.
    pub kind: FileKind,
    /// How the service uses it.
    pub usage: &'a Sourced<FileUse>,
    /// What is used, when it is declared.
    pub object: Option<&'a FileObject>,
}

impl ServiceFile<'_> {
    /// Key of the object.
    pub fn key(&self) -> &str {
        self.usage.source.as_ref().map_or("", |s| s.as_str())
    }

    /// Absolute path in the container.
    pub fn target(&self) -> String {
        let base = match self.kind {
            FileKind::Config => "/",
            FileKind::Secret => "/run/secrets/",
        };
        match self.usage.target.as_ref().map_or("", |t| t.as_str()) {
            "" => format!("{base}{}", self.key()),
            absolute if absolute.starts_with('/') => absolute.to_owned(),
            relative => format!("{base}{relative}"),
        }
    }

    /// Permission bits that the spec asks for.
    pub fn mode(&self) -> Option<FileMode> {
        self.usage.mode.as_ref().map(|m| m.value)
    }
}

/// All secrets and configuration files of a service. Of several with the same target the last
/// of its kind counts, and secrets come before configuration files.
pub fn service_files<'a>(request: &BodyRequest<'a>) -> Vec<ServiceFile<'a>> {
    let mut files: IndexMap<String, ServiceFile<'a>> = IndexMap::new();
    for usage in &request.service.secrets {
        let file = ServiceFile {
            kind: FileKind::Secret,
            usage,
            object: object(&request.mirror.secrets, usage),
        };
        files.insert(file.target(), file);
    }
    let mut configs: IndexMap<String, ServiceFile<'a>> = IndexMap::new();
    for usage in &request.service.config_files {
        let file = ServiceFile {
            kind: FileKind::Config,
            usage,
            object: object(&request.mirror.config_files, usage),
        };
        configs.insert(file.target(), file);
    }
    for (target, file) in configs {
        files.entry(target).or_insert(file);
    }
    files.into_values().collect()
}

fn object<'a>(
    objects: &'a IndexMap<String, FileObject>,
    usage: &FileUse,
) -> Option<&'a FileObject> {
    usage.source.as_ref().and_then(|s| objects.get(&s.value))
}

/// Puts `Binds` and `Mounts`. Where a string of the older form says all, it is used, because
/// only that one makes missing paths of the host.
pub(super) fn put(request: &BodyRequest<'_>, host: &mut Fields) {
    // Of several mounts with the same target the last one counts.
    let mut by_target: IndexMap<&str, &Mount> = IndexMap::new();
    for mount in &request.service.mounts.list {
        by_target.insert(mount.target.as_ref().map_or("", |t| t.as_str()), mount);
    }
    let (mut binds, mut mounts) = (Vec::new(), Vec::new());
    for mount in by_target.values() {
        match bind_string(request, mount) {
            Some(bind) => binds.push(Json::from(bind)),
            None => mounts.push(mount_object(request, mount)),
        }
    }
    for file in service_files(request) {
        let target = file.target();
        if !by_target.contains_key(target.as_str()) {
            mounts.extend(file_mount(&file, target));
        }
    }
    host.list("Binds", binds);
    host.list("Mounts", mounts);
}

/// `source:target:options`, when that says all.
pub(in crate::plan) fn bind_string(request: &BodyRequest<'_>, mount: &Mount) -> Option<String> {
    let source = match *mount.kind {
        MountKind::Bind if !needs_object(mount.bind.as_deref()) => mount.source.as_ref()?.as_str(),
        MountKind::Volume if !volume_needs_object(mount) => {
            let key = mount.source.as_ref()?.as_str();
            request.mirror.volumes.contains_key(key).then_some(())?;
            volume_name(request, key)
        }
        _ => return None,
    };
    let read_only = mount.read_only.as_ref().is_some_and(|r| r.value);
    let mut options = vec![if read_only { "ro" } else { "rw" }];
    if let Some(bind) = &mount.bind {
        options.extend(bind.selinux.as_ref().map(|s| s.as_str()));
        options.extend(bind.propagation.as_ref().map(|p| p.as_str()));
    }
    let target = mount.target.as_ref().map_or("", |t| t.as_str());
    Some(format!("{source}:{target}:{}", options.join(",")))
}

/// The name that a volume has in the body.
fn volume_name<'a>(request: &'a BodyRequest<'_>, key: &'a str) -> &'a str {
    let declared = request.mirror.volumes.get(key);
    declared
        .filter(|_| request.naming == Naming::Engine)
        .and_then(|v| v.name.as_ref())
        .map_or(key, |name| name.as_str())
}

fn needs_object(bind: Option<&BindOptions>) -> bool {
    bind.is_some_and(|bind| {
        let creates = bind.create_host_path.as_ref().is_some_and(|c| c.value);
        let set = |t: &Option<Sourced<String>>| t.as_ref().is_some_and(|t| !t.is_empty());
        !creates || set(&bind.propagation) || set(&bind.recursive)
    })
}

fn volume_needs_object(mount: &Mount) -> bool {
    mount.volume.as_ref().is_some_and(|volume| {
        no_copy(mount)
            || !volume.labels.is_empty()
            || volume.subpath.as_ref().is_some_and(|s| !s.is_empty())
    })
}

fn no_copy(mount: &Mount) -> bool {
    let volume = mount.volume.as_ref();
    volume
        .and_then(|v| v.no_copy.as_ref())
        .is_some_and(|n| n.value)
}

fn mount_object(request: &BodyRequest<'_>, mount: &Mount) -> Json {
    let mut object = Fields::new();
    object.set("Type", mount.kind.to_string());
    let source = mount.source.as_ref().map_or("", |s| s.as_str());
    let source = match *mount.kind {
        MountKind::Volume => volume_name(request, source),
        _ => source,
    };
    if !source.is_empty() {
        object.set("Source", source);
    }
    object.text("Target", &mount.target);
    object.flag("ReadOnly", &mount.read_only);
    object.text("Consistency", &mount.consistency);
    match *mount.kind {
        MountKind::Bind => object.opt("BindOptions", mount.bind.as_deref().map(bind_options)),
        MountKind::Volume => object.opt("VolumeOptions", volume_options(mount)),
        MountKind::Tmpfs => object.opt("TmpfsOptions", tmpfs_options(mount)),
        MountKind::Image => object.opt("ImageOptions", image_options(mount)),
        MountKind::NamedPipe | MountKind::Cluster => {}
    }
    object.into_json()
}

fn bind_options(bind: &BindOptions) -> Json {
    let mut options = Fields::new();
    options.text("Propagation", &bind.propagation);
    options.flag("CreateMountpoint", &bind.create_host_path);
    match bind.recursive.as_ref().map_or("", |r| r.as_str()) {
        "disabled" => options.set("NonRecursive", true),
        "writable" => options.set("ReadOnlyNonRecursive", true),
        "readonly" => options.set("ReadOnlyForceRecursive", true),
        _ => {}
    }
    options.into_json()
}

fn volume_options(mount: &Mount) -> Option<Json> {
    let volume = mount.volume.as_ref()?;
    let mut options = Fields::new();
    options.flag("NoCopy", &volume.no_copy);
    options.text("Subpath", &volume.subpath);
    options.text_map("Labels", &volume.labels);
    Some(options.into_json())
}

fn tmpfs_options(mount: &Mount) -> Option<Json> {
    let tmpfs = mount.tmpfs.as_ref()?;
    let mut options = Fields::new();
    options.bytes("SizeBytes", &tmpfs.size);
    options.number("Mode", tmpfs.mode.as_ref().map_or(0, |m| m.value.into()));
    Some(options.into_json())
}

fn image_options(mount: &Mount) -> Option<Json> {
    let image = mount.image.as_ref()?;
    let mut options = Fields::new();
    options.text("Subpath", &image.subpath);
    Some(options.into_json())
}

/// A file of the host as a read-only bind; other contents are copied into the container.
fn file_mount(file: &ServiceFile<'_>, target: String) -> Option<Json> {
    let path = file.object?.file.as_ref()?;
    let mut mount = Fields::new();
    mount.set("Type", "bind");
    mount.set("Source", path.value.clone());
    mount.set("Target", target);
    mount.set("ReadOnly", true);
    if file.kind == FileKind::Secret {
        mount.set("BindOptions", json!({}));
    }
    Some(mount.into_json())
}

/// File systems in memory in their short form, by path.
pub(super) fn tmpfs(service: &Service) -> Map<String, Json> {
    let list = service.mounts.tmpfs.iter();
    list.map(|t| {
        let options = t.options.clone().unwrap_or_default();
        (t.target.clone(), Json::from(options))
    })
    .collect()
}
