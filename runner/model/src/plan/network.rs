//! Networks and volumes of the stack, and whose network a service uses.

use std::collections::BTreeMap;

use super::rules::image::is_reserved;
use super::rules::network::BRIDGE;
use super::{NetworkOf, NetworkPlan, PlanOptions, VolumePlan};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::mirror::{Mirror, NamespaceMode, Service, Texts, Volume};
use crate::stack::{DataSpec, Extension};

/// Options of a bridge that have no effect beyond the stack.
const BRIDGE_OPTIONS: [&str; 2] = [
    "com.docker.network.bridge.enable_icc",
    "com.docker.network.driver.mtu",
];
/// Addresses of a network that are not for services: the network, the broadcast, the gateway,
/// and a container of the runner's.
const OWN_ADDRESSES: u32 = 4;

/// Whether a service uses the engine's default bridge.
pub(super) fn is_default_bridge(service: &Service) -> bool {
    let mode = service.network.mode.as_ref().map(|m| &m.value);
    matches!(mode, Some(NamespaceMode::Named(name)) if name == "bridge" || name == "default")
}

/// Whose network a service uses.
pub(super) fn network_of(
    mirror: &Mirror,
    service: &Service,
    options: &PlanOptions,
    problems: &mut Problems,
) -> NetworkOf {
    let mut owner = service;
    // A service may share the network of one that itself shares another's. Circles are
    // refused before, when the order is found; the count only guards the loop.
    for _ in 0..=mirror.services.len() {
        let Some(mode) = &owner.network.mode else {
            break;
        };
        match &mode.value {
            NamespaceMode::None => return NetworkOf::None,
            NamespaceMode::Service(name) => match mirror.services.get(name) {
                Some(other) => owner = other,
                None => break,
            },
            _ if is_default_bridge(owner) => break,
            allowed if options.foreign_networks.contains(&owner.name.value) => {
                return NetworkOf::Foreign(allowed.to_string());
            }
            other => {
                let message = format!(
                    "service {} uses the network of {other}, which is not part of the stack",
                    owner.name.value
                );
                problems.push(
                    Problem::at(ProblemKind::Forbidden, &mode.span, message)
                        .help("give the service networks of its own"),
                );
                return NetworkOf::None;
            }
        }
    }
    if std::ptr::eq(owner, service) {
        return NetworkOf::Own;
    }
    if owner.replicas() == 0 {
        let message = format!(
            "service {} uses the network of {}, which has no containers",
            service.name.value, owner.name.value
        );
        problems.push(Problem::at(
            ProblemKind::Conflict,
            &service.name.span,
            message,
        ));
    }
    NetworkOf::Service(owner.name.value.clone())
}

/// The networks that services are attached to, in the order of the spec.
pub(super) fn networks(mirror: &Mirror, options: &PlanOptions) -> Vec<NetworkPlan> {
    let mut attached: BTreeMap<&str, u32> = BTreeMap::new();
    for service in mirror.services.values() {
        let count = service.replicas();
        if is_default_bridge(service) {
            *attached.entry(BRIDGE).or_default() += count;
        } else if service.network.mode.is_none() {
            let mut keys = service.network.by_priority();
            if keys.is_empty() {
                keys.push("default");
            }
            for key in keys {
                *attached.entry(key).or_default() += count;
            }
        }
    }
    let declared = mirror.networks.keys().map(String::as_str);
    declared
        .chain([BRIDGE])
        .filter_map(|key| {
            let network = mirror.networks.get(key);
            Some(NetworkPlan {
                key: key.to_owned(),
                labels: network.map(|n| labels(&n.labels)).unwrap_or_default(),
                internal: !options.open_networks.contains(key),
                options: network
                    .map(|n| some_texts(&n.driver_opts, |key, _| BRIDGE_OPTIONS.contains(&key)))
                    .unwrap_or_default(),
                addresses: attached.get(key)?.saturating_add(OWN_ADDRESSES),
            })
        })
        .collect()
}

/// The named volumes that services mount, in the order of the spec.
pub(super) fn volumes(mirror: &Mirror, extension: &Extension) -> Vec<VolumePlan> {
    let mounted: Vec<&str> = mirror
        .services
        .values()
        .flat_map(|service| &service.mounts.list)
        .filter_map(|mount| mount.source.as_ref().map(|s| s.as_str()))
        .collect();
    mirror
        .volumes
        .iter()
        .filter(|(key, _)| mounted.contains(&key.as_str()))
        .map(|(key, volume)| VolumePlan {
            key: key.clone(),
            labels: labels(&volume.labels),
            options: volume_options(volume),
            external: volume.is_external().then(|| {
                let name = volume.name.as_ref();
                name.map_or_else(|| key.clone(), |n| n.value.clone())
            }),
            root: extension.volume_roots.get(key).copied(),
            snapshot: match extension.data.get(key) {
                Some(DataSpec::Snapshot(name)) => Some(name.clone()),
                _ => None,
            },
        })
        .collect()
}

/// Options of the engine's own driver that stay on the engine: a file system in memory.
fn volume_options(volume: &Volume) -> BTreeMap<String, String> {
    if in_memory(volume) {
        some_texts(&volume.driver_opts, |key, _| {
            matches!(key, "type" | "device" | "o")
        })
    } else {
        BTreeMap::new()
    }
}

/// Whether a volume is a file system in memory.
pub(super) fn in_memory(volume: &Volume) -> bool {
    let driver = volume.driver.as_ref().map_or("local", |d| d.as_str());
    let kind = volume.driver_opts.get("type").map(|t| t.as_str());
    matches!(driver, "" | "local") && kind == Some("tmpfs")
}

/// Whether an option of a network's driver is honoured.
pub(super) fn is_honoured(option: &str) -> bool {
    BRIDGE_OPTIONS.contains(&option)
}

/// Labels without those by which programs find what is theirs.
fn labels(map: &Texts) -> BTreeMap<String, String> {
    some_texts(map, |name, _| !is_reserved(name))
}

fn some_texts(map: &Texts, keep: impl Fn(&str, &str) -> bool) -> BTreeMap<String, String> {
    map.iter()
        .filter(|(key, value)| keep(key, value))
        .map(|(key, value)| (key.clone(), value.value.clone()))
        .collect()
}
