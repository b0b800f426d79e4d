//! What a container may use and how its state is seen.

use crate::audit::{Found, Look};
use crate::fidelity::Severity;
use crate::mirror::{MountKind, ResourceSet, Service};

/// Services without a memory limit.
pub fn memory(look: &Look<'_>, found: &mut Found) {
    let limited =
        |s: &Service| s.limits.memory.is_some() || limits(s).is_some_and(|l| l.memory.is_some());
    unlimited(look, found, "memory", Severity::Medium, limited);
}

/// Services without a limit of processor time.
pub fn cpu(look: &Look<'_>, found: &mut Found) {
    let limited = |s: &Service| {
        let l = &s.limits;
        let own = l.cpus.is_some() || l.cpu_quota.is_some() || l.cpuset.is_some();
        own || limits(s).is_some_and(|l| l.cpus.is_some())
    };
    unlimited(look, found, "cpus", Severity::Low, limited);
}

fn unlimited(
    look: &Look<'_>,
    found: &mut Found,
    what: &str,
    severity: Severity,
    limited: impl Fn(&Service) -> bool,
) {
    for (key, service) in look.services().filter(|(_, s)| !limited(s)) {
        let job = look.is_job(key, service);
        let finding = found.service(
            key,
            format!("deploy.resources.limits.{what}"),
            &service.name.span,
            format!(
                "`{key}` has no limit of {}",
                if what == "cpus" {
                    "processor time"
                } else {
                    what
                }
            ),
        );
        // It ends soon; what it takes it gives back.
        finding.severity(if job { Severity::Info } else { severity });
    }
}

fn limits(service: &Service) -> Option<&ResourceSet> {
    let resources = service.deployment.as_ref()?.resources.as_ref()?;
    resources.limits.as_ref().map(|l| &l.value)
}

/// Services without a health check.
pub fn health(look: &Look<'_>, found: &mut Found) {
    for (key, service) in look.services() {
        // Kubernetes' probes are checks too.
        let probed = look.beyond.extension.probes.contains_key(key);
        if probed || look.is_job(key, service) {
            continue;
        }
        let image = look.image(service);
        let (span, message) = match &service.health {
            Some(h) if h.disable.as_ref().is_some_and(|d| d.value) => (
                &h.span,
                format!("the health check of `{key}` is switched off"),
            ),
            Some(_) => continue,
            None if image.is_some_and(|i| i.health) => continue,
            None => (&service.name.span, format!("`{key}` has no health check")),
        };
        let finding = found.service(key, "healthcheck", span, message);
        if image.is_some() {
            finding.fix("add a `healthcheck`; its image brings none");
        }
    }
}

/// Read-only and non-root services that name no path to write to.
pub fn writes(look: &Look<'_>, found: &mut Found) {
    for (key, service) in look.services() {
        if has_writable(service) {
            continue;
        }
        let read_only = service.security.read_only_root.as_ref().filter(|r| r.value);
        let user = service.process.user.as_ref().filter(|u| !is_root(u));
        if let Some(r) = read_only {
            found.service(
                key,
                "read_only",
                &r.span,
                format!(
                    "the root file system of `{key}` is read-only, and nothing else can be written"
                ),
            );
        } else if let Some(u) = user {
            found.service(
                key,
                "user",
                &u.span,
                format!(
                    "`{key}` runs as `{}`, and no path is declared for what it writes",
                    u.value
                ),
            );
        }
    }
}

fn is_root(user: &str) -> bool {
    matches!(user.split(':').next(), Some("" | "0" | "root"))
}

fn has_writable(service: &Service) -> bool {
    let mount = service.mounts.list.iter().any(|m| {
        let read_only = m.read_only.as_ref().is_some_and(|r| r.value);
        !read_only
            && matches!(
                m.kind.value,
                MountKind::Volume | MountKind::Bind | MountKind::Tmpfs
            )
    });
    mount || !service.mounts.tmpfs.is_empty() || !service.mounts.volumes_from.is_empty()
}
