//! Short forms become long ones.

use std::sync::LazyLock;

use super::merge::{as_names, usual_condition};
use super::rules::{Rules, Trail};
use super::session::Notes;
use super::values::printed;
use super::{port, volume};
use crate::diag::{Problem, ProblemKind};
use crate::yaml::{Mapping, Node, Value};

/// What the short form at a place stands for.
#[derive(Clone, Copy)]
enum Rule {
    /// A text is a list of one.
    OneOrMany,
    /// A text is a mapping with this key.
    Keyed(&'static str),
    /// A list of names is a mapping of names to nothing.
    Names,
    /// A boolean is a text.
    Text,
    /// A list of `key=value` is a mapping.
    Pairs,
    Conditions,
    EnvFile,
    Gpus,
    Mount,
    Device,
    Ports,
    Ssh,
    Ulimit,
    External,
}

static RULES: LazyLock<Rules<Rule>> = LazyLock::new(|| {
    Rules::new(&[
        ("services.*.build.secrets.*", Rule::Keyed("source")),
        ("services.*.build.provenance", Rule::Text),
        ("services.*.build.sbom", Rule::Text),
        ("services.*.build.additional_contexts", Rule::Pairs),
        ("services.*.depends_on", Rule::Conditions),
        ("services.*.env_file", Rule::EnvFile),
        ("services.*.label_file", Rule::OneOrMany),
        ("services.*.extends", Rule::Keyed("service")),
        ("services.*.gpus", Rule::Gpus),
        ("services.*.networks", Rule::Names),
        ("services.*.models", Rule::Names),
        ("services.*.volumes.*", Rule::Mount),
        ("services.*.dns", Rule::OneOrMany),
        ("services.*.devices.*", Rule::Device),
        ("services.*.secrets.*", Rule::Keyed("source")),
        ("services.*.configs.*", Rule::Keyed("source")),
        ("services.*.ports", Rule::Ports),
        ("services.*.build", Rule::Keyed("context")),
        ("services.*.build.ssh", Rule::Ssh),
        ("services.*.ulimits.*", Rule::Ulimit),
        ("services.*.build.ulimits.*", Rule::Ulimit),
        ("services.*.develop.watch.*.ignore", Rule::OneOrMany),
        ("services.*.develop.watch.*.include", Rule::OneOrMany),
        ("volumes.*", Rule::External),
        ("networks.*", Rule::External),
        ("secrets.*", Rule::External),
        ("configs.*", Rule::External),
    ])
});

/// Brings every short form of a document into its long form.
pub(super) fn canonical(document: &mut Node, notes: &mut Notes) -> Result<(), Problem> {
    walk(document, &RULES, &Trail::Top, notes)?;
    drop_empty_dns(document);
    Ok(())
}

fn walk(
    node: &mut Node,
    rules: &Rules<Rule>,
    trail: &Trail<'_>,
    notes: &mut Notes,
) -> Result<(), Problem> {
    if let Some(rule) = rules.here() {
        apply(rule, node, trail, notes)?;
    }
    match &mut node.value {
        Value::Map(map) => map.iter_mut().try_for_each(|(key, child)| {
            rules
                .key(key)
                .map_or(Ok(()), |below| walk(child, below, &trail.key(key), notes))
        }),
        Value::Seq(items) => match rules.item() {
            Some(below) => items
                .iter_mut()
                .enumerate()
                .try_for_each(|(i, item)| walk(item, below, &trail.item(i), notes)),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

fn apply(rule: Rule, node: &mut Node, trail: &Trail<'_>, notes: &mut Notes) -> Result<(), Problem> {
    match rule {
        Rule::OneOrMany => one_or_many(node),
        Rule::Keyed(key) => keyed(node, key, trail)?,
        Rule::Names => {
            if node.as_seq().is_some() {
                *node = as_names(taken(node), false, trail)?;
            }
        }
        Rule::Text => {
            if let Some(text) = printed(node) {
                node.value = Value::Str(text);
            }
        }
        Rule::Pairs => pairs(node, trail)?,
        Rule::Conditions => conditions(node, trail)?,
        Rule::EnvFile => env_files(node, trail)?,
        Rule::Gpus => gpus(node, trail)?,
        Rule::Mount => {
            if let Value::Str(spec) = &node.value {
                let mount = volume::parse(spec).map_err(|why| invalid(node, why))?;
                long_form(node, |span| mount.into_node(span));
            } else if node.as_map().is_none() {
                return Err(wrong(node, trail, "a text or a mapping"));
            }
        }
        Rule::Device => device(node, trail)?,
        Rule::Ports => ports(node, trail)?,
        Rule::Ssh => ssh(node, trail)?,
        Rule::Ulimit => {
            if !matches!(node.value, Value::Map(_) | Value::Int { .. }) {
                return Err(wrong(node, trail, "a whole number or a mapping"));
            }
        }
        Rule::External => external(node, trail, notes)?,
    }
    Ok(())
}

fn invalid(node: &Node, why: impl Into<String>) -> Problem {
    Problem::at(ProblemKind::InvalidValue, &node.span, why)
}

fn wrong(node: &Node, trail: &Trail<'_>, want: &str) -> Problem {
    Problem::at(
        ProblemKind::WrongType,
        &node.span,
        format!("`{trail}` must be {want}, not {}", node.kind()),
    )
}

fn taken(node: &mut Node) -> Node {
    let null = Node::new(Value::Null, node.span.clone());
    std::mem::replace(node, null)
}

/// Puts a long form in the place of a short one; every part of it came the same way.
fn long_form(node: &mut Node, make: impl FnOnce(&crate::source::Span) -> Node) {
    let mut long = make(&node.span);
    inherit(&mut long, node);
    *node = long;
}

fn inherit(node: &mut Node, from: &Node) {
    node.via.clone_from(&from.via);
    match &mut node.value {
        Value::Map(map) => map.iter_mut().for_each(|(_, child)| inherit(child, from)),
        Value::Seq(items) => items.iter_mut().for_each(|child| inherit(child, from)),
        _ => {}
    }
}

fn one_or_many(node: &mut Node) {
    if node.as_str().is_some() {
        let item = taken(node);
        node.value = Value::Seq(vec![item]);
    }
}

fn keyed(node: &mut Node, key: &str, trail: &Trail<'_>) -> Result<(), Problem> {
    match node.value {
        Value::Map(_) => Ok(()),
        Value::Str(_) => {
            let text = taken(node);
            let mut map = Mapping::default();
            map.insert(key, text);
            node.value = Value::Map(map);
            Ok(())
        }
        _ => Err(wrong(node, trail, "a text or a mapping")),
    }
}

/// Splits `key=value`; both parts keep the place of the whole.
fn split_pair(item: Node) -> Result<(String, Node), Node> {
    let Some((key, value)) = item.as_str().and_then(|text| text.split_once('=')) else {
        return Err(item);
    };
    let (key, value) = (key.to_owned(), value.to_owned());
    let mut node = item;
    node.value = Value::Str(value);
    Ok((key, node))
}

fn pairs(node: &mut Node, trail: &Trail<'_>) -> Result<(), Problem> {
    match &mut node.value {
        Value::Map(_) => Ok(()),
        Value::Seq(items) => {
            let mut map = Mapping::default();
            for item in std::mem::take(items) {
                let (key, value) = split_pair(item)
                    .map_err(|n| invalid(&n, format!("`{trail}`: write key=value")))?;
                map.insert(key, value);
            }
            node.value = Value::Map(map);
            Ok(())
        }
        _ => Err(wrong(node, trail, "a list or a mapping")),
    }
}

fn conditions(node: &mut Node, trail: &Trail<'_>) -> Result<(), Problem> {
    match &mut node.value {
        Value::Seq(_) => {
            *node = as_names(taken(node), true, trail)?;
            Ok(())
        }
        Value::Map(map) => map.iter_mut().try_for_each(|(name, dependency)| {
            let span = dependency.span.clone();
            let Some(known) = dependency.as_map_mut() else {
                return Err(wrong(dependency, &trail.key(name), "a mapping"));
            };
            if let Value::Map(usual) = usual_condition(&span).value {
                for (key, entry) in usual.0 {
                    known.0.entry(key).or_insert(entry);
                }
            }
            Ok(())
        }),
        _ => Err(wrong(node, trail, "a list or a mapping")),
    }
}

fn env_files(node: &mut Node, trail: &Trail<'_>) -> Result<(), Problem> {
    one_or_many(node);
    let Some(items) = node.as_seq_mut() else {
        return Err(wrong(node, trail, "a text or a list"));
    };
    items.iter_mut().enumerate().try_for_each(|(i, item)| {
        keyed(item, "path", &trail.item(i))?;
        let span = item.span.clone();
        if let Some(map) = item.as_map_mut()
            && !map.contains_key("required")
        {
            map.insert("required", Node::bool(true, span));
        }
        Ok(())
    })
}

fn gpus(node: &mut Node, trail: &Trail<'_>) -> Result<(), Problem> {
    match node.value {
        Value::Seq(_) => Ok(()),
        Value::Str(_) => {
            long_form(node, |span| {
                let mut map = Mapping::default();
                map.insert("count", Node::str("all", span.clone()));
                let request = Node::new(Value::Map(map), span.clone());
                Node::new(Value::Seq(vec![request]), span.clone())
            });
            Ok(())
        }
        _ => Err(wrong(node, trail, "`all` or a list")),
    }
}

fn device(node: &mut Node, trail: &Trail<'_>) -> Result<(), Problem> {
    let text = match &node.value {
        Value::Map(_) => return Ok(()),
        Value::Str(text) => text.clone(),
        _ => return Err(wrong(node, trail, "a text or a mapping")),
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, target] => (*source, *target, "rwm"),
        [source, target, permissions] => (*source, *target, *permissions),
        _ => {
            return Err(invalid(
                node,
                format!("`{text}` has too many colons for a device"),
            ));
        }
    };
    let target = if target.is_empty() { source } else { target };
    long_form(node, |span| {
        let mut map = Mapping::default();
        map.insert("source", Node::str(source, span.clone()));
        map.insert("target", Node::str(target, span.clone()));
        map.insert("permissions", Node::str(permissions, span.clone()));
        Node::new(Value::Map(map), span.clone())
    });
    Ok(())
}

fn ports(node: &mut Node, trail: &Trail<'_>) -> Result<(), Problem> {
    let Some(items) = node.as_seq_mut() else {
        return Err(wrong(node, trail, "a list"));
    };
    let mut ports = Vec::with_capacity(items.len());
    for (i, item) in std::mem::take(items).into_iter().enumerate() {
        let spec = match &item.value {
            Value::Map(_) => {
                ports.push(item);
                continue;
            }
            Value::Str(text) => text.clone(),
            Value::Int { value, .. } => value.to_string(),
            _ => return Err(wrong(&item, &trail.item(i), "a port or a mapping")),
        };
        for published in port::parse(&spec).map_err(|why| invalid(&item, why))? {
            let mut long = published.into_node(&item.span);
            inherit(&mut long, &item);
            ports.push(long);
        }
    }
    items.extend(ports);
    Ok(())
}

fn ssh(node: &mut Node, trail: &Trail<'_>) -> Result<(), Problem> {
    let Some(items) = node.as_seq_mut() else {
        return match node.value {
            Value::Map(_) => Ok(()),
            _ => Err(wrong(node, trail, "a list or a mapping")),
        };
    };
    let mut map = Mapping::default();
    for item in std::mem::take(items) {
        match split_pair(item) {
            Ok((key, value)) => map.insert(key, value),
            Err(item) if item.as_str() == Some("default") => {
                map.insert("default", Node::new(Value::Null, item.span));
            }
            Err(item) => return Err(invalid(&item, format!("`{trail}`: write id=path"))),
        }
    }
    node.value = Value::Map(map);
    Ok(())
}

/// `external: {name: x}` is the old form of `name: x` and `external: true`.
fn external(node: &mut Node, trail: &Trail<'_>, notes: &mut Notes) -> Result<(), Problem> {
    let Some(map) = node.as_map_mut() else {
        return match node.value {
            Value::Null => Ok(()),
            _ => Err(wrong(node, trail, "a mapping")),
        };
    };
    let Some(external) = map
        .get("external")
        .filter(|e| e.as_map().is_some())
        .cloned()
    else {
        return Ok(());
    };
    map.0["external"].node = Node::bool(true, external.span.clone());
    let Some(old) = external.get("name") else {
        return Ok(());
    };
    notes.warn(
        Problem::at(
            ProblemKind::Deprecated,
            &old.span,
            format!("`{trail}.external.name` is deprecated"),
        )
        .help("write `name:` and `external: true`"),
    );
    match map.get("name") {
        Some(name) if !name.same_value(old) => Err(Problem::at(
            ProblemKind::Conflict,
            &name.span,
            format!("`{trail}` has two names"),
        )
        .related(&old.span, "the other one")),
        Some(_) => Ok(()),
        None => {
            map.insert("name", old.clone());
            Ok(())
        }
    }
}

/// Empty entries of `dns` are left out: they come from unset variables.
fn drop_empty_dns(document: &mut Node) {
    let services = document.as_map_mut().and_then(|m| m.get_mut("services"));
    for (_, service) in services
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Mapping::iter_mut)
    {
        let dns = service.as_map_mut().and_then(|m| m.get_mut("dns"));
        if let Some(items) = dns.and_then(Node::as_seq_mut) {
            items.retain(|n| !n.is_null() && n.as_str() != Some(""));
        }
    }
}
