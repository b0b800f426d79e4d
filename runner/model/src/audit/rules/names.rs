//! Names that do not resolve everywhere.

use crate::audit::{Found, Look};
use crate::fidelity::Severity;
use crate::mirror::Sourced;
use crate::source::Span;

/// Names of services, hosts and aliases that are no DNS labels.
pub fn find(look: &Look<'_>, found: &mut Found) {
    for (key, service) in look.services() {
        let used = |name: &str| {
            let host = look
                .hosts
                .iter()
                .find(|h| h.host == name.to_ascii_lowercase());
            host.and_then(|h| h.found.first()).map(|m| m.span.clone())
        };
        let mut tell = |field: &str, name: &str, span: &Span| {
            let Some(why) = wrong(name) else { return };
            let finding = found.service(key, field, span, format!("`{name}` {why}"));
            finding.key(name);
            // In a URL it is refused by libraries, not only by Kubernetes.
            if let Some(place) = used(name) {
                finding
                    .severity(Severity::Medium)
                    .related(&place, "it is used as a host name here");
            }
        };
        tell("name", key, &service.name.span);
        let one = |name: &'_ Option<Sourced<String>>| name.clone();
        if let Some(name) = one(&service.network.hostname) {
            tell("hostname", &name, &name.span);
        }
        for attachment in service.network.attachments.values() {
            // Swarm gives this one itself.
            let of_stack = format!("{}_{key}", look.project.title());
            let written = attachment
                .aliases
                .iter()
                .filter(|a| a.as_str() != key && a.as_str() != of_stack);
            for alias in written {
                tell("networks.aliases", alias, &alias.span);
            }
        }
    }
}

/// Why a name is no host name by RFC 1123, whose labels Kubernetes asks for.
fn wrong(name: &str) -> Option<&'static str> {
    if name.contains('_') {
        return Some("has an underscore");
    }
    if name.contains(|c: char| c.is_ascii_uppercase()) {
        return Some("has upper-case letters");
    }
    let labels = || name.split('.');
    if labels().any(|l| l.len() > 63) {
        return Some("is longer than 63 characters");
    }
    if labels().any(|l| l.is_empty() || l.starts_with('-') || l.ends_with('-')) {
        return Some("begins or ends with `-` or `.`");
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    (!name.chars().all(fits)).then_some("has characters that host names do not have")
}

#[cfg(test)]
mod tests {
    use super::wrong;

    #[test]
    fn host_names() {
        for name in ["db", "orders.shop.internal", "a-1", "1a"] {
            assert_eq!(wrong(name), None, "{name}");
        }
        for name in ["my_db", "Web", "-a", "a-", "a..b", "ä", &"x".repeat(64)] {
            assert!(wrong(name).is_some(), "{name}");
        }
    }
}
