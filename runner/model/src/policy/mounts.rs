//! Paths of the host, sockets, and volumes that lead elsewhere.

use std::path::Path;

use super::rule::{Case, Found, take_unless};
use crate::fidelity::{Class, Severity};
use crate::mirror::{Mount, MountKind, Service, Sourced, Volume, VolumeOptions};
use crate::project::path;

/// Files of the host that many specs mount although images have their own.
const COMMON_HOST_FILES: [&str; 3] = ["/etc/localtime", "/etc/timezone", "/usr/share/zoneinfo"];

fn is_socket(source: &str) -> bool {
    let file = source.rsplit('/').next().unwrap_or(source);
    file.ends_with(".sock")
        || file.contains(".sock.")
        || matches!(
            source.trim_end_matches('/'),
            "/run" | "/var/run" | "/run/containerd"
        )
        || is_socket_file(source)
}

#[cfg(unix)]
fn is_socket_file(path: &str) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    std::fs::metadata(path).is_ok_and(|m| m.file_type().is_socket())
}

#[cfg(not(unix))]
fn is_socket_file(_: &str) -> bool {
    false
}

/// What a bind's source is to the project.
enum Source {
    /// A socket, or a directory in which the engine's sockets are.
    Socket,
    /// Outside of the project.
    Host,
    /// In the project; whether it is there.
    Project(bool),
}

fn classify(source: &str, case: &Case<'_>) -> Source {
    if is_socket(source) {
        return Source::Socket;
    }
    let root = &case.project.root;
    let written = crate::yaml::Spanned::new(source.to_owned(), crate::source::Span::generated());
    match path::inside(root, root, &written) {
        Ok(p) => Source::Project(p.exists()),
        Err(_) => Source::Host,
    }
}

/// A bind, as the rules see it.
struct Bind<'b> {
    source: &'b str,
    target: &'b str,
    field: String,
    read_only: bool,
}

impl Bind<'_> {
    fn is_common_file(&self) -> bool {
        self.read_only && COMMON_HOST_FILES.contains(&self.source)
    }
}

fn each_bind(
    s: &mut Service,
    case: &mut Case<'_>,
    mut keep: impl FnMut(&mut Sourced<Mount>, Bind<'_>, &mut Case<'_>) -> bool,
) {
    s.mounts.list.retain_mut(|m| {
        if m.kind.value != MountKind::Bind {
            return true;
        }
        let source = m.source.as_ref().map_or(String::new(), |s| s.value.clone());
        let target = m.target.as_ref().map_or(String::new(), |t| t.value.clone());
        let bind = Bind {
            read_only: m.read_only.as_ref().is_some_and(|r| r.value),
            field: format!("volumes[{target}]"),
            source: &source,
            target: &target,
        };
        keep(m, bind, case)
    });
}

/// Binds of sockets, above all the engine's.
pub fn socket(s: &mut Service, case: &mut Case<'_>) {
    each_bind(s, case, |m, bind, case| {
        !matches!(classify(bind.source, case), Source::Socket)
            || !case.found_bind(Found::at(bind.field, bind.source, &m.span), bind.target)
    });
}

/// Binds of paths outside of the project.
pub fn bind(s: &mut Service, case: &mut Case<'_>) {
    each_bind(s, case, |m, bind, case| {
        bind.is_common_file()
            || !matches!(classify(bind.source, case), Source::Host)
            || !case.found_bind(Found::at(bind.field, bind.source, &m.span), bind.target)
    });
}

/// Binds of the host's time zone: the image's own, else UTC.
pub fn host_file(s: &mut Service, case: &mut Case<'_>) {
    each_bind(s, case, |m, bind, case| {
        !bind.is_common_file()
            || !case.found_bind(Found::at(bind.field, bind.source, &m.span), bind.target)
    });
}

/// Binds of the project's own files: the stack has copies, so that any engine can have them
/// and nothing writes into the project.
pub fn project_bind(s: &mut Service, case: &mut Case<'_>) {
    let service = s.name.value.clone();
    each_bind(s, case, |m, bind, case| {
        let Source::Project(exists) = classify(bind.source, case) else {
            return true;
        };
        let span = m.span.clone();
        if let Some(options) = &mut m.value.bind {
            options.value.propagation = None;
            options.value.create_host_path = None;
        }
        if exists && !bind.read_only {
            let found = Found::at(bind.field, bind.source, &span).now("a copy");
            let why = "what the service writes stays in the stack";
            case.note(found, Class::Substituted, Severity::Low, why);
        } else if !exists {
            let found = Found::at(bind.field, bind.source, &span).now("an empty volume");
            let why =
                "the path is not in the project; the engine would make an empty directory of it";
            case.note(found, Class::Substituted, Severity::High, why);
            stand_in(m, bind.source, &service, case);
        }
        true
    });
}

/// Puts an empty volume in the place of a bind whose source is not there. Services that name
/// the same path share it.
fn stand_in(m: &mut Sourced<Mount>, source: &str, service: &str, case: &mut Case<'_>) {
    let below = Path::new(source)
        .strip_prefix(&case.project.root)
        .map_or(source.into(), |p| p.to_string_lossy());
    let name: String = below
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let name = match name.trim_matches('-') {
        "" => format!("missing-{service}"),
        name => format!("missing-{name}"),
    };
    let mut volume = Volume::default();
    volume.declared.span = m.span.clone();
    volume.name = Some(format!("{}_{name}", case.stack).into());
    case.report
        .new_volumes
        .entry(name.clone())
        .or_insert(volume);
    m.value.kind = m.kind.with(MountKind::Volume);
    m.value.source = Some(m.with(name));
    m.value.bind = None;
    let options = VolumeOptions {
        no_copy: Some(m.with(true)),
        ..VolumeOptions::default()
    };
    m.value.volume = Some(m.with(options));
}

/// Named pipes and volumes of clusters.
pub fn special_mount(s: &mut Service, case: &mut Case<'_>) {
    s.mounts.list.retain(|m| {
        let special = matches!(m.kind.value, MountKind::NamedPipe | MountKind::Cluster);
        let source = m.source.as_ref().map_or("", |s| s.as_str());
        let target = m.target.as_ref().map_or("", |t| t.as_str());
        !special || !case.found(Found::at(format!("volumes[{target}]"), source, &m.span))
    });
}

/// `volumes_from` of containers that the spec does not describe.
pub fn volumes_from(s: &mut Service, case: &mut Case<'_>) {
    s.mounts
        .volumes_from
        .retain(|v| !v.starts_with("container:") || !case.found(Found::text("volumes_from", v)));
}

/// `volume_driver` of a service.
pub fn service_volume_driver(s: &mut Service, case: &mut Case<'_>) {
    take_unless(
        &mut s.mounts.volume_driver,
        "volume_driver",
        "local",
        case,
        |d| d == "local",
    );
}

/// Volumes that exist beyond the spec.
pub fn external_volume(v: &mut Volume, case: &mut Case<'_>) {
    if !v.is_external() {
        return;
    }
    let name = v
        .name
        .as_ref()
        .map_or(case.object.to_owned(), |n| n.value.clone());
    let span = v.declared.span.clone();
    let planned = crate::project::find(&case.project.data, case.object).is_some();
    let severity = if planned {
        Severity::Info
    } else {
        Severity::High
    };
    let now = if planned {
        "what `data` says"
    } else {
        "an empty volume"
    };
    let why = case.rule.why;
    if case.found_as(Found::at("external", &name, &span).now(now), severity, why) {
        v.external = None;
        v.name = None;
    }
}

/// Drivers other than the engine's own.
pub fn volume_driver(v: &mut Volume, case: &mut Case<'_>) {
    if let Some(driver) = &v.driver
        && !matches!(driver.as_str(), "local" | "")
        && case.found(Found::text("driver", driver).now("local"))
    {
        let span = driver.span.clone();
        v.driver = None;
        for name in v.driver_opts.keys() {
            let found = Found::at(format!("driver_opts.{name}"), name, &span);
            case.note(
                found,
                Class::Dropped,
                Severity::Info,
                "it belongs to the other driver",
            );
        }
        v.driver_opts.clear();
    }
}

/// Options of the local driver that mount something else than memory.
pub fn volume_option(v: &mut Volume, case: &mut Case<'_>) {
    let is = |name: &str, value: &str| v.driver_opts.get(name).is_some_and(|o| o.value == value);
    let foreign = v
        .driver
        .as_ref()
        .is_some_and(|d| !matches!(d.as_str(), "local" | ""));
    let memory = is("type", "tmpfs") && is("device", "tmpfs");
    if v.driver_opts.is_empty() || memory || foreign {
        return;
    }
    let device = ["device", "type", "o"]
        .iter()
        .find_map(|k| v.driver_opts.get(*k));
    let span = device.map_or(v.declared.span.clone(), |d| d.span.clone());
    let value = device.map_or(String::new(), |d| d.value.clone());
    if case.found(Found::at("driver_opts", &value, &span).now("an empty volume")) {
        v.driver_opts.clear();
    }
}

/// Fixed names, which are global on the engine and may be those of real data.
pub fn volume_name(v: &mut Volume, case: &mut Case<'_>) {
    if v.is_external() {
        return;
    }
    let own = format!("{}_{}", case.stack, case.object);
    let usual = format!("{}_{}", case.production, case.object);
    if v.name
        .as_ref()
        .is_none_or(|name| name.value == own || name.value == usual)
    {
        v.name = Some(own.into());
        return;
    }
    if let Some(name) = &v.name
        && case.found(Found::text("name", name).now(own.clone()))
    {
        v.name = Some(name.with(own));
    }
}
