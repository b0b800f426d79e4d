//! Namespaces of the host and of containers that the spec does not describe.

use super::rule::{Case, Found};
use crate::fidelity::Severity;
use crate::mirror::{Attachment, NamespaceMode, Service, Sourced};

/// Which modes a service may have in its mirror.
fn is_private(mode: &NamespaceMode) -> bool {
    matches!(
        mode,
        NamespaceMode::None
            | NamespaceMode::Private
            | NamespaceMode::Shareable
            | NamespaceMode::Service(_)
    )
}

/// `network_mode: host`, `bridge` or a network's name.
pub fn network_mode(s: &mut Service, case: &mut Case<'_>) {
    let Some(mode) = &s.network.mode else { return };
    let (NamespaceMode::Host | NamespaceMode::Named(_) | NamespaceMode::Private) = &mode.value
    else {
        return;
    };
    let text = mode.to_string();
    let found = Found::at("network_mode", &text, &mode.span).now("network `default`");
    let taken = match text.as_str() {
        "bridge" | "default" | "private" => {
            case.found_as(found, Severity::Low, "the engine's own bridge leads out")
        }
        _ => case.found(found),
    };
    if taken {
        let declared = mode.with(());
        s.network.mode = None;
        s.network.attachments.insert(
            "default".to_owned(),
            Attachment {
                declared,
                ..Attachment::default()
            },
        );
    }
}

/// `network_mode: container:x`.
pub fn foreign_network(s: &mut Service, case: &mut Case<'_>) {
    if let Some(mode) = &s.network.mode
        && matches!(mode.value, NamespaceMode::Container(_))
    {
        let text = mode.to_string();
        if case.found(Found::at("network_mode", &text, &mode.span)) {
            s.network.mode = Some(mode.with(NamespaceMode::None));
            s.network.attachments.clear();
        }
    }
}

fn host_only(
    mode: &mut Option<Sourced<NamespaceMode>>,
    field: &'static str,
    case: &mut Case<'_>,
    foreign: bool,
) {
    let Some(found) = mode else { return };
    let is_foreign = matches!(found.value, NamespaceMode::Container(_));
    if is_private(&found.value) || is_foreign != foreign {
        return;
    }
    let text = found.to_string();
    if !text.is_empty() && case.found(Found::at(field, &text, &found.span).now("private")) {
        *mode = None;
    }
}

/// `pid: host`.
pub fn pid(s: &mut Service, case: &mut Case<'_>) {
    host_only(&mut s.namespaces.pid, "pid", case, false);
}

/// `ipc: host`.
pub fn ipc(s: &mut Service, case: &mut Case<'_>) {
    host_only(&mut s.namespaces.ipc, "ipc", case, false);
}

/// `uts: host`.
pub fn uts(s: &mut Service, case: &mut Case<'_>) {
    host_only(&mut s.namespaces.uts, "uts", case, false);
}

/// `cgroup: host`.
pub fn cgroup(s: &mut Service, case: &mut Case<'_>) {
    let declared = s.namespaces.cgroup.clone();
    host_only(&mut s.namespaces.cgroup, "cgroup", case, false);
    // What an engine takes by itself depends on the host's control groups.
    if let (Some(declared), None) = (declared, &s.namespaces.cgroup) {
        s.namespaces.cgroup = Some(declared.with(NamespaceMode::Private));
    }
}

/// `userns_mode: host`.
pub fn user(s: &mut Service, case: &mut Case<'_>) {
    host_only(&mut s.namespaces.user, "userns_mode", case, false);
}

/// `pid: container:x`, `ipc: container:x`.
pub fn foreign(s: &mut Service, case: &mut Case<'_>) {
    host_only(&mut s.namespaces.pid, "pid", case, true);
    host_only(&mut s.namespaces.ipc, "ipc", case, true);
    host_only(&mut s.namespaces.uts, "uts", case, true);
    host_only(&mut s.namespaces.cgroup, "cgroup", case, true);
    host_only(&mut s.namespaces.user, "userns_mode", case, true);
}
