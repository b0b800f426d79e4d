//! Values that an answer gives and a later request sends: captured, not written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::draft::{Body, Step, identifier, is_marked, is_secret, mark, split_url};
use super::emit::quoted;
use super::statement;

/// A value of so many characters is the same one wherever it stands.
pub const CERTAIN: usize = 6;

/// What an answer gave.
#[derive(Debug, Default)]
pub struct Answer {
    /// Its JSON.
    pub json: Option<Json>,
    /// Its header `location`.
    pub location: Option<String>,
}

/// A value that an answer gave.
#[derive(Debug, Clone)]
struct Given {
    step: usize,
    name: String,
    /// Where it is taken from, as YAML.
    from: String,
}

/// Replaces values by captures. Gives the values that were captured, each with the step and the
/// name.
pub fn link(steps: &mut [Step], answers: &[Answer]) -> BTreeMap<String, (usize, String)> {
    // Values that came from an answer, and values that the client had itself.
    let mut given: BTreeMap<String, Given> = BTreeMap::new();
    let mut own: BTreeSet<String> = BTreeSet::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut used: Vec<Given> = Vec::new();
    for (i, step) in steps.iter_mut().enumerate() {
        let path = split_url(&step.url).1.to_owned();
        let mut take = |text: &str, key: &str| -> Option<String> {
            // `qty: 1` is not the id 1 of an answer.
            if text.len() < CERTAIN && !is_id(key, &Json::from(text)) {
                return None;
            }
            let Some(g) = given.get_mut(text) else {
                own.insert(text.to_owned());
                return None;
            };
            if !used.iter().any(|u| u.step == g.step && u.from == g.from) {
                let mut name = g.name.clone();
                let mut n = 2;
                while !names.insert(name.clone()) {
                    name = format!("{}_{n}", g.name);
                    n += 1;
                }
                g.name = name;
                used.push(g.clone());
            }
            Some(mark(&g.name))
        };
        replace(step, &mut take);
        let Some(answer) = answers.get(i) else {
            continue;
        };
        if let Some(json) = &answer.json {
            let base = noun(&path);
            leaves(json, "$", "", &mut |value, at, key| {
                let text = scalar(value)?;
                if own.contains(&text) || given.contains_key(&text) || !is_id(key, value) {
                    return None;
                }
                let name = match key.to_ascii_lowercase().as_str() {
                    "id" | "uuid" | "_id" => match owner(at).unwrap_or_else(|| base.clone()) {
                        of if of.is_empty() => key.to_owned(),
                        of => format!("{of}_id"),
                    },
                    _ => key.to_owned(),
                };
                let from = format!("{{ jsonpath: {} }}", quoted(at));
                given.insert(
                    text,
                    Given {
                        step: i,
                        name: identifier(&name),
                        from,
                    },
                );
                None::<()>
            });
        }
        let last = answer
            .location
            .as_deref()
            .map(|l| l.split(['?', '#']).next().unwrap_or(l));
        if let Some((head, id)) = last.and_then(|l| l.rsplit_once('/'))
            && is_id("id", &Json::from(id))
            // `/home` is a page, `/orders/7` is an order.
            && id.bytes().any(|b| b.is_ascii_digit())
            && !own.contains(id)
            && !given.contains_key(id)
        {
            let base = noun(head);
            let name = if base.is_empty() {
                "id".into()
            } else {
                format!("{base}_id")
            };
            let from = "{ header: location, regex: '([^/?#]+)(?:[?#].*)?$' }".to_owned();
            given.insert(
                id.to_owned(),
                Given {
                    step: i,
                    name: identifier(&name),
                    from,
                },
            );
        }
    }
    let is_used = |g: &Given| used.iter().any(|u| u.step == g.step && u.from == g.from);
    let named = given
        .iter()
        .filter(|(_, g)| is_used(g))
        .map(|(value, g)| (value.clone(), (g.step, g.name.clone())))
        .collect();
    for g in used {
        steps[g.step].capture.push((g.name, g.from));
    }
    named
}

/// Replaces values of a request, wherever they stand.
fn replace(step: &mut Step, take: &mut impl FnMut(&str, &str) -> Option<String>) {
    if let Some(sql) = &mut step.sql {
        sql.query = statement::replaced(&sql.query, |l| take(&l.value, l.of));
        for p in &mut sql.params {
            if let Some(new) = scalar(p).and_then(|t| take(&t, "id")) {
                *p = Json::from(new);
            }
        }
        return;
    }
    let (base, rest) = split_url(&step.url);
    let (path, query) = match rest.split_once('?') {
        Some((p, q)) => (p, Some(q)),
        None => (rest, None),
    };
    let path: Vec<String> = path
        .split('/')
        .map(|s| {
            if s.is_empty() {
                String::new()
            } else {
                take(s, "id").unwrap_or_else(|| s.to_owned())
            }
        })
        .collect();
    let mut url = format!("{base}{}", path.join("/"));
    if let Some(query) = query {
        let pairs: Vec<String> = query
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((k, v)) => format!("{k}={}", take(v, k).unwrap_or_else(|| v.to_owned())),
                None => pair.to_owned(),
            })
            .collect();
        url = format!("{url}?{}", pairs.join("&"));
    }
    step.url = url;
    for (name, value) in &mut step.headers {
        if let Some(new) = take(value, name) {
            *value = new;
        } else if let Some((scheme, token)) = value.split_once(' ')
            && let Some(new) = take(token, name)
        {
            *value = format!("{scheme} {new}");
        }
    }
    match &mut step.body {
        Body::Json(json) => in_json(json, "", take),
        Body::Form(pairs) => {
            for (k, v) in pairs {
                if let Some(new) = take(v, k) {
                    *v = new;
                }
            }
        }
        Body::Text(_) | Body::None => {}
    }
}

fn in_json(json: &mut Json, key: &str, take: &mut impl FnMut(&str, &str) -> Option<String>) {
    match json {
        Json::Object(map) => map.iter_mut().for_each(|(k, v)| in_json(v, k, take)),
        Json::Array(items) => items.iter_mut().for_each(|v| in_json(v, key, take)),
        other => {
            let text = scalar(other).filter(|t| !is_marked(t));
            if let Some(new) = text.and_then(|t| take(&t, key)) {
                *other = Json::from(new);
            }
        }
    }
}

pub fn scalar(json: &Json) -> Option<String> {
    match json {
        Json::String(s) if !s.is_empty() => Some(s.clone()),
        Json::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

/// Calls `with` for each scalar, with its JSONPath and the key that it stands under.
fn leaves(
    json: &Json,
    at: &str,
    key: &str,
    with: &mut impl FnMut(&Json, &str, &str) -> Option<()>,
) {
    match json {
        Json::Object(map) => {
            for (k, v) in map {
                let plain = k.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                    && k.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                let path = match plain {
                    true => format!("{at}.{k}"),
                    false => format!("{at}['{}']", k.replace('\\', "\\\\").replace('\'', "\\'")),
                };
                leaves(v, &path, k, with);
            }
        }
        Json::Array(items) => {
            for (i, v) in items.iter().enumerate() {
                leaves(v, &format!("{at}[{i}]"), key, with);
            }
        }
        scalar => {
            let _ = with(scalar, at, key);
        }
    }
}

/// Whether a value is one that names something: by the key that it stands under, or by itself.
pub fn is_id(key: &str, value: &Json) -> bool {
    let lower = key.to_ascii_lowercase();
    let by_key = [
        "id",
        "_id",
        "uuid",
        "guid",
        "slug",
        "code",
        "number",
        "reference",
        "ref",
        "key",
        "nonce",
    ]
    .contains(&lower.as_str())
        || lower.ends_with("_id")
        || lower.ends_with("-id")
        || key.ends_with("Id")
        || key.ends_with("ID")
        || is_secret(key);
    match value {
        Json::Number(n) => by_key && n.as_i64().is_some(),
        Json::String(s) => {
            let word = s.len() <= 4096 && !s.contains(char::is_whitespace);
            let random = s.len() >= 16
                && s.bytes().any(|b| b.is_ascii_digit())
                && s.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
            word && (by_key || random)
        }
        _ => false,
    }
}

/// What a value belongs to: `$.items[0].id` is of an item.
fn owner(at: &str) -> Option<String> {
    let (of, _) = at.rsplit_once('.')?;
    let word = of.rsplit('.').next()?.split('[').next()?;
    (word != "$" && !word.is_empty()).then(|| singular(word))
}

/// What a path is about: `/api/orders/7/items` is about an item.
fn noun(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or("");
    let words = path.rsplit('/').filter(|s| {
        !s.is_empty()
            && !is_marked(s)
            && s.chars()
                .all(|c| c.is_ascii_alphabetic() || c == '-' || c == '_')
    });
    let Some(word) = words.into_iter().next() else {
        return String::new();
    };
    singular(word)
}

fn singular(word: &str) -> String {
    let word = word.to_ascii_lowercase();
    match word.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None if word.ends_with("ss") => word,
        None => word.strip_suffix('s').unwrap_or(&word).to_owned(),
    }
}
