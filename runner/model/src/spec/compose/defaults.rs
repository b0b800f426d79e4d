//! Values that Compose adds where none are written, and checks of what excludes what.

use std::net::IpAddr;
use std::sync::LazyLock;

use super::rules::{Rules, Trail};
use crate::diag::{Problem, ProblemKind};
use crate::yaml::{Mapping, Node, Value, ViaKind};

#[derive(Clone, Copy)]
enum Default {
    BuildContext,
    SecretTarget,
    Port,
    DeviceCount,
}

static DEFAULTS: LazyLock<Rules<Default>> = LazyLock::new(|| {
    Rules::new(&[
        ("services.*.build", Default::BuildContext),
        ("services.*.secrets.*", Default::SecretTarget),
        ("services.*.ports.*", Default::Port),
        (
            "services.*.deploy.resources.reservations.devices.*",
            Default::DeviceCount,
        ),
        ("services.*.gpus.*", Default::DeviceCount),
    ])
});

/// Adds the values that go without saying.
pub(super) fn fill(document: &mut Node) {
    each(document, &DEFAULTS, &mut |rule, node| {
        let span = node.span.clone();
        let Some(map) = node.as_map_mut() else {
            return;
        };
        match rule {
            Default::BuildContext => add(map, "context", ".", &span),
            Default::Port => {
                add(map, "protocol", "tcp", &span);
                add(map, "mode", "ingress", &span);
            }
            Default::SecretTarget => {
                let source = map.get("source").and_then(Node::as_str).unwrap_or("");
                let target = format!("/run/secrets/{source}");
                add(map, "target", &target, &span);
            }
            Default::DeviceCount => {
                if !map.contains_key("device_ids") {
                    add(map, "count", "all", &span);
                }
            }
        }
    });
}

fn add(map: &mut Mapping, key: &str, text: &str, span: &crate::source::Span) {
    if !map.contains_key(key) {
        let node = Node::str(text, span.clone());
        map.insert(key, node.via(ViaKind::Default, span.clone()));
    }
}

fn each<T: Copy>(node: &mut Node, rules: &Rules<T>, found: &mut impl FnMut(T, &mut Node)) {
    if let Some(rule) = rules.here() {
        found(rule, node);
        return;
    }
    match &mut node.value {
        Value::Map(map) => map.iter_mut().for_each(|(key, child)| {
            if let Some(below) = rules.key(key) {
                each(child, below, found);
            }
        }),
        Value::Seq(items) => {
            if let Some(below) = rules.item() {
                items.iter_mut().for_each(|item| each(item, below, found));
            }
        }
        _ => {}
    }
}

#[derive(Clone, Copy)]
enum Check {
    /// An external volume has a name and nothing else.
    ExternalAlone,
    /// Exactly one of these says where the content comes from.
    OneSource(&'static [&'static str]),
    HostIp,
    NotBlank,
    CountOrIds,
}

static CHECKS: LazyLock<Rules<Check>> = LazyLock::new(|| {
    Rules::new(&[
        ("volumes.*", Check::ExternalAlone),
        (
            "configs.*",
            Check::OneSource(&["file", "environment", "content"]),
        ),
        ("secrets.*", Check::OneSource(&["file", "environment"])),
        ("services.*.ports.*", Check::HostIp),
        ("services.*.develop.watch.*.path", Check::NotBlank),
        (
            "services.*.deploy.resources.reservations.devices.*",
            Check::CountOrIds,
        ),
        ("services.*.gpus.*", Check::CountOrIds),
    ])
});

/// Checks what excludes what inside of single values.
pub(super) fn check(document: &Node) -> Result<(), Problem> {
    walk(document, &CHECKS, &Trail::Top)
}

fn walk(node: &Node, rules: &Rules<Check>, trail: &Trail<'_>) -> Result<(), Problem> {
    if let Some(rule) = rules.here() {
        return verify(rule, node, trail);
    }
    match &node.value {
        Value::Map(map) => map.iter().try_for_each(|(key, child)| {
            rules
                .key(key)
                .map_or(Ok(()), |below| walk(child, below, &trail.key(key)))
        }),
        Value::Seq(items) => match rules.item() {
            Some(below) => items
                .iter()
                .enumerate()
                .try_for_each(|(i, item)| walk(item, below, &trail.item(i))),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn verify(rule: Check, node: &Node, trail: &Trail<'_>) -> Result<(), Problem> {
    let empty = Mapping::default();
    let map = node.as_map().unwrap_or(&empty);
    let fail = |kind, at: &Node, what: String| Err(Problem::at(kind, &at.span, what));
    match rule {
        Check::ExternalAlone => {
            let external = map.get("external").and_then(Node::as_bool) == Some(true);
            let other = map
                .iter()
                .find(|(key, _)| !matches!(*key, "name" | "external") && !key.starts_with("x-"));
            match other {
                Some((key, value)) if external => fail(
                    ProblemKind::Conflict,
                    value,
                    format!("`{trail}` is external: `{key}` belongs to whoever made it"),
                ),
                _ => Ok(()),
            }
        }
        Check::OneSource(keys) => {
            let mut given = keys.iter().filter(|k| map.contains_key(k));
            match (given.next(), given.next()) {
                (Some(one), Some(two)) => fail(
                    ProblemKind::Conflict,
                    node,
                    format!("`{trail}` has both `{one}` and `{two}`"),
                ),
                (None, _) if !map.contains_key("driver") && !map.contains_key("external") => fail(
                    ProblemKind::Missing,
                    node,
                    format!("`{trail}` has no content: set one of {}", keys.join(", ")),
                ),
                _ => Ok(()),
            }
        }
        Check::HostIp => match map.get("host_ip") {
            Some(ip) if ip.as_str().is_none_or(|t| t.parse::<IpAddr>().is_err()) => fail(
                ProblemKind::InvalidValue,
                ip,
                format!("`{trail}.host_ip` is not an IP address"),
            ),
            _ => Ok(()),
        },
        Check::NotBlank if node.as_str() == Some("") => fail(
            ProblemKind::InvalidValue,
            node,
            format!("`{trail}` is empty"),
        ),
        Check::CountOrIds if map.contains_key("count") && map.contains_key("device_ids") => fail(
            ProblemKind::Conflict,
            node,
            format!("`{trail}` has both `count` and `device_ids`"),
        ),
        Check::NotBlank | Check::CountOrIds => Ok(()),
    }
}
