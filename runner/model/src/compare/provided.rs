//! Files that one side puts into the containers of a service and the other does not: whether the
//! other side's image has something there.

use super::Side;
use super::change::{Change, Kind};
use super::facts::content::target_of;
use crate::mirror::{MountKind, Service};

/// A path that only one side provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provided {
    /// The service.
    pub service: String,
    /// The path in its containers.
    pub path: String,
    /// The image of the other side, which may have it.
    pub image: String,
    /// The side that provides it.
    pub by: Kind,
}

/// All such paths of services that are on both sides. Paths over or under which the other side
/// mounts something are left out: what is there then, no image says.
pub fn provided(left: Side<'_>, right: Side<'_>) -> Vec<Provided> {
    let mut out = Vec::new();
    for (name, a) in &left.mirror.services {
        let Some(b) = right.mirror.services.get(name) else {
            continue;
        };
        for (one, other, by) in [(a, b, Kind::LeftOnly), (b, a, Kind::RightOnly)] {
            let Some(image) = &other.image.reference else {
                continue;
            };
            let taken = taken(other);
            let paths = files(one).into_iter().filter(|p| {
                let free = other.mounts.volumes_from.is_empty();
                free && !taken.iter().any(|t| overlap(p, t))
            });
            out.extend(paths.map(|path| Provided {
                service: name.clone(),
                path,
                image: image.value.clone(),
                by,
            }));
        }
    }
    out
}

/// Says of such a path what the other side's image has there, where somebody looked.
pub(super) fn tell(left: Side<'_>, right: Side<'_>, changes: &mut [Change]) {
    for p in provided(left, right) {
        let prints = match p.by {
            Kind::LeftOnly => right.fingerprints,
            _ => left.fingerprints,
        };
        let known = prints.get(&p.image).and_then(|f| f.paths.get(&p.path));
        let means = match known {
            Some(false) => {
                "what reads it finds nothing on the other side: its image has nothing there"
            }
            Some(true) => "the other side has what its image has there",
            None => continue,
        };
        let object = format!("service:{}", p.service);
        let fields = [format!("mounts[{}]", p.path), format!("files[{}]", p.path)];
        let of_path = changes
            .iter_mut()
            .filter(|c| c.object == object && c.kind == p.by && fields.contains(&c.field));
        of_path.for_each(|c| means.clone_into(&mut c.means));
    }
}

/// The paths of the files and directories that a service is given.
fn files(service: &Service) -> Vec<String> {
    let binds = service.mounts.list.iter();
    let binds = binds.filter(|m| m.kind.value == MountKind::Bind);
    let binds = binds.filter_map(|m| Some(m.target.as_ref()?.value.clone()));
    let configs = service.config_files.iter();
    let mut out: Vec<String> = binds
        .chain(configs.filter_map(|c| target_of(c, "/")))
        .filter(|p| p.starts_with('/'))
        .collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// Every path of a service at which something other than its image stands.
fn taken(service: &Service) -> Vec<String> {
    let mounts = &service.mounts;
    let mut out = files(service);
    out.extend(
        mounts
            .list
            .iter()
            .filter_map(|m| Some(m.target.as_ref()?.value.clone())),
    );
    out.extend(mounts.tmpfs.iter().map(|t| t.target.clone()));
    let secrets = service.secrets.iter();
    out.extend(secrets.filter_map(|s| target_of(s, "/run/secrets/")));
    out
}

fn overlap(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim_end_matches('/'), b.trim_end_matches('/'));
    let within = |a: &str, b: &str| {
        a.strip_prefix(b)
            .is_some_and(|r| r.is_empty() || r.starts_with('/'))
    };
    within(a, b) || within(b, a)
}
