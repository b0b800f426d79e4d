//! Mappings whose keys are names that the model keeps in a list, with their places.

use serde_json::Value as Json;

use super::codec::{Context, Field, JsonMap, Reader, Value};
use crate::mirror::{Dependency, EnvVar, Sourced};
use crate::yaml::{Mapping, Node};

/// The mapping that a key must have as its value; null is none.
fn mapping<'a>(node: Option<&'a Node>, cx: &mut Context) -> Option<&'a Mapping> {
    let node = node.filter(|n| !n.is_null())?;
    let map = node.as_map();
    if map.is_none() {
        cx.wrong_type(node, "a mapping");
    }
    map
}

impl Field for Vec<EnvVar> {
    fn read_field(node: Option<&Node>, cx: &mut Context) -> Self {
        let Some(map) = mapping(node, cx) else {
            return Self::new();
        };
        let vars = map.0.iter().map(|(name, entry)| EnvVar {
            name: Sourced::new(name.clone(), entry.key.clone()),
            value: cx.under(name, |cx| Option::read_field(Some(&entry.node), cx)),
            sensitive: false,
        });
        vars.collect()
    }

    fn write_field(&self, key: &str, out: &mut JsonMap) {
        if self.is_empty() {
            return;
        }
        let vars = self.iter().map(|var| {
            let value = var.value.as_ref().map_or(Json::Null, Value::write);
            (var.name.value.clone(), value)
        });
        out.insert(key.to_owned(), Json::Object(vars.collect()));
    }
}

impl Field for Vec<Dependency> {
    fn read_field(node: Option<&Node>, cx: &mut Context) -> Self {
        let Some(map) = mapping(node, cx) else {
            return Self::new();
        };
        let mut list = Self::with_capacity(map.len());
        for (name, entry) in &map.0 {
            let service = Sourced::new(name.clone(), entry.key.clone());
            list.push(cx.under(name, |cx| read_dependency(service, &entry.node, cx)));
        }
        list
    }

    fn write_field(&self, key: &str, out: &mut JsonMap) {
        if self.is_empty() {
            return;
        }
        let mut rules = JsonMap::new();
        for dependency in self {
            let mut rule = JsonMap::new();
            dependency.condition.write_field("condition", &mut rule);
            dependency.required.write_field("required", &mut rule);
            dependency.restart.write_field("restart", &mut rule);
            rules.insert(dependency.service.value.clone(), Json::Object(rule));
        }
        out.insert(key.to_owned(), Json::Object(rules));
    }
}

fn read_dependency(service: Sourced<String>, node: &Node, cx: &mut Context) -> Dependency {
    let mut dependency = Dependency {
        service,
        ..Dependency::default()
    };
    if let Some(map) = mapping(Some(node), cx) {
        let mut reader = Reader::new(map);
        dependency.condition = reader.field("condition", cx);
        dependency.required = reader.field("required", cx);
        dependency.restart = reader.field("restart", cx);
        reader.finish(cx);
    }
    dependency
}
