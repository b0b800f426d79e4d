//! A later document over what was loaded before; a service over the one that it extends.

use std::sync::LazyLock;

use super::rules::{Rules, Trail};
use super::values::printed;
use crate::diag::{Problem, ProblemKind};
use crate::source::Span;
use crate::yaml::{Mapping, Node, Value, ViaKind};

/// How two values at one place become one; without a rule, mappings merge, lists are put
/// one after the other, and the later scalar wins.
#[derive(Clone, Copy)]
enum Rule {
    /// The later one wins.
    Replace,
    /// Both become lists of `key=value`, one after the other.
    Lists,
    /// As lists, without what is already there.
    NewOnly,
    /// A text is the build's context.
    Build,
    /// A list of names is a mapping of names to the usual condition.
    Conditions,
    /// A list of names is a mapping of names to nothing.
    Names,
    /// Options are merged when both have the same driver, or one has none.
    Logging,
    /// Pools are merged by subnet.
    Pools,
}

const TABLE: &[(&str, Rule)] = &[
    ("networks.*.ipam.config", Rule::Pools),
    ("networks.*.labels", Rule::Lists),
    ("volumes.*.labels", Rule::Lists),
    ("services.*.annotations", Rule::Lists),
    ("services.*.build", Rule::Build),
    ("services.*.build.args", Rule::Lists),
    ("services.*.build.additional_contexts", Rule::Lists),
    ("services.*.build.extra_hosts", Rule::NewOnly),
    ("services.*.build.labels", Rule::Lists),
    ("services.*.command", Rule::Replace),
    ("services.*.depends_on", Rule::Conditions),
    ("services.*.deploy.labels", Rule::Lists),
    ("services.*.dns", Rule::Lists),
    ("services.*.dns_opt", Rule::Lists),
    ("services.*.dns_search", Rule::Lists),
    ("services.*.entrypoint", Rule::Replace),
    ("services.*.env_file", Rule::Lists),
    ("services.*.label_file", Rule::Lists),
    ("services.*.environment", Rule::Lists),
    ("services.*.extra_hosts", Rule::NewOnly),
    ("services.*.healthcheck.test", Rule::Replace),
    ("services.*.labels", Rule::Lists),
    ("services.*.logging", Rule::Logging),
    ("services.*.models", Rule::Names),
    ("services.*.networks", Rule::Names),
    ("services.*.sysctls", Rule::Lists),
    ("services.*.tmpfs", Rule::Lists),
    ("services.*.ulimits.*", Rule::Replace),
];

static RULES: LazyLock<Rules<Rule>> = LazyLock::new(|| Rules::new(TABLE));

/// Merges a document over what was loaded before.
pub(super) fn documents(before: Node, later: Node) -> Result<Node, Problem> {
    values(before, later, Some(&RULES), &Trail::Top)
}

/// Merges a service over the one that it extends.
pub(super) fn services(base: Node, service: Node, name: &str) -> Result<Node, Problem> {
    let rules = RULES.key("services").and_then(|r| r.key(name));
    let top = Trail::Top.key("services");
    values(base, service, rules, &top.key(name))
}

type At<'r> = Option<&'r Rules<Rule>>;

fn values(before: Node, later: Node, rules: At<'_>, trail: &Trail<'_>) -> Result<Node, Problem> {
    if let Some(rule) = rules.and_then(Rules::here) {
        return by_rule(rule, before, later, rules, trail);
    }
    match (&before.value, &later.value) {
        (_, Value::Null) => Ok(before),
        (Value::Map(_), Value::Map(_)) => mappings(before, later, rules, trail),
        (Value::Seq(_), Value::Seq(_)) => Ok(append(before, later)),
        (Value::Map(_) | Value::Seq(_), _) => Err(mismatch(&before, &later, trail)),
        _ => Ok(replaced(&before, later)),
    }
}

fn mismatch(before: &Node, later: &Node, trail: &Trail<'_>) -> Problem {
    Problem::at(
        ProblemKind::WrongType,
        &later.span,
        format!(
            "`{trail}`: {} cannot be merged over {}",
            later.kind(),
            before.kind()
        ),
    )
    .related(&before.span, "which is set here")
    .help("give both the same form, or tag the later one `!override`")
}

/// The later value, which remembers the one whose place it took.
fn replaced(before: &Node, later: Node) -> Node {
    if before.span.is_real() {
        later.via(ViaKind::Override, before.span.clone())
    } else {
        later
    }
}

fn mappings(
    mut before: Node,
    later: Node,
    rules: At<'_>,
    trail: &Trail<'_>,
) -> Result<Node, Problem> {
    let (Value::Map(map), Value::Map(over)) = (&mut before.value, later.value) else {
        return Ok(before);
    };
    for (key, mut entry) in over.0 {
        let Some(at) = map.0.get_mut(&key) else {
            map.0.insert(key, entry);
            continue;
        };
        let null = Node::new(Value::Null, at.node.span.clone());
        let was = std::mem::replace(&mut at.node, null);
        let below = rules.and_then(|r| r.key(&key));
        entry.node = values(was, entry.node, below, &trail.key(&key))?;
        *at = entry;
    }
    Ok(before)
}

fn append(mut before: Node, later: Node) -> Node {
    if let (Some(items), Value::Seq(more)) = (before.as_seq_mut(), later.value) {
        items.extend(more);
    }
    before
}

fn by_rule(
    rule: Rule,
    before: Node,
    later: Node,
    rules: At<'_>,
    trail: &Trail<'_>,
) -> Result<Node, Problem> {
    match rule {
        Rule::Replace => Ok(replaced(&before, later)),
        Rule::Lists => Ok(append(as_list(before, trail)?, as_list(later, trail)?)),
        Rule::NewOnly => new_only(as_list(before, trail)?, as_list(later, trail)?),
        Rule::Build => mappings(
            as_build(before, trail)?,
            as_build(later, trail)?,
            rules,
            trail,
        ),
        Rule::Conditions => {
            let (before, later) = (
                as_names(before, true, trail)?,
                as_names(later, true, trail)?,
            );
            mappings(before, later, rules, trail)
        }
        Rule::Names => {
            let (before, later) = (
                as_names(before, false, trail)?,
                as_names(later, false, trail)?,
            );
            mappings(before, later, rules, trail)
        }
        Rule::Logging => logging(before, later, rules, trail),
        Rule::Pools => pools(before, later, trail),
    }
}

/// A list: itself, the `key=value` texts of a mapping (sorted), or a text alone.
fn as_list(node: Node, trail: &Trail<'_>) -> Result<Node, Problem> {
    let span = node.span.clone();
    let items = match node.value {
        Value::Seq(_) => return Ok(node),
        Value::Map(map) => pairs(map, trail)?,
        Value::Null => Vec::new(),
        Value::Str(_) => vec![node],
        _ => return Err(no_list(&node, trail)),
    };
    Ok(Node::new(Value::Seq(items), span))
}

fn no_list(node: &Node, trail: &Trail<'_>) -> Problem {
    Problem::at(
        ProblemKind::WrongType,
        &node.span,
        format!("`{trail}` must be a list or a mapping, not {}", node.kind()),
    )
}

fn pairs(map: Mapping, trail: &Trail<'_>) -> Result<Vec<Node>, Problem> {
    let mut items = Vec::new();
    for (key, entry) in map.0 {
        match entry.node.value {
            Value::Null => items.push(Node::str(key, entry.key)),
            Value::Seq(values) => {
                for value in values {
                    items.push(pair(&key, value, trail)?);
                }
            }
            _ => items.push(pair(&key, entry.node, trail)?),
        }
    }
    items.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    Ok(items)
}

fn pair(key: &str, mut value: Node, trail: &Trail<'_>) -> Result<Node, Problem> {
    match printed(&value) {
        Some(text) => {
            value.value = Value::Str(format!("{key}={text}"));
            Ok(value)
        }
        None => Err(no_list(&value, &trail.key(key))),
    }
}

fn new_only(before: Node, later: Node) -> Result<Node, Problem> {
    let mut all = before;
    if let (Some(items), Value::Seq(more)) = (all.as_seq_mut(), later.value) {
        let old = items.len();
        for item in more {
            if !items[..old].iter().any(|i| i.same_value(&item)) {
                items.push(item);
            }
        }
    }
    Ok(all)
}

fn as_build(node: Node, trail: &Trail<'_>) -> Result<Node, Problem> {
    match &node.value {
        Value::Map(_) => Ok(node),
        Value::Null => Ok(Node::map(node.span)),
        Value::Str(_) => {
            let mut map = Mapping::default();
            let span = node.span.clone();
            map.insert("context", node);
            Ok(Node::new(Value::Map(map), span))
        }
        _ => Err(Problem::at(
            ProblemKind::WrongType,
            &node.span,
            format!("`{trail}` must be a text or a mapping, not {}", node.kind()),
        )),
    }
}

/// What a name in the short form of `depends_on` stands for.
pub(super) fn usual_condition(span: &Span) -> Node {
    let mut map = Mapping::default();
    map.insert("condition", Node::str("service_started", span.clone()));
    map.insert("required", Node::bool(true, span.clone()));
    Node::new(Value::Map(map), span.clone())
}

/// A mapping: itself, or the names of a list, each with the usual condition or with nothing.
pub(super) fn as_names(node: Node, usual: bool, trail: &Trail<'_>) -> Result<Node, Problem> {
    let items = match node.value {
        Value::Map(_) => return Ok(node),
        Value::Null => return Ok(Node::map(node.span)),
        Value::Seq(items) => items,
        _ => return Err(no_list(&node, trail)),
    };
    let mut map = Mapping::default();
    for (i, item) in items.into_iter().enumerate() {
        let Value::Str(name) = item.value else {
            return Err(Problem::at(
                ProblemKind::WrongType,
                &item.span,
                format!("`{}` must be a name, not {}", trail.item(i), item.kind()),
            ));
        };
        let mut value = if usual {
            usual_condition(&item.span)
        } else {
            Node::new(Value::Null, item.span)
        };
        value.via = item.via;
        map.insert(name, value);
    }
    Ok(Node::new(Value::Map(map), node.span))
}

fn logging(before: Node, later: Node, rules: At<'_>, trail: &Trail<'_>) -> Result<Node, Problem> {
    if before.is_null() || later.is_null() {
        return Ok(if later.is_null() { before } else { later });
    }
    if before.as_map().is_none() || later.as_map().is_none() {
        return Err(mismatch(&before, &later, trail));
    }
    let same = match (before.get("driver"), later.get("driver")) {
        (Some(a), Some(b)) => a.same_value(b),
        _ => true,
    };
    if same {
        mappings(before, later, rules, trail)
    } else {
        Ok(replaced(&before, later))
    }
}

/// Address pools: each earlier one is paired with each later one, and merged with it when
/// both have the same subnet; pools of the later list that are new are added.
fn pools(before: Node, later: Node, trail: &Trail<'_>) -> Result<Node, Problem> {
    let (Some(old), Some(new)) = (before.as_seq(), later.as_seq()) else {
        return Err(mismatch(&before, &later, trail));
    };
    let subnet = |n: &Node| n.get("subnet").and_then(Node::as_str).map(str::to_owned);
    let mut out: Vec<Node> = Vec::new();
    for original in old {
        let mut right = original.clone();
        for left in new {
            let name = subnet(left);
            if name != subnet(&right) && !out.iter().any(|p| subnet(p) == name) {
                out.push(left.clone());
                continue;
            }
            right = mappings(right, left.clone(), None, trail)?;
            match out.iter_mut().find(|p| subnet(p) == subnet(&right)) {
                Some(pool) => *pool = right.clone(),
                None => out.push(right.clone()),
            }
        }
    }
    Ok(Node::new(Value::Seq(out), before.span))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;

    fn merged(before: &str, later: &str) -> serde_json::Value {
        let read = |text: &str| crate::yaml::parse_one(&SourceFile::new("t", text)).unwrap();
        documents(read(before), read(later)).unwrap().to_json()
    }

    #[test]
    fn each_kind_of_value_merges_its_own_way() {
        assert_eq!(
            merged(
                "services: {a: {image: x, command: [a], cap_add: [A], environment: {B: 1, A: t}}}",
                "services: {a: {image: y, command: b, cap_add: [B], environment: [C=2]}, b: {}}",
            ),
            serde_json::json!({"services": {
                "a": {"image": "y", "command": "b", "cap_add": ["A", "B"],
                      "environment": ["A=t", "B=1", "C=2"]},
                "b": {},
            }})
        );
    }

    #[test]
    fn logging_options_belong_to_their_driver() {
        let base = "services: {a: {logging: {driver: x, options: {k: 1}}}}";
        let same = merged(base, "services: {a: {logging: {options: {l: 2}}}}");
        assert_eq!(
            same["services"]["a"]["logging"]["options"],
            serde_json::json!({"k": 1, "l": 2})
        );
        let other = merged(base, "services: {a: {logging: {driver: y}}}");
        assert_eq!(
            other["services"]["a"]["logging"],
            serde_json::json!({"driver": "y"})
        );
    }

    #[test]
    fn pools_merge_by_subnet() {
        let out = merged(
            "networks: {n: {ipam: {config: [{subnet: a, gateway: g}]}}}",
            "networks: {n: {ipam: {config: [{subnet: b}, {subnet: a, gateway: h}]}}}",
        );
        assert_eq!(
            out["networks"]["n"]["ipam"]["config"],
            serde_json::json!([{"subnet": "b"}, {"subnet": "a", "gateway": "h"}])
        );
    }
}
