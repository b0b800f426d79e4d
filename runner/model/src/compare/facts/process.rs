//! The process, its user and its rights.

use crate::compare::fact::Case;
use crate::mirror::quantity::format_duration;
use crate::mirror::{Argv, Sourced};
use crate::source::Span;

/// The user and the groups.
pub(super) fn user(case: &mut Case<'_>) {
    let process = &case.service.process;
    if let Some(user) = &process.user {
        case.put("user", user.value.clone(), &user.span);
    }
    list(case, "group_add", &case.service.process.groups);
    let non_root = &case.side.beyond.extension.non_root;
    if non_root.iter().any(|n| n == case.name) {
        let span = case.service.name.span.clone();
        case.put("runAsNonRoot", "true", &span);
    }
}

/// Rights and confinement.
pub(super) fn security(case: &mut Case<'_>) {
    let security = &case.service.security;
    let flags = [
        ("read_only", &security.read_only_root),
        ("privileged", &security.privileged),
    ];
    for (field, flag) in flags {
        // Absent is the same as false.
        if let Some(flag) = flag.as_ref().filter(|f| f.value) {
            case.put(field, "true", &flag.span);
        }
    }
    list(case, "cap_add", &security.cap_add);
    list(case, "cap_drop", &security.cap_drop);
    list(case, "security_opt", &security.options);
    for (name, value) in &security.sysctls {
        case.put(format!("sysctls.{name}"), value.value.clone(), &value.span);
    }
}

/// Program, arguments, directory, and how it is ended.
pub(super) fn facts(case: &mut Case<'_>) {
    let process = &case.service.process;
    for (field, argv) in [
        ("entrypoint", &process.entrypoint),
        ("command", &process.command),
    ] {
        match &argv.value {
            Argv::Inherit => {}
            Argv::Clear => case.put(field, "(none)", &argv.span),
            Argv::Set(args) => {
                let words: Vec<&str> = args.iter().map(|a| a.as_str()).collect();
                let span = args.first().map_or(&argv.span, |a| &a.span);
                case.put(field, super::super::mask::secrets(&words.join(" ")), span);
            }
        }
    }
    if let Some(dir) = &process.working_dir {
        case.put("working_dir", dir.value.clone(), &dir.span);
    }
    if let Some(init) = process.init.as_ref().filter(|i| i.value) {
        case.put("init", "true", &init.span);
    }
    if let Some(signal) = &process.stop_signal {
        case.put("stop_signal", signal.value.clone(), &signal.span);
    }
    if let Some(grace) = &process.stop_grace {
        case.put(
            "stop_grace_period",
            format_duration(grace.value),
            &grace.span,
        );
    }
}

/// A list whose order does not matter.
pub(super) fn list(case: &mut Case<'_>, field: &str, items: &[Sourced<String>]) {
    let mut words: Vec<&str> = items.iter().map(|i| i.as_str()).collect();
    words.sort_unstable();
    let span: Option<&Span> = items.first().map(|i| &i.span);
    if let Some(span) = span {
        case.put(field, words.join(", "), span);
    }
}
