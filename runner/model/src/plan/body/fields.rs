//! A JSON object that is written field by field and leaves out what is empty.

use serde_json::{Map, Value as Json};

use crate::mirror::{Bytes, Sourced, Texts};

/// A JSON object in the making.
pub(in crate::plan) struct Fields(Map<String, Json>);

impl Fields {
    pub(in crate::plan) fn new() -> Self {
        Self(Map::new())
    }

    pub(in crate::plan) fn into_json(self) -> Json {
        Json::Object(self.0)
    }

    /// Sets a field whatever its value.
    pub(in crate::plan) fn set(&mut self, key: &str, value: impl Into<Json>) {
        self.0.insert(key.to_owned(), value.into());
    }

    /// Sets a field to a value that is there.
    pub(in crate::plan) fn opt(&mut self, key: &str, value: Option<impl Into<Json>>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// Sets a field to a text that is not empty.
    pub(in crate::plan) fn text(&mut self, key: &str, text: &Option<Sourced<String>>) {
        if let Some(text) = text.as_ref().filter(|t| !t.is_empty()) {
            self.set(key, text.value.clone());
        }
    }

    /// Sets a field to what a value with a text of its own says.
    pub(in crate::plan) fn shown(
        &mut self,
        key: &str,
        value: &Option<Sourced<impl std::fmt::Display>>,
    ) {
        if let Some(value) = value {
            self.set(key, value.value.to_string());
        }
    }

    /// Sets a field that is true.
    pub(in crate::plan) fn flag(&mut self, key: &str, value: &Option<Sourced<bool>>) {
        if value.as_ref().is_some_and(|v| v.value) {
            self.set(key, true);
        }
    }

    /// Sets a field to a number that is not zero.
    pub(in crate::plan) fn number(&mut self, key: &str, value: i64) {
        if value != 0 {
            self.set(key, value);
        }
    }

    /// Sets a field to a size that is not zero.
    pub(in crate::plan) fn bytes(&mut self, key: &str, value: &Option<Sourced<Bytes>>) {
        self.number(key, value.as_ref().map_or(0, |b| b.0));
    }

    /// Sets a field to a whole number that is not zero.
    pub(in crate::plan) fn int(&mut self, key: &str, value: &Option<Sourced<i64>>) {
        self.number(key, value.as_ref().map_or(0, |n| n.value));
    }

    /// Sets a field to a list that is not empty.
    pub(in crate::plan) fn list(&mut self, key: &str, items: Vec<Json>) {
        if !items.is_empty() {
            self.set(key, Json::Array(items));
        }
    }

    /// Sets a field to a list of texts that is not empty.
    pub(in crate::plan) fn texts(&mut self, key: &str, items: &[Sourced<String>]) {
        self.list(
            key,
            items.iter().map(|t| Json::from(t.value.clone())).collect(),
        );
    }

    /// Sets a field to a mapping that is not empty.
    pub(in crate::plan) fn map(&mut self, key: &str, map: Map<String, Json>) {
        if !map.is_empty() {
            self.set(key, Json::Object(map));
        }
    }

    /// Sets a field to a mapping of texts that is not empty.
    pub(in crate::plan) fn text_map(&mut self, key: &str, map: &Texts) {
        self.map(key, text_map(map));
    }
}

/// A mapping of texts as JSON.
pub(in crate::plan) fn text_map(map: &Texts) -> Map<String, Json> {
    map.iter()
        .map(|(k, v)| (k.clone(), Json::from(v.value.clone())))
        .collect()
}
