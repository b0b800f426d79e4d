//! By which names others reach a task, and how many of it there are.

use std::collections::BTreeMap;

use super::deployed::{Alias, Deployed};
use super::notes::{Fact, Notes};
use super::supply::Supply;
use super::task::{Member, Mode, Task};
use crate::fidelity::Severity;
use crate::yaml::{Node, Spanned, Value};

/// Names of a task, by the container that answers to them.
#[derive(Debug, Default)]
pub(super) struct PeerNames {
    /// Names of the whole task: its only container answers, or whoever holds its network.
    whole: Vec<Spanned<String>>,
    /// Names of single containers.
    by_container: BTreeMap<String, Vec<Spanned<String>>>,
}

impl PeerNames {
    /// The names of one container that has a network of its own. Those of the whole task are
    /// its only if it listens, or if none of them does.
    pub fn of(&self, member: &Member<'_>, all: &[Member<'_>]) -> Vec<Spanned<String>> {
        let own = self.by_container.get(member.name.as_str());
        let whole = listens(member) || !all.iter().any(listens);
        let whole = self.whole.iter().filter(|_| whole);
        own.into_iter().flatten().chain(whole).cloned().collect()
    }

    /// All names.
    pub fn all(&self) -> Vec<Spanned<String>> {
        let own = self.by_container.values().flatten();
        self.whole.iter().chain(own).cloned().collect()
    }
}

/// Whether a container has ports that others know of.
fn listens(member: &Member<'_>) -> bool {
    let ports = member.node.get("portMappings").and_then(Node::as_seq);
    ports.is_some_and(|p| !p.is_empty())
}

/// Finds the names of a task.
pub(super) fn names(
    task: &Task<'_>,
    deployed: &[&Deployed],
    supply: &mut Supply,
    alone: bool,
    notes: &mut Notes,
) -> PeerNames {
    let mut names = PeerNames::default();
    let mut known = false;
    for service in deployed {
        for alias in &service.aliases {
            known = true;
            let name = alias.name.clone();
            let port = alias.port_name.as_deref().and_then(|p| port_of(task, p));
            if let Some((container, port)) = port {
                other_port(task, alias, port, notes);
                names.by_container.entry(container).or_default().push(name);
            } else {
                names.whole.push(name);
            }
        }
        known |= supplied(&service.name, &mut names, supply, notes);
    }
    known |= supplied(&task.family, &mut names, supply, notes);
    own_names(task, &mut names);
    if !known {
        unknown(task, deployed, alone, notes);
    }
    bridge(task, notes);
    names
}

/// Names that `mirror.yaml` supplies; none at all may be what is meant.
fn supplied(of: &str, names: &mut PeerNames, supply: &mut Supply, notes: &mut Notes) -> bool {
    let Some(node) = supply.names(of) else {
        return false;
    };
    let items = match &node.value {
        Value::Seq(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    for item in items {
        match item.as_str() {
            Some(name) => names
                .whole
                .push(Spanned::new(name.to_owned(), item.span.clone())),
            None => notes.wrong_type("supply.ecs.names", item, "a name"),
        }
    }
    true
}

/// The mirror's own names, so that scenarios can address what production does not name.
fn own_names(task: &Task<'_>, names: &mut PeerNames) {
    let family = Spanned::new(super::names::clean(&task.family), task.family.span.clone());
    if task.holder.is_some() && task.mode != Mode::Bridge {
        let members = task.members.iter();
        let keys = members.map(|m| Spanned::new(m.key.clone(), m.name.span.clone()));
        names.whole.extend(keys);
    } else if let [only] = task.members.as_slice()
        && only.key != family.value
        && task.mode != Mode::None
    {
        names.whole.push(family);
    }
}

/// The container and the number of a named port.
fn port_of(task: &Task<'_>, name: &str) -> Option<(String, i64)> {
    task.members.iter().find_map(|member| {
        let ports = member.node.get("portMappings").and_then(Node::as_seq);
        let port = ports.into_iter().flatten().find(|p| {
            let named = p.get("name").and_then(Node::as_str);
            named == Some(name)
        })?;
        let number = port.get("containerPort").and_then(Node::as_int)?;
        Some((member.name.value.clone(), number))
    })
}

fn other_port(task: &Task<'_>, alias: &Alias, port: i64, notes: &mut Notes) {
    let Some(asked) = alias.port.as_ref().filter(|p| p.value != port) else {
        return;
    };
    notes.object = format!("task:{}", task.family.value);
    let fact = Fact {
        field: &format!("serviceConnect[{}:{}]", alias.name.value, asked.value),
        declared: format!("{}:{}", alias.name.value, asked.value),
        actual: &format!("{}:{port}", alias.name.value),
        reason: "no proxy of Service Connect leads from the one port to the other",
        span: &asked.span,
    };
    notes.substituted(Severity::High, fact);
    notes.raise("let the container listen on the port that clients use");
}

fn unknown(task: &Task<'_>, deployed: &[&Deployed], alone: bool, notes: &mut Notes) {
    notes.object = format!("task:{}", task.family.value);
    let severity = if alone { Severity::Low } else { Severity::High };
    let cloud_map = deployed.iter().find_map(|d| d.unnamed.as_ref());
    let (reason, span) = match cloud_map {
        Some(span) => (
            "the names of Cloud Map are not in the file of the service",
            span,
        ),
        None => (
            "by which names others reach a task is not in its definition",
            &task.family.span,
        ),
    };
    let keys: Vec<&str> = task.members.iter().map(|m| m.key.as_str()).collect();
    let fact = Fact {
        field: "names",
        declared: String::new(),
        actual: &keys.join(", "),
        reason,
        span,
    };
    notes.unknown(severity, fact);
    let family = &task.family.value;
    notes.raise(format!(
        "add what `aws ecs describe-services` prints to `production`, or write in mirror.yaml:\nsupply:\n  ecs:\n    names:\n      {family}: [NAME]   # or [], when nobody calls it"
    ));
}

/// Networks of the mirror have names that the bridge of an instance does not have.
fn bridge(task: &Task<'_>, notes: &mut Notes) {
    if task.mode == Mode::Bridge && task.members.len() > 1 {
        notes.object = format!("task:{}", task.family.value);
        let fact = Fact {
            field: "networkMode",
            declared: "bridge: containers know each other by links only".to_owned(),
            actual: "a network on which they know each other by name too",
            reason: "the engine's own bridge leads out of the mirror",
            span: &task.family.span,
        };
        notes.substituted(Severity::Medium, fact);
    }
}

/// How many tasks run, for those of which the mirror can have several.
pub(super) fn replicas(
    task: &Task<'_>,
    deployed: &[&Deployed],
    notes: &mut Notes,
) -> Option<Spanned<i64>> {
    let counts = deployed.iter().filter_map(|d| d.desired.as_ref());
    let total = counts
        .cloned()
        .reduce(|a, b| Spanned::new(a.value.saturating_add(b.value), a.span))?;
    if task.members.len() == 1 || total.value == 1 {
        return Some(total).filter(|_| task.members.len() == 1);
    }
    notes.object = format!("task:{}", task.family.value);
    let actual = total.value.min(1).to_string();
    let fact = Fact {
        field: "desiredCount",
        declared: total.value.to_string(),
        actual: &actual,
        reason: "a task of several containers is mirrored once",
        span: &total.span,
    };
    let severity = if total.value == 0 {
        Severity::Info
    } else {
        Severity::Medium
    };
    notes.substituted(severity, fact);
    Some(Spanned::new(total.value.min(1), total.span)).filter(|t| t.value == 0)
}
