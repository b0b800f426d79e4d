//! Volumes of pods, and where containers mount them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, Volume, VolumeMount};

use super::at::At;
use super::build::{Build, plain_key};
use super::cluster::Cluster;
use super::container::expanded;
use super::dict::Dict;
use super::env::Env;
use super::files::{self, Entry};
use super::pod::Pod;
use super::quantity::Quantity;
use super::workload::{Kind, Workload};
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::{Class, Severity};
use crate::source::Span;
use crate::stack::extension::VolumeRoot;
use crate::yaml::Node;

/// What a volume is in the mirror.
enum Source {
    /// Files that are put together from other objects.
    Files(Vec<Entry>),
    /// A volume of the stack.
    Named(String),
    /// A file system in memory that nobody else mounts; its size.
    Memory(Option<i64>),
    /// A path of the host.
    Host { path: String, create: bool },
    /// The content of an image.
    Image(String),
}

/// Mounts the volumes of a container.
pub fn mount(
    build: &mut Build<'_>,
    pod: &Pod<'_>,
    (c, at): (&Container, At<'_>),
    env: &Env,
    name: &str,
    service: &mut Dict,
) {
    let mut out = Out {
        name: name.to_owned(),
        volumes: Vec::new(),
        configs: Vec::new(),
        secrets: Vec::new(),
    };
    for (i, mount) in c.volume_mounts.iter().flatten().enumerate() {
        let place = at.get("volumeMounts").item(i);
        if let Some(p) = bad_mount(mount, place) {
            build.once(p);
            continue;
        }
        let Some((source, span)) = source(build, pod, c, mount, place) else {
            continue;
        };
        let sub = match (&mount.sub_path_expr, &mount.sub_path) {
            (Some(expr), _) => expanded(expr, env),
            (None, Some(path)) => path.clone(),
            (None, None) => String::new(),
        };
        let sub = sub.trim_matches('/').to_owned();
        if sub.split('/').any(|part| part == "..") {
            let message = format!("`{sub}` leads out of the volume");
            build.once(Problem::at(
                ProblemKind::PathEscape,
                place.get("subPath").span(),
                message,
            ));
            continue;
        }
        match source {
            Source::Files(entries) => put_files(build, pod, &mut out, entries, mount, &sub, place),
            Source::Named(key) => {
                put_volume(build, pod, &mut out, key, mount, &sub, (place, &span))
            }
            Source::Host { path, create } => out.bind(&path, create, mount, &sub, place),
            Source::Memory(size) => out.memory(size, mount, place),
            Source::Image(reference) => out.image(&reference, mount, place),
        }
    }
    files::service_account(build, pod, &mut out.configs, name, c);
    let span = at.get("volumeMounts").span();
    service.list("volumes", out.volumes, span);
    service.list("configs", out.configs, span);
    service.list("secrets", out.secrets, span);
}

/// What a container mounts.
struct Out {
    name: String,
    volumes: Vec<Node>,
    configs: Vec<Node>,
    secrets: Vec<Node>,
}

impl Out {
    fn mount(&self, kind: &str, source: &str, mount: &VolumeMount, at: At<'_>) -> Dict {
        let mut dict = Dict::at(at.span());
        dict.text("type", kind, at.span());
        dict.text("source", source, at.get("name").span());
        dict.text(
            "target",
            clean(&mount.mount_path),
            at.get("mountPath").span(),
        );
        if mount.read_only == Some(true) {
            dict.bool("read_only", true, at.get("readOnly").span());
        }
        dict
    }

    fn bind(&mut self, path: &str, create: bool, mount: &VolumeMount, sub: &str, at: At<'_>) {
        let path = match sub {
            "" => path.to_owned(),
            sub => format!("{}/{sub}", path.trim_end_matches('/')),
        };
        let mut dict = self.mount("bind", &path, mount, at);
        let mut options = Dict::at(at.span());
        options.bool("create_host_path", create, at.span());
        let propagation = match mount.mount_propagation.as_deref() {
            Some("HostToContainer") => Some("rslave"),
            Some("Bidirectional") => Some("rshared"),
            _ => None,
        };
        if let Some(mode) = propagation {
            options.text("propagation", mode, at.get("mountPropagation").span());
        }
        dict.dict("bind", options);
        self.volumes.push(dict.done());
    }

    fn memory(&mut self, size: Option<i64>, mount: &VolumeMount, at: At<'_>) {
        let mut dict = Dict::at(at.span());
        dict.text("type", "tmpfs", at.span());
        dict.text(
            "target",
            clean(&mount.mount_path),
            at.get("mountPath").span(),
        );
        let mut options = Dict::at(at.span());
        if let Some(size) = size {
            options.int("size", size, at.span());
        }
        options.int("mode", 0o777, at.span());
        dict.dict("tmpfs", options);
        self.volumes.push(dict.done());
    }

    fn image(&mut self, reference: &str, mount: &VolumeMount, at: At<'_>) {
        let dict = self.mount("image", reference, mount, at);
        self.volumes.push(dict.done());
    }

    fn file(&mut self, entry: &Entry, target: &str, gid: Option<i64>) {
        let mut dict = Dict::at(&entry.span);
        dict.text("source", entry.key.clone(), &entry.span);
        dict.text("target", target, &entry.span);
        let mut mode = entry.mode;
        if let Some(gid) = gid {
            dict.text("gid", gid.to_string(), &entry.span);
            mode |= 0o440;
        }
        dict.int("mode", i64::from(mode), &entry.span);
        match entry.secret {
            true => self.secrets.push(dict.done()),
            false => self.configs.push(dict.done()),
        }
    }
}

fn clean(path: &str) -> String {
    match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    }
}

fn bad_mount(mount: &VolumeMount, at: At<'_>) -> Option<Problem> {
    let path = &mount.mount_path;
    let bad = path.is_empty()
        || path.contains(':')
        || path.chars().any(char::is_control)
        || path.split('/').any(|p| p == "..");
    if !bad && path.starts_with('/') && clean(path) != "/" {
        return None;
    }
    let message = format!("`{}` cannot be mounted at", path.escape_debug());
    let problem = Problem::at(
        ProblemKind::InvalidValue,
        at.get("mountPath").span(),
        message,
    );
    Some(problem.help("write an absolute path below `/`, without `..` and `:`"))
}

/// The volume that a mount names, as the mirror has it.
fn source(
    build: &mut Build<'_>,
    pod: &Pod<'_>,
    c: &Container,
    mount: &VolumeMount,
    at: At<'_>,
) -> Option<(Source, Span)> {
    let workload = pod.workload;
    let mut volumes = workload.pod.volumes.iter().flatten().enumerate();
    if let Some((i, volume)) = volumes.find(|(_, v)| v.name == mount.name) {
        let place = workload.spec().get("volumes").item(i);
        let span = place.span().clone();
        return Some((kind(build, pod, c, volume, place)?, span));
    }
    let templates = workload.object.spec().get("volumeClaimTemplates");
    let claims = templates.node().and_then(Node::as_seq).unwrap_or(&[]);
    let named = |n: &Node| n.at(&["metadata", "name"]).and_then(Node::as_str) == Some(&mount.name);
    if let (Kind::StatefulSet, Some(claim)) = (workload.kind, claims.iter().find(|n| named(n))) {
        let name = template_claim(&mount.name, workload, pod.index);
        let key = claimed(build, pod, &name, &claim.span);
        return Some((Source::Named(key), claim.span.clone()));
    }
    let message = format!(
        "the pod of `{}` has no volume `{}`",
        workload.name(),
        mount.name
    );
    build.once(
        Problem::at(
            ProblemKind::UnknownReference,
            at.get("name").span(),
            message,
        )
        .help("declare it under `volumes` of the pod"),
    );
    None
}

fn kind(
    build: &mut Build<'_>,
    pod: &Pod<'_>,
    c: &Container,
    v: &Volume,
    at: At<'_>,
) -> Option<Source> {
    if let Some(entries) = files::of(build, pod, c, v, at) {
        return Some(Source::Files(entries));
    }
    if let Some(dir) = &v.empty_dir {
        let at = at.get("emptyDir");
        let limit = dir.size_limit.as_ref().and_then(|q| Quantity::parse(&q.0));
        let gid = pod.fs_group();
        if dir.medium.as_deref() == Some("Memory") {
            if is_own_memory(pod.workload, v) {
                return Some(Source::Memory(limit.map(Quantity::units)));
            }
            let size = limit.map(Quantity::units);
            return Some(Source::Named(own(build, pod, v, at.span(), Some(size))));
        }
        let key = own(build, pod, v, at.span(), None);
        if let Some(limit) = &dir.size_limit {
            build.record(
                (&format!("volume:{key}"), "sizeLimit"),
                (Class::Dropped, Severity::Info),
                (&limit.0, "the engine does not limit the size of a volume"),
                at.get("sizeLimit").span(),
            );
        }
        let mode = if gid.is_some() { 0o2777 } else { 0o777 };
        root(build, &key, mode, gid.unwrap_or(0));
        return Some(Source::Named(key));
    }
    if let Some(claim) = &v.persistent_volume_claim {
        let namespace = pod.workload.namespace();
        let at = at.get("persistentVolumeClaim").get("claimName");
        let object = build
            .cluster
            .find("PersistentVolumeClaim", namespace, &claim.claim_name);
        let span = object.map_or(at.span(), |o| o.span()).clone();
        let key = claimed(build, pod, &claim.claim_name, &span);
        return Some(Source::Named(key));
    }
    if let Some(host) = &v.host_path {
        let kind = host.type_.as_deref().unwrap_or_default();
        return Some(Source::Host {
            path: host.path.clone(),
            create: matches!(kind, "" | "DirectoryOrCreate"),
        });
    }
    if let Some(image) = &v.image {
        return Some(Source::Image(image.reference.clone().unwrap_or_default()));
    }
    let key = own(build, pod, v, at.span(), None);
    grouped(build, pod, &key);
    if v.ephemeral.is_none() {
        let map = at.node().and_then(Node::as_map);
        let kind = map.and_then(|m| m.keys().find(|k| *k != "name"));
        let kind = kind.unwrap_or("nothing").to_owned();
        let record = build.record(
            (&format!("volume:{key}"), &kind),
            (Class::Substituted, Severity::High),
            (&kind, "what production keeps there is not in these files"),
            at.span(),
        );
        record.actual = "an empty volume".into();
    }
    Some(Source::Named(key))
}

/// The name of the claim that a StatefulSet makes of a template for one of its pods.
fn template_claim(template: &str, workload: &Workload<'_>, index: u32) -> String {
    format!("{template}-{}-{index}", workload.name())
}

/// What the volume of a claim is called: the claim's name, with the namespace where there are
/// several.
fn claim_key(cluster: &Cluster<'_>, namespace: &str, claim: &str) -> String {
    plain_key(&match cluster.namespaces.len() > 1 {
        true => format!("{namespace}-{claim}"),
        false => claim.to_owned(),
    })
}

/// The names of the volumes of all claims, which no other volume may take.
pub fn claim_keys(cluster: &Cluster<'_>) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for workload in &cluster.workloads {
        let volumes = workload.pod.volumes.iter().flatten();
        let claims = volumes.filter_map(|v| v.persistent_volume_claim.as_ref());
        let mut claims: Vec<String> = claims.map(|c| c.claim_name.clone()).collect();
        let templates = workload.object.spec().get("volumeClaimTemplates");
        let templates = templates.node().and_then(Node::as_seq).unwrap_or(&[]);
        let named = |n: &Node| {
            let name = n.at(&["metadata", "name"]).and_then(Node::as_str);
            name.map(str::to_owned)
        };
        for template in templates.iter().filter_map(named) {
            let pods = 0..workload.replicas.max(1);
            claims.extend(pods.map(|i| template_claim(&template, workload, i)));
        }
        let all = claims.iter();
        keys.extend(all.map(|c| claim_key(cluster, workload.namespace(), c)));
    }
    keys
}

/// The volume of a claim: production's storage is not here.
fn claimed(build: &mut Build<'_>, pod: &Pod<'_>, claim: &str, span: &Span) -> String {
    let namespace = pod.workload.namespace();
    let wanted = claim_key(build.cluster, namespace, claim);
    let key = build.volume(("claim", namespace, claim), &wanted, span, None);
    grouped(build, pod, &key);
    key
}

/// A volume that one pod has for itself.
fn own(
    build: &mut Build<'_>,
    pod: &Pod<'_>,
    v: &Volume,
    span: &Span,
    memory: Option<Option<i64>>,
) -> String {
    let wanted = format!("{}-{}", pod.service, v.name);
    build.volume(("pod", &pod.service, &v.name), &wanted, span, memory)
}

/// Gives a volume the group of its pod.
fn grouped(build: &mut Build<'_>, pod: &Pod<'_>, key: &str) {
    if let Some(gid) = pod.fs_group() {
        root(build, key, 0o2775, gid);
    }
}

fn root(build: &mut Build<'_>, key: &str, mode: u32, gid: i64) {
    let gid = u32::try_from(gid).unwrap_or(0);
    let roots = &mut build.beyond.extension.volume_roots;
    roots
        .entry(key.to_owned())
        .or_insert(VolumeRoot { mode, gid });
}

fn put_volume(
    build: &mut Build<'_>,
    pod: &Pod<'_>,
    out: &mut Out,
    key: String,
    mount: &VolumeMount,
    sub: &str,
    (at, span): (At<'_>, &Span),
) {
    let key = match sub {
        "" => key,
        // Engines before Docker 26 mount whole volumes only: each part is one of its own.
        sub => {
            let wanted = format!("{key}-{}", sub.replace('/', "-"));
            let part = build.volume(("part", &key, sub), &wanted, span, None);
            if let Some(of) = build.beyond.extension.volume_roots.get(&key).copied() {
                build.beyond.extension.volume_roots.insert(part.clone(), of);
            }
            if is_mounted_whole(pod, mount) {
                let record = build.record(
                    (&format!("service:{}", out.name), &format!("volumeMounts[{}].subPath", mount.mount_path)),
                    (Class::Substituted, Severity::High),
                    (sub, "the volume is mounted as a whole as well, and does not show what is written here"),
                    at.get("subPath").span(),
                );
                record.actual.clone_from(&part);
            }
            part
        }
    };
    let mut dict = out.mount("volume", &key, mount, at);
    let mut options = Dict::at(at.span());
    options.bool("nocopy", true, at.span());
    dict.dict("volume", options);
    out.volumes.push(dict.done());
}

/// Whether a volume is memory that one container mounts, as a whole, and nobody else.
pub fn is_own_memory(workload: &Workload<'_>, volume: &Volume) -> bool {
    let dir = volume.empty_dir.as_ref();
    let init = workload.pod.init_containers.iter().flatten();
    let mounts = init
        .chain(&workload.pod.containers)
        .flat_map(|c| c.volume_mounts.iter().flatten())
        .filter(|m| m.name == volume.name);
    let mounts: Vec<_> = mounts.collect();
    let whole = |m: &&VolumeMount| m.sub_path.is_none() && m.sub_path_expr.is_none();
    dir.is_some_and(|d| d.medium.as_deref() == Some("Memory"))
        && mounts.len() <= 1
        && mounts.iter().all(whole)
}

/// Whether the volume of a mount is mounted without a part anywhere in the pod.
fn is_mounted_whole(pod: &Pod<'_>, mount: &VolumeMount) -> bool {
    pod.mounts().any(|m| {
        let part = m.sub_path.as_deref().or(m.sub_path_expr.as_deref());
        m.name == mount.name && part.unwrap_or_default().is_empty()
    })
}

fn put_files(
    build: &mut Build<'_>,
    pod: &Pod<'_>,
    out: &mut Out,
    entries: Vec<Entry>,
    mount: &VolumeMount,
    sub: &str,
    at: At<'_>,
) {
    let target = clean(&mount.mount_path);
    let gid = pod.fs_group();
    if let Some(entry) = entries.iter().find(|e| !sub.is_empty() && e.path == sub) {
        out.file(entry, &target, gid);
        return;
    }
    let inside = format!("{sub}/");
    let below: Vec<(&Entry, String)> = entries
        .iter()
        .filter_map(|e| match sub {
            "" => Some((e, e.path.clone())),
            _ => Some((e, e.path.strip_prefix(&inside)?.to_owned())),
        })
        .collect();
    if below.is_empty() && !sub.is_empty() && !entries.is_empty() {
        let known: Vec<&str> = entries.iter().map(|e| e.path.as_str()).collect();
        let message = format!("the volume `{}` has no file `{sub}`", mount.name);
        build.once(
            Problem::at(
                ProblemKind::UnknownReference,
                at.get("subPath").span(),
                message,
            )
            .help(format!("it has {}", known.join(", "))),
        );
        return;
    }
    let directories = &mut build.beyond.extension.directories;
    directories
        .entry(out.name.clone())
        .or_default()
        .push(target.clone());
    for (entry, path) in below {
        out.file(entry, &format!("{target}/{path}"), gid);
    }
}
