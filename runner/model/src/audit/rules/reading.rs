//! What the reader of the spec found.

use super::words::asks_for_a_value;
use crate::audit::{Found, Look};
use crate::diag::{Problem, ProblemKind};
use crate::fidelity::Severity;
use crate::mirror::FileObject;
use crate::policy::sensitive::is_secret_name;

/// Required variables that nobody set.
pub fn required(look: &Look<'_>, found: &mut Found) {
    variables(look, found, ProblemKind::RequiredVariable);
}

/// Variables that are not set.
pub fn unset(look: &Look<'_>, found: &mut Found) {
    variables(look, found, ProblemKind::UnsetVariable);
    for (key, service) in look.services() {
        for var in service.env.iter().filter(|v| v.value.is_none()) {
            let name = &var.name.value;
            found
                .service(
                    key,
                    format!("environment.{name}"),
                    &var.name.span,
                    format!(
                        "`{name}` takes its value from whoever starts production, and there is none"
                    ),
                )
                .severity(Severity::Medium)
                .why("the variable is taken out of the environment, even where the image sets it")
                .fix(format!(
                    "give `{name}` a value, pass it by `env.pass`, or take the line out"
                ));
        }
    }
}

fn variables(look: &Look<'_>, found: &mut Found, kind: ProblemKind) {
    let mut known: Vec<&Problem> = Vec::new();
    for p in look.problems.0.iter().filter(|p| p.kind == kind) {
        let again = known
            .iter()
            .any(|k| k.message == p.message && k.span == p.span);
        if again {
            continue;
        }
        known.push(p);
        let name = p.subject.as_deref().unwrap_or("");
        let span = p
            .span
            .clone()
            .unwrap_or_else(crate::source::Span::generated);
        let object = if name.is_empty() {
            "variables".to_owned()
        } else {
            format!("variable:{name}")
        };
        let finding = found.add(&object, "value", &span, p.message.clone());
        if let Some(help) = &p.help {
            finding.fix(help.clone());
        }
    }
}

/// Values that are empty.
pub fn blank(look: &Look<'_>, found: &mut Found) {
    for text in look.texts.iter().filter(|t| t.value.trim().is_empty()) {
        let Some(name) = text.name else { continue };
        // The reason is said already.
        if found.at("unset-variable", &text.value.span) {
            continue;
        }
        let finding = found.service(
            text.service,
            text.field.clone(),
            &text.value.span,
            format!("`{name}` is empty"),
        );
        if is_secret_name(name) || asks_for_a_value(name) {
            finding.severity(Severity::High);
        }
    }
    let secrets = look.mirror.secrets.iter().map(|(k, o)| ("secret", k, o));
    let configs = look
        .mirror
        .config_files
        .iter()
        .map(|(k, o)| ("config", k, o));
    for (kind, key, object) in secrets.chain(configs) {
        let given = kind == "secret" && look.project.secret(key).is_some();
        if given || !is_empty(look, object) {
            continue;
        }
        let span = object.file.as_ref().or(object.content.as_ref());
        let span = span.map_or(&object.declared.span, |s| &s.span);
        let finding = found.add(
            &format!("{kind}:{key}"),
            "content",
            span,
            format!("the {kind} `{key}` is empty"),
        );
        if kind == "secret" {
            finding.severity(Severity::High);
        }
    }
}

fn is_empty(look: &Look<'_>, object: &FileObject) -> bool {
    if let Some(content) = &object.content {
        return content.trim().is_empty();
    }
    let file = object.file.as_ref().and_then(|f| look.in_project(f));
    file.and_then(|(path, _)| std::fs::metadata(path).ok())
        .is_some_and(|m| m.is_file() && m.len() <= 1)
}

/// Fields that are out of date.
pub fn deprecated(look: &Look<'_>, found: &mut Found) {
    for p in &look.problems.0 {
        if let (ProblemKind::Deprecated, Some(span)) = (p.kind, &p.span) {
            let finding = found.add("spec", "fields", span, p.message.clone());
            finding.key(p.message.clone());
            if let Some(help) = &p.help {
                finding.fix(help.clone());
            }
        }
    }
    for (key, service) in look.services() {
        let links = service
            .network
            .links
            .iter()
            .chain(&service.network.external_links);
        for link in links {
            found
                .service(
                    key,
                    "links",
                    &link.span,
                    format!("`links` to `{}` is a legacy feature", link.target),
                )
                .key(link.target.clone())
                .why("a name that only one service knows; other formats have nothing like it")
                .fix("put both services into one network and use the service's name or an alias");
        }
        for from in &service.mounts.volumes_from {
            found
                .service(key, "volumes_from", &from.span, format!("`volumes_from: {}` hides what is mounted", from.value))
                .key(from.value.clone())
                .why("cluster formats have nothing like it, and a mount that is added there appears here")
                .fix("name the volumes that both use");
        }
    }
}
