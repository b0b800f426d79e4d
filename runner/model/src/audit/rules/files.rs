//! Files and paths that production does not have.

use crate::audit::{Found, Look};
use crate::fidelity::Severity;
use crate::mirror::{FileObject, Mount, MountKind, Sourced};

/// Files that are not there.
pub fn missing(look: &Look<'_>, found: &mut Found) {
    for used in all(look) {
        let Some((path, shown)) = look.in_project(&used.path.value) else {
            // A written `../x` leads out of the project; what is there nobody can say.
            if leads_up(used.path) {
                used.tell(
                    found,
                    format!("`{}` is outside of the project", used.path.value),
                )
                .why("whoever deploys the project does not get it");
            }
            continue;
        };
        if !path.exists() {
            let finding = used.tell(found, format!("`{shown}` does not exist"));
            if used.is_made {
                finding
                    .severity(Severity::Medium)
                    .why("the engine makes an empty directory beside the deployed files: what is kept there stays on one host")
                    .fix("keep data in a volume; if files are expected there, add them to the repository");
            }
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
            used.tell(found, format!("it needs `{path}` of the host"));
        }
    }
}

/// A path of the host that the spec uses.
struct Used<'l> {
    object: String,
    field: String,
    path: &'l Sourced<String>,
    /// Whether it is a directory to write to, which the engine makes when it is not there.
    is_made: bool,
}

impl Used<'_> {
    fn tell<'f>(&self, found: &'f mut Found, what: String) -> &'f mut crate::audit::Finding {
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
                is_made: is_made(m),
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
                is_made: false,
            });
        }
    }
    out
}

/// Whether the engine makes the source of a bind, as a directory, and nothing says that a file
/// was meant.
fn is_made(m: &Mount) -> bool {
    let options = m.bind.as_ref();
    let create = options.and_then(|b| b.create_host_path.as_ref());
    let read_only = m.read_only.as_ref().is_some_and(|r| r.value);
    let source = m.source.as_ref().map_or("", |s| s.as_str());
    let name = source.rsplit('/').next().unwrap_or(source);
    let is_file = name.trim_start_matches('.').contains('.');
    create.is_some_and(|c| c.value) && !read_only && !is_file
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
