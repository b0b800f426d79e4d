//! A service as the parts of which each may be another one elsewhere, and put together again.

use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};

use super::side::PLACE;
use crate::stack::extension::KEY;

/// The parts of a service.
pub(super) type Parts = IndexMap<Key, Part>;

/// Which part of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The image.
    Image,
    /// An environment variable.
    Env(String),
    /// All labels.
    Labels,
    /// A leaf below `deploy`, by its path.
    Deploy(Vec<String>),
    /// A mount, by its path in the container.
    Mount(String),
    /// A configuration file, by its path.
    Config(String),
    /// A secret in a file, by its path.
    Secret(String),
    /// A file system in memory, by its path.
    Tmpfs(String),
    /// What it waits for.
    Order,
    /// What `x-prodmirror` says of it in this field.
    Extra(String),
    /// Any other field.
    Field(String),
}

/// A part.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub value: Json,
    pub marks: Marks,
}

/// What `x-prodmirror` says of a part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// The variable is secret.
    pub sensitive: bool,
    /// The service writes to a copy of the bind.
    pub writable: bool,
    /// The bind is of the engine's host.
    pub host: bool,
}

/// Fields of `x-prodmirror` with an entry for each service.
const BY_SERVICE: [&str; 6] = [
    "stubs",
    "probes",
    "directories",
    "ends",
    "after_end",
    "links",
];
/// Those with a list of services.
const LISTS: [&str; 3] = ["own_address", "patient", "non_root"];
/// Lists by service, of what the marks are.
const SENSITIVE: &str = "sensitive";
const WRITABLE: &str = "writable_copies";
const HOST: &str = "host_binds";

/// Takes a service of a stack apart.
pub(super) fn split(document: &Json, service: &str) -> Parts {
    let mut parts = Parts::new();
    let extension = &document[KEY];
    let listed = |field: &str, text: &str| {
        let list = extension[field][service].as_array();
        list.is_some_and(|l| l.iter().any(|t| t.as_str() == Some(text)))
    };
    let mut put = |key: Key, value: &Json| {
        let marks = match &key {
            Key::Env(name) => Marks {
                sensitive: listed(SENSITIVE, name),
                ..Marks::default()
            },
            Key::Mount(path) => Marks {
                writable: listed(WRITABLE, path),
                host: listed(HOST, path),
                ..Marks::default()
            },
            _ => Marks::default(),
        };
        let value = value.clone();
        parts.insert(key, Part { value, marks });
    };
    let fields = document["services"][service].as_object();
    for (field, value) in fields.into_iter().flatten() {
        match (field.as_str(), value) {
            (field, _) if PLACE.contains(&field) => {}
            ("image", _) => put(Key::Image, value),
            ("labels", _) => put(Key::Labels, value),
            ("depends_on", _) => put(Key::Order, value),
            ("environment", Json::Object(map)) => {
                map.iter()
                    .for_each(|(name, value)| put(Key::Env(name.clone()), value));
            }
            ("deploy", Json::Object(_)) => {
                leaves(value, &mut Vec::new(), &mut |path, leaf| {
                    put(Key::Deploy(path), leaf)
                });
            }
            ("volumes" | "configs" | "secrets" | "tmpfs", Json::Array(items))
                if places(field, items) =>
            {
                for item in items {
                    if let Some(key) = key_of(field, item) {
                        put(key, item);
                    }
                }
            }
            (other, _) => put(Key::Field(other.to_owned()), value),
        }
    }
    for field in BY_SERVICE {
        if let Some(value) = extension[field].get(service) {
            put(Key::Extra(field.to_owned()), value);
        }
    }
    for field in LISTS {
        let list = extension[field].as_array();
        if list.is_some_and(|l| l.iter().any(|t| t.as_str() == Some(service))) {
            put(Key::Extra(field.to_owned()), &Json::Bool(true));
        }
    }
    parts
}

/// Whether each item of a list says where it is in the container, and no two are in one place.
fn places(field: &str, items: &[Json]) -> bool {
    let mut keys: Vec<Key> = items.iter().filter_map(|i| key_of(field, i)).collect();
    keys.sort();
    keys.dedup();
    keys.len() == items.len()
}

fn key_of(field: &str, item: &Json) -> Option<Key> {
    if field == "tmpfs" {
        let text = item.as_str()?;
        let path = text.split_once(':').map_or(text, |(path, _)| path);
        return Some(Key::Tmpfs(path.to_owned()));
    }
    let target = item.get("target")?.as_str()?.to_owned();
    Some(match field {
        "configs" => Key::Config(target),
        "secrets" => Key::Secret(target),
        _ => Key::Mount(target),
    })
}

fn leaves(value: &Json, path: &mut Vec<String>, put: &mut dyn FnMut(Vec<String>, &Json)) {
    match value {
        Json::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                path.push(key.clone());
                leaves(value, path, put);
                path.pop();
            }
        }
        _ => put(path.clone(), value),
    }
}

/// Puts a service together, and what `x-prodmirror` says of it.
pub(super) fn join(
    service: &str,
    parts: &Parts,
    extension: &mut Map<String, Json>,
) -> Map<String, Json> {
    let mut out = Map::new();
    for (key, part) in parts {
        let value = part.value.clone();
        match key {
            Key::Image => set(&mut out, "image", value),
            Key::Labels => set(&mut out, "labels", value),
            Key::Order => set(&mut out, "depends_on", value),
            Key::Field(name) => set(&mut out, name, value),
            Key::Env(name) => {
                set(object(&mut out, "environment"), name, value);
                if part.marks.sensitive {
                    list(object(extension, SENSITIVE), service).push(json!(name));
                }
            }
            Key::Deploy(path) => leaf(&mut out, "deploy", path, value),
            Key::Mount(path) => {
                list(&mut out, "volumes").push(value);
                for (is, field) in [(part.marks.writable, WRITABLE), (part.marks.host, HOST)] {
                    if is {
                        list(object(extension, field), service).push(json!(path));
                    }
                }
            }
            Key::Config(_) => list(&mut out, "configs").push(value),
            Key::Secret(_) => list(&mut out, "secrets").push(value),
            Key::Tmpfs(_) => list(&mut out, "tmpfs").push(value),
            Key::Extra(field) if LISTS.contains(&field.as_str()) => {
                list(extension, field).push(json!(service));
            }
            Key::Extra(field) => set(object(extension, field), service, value),
        }
    }
    out
}

fn set(map: &mut Map<String, Json>, key: &str, value: Json) {
    map.insert(key.to_owned(), value);
}

/// The mapping below a key, which is made if need be.
pub(super) fn object<'m>(map: &'m mut Map<String, Json>, key: &str) -> &'m mut Map<String, Json> {
    let value = map.entry(key.to_owned()).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Json::Object(map) => map,
        _ => unreachable!("it was made one"),
    }
}

/// The list below a key, which is made if need be.
pub(super) fn list<'m>(map: &'m mut Map<String, Json>, key: &str) -> &'m mut Vec<Json> {
    let value = map.entry(key.to_owned()).or_insert_with(|| json!([]));
    if !value.is_array() {
        *value = json!([]);
    }
    match value {
        Json::Array(items) => items,
        _ => unreachable!("it was made one"),
    }
}

fn leaf(map: &mut Map<String, Json>, key: &str, path: &[String], value: Json) {
    match path.split_first() {
        None => set(map, key, value),
        Some((first, rest)) => leaf(object(map, key), first, rest, value),
    }
}
