//! Schemas of OpenAPI as JSON Schema.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jsonschema::Validator;
use serde_json::{Map, Value as Json, json};

use crate::check::predicate::{Finding, pointer};
use crate::check::show::{cut, show};

/// Violations of one schema that are told at most.
const MOST: usize = 20;

/// Which way a value goes: what is read only is not sent, what is write only does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Way {
    Request,
    Response,
}

type Validators = HashMap<(Way, String), Result<Arc<Validator>, String>>;

/// The schemas of a file, compiled when they are first used.
#[derive(Debug)]
pub(super) struct Schemas {
    /// All that references lead to, for each way.
    around: [Map<String, Json>; 2],
    nullable: bool,
    compiled: Mutex<Validators>,
}

impl Schemas {
    /// `nullable`: whether they are of OpenAPI 3.0.
    pub fn new(root: &Json, nullable: bool) -> Self {
        let around = |way| {
            ["components", "paths"]
                .into_iter()
                .filter_map(|k| {
                    let mut part = root.get(k)?.clone();
                    convert(&mut part, way, nullable, false);
                    Some((k.to_owned(), part))
                })
                .collect()
        };
        Self {
            around: [around(Way::Request), around(Way::Response)],
            nullable,
            compiled: Mutex::default(),
        }
    }

    /// Tells all violations; paths begin with `at`.
    pub fn check(&self, schema: &Json, way: Way, value: &Json, at: &str, out: &mut Vec<Finding>) {
        let validator = match self.validator(schema, way) {
            Ok(v) => v,
            Err(why) => {
                out.push(Finding::new(at, "a valid schema in the OpenAPI file", why));
                return;
            }
        };
        for e in validator.iter_errors(value).take(MOST) {
            let path = format!("{at}{}", pointer(&e.instance_path().to_string()));
            out.push(Finding::new(path, cut(&e.to_string()), show(e.instance())));
        }
    }

    fn validator(&self, schema: &Json, way: Way) -> Result<Arc<Validator>, String> {
        let key = (way, schema.to_string());
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = compiled.get(&key) {
            return known.clone();
        }
        let mut own = schema.clone();
        convert(&mut own, way, self.nullable, false);
        let mut whole = self.around[usize::from(way == Way::Response)].clone();
        whole.insert("allOf".into(), json!([own]));
        let made = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .build(&Json::Object(whole))
            .map(Arc::new)
            .map_err(|e| cut(&e.to_string()));
        compiled.insert(key, made.clone());
        made
    }
}

/// Turns schemas of OpenAPI into JSON Schema, wherever they stand in a value. `names`: the
/// keys here are names of properties, and mean nothing by themselves.
fn convert(node: &mut Json, way: Way, nullable: bool, names: bool) {
    let o = match node {
        Json::Array(items) => {
            items
                .iter_mut()
                .for_each(|i| convert(i, way, nullable, false));
            return;
        }
        Json::Object(o) => o,
        _ => return,
    };
    if !names {
        require(o, way);
        if nullable {
            of_3_0(o);
        }
    }
    for (key, value) in o.iter_mut() {
        let literal = matches!(
            key.as_str(),
            "example" | "examples" | "default" | "enum" | "const"
        );
        if names || !literal {
            let inner =
                !names && matches!(key.as_str(), "properties" | "patternProperties" | "schemas");
            convert(value, way, nullable, inner);
        }
    }
}

/// What must be there depends on the way.
fn require(o: &mut Map<String, Json>, way: Way) {
    let flag = match way {
        Way::Request => "readOnly",
        Way::Response => "writeOnly",
    };
    let hidden: Vec<String> = o
        .get("properties")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, p)| p.get(flag) == Some(&Json::Bool(true)))
        .map(|(k, _)| k.clone())
        .collect();
    if let Some(Json::Array(required)) = o.get_mut("required") {
        required.retain(|r| r.as_str().is_none_or(|r| !hidden.iter().any(|h| h == r)));
    }
}

/// What OpenAPI 3.0 writes in its own way: `nullable`, exclusive limits as flags, and
/// references that rule alone.
fn of_3_0(o: &mut Map<String, Json>) {
    if o.get("$ref").is_some_and(Json::is_string) {
        o.retain(|k, _| k == "$ref");
        return;
    }
    for (flag, limit) in [
        ("exclusiveMinimum", "minimum"),
        ("exclusiveMaximum", "maximum"),
    ] {
        match o.get(flag) {
            Some(Json::Bool(true)) => {
                o.shift_remove(flag);
                if let Some(n) = o.shift_remove(limit) {
                    o.insert(flag.into(), n);
                }
            }
            Some(Json::Bool(false)) => {
                o.shift_remove(flag);
            }
            _ => {}
        }
    }
    if o.get("nullable") != Some(&Json::Bool(true)) {
        return;
    }
    o.shift_remove("nullable");
    if let Some(Json::Array(values)) = o.get_mut("enum")
        && !values.contains(&Json::Null)
    {
        values.push(Json::Null);
    }
    match o.get("type").cloned() {
        Some(Json::String(t)) => {
            o.insert("type".into(), json!([t, "null"]));
        }
        Some(_) => {}
        None => {
            let schema = std::mem::take(o);
            if schema.is_empty() {
                return;
            }
            o.insert("anyOf".into(), json!([schema, { "type": "null" }]));
        }
    }
}
