//! Filters of lists and objects.

use std::cmp::Ordering;
use std::collections::HashMap;

use serde_json::Value as Json;

use super::{Boxed, Filter, Made, Simple, value, wrong};
use crate::check::show::show;
use crate::check::subject::Subject;
use crate::diag::Problem;
use crate::yaml::Node;

fn items<'s>(subject: &'s Subject<'_>) -> Result<&'s [Json], String> {
    match subject {
        Subject::Json(j) => j.as_array().map(Vec::as_slice),
        Subject::Bytes(_) => None,
    }
    .ok_or_else(|| "a list".to_owned())
}

pub(super) fn first() -> Boxed {
    Box::new(Simple(|v| item(&v, 0)))
}

pub(super) fn last() -> Boxed {
    Box::new(Simple(|v| item(&v, -1)))
}

fn item<'a>(subject: &Subject<'_>, n: i64) -> Result<Made<'a>, String> {
    let list = items(subject)?;
    let at = if n < 0 {
        usize::try_from(-n)
            .ok()
            .and_then(|back| list.len().checked_sub(back))
    } else {
        usize::try_from(n).ok()
    };
    match at.and_then(|i| list.get(i)) {
        Some(found) => value(found.clone()),
        None => Ok(Made::Nothing(format!("the list has {} items", list.len()))),
    }
}

#[derive(Debug)]
struct Nth(i64);

pub(super) fn nth(node: &Node) -> Result<Boxed, Problem> {
    match node.as_int() {
        Some(n) => Ok(Box::new(Nth(n.max(-i64::MAX)))),
        None => Err(wrong(node, "`nth` takes a number")),
    }
}

impl Filter for Nth {
    fn apply<'a>(&self, value: Subject<'a>) -> Result<Made<'a>, String> {
        item(&value, self.0)
    }
}

pub(super) fn count() -> Boxed {
    Box::new(Simple(|v| match &v {
        Subject::Bytes(b) => value(b.len()),
        Subject::Json(j) => match j.as_ref() {
            Json::String(s) => value(s.chars().count()),
            Json::Array(a) => value(a.len()),
            Json::Object(o) => value(o.len()),
            _ => Err("a list, an object or a text".into()),
        },
    }))
}

pub(super) fn keys() -> Boxed {
    Box::new(Simple(|v| {
        let json = v.json();
        let o = json.as_object().ok_or("an object")?;
        value(o.keys().map(|k| Json::from(k.as_str())).collect::<Vec<_>>())
    }))
}

pub(super) fn values() -> Boxed {
    Box::new(Simple(|v| {
        let json = v.json();
        let o = json.as_object().ok_or("an object")?;
        value(o.values().cloned().collect::<Vec<_>>())
    }))
}

pub(super) fn sort() -> Boxed {
    Box::new(Simple(|v| {
        let mut list = items(&v)?.to_vec();
        if let Some((a, b)) = mixed(&list) {
            return Err(format!(
                "a list of numbers or of texts (it has {} and {})",
                show(a),
                show(b)
            ));
        }
        list.sort_by(|a, b| order(a, b).unwrap_or(Ordering::Equal));
        value(list)
    }))
}

/// Two neighbours that have no order.
pub(crate) fn mixed(list: &[Json]) -> Option<(&Json, &Json)> {
    list.windows(2)
        .map(|w| (&w[0], &w[1]))
        .find(|(a, b)| order(a, b).is_none())
}

/// The order of two numbers, texts or booleans.
pub(crate) fn order(a: &Json, b: &Json) -> Option<Ordering> {
    match (a, b) {
        (Json::Number(x), Json::Number(y)) => match (x.as_i64(), y.as_i64()) {
            (Some(i), Some(j)) => Some(i.cmp(&j)),
            _ => x.as_f64()?.partial_cmp(&y.as_f64()?),
        },
        (Json::String(x), Json::String(y)) => Some(x.cmp(y)),
        (Json::Bool(x), Json::Bool(y)) => Some(x.cmp(y)),
        _ => None,
    }
}

pub(super) fn unique() -> Boxed {
    Box::new(Simple(|v| {
        let list = items(&v)?;
        let again: Vec<usize> = repeated(list).into_iter().map(|(_, i)| i).collect();
        let kept = list
            .iter()
            .enumerate()
            .filter(|(i, _)| again.binary_search(i).is_err());
        value(kept.map(|(_, j)| j.clone()).collect::<Vec<_>>())
    }))
}

/// Items that were there before: where first, and where again, in their order.
pub(crate) fn repeated(list: &[Json]) -> Vec<(usize, usize)> {
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(list.len());
    let mut found = Vec::new();
    for (i, item) in list.iter().enumerate() {
        let mut key = String::new();
        canonical(item, &mut key);
        match seen.get(&key) {
            Some(first) => found.push((*first, i)),
            None => {
                seen.insert(key, i);
            }
        }
    }
    found
}

/// The same text for equal values: keys may stand in another order, and 1 is 1.0.
fn canonical(json: &Json, to: &mut String) {
    match json {
        Json::Number(n) if n.as_i64().is_none() => {
            to.push_str(&n.as_f64().map_or_else(|| n.to_string(), |f| f.to_string()));
        }
        Json::Array(items) => {
            to.push('[');
            for item in items {
                canonical(item, to);
                to.push(',');
            }
            to.push(']');
        }
        Json::Object(o) => {
            let mut keys: Vec<&String> = o.keys().collect();
            keys.sort();
            to.push('{');
            for key in keys {
                to.push_str(&Json::from(key.as_str()).to_string());
                to.push(':');
                canonical(&o[key], to);
                to.push(',');
            }
            to.push('}');
        }
        other => to.push_str(&other.to_string()),
    }
}

#[derive(Debug)]
struct Join(String);

pub(super) fn join(node: &Node) -> Result<Boxed, Problem> {
    match node.as_str() {
        Some(s) => Ok(Box::new(Join(s.to_owned()))),
        None => Err(wrong(node, "`join` takes the text between the items")),
    }
}

impl Filter for Join {
    fn apply<'a>(&self, v: Subject<'a>) -> Result<Made<'a>, String> {
        let texts: Vec<String> = items(&v)?
            .iter()
            .map(|j| match j {
                Json::String(s) => s.clone(),
                other => other.to_string(),
            })
            .collect();
        value(texts.join(&self.0))
    }
}
