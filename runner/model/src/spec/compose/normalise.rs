//! What a project means without saying it: the default network, dependencies that follow
//! from links and shared namespaces, names of networks and volumes.

use super::lexical;
use super::request::{Environment, ValueSource};
use super::values::printed;
use crate::source::Span;
use crate::yaml::{Mapping, Node, Value, ViaKind};

/// Makes explicit what goes without saying.
pub(super) fn normalise(document: &mut Node, project: &str, env: &Environment) {
    let Some(root) = document.as_map_mut() else {
        return;
    };
    let mut default_network = None;
    if let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) {
        for (_, service) in services.iter_mut() {
            let span = service.span.clone();
            if let Some(map) = service.as_map_mut() {
                if join_default_network(map, &span) {
                    default_network.get_or_insert(span.clone());
                }
                complete(map, env, &span);
            }
        }
    }
    if let Some(span) = default_network {
        if !root.contains_key("networks") {
            root.insert("networks", implied(Value::Map(Mapping::default()), &span));
        }
        if let Some(networks) = root.get_mut("networks").and_then(Node::as_map_mut)
            && !networks.contains_key("default")
        {
            networks.insert("default", implied(Value::Null, &span));
        }
    }
    for kind in ["networks", "volumes", "configs", "secrets"] {
        if let Some(map) = root.get_mut(kind).and_then(Node::as_map_mut) {
            name_resources(map, project);
        }
    }
}

/// A value that nobody wrote; `span` is what implies it.
fn implied(value: Value, span: &Span) -> Node {
    Node::new(value, span.clone()).via(ViaKind::Default, span.clone())
}

/// Whether the service is on the default network; it joins that when it names none.
fn join_default_network(service: &mut Mapping, span: &Span) -> bool {
    if service.contains_key("provider") || service.contains_key("network_mode") {
        return false;
    }
    if let Some(named) = service.get("networks").and_then(Node::as_map)
        && !named.is_empty()
    {
        return named.contains_key("default");
    }
    let mut networks = Mapping::default();
    networks.insert("default", implied(Value::Null, span));
    service.insert("networks", implied(Value::Map(networks), span));
    true
}

fn complete(service: &mut Mapping, env: &Environment, span: &Span) {
    if let Some(policy) = service.get_mut("pull_policy")
        && policy.as_str() == Some("if_not_present")
    {
        policy.value = Value::Str("missing".into());
    }
    if let Some(build) = service.get_mut("build").and_then(Node::as_map_mut) {
        if build.get("dockerfile").is_none_or(Node::is_null)
            && build.get("dockerfile_inline").is_none_or(Node::is_null)
        {
            build.insert("dockerfile", implied(Value::Str("Dockerfile".into()), span));
        }
        if let Some(args) = build.get_mut("args") {
            take_from_shell(args, env, false);
        }
    }
    if let Some(environment) = service.get_mut("environment") {
        take_from_shell(environment, env, true);
    }
    for mount in items(service.get_mut("volumes")) {
        let target = mount.as_map_mut().and_then(|m| m.get_mut("target"));
        if let Some(Value::Str(path)) = target.map(|n| &mut n.value) {
            *path = lexical::clean(path);
        }
    }
    imply_dependencies(service);
}

fn items(list: Option<&mut Node>) -> &mut [Node] {
    list.and_then(Node::as_seq_mut)
        .map_or(&mut [], Vec::as_mut_slice)
}

/// Names without a value take the one of the project's environment; `keep` tells whether
/// the others stay.
fn take_from_shell(variables: &mut Node, env: &Environment, keep: bool) {
    let from_env = |name: &str| env.get(name);
    match &mut variables.value {
        Value::Map(map) => {
            map.0.retain(|name, entry| {
                if !entry.node.is_null() {
                    return true;
                }
                let Some(setting) = from_env(name) else {
                    return keep;
                };
                entry.node.value = Value::Str(setting.text.clone());
                note_source(&mut entry.node, name, &setting.source);
                true
            });
        }
        Value::Seq(items) => items.retain_mut(|item| {
            let Some(name) = printed(item).filter(|text| !text.contains('=')) else {
                return true;
            };
            let Some(setting) = from_env(&name) else {
                return keep;
            };
            item.value = Value::Str(format!("{name}={}", setting.text));
            note_source(item, &name, &setting.source);
            true
        }),
        _ => {}
    }
}

/// Notes that a value is that of a variable.
pub(super) fn note_source(node: &mut Node, name: &str, source: &ValueSource) {
    let span = match source {
        ValueSource::File { span, .. } => span.clone(),
        _ => Span::generated(),
    };
    let via = ViaKind::Variable {
        name: name.to_owned(),
        from: source.to_string(),
    };
    node.add_via(via, span);
}

fn imply_dependencies(service: &mut Mapping) {
    let mut implied_by: Vec<(String, bool, Span)> = Vec::new();
    let mut add = |name: &str, restart: bool, node: &Node| {
        implied_by.push((name.to_owned(), restart, node.span.clone()));
    };
    for link in texts(service.get("links")) {
        let parts: Vec<&str> = link.1.split(':').collect();
        add(
            if parts.len() == 2 { parts[0] } else { link.1 },
            true,
            link.0,
        );
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        if let Some(node) = service.get(key)
            && let Some(shared) = node.as_str().and_then(|s| s.strip_prefix("service:"))
        {
            add(shared, true, node);
        }
    }
    for from in texts(service.get("volumes_from")) {
        if !from.1.starts_with("container:") {
            add(from.1.split(':').next().unwrap_or(""), false, from.0);
        }
    }
    if implied_by.is_empty() {
        return;
    }
    if !service.contains_key("depends_on") {
        let at = implied_by[0].2.clone();
        service.insert("depends_on", implied(Value::Map(Mapping::default()), &at));
    }
    let Some(depends_on) = service.get_mut("depends_on").and_then(Node::as_map_mut) else {
        return;
    };
    for (name, restart, span) in implied_by {
        if depends_on.contains_key(&name) {
            continue;
        }
        let mut dependency = Mapping::default();
        let started = Value::Str("service_started".into());
        dependency.insert("condition", implied(started, &span));
        dependency.insert("restart", implied(Value::Bool(restart), &span));
        dependency.insert("required", implied(Value::Bool(true), &span));
        depends_on.insert(name, implied(Value::Map(dependency), &span));
    }
}

fn texts(list: Option<&Node>) -> Vec<(&Node, &str)> {
    let items = list.and_then(Node::as_seq).unwrap_or(&[]);
    items
        .iter()
        .filter_map(|n| Some((n, n.as_str()?)))
        .collect()
}

/// What has no name is called by its key: with the project's name before it, unless it is
/// external.
fn name_resources(resources: &mut Mapping, project: &str) {
    for (key, entry) in &mut resources.0 {
        let span = entry.key.clone();
        if entry.node.is_null() {
            entry.node.value = Value::Map(Mapping::default());
        }
        let Some(map) = entry.node.as_map_mut() else {
            continue;
        };
        if map.get("name").is_some_and(|n| !n.is_null()) {
            continue;
        }
        let external = map.get("external").and_then(Node::as_bool) == Some(true);
        let name = if external {
            key.clone()
        } else {
            format!("{project}_{key}")
        };
        map.insert("name", implied(Value::Str(name), &span));
    }
}
