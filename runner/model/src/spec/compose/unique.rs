//! Lists in which a later entry takes the place of an earlier one for the same thing.

use std::sync::LazyLock;

use indexmap::IndexMap;

use super::rules::{Rules, Trail};
use super::volume;
use crate::diag::{Problem, ProblemKind};
use crate::yaml::{Node, Value, ViaKind};

/// What an entry of a list is for.
#[derive(Clone, Copy)]
enum Key {
    /// The text before the first `=`.
    Name,
    /// The text itself.
    Port,
    Expose,
    /// The path in the container.
    Volume,
    Device,
    /// The path in the container, by default under this directory.
    Mount(&'static str),
    /// The path of the file.
    EnvFile,
}

static RULES: LazyLock<Rules<Key>> = LazyLock::new(|| {
    Rules::new(&[
        ("networks.*.labels", Key::Name),
        ("networks.*.ipam.options", Key::Name),
        ("services.*.annotations", Key::Name),
        ("services.*.build.args", Key::Name),
        ("services.*.build.additional_contexts", Key::Name),
        ("services.*.build.platform", Key::Name),
        ("services.*.build.tags", Key::Name),
        ("services.*.build.labels", Key::Name),
        ("services.*.cap_add", Key::Name),
        ("services.*.cap_drop", Key::Name),
        ("services.*.configs", Key::Mount("")),
        ("services.*.deploy.labels", Key::Name),
        ("services.*.devices", Key::Device),
        ("services.*.dns", Key::Name),
        ("services.*.dns_opt", Key::Name),
        ("services.*.dns_search", Key::Name),
        ("services.*.environment", Key::Name),
        ("services.*.env_file", Key::EnvFile),
        ("services.*.expose", Key::Expose),
        ("services.*.labels", Key::Name),
        ("services.*.links", Key::Name),
        ("services.*.networks.*.aliases", Key::Name),
        ("services.*.networks.*.link_local_ips", Key::Name),
        ("services.*.ports", Key::Port),
        ("services.*.profiles", Key::Name),
        ("services.*.secrets", Key::Mount("/run/secrets")),
        ("services.*.sysctls", Key::Name),
        ("services.*.tmpfs", Key::Name),
        ("services.*.volumes", Key::Volume),
    ])
});

/// Drops entries of lists that later ones replace.
pub(super) fn enforce(document: &mut Node) -> Result<(), Problem> {
    walk(document, &RULES, &Trail::Top)
}

fn walk(node: &mut Node, rules: &Rules<Key>, trail: &Trail<'_>) -> Result<(), Problem> {
    match &mut node.value {
        Value::Map(map) => map.iter_mut().try_for_each(|(key, child)| {
            rules
                .key(key)
                .map_or(Ok(()), |below| walk(child, below, &trail.key(key)))
        }),
        Value::Seq(items) => {
            let Some(key) = rules.here() else {
                return Ok(());
            };
            let mut kept: IndexMap<String, Node> = IndexMap::with_capacity(items.len());
            for (i, item) in std::mem::take(items).into_iter().enumerate() {
                let name = name_of(key, &item, &trail.item(i))?;
                let item = match kept.get(&name) {
                    // The later one remembers the one whose place it took.
                    Some(before) if before.span.is_real() && !before.same_value(&item) => {
                        let span = before.span.clone();
                        item.via(ViaKind::Override, span)
                    }
                    _ => item,
                };
                kept.insert(name, item);
            }
            items.extend(kept.into_values());
            Ok(())
        }
        _ => Ok(()),
    }
}

fn name_of(key: Key, item: &Node, trail: &Trail<'_>) -> Result<String, Problem> {
    let wrong = || {
        Problem::at(
            ProblemKind::WrongType,
            &item.span,
            format!("`{trail}` cannot be {}", item.kind()),
        )
    };
    let lacks = |what: &str| {
        Problem::at(
            ProblemKind::Missing,
            &item.span,
            format!("`{trail}` lacks its {what}"),
        )
    };
    let text_of = |name: &str| item.get(name).and_then(Node::as_str);
    match (key, &item.value) {
        (Key::Name, Value::Str(text)) => {
            let name = text.split_once('=').map_or(text.as_str(), |(name, _)| name);
            Ok(name.to_owned())
        }
        (Key::Port | Key::Expose, Value::Str(text)) => Ok(text.clone()),
        (Key::Port | Key::Expose, Value::Int { value, .. }) => Ok(value.to_string()),
        (Key::Port, Value::Map(_)) => port(item).ok_or_else(|| lacks("target port")),
        (Key::Volume, Value::Str(text)) => volume::parse(text)
            .map(|v| v.target)
            .map_err(|why| Problem::at(ProblemKind::InvalidValue, &item.span, why)),
        (Key::Device, Value::Str(text)) => {
            let mut parts = text.split(':');
            let first = parts.next().unwrap_or("");
            Ok(parts.next().unwrap_or(first).to_owned())
        }
        (Key::Volume | Key::Device, Value::Map(_)) => {
            let target = text_of("target").ok_or_else(|| lacks("target"))?;
            Ok(target.to_owned())
        }
        (Key::Mount(dir), Value::Str(text)) => Ok(format!("{dir}/{text}")),
        (Key::Mount(dir), Value::Map(_)) => Ok(match text_of("target") {
            Some(target) => target.to_owned(),
            None => format!("{dir}/{}", text_of("source").unwrap_or("")),
        }),
        (Key::EnvFile, Value::Str(text)) => Ok(text.clone()),
        (Key::EnvFile, Value::Map(_)) => {
            let path = text_of("path").ok_or_else(|| lacks("path"))?;
            Ok(path.to_owned())
        }
        _ => Err(wrong()),
    }
}

/// A port in the long form. A published port that is a number is not the same thing as the
/// same digits as text: Compose keeps both.
fn port(item: &Node) -> Option<String> {
    let text = |name: &str, default: &str| {
        let value = item.get(name).and_then(Node::as_str);
        value.unwrap_or(default).to_owned()
    };
    let target = item.get("target")?.scalar_text()?;
    let published = match item.get("published").map(|n| &n.value) {
        Some(Value::Str(text)) => text.clone(),
        Some(Value::Int { value, .. }) => format!("#{value}"),
        _ => "none".into(),
    };
    let (host, protocol) = (text("host_ip", "0.0.0.0"), text("protocol", "tcp"));
    Some(format!("{host}:{published}:{target}/{protocol}"))
}
