//! Networks and volumes that services use.

use indexmap::IndexMap;

use crate::fidelity::{Class, Record, Severity};
use crate::source::Span;
use crate::yaml::{Mapping, Node, Value};

use super::capture::Capture;
use super::container::Container;
use super::draft::RULE;
use super::field::{copy_mapping, filled, key_of, list, map, mapping, object, says, shown, text};
use super::labels;

/// Networks or volumes, by the name on the engine: each with its key and where it is used.
pub(super) type Used = IndexMap<String, (String, Span)>;

/// The key of an object: as its label says, else its name without the project's.
pub(super) fn key(
    used: &mut Used,
    name: &str,
    inspected: Option<&Node>,
    label: &str,
    project: Option<&str>,
    span: &Span,
) -> String {
    if let Some((key, _)) = used.get(name) {
        return key.clone();
    }
    let labelled = inspected.and_then(|n| text(object(n, "Labels"), label));
    let short = project.and_then(|p| name.strip_prefix(p)?.strip_prefix('_'));
    let taken = |key: &str| used.values().any(|(k, _)| k == key);
    let wanted = key_of(labelled.or(short).unwrap_or(name));
    let key = if wanted.is_empty() || taken(&wanted) {
        free_key(name, taken)
    } else {
        wanted
    };
    used.insert(name.to_owned(), (key.clone(), span.clone()));
    key
}

/// A key that no other object has.
fn free_key(name: &str, taken: impl Fn(&str) -> bool) -> String {
    let base = match key_of(name) {
        key if key.is_empty() => "unnamed".to_owned(),
        key => key,
    };
    let numbered = (2..).map(|n| format!("{base}-{n}"));
    let mut candidates = std::iter::once(base.clone()).chain(numbered);
    candidates.find(|k| !taken(k)).unwrap_or(base)
}

/// A name that is not the usual one.
fn name_node(name: &str, key: &str, project: Option<&str>, span: &Span) -> Option<Node> {
    let usual = project.is_some_and(|p| name == format!("{p}_{key}"));
    (!usual).then(|| Node::str(name, span.clone()))
}

/// Labels that were asked for.
fn labels_of(node: &Node) -> Option<Node> {
    let from = node.get("Labels")?;
    let mut out = Mapping::default();
    for (name, value) in map(node, "Labels").iter() {
        if !labels::is_of_a_tool(name) {
            out.insert(name, value.clone());
        }
    }
    (!out.is_empty()).then(|| Node::new(Value::Map(out), from.span.clone()))
}

/// The volumes that are used, as Compose declares them.
pub(super) fn volumes(
    used: &Used,
    capture: &Capture,
    project: Option<&str>,
    records: &mut Vec<Record>,
) -> Option<Node> {
    const KNOWN: [&str; 10] = [
        "ClusterVolume",
        "CreatedAt",
        "Driver",
        "Labels",
        "Mountpoint",
        "Name",
        "Options",
        "Scope",
        "Status",
        "UsageData",
    ];
    let mut out = Mapping::default();
    for (name, (key, span)) in used {
        let found = capture.volume(name);
        let span = found.map_or(span, |n| &n.span);
        let object = format!("volume:{key}");
        let driver = found.and_then(|n| filled(n, "Driver"));
        let node = mapping(
            span,
            [
                ("name", name_node(name, key, project, span)),
                (
                    "driver",
                    driver.filter(|d| d.as_str() != Some("local")).cloned(),
                ),
                (
                    "driver_opts",
                    found.and_then(|n| filled(n, "Options")).map(copy_mapping),
                ),
                ("labels", found.and_then(labels_of)),
            ],
        );
        match found {
            Some(n) => unknown(n, &KNOWN, &object, records),
            None => not_captured(&object, span, "docker volume inspect", records),
        }
        out.insert(key.clone(), node);
    }
    finish(out)
}

/// The networks that are used, as Compose declares them.
pub(super) fn networks(
    used: &Used,
    capture: &Capture,
    containers: &[Container<'_>],
    project: Option<&str>,
    records: &mut Vec<Record>,
) -> Option<Node> {
    const KNOWN: [&str; 19] = [
        "Attachable",
        "ConfigFrom",
        "ConfigOnly",
        "Containers",
        "Created",
        "Driver",
        "EnableIPv4",
        "EnableIPv6",
        "IPAM",
        "Id",
        "Ingress",
        "Internal",
        "Labels",
        "Name",
        "Options",
        "Peers",
        "Scope",
        "Services",
        "Status",
    ];
    let mut out = Mapping::default();
    for (name, (key, span)) in used {
        let object = format!("network:{key}");
        let Some(found) = capture.network(name) else {
            not_captured(&object, span, "docker network inspect", records);
            let node = [("name", name_node(name, key, project, span))];
            out.insert(key.clone(), mapping(span, node));
            continue;
        };
        let span = &found.span;
        let driver = filled(found, "Driver").filter(|d| d.as_str() != Some("bridge"));
        let ipv4 = found.get("EnableIPv4").filter(|n| !n.is_null() && !says(n));
        let node = mapping(
            span,
            [
                ("name", name_node(name, key, project, span)),
                ("driver", driver.cloned()),
                ("driver_opts", filled(found, "Options").map(copy_mapping)),
                ("internal", filled(found, "Internal").cloned()),
                ("attachable", filled(found, "Attachable").cloned()),
                ("enable_ipv4", ipv4.cloned()),
                ("enable_ipv6", filled(found, "EnableIPv6").cloned()),
                ("ipam", ipam(found, name, &object, containers, records)),
                ("labels", labels_of(found)),
            ],
        );
        unknown(found, &KNOWN, &object, records);
        out.insert(key.clone(), node);
    }
    finish(out)
}

fn finish(out: Mapping) -> Option<Node> {
    let span = out.iter().next()?.1.span.clone();
    Some(Node::new(Value::Map(out), span))
}

/// Address pools that somebody asked for: the engine shows those that it chose likewise.
fn ipam(
    network: &Node,
    name: &str,
    of: &str,
    containers: &[Container<'_>],
    records: &mut Vec<Record>,
) -> Option<Node> {
    let ipam = network.get("IPAM")?;
    let fixed = containers.iter().any(|c| {
        let networks = object(object(c.node, "NetworkSettings"), "Networks");
        let endpoint = object(networks, name);
        let config = object(endpoint, "IPAMConfig");
        text(config, "IPv4Address")
            .or(text(config, "IPv6Address"))
            .is_some()
    });
    let mut pools = Vec::new();
    for pool in list(ipam, "Config") {
        let Some(subnet) = filled(pool, "Subnet") else {
            continue;
        };
        if !fixed && subnet.as_str().is_some_and(is_from_default_pool) {
            let mut record =
                Record::new(of, "ipam.subnet", Class::Unknown, Severity::Info).at(&subnet.span);
            RULE.clone_into(&mut record.rule);
            record.declared = shown(subnet);
            record.reason = "it is of the engine's own pools: nobody asked for it".to_owned();
            records.push(record);
            continue;
        }
        pools.push(mapping(
            &pool.span,
            [
                ("subnet", Some(subnet.clone())),
                ("gateway", filled(pool, "Gateway").cloned()),
                ("ip_range", filled(pool, "IPRange").cloned()),
                (
                    "aux_addresses",
                    filled(pool, "AuxiliaryAddresses").map(copy_mapping),
                ),
            ],
        ));
    }
    let driver = filled(ipam, "Driver").filter(|d| d.as_str() != Some("default"));
    let config = (!pools.is_empty()).then(|| Node::new(Value::Seq(pools), ipam.span.clone()));
    let options = filled(ipam, "Options").map(copy_mapping);
    if driver.is_none() && config.is_none() && options.is_none() {
        return None;
    }
    let entries = [
        ("driver", driver.cloned()),
        ("config", config),
        ("options", options),
    ];
    Some(mapping(&ipam.span, entries))
}

/// 172.17–31.0.0/16 and 192.168.0.0/20…: what the engine takes when nobody asks.
fn is_from_default_pool(subnet: &str) -> bool {
    let Some((address, length)) = subnet.split_once('/') else {
        return false;
    };
    let Ok(address) = address.parse::<std::net::Ipv4Addr>() else {
        return false;
    };
    match address.octets() {
        [172, 17..=31, 0, 0] => length == "16",
        [192, 168, third, 0] => length == "20" && third % 16 == 0,
        _ => false,
    }
}

fn not_captured(object: &str, span: &Span, command: &str, records: &mut Vec<Record>) {
    let mut record = Record::new(object, "options", Class::Unknown, Severity::Low).at(span);
    RULE.clone_into(&mut record.rule);
    record.reason = "its driver and options are not in the capture".to_owned();
    record.raise = format!("add `{command}` to the capture");
    records.push(record);
}

fn unknown(node: &Node, known: &[&str], object: &str, records: &mut Vec<Record>) {
    let entries = node.as_map().into_iter().flat_map(|m| m.0.iter());
    for (key, entry) in entries.filter(|(k, e)| !known.contains(&k.as_str()) && says(&e.node)) {
        let mut record = Record::new(object, key.clone(), Class::Dropped, Severity::Medium);
        record = record.at(&entry.key);
        RULE.clone_into(&mut record.rule);
        record.declared = shown(&entry.node);
        record.reason = "Compose has no word for it".to_owned();
        records.push(record);
    }
}
