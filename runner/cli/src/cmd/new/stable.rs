//! What of an answer is the same when it is asked again: what the client had sent, what an
//! earlier answer had given, and the form of all of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json, json};

use super::draft::{Body, Secrets, Step, is_marked, is_secret, mark, split_url};
use super::emit::in_line;
use super::link::{is_id, scalar};

/// How deep the form of an answer is looked into.
const DEPTH: usize = 4;
/// Fields that the form of an answer names at most.
const FIELDS: usize = 60;
/// Keys of an object that are looked at as fields; one with more is a table.
const KEYS: usize = 40;
/// Items of a list that are looked at, and that are expected, at most.
const LOOKED: usize = 100;
/// See [`LOOKED`].
const ITEMS: usize = 3;

/// Values that the client sent, up to and with each step, by the name of their field.
pub fn sent(steps: &[Step]) -> Vec<BTreeSet<(String, String)>> {
    let mut all = BTreeSet::new();
    let mut out = Vec::new();
    for step in steps {
        let (path, query) = split_url(&step.url)
            .1
            .split_once('?')
            .unwrap_or((split_url(&step.url).1, ""));
        // A part of a path has no name: it may be any id.
        all.extend(path.split('/').map(|p| (String::new(), p.to_owned())));
        for (k, v) in super::draft::form(query).unwrap_or_default() {
            all.insert((k, v));
        }
        match &step.body {
            Body::Json(json) => fields(json, "", &mut all),
            Body::Form(pairs) => all.extend(pairs.iter().cloned()),
            Body::Text(_) | Body::None => {}
        }
        out.push(all.clone());
    }
    out
}

fn fields(json: &Json, key: &str, all: &mut BTreeSet<(String, String)>) {
    match json {
        Json::Object(map) => map.iter().for_each(|(k, v)| fields(v, k, all)),
        Json::Array(items) => items.iter().for_each(|v| fields(v, key, all)),
        other => all.extend(scalar(other).map(|t| (key.to_owned(), t))),
    }
}

/// What is known at an answer: names and values that were sent, the values that were captured,
/// each with the step and its name, and which step it is.
type Known<'k> = (
    &'k BTreeSet<(String, String)>,
    &'k BTreeMap<String, (usize, String)>,
    usize,
);

/// Expects of an answer what is the same in another run. `named` are the values that were
/// captured; those of earlier steps than `at` can be used.
pub fn expect(step: &mut Step, json: &Json, (sent, named, at): Known<'_>, secrets: &Secrets) {
    if !json.is_object() && !json.is_array() {
        return;
    }
    let same = |key: &str, value: &Json| -> Option<Json> {
        if is_secret(key) {
            return None;
        }
        let text = scalar(value).filter(|t| secrets.hide(t) == *t)?;
        if let Some((_, name)) = named
            .get(&text)
            .filter(|(from, _)| *from < at && is_id(key, value))
        {
            return Some(Json::from(mark(name)));
        }
        if named.contains_key(&text) {
            return None;
        }
        let by_name = sent.contains(&(key.to_owned(), text.clone()));
        let by_path = is_id(key, value) && sent.contains(&(String::new(), text));
        (by_name || by_path).then(|| value.clone())
    };
    if let Some(partial) = part(json, DEPTH, &same) {
        let partial = in_line(&partial);
        step.expect
            .push(format!("{{ jsonpath: $, partial: {partial} }}"));
    }
    let mut lists = Vec::new();
    in_lists(json, "$", DEPTH, &same, &mut lists);
    step.expect.extend(lists);
    let mut room = FIELDS;
    step.schema
        .get_or_insert(form_of(json, "", DEPTH, &mut room));
}

/// The fields of an object that are the same; lists may be of another length.
fn part(json: &Json, depth: usize, same: &impl Fn(&str, &Json) -> Option<Json>) -> Option<Json> {
    let map = json.as_object().filter(|m| depth > 0 && m.len() <= KEYS)?;
    let fields: Map<String, Json> = map
        .iter()
        .filter_map(|(k, v)| {
            let kept = match v {
                Json::Object(_) => part(v, depth - 1, same)?,
                _ => same(k, v)?,
            };
            Some((k.clone(), kept))
        })
        .collect();
    (!fields.is_empty()).then_some(Json::Object(fields))
}

/// What the items of lists are known by: `{ jsonpath: $.items, contains: { sku: A1, qty: 2 } }`.
fn in_lists(
    json: &Json,
    at: &str,
    depth: usize,
    same: &impl Fn(&str, &Json) -> Option<Json>,
    out: &mut Vec<String>,
) {
    let Some(map) = json.as_object().filter(|m| depth > 0 && m.len() <= KEYS) else {
        return;
    };
    for (key, value) in map {
        let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && key.starts_with(|c: char| c.is_ascii_alphabetic());
        if !plain {
            continue;
        }
        let at = format!("{at}.{key}");
        if value.is_object() {
            in_lists(value, &at, depth - 1, same, out);
        }
        let items = value.as_array().into_iter().flatten().take(LOOKED);
        let known = items.filter_map(|item| {
            let known = part(item, depth, same)?;
            let fields = known.as_object()?;
            // One value that was sent may stand there by chance; one that was captured does not.
            let captured = fields.values().any(|v| v.as_str().is_some_and(is_marked));
            (captured || fields.len() > 1).then_some(known)
        });
        for item in known.take(ITEMS) {
            let item = in_line(&item);
            out.push(format!("{{ jsonpath: {at}, contains: {item} }}"));
        }
    }
}

/// The form of a value as a schema: which fields there are, and of which types.
fn form_of(json: &Json, key: &str, depth: usize, room: &mut usize) -> Json {
    match json {
        // Nothing is known of what stands there at other times.
        Json::Null => json!({}),
        Json::Bool(_) => json!({ "type": "boolean" }),
        Json::Number(_) if is_id(key, json) => json!({ "type": "integer" }),
        Json::Number(_) => json!({ "type": "number" }),
        // A time may not have come yet.
        Json::String(s) if is_time(s) => json!({}),
        Json::String(_) => json!({ "type": "string" }),
        Json::Array(items) => {
            let mut out = json!({ "type": "array" });
            let forms: Vec<Json> = items
                .iter()
                .take(KEYS)
                .filter(|_| depth > 0)
                .map(|v| form_of(v, key, depth - 1, &mut room.clone()))
                .collect();
            let one = forms.into_iter().reduce(|a, b| common(&a, &b));
            if let Some(one) = one.filter(|o| *o != json!({})) {
                *room = room.saturating_sub(count(&one));
                out["items"] = one;
            }
            out
        }
        Json::Object(map) => {
            let mut out = json!({ "type": "object" });
            let table = map.len() > KEYS || map.keys().any(|k| is_key_of_table(k));
            if depth == 0 || table || map.is_empty() || map.len() > *room {
                return out;
            }
            *room -= map.len();
            let required: Vec<&String> = map.keys().collect();
            out["required"] = json!(required);
            let properties: Map<String, Json> = map
                .iter()
                .map(|(k, v)| (k.clone(), form_of(v, k, depth - 1, room)))
                .filter(|(_, f)| *f != json!({}))
                .collect();
            if !properties.is_empty() {
                out["properties"] = Json::Object(properties);
            }
            out
        }
    }
}

fn count(form: &Json) -> usize {
    let properties = form["properties"].as_object();
    let inner = properties.map_or(0, |p| p.values().map(count).sum::<usize>() + p.len());
    inner + form.get("items").map_or(0, count)
}

/// What two forms have in common.
fn common(a: &Json, b: &Json) -> Json {
    if a == b {
        return a.clone();
    }
    let numbers = |f: &Json| ["number", "integer"].iter().any(|t| f["type"] == *t);
    if numbers(a) && numbers(b) {
        return json!({ "type": "number" });
    }
    if a["type"] != b["type"] || a["type"].is_null() {
        return json!({});
    }
    let mut out = json!({ "type": a["type"] });
    if let (Some(x), Some(y)) = (a.get("items"), b.get("items")) {
        let items = common(x, y);
        if items != json!({}) {
            out["items"] = items;
        }
    } else if let Some(items) = a.get("items").or(b.get("items")) {
        // An empty list says nothing of what is in others.
        out["items"] = items.clone();
    }
    if let (Some(x), Some(y)) = (a["required"].as_array(), b["required"].as_array()) {
        let both: Vec<&Json> = x.iter().filter(|k| y.contains(k)).collect();
        if !both.is_empty() {
            out["required"] = json!(both);
        }
    }
    if let (Some(x), Some(y)) = (a["properties"].as_object(), b["properties"].as_object()) {
        let both: Map<String, Json> = x
            .iter()
            .filter_map(|(k, f)| Some((k.clone(), common(f, y.get(k)?))))
            .filter(|(_, f)| *f != json!({}))
            .collect();
        if !both.is_empty() {
            out["properties"] = Json::Object(both);
        }
    }
    out
}

/// Whether a key is a value itself: the object is a table by ids, dates or amounts.
fn is_key_of_table(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_digit()) || key.len() >= 32 || key.contains(['@', '/'])
}

/// Whether a text is a time: `2026-01-31…`.
fn is_time(text: &str) -> bool {
    let b = text.as_bytes();
    b.len() >= 10
        && b[..10].iter().enumerate().all(|(i, c)| match i {
            4 | 7 => *c == b'-',
            _ => c.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn form_is(json: Json, wanted: Json) {
        assert_eq!(form_of(&json, "", DEPTH, &mut FIELDS.clone()), wanted);
    }

    #[test]
    fn the_form_of_an_answer() {
        form_is(
            json!({ "id": 7, "total": 12, "sku": "A1", "at": "2026-01-31T10:00:00Z", "by": null, "ok": true }),
            json!({
                "type": "object",
                "required": ["id", "total", "sku", "at", "by", "ok"],
                "properties": {
                    "id": { "type": "integer" }, "total": { "type": "number" },
                    "sku": { "type": "string" }, "ok": { "type": "boolean" },
                },
            }),
        );
        form_is(json!([]), json!({ "type": "array" }));
        form_is(
            json!({ "200001": { "qty": 1 } }),
            json!({ "type": "object" }),
        );
        form_is(
            json!([{ "a": 1, "b": [1] }, { "a": "x", "b": [], "c": 1 }]),
            json!({ "type": "array", "items": {
                "type": "object", "required": ["a", "b"],
                "properties": { "b": { "type": "array", "items": { "type": "number" } } },
            } }),
        );
        form_is(json!([1, "a", null]), json!({ "type": "array" }));
    }

    #[test]
    fn the_form_of_a_deep_or_wide_answer_is_bounded() {
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!({ "a": [deep] });
        }
        let form = form_of(&deep, "", DEPTH, &mut FIELDS.clone()).to_string();
        assert!(form.len() < 400, "{form}");
        let row: Map<String, Json> = (0..30).map(|i| (format!("k{i}"), json!(i))).collect();
        let wide: Map<String, Json> = (0..30).map(|i| (format!("r{i}"), json!(row))).collect();
        let form = form_of(&Json::Object(wide), "", DEPTH, &mut FIELDS.clone());
        assert!(count(&form) <= FIELDS, "{form}");
    }

    #[test]
    fn what_was_sent_comes_back() {
        let mut step = Step {
            method: "POST".into(),
            url: "http://gateway/customers/900001/orders?page=2".into(),
            body: Body::Json(json!({ "sku": "A1", "qty": 2, "password": "hunter22" })),
            ..Step::default()
        };
        let sent = sent(std::slice::from_ref(&step));
        let named = BTreeMap::from([
            ("77".to_owned(), (0, "cart_id".to_owned())),
            ("78".to_owned(), (1, "order_id".to_owned())),
        ]);
        let answer = json!({
            "id": 78, "cart_id": 77, "customer": { "id": 900_001, "qty": 77 }, "sku": "A1",
            "qty": 2, "left": 2, "page": "2", "password": "hunter22", "items": [{ "sku": "A1" }, { "sku": "A1", "qty": 2 }, { "cart_id": 77 }],
        });
        expect(
            &mut step,
            &answer,
            (&sent[0], &named, 1),
            &Secrets::default(),
        );
        assert_eq!(
            step.expect[0],
            "{ jsonpath: $, partial: { cart_id: \"{{ cart_id }}\", customer: { id: 900001 }, sku: A1, qty: 2, page: \"2\" } }"
        );
        assert_eq!(
            step.expect[1..],
            [
                "{ jsonpath: $.items, contains: { sku: A1, qty: 2 } }",
                "{ jsonpath: $.items, contains: { cart_id: \"{{ cart_id }}\" } }",
            ]
        );
        assert!(step.schema.is_some());
    }
}
