//! The stack of any of the combinations.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::{Map, Value as Json, json};

use super::Hybrid;
use super::difference::What;
use super::find::networks_of;
use super::parts::{Key, Parts, join, object};
use super::side::Taken;
use super::text::{replaced, texts};
use crate::secret::Secret;
use crate::stack::extension::KEY;

/// A combination of two environments.
#[derive(Debug, Clone)]
pub struct Built {
    /// Its stack.
    pub document: Json,
    /// The values of the variables that it asks for.
    pub values: BTreeMap<String, Secret>,
}

/// A combination while it is built.
pub(super) struct Draft<'h> {
    hybrid: &'h Hybrid,
    chosen: BTreeSet<usize>,
    services: IndexMap<String, Parts>,
}

impl<'h> Draft<'h> {
    pub fn new(hybrid: &'h Hybrid, chosen: &[usize]) -> Self {
        let mut draft = Self {
            hybrid,
            chosen: chosen.iter().copied().collect(),
            services: IndexMap::new(),
        };
        draft.choose();
        draft
    }

    /// Whether a difference is the second side's here; `None` where both sides are the same.
    fn is_b(&self, what: &What) -> Option<bool> {
        let index = self.hybrid.index(what)?;
        Some(self.chosen.contains(&index))
    }

    /// The side that a thing which both have comes from.
    fn side(&self, what: &What) -> &'h Taken {
        if self.is_b(what) == Some(true) {
            &self.hybrid.b
        } else {
            &self.hybrid.a
        }
    }

    fn choose(&mut self) {
        let (a, b) = (&self.hybrid.a, &self.hybrid.b);
        let is_b = |draft: &Self, name: &String| draft.is_b(&What::Service(name.clone()));
        for (name, parts) in &a.services {
            if let Some(theirs) = b.services.get(name) {
                let merged = self.merged(name, parts, theirs);
                self.services.insert(name.clone(), merged);
            } else if is_b(self, name) != Some(true) {
                self.services.insert(name.clone(), parts.clone());
            }
        }
        for (name, parts) in &b.services {
            if !a.services.contains_key(name) && is_b(self, name) == Some(true) {
                self.services.insert(name.clone(), parts.clone());
            }
        }
    }

    fn merged(&self, service: &str, ours: &Parts, theirs: &Parts) -> Parts {
        let more = theirs.keys().filter(|k| !ours.contains_key(*k));
        let pick = |key: &Key| {
            let what = What::Part {
                service: service.to_owned(),
                key: key.clone(),
            };
            let from = if self.is_b(&what) == Some(true) {
                theirs
            } else {
                ours
            };
            Some((key.clone(), from.get(key)?.clone()))
        };
        ours.keys().chain(more).filter_map(pick).collect()
    }

    /// The stack.
    pub fn built(mut self) -> Built {
        self.order();
        let mut extension = Map::new();
        for field in ["version", "project", "production"] {
            if let Some(value) = self.hybrid.a.extension(field) {
                extension.insert(field.to_owned(), value.clone());
            }
        }
        let mut services = Map::new();
        for (name, parts) in &self.services {
            let mut service = join(name, parts, &mut extension);
            service.extend(self.place(name));
            services.insert(name.clone(), service.into());
        }
        if let Some(egress) = self.side(&What::Networks).extension("egress") {
            extension.insert("egress".to_owned(), egress.clone());
        }
        self.present_only(&mut extension);
        let mut document = Map::new();
        document.insert("name".to_owned(), self.hybrid.a.name().into());
        document.insert("services".to_owned(), Json::Object(services));
        self.networks(&mut document);
        self.volumes(&mut document, &mut extension);
        self.files("configs", &mut document, &mut extension);
        self.files("secrets", &mut document, &mut extension);
        document.insert(KEY.to_owned(), extension.into());
        let document = Json::Object(document);
        let values = self.values(&document);
        Built { document, values }
    }

    /// What each service waits for, of what is there.
    fn order(&mut self) {
        let names: Vec<String> = self.services.keys().cloned().collect();
        for name in names {
            let waits = self.waits(&name);
            if let Some(parts) = self.services.get_mut(&name) {
                match waits.is_empty() {
                    true => {
                        parts.shift_remove(&Key::Order);
                    }
                    false => {
                        let part = parts
                            .entry(Key::Order)
                            .or_insert_with(|| super::parts::Part {
                                value: Json::Null,
                                marks: super::parts::Marks::default(),
                            });
                        part.value = waits.into();
                    }
                }
            }
        }
    }

    fn waits(&self, name: &str) -> Map<String, Json> {
        let (a, b) = (&self.hybrid.a, &self.hybrid.b);
        let what = What::Part {
            service: name.to_owned(),
            key: Key::Order,
        };
        let (from, other) = match (self.is_b(&what), a.services.contains_key(name)) {
            (Some(true), _) | (None, false) => (b, a),
            _ => (a, b),
        };
        let mut waits = Map::new();
        self.contracted(from, name, &mut BTreeSet::new(), &mut waits);
        // What only the other side has comes with those who wait for it.
        for (on, how) in other.waits(name) {
            let alone = !from.services.contains_key(&on) && self.services.contains_key(&on);
            if alone {
                waits.insert(on, how);
            }
        }
        waits
    }

    /// What a service waits for on a side; in the place of what is not there, what that waits for.
    fn contracted(
        &self,
        side: &Taken,
        name: &str,
        seen: &mut BTreeSet<String>,
        to: &mut Map<String, Json>,
    ) {
        if !seen.insert(name.to_owned()) {
            return;
        }
        for (on, how) in side.waits(name) {
            if self.services.contains_key(&on) {
                to.entry(on).or_insert(how);
            } else {
                self.contracted(side, &on, seen, to);
            }
        }
    }

    /// Where a service is in the network.
    fn place(&self, name: &str) -> Map<String, Json> {
        let (a, b) = (&self.hybrid.a, &self.hybrid.b);
        let own = if a.services.contains_key(name) { a } else { b };
        if self.is_b(&What::Networks).is_none() {
            return own.place(name);
        }
        let side = self.side(&What::Networks);
        if side.services.contains_key(name) {
            return side.place(name);
        }
        let place = own.place(name);
        if place.contains_key("network_mode") {
            return place;
        }
        // It is in all networks, under its names.
        let aliases: Vec<String> = own.hosts(name).split_off(1);
        let all: BTreeSet<String> = side
            .services
            .keys()
            .flat_map(|s| networks_of(&side.place(s)))
            .collect();
        let mut networks = Map::new();
        for network in all {
            let attached = if aliases.is_empty() {
                json!({})
            } else {
                json!({ "aliases": aliases })
            };
            networks.insert(network, attached);
        }
        Map::from_iter([("networks".to_owned(), networks.into())])
    }

    fn networks(&self, document: &mut Map<String, Json>) {
        let side = self.side(&What::Networks);
        let other = if std::ptr::eq(side, &raw const self.hybrid.a) {
            &self.hybrid.b
        } else {
            &self.hybrid.a
        };
        let used: BTreeSet<String> = self
            .services
            .keys()
            .flat_map(|s| networks_of(&self.place(s)))
            .collect();
        for name in used {
            let definition = side
                .object("networks", &name)
                .or_else(|| other.object("networks", &name));
            self.define(document, "networks", &name, definition);
        }
    }

    fn volumes(&self, document: &mut Map<String, Json>, extension: &mut Map<String, Json>) {
        for name in self.sources("volumes") {
            let side = self.holder("volumes", &name, &What::Volume(name.clone()));
            self.define(document, "volumes", &name, side.object("volumes", &name));
            let data = self.holder("volumes", &name, &What::Data(name.clone()));
            for (field, side) in [("volume_roots", side), ("data", data)] {
                if let Some(value) = side.extension(field).and_then(|d| d.get(&name)) {
                    object(extension, field).insert(name.clone(), value.clone());
                }
            }
        }
    }

    fn files(
        &self,
        section: &str,
        document: &mut Map<String, Json>,
        extension: &mut Map<String, Json>,
    ) {
        for name in self.sources(section) {
            let what = if section == "configs" {
                What::Config(name.clone())
            } else {
                What::Secret(name.clone())
            };
            let side = self.holder(section, &name, &what);
            self.define(document, section, &name, side.object(section, &name));
            let variable = side.extension("secret_files").and_then(|f| f.get(&name));
            if let (Some(variable), "secrets") = (variable, section) {
                object(extension, "secret_files").insert(name.clone(), variable.clone());
            }
            let coded = side.extension("base64").and_then(Json::as_array);
            if coded.is_some_and(|c| c.iter().any(|n| n.as_str() == Some(&name))) {
                super::parts::list(extension, "base64").push(json!(name));
            }
        }
    }

    /// The side that a thing of a section comes from: the one that has it, or the chosen one.
    fn holder(&self, section: &str, name: &str, what: &What) -> &'h Taken {
        let a = &self.hybrid.a;
        match a.object(section, name) {
            Some(_) => self.side(what),
            None => &self.hybrid.b,
        }
    }

    /// Puts a definition into a section, under the first side's name.
    fn define(
        &self,
        document: &mut Map<String, Json>,
        section: &str,
        name: &str,
        definition: Option<&Json>,
    ) {
        let Some(definition) = definition else { return };
        let mut definition = definition.clone();
        let (ours, theirs) = (self.hybrid.a.name(), self.hybrid.b.name());
        if let Some(Json::String(full)) = definition.get_mut("name")
            && let Some(rest) = full.strip_prefix(theirs).filter(|r| r.starts_with('_'))
        {
            *full = format!("{ours}{rest}");
        }
        object(document, section).insert(name.to_owned(), definition);
    }

    /// What the services of the combination mount of a section.
    fn sources(&self, section: &str) -> BTreeSet<String> {
        let all = self.services.values().flatten();
        let of = |(key, part): (&Key, &super::parts::Part)| {
            let is = match (key, section) {
                (Key::Mount(_), "volumes") => part.value["type"] == "volume",
                (Key::Config(_), "configs") | (Key::Secret(_), "secrets") => true,
                _ => false,
            };
            let source = part.value["source"].as_str().filter(|_| is)?;
            Some(source.to_owned())
        };
        all.filter_map(of).collect()
    }

    /// Takes services that are not there out of what is said of others.
    fn present_only(&self, extension: &mut Map<String, Json>) {
        let there = |name: &Json| name.as_str().is_some_and(|n| self.services.contains_key(n));
        for field in ["after_end", "links"] {
            let entries = extension.get_mut(field).and_then(Json::as_object_mut);
            for list in entries
                .into_iter()
                .flat_map(|e| e.values_mut())
                .filter_map(Json::as_array_mut)
            {
                if field == "after_end" {
                    list.retain(there);
                }
                for to in list
                    .iter_mut()
                    .filter_map(|l| l.get_mut("to")?.as_array_mut())
                {
                    to.retain(there);
                }
            }
        }
    }

    /// The values of the variables that a stack asks for.
    fn values(&self, document: &Json) -> BTreeMap<String, Secret> {
        let (a, b) = (&self.hybrid.a, &self.hybrid.b);
        let mut all = Vec::new();
        texts(document, &mut all);
        let mut names = BTreeSet::new();
        for text in &all {
            // The names of variables stand by themselves where secrets are defined.
            names.insert(text.clone());
            replaced(text, &mut |name, _| {
                names.insert(name.to_owned());
                String::new()
            });
        }
        let known = a.values.iter().chain(&b.values);
        known
            .filter(|(n, _)| names.contains(*n))
            .map(|(n, v)| (n.clone(), v.clone()))
            .collect()
    }
}
