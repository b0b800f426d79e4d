//! Bodies, and the types that they have.

use serde_json::{Map, Value as Json};

use super::parameter::{kinds, scalar};
use super::schema::Way;
use super::spec::Spec;
use crate::check::predicate::Finding;
use crate::check::show::cut;

/// A body as it was sent or came.
pub(super) struct Body<'d> {
    /// Its `content-type`, without parameters, in lower case.
    pub kind: Option<String>,
    /// Its text.
    pub text: &'d str,
    /// Its bytes.
    pub size: usize,
}

/// Tells what of a body is not as `content` describes it.
pub(super) fn check(
    spec: &Spec,
    content: &Map<String, Json>,
    way: Way,
    body: &Body<'_>,
    at: &str,
    out: &mut Vec<Finding>,
) {
    let kind = body.kind.as_deref().unwrap_or_default();
    let Some(media) = media(content, kind) else {
        let known: Vec<&str> = content.keys().map(String::as_str).collect();
        let owner = at.split('.').next().unwrap_or(at);
        out.push(Finding::new(
            format!("{owner}.headers.content-type"),
            format!("one of {}", known.join(", ")),
            if kind.is_empty() {
                "nothing".into()
            } else {
                kind.to_owned()
            },
        ));
        return;
    };
    let Some(schema) = media.get("schema") else {
        return;
    };
    if kind.ends_with("/json") || kind.ends_with("+json") {
        match serde_json::from_str::<Json>(body.text) {
            Ok(value) => spec.schemas.check(schema, way, &value, at, out),
            Err(e) => out.push(
                Finding::new(at, "JSON", cut(&Json::from(body.text).to_string()))
                    .hint(Some(e.to_string())),
            ),
        }
    } else if kind == "application/x-www-form-urlencoded" {
        spec.schemas
            .check(schema, way, &form(spec, schema, body.text), at, out);
    } else if kind.starts_with("text/") && kinds(spec.resolve(schema)).contains(&"string") {
        spec.schemas
            .check(schema, way, &Json::from(body.text), at, out);
    }
}

/// The entry of a type: the type itself, then ranges such as `application/*`.
fn media<'c>(content: &'c Map<String, Json>, kind: &str) -> Option<&'c Json> {
    let plain = |key: &str| {
        key.split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    };
    let find = |wanted: &str| {
        content
            .iter()
            .find(|(k, _)| plain(k) == wanted)
            .map(|(_, v)| v)
    };
    let group = kind.split('/').next().unwrap_or_default();
    find(kind)
        .or_else(|| find(&format!("{group}/*")))
        .or_else(|| find("*/*"))
}

/// A form as an object of the types that its schema asks for.
fn form(spec: &Spec, schema: &Json, text: &str) -> Json {
    let schema = spec.resolve(schema);
    let nothing = Json::Null;
    let mut object: Map<String, Json> = Map::new();
    for (key, value) in url::form_urlencoded::parse(text.as_bytes()) {
        let own = schema
            .get("properties")
            .and_then(|p| p.get(key.as_ref()))
            .unwrap_or(&nothing);
        let own = spec.resolve(own);
        if kinds(own).contains(&"array") {
            let items = spec.resolve(own.get("items").unwrap_or(&nothing));
            let list = object
                .entry(key.into_owned())
                .or_insert_with(|| Json::Array(Vec::new()));
            if let Json::Array(list) = list {
                list.push(scalar(spec, items, &value));
            }
        } else {
            object.insert(key.into_owned(), scalar(spec, own, &value));
        }
    }
    Json::Object(object)
}
