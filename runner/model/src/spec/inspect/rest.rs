//! What no other part reads: noted when it could mean something, so that nothing is lost
//! silently.

use crate::fidelity::{Class, Severity};
use crate::yaml::Node;

use super::draft::Draft;
use super::field::{filled, object, says, shown, text};

/// Keys of a container that are read, or that tell of its life on that host only.
const CONTAINER: [&str; 32] = [
    "AppArmorProfile",
    "Args",
    "Config",
    "Created",
    "Driver",
    "ExecDriver",
    "ExecIDs",
    "GraphDriver",
    "HostConfig",
    "HostnamePath",
    "HostsPath",
    "Id",
    "Image",
    "ImageManifestDescriptor",
    "LogPath",
    "MountLabel",
    "Mounts",
    "Name",
    "NetworkSettings",
    "Node",
    "Path",
    "Platform",
    "ProcessLabel",
    "ResolvConfPath",
    "RestartCount",
    "SizeRootFs",
    "SizeRw",
    "State",
    "Storage",
    "Volumes",
    "VolumesRW",
    "AppliedVolumesFrom",
];

/// Keys of `Config` that are read, or that only tell how somebody was attached.
const CONFIG: [&str; 27] = [
    "ArgsEscaped",
    "AttachStderr",
    "AttachStdin",
    "AttachStdout",
    "Cmd",
    "Domainname",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Hostname",
    "Image",
    "Labels",
    "MacAddress",
    "NetworkDisabled",
    "OnBuild",
    "OpenStdin",
    "PublishService",
    "Shell",
    "StdinOnce",
    "StopSignal",
    "StopTimeout",
    "Tty",
    "User",
    "VolumeDriver",
    "Volumes",
    "WorkingDir",
];

/// Keys of `HostConfig` that are read, or that say nothing of what runs.
const HOST: [&str; 67] = [
    "Annotations",
    "AutoRemove",
    "Binds",
    "BlkioDeviceReadBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceWriteIOps",
    "BlkioWeight",
    "BlkioWeightDevice",
    "CapAdd",
    "CapDrop",
    "CgroupParent",
    "CgroupnsMode",
    "ConsoleSize",
    "ContainerIDFile",
    "CpuCount",
    "CpuPercent",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpuShares",
    "CpusetCpus",
    "DeviceCgroupRules",
    "DeviceRequests",
    "Devices",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "GroupAdd",
    "Init",
    "IpcMode",
    "Isolation",
    "Links",
    "LogConfig",
    "MaskedPaths",
    "Memory",
    "MemoryReservation",
    "MemorySwap",
    "MemorySwappiness",
    "Mounts",
    "NanoCpus",
    "NetworkMode",
    "OomKillDisable",
    "OomScoreAdj",
    "PidMode",
    "PidsLimit",
    "PortBindings",
    "Privileged",
    "PublishAllPorts",
    "ReadonlyPaths",
    "ReadonlyRootfs",
    "RestartPolicy",
    "Runtime",
    "SecurityOpt",
    "ShmSize",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "UTSMode",
    "Ulimits",
    "UsernsMode",
    "VolumeDriver",
    "VolumesFrom",
    // Every old engine has it, and it means the same as `Cgroupns`.
    "Cgroup",
    "LxcConf",
];

pub(super) fn read(d: &mut Draft<'_>) {
    unknown(d, d.c.node, "", &CONTAINER);
    unknown(d, d.c.config, "Config.", &CONFIG);
    unknown(d, d.c.host, "HostConfig.", &HOST);
    control_groups(d);
    profile(d);
    if let Some(node) = filled(d.c.host, "AutoRemove") {
        let record = d.note("AutoRemove", Class::Dropped, Severity::Info, &node.span);
        record.reason = "the stack's containers are removed at its end".to_owned();
    }
}

fn unknown(d: &mut Draft<'_>, node: &Node, prefix: &str, known: &[&str]) {
    let entries = node.as_map().into_iter().flat_map(|m| m.0.iter());
    for (key, entry) in entries.filter(|(k, e)| !known.contains(&k.as_str()) && says(&e.node)) {
        let field = format!("{prefix}{key}");
        let record = d.note(field, Class::Dropped, Severity::Medium, &entry.key);
        record.declared = shown(&entry.node);
        record.reason = "Compose has no word for it".to_owned();
    }
}

/// What a container sees of the control groups depends on the host's kernel unless it is said.
fn control_groups(d: &mut Draft<'_>) {
    let Some(node) = filled(d.c.host, "CgroupnsMode") else {
        return;
    };
    let record = d.note("cgroup", Class::Unknown, Severity::Info, &node.span);
    record.declared = shown(node);
    record.reason =
        "the engine fills it in by the version of its host's control groups; whether it was asked for cannot be seen"
            .to_owned();
}

/// A profile that nobody asked for is the engine's own.
fn profile(d: &mut Draft<'_>) {
    let asked = object(d.c.host, "SecurityOpt");
    let Some(profile) = text(d.c.node, "AppArmorProfile") else {
        return;
    };
    let usual = ["docker-default", "unconfined"];
    if usual.contains(&profile) || asked.as_seq().is_some() {
        return;
    }
    if let Some(node) = d.c.node.get("AppArmorProfile") {
        let record = d.note("AppArmorProfile", Class::Dropped, Severity::Low, &node.span);
        record.declared = shown(node);
        record.reason = "it is a profile of production's host".to_owned();
    }
}
