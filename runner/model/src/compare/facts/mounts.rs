//! What is mounted.

use crate::compare::fact::Case;
use crate::mirror::{Mount, MountKind};

/// Each mount by its path in the container.
pub(super) fn facts(case: &mut Case<'_>) {
    for m in &case.service.mounts.list {
        let target = m.target.as_ref().map_or("", |t| t.as_str());
        let root = case.side.project.root.to_string_lossy();
        let text = describe(m, &root);
        case.put(format!("mounts[{target}]"), text, &m.span);
    }
    for t in &case.service.mounts.tmpfs {
        let options = t
            .options
            .as_ref()
            .map_or(String::new(), |o| format!(" ({o})"));
        case.put(
            format!("mounts[{}]", t.target),
            format!("tmpfs{options}"),
            &t.span,
        );
    }
    for from in &case.service.mounts.volumes_from {
        case.put(
            format!("volumes_from[{}]", from.value),
            "all its mounts",
            &from.span,
        );
    }
}

fn describe(m: &Mount, root: &str) -> String {
    let source = m.source.as_ref().map_or("", |s| s.as_str());
    let inside = source.strip_prefix(root).map(|s| s.trim_start_matches('/'));
    let what = match m.kind.value {
        MountKind::Volume if source.is_empty() => "a volume without a name".to_owned(),
        MountKind::Volume => format!("the volume {source}"),
        MountKind::Bind => match inside {
            Some(path) => format!("the project's ./{path}"),
            None => format!("the host's {source}"),
        },
        MountKind::Tmpfs => "tmpfs".to_owned(),
        kind => format!("{kind} {source}"),
    };
    let read_only = m.read_only.as_ref().is_some_and(|r| r.value);
    what + if read_only { ", read-only" } else { "" }
}
