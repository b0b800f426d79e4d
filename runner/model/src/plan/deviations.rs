//! Where a mirrored container differs from what Docker Compose would create: the whole list.
//!
//! Each rule is about one field of the container. What a test compares may differ by these
//! rules and by nothing else; [`markdown`] is the table in `docs/reference/deviations.md`.

use serde_json::Value as Json;

use super::draft::Draft;
use super::rules;
use crate::fidelity::{Class, Severity};

/// A field as Docker Compose would have it and as the mirror has it.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// Path of the field (`User`, `HostConfig.Memory`, `Networks.front.Aliases`).
    pub path: &'a str,
    /// What Docker Compose would have.
    pub expected: Option<&'a Json>,
    /// What the mirror has.
    pub actual: Option<&'a Json>,
}

/// A rule by which the mirror differs from what Docker Compose would create.
pub struct Deviation {
    /// Its name, as in fidelity records.
    pub name: &'static str,
    /// The field, as `docker inspect` calls it.
    pub field: &'static str,
    /// What the mirror has instead.
    pub mirror: &'static str,
    /// Why.
    pub reason: &'static str,
    /// What would bring the mirror nearer to production; empty = nothing.
    pub raise: &'static str,
    /// What becomes of production's value.
    pub class: Class,
    /// What a test could wrongly conclude.
    pub severity: Severity,
    /// Changes a container that is planned; none where others do it: the policy (images), or
    /// the engine half, which alone knows ids and labels.
    pub(super) apply: Option<fn(&mut Draft<'_>, &Deviation)>,
    /// Whether a difference is of this rule's making.
    pub(super) allows: fn(Pair<'_>) -> bool,
}

/// All rules, in the order in which they are applied.
pub static DEVIATIONS: [Deviation; 15] = [
    Deviation {
        name: "image",
        field: "Image",
        mirror: "the release under test, or the same image from another registry",
        reason: "the change that is tested is not in production yet",
        raise: "",
        class: Class::Substituted,
        severity: Severity::Info,
        apply: None,
        allows: rules::image::allows,
    },
    Deviation {
        name: "labels",
        field: "Labels",
        mirror: "labels of prodmirror in place of those of Docker Compose; the spec's own stay, but for those that begin as either of these do",
        reason: "other programs must not take the stack for one of theirs, and the sweep finds its objects by label",
        raise: "",
        class: Class::Substituted,
        severity: Severity::Info,
        apply: Some(rules::image::labels),
        allows: rules::image::allows_label,
    },
    Deviation {
        name: "certificates",
        field: "Env",
        mirror: "further variables that name the certificate authority of the run",
        reason: "stubs answer under real names, with certificates of the run's own authority",
        raise: "",
        class: Class::Substituted,
        severity: Severity::Low,
        apply: None,
        allows: rules::image::allows_env,
    },
    Deviation {
        name: "sandbox",
        field: "HostConfig.NetworkMode",
        mirror: "the namespace of the service's sandbox, on which names, ports and networks are seen",
        reason: "guards stand in the namespace before the first process of the service starts",
        raise: "",
        class: Class::Substituted,
        severity: Severity::Info,
        apply: Some(rules::network::mode),
        allows: rules::network::allows_mode,
    },
    Deviation {
        name: "resolver",
        field: "HostConfig.Dns",
        mirror: "the sandbox's own name server behind that of the engine",
        reason: "undeclared names fail at once and are reported, and no question leaves the mirror",
        raise: "declare the names under `egress`",
        class: Class::Substituted,
        severity: Severity::Low,
        apply: Some(rules::network::resolver),
        allows: rules::network::allows_resolver,
    },
    Deviation {
        name: "networks",
        field: "Networks",
        mirror: "networks of the stack's own, with addresses that the engine was free to give",
        reason: "fixed names and subnets exist once on an engine; several stacks run side by side",
        raise: "reach services by name",
        class: Class::Substituted,
        severity: Severity::Low,
        apply: Some(rules::network::addresses),
        allows: rules::network::allows_networks,
    },
    Deviation {
        name: "ports",
        field: "HostConfig.PortBindings",
        mirror: "no port of the host; the runner reaches the container itself",
        reason: "a port of the host can be in use and would open the mirror to others",
        raise: "",
        class: Class::Substituted,
        severity: Severity::Info,
        apply: Some(rules::network::ports),
        allows: rules::network::allows_ports,
    },
    Deviation {
        name: "mounts",
        field: "HostConfig.Mounts",
        mirror: "volumes of the stack's own; configuration files, secrets and files of the project are copied into such volumes",
        reason: "volumes start fresh for each run, and the engine may not see this host's files",
        raise: "",
        class: Class::Substituted,
        severity: Severity::Info,
        apply: Some(rules::files::mounts),
        allows: rules::files::allows,
    },
    Deviation {
        name: "logging",
        field: "HostConfig.LogConfig",
        mirror: "the engine's `json-file` driver, unless it is `local` or `json-file` anyway",
        reason: "output must be read back, must not leave the mirror, and must be gone with the stack",
        raise: "",
        class: Class::Substituted,
        severity: Severity::Low,
        apply: Some(rules::host::logging),
        allows: rules::host::allows_logging,
    },
    Deviation {
        name: "restart",
        field: "HostConfig.RestartPolicy",
        mirror: "no restart by the engine",
        reason: "a restart would hide a crash; crashes are reported",
        raise: "",
        class: Class::Substituted,
        severity: Severity::Low,
        apply: Some(rules::host::restart),
        allows: rules::host::allows_restart,
    },
    Deviation {
        name: "processors",
        field: "HostConfig.NanoCpus",
        mirror: "the same limit as a quota and a period",
        reason: "the engine refuses a limit above the host's processors in this field, and takes it as a quota",
        raise: "run on a host with as many processors",
        class: Class::Substituted,
        severity: Severity::Info,
        apply: Some(rules::host::processors),
        allows: rules::host::allows_processors,
    },
    Deviation {
        name: "memory",
        field: "HostConfig.Memory",
        mirror: "6 MiB, where production has less",
        reason: "the engine refuses less",
        raise: "",
        class: Class::Substituted,
        severity: Severity::Medium,
        apply: Some(rules::host::memory),
        allows: rules::host::allows_memory,
    },
    Deviation {
        name: "cpuset",
        field: "HostConfig.CpusetCpus",
        mirror: "those of the processors that this host has; none of them = no such limit",
        reason: "the engine refuses processors that are not there",
        raise: "run on a host with as many processors",
        class: Class::Substituted,
        severity: Severity::Medium,
        apply: Some(rules::host::cpuset),
        allows: rules::host::allows_cpuset,
    },
    Deviation {
        name: "nofile",
        field: "HostConfig.Ulimits",
        mirror: "the engine's own limit of open files, where production's is higher",
        reason: "the container would not start",
        raise: "raise the limit of the engine's service",
        class: Class::Substituted,
        severity: Severity::Medium,
        apply: Some(rules::host::nofile),
        allows: rules::host::allows_nofile,
    },
    Deviation {
        name: "start_interval",
        field: "Healthcheck.StartInterval",
        mirror: "nothing, before API 1.44",
        reason: "older engines do not know it; health is asked for early anyway",
        raise: "use Docker 25 or later",
        class: Class::Dropped,
        severity: Severity::Low,
        apply: Some(rules::host::start_interval),
        allows: rules::host::allows_start_interval,
    },
];

/// The page that lists all rules.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Deviations\n\n\
         A mirrored container is what Docker Compose would create from the same spec, but for these\n\
         rules. Each is about one field of `docker inspect`, each that takes effect is in the fidelity\n\
         report of the run, and a difference that no rule explains is a defect. The table is made from\n\
         `runner/model/src/plan/deviations.rs`; a test keeps the two equal.\n\n\
         | rule | field | in the mirror | why | class | severity |\n\
         |---|---|---|---|---|---|\n",
    );
    for rule in &DEVIATIONS {
        let class = match rule.class {
            Class::Mirrored => "mirrored",
            Class::Substituted => "substituted",
            Class::Dropped => "dropped",
            Class::Unknown => "unknown",
        };
        page += &format!(
            "| {} | `{}` | {} | {} | {class} | {} |\n",
            rule.name, rule.field, rule.mirror, rule.reason, rule.severity
        );
    }
    page
}
