//! Names and addresses of services that lead beyond the stack's networks.

use std::net::IpAddr;

use super::rule::{Case, Found};
use crate::fidelity::{Class, Severity};
use crate::mirror::{Network, Service};
use crate::project::Fate;

/// `extra_hosts` to addresses that are not the container's own.
pub fn extra_host(s: &mut Service, case: &mut Case<'_>) {
    let egress = &case.project.egress;
    let declared = |host: &str| egress.iter().find(|e| e.to.host.eq_ignore_ascii_case(host));
    s.network.extra_hosts.retain(|entry| {
        let address = entry.address.trim_matches(['[', ']']);
        let own = address
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified());
        if own {
            return true;
        }
        let field = format!("extra_hosts[{}]", entry.host);
        let value = entry.value.to_string();
        let found = Found::at(field, &value, &entry.span);
        if let Some(e) = declared(&entry.host) {
            let found = found.now(format!("what `egress` declares for {}", entry.host));
            let why = match e.fate {
                Fate::Stub { .. } => "the declared stand-in answers instead",
                Fate::Allow => "a relay leads to it, on the allowed ports",
                Fate::Deny => "denied in mirror.yaml",
            };
            return !case.found_as(found, Severity::Info, why);
        }
        !case.found(found)
    });
}

/// `dns`.
pub fn name_server(s: &mut Service, case: &mut Case<'_>) {
    s.network.dns.retain(|server| {
        let own = server.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        own || !case.found(Found::text("dns", server).now("the stack's own resolver"))
    });
}

/// `external_links`.
pub fn external_link(s: &mut Service, case: &mut Case<'_>) {
    s.network.external_links.retain(|link| {
        let text = link.value.to_string();
        !case.found(Found::at("external_links", &text, &link.span))
    });
}

/// `ports` on addresses that others than this machine reach.
pub fn published_port(s: &mut Service, case: &mut Case<'_>) {
    for port in &mut s.network.ports {
        let local = port.host_ip.as_ref().is_some_and(|ip| {
            ip.trim_matches(['[', ']'])
                .parse::<IpAddr>()
                .is_ok_and(|ip| ip.is_loopback())
        });
        if local {
            continue;
        }
        let host_ip = port.host_ip.as_ref().map_or("0.0.0.0", |ip| ip.as_str());
        let published = port.published.as_ref().map_or("", |p| p.as_str());
        let target = port.target.as_ref().map_or(0, |t| t.value);
        let field = format!("ports[{target}]");
        let value = format!("{host_ip}:{published}");
        let now = format!("127.0.0.1:{published}");
        if case.found(Found::at(field, &value, &port.span).now(now)) {
            let span = port.span.clone();
            port.value.host_ip = Some(crate::mirror::Sourced::new("127.0.0.1".to_owned(), span));
        }
    }
}

/// Options of endpoints in networks.
pub fn endpoint_option(s: &mut Service, case: &mut Case<'_>) {
    for (network, attachment) in &mut s.network.attachments {
        attachment.driver_opts.retain(|name, value| {
            name == "com.docker.network.endpoint.ifname"
                || !case.found(Found::at(
                    format!("networks.{network}.driver_opts.{name}"),
                    name,
                    &value.span,
                ))
        });
    }
}

/// Networks that exist beyond the spec.
pub fn external_network(n: &mut Network, case: &mut Case<'_>) {
    if !n.is_external() {
        return;
    }
    let name = n
        .name
        .as_ref()
        .map_or(case.object.to_owned(), |n| n.value.clone());
    let span = n.declared.span.clone();
    if case.found(Found::at("external", &name, &span).now("a network of the stack")) {
        n.external = None;
        n.name = None;
    }
}

/// Drivers other than `bridge`.
pub fn network_driver(n: &mut Network, case: &mut Case<'_>) {
    let Some(driver) = &n.driver else { return };
    if matches!(driver.as_str(), "bridge" | "" | "default") {
        return;
    }
    if case.found(Found::text("driver", driver).now("bridge")) {
        let span = driver.span.clone();
        n.driver = None;
        n.attachable = None;
        let options: Vec<String> = n.driver_opts.keys().cloned().collect();
        for name in options {
            n.driver_opts.shift_remove(&name);
            let found = Found::at(format!("driver_opts.{name}"), &name, &span);
            case.note(
                found,
                Class::Dropped,
                Severity::Low,
                "it belongs to the other driver",
            );
        }
    }
}

/// Options of networks that touch the host.
pub fn network_option(n: &mut Network, case: &mut Case<'_>) {
    n.driver_opts.retain(|name, value| {
        let harmless = [
            "com.docker.network.driver.mtu",
            "com.docker.network.container_iface_prefix",
            "com.docker.network.bridge.enable_icc",
        ];
        harmless.contains(&name.as_str())
            || !case.found(Found::at(format!("driver_opts.{name}"), name, &value.span))
    });
}

/// Address management by a program beyond the engine.
pub fn ipam_driver(n: &mut Network, case: &mut Case<'_>) {
    if let Some(ipam) = &mut n.ipam
        && let Some(driver) = &ipam.driver
        && !matches!(driver.as_str(), "default" | "")
        && case.found(Found::text("ipam.driver", driver).now("default"))
    {
        ipam.value.driver = None;
    }
}

/// Networks that are not internal.
pub fn open_network(n: &mut Network, case: &mut Case<'_>) {
    if n.is_external() || n.internal.as_ref().is_some_and(|i| i.value) {
        return;
    }
    let span = n
        .internal
        .as_ref()
        .map_or(n.declared.span.clone(), |i| i.span.clone());
    if case.found(Found::at("internal", "false", &span).now("true")) {
        n.internal = Some(crate::mirror::Sourced::new(true, span));
    }
}

/// Fixed names, which are global on the engine.
pub fn network_name(n: &mut Network, case: &mut Case<'_>) {
    if n.is_external() {
        return;
    }
    let own = format!("{}_{}", case.stack, case.object);
    let usual = format!("{}_{}", case.production, case.object);
    if n.name
        .as_ref()
        .is_none_or(|name| name.value == own || name.value == usual)
    {
        n.name = Some(own.into());
        return;
    }
    if let Some(name) = &n.name
        && case.found(Found::text("name", name).now(own.clone()))
    {
        n.name = Some(name.with(own));
    }
}
