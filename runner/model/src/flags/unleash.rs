//! Unleash: what it gives its clients (`features`, each with `enabled` and `strategies`), what
//! its admin API lists (each with `environments`), and its exports (`featureEnvironments` and
//! `featureStrategies` beside the features).

use serde_json::{Value as Json, json};

use super::file::Flags;
use super::flagd::{missing, wrong};
use super::{Flag, Kind, Variant};
use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::source::Span;
use crate::yaml::Node;

/// The environment that is taken when a file has several and none is named.
const PRODUCTION: &str = "production";

const NOT_FOR_ALL: &str = "off, but for those that a strategy is about";

pub(super) fn read(
    node: &Node,
    environment: &mut Option<String>,
    problems: &mut Problems,
) -> Flags {
    let mut flags = Flags::new();
    let Some(all) = node.get("features") else {
        problems.push(missing(node, "features"));
        return flags;
    };
    let Some(items) = all.as_seq() else {
        problems.push(wrong(all, "`features`", "a list"));
        return flags;
    };
    match chosen(node, items, environment.as_deref()) {
        Ok(found) => *environment = found,
        Err(p) => problems.push(*p),
    }
    for item in items {
        let Some(name) = item.get("name").filter(|n| n.as_str().is_some()) else {
            problems.push(missing(item, "name"));
            continue;
        };
        let text = name.as_str().unwrap_or_default().to_owned();
        if let Some(f) = feature(node, item, name, environment.as_deref(), problems)
            && flags.insert(text.clone(), f).is_some()
        {
            let what = format!("two features are called `{text}`");
            problems.push(Problem::at(ProblemKind::DuplicateKey, &name.span, what));
        }
    }
    flags
}

/// The environment whose state counts, where the file tells them apart.
fn chosen(
    node: &Node,
    items: &[Node],
    asked: Option<&str>,
) -> Result<Option<String>, Box<Problem>> {
    let mut known: Vec<String> = Vec::new();
    let rows = node.get("featureEnvironments").and_then(Node::as_seq);
    let of_rows = rows
        .into_iter()
        .flatten()
        .filter_map(|r| r.get("environment"));
    let lists = items
        .iter()
        .filter_map(|i| i.get("environments").and_then(Node::as_seq));
    let of_lists = lists.flatten().filter_map(|e| e.get("name"));
    for name in of_rows.chain(of_lists).filter_map(Node::as_str) {
        if !known.iter().any(|k| k == name) {
            known.push(name.to_owned());
        }
    }
    if known.is_empty() {
        return Ok(None);
    }
    let has = |name: &str| known.iter().any(|k| k == name);
    let line = Span::in_line(&node.span.file, node.span.line, node.span.col, 1);
    match asked {
        Some(name) if has(name) => Ok(Some(name.to_owned())),
        Some(name) => {
            let text = format!("the flags have no environment `{name}`");
            let p = Problem::at(ProblemKind::UnknownReference, &line, text);
            Err(Box::new(
                match nearest(name, known.iter().map(String::as_str)) {
                    Some(near) => p.help(format!("did you mean `{near}`?")),
                    None => p.help(format!("there are: {}", known.join(", "))),
                },
            ))
        }
        None if known.len() == 1 => Ok(Some(known.remove(0))),
        None if has(PRODUCTION) => Ok(Some(PRODUCTION.to_owned())),
        None => {
            let text = format!(
                "which environment is production's? There are: {}",
                known.join(", ")
            );
            let p = Problem::at(ProblemKind::Missing, &line, text);
            Err(Box::new(p.help(
                "name it under `flags` in mirror.yaml: `environment: NAME`",
            )))
        }
    }
}

fn feature(
    node: &Node,
    item: &Node,
    name: &Node,
    environment: Option<&str>,
    problems: &mut Problems,
) -> Option<Flag> {
    let text = name.as_str()?;
    let rows = |key: &str| node.get(key).and_then(Node::as_seq).into_iter().flatten();
    let here = |r: &&Node| {
        r.get("environment").and_then(Node::as_str) == environment
            && ["featureName", "feature_name"]
                .iter()
                .any(|k| r.get(k).and_then(Node::as_str) == Some(text))
    };
    let own = item
        .get("environments")
        .and_then(Node::as_seq)
        .into_iter()
        .flatten();
    let mut own = own.filter(|e| e.get("name").and_then(Node::as_str) == environment);
    let in_list = own.next();
    let state = rows("featureEnvironments")
        .find(here)
        .or(in_list)
        .unwrap_or(item);
    let enabled = match state.get("enabled").map(|e| (e, e.as_bool())) {
        Some((_, Some(enabled))) => enabled,
        Some((other, None)) => {
            problems.push(wrong(
                other,
                &format!("`enabled` of `{text}`"),
                "true or false",
            ));
            return None;
        }
        // In an export, what is in no row of an environment is off there.
        None if environment.is_some() => false,
        None => {
            problems.push(missing(item, "enabled"));
            return None;
        }
    };
    let lists = [Some(item), in_list];
    let of_lists = lists.into_iter().flatten();
    let of_lists = of_lists.filter_map(|n| n.get("strategies").and_then(Node::as_seq));
    let strategies: Vec<&Node> = of_lists
        .flatten()
        .chain(rows("featureStrategies").filter(here))
        .collect();
    let for_all = strategies.is_empty() || strategies.iter().any(|s| is_for_all(s));
    let mut flag = Flag::new(text, &name.span, Kind::Boolean);
    flag.variants = [true, false].map(|b| Variant::of(Json::Bool(b))).to_vec();
    flag.serves = Some(usize::from(!(enabled && for_all)));
    if enabled && !for_all {
        flag.serves = None;
        flag.unserved = Some(NOT_FOR_ALL);
    }
    let rules = strategies.iter().filter(|s| !is_for_all(s)).count();
    let mut words = Vec::new();
    if rules > 0 {
        words.push(format!("{rules} in `strategies`"));
    }
    let variants = state.get("variants").or_else(|| item.get("variants"));
    let variants = variants.and_then(Node::as_seq).map_or(0, <[Node]>::len);
    if variants > 0 {
        words.push(format!("{variants} in `variants`"));
    }
    flag.targeting = (!words.is_empty()).then(|| words.join(", "));
    Some(flag)
}

/// Whether a strategy is about everybody.
fn is_for_all(strategy: &Node) -> bool {
    let empty = |key: &str| {
        strategy
            .get(key)
            .is_none_or(|n| n.is_null() || n.as_seq().is_some_and(<[Node]>::is_empty))
    };
    if !empty("constraints") || !empty("segments") {
        return false;
    }
    if strategy.get("disabled").and_then(Node::as_bool) == Some(true) {
        return false;
    }
    let name = strategy
        .get("name")
        .or_else(|| strategy.get("strategyName"));
    match name.and_then(Node::as_str) {
        Some("default") => true,
        Some("flexibleRollout") => {
            let part = strategy.at(&["parameters", "rollout"]);
            part.and_then(Node::scalar_text).is_some_and(|t| t == "100")
        }
        _ => false,
    }
}

/// On is for everybody: where every strategy is about some, one that is about all comes beside
/// them. Off is off.
pub(super) fn set(document: &mut Json, flag: &Flag, variant: &Variant, environment: Option<&str>) {
    let on = variant.value == Json::Bool(true);
    let name = flag.name.as_str();
    let for_some = flag.unserved == Some(NOT_FOR_ALL) || flag.targeting.is_some();
    let is_row = |r: &Json| {
        (r["featureName"] == name || r["feature_name"] == name)
            && r["environment"].as_str() == environment
    };
    let mut in_rows = false;
    if let Some(Json::Array(rows)) = document.get_mut("featureEnvironments") {
        for row in rows.iter_mut().filter(|r| is_row(r)) {
            row["enabled"] = on.into();
            in_rows = true;
        }
        if !in_rows {
            rows.push(json!({ "featureName": name, "environment": environment, "enabled": on }));
            in_rows = true;
        }
    }
    let all = json!({ "name": "default", "parameters": {}, "constraints": [] });
    if in_rows {
        if on && for_some {
            let mut row = all;
            row["featureName"] = name.into();
            row["environment"] = environment.into();
            if let Some(Json::Array(rows)) = document.get_mut("featureStrategies") {
                rows.push(row);
            }
        }
        return;
    }
    let Some(Json::Array(items)) = document.get_mut("features") else {
        return;
    };
    let Some(item) = items.iter_mut().find(|i| i["name"] == name) else {
        return;
    };
    let listed = match item.get_mut("environments") {
        Some(Json::Array(each)) => {
            let mut each = each.iter_mut();
            each.any(|e| {
                let here = e["name"].as_str() == environment;
                if here {
                    e["enabled"] = on.into();
                }
                here
            })
        }
        _ => false,
    };
    if !listed || item.get("enabled").is_some() && environment.is_none() {
        item["enabled"] = on.into();
    }
    if on && for_some {
        match item.get_mut("strategies") {
            Some(Json::Array(each)) if !each.is_empty() => each.push(all),
            _ => {}
        }
    }
}
