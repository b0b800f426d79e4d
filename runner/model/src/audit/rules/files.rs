//! Files and paths that production does not have.

use crate::audit::{Found, Look};
use crate::mirror::{FileObject, MountKind, Sourced};

/// Files that are not there.
pub fn missing(look: &Look<'_>, found: &mut Found) {
    for used in all(look) {
        let Some((path, shown)) = look.in_project(&used.path.value) else {
            // A written `../x` leads out of the project; what is there nobody can say.
            if leads_up(used.path) {
                used.tell(
                    look,
                    found,
                    format!("`{}` is outside of the project", used.path.value),
                )
                .why("whoever deploys the project does not get it");
            }
            continue;
        };
        if !path.exists() {
            used.tell(look, found, format!("`{shown}` does not exist"));
        }
    }
}

/// Files that are there and that the repository does not keep.
pub fn untracked(look: &Look<'_>, found: &mut Found) {
    for used in all(look) {
        let Some((path, shown)) = look.in_project(&used.path.value) else {
            continue;
        };
        let empty = path.is_dir()
            && std::fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_none());
        if path.exists() && !empty && look.is_tracked(&shown) == Some(false) {
            used.tell(
                look,
                found,
                format!("`{shown}` is here, but not in the repository"),
            );
        }
    }
}

/// Paths of somebody's own machine.
pub fn laptop(look: &Look<'_>, found: &mut Found) {
    for used in outside(look) {
        if is_laptop(&used.path.value) {
            used.tell(
                look,
                found,
                format!("`{}` is a path of somebody's own machine", used.path.value),
            );
        }
    }
}

/// Paths of the host.
pub fn host(look: &Look<'_>, found: &mut Found) {
    for used in outside(look) {
        let path = used.path.value.as_str();
        let system = ["/proc", "/sys", "/dev", "/run/", "/var/run/"];
        let provided =
            system.iter().any(|s| path.starts_with(s)) || path == "/" || path == "/etc/localtime";
        if !is_laptop(path) && !provided {
            used.tell(look, found, format!("it needs `{path}` of the host"));
        }
    }
}

/// A path of the host that the spec uses.
struct Used<'l> {
    object: String,
    field: String,
    path: &'l Sourced<String>,
}

impl Used<'_> {
    fn tell<'f>(
        &self,
        _look: &Look<'_>,
        found: &'f mut Found,
        what: String,
    ) -> &'f mut crate::audit::Finding {
        found.add(&self.object, self.field.clone(), &self.path.span, what)
    }
}

fn all<'l>(look: &Look<'l>) -> Vec<Used<'l>> {
    let mut out = Vec::new();
    for (key, service) in look.services() {
        let binds = service
            .mounts
            .list
            .iter()
            .filter(|m| m.kind.value == MountKind::Bind);
        for m in binds {
            let (Some(path), Some(target)) = (&m.source, &m.target) else {
                continue;
            };
            out.push(Used {
                object: format!("service:{key}"),
                field: format!("volumes[{}]", target.value),
                path,
            });
        }
    }
    let configs = look
        .mirror
        .config_files
        .iter()
        .map(|(k, o)| ("config", k, o));
    let secrets = look.mirror.secrets.iter().map(|(k, o)| ("secret", k, o));
    for (kind, key, object) in configs.chain(secrets) {
        // Production's secrets are kept elsewhere when the project says where they come from.
        if kind == "secret" && look.project.secret(key).is_some() {
            continue;
        }
        if let Some(path) = file_of(object) {
            out.push(Used {
                object: format!("{kind}:{key}"),
                field: "file".to_owned(),
                path,
            });
        }
    }
    out
}

fn file_of(object: &FileObject) -> Option<&Sourced<String>> {
    object.file.as_ref().filter(|_| !object.is_external())
}

fn outside<'l>(look: &Look<'l>) -> Vec<Used<'l>> {
    let mut all = all(look);
    all.retain(|u| look.in_project(&u.path.value).is_none() && !leads_up(u.path));
    all
}

/// Whether a path is written relative and leads out of the project.
fn leads_up(path: &Sourced<String>) -> bool {
    let written = path.span.text().trim_matches(['"', '\'', '-', ' ']);
    written.starts_with("../") || written.starts_with("./..")
}

fn is_laptop(path: &str) -> bool {
    let drive = path.as_bytes().get(1) == Some(&b':')
        && path.starts_with(|c: char| c.is_ascii_alphabetic());
    let homes = [
        "/home/",
        "/Users/",
        "/root/",
        "/tmp/",
        "/mnt/c/",
        "/mnt/d/",
        "/host_mnt/",
        "/private/",
        "~",
    ];
    drive || homes.iter().any(|h| path.starts_with(h))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_laptops() {
        for p in [
            "/home/eva/shop/a.conf",
            "/Users/x/y",
            "C:\\x",
            "c:/x",
            "~/x",
            "/tmp/x",
        ] {
            assert!(is_laptop(p), "{p}");
        }
        for p in [
            "/srv/data",
            "/etc/ssl/certs",
            "/var/lib/x",
            "/homes/x",
            "/data",
        ] {
            assert!(!is_laptop(p), "{p}");
        }
    }
}
