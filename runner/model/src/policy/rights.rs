//! Rights, devices and confinement.

use super::rule::{Case, Found, is_on, take_unless};
use crate::fidelity::Severity;
use crate::mirror::{DeviceRequest, Service, Sourced};

/// Capabilities that stay inside of a container's own namespaces: the engine's default ones,
/// and those that act on its own processes and memory.
const HARMLESS_CAPABILITIES: [&str; 20] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "SYS_NICE",
    "SYS_PTRACE",
    "SYS_RESOURCE",
];

/// `privileged`.
pub fn privileged(s: &mut Service, case: &mut Case<'_>) {
    if let Some(p) = &s.security.privileged
        && p.value
        && case.found(Found::at("privileged", "true", &p.span))
    {
        s.security.privileged = None;
    }
}

/// `privileged` of a hook.
pub fn privileged_hook(s: &mut Service, case: &mut Case<'_>) {
    let hooks = s
        .post_start
        .iter_mut()
        .map(|h| ("post_start", h))
        .chain(s.pre_stop.iter_mut().map(|h| ("pre_stop", h)));
    for (field, hook) in hooks {
        if let Some(p) = &hook.value.privileged
            && p.value
            && case.found(Found::at(format!("{field}.privileged"), "true", &p.span))
        {
            hook.value.privileged = None;
        }
    }
}

/// `cap_add`.
pub fn capability(s: &mut Service, case: &mut Case<'_>) {
    s.security.cap_add.retain(|cap| {
        let name = cap.trim().to_ascii_uppercase();
        let name = name.strip_prefix("CAP_").unwrap_or(&name);
        HARMLESS_CAPABILITIES.contains(&name) || !case.found(Found::at("cap_add", name, &cap.span))
    });
}

/// `devices`.
pub fn device(s: &mut Service, case: &mut Case<'_>) {
    s.limits.devices.retain(|d| {
        let source = d.source.as_ref().map_or("", |s| s.as_str());
        !case.found(Found::at("devices", source, &d.span))
    });
}

/// `device_cgroup_rules`.
pub fn device_rule(s: &mut Service, case: &mut Case<'_>) {
    s.limits
        .device_cgroup_rules
        .retain(|r| !case.found(Found::text("device_cgroup_rules", r)));
}

/// `gpus`, and devices of `deploy`.
pub fn gpus(s: &mut Service, case: &mut Case<'_>) {
    let mut drop_all = |list: &mut Vec<Sourced<DeviceRequest>>, field: &str| {
        list.retain(|d| {
            let driver = d.driver.as_ref().map_or("", |d| d.as_str());
            !case.found(Found::at(field, driver, &d.span))
        });
    };
    drop_all(&mut s.limits.gpus, "gpus");
    let resources = s
        .deployment
        .as_mut()
        .and_then(|d| d.value.resources.as_mut());
    if let Some(resources) = resources {
        let sets = [
            (
                &mut resources.value.reservations,
                "deploy.resources.reservations.devices",
            ),
            (
                &mut resources.value.limits,
                "deploy.resources.limits.devices",
            ),
        ];
        for (set, field) in sets {
            if let Some(set) = set {
                drop_all(&mut set.value.devices, field);
            }
        }
    }
}

/// `security_opt` that takes confinement away.
pub fn security_option(s: &mut Service, case: &mut Case<'_>) {
    let root = &case.project.root.clone();
    s.security.options.retain(|option| {
        let (name, value) = option
            .split_once(['=', ':'])
            .unwrap_or((option.as_str(), ""));
        let harmless = match name {
            "no-new-privileges" => matches!(value, "" | "true" | "false"),
            "label" => value != "disable" && !value.starts_with("type:"),
            "apparmor" => value == "docker-default",
            "seccomp" => match value {
                "builtin" => true,
                "unconfined" | "" => false,
                inline if inline.trim_start().starts_with('{') => false,
                file => {
                    let written = crate::yaml::Spanned::new(file.to_owned(), option.span.clone());
                    crate::project::path::inside(root, root, &written).is_ok()
                }
            },
            _ => false,
        };
        harmless || !case.found(Found::text("security_opt", option).now("the engine's default"))
    });
}

/// `sysctls` of the whole host.
pub fn sysctl(s: &mut Service, case: &mut Case<'_>) {
    s.security.sysctls.retain(|name, value| {
        let own = name.starts_with("net.")
            || name.starts_with("fs.mqueue.")
            || name.starts_with("kernel.msg")
            || name.starts_with("kernel.shm")
            || name == "kernel.sem";
        own || !case.found(Found::at(format!("sysctls.{name}"), name, &value.span))
    });
}

/// `runtime`.
pub fn runtime(s: &mut Service, case: &mut Case<'_>) {
    take_unless(
        &mut s.security.runtime,
        "runtime",
        "the engine's default",
        case,
        |r| matches!(r, "runc" | "io.containerd.runc.v2"),
    );
}

/// `isolation`.
pub fn isolation(s: &mut Service, case: &mut Case<'_>) {
    take_unless(
        &mut s.security.isolation,
        "isolation",
        "default",
        case,
        |i| i == "default",
    );
}

/// `cgroup_parent`.
pub fn cgroup_parent(s: &mut Service, case: &mut Case<'_>) {
    take_unless(
        &mut s.security.cgroup_parent,
        "cgroup_parent",
        "the engine's",
        case,
        |_| false,
    );
}

/// `credential_spec`.
pub fn credential_spec(s: &mut Service, case: &mut Case<'_>) {
    if let Some(c) = &s.security.credential_spec
        && case.found(Found::at("credential_spec", "", &c.span))
    {
        s.security.credential_spec = None;
    }
}

/// `use_api_socket`.
pub fn api_socket(s: &mut Service, case: &mut Case<'_>) {
    if let Some(e) = &s.security.engine_socket
        && is_on(Some(e))
        && case.found(Found::at("use_api_socket", "true", &e.span))
    {
        s.security.engine_socket = None;
    }
}

/// `annotations`, which steer OCI runtimes and their hooks.
pub fn annotation(s: &mut Service, case: &mut Case<'_>) {
    s.annotations.retain(|name, value| {
        !case.found(Found::at(format!("annotations.{name}"), name, &value.span))
    });
}

/// `provider`: a program that runs beside the engine.
pub fn provider(s: &mut Service, case: &mut Case<'_>) {
    if let Some(p) = &s.provider {
        let kind = p.kind.as_ref().map_or("", |k| k.as_str());
        if case.found(Found::at("provider", kind, &p.span)) {
            s.provider = None;
        }
    }
}

/// `models`: a service of the engine's host answers for them.
pub fn model(s: &mut Service, case: &mut Case<'_>) {
    let span = s.name.span.clone();
    s.models
        .retain(|name, _| !case.found(Found::at("models", name, &span)));
}

/// Logging drivers that send lines somewhere.
pub fn logging(s: &mut Service, case: &mut Case<'_>) {
    let Some(logging) = &mut s.logging else {
        return;
    };
    let Some(driver) = &logging.value.driver else {
        return;
    };
    match driver.as_str() {
        "none" | "local" => {}
        "json-file" | "" => {
            // The local drivers' own options: none of them leads anywhere.
        }
        _ => {
            if case.found(Found::text("logging.driver", driver).now("json-file")) {
                let driver = driver.with("json-file".to_owned());
                logging.value.driver = Some(driver);
                logging.value.options.clear();
            }
        }
    }
}

/// `storage_opt`, which not every engine has.
pub fn storage(s: &mut Service, case: &mut Case<'_>) {
    if let Some((name, value)) = s.mounts.storage_opt.first() {
        let field = format!("storage_opt.{name}");
        if case.found_as(
            Found::at(field, name, &value.span),
            Severity::Medium,
            "it depends on the engine's storage driver",
        ) {
            s.mounts.storage_opt.clear();
        }
    }
}
