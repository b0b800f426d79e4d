//! Networks, names and ports of a container.

use crate::fidelity::{Class, Severity};
use crate::yaml::{Node, Value};

use super::container::{Container, find};
use super::draft::Draft;
use super::field::{copy_mapping, filled, is_on, map, mapping, object, says, shown, text};
use super::labels;
use super::reader::Reader;
use crate::diag::{Problem, ProblemKind};

/// Networks of the engine itself, which is no network of a user's.
const OF_SWARM: [&str; 2] = ["ingress", "docker_gwbridge"];

/// Keys of an endpoint that are read, or that the engine chooses.
const ENDPOINT: [&str; 17] = [
    "IPAMConfig",
    "Links",
    "Aliases",
    "NetworkID",
    "EndpointID",
    "Gateway",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "MacAddress",
    "DriverOpts",
    "DNSNames",
    "GwPriority",
    "SecondaryIPAddresses",
    "SecondaryIPv6Addresses",
];

pub(super) fn read(d: &mut Draft<'_>, reader: &mut Reader<'_>) {
    attach(d, reader);
    links(d, reader);
    ports(d);
    expose(d);
    if let Some(node) = filled(d.c.config, "MacAddress") {
        d.set("mac_address", node.clone());
    }
}

/// The networks, or the mode that takes their place.
fn attach(d: &mut Draft<'_>, reader: &mut Reader<'_>) {
    let mode = filled(d.c.host, "NetworkMode");
    let name = mode.and_then(Node::as_str).unwrap_or("");
    if is_on(d.c.config, "NetworkDisabled") {
        return d.set("network_mode", Node::str("none", d.c.config.span.clone()));
    }
    match (name, mode) {
        ("host" | "none", Some(mode)) => return d.set("network_mode", mode.clone()),
        (_, Some(mode)) if name.starts_with("container:") => return shared(d, reader, mode),
        _ => {}
    }
    let networks = map(object(d.c.node, "NetworkSettings"), "Networks");
    let is_bridge = |n: &str| n == "bridge" || n == "default";
    let users: Vec<(&str, &Node)> = networks.iter().filter(|(n, _)| !is_bridge(n)).collect();
    if users.is_empty() && (name.is_empty() || is_bridge(name)) {
        let span = mode.map_or(&d.c.node.span, |m| &m.span).clone();
        return d.set("network_mode", Node::str("bridge", span));
    }
    let mut out = Node::map(d.c.node.span.clone());
    for (network, endpoint) in users {
        if OF_SWARM.contains(&network) {
            let field = format!("networks.{network}");
            let record = d.note(field, Class::Dropped, Severity::Low, &endpoint.span);
            record.reason = "it is Swarm's own, for traffic between hosts".to_owned();
            continue;
        }
        let key = reader.network(network, d.c.project, &endpoint.span);
        let node = self::endpoint(d, &key, endpoint);
        if let Some(map) = out.as_map_mut() {
            map.insert(key, node);
        }
    }
    if networks.is_empty() && !name.is_empty() && !is_bridge(name) {
        let span = mode.map_or(&d.c.node.span, |m| &m.span).clone();
        let key = reader.network(name, d.c.project, &span);
        if let Some(map) = out.as_map_mut() {
            map.insert(key, Node::new(Value::Null, span));
        }
    }
    first(d, reader, name, &mut out);
    if out.as_map().is_some_and(|m| !m.is_empty()) {
        d.set("networks", out);
    }
}

/// The network of another container.
fn shared(d: &mut Draft<'_>, reader: &mut Reader<'_>, mode: &Node) {
    let id = mode.as_str().unwrap_or("").trim_start_matches("container:");
    match find(reader.containers, id) {
        Some(other) => {
            let text = format!("service:{}", other.service);
            d.set("network_mode", Node::str(text, mode.span.clone()));
        }
        None => {
            d.set("network_mode", mode.clone());
            reader.problems.push(
                Problem::at(
                    ProblemKind::UnknownReference,
                    &mode.span,
                    format!(
                        "`{}` shares the network of container {}, which is not in the capture",
                        d.c.service,
                        id.get(..12).unwrap_or(id)
                    ),
                )
                .help("add its `docker inspect` to the capture; if it was made anew since, capture all containers again"),
            );
        }
    }
}

/// The network that the engine connects first is the one with the highest priority, else the
/// first by name.
fn first(d: &Draft<'_>, reader: &mut Reader<'_>, name: &str, out: &mut Node) {
    let Some(map) = out.as_map_mut() else { return };
    if map.len() < 2 || !map_has(d, name) {
        return;
    }
    let key = reader.network(name, d.c.project, &d.c.host.span);
    if map.keys().min() == Some(key.as_str()) {
        return;
    }
    let priority =
        d.c.host
            .get("NetworkMode")
            .map(|m| Node::int(1, m.span.clone()));
    if let (Some(endpoint), Some(priority)) = (map.get_mut(&key), priority) {
        if endpoint.is_null() {
            *endpoint = Node::map(endpoint.span.clone());
        }
        if let Some(endpoint) = endpoint.as_map_mut() {
            endpoint.insert("priority", priority);
        }
    }
}

fn map_has(d: &Draft<'_>, name: &str) -> bool {
    map(object(d.c.node, "NetworkSettings"), "Networks").contains_key(name)
}

/// What was asked for in one network: names and fixed addresses, not what the engine chose.
fn endpoint(d: &mut Draft<'_>, key: &str, endpoint: &Node) -> Node {
    let own = own_names(d);
    let aliases: Vec<Node> = super::field::list(endpoint, "Aliases")
        .iter()
        .filter(|n| n.as_str().is_some_and(|a| !own.iter().any(|o| o == a)))
        .cloned()
        .collect();
    let ipam = object(endpoint, "IPAMConfig");
    let span = endpoint.get("Aliases").map_or(&endpoint.span, |n| &n.span);
    let aliases = (!aliases.is_empty()).then(|| Node::new(Value::Seq(aliases), span.clone()));
    let unknown = endpoint.as_map().into_iter().flat_map(|m| m.iter());
    for (name, node) in unknown.filter(|(n, v)| !ENDPOINT.contains(n) && says(v)) {
        let field = format!("networks.{key}.{name}");
        let record = d.note(field, Class::Dropped, Severity::Medium, &node.span);
        record.declared = shown(node);
        record.reason = "this key of an endpoint is not known".to_owned();
    }
    let node = mapping(
        &endpoint.span,
        [
            ("aliases", aliases),
            ("ipv4_address", filled(ipam, "IPv4Address").cloned()),
            ("ipv6_address", filled(ipam, "IPv6Address").cloned()),
            ("link_local_ips", filled(ipam, "LinkLocalIPs").cloned()),
            (
                "driver_opts",
                filled(endpoint, "DriverOpts").map(copy_mapping),
            ),
            ("gw_priority", filled(endpoint, "GwPriority").cloned()),
        ],
    );
    if says(&node) {
        node
    } else {
        Node::new(Value::Null, endpoint.span.clone())
    }
}

/// The names that a container has in each network without asking.
fn own_names(d: &Draft<'_>) -> Vec<String> {
    let labelled = labels::service(object(d.c.config, "Labels")).service;
    let hostname = text(d.c.config, "Hostname").map(str::to_owned);
    [
        Some(d.c.name.to_owned()),
        Some(d.c.short_id().to_owned()),
        Some(d.c.id.to_owned()),
        Some(d.c.service.clone()),
        labelled,
        hostname,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Links of the default bridge (`/db:/web/alias`), and of endpoints (`db:alias`).
fn links(d: &mut Draft<'_>, reader: &mut Reader<'_>) {
    let mut nodes: Vec<Node> = super::field::list(d.c.host, "Links").to_vec();
    for (_, endpoint) in map(object(d.c.node, "NetworkSettings"), "Networks").iter() {
        nodes.extend(super::field::list(endpoint, "Links").iter().cloned());
    }
    let mut said: Vec<String> = Vec::new();
    for node in nodes {
        let Some((to, alias)) = node.as_str().and_then(|l| l.split_once(':')) else {
            continue;
        };
        let alias = alias.rsplit('/').next().unwrap_or(alias);
        let Some(other) = find(reader.containers, to) else {
            let declared = node.as_str().unwrap_or("").to_owned();
            let record = d.note("links", Class::Dropped, Severity::High, &node.span);
            record.declared = declared;
            record.reason = "the container that it leads to is not in the capture".to_owned();
            record.raise = "capture all containers of the host".to_owned();
            continue;
        };
        let link = if is_usual(other, alias) {
            other.service.clone()
        } else {
            format!("{}:{alias}", other.service)
        };
        if !said.contains(&link) {
            d.push("links", Node::str(link.clone(), node.span.clone()));
            said.push(link);
        }
    }
    // A link without an alias says nothing beside one with an alias.
    if let Some(items) = d.out.get_mut("links").and_then(Node::as_seq_mut) {
        let aliased: Vec<String> = said
            .iter()
            .filter_map(|l| l.split_once(':').map(|(s, _)| s.to_owned()))
            .collect();
        items.retain(|n| n.as_str().is_none_or(|l| !aliased.iter().any(|a| a == l)));
    }
}

/// Whether an alias of a link is one that Compose adds by itself: the service, or the name of
/// one of its containers with or without the project's.
fn is_usual(other: &Container<'_>, alias: &str) -> bool {
    let labelled = labels::service(object(other.config, "Labels")).service;
    let service = labelled.as_deref().unwrap_or(&other.service);
    let bare = other
        .project
        .and_then(|p| alias.strip_prefix(p)?.strip_prefix(['-', '_']))
        .unwrap_or(alias);
    let number = bare
        .strip_prefix(service)
        .and_then(|rest| rest.strip_prefix(['-', '_']));
    alias == other.name
        || alias == service
        || number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Ports as they were asked for; what the engine made of them is noted.
fn ports(d: &mut Draft<'_>) {
    let actual = object(object(d.c.node, "NetworkSettings"), "Ports");
    for (name, bindings) in map(d.c.host, "PortBindings").iter() {
        let (target, protocol) = name.split_once('/').unwrap_or((name, "tcp"));
        let Ok(target) = target.parse::<i64>() else {
            continue;
        };
        let none = [Node::map(bindings.span.clone())];
        let bindings = match bindings.as_seq() {
            Some(list) if !list.is_empty() => list,
            _ => &none,
        };
        for binding in bindings {
            let published = filled(binding, "HostPort").filter(|p| p.as_str() != Some("0"));
            let host_ip = filled(binding, "HostIp").or(filled(binding, "HostIP"));
            let protocol = Node::str(protocol, binding.span.clone());
            let node = mapping(
                &binding.span,
                [
                    ("target", Some(Node::int(target, binding.span.clone()))),
                    ("published", published.cloned()),
                    ("host_ip", host_ip.cloned()),
                    ("protocol", Some(protocol)),
                ],
            );
            d.push("ports", node);
            if published.is_none() {
                chosen(d, name, actual);
            }
        }
    }
    if let Some(node) = filled(d.c.host, "PublishAllPorts") {
        for (name, at) in map(d.c.config, "ExposedPorts").iter() {
            if !map(d.c.host, "PortBindings").contains_key(name) {
                d.push("ports", Node::str(name, at.span.clone()));
            }
        }
        let record = d.note("ports", Class::Mirrored, Severity::Info, &node.span);
        record.reason = "all ports are published, on ports that the engine chooses".to_owned();
    }
}

/// The host's port that the engine chose in production.
fn chosen(d: &mut Draft<'_>, name: &str, actual: &Node) {
    let asked = super::field::list(object(d.c.host, "PortBindings"), name);
    let fixed = |port: &str| asked.iter().any(|b| text(b, "HostPort") == Some(port));
    let now: Vec<&Node> = super::field::list(actual, name)
        .iter()
        .filter(|b| text(b, "HostPort").is_some_and(|p| !fixed(p)))
        .collect();
    let Some(first) = now.first() else { return };
    let port = text(first, "HostPort").unwrap_or("").to_owned();
    let record = d.note(
        format!("ports[{name}].published"),
        Class::Unknown,
        Severity::Info,
        &first.span,
    );
    record.declared = port;
    record.reason = "the engine chose this port of the host; none was asked for".to_owned();
}

/// Ports that the image does not expose and nothing publishes.
fn expose(d: &mut Draft<'_>) {
    let image = d.c.image_config().map(|i| map(i, "ExposedPorts"));
    let published = map(d.c.host, "PortBindings");
    let all = filled(d.c.host, "PublishAllPorts").is_some();
    for (name, at) in map(d.c.config, "ExposedPorts").iter() {
        let of_image = image.is_some_and(|i| i.contains_key(name));
        if !(of_image || all || published.contains_key(name)) {
            let port = name.strip_suffix("/tcp").unwrap_or(name);
            d.push("expose", Node::str(port, at.span.clone()));
        }
    }
}
