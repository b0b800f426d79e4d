//! Volumes, binds and memory of a container.

use crate::fidelity::{Class, Severity};
use crate::source::Span;
use crate::yaml::{Mapping, Node};

use super::container::{find, mounts_at};
use super::draft::Draft;
use super::field::{filled, is_anonymous, list, map, mapping, object, text};
use super::reader::Reader;

/// A mount as it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Mount {
    /// `bind`, `volume`, `tmpfs`, `image`, `npipe`, `cluster`.
    pub kind: String,
    /// Path on the host, or name of the volume.
    pub source: String,
    /// Path in the container.
    pub target: String,
    /// Whether it is read-only.
    pub read_only: bool,
    /// What only its kind has (`bind:`, `volume:`, `tmpfs:`).
    pub options: Mapping,
    /// Where it stands.
    pub span: Span,
}

impl Mount {
    /// As Compose writes it.
    pub fn node(&self) -> Node {
        let text = |t: &str| Node::str(t, self.span.clone());
        let source = (!self.source.is_empty()).then(|| text(&self.source));
        let mut node = mapping(
            &self.span,
            [
                ("type", Some(text(&self.kind))),
                ("source", source),
                ("target", Some(text(&self.target))),
                (
                    "read_only",
                    self.read_only.then(|| Node::bool(true, self.span.clone())),
                ),
            ],
        );
        if !self.options.is_empty()
            && let Some(map) = node.as_map_mut()
        {
            let options = crate::yaml::Value::Map(self.options.clone());
            map.insert(self.kind.clone(), Node::new(options, self.span.clone()));
        }
        node
    }

    fn option(&mut self, name: &str, node: Node) {
        self.options.insert(name, node);
    }
}

pub(super) fn read(d: &mut Draft<'_>, reader: &mut Reader<'_>) {
    volumes_from(d, reader);
    for (path, options) in map(d.c.host, "Tmpfs").iter() {
        let text = match options.as_str() {
            Some(o) if !o.is_empty() => format!("{path}:{o}"),
            _ => path.to_owned(),
        };
        d.push("tmpfs", Node::str(text, options.span.clone()));
    }
    let mut mounts = asked(d);
    mounts.extend(come_about(d, reader, &mounts));
    d.targets = mounts.iter().map(|m| m.target.clone()).collect();
    let borrowed = list(d.c.node, "Mounts").iter();
    let borrowed = borrowed.filter_map(|m| text(m, "Destination"));
    d.targets.extend(borrowed.map(str::to_owned));
    for mount in mounts {
        match mount.kind.as_str() {
            "bind" => reader.bind(d, mount),
            "volume" => volume(d, reader, mount),
            _ => d.push("volumes", mount.node()),
        }
    }
    reader.files_beyond_mounts(d);
}

/// `HostConfig.Binds` and `HostConfig.Mounts`.
fn asked(d: &mut Draft<'_>) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for node in list(d.c.host, "Binds") {
        match node.as_str().and_then(|t| bind(t, node)) {
            Some(mount) => mounts.push(mount),
            None => {
                let declared = super::field::shown(node);
                let record = d.note("volumes", Class::Dropped, Severity::High, &node.span);
                record.declared = declared;
                record.reason = "this is no bind of a Linux engine".to_owned();
            }
        }
    }
    mounts.extend(list(d.c.host, "Mounts").iter().filter_map(typed));
    mounts
}

/// `SOURCE:TARGET[:OPTIONS]`
fn bind(text: &str, node: &Node) -> Option<Mount> {
    let mut parts = text.splitn(3, ':');
    let (source, target) = (parts.next()?, parts.next()?);
    if !target.starts_with('/') || source.is_empty() {
        return None;
    }
    let mut mount = Mount {
        kind: if source.starts_with('/') {
            "bind"
        } else {
            "volume"
        }
        .to_owned(),
        source: source.to_owned(),
        target: target.to_owned(),
        read_only: false,
        options: Mapping::default(),
        span: node.span.clone(),
    };
    for option in parts.next().unwrap_or("").split(',') {
        mode(&mut mount, option, &node.span);
    }
    Some(mount)
}

/// One option of a bind (`ro`, `z`, `rshared`, `nocopy`…).
fn mode(mount: &mut Mount, option: &str, span: &Span) {
    let text = |t: &str| Node::str(t, span.clone());
    let is_bind = mount.kind == "bind";
    match option {
        "ro" => mount.read_only = true,
        "z" | "Z" if is_bind => mount.option("selinux", text(option)),
        "shared" | "rshared" | "slave" | "rslave" | "private" if is_bind => {
            mount.option("propagation", text(option));
        }
        "nocopy" if !is_bind => mount.option("nocopy", Node::bool(true, span.clone())),
        _ => {}
    }
}

/// A mount of `HostConfig.Mounts`.
fn typed(node: &Node) -> Option<Mount> {
    let mut mount = Mount {
        kind: text(node, "Type")?.to_owned(),
        source: text(node, "Source").unwrap_or("").to_owned(),
        target: text(node, "Target")?.to_owned(),
        read_only: super::field::is_on(node, "ReadOnly"),
        options: Mapping::default(),
        span: place(node),
    };
    let (bind, volume) = (object(node, "BindOptions"), object(node, "VolumeOptions"));
    if let Some(p) = filled(bind, "Propagation").filter(|p| p.as_str() != Some("rprivate")) {
        mount.option("propagation", p.clone());
    }
    if let Some(n) = filled(volume, "NoCopy") {
        mount.option("nocopy", n.clone());
    }
    if let Some(n) = filled(volume, "Subpath") {
        mount.option("subpath", n.clone());
    }
    let tmpfs = object(node, "TmpfsOptions");
    for (field, key) in [("SizeBytes", "size"), ("Mode", "mode")] {
        if let Some(n) = filled(tmpfs, field) {
            mount.option(key, n.clone());
        }
    }
    Some(mount)
}

/// Where a mount says what is mounted.
fn place(node: &Node) -> Span {
    let source = filled(node, "Source").or(filled(node, "Name"));
    source.map_or(&node.span, |n| &n.span).clone()
}

/// Mounts that nobody asked the host for: volumes that an image or the container declares, and
/// everything in captures that are too old to say what was asked for.
fn come_about(d: &Draft<'_>, reader: &Reader<'_>, asked: &[Mount]) -> Vec<Mount> {
    let borrowed = |target: &str| {
        super::field::texts(d.c.host, "VolumesFrom")
            .iter()
            .any(|from| {
                let other = find(reader.containers, volumes_of(from).0);
                other.is_some_and(|o| mounts_at(o.node, target))
            })
    };
    let of_image = |target: &str| {
        let volumes = d.c.image_config().map(|i| map(i, "Volumes"));
        volumes.is_some_and(|v| v.contains_key(target))
    };
    let tmpfs = map(d.c.host, "Tmpfs");
    list(d.c.node, "Mounts")
        .iter()
        .filter_map(|node| {
            let target = text(node, "Destination")?;
            let name = text(node, "Name");
            let known = asked.iter().any(|m| m.target == target)
                || tmpfs.contains_key(target)
                || borrowed(target);
            let brought = of_image(target) && name.is_none_or(is_anonymous);
            if known || brought {
                return None;
            }
            let kind = match text(node, "Type") {
                Some(kind) => kind,
                None if name.is_some() => "volume",
                None => "bind",
            };
            let source = name.or(text(node, "Source")).unwrap_or("");
            let mut mount = Mount {
                kind: kind.to_owned(),
                source: if kind == "tmpfs" { "" } else { source }.to_owned(),
                target: target.to_owned(),
                read_only: node.get("RW").is_some_and(|n| !super::field::says(n)),
                options: Mapping::default(),
                span: place(node),
            };
            for option in text(node, "Mode").unwrap_or("").split(',') {
                mode(&mut mount, option, &node.span);
            }
            Some(mount)
        })
        .collect()
}

fn volume(d: &mut Draft<'_>, reader: &mut Reader<'_>, mut mount: Mount) {
    if mount.source.is_empty() || is_anonymous(&mount.source) {
        mount.source.clear();
    } else {
        mount.source = reader.volume(&mount.source, d.c.project, &mount.span);
    }
    d.push("volumes", mount.node());
}

/// A reference of `VolumesFrom`, and its mode.
fn volumes_of(from: &str) -> (&str, Option<&str>) {
    match from.split_once(':') {
        Some((id, mode)) => (id, Some(mode)),
        None => (from, None),
    }
}

fn volumes_from(d: &mut Draft<'_>, reader: &Reader<'_>) {
    for node in list(d.c.host, "VolumesFrom") {
        let Some(from) = node.as_str() else { continue };
        let (id, mode) = volumes_of(from);
        let other = match find(reader.containers, id) {
            Some(other) => other.service.clone(),
            None => format!("container:{id}"),
        };
        let text = match mode {
            Some(mode) => format!("{other}:{mode}"),
            None => other,
        };
        d.push("volumes_from", Node::str(text, node.span.clone()));
    }
}
