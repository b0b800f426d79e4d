//! Rights, confinement, namespaces, and what else the host was asked for.

use crate::fidelity::{Class, Severity};
use crate::yaml::{Node, Value};

use super::container::{Container, find};
use super::draft::Draft;
use super::field::{copy_mapping, copy_texts, filled, is_on, list, mapping, text};

/// Lists that Compose has under another name.
const LISTS: [(&str, &str); 8] = [
    ("CapAdd", "cap_add"),
    ("CapDrop", "cap_drop"),
    ("GroupAdd", "group_add"),
    ("Dns", "dns"),
    ("DnsOptions", "dns_opt"),
    ("DnsSearch", "dns_search"),
    ("ExtraHosts", "extra_hosts"),
    ("DeviceCgroupRules", "device_cgroup_rules"),
];

/// Mappings that Compose has under another name.
const MAPPINGS: [(&str, &str); 3] = [
    ("Sysctls", "sysctls"),
    ("StorageOpt", "storage_opt"),
    ("Annotations", "annotations"),
];

/// Texts that Compose has under another name, each with what says nothing.
const TEXTS: [(&str, &str, &[&str]); 6] = [
    ("CgroupParent", "cgroup_parent", &[]),
    ("Runtime", "runtime", &["runc", "io.containerd.runc.v2"]),
    ("Isolation", "isolation", &["default"]),
    ("VolumeDriver", "volume_driver", &[]),
    ("UsernsMode", "userns_mode", &[]),
    ("UTSMode", "uts", &[]),
];

pub(super) fn read(d: &mut Draft<'_>, all: &[Container<'_>]) {
    let host = d.c.host;
    for (field, key) in LISTS {
        if let Some(node) = filled(host, field) {
            d.set(key, without_prefix(copy_texts(node), key));
        }
    }
    for (field, key) in MAPPINGS {
        if let Some(node) = filled(host, field) {
            d.set(key, copy_mapping(node));
        }
    }
    for (field, key, usual) in TEXTS {
        if let Some(node) = filled(host, field)
            && !node.as_str().is_some_and(|v| usual.contains(&v))
        {
            d.set(key, node.clone());
        }
    }
    for (field, key) in [
        ("Privileged", "privileged"),
        ("ReadonlyRootfs", "read_only"),
    ] {
        if let Some(node) = filled(host, field) {
            d.set(key, node.clone());
        }
    }
    if let Some(node) = host.get("Init").filter(|n| !n.is_null()) {
        d.set("init", node.clone());
    }
    options(d);
    namespace(d, "PidMode", "pid", all);
    namespace(d, "IpcMode", "ipc", all);
    restart(d);
    logging(d);
}

/// Engines since 20.10 write capabilities with their prefix, as Compose does not.
fn without_prefix(mut node: Node, key: &str) -> Node {
    if key.starts_with("cap_") {
        for item in node.as_seq_mut().into_iter().flatten() {
            if let Some(bare) = item.as_str().and_then(|c| c.strip_prefix("CAP_")) {
                item.value = Value::Str(bare.to_owned());
            }
        }
    }
    node
}

/// `security_opt`. The engine adds `label=disable` where it shares the host's processes, and
/// takes the masks from `/proc` where it was asked to.
fn options(d: &mut Draft<'_>) {
    let host = d.c.host;
    let shares = is_on(host, "Privileged")
        || ["PidMode", "IpcMode"]
            .iter()
            .any(|f| text(host, f) == Some("host"));
    for option in list(host, "SecurityOpt") {
        let label = matches!(option.as_str(), Some("label=disable" | "label:disable"));
        if option.as_str().is_some() && !(label && shares) {
            d.push("security_opt", option.clone());
        }
    }
    let masks = host.get("MaskedPaths");
    let unmasked = masks.filter(|n| n.as_seq().is_some_and(<[Node]>::is_empty));
    if let Some(node) = unmasked.filter(|_| !is_on(host, "Privileged")) {
        let option = Node::str("systempaths=unconfined", node.span.clone());
        d.push("security_opt", option);
    }
}

/// `host`, or another container's.
fn namespace(d: &mut Draft<'_>, field: &str, key: &str, all: &[Container<'_>]) {
    let Some(node) = filled(d.c.host, field) else {
        return;
    };
    let mode = node.as_str().unwrap_or("");
    let of_container = mode.strip_prefix("container:");
    let mode = match of_container.and_then(|id| find(all, id)) {
        Some(other) => format!("service:{}", other.service),
        None if mode == "private" => return,
        None => mode.to_owned(),
    };
    d.set(key, Node::str(mode, node.span.clone()));
}

fn restart(d: &mut Draft<'_>) {
    let Some(policy) = filled(d.c.host, "RestartPolicy") else {
        return;
    };
    let Some(name) = filled(policy, "Name") else {
        return;
    };
    let text = match (name.as_str(), policy.get("MaximumRetryCount")) {
        (Some("on-failure"), Some(n)) if n.as_int().is_some_and(|n| n > 0) => {
            format!("on-failure:{}", n.as_int().unwrap_or(0))
        }
        (Some(known @ ("no" | "always" | "unless-stopped" | "on-failure")), _) => known.to_owned(),
        (other, _) => {
            let severity = Severity::Medium;
            let declared = other.unwrap_or("").to_owned();
            let record = d.note("restart", Class::Dropped, severity, &name.span);
            record.declared = declared;
            record.reason = "this restart policy is not known".to_owned();
            return;
        }
    };
    d.set("restart", Node::str(text, name.span.clone()));
}

/// Where its output goes, unless the engine says nothing but its default.
fn logging(d: &mut Draft<'_>) {
    let Some(log) = filled(d.c.host, "LogConfig") else {
        return;
    };
    let options = filled(log, "Config").map(copy_mapping);
    let Some(driver) = filled(log, "Type") else {
        return;
    };
    if driver.as_str() == Some("json-file") && options.is_none() {
        return;
    }
    let entries = [("driver", Some(driver.clone())), ("options", options)];
    d.set("logging", mapping(&log.span, entries));
}
