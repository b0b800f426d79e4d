//! Networks, names and ports.

use serde_json::{Map, Value as Json, json};

use super::fields::{Fields, text_map};
use super::{BodyRequest, Naming, container_name};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::mirror::{Attachment, Link, Port, ServiceNetwork, Sourced};

/// The network mode: another's namespace, else the name of the first network.
pub(super) fn mode(request: &BodyRequest<'_>) -> String {
    let net = &request.service.network;
    if let Some(mode) = &net.mode {
        return mode.to_string();
    }
    if request.mirror.networks.is_empty() {
        return "none".into();
    }
    let first = net.by_priority().first().copied().unwrap_or("default");
    network_name(request, first).to_owned()
}

/// The name that a network has in the body.
fn network_name<'a>(request: &'a BodyRequest<'_>, key: &'a str) -> &'a str {
    let declared = request.mirror.networks.get(key);
    declared
        .filter(|_| request.naming == Naming::Engine)
        .and_then(|n| n.name.as_ref())
        .map_or(key, |name| name.as_str())
}

/// All endpoints, the first network first; none where the namespace is another's.
pub(super) fn endpoints(request: &BodyRequest<'_>, problems: &mut Problems) -> Option<Json> {
    let net = &request.service.network;
    if net.mode.is_some() || request.mirror.networks.is_empty() {
        return None;
    }
    let mut endpoints = Map::new();
    let mut keys = net.by_priority();
    if keys.is_empty() {
        keys.push("default");
    }
    for key in keys {
        let attachment = net.attachments.get(key);
        if !request.mirror.networks.contains_key(key) {
            problems.push(undeclared(request, key, attachment));
        }
        endpoints.insert(
            network_name(request, key).to_owned(),
            endpoint(request, attachment),
        );
    }
    Some(Json::Object(endpoints))
}

fn undeclared(request: &BodyRequest<'_>, key: &str, attachment: Option<&Attachment>) -> Problem {
    let message = format!(
        "service {} uses network {key}, which is not declared",
        request.service.name.value
    );
    let place = attachment.map_or(&request.service.name.span, |a| &a.declared.span);
    Problem::at(ProblemKind::UnknownReference, place, message)
        .help(format!("add {key} under the top-level networks"))
}

fn endpoint(request: &BodyRequest<'_>, attachment: Option<&Attachment>) -> Json {
    let mut aliases = vec![
        Json::from(container_name(
            request.project,
            request.service,
            request.replica,
        )),
        Json::from(request.service.name.value.clone()),
    ];
    let mut endpoint = Fields::new();
    let mut ipam = Fields::new();
    if let Some(attachment) = attachment {
        aliases.extend(
            attachment
                .aliases
                .iter()
                .map(|a| Json::from(a.value.clone())),
        );
        ipam.text("IPv4Address", &attachment.ipv4_address);
        ipam.text("IPv6Address", &attachment.ipv6_address);
        ipam.texts("LinkLocalIPs", &attachment.link_local_ips);
        endpoint.text("MacAddress", &attachment.mac_address);
        endpoint.map("DriverOpts", driver_opts(attachment));
        endpoint.int("GwPriority", &attachment.gateway_priority);
    }
    endpoint.list("Aliases", aliases);
    endpoint.list("Links", links(request));
    if let Json::Object(ipam) = ipam.into_json() {
        endpoint.map("IPAMConfig", ipam);
    }
    endpoint.into_json()
}

/// Options of the endpoint. The engine knows the interface's name by one of them.
fn driver_opts(attachment: &Attachment) -> Map<String, Json> {
    let mut options = text_map(&attachment.driver_opts);
    if let Some(name) = &attachment.interface_name {
        options.insert(
            "com.docker.network.endpoint.ifname".into(),
            Json::from(name.value.clone()),
        );
    }
    options
}

/// The hardware address of the container. Engines before API 1.44 know one, that of the first
/// network; the service's own and that of the first network must not differ.
pub(super) fn mac_address(net: &ServiceNetwork, problems: &mut Problems) -> Option<String> {
    let first = net.by_priority().first().copied().unwrap_or_default();
    let endpoint = net
        .attachments
        .get(first)
        .and_then(|a| a.mac_address.as_ref());
    if let (Some(own), Some(endpoint)) = (&net.mac_address, endpoint)
        && own != endpoint
    {
        let message = format!(
            "the service's mac_address {} and that of its network {first}, {}, differ",
            own.value, endpoint.value
        );
        problems.push(Problem::at(ProblemKind::Conflict, &endpoint.span, message));
    }
    endpoint
        .or(net.mac_address.as_ref())
        .map(|address| address.value.clone())
}

/// Ports that others may use.
pub(super) fn exposed_ports(net: &ServiceNetwork) -> Map<String, Json> {
    let exposed = net.expose.iter().map(|port| port.value.clone());
    let published = net.ports.iter().map(|port| port_key(port));
    exposed
        .chain(published)
        .map(|port| (port, json!({})))
        .collect()
}

/// Ports that are published on the host.
pub(super) fn port_bindings(net: &ServiceNetwork) -> Map<String, Json> {
    let mut bindings: Map<String, Json> = Map::new();
    let text = |t: &Option<Sourced<String>>| t.as_ref().map_or("", |t| t.as_str()).to_owned();
    for port in &net.ports {
        let binding = json!({
            "HostIp": text(&port.host_ip),
            "HostPort": text(&port.published),
        });
        let list = bindings.entry(port_key(port)).or_insert_with(|| json!([]));
        if let Json::Array(list) = list {
            list.push(binding);
        }
    }
    bindings
}

/// `80/tcp`.
fn port_key(port: &Port) -> String {
    format!(
        "{}/{}",
        port.target.as_ref().map_or(0, |t| t.value),
        port.protocol.as_ref().map_or("tcp", |p| p.as_str())
    )
}

/// Names with fixed addresses, `name:address`.
pub(super) fn extra_hosts(net: &ServiceNetwork) -> Vec<Json> {
    net.extra_hosts
        .iter()
        .map(|entry| Json::from(format!("{}:{}", entry.host, entry.address)))
        .collect()
}

/// Links to every container of the linked services, each under three names, and to containers
/// beyond the spec. The number in two of the names is that of the container that links, not of
/// the linked one: so it is in Docker Compose.
pub(super) fn links(request: &BodyRequest<'_>) -> Vec<Json> {
    let mut links = Vec::new();
    for link in &request.service.network.links {
        let Some(service) = request.mirror.services.get(&link.target) else {
            continue;
        };
        let alias = link.alias.as_ref().unwrap_or(&link.target);
        for replica in 1..=service.replicas() {
            let container = container_name(request.project, service, replica);
            links.push(Json::from(format!("{container}:{alias}")));
            let short = format!("{}-{}", link.target, request.replica);
            links.push(Json::from(format!("{container}:{short}")));
            let full = format!("{}-{short}", request.project);
            links.push(Json::from(format!("{container}:{full}")));
        }
    }
    for Sourced { value: link, .. } in &request.service.network.external_links {
        let Link { target, alias } = link;
        let alias = alias.as_ref().unwrap_or(target);
        links.push(Json::from(format!("{target}:{alias}")));
    }
    links
}

/// Containers whose mounts are taken over: names of services, or of containers beyond the
/// spec. Docker Compose leaves out the mode (`:ro`).
pub(super) fn volumes_from(request: &BodyRequest<'_>) -> Vec<Sourced<String>> {
    let list = &request.service.mounts.volumes_from;
    list.iter()
        .map(|from| {
            let name = from.strip_prefix("container:").unwrap_or(from);
            from.with(name.split(':').next().unwrap_or_default().to_owned())
        })
        .collect()
}
