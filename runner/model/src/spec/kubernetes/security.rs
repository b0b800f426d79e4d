//! Users, rights and confinement of containers, and namespaces of the host.

use k8s_openapi::api::core::v1::{Capabilities, Container, SeccompProfile};

use super::at::At;
use super::build::Build;
use super::dict::{Dict, texts};
use super::pod::Pod;
use super::workload::Workload;
use crate::fidelity::{Class, Severity};
use crate::yaml::Node;

/// Reads the security context of a container over that of its pod.
pub fn context(
    build: &mut Build<'_>,
    pod: &Pod<'_>,
    (c, at): (&Container, At<'_>),
    name: &str,
    service: &mut Dict,
) {
    let (own, own_at) = (c.security_context.as_ref(), at.get("securityContext"));
    let all = pod.workload.pod.security_context.as_ref();
    let all_at = pod.workload.spec().get("securityContext");
    let object = format!("service:{name}");
    let user = own
        .and_then(|s| s.run_as_user)
        .map(|u| (u, own_at.get("runAsUser")))
        .or_else(|| Some((all?.run_as_user?, all_at.get("runAsUser"))));
    let group = own
        .and_then(|s| s.run_as_group)
        .map(|g| (g, own_at.get("runAsGroup")))
        .or_else(|| Some((all?.run_as_group?, all_at.get("runAsGroup"))));
    match (&user, &group) {
        (Some((user, at)), Some((group, _))) => {
            service.text("user", format!("{user}:{group}"), at.span());
        }
        (Some((user, at)), None) => {
            service.text("user", user.to_string(), at.span());
        }
        (None, Some((group, at))) => {
            build.record(
                (&object, "securityContext.runAsGroup"),
                (Class::Dropped, Severity::Medium),
                (
                    &group.to_string(),
                    "the engine takes a group only together with a user, and the image says which",
                ),
                at.span(),
            );
        }
        (None, None) => {}
    }
    let non_root = own
        .and_then(|s| s.run_as_non_root)
        .or_else(|| all?.run_as_non_root);
    if non_root == Some(true) && user.as_ref().is_none_or(|(u, _)| *u == 0) {
        build.beyond.extension.non_root.push(name.to_owned());
    }
    groups(pod, service);
    let mut options: Vec<Node> = Vec::new();
    if let Some(own) = own {
        if own.privileged == Some(true) {
            service.bool("privileged", true, own_at.get("privileged").span());
        }
        if own.read_only_root_filesystem == Some(true) {
            service.bool(
                "read_only",
                true,
                own_at.get("readOnlyRootFilesystem").span(),
            );
        }
        if own.allow_privilege_escalation == Some(false) {
            let span = own_at.get("allowPrivilegeEscalation").span();
            options.push(Node::str("no-new-privileges:true", span.clone()));
        }
        if let Some(capabilities) = &own.capabilities {
            caps(capabilities, own_at.get("capabilities"), service);
        }
        if own.proc_mount.as_deref() == Some("Unmasked") {
            let span = own_at.get("procMount").span();
            options.push(Node::str("systempaths=unconfined", span.clone()));
        }
    }
    let seccomp = own
        .and_then(|s| s.seccomp_profile.as_ref())
        .map(|p| (p, own_at))
        .or_else(|| Some((all?.seccomp_profile.as_ref()?, all_at)));
    if let Some((profile, at)) = seccomp {
        let at = at.get("seccompProfile");
        options.extend(seccomp_option(build, &object, profile, at));
    }
    let apparmor = own
        .and_then(|s| s.app_armor_profile.as_ref())
        .map(|p| (p, own_at))
        .or_else(|| Some((all?.app_armor_profile.as_ref()?, all_at)));
    if let Some((profile, at)) = apparmor {
        let span = at.get("appArmorProfile").span();
        match (profile.type_.as_str(), &profile.localhost_profile) {
            ("Unconfined", _) => {
                options.push(Node::str("apparmor=unconfined", span.clone()));
            }
            ("Localhost", Some(name)) => {
                options.push(Node::str(format!("apparmor={name}"), span.clone()));
            }
            _ => {}
        }
    }
    let selinux = own
        .and_then(|s| s.se_linux_options.as_ref())
        .map(|o| (o, own_at))
        .or_else(|| Some((all?.se_linux_options.as_ref()?, all_at)));
    if let Some((o, at)) = selinux {
        let span = at.get("seLinuxOptions").span();
        for (key, value) in [
            ("user", &o.user),
            ("role", &o.role),
            ("type", &o.type_),
            ("level", &o.level),
        ] {
            if let Some(value) = value {
                options.push(Node::str(format!("label={key}:{value}"), span.clone()));
            }
        }
    }
    service.list("security_opt", options, own_at.span());
}

/// Says that the engine confines a pod's system calls where production does not.
pub fn unconfined(build: &mut Build<'_>, workload: &Workload<'_>, base: &str) {
    let all = workload.pod.security_context.as_ref();
    if all.is_some_and(|s| s.seccomp_profile.is_some()) {
        return;
    }
    let containers = workload.pod.containers.iter();
    let init = workload.pod.init_containers.iter().flatten();
    let is_unconfined = |c: &Container| {
        let own = c.security_context.as_ref();
        !own.is_some_and(|s| s.seccomp_profile.is_some() || s.privileged == Some(true))
    };
    if containers.chain(init).any(is_unconfined) {
        let record = build.record(
            (&format!("service:{base}"), "securityContext.seccompProfile"),
            (Class::Substituted, Severity::Info),
            (
                "",
                "Kubernetes confines no system calls unless a profile or the kubelet says so",
            ),
            workload.spec().span(),
        );
        record.actual = "the engine's default profile".into();
        record.raise = "declare `seccompProfile: {type: RuntimeDefault}` in production".into();
    }
}

fn groups(pod: &Pod<'_>, service: &mut Dict) {
    let Some(all) = &pod.workload.pod.security_context else {
        return;
    };
    let at = pod.workload.spec().get("securityContext");
    let further = all.supplemental_groups.iter().flatten().copied();
    let mut ids: Vec<i64> = further.chain(all.fs_group).collect();
    ids.dedup();
    let nodes = texts(ids.iter().map(ToString::to_string), at.span());
    service.list("group_add", nodes, at.span());
}

fn caps(capabilities: &Capabilities, at: At<'_>, service: &mut Dict) {
    for (key, from, names) in [
        ("cap_add", "add", &capabilities.add),
        ("cap_drop", "drop", &capabilities.drop),
    ] {
        let span = at.get(from).span();
        let names = names.iter().flatten().map(|n| n.to_ascii_uppercase());
        service.list(key, texts(names, span), span);
    }
}

fn seccomp_option(
    build: &mut Build<'_>,
    object: &str,
    profile: &SeccompProfile,
    at: At<'_>,
) -> Option<Node> {
    match profile.type_.as_str() {
        "Unconfined" => Some(Node::str("seccomp=unconfined", at.span().clone())),
        "Localhost" => {
            let file = profile.localhost_profile.clone().unwrap_or_default();
            let record = build.record(
                (object, "securityContext.seccompProfile"),
                (Class::Substituted, Severity::High),
                (&file, "the profile is a file of production's nodes"),
                at.span(),
            );
            record.actual = "the engine's default profile".into();
            None
        }
        _ => None,
    }
}

/// Kernel parameters, and namespaces of the host, of whoever holds the pod's network.
pub fn namespaces(build: &mut Build<'_>, pod: &Pod<'_>, service: &mut Dict) {
    let (spec, at) = (&pod.workload.pod, pod.workload.spec());
    if pod.holder.is_some() {
        super::network::resolver(pod, service);
    }
    if let Some(context) = &spec.security_context {
        let at = at.get("securityContext").get("sysctls");
        let mut sysctls = Dict::at(at.span());
        for (i, s) in context.sysctls.iter().flatten().enumerate() {
            sysctls.text(&s.name, s.value.clone(), at.item(i).span());
        }
        service.dict("sysctls", sysctls);
    }
    for (key, from, on) in [
        ("pid", "hostPID", spec.host_pid),
        ("ipc", "hostIPC", spec.host_ipc),
    ] {
        if on == Some(true) && !service.has(key) {
            service.text(key, "host", at.get(from).span());
        }
    }
    if spec.host_network == Some(true) && !service.has("network_mode") {
        let record = build.record(
            (&pod.object(), "hostNetwork"),
            (Class::Substituted, Severity::High),
            ("true", "a mirror never uses the network of its host"),
            at.get("hostNetwork").span(),
        );
        record.actual = "a network of its own".into();
    }
}
