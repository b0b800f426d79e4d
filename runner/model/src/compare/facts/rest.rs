//! Whatever no other aspect has looked at, so that no difference is left out.

use serde_json::Value as Json;

use crate::compare::fact::{Case, Value};
use crate::compare::mask;
use crate::policy::sensitive::{has_password, is_secret_name};

/// Keys of Compose's normal form that other aspects have looked at, whole.
const SEEN: [&str; 46] = [
    "image",
    "platform",
    "build",
    "environment",
    "env_file",
    "configs",
    "secrets",
    "volumes",
    "volumes_from",
    "tmpfs",
    "user",
    "group_add",
    "read_only",
    "privileged",
    "cap_add",
    "cap_drop",
    "security_opt",
    "sysctls",
    "entrypoint",
    "command",
    "working_dir",
    "init",
    "stop_signal",
    "stop_grace_period",
    "mem_limit",
    "mem_reservation",
    "memswap_limit",
    "shm_size",
    "cpus",
    "pids_limit",
    "ulimits",
    "scale",
    "restart",
    "healthcheck",
    "depends_on",
    "network_mode",
    "networks",
    "hostname",
    "extra_hosts",
    "dns",
    "dns_search",
    "ports",
    "expose",
    "develop",
    "profiles",
    "pull_policy",
];
/// The same below `deploy`.
const SEEN_DEPLOY: [&str; 4] = ["mode", "replicas", "resources", "restart_policy"];

/// Everything else, leaf by leaf. Places are those of the service.
pub(super) fn facts(case: &mut Case<'_>) {
    let Some(document) = case.document.as_object() else {
        return;
    };
    let mut leaves = Vec::new();
    for (key, value) in document {
        match value.as_object() {
            _ if SEEN.contains(&key.as_str()) => {}
            Some(map) if key == "deploy" => {
                for (name, value) in map
                    .iter()
                    .filter(|(n, _)| !SEEN_DEPLOY.contains(&n.as_str()))
                {
                    walk(&format!("deploy.{name}"), value, &mut leaves);
                }
            }
            _ => walk(key, value, &mut leaves),
        }
    }
    let span = case.service.name.span.clone();
    for (field, text) in leaves {
        let name = field.rsplit('.').next().unwrap_or(&field).to_owned();
        if is_secret_name(&name) || has_password(&text) {
            let value = Value::Secret {
                text,
                kind: "*** (a secret)".to_owned(),
                hosts: Vec::new(),
            };
            case.add(field, value, &span);
        } else {
            case.put(field, mask::secrets(&text), &span);
        }
    }
}

fn walk(path: &str, value: &Json, out: &mut Vec<(String, String)>) {
    match value {
        Json::Null => {}
        Json::Object(map) => {
            for (key, value) in map {
                walk(&format!("{path}.{key}"), value, out);
            }
        }
        Json::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                walk(&format!("{path}[{i}]"), item, out);
            }
        }
        Json::String(text) => out.push((path.to_owned(), text.clone())),
        other => out.push((path.to_owned(), other.to_string())),
    }
}
