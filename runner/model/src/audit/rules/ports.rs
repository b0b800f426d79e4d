//! Ports that disagree.

use crate::audit::ports::{Listens, exposed, well_known};
use crate::audit::{Found, Look};
use crate::fidelity::Severity;

/// Values that name a port that the service does not listen on.
pub fn called(look: &Look<'_>, found: &mut Found) {
    for named in look.hosts.iter().filter(|n| n.own) {
        let (Some(port), Some(target)) = (named.port, look.names.get(&named.host)) else {
            continue;
        };
        let Some(service) = look.mirror.services.get(target) else {
            continue;
        };
        let listens = Listens::at(look, target);
        if !listens.contradict(port) {
            continue;
        }
        for m in named.found.iter().filter(|m| m.service != *target) {
            let group = look.group(target);
            let sure = group.iter().any(|(_, s)| !well_known(s).is_empty());
            let finding = found.service(
                &m.service,
                m.field.clone(),
                &m.span,
                format!(
                    "{} names `{}:{port}`, and `{target}` listens on {}",
                    m.field,
                    named.host,
                    listens.list()
                ),
            );
            finding.key(format!("{}:{port}", named.host));
            finding.related(&service.name.span, format!("`{target}` is described here"));
            // A service may listen on more than it says.
            if !sure {
                finding.severity(Severity::Medium);
            }
        }
    }
}

/// Published ports that nothing listens on.
pub fn published(look: &Look<'_>, found: &mut Found) {
    for (key, service) in look.services() {
        let mut known = exposed(service);
        known.extend(well_known(service));
        if let Some(image) = look.image(service) {
            known.extend(&image.ports);
        }
        if known.is_empty() {
            continue;
        }
        let mut without = service.clone();
        without.network.ports.clear();
        let listens = Listens::of(look, key, &without);
        for port in &service.network.ports {
            let Some(target) = &port.target else { continue };
            if listens.contradict(target.value) {
                found.service(
                    key,
                    format!("ports[{}]", target.value),
                    &target.span,
                    format!(
                        "it publishes port {}, and listens on {}",
                        target.value,
                        listens.list()
                    ),
                );
            }
        }
    }
}
