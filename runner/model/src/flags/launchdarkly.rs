//! LaunchDarkly's flag data: what `/sdk/latest-all` gives, and the files that its SDKs read in
//! the place of it (`flags`, `flagValues`, `segments`).

use serde_json::{Value as Json, json};

use super::file::Flags;
use super::flagd::{missing, wrong};
use super::{Flag, Kind, Variant};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::source::Span;
use crate::yaml::Node;

const OFF_WITHOUT: &str =
    "nothing: it is off without an `offVariation`, and services take the default of their code";
const ROLLOUT: &str = "a percentage rollout";

pub(super) fn read(node: &Node, problems: &mut Problems) -> Flags {
    let mut flags = Flags::new();
    for key in ["flags", "flagValues"] {
        let Some(all) = node.get(key).filter(|n| !n.is_null()) else {
            continue;
        };
        let Some(map) = all.as_map() else {
            problems.push(wrong(all, &format!("`{key}`"), "a mapping"));
            continue;
        };
        for (name, entry) in &map.0 {
            let read = match key {
                "flags" => flag(name, &entry.key, &entry.node, problems),
                _ => Some(value(name, &entry.key, &entry.node)),
            };
            if let Some(f) = read
                && flags.insert(name.clone(), f).is_some()
            {
                let text = format!("`{name}` is in `flags` and in `flagValues`");
                problems.push(
                    Problem::at(ProblemKind::DuplicateKey, &entry.key, text)
                        .help("SDKs refuse such a file: take one out"),
                );
            }
        }
    }
    if node.get("flags").is_none() && node.get("flagValues").is_none() {
        problems.push(missing(node, "flags").help("write `flags` or `flagValues`"));
    }
    flags
}

/// A flag that is only a value, the same for all.
fn value(name: &str, span: &Span, node: &Node) -> Flag {
    let value = node.to_json();
    let mut flag = Flag::new(name, span, Kind::of(&value));
    flag.variants = match &value {
        Json::Bool(_) => [true, false].map(|b| Variant::of(Json::Bool(b))).to_vec(),
        other => vec![Variant::of(other.clone())],
    };
    flag.open = flag.kind != Kind::Boolean;
    flag.serves = flag.variants.iter().position(|v| v.value == value);
    flag
}

fn flag(name: &str, span: &Span, node: &Node, problems: &mut Problems) -> Option<Flag> {
    let what = format!("the flag `{name}`");
    if node.as_map().is_none() {
        problems.push(wrong(node, &what, "a mapping"));
        return None;
    }
    let Some(values) = node
        .get("variations")
        .and_then(Node::as_seq)
        .filter(|v| !v.is_empty())
    else {
        let at = node.get("variations").unwrap_or(node);
        let text = format!("{what} has no `variations`: it can serve nothing");
        problems.push(Problem::at(ProblemKind::Missing, &at.span, text));
        return None;
    };
    let values: Vec<Json> = values.iter().map(Node::to_json).collect();
    let mut flag = Flag::new(name, span, Kind::of(&values[0]));
    flag.variants = values.into_iter().map(Variant::of).collect();
    let count = flag.variants.len();
    let mut index = |at: &Node| {
        let found = at.as_int().and_then(|n| usize::try_from(n).ok());
        let found = found.filter(|n| *n < count);
        if found.is_none() {
            let shown = at.scalar_text().unwrap_or_else(|| at.kind().to_owned());
            let text = format!("{what} has no variation {shown}: there are {count}, from 0");
            problems.push(Problem::at(ProblemKind::UnknownReference, &at.span, text));
        }
        found
    };
    let fallthrough = node
        .at(&["fallthrough", "variation"])
        .filter(|n| !n.is_null());
    let off = node.get("offVariation").filter(|n| !n.is_null());
    let through = fallthrough.map(&mut index);
    let off = off.map(&mut index);
    if through == Some(None) || off == Some(None) {
        return None;
    }
    // Absent means off, as in the SDKs.
    let on = match node.get("on") {
        None => false,
        Some(on) => match on.as_bool() {
            Some(on) => on,
            None => {
                problems.push(wrong(on, &format!("`on` of {what}"), "true or false"));
                return None;
            }
        },
    };
    if on {
        flag.serves = through.flatten();
        if flag.serves.is_none() {
            if node.at(&["fallthrough", "rollout"]).is_none() {
                let text = format!(
                    "{what} is on, and `fallthrough` says neither `variation` nor `rollout`"
                );
                problems.push(Problem::at(ProblemKind::Missing, span, text));
                return None;
            }
            flag.unserved = Some(ROLLOUT);
        }
    } else {
        flag.serves = off.flatten();
        flag.unserved = flag.serves.is_none().then_some(OFF_WITHOUT);
    }
    let some = |key: &str| {
        let n = node
            .get(key)
            .and_then(Node::as_seq)
            .map_or(0, <[Node]>::len);
        (n > 0).then(|| format!("{n} in `{key}`"))
    };
    let rules: Vec<String> = ["rules", "targets", "contextTargets", "prerequisites"]
        .into_iter()
        .filter_map(some)
        .collect();
    flag.targeting = (!rules.is_empty()).then(|| rules.join(", "));
    Some(flag)
}

/// What production does to serve another value by default: it turns the flag on and lets those
/// that no rule is about fall through to it, or it leaves the flag off where off serves it.
pub(super) fn set(document: &mut Json, flag: &Flag, variant: &Variant) {
    if let Some(value) = document
        .get_mut("flagValues")
        .and_then(|v| v.get_mut(&flag.name))
    {
        *value = variant.value.clone();
        return;
    }
    let Some(one) = document
        .get_mut("flags")
        .and_then(|f| f.get_mut(&flag.name))
    else {
        return;
    };
    let Some(at) = flag.variants.iter().position(|v| v.name == variant.name) else {
        return;
    };
    one["on"] = true.into();
    one["fallthrough"] = json!({ "variation": at });
}
