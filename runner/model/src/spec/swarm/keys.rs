//! The keys of stack files: which there are, and which Swarm passes over.

use super::{Fact, Stacks};
use crate::diag::{Problem, ProblemKind, nearest};
use crate::fidelity::{Class, Severity};
use crate::source::Span;
use crate::yaml::{Mapping, Node};

const TOP: [&str; 6] = [
    "version", "services", "networks", "volumes", "secrets", "configs",
];

/// Keys of services in the schema of `docker stack deploy` (version 3.14).
const SERVICE: [&str; 53] = [
    "build",
    "cap_add",
    "cap_drop",
    "cgroup_parent",
    "cgroupns_mode",
    "command",
    "configs",
    "container_name",
    "credential_spec",
    "depends_on",
    "deploy",
    "devices",
    "dns",
    "dns_search",
    "domainname",
    "entrypoint",
    "env_file",
    "environment",
    "expose",
    "external_links",
    "extra_hosts",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "ipc",
    "isolation",
    "labels",
    "links",
    "logging",
    "mac_address",
    "network_mode",
    "networks",
    "oom_score_adj",
    "pid",
    "ports",
    "privileged",
    "read_only",
    "restart",
    "secrets",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "user",
    "userns_mode",
    "volumes",
    "working_dir",
];

/// Keys that `docker stack deploy` warns of and passes over.
const IGNORED: [&str; 19] = [
    "build",
    "cgroup_parent",
    "cgroupns_mode",
    "container_name",
    "depends_on",
    "devices",
    "domainname",
    "expose",
    "external_links",
    "ipc",
    "links",
    "mac_address",
    "network_mode",
    "pid",
    "privileged",
    "restart",
    "security_opt",
    "shm_size",
    "userns_mode",
];

/// Whether a key of a service says that Compose starts it.
pub(super) fn says_compose(key: &str) -> bool {
    let unknown = !SERVICE.contains(&key) && !key.starts_with("x-");
    unknown || (IGNORED.contains(&key) && key != "expose")
}

/// Whether the top of a document has keys that only Compose has.
pub(super) fn of_compose(document: &Node) -> bool {
    let map = document.as_map();
    map.is_some_and(|m| m.keys().any(|k| !is_top(k)))
}

fn is_top(key: &str) -> bool {
    TOP.contains(&key) || key.starts_with("x-")
}

/// Refuses keys that a stack file does not have, and takes out those that Swarm ignores.
pub(crate) fn check(document: &mut Node, stacks: &mut Stacks) {
    let Some(root) = document.as_map_mut() else {
        return;
    };
    for (key, entry) in &root.0 {
        if !is_top(key) {
            stacks
                .problems
                .push(unknown(key, &entry.key, "a stack file", &TOP));
        }
    }
    let services = root.get_mut("services").and_then(Node::as_map_mut);
    for (name, service) in services.into_iter().flat_map(Mapping::iter_mut) {
        if !stacks.services.iter().any(|s| s == name) {
            stacks.services.push(name.to_owned());
        }
        if let Some(map) = service.as_map_mut() {
            of_service(name, map, stacks);
            raw_env_files(map);
        }
    }
}

fn of_service(name: &str, service: &mut Mapping, stacks: &mut Stacks) {
    for (key, entry) in &service.0 {
        if !SERVICE.contains(&key.as_str()) && !key.starts_with("x-") {
            let what = format!("service `{name}` of a stack file");
            stacks
                .problems
                .push(unknown(key, &entry.key, &what, &SERVICE));
        }
    }
    for key in IGNORED {
        let Some(entry) = service.0.shift_remove(key) else {
            continue;
        };
        let fact = Fact {
            field: key,
            declared: entry
                .node
                .scalar_text()
                .unwrap_or_else(|| entry.node.kind().to_owned()),
            actual: String::new(),
            reason: "`docker stack deploy` ignores it: production does not have it either",
            span: &entry.key,
        };
        stacks.record(
            Class::Dropped,
            Severity::Info,
            format!("service:{name}"),
            fact,
        );
    }
}

fn unknown(key: &str, at: &Span, what: &str, known: &[&'static str]) -> Problem {
    let problem = Problem::at(
        ProblemKind::UnknownKey,
        at,
        format!("{what} has no key `{key}`: `docker stack deploy` refuses it"),
    );
    match nearest(key, known.iter().copied()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(match key {
            "mem_limit" | "cpus" | "cpu_shares" | "cpuset" | "cpu_quota" | "memswap_limit"
            | "pids_limit" | "mem_reservation" => "write limits under `deploy.resources`",
            _ => "remove it, or say `format: compose` in mirror.yaml when Compose runs it",
        }),
    }
}

/// The files of variables have the plain grammar of `docker run --env-file` here.
fn raw_env_files(service: &mut Mapping) {
    let Some(files) = service.get_mut("env_file") else {
        return;
    };
    let raw = |node: &Node| {
        let mut map = Mapping::default();
        map.insert("path", node.clone());
        map.insert("format", Node::str("raw", node.span.clone()));
        Node::new(crate::yaml::Value::Map(map), node.span.clone())
    };
    if files.as_str().is_some() {
        let span = files.span.clone();
        *files = Node::new(crate::yaml::Value::Seq(vec![raw(files)]), span);
    } else if let Some(items) = files.as_seq_mut() {
        for item in items.iter_mut().filter(|i| i.as_str().is_some()) {
            *item = raw(item);
        }
    }
}
