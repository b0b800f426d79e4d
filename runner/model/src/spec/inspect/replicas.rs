//! Several containers of one service: replicas when they are equal.

use crate::fidelity::{Class, Record, Severity};
use crate::yaml::{Mapping, Node};

use super::container::Container;
use super::draft::{Draft, RULE};
use super::field::text;
use super::labels;

/// The containers of each service, services in the order of the capture.
pub(super) fn groups<'c>(all: &'c [Container<'c>]) -> Vec<Vec<&'c Container<'c>>> {
    let mut groups: Vec<Vec<&Container<'_>>> = Vec::new();
    for c in all {
        match groups.iter_mut().find(|g| g[0].service == c.service) {
            Some(group) => group.push(c),
            None => groups.push(vec![c]),
        }
    }
    groups.sort_by(|a, b| a[0].service.cmp(&b[0].service));
    groups
}

/// One service of its containers: the first one's, as many times as there are containers.
pub(super) fn join(drafts: Vec<Draft<'_>>) -> Option<(String, Node, Vec<Record>)> {
    let count = drafts.len();
    let mut drafts = drafts.into_iter();
    let first = drafts.next()?;
    let mut records = first.records;
    let mut service = first.out;
    let service_name = first.c.service.clone();
    for other in drafts {
        let number = other.c.number;
        for key in different(&service, &other.out) {
            let span = other.out.get(&key).map_or(&other.c.node.span, |n| &n.span);
            let field = format!("replicas[{number}].{key}");
            let mut record = Record::new(
                other.c.object(),
                field,
                Class::Substituted,
                Severity::Medium,
            )
            .at(span);
            RULE.clone_into(&mut record.rule);
            record.actual = format!("as in replica {}", first.c.number);
            record.reason = format!(
                "replica {number} differs from replica {} in `{key}`; the mirror's replicas are equal",
                first.c.number
            );
            records.push(record);
        }
        if other.c.label(labels::CONFIG_HASH) != first.c.label(labels::CONFIG_HASH) {
            let mut record = Record::new(
                other.c.object(),
                format!("replicas[{number}]"),
                Class::Substituted,
                Severity::Medium,
            )
            .at(&other.c.node.span);
            RULE.clone_into(&mut record.rule);
            record.reason =
                "the replicas were made from different configs: a rollout that had not ended"
                    .to_owned();
            records.push(record);
        }
        let of_life = |r: &Record| r.field.starts_with("State.") || r.field == "RestartCount";
        records.extend(other.records.into_iter().filter(of_life).map(|mut r| {
            r.field = format!("replicas[{number}].{}", r.field);
            r
        }));
    }
    if count > 1 {
        let n = i64::try_from(count).unwrap_or(i64::MAX);
        service.insert("scale", Node::int(n, first.c.node.span.clone()));
        service.remove("container_name");
    }
    let span = name_span(first.c);
    let node = Node::new(crate::yaml::Value::Map(service), span);
    Some((service_name, node, records))
}

/// The place of the container's name.
fn name_span(c: &Container<'_>) -> crate::source::Span {
    let name = text(c.node, "Name").and_then(|_| c.node.get("Name"));
    name.map_or(&c.node.span, |n| &n.span).clone()
}

/// Keys whose values differ, one level down where both are mappings; never values.
fn different(a: &Mapping, b: &Mapping) -> Vec<String> {
    let mut keys: Vec<&str> = a.keys().chain(b.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut out = Vec::new();
    for key in keys {
        match (a.get(key), b.get(key)) {
            (Some(x), Some(y)) if x.same_value(y) => {}
            (Some(x), Some(y)) => match (x.as_map(), y.as_map()) {
                (Some(x), Some(y)) => {
                    out.extend(different(x, y).into_iter().map(|k| format!("{key}.{k}")));
                }
                _ => out.push(key.to_owned()),
            },
            _ => out.push(key.to_owned()),
        }
    }
    out
}
