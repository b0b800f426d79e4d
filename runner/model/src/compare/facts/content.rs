//! Files that are put into the container: by their paths in it, wherever they come from.

use crate::compare::contents::{of_file, of_object};
use crate::compare::fact::Case;
use crate::mirror::{FileUse, MountKind};

/// Contents of configs and of mounted files; of secrets only that they are there.
pub(super) fn facts(case: &mut Case<'_>) {
    for used in &case.service.config_files {
        let Some((source, target)) = ends(used, "/") else {
            continue;
        };
        let object = case.side.mirror.config_files.get(source);
        let content = object.and_then(|o| of_object(case.side.project, o));
        let field = format!("files[{target}]");
        match content {
            Some(content) => case.add(field, content, &used.span),
            None => case.put(field, "a config that is kept elsewhere", &used.span),
        }
        modes(case, used, &target);
    }
    let binds = case.service.mounts.list.iter();
    for m in binds.filter(|m| m.kind.value == MountKind::Bind) {
        let (Some(source), Some(target)) = (&m.source, &m.target) else {
            continue;
        };
        if let Some(content) = of_file(case.side.project, source) {
            case.add(format!("files[{}]", target.value), content, &m.span);
        }
    }
    for used in &case.service.secrets {
        let Some((_, target)) = ends(used, "/run/secrets/") else {
            continue;
        };
        case.put(format!("files[{target}]"), "a secret", &used.span);
        modes(case, used, &target);
    }
}

fn modes(case: &mut Case<'_>, used: &FileUse, target: &str) {
    if let Some(mode) = &used.mode {
        case.put(
            format!("files[{target}].mode"),
            mode.value.to_string(),
            &mode.span,
        );
    }
    for (name, value) in [("uid", &used.uid), ("gid", &used.gid)] {
        if let Some(value) = value {
            case.put(
                format!("files[{target}].{name}"),
                value.value.clone(),
                &value.span,
            );
        }
    }
}

/// The whole path of a config or secret in the container.
pub fn target_of(used: &FileUse, below: &str) -> Option<String> {
    ends(used, below).map(|(_, target)| target)
}

/// The object of a use and the whole path in the container.
fn ends<'u>(used: &'u FileUse, below: &str) -> Option<(&'u str, String)> {
    let source = used.source.as_ref()?.as_str();
    let target = used.target.as_ref().map_or(source, |t| t.as_str());
    let target = if target.starts_with('/') {
        target.to_owned()
    } else {
        format!("{below}{target}")
    };
    Some((source, target))
}
