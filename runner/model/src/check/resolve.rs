//! Names of an expression, resolved in a step's result and its scope.
//!
//! CEL asks for the longest dotted name first (`json.items.total`), so that only the part of
//! a document that an expression uses is converted.

use std::collections::HashMap;

use cel::common::types::{
    CelBool, CelDouble, CelDuration, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString,
    CelUInt,
};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use serde_json::Value as Json;

use super::work::{STEP, Work};
use crate::template::{Document, Scope};

/// The names that an expression sees: the result's fields first, then the scope.
pub(crate) struct Names<'a> {
    /// The step's result.
    pub document: &'a Document,
    /// Variables, captures and earlier steps.
    pub scope: &'a Scope,
    /// How much may be done with them.
    pub work: Work,
}

impl VariableResolver for Names<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        if variable == STEP {
            let more = self.work.spend(1);
            return more.then(|| CowVal::owned(CelBool::from(true)));
        }
        let mut parts = variable.split('.');
        let root = parts.next()?;
        let mut value = match root {
            "steps" => return self.step(parts),
            "vars" => self.scope.get(parts.next()?)?,
            "secrets" => self.scope.secret(parts.next()?)?,
            "duration" if self.document.get("duration").is_some() => {
                return match parts.next() {
                    None => duration(self.document),
                    Some(_) => None,
                };
            }
            _ => match self.document.get(root) {
                Some(v) => v,
                None => self.scope.get(root)?,
            },
        };
        for part in parts {
            value = value.get(part)?;
        }
        self.seen(value)
    }
}

impl<'a> Names<'a> {
    /// The names of a result and a scope.
    pub fn new(document: &'a Document, scope: &'a Scope) -> Self {
        Self {
            document,
            scope,
            work: Work::default(),
        }
    }

    /// A value, where there is still something to be done with it.
    fn seen<'b>(&'b self, value: &'b Json) -> Option<CowVal<'b, 'b>> {
        let more = self.work.look_at(value);
        more.then(|| CowVal::Owned(to_val(value)))
    }

    fn step<'b, 'p>(&'b self, mut parts: impl Iterator<Item = &'p str>) -> Option<CowVal<'b, 'b>> {
        let document = self.scope.step(parts.next()?)?;
        let Some(field) = parts.next() else {
            if !document.fields.values().all(|v| self.work.look_at(v)) {
                return None;
            }
            let map: HashMap<CelMapKey<'b>, Box<dyn Val + 'b>> = document
                .fields
                .iter()
                .map(|(k, v)| (CelMapKey::from(k.as_str()), to_val(v)))
                .collect();
            return Some(CowVal::Owned(Box::new(CelMap::from(map))));
        };
        let mut value = document.get(field)?;
        let mut whole = true;
        for part in parts {
            whole = false;
            value = value.get(part)?;
        }
        if field == "duration" && whole {
            return duration(document);
        }
        self.seen(value)
    }
}

fn duration<'b>(document: &Document) -> Option<CowVal<'b, 'b>> {
    let d = chrono::Duration::from_std(document.duration).ok()?;
    Some(CowVal::owned(CelDuration::from(d)))
}

/// JSON as CEL's values; texts are borrowed. Whole numbers are `int`.
pub(crate) fn to_val<'v>(json: &'v Json) -> Box<dyn Val + 'v> {
    match json {
        Json::Null => Box::new(CelNull),
        Json::Bool(b) => Box::new(CelBool::from(*b)),
        Json::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => Box::new(CelInt::from(i)),
            (None, Some(u)) => Box::new(CelUInt::from(u)),
            _ => Box::new(CelDouble::from(n.as_f64().unwrap_or(f64::NAN))),
        },
        Json::String(s) => Box::new(CelString::from(s.as_str())),
        Json::Array(items) => Box::new(CelList::from(items.iter().map(to_val).collect::<Vec<_>>())),
        Json::Object(o) => {
            let map: HashMap<CelMapKey<'v>, Box<dyn Val + 'v>> = o
                .iter()
                .map(|(k, v)| (CelMapKey::from(k.as_str()), to_val(v)))
                .collect();
            Box::new(CelMap::from(map))
        }
    }
}

/// CEL's values as JSON, for messages and captures. Durations and times become text.
pub(crate) fn to_json(value: &cel::Value) -> Json {
    use cel::Value as V;
    match value {
        V::List(items) => Json::Array(items.iter().map(to_json).collect()),
        V::Map(m) => {
            let mut entries: Vec<(String, Json)> = m
                .map
                .iter()
                .map(|(k, v)| (k.to_string(), to_json(v)))
                .collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(entries.into_iter().collect())
        }
        V::Int(i) => Json::from(*i),
        V::UInt(u) => Json::from(*u),
        V::Float(f) => serde_json::Number::from_f64(*f).map_or(Json::Null, Json::Number),
        V::String(s) => Json::String(s.to_string()),
        V::Bytes(b) => Json::String(String::from_utf8_lossy(b).into_owned()),
        V::Bool(b) => Json::Bool(*b),
        V::Duration(d) => Json::String(duration_text(*d)),
        V::Timestamp(t) => Json::String(t.to_rfc3339()),
        _ => Json::Null,
    }
}

/// `812.4ms`, `3.2s`.
pub(crate) fn duration_text(d: chrono::Duration) -> String {
    let micros = d.num_microseconds().unwrap_or(i64::MAX);
    if micros.abs() < 1_000_000 {
        format!("{}ms", micros as f64 / 1000.0)
    } else {
        format!("{}s", (micros / 1000) as f64 / 1000.0)
    }
}
