//! The part of the body about what the container may use.

use serde_json::{Value as Json, json};

use super::fields::Fields;
use super::{BodyRequest, limits, mounts, network, security};
use crate::diag::Problems;
use crate::mirror::{Restart, Service};

pub(super) fn put(request: &BodyRequest<'_>, host: &mut Fields, problems: &mut Problems) {
    let service = request.service;
    let confinement = &service.security;
    let spaces = &service.namespaces;
    let net = &service.network;

    mounts::put(request, host);
    host.opt("LogConfig", logging(service));
    host.set("NetworkMode", network::mode(request));
    host.map("PortBindings", network::port_bindings(net));
    host.opt("RestartPolicy", restart(service));
    host.text("VolumeDriver", &service.mounts.volume_driver);
    host.texts("VolumesFrom", &network::volumes_from(request));
    host.texts("CapAdd", &confinement.cap_add);
    host.texts("CapDrop", &confinement.cap_drop);
    host.shown("CgroupnsMode", &spaces.cgroup);
    host.texts("Dns", &net.dns);
    host.texts("DnsOptions", &net.dns_options);
    host.texts("DnsSearch", &net.dns_search);
    host.list("ExtraHosts", network::extra_hosts(net));
    host.texts("GroupAdd", &service.process.groups);
    host.shown("IpcMode", &spaces.ipc);
    host.list("Links", network::links(request));
    host.int("OomScoreAdj", &service.limits.oom_score_adj);
    host.shown("PidMode", &spaces.pid);
    host.flag("Privileged", &confinement.privileged);
    host.flag("ReadonlyRootfs", &confinement.read_only_root);
    security::put(request, host, problems);
    host.text_map("StorageOpt", &service.mounts.storage_opt);
    host.map("Tmpfs", mounts::tmpfs(service));
    host.shown("UTSMode", &spaces.uts);
    host.shown("UsernsMode", &spaces.user);
    host.bytes("ShmSize", &service.limits.shm_size);
    host.text_map("Sysctls", &confinement.sysctls);
    host.text("Runtime", &confinement.runtime);
    host.text("Isolation", &confinement.isolation);
    host.opt("Init", service.process.init.as_ref().map(|i| i.value));
    host.text_map("Annotations", &service.annotations);
    limits::put(service, host);
}

fn logging(service: &Service) -> Option<Json> {
    let logging = service.logging.as_ref()?;
    let mut config = Fields::new();
    config.set("Type", logging.driver.as_ref().map_or("", |d| d.as_str()));
    config.text_map("Config", &logging.options);
    Some(config.into_json())
}

/// The restart policy; an orchestrator's comes before the container's own.
fn restart(service: &Service) -> Option<Json> {
    let ruled = service.deployment.as_ref().and_then(|d| d.restart.as_ref());
    let (name, attempts) = match (ruled, &service.restart) {
        (Some(rule), _) => (
            rule.condition
                .as_ref()
                .map_or("", |c| c.as_str())
                .to_owned(),
            rule.max_attempts.as_ref().map_or(0, |n| n.value),
        ),
        (None, Some(restart)) => match &restart.value {
            Restart::OnFailure(max) => ("on-failure".to_owned(), max.unwrap_or(0).into()),
            other => (other.to_string(), 0),
        },
        (None, None) => return None,
    };
    let name = match name.as_str() {
        "none" => "no",
        "any" => "always",
        name => name,
    };
    Some(json!({ "Name": name, "MaximumRetryCount": attempts }))
}
