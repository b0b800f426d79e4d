//! Files of flagd, OpenFeature's daemon: <https://flagd.dev/schema/v0/flags.json>.

use serde_json::Value as Json;

use super::file::Flags;
use super::{Flag, Kind, Variant};
use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::source::Span;
use crate::yaml::Node;

pub(super) const DISABLED: &str =
    "nothing: it is disabled, and services take the default of their code";

/// `flags` is a mapping by name, or a list in which each has its `key`.
pub(super) fn read(node: &Node, problems: &mut Problems) -> Flags {
    let mut flags = Flags::new();
    let Some(all) = node.get("flags") else {
        problems.push(missing(node, "flags"));
        return flags;
    };
    if let Some(map) = all.as_map() {
        for (name, entry) in &map.0 {
            flags.extend(flag(name, &entry.key, &entry.node, problems).map(|f| (name.clone(), f)));
        }
    } else if let Some(items) = all.as_seq() {
        for item in items {
            let Some(key) = item.get("key").filter(|k| k.as_str().is_some()) else {
                problems.push(missing(item, "key"));
                continue;
            };
            let name = key.as_str().unwrap_or_default();
            if let Some(f) = flag(name, &key.span, item, problems)
                && flags.insert(name.to_owned(), f).is_some()
            {
                let text = format!("two flags are called `{name}`");
                problems.push(Problem::at(ProblemKind::DuplicateKey, &key.span, text));
            }
        }
    } else {
        problems.push(wrong(all, "`flags`", "a mapping or a list"));
    }
    flags
}

fn flag(name: &str, span: &Span, node: &Node, problems: &mut Problems) -> Option<Flag> {
    let what = format!("the flag `{name}`");
    if node.as_map().is_none() {
        problems.push(wrong(node, &what, "a mapping"));
        return None;
    }
    let enabled = match node.get("state").map(|s| (s, s.as_str())) {
        None => {
            problems.push(missing(node, "state").help("write `state: ENABLED` or `DISABLED`"));
            return None;
        }
        Some((_, Some("ENABLED"))) => true,
        Some((_, Some("DISABLED"))) => false,
        Some((state, _)) => {
            let text = format!("`state` of {what} is ENABLED or DISABLED");
            problems.push(Problem::at(ProblemKind::InvalidValue, &state.span, text));
            return None;
        }
    };
    let Some(map) = node
        .get("variants")
        .and_then(Node::as_map)
        .filter(|m| !m.is_empty())
    else {
        let at = node.get("variants").unwrap_or(node);
        let text = format!("{what} has no `variants`: it can serve nothing");
        problems.push(Problem::at(ProblemKind::Missing, &at.span, text));
        return None;
    };
    let variants: Vec<Variant> = map
        .iter()
        .map(|(name, node)| Variant::named(name, node.to_json()))
        .collect();
    let kind = Kind::of(&variants[0].value);
    for (v, entry) in variants.iter().zip(map.0.values()) {
        let is_value = !matches!(v.value, Json::Null);
        if Kind::of(&v.value) != kind || !is_value {
            let text = format!(
                "the variants of {what} are of one type ({}), found {}",
                kind.word(),
                entry.node.kind()
            );
            problems.push(Problem::at(ProblemKind::WrongType, &entry.node.span, text));
            return None;
        }
    }
    let mut flag = Flag::new(name, span, kind);
    let default = node.get("defaultVariant").filter(|d| !d.is_null());
    if let Some(default) = default {
        let names = || variants.iter().map(|v| v.name.as_str());
        let at = default
            .scalar_text()
            .and_then(|t| names().position(|n| n == t));
        if at.is_none() {
            let shown = default
                .scalar_text()
                .unwrap_or_else(|| default.kind().to_owned());
            let text = format!("{what} has no variant `{shown}`");
            let p = Problem::at(ProblemKind::UnknownReference, &default.span, text);
            problems.push(match nearest(&shown, names()) {
                Some(near) => p.help(format!("did you mean `{near}`?")),
                None => p.help(format!("it has {}", names().collect::<Vec<_>>().join(", "))),
            });
            return None;
        }
        flag.serves = at;
    }
    if !enabled {
        flag.serves = None;
        flag.unserved = Some(DISABLED);
    }
    let rules = node.get("targeting").and_then(Node::as_map);
    if rules.is_some_and(|m| !m.is_empty()) {
        flag.targeting = Some("`targeting`".to_owned());
    }
    flag.variants = variants;
    Some(flag)
}

/// Another default; a flag that is disabled serves nothing, so it is enabled.
pub(super) fn set(document: &mut Json, flag: &Flag, variant: &Variant) {
    let all = &mut document["flags"];
    let one = match all {
        Json::Array(items) => items.iter_mut().find(|i| i["key"] == flag.name.as_str()),
        other => other.get_mut(&flag.name),
    };
    if let Some(one) = one {
        one["state"] = "ENABLED".into();
        one["defaultVariant"] = variant.name.as_str().into();
    }
}

pub(super) fn missing(node: &Node, key: &str) -> Problem {
    let line = Span::in_line(&node.span.file, node.span.line, node.span.col, 1);
    Problem::at(ProblemKind::Missing, &line, format!("`{key}` is missing"))
}

pub(super) fn wrong(node: &Node, what: &str, wanted: &str) -> Problem {
    let text = format!("{what} is {wanted}, found {}", node.kind());
    Problem::at(ProblemKind::WrongType, &node.span, text)
}
