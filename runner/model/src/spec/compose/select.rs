//! Which services are in: profiles, services that are asked for, and what these need.

use std::collections::{BTreeMap, BTreeSet};

use crate::diag::{Problem, ProblemKind, nearest};
use crate::yaml::{Mapping, Node, Value};

/// Services whose profiles are not active.
pub(super) type Disabled = BTreeMap<String, Node>;

/// Takes services out whose profiles are not active.
pub(super) fn by_profile(root: &mut Node, profiles: &[String]) -> Disabled {
    let mut disabled = Disabled::new();
    let Some(services) = services_of(root) else {
        return disabled;
    };
    services.0.retain(|name, entry| {
        let active = is_active(&entry.node, profiles);
        if !active {
            disabled.insert(name.clone(), entry.node.clone());
        }
        active
    });
    disabled
}

fn services_of(root: &mut Node) -> Option<&mut Mapping> {
    root.as_map_mut()
        .and_then(|m| m.get_mut("services"))
        .and_then(Node::as_map_mut)
}

fn is_active(service: &Node, profiles: &[String]) -> bool {
    let own = texts(service.get("profiles"));
    own.is_empty()
        || profiles
            .iter()
            .any(|p| p == "*" || own.contains(&p.as_str()))
}

fn texts(list: Option<&Node>) -> Vec<&str> {
    let items = list.and_then(Node::as_seq).unwrap_or(&[]);
    items.iter().filter_map(Node::as_str).collect()
}

/// Activates the profiles of services that are asked for.
pub(super) fn enable(
    root: &mut Node,
    disabled: &mut Disabled,
    names: &[String],
    profiles: &[String],
) {
    let mut active = profiles.to_vec();
    for name in names {
        let service = disabled.get(name);
        active.extend(
            texts(service.and_then(|s| s.get("profiles")))
                .into_iter()
                .map(str::to_owned),
        );
    }
    let Some(services) = services_of(root) else {
        return;
    };
    disabled.retain(|name, service| {
        let stays_out = !is_active(service, &active);
        if !stays_out {
            services.insert(name.clone(), service.clone());
        }
        stays_out
    });
}

/// Keeps the services that are asked for and what they depend on; names may be patterns
/// with `*` and `?`.
pub(super) fn only(root: &mut Node, names: &[String]) -> Result<(), Problem> {
    let Some(services) = services_of(root).filter(|_| !names.is_empty()) else {
        return Ok(());
    };
    let mut kept = BTreeSet::new();
    let mut queue: Vec<(String, bool)> = names.iter().map(|n| (n.clone(), true)).collect();
    while let Some((wanted, required)) = queue.pop() {
        let found: Vec<String> = services
            .keys()
            .filter(|name| matches(&wanted, name))
            .map(str::to_owned)
            .collect();
        if found.is_empty() && required {
            let problem = Problem::new(
                ProblemKind::UnknownReference,
                format!("there is no service `{wanted}`"),
            );
            return Err(match nearest(&wanted, services.keys()) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem,
            });
        }
        for name in found {
            let needs = services.get(&name).and_then(|s| s.get("depends_on"));
            if let Some(needs) = needs
                .and_then(Node::as_map)
                .filter(|_| !kept.contains(&name))
            {
                queue.extend(needs.iter().map(|(other, dependency)| {
                    let required = dependency.get("required").and_then(Node::as_bool);
                    (other.to_owned(), required != Some(false))
                }));
            }
            kept.insert(name);
        }
    }
    services.0.retain(|name, _| kept.contains(name));
    for (_, service) in services.iter_mut() {
        let Some(map) = service.as_map_mut() else {
            continue;
        };
        if let Some(needs) = map.get_mut("depends_on").and_then(Node::as_map_mut) {
            needs.0.retain(|name, _| kept.contains(name));
            if needs.is_empty() {
                map.remove("depends_on");
            }
        }
    }
    Ok(())
}

/// Whether a name fits a pattern with `*` and `?`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.chars().next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = &pattern[1..];
            let mut starts = name.char_indices().map(|(i, _)| i).chain([name.len()]);
            starts.any(|i| matches(rest, &name[i..]))
        }
        Some(c) => match name.chars().next() {
            Some(n) if c == '?' || c == n => {
                matches(&pattern[c.len_utf8()..], &name[n.len_utf8()..])
            }
            _ => false,
        },
    }
}

/// Takes networks, volumes, secrets and configs out that no service uses.
pub(super) fn drop_unused(root: &mut Node) {
    let mut used: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let services = root.get("services").and_then(Node::as_map);
    for (_, service) in services.into_iter().flat_map(Mapping::iter) {
        let mut add = |kind, name: &str| {
            used.entry(kind).or_default().insert(name.to_owned());
        };
        let networks = service.get("networks").and_then(Node::as_map);
        for name in networks.into_iter().flat_map(Mapping::keys) {
            add("networks", name);
        }
        for mount in list(service.get("volumes")) {
            if mount.get("type").and_then(Node::as_str) == Some("volume")
                && let Some(name) = mount.get("source").and_then(Node::as_str)
            {
                add("volumes", name);
            }
        }
        for (kind, at) in [
            ("secrets", service.get("secrets")),
            ("secrets", service.at(&["build", "secrets"])),
            ("configs", service.get("configs")),
        ] {
            for grant in list(at) {
                if let Some(name) = grant.get("source").and_then(Node::as_str) {
                    add(kind, name);
                }
            }
        }
    }
    let Value::Map(map) = &mut root.value else {
        return;
    };
    for kind in ["networks", "volumes", "secrets", "configs"] {
        let empty = BTreeSet::new();
        let used = used.get(kind).unwrap_or(&empty);
        let Some(resources) = map.get_mut(kind).and_then(Node::as_map_mut) else {
            continue;
        };
        resources.0.retain(|name, _| used.contains(name));
        if resources.is_empty() {
            map.remove(kind);
        }
    }
}

fn list(node: Option<&Node>) -> &[Node] {
    node.and_then(Node::as_seq).unwrap_or(&[])
}
