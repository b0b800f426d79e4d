//! Networks, names and ports.

use super::process::list;
use crate::compare::fact::Case;

/// The networks, and the names that it has there.
pub(super) fn facts(case: &mut Case<'_>) {
    let network = &case.service.network;
    if let Some(mode) = &network.mode {
        case.put("network_mode", mode.value.to_string(), &mode.span);
    }
    for (key, attachment) in &network.attachments {
        case.put(
            format!("networks.{key}"),
            "attached",
            &attachment.declared.span,
        );
        list(
            case,
            &format!("networks.{key}.aliases"),
            &attachment.aliases,
        );
    }
    if let Some(hostname) = &network.hostname {
        case.put("hostname", hostname.value.clone(), &hostname.span);
    }
    for host in &network.extra_hosts {
        case.put(
            format!("extra_hosts.{}", host.host),
            host.address.clone(),
            &host.span,
        );
    }
    for (field, servers) in [("dns", &network.dns), ("dns_search", &network.dns_search)] {
        list(case, field, servers);
    }
}

/// Ports that are published or exposed.
pub(super) fn ports(case: &mut Case<'_>) {
    let network = &case.service.network;
    for port in &network.ports {
        let Some(target) = &port.target else { continue };
        let protocol = port.protocol.as_ref().map_or("tcp", |p| p.as_str());
        let published = port.published.as_ref().map_or("any", |p| p.as_str());
        let address = port
            .host_ip
            .as_ref()
            .map_or(String::new(), |a| format!("{}:", a.value));
        case.put(
            format!("ports[{}/{protocol}]", target.value),
            format!("published at {address}{published}"),
            &target.span,
        );
    }
    for exposed in &network.expose {
        case.put(
            format!("expose[{}]", exposed.value),
            "exposed",
            &exposed.span,
        );
    }
}
