//! One environment: its rendered stack, taken apart.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use super::home::Home;
use super::parts::{Parts, split};
use super::text::{each_text, replaced};
use crate::secret::Secret;
use crate::stack::extension::KEY;

/// An environment: its stack as it was rendered, and the values of its variables.
#[derive(Debug, Clone, Default)]
pub struct Side {
    /// The stack: a Compose document.
    pub document: Json,
    /// The values of the variables that it asks for.
    pub values: BTreeMap<String, Secret>,
    /// Where its files are.
    pub home: Home,
}

/// A side, taken apart.
#[derive(Debug)]
pub(super) struct Taken {
    pub document: Json,
    pub values: BTreeMap<String, Secret>,
    pub home: Home,
    pub services: IndexMap<String, Parts>,
}

impl Side {
    /// A section at the top of the stack.
    pub(super) fn section(&self, key: &str) -> Option<&Map<String, Json>> {
        self.document.get(key)?.as_object()
    }

    /// Whether a volume of it starts with data of a snapshot.
    pub(super) fn has_snapshot(&self) -> bool {
        let data = self.document.get(KEY).and_then(|x| x.get("data"));
        let volumes = data.and_then(Json::as_object);
        let mut all = volumes.into_iter().flat_map(|v| v.values());
        all.any(|v| v.get("snapshot").is_some())
    }

    /// Renames its variables, so that both sides can be in one stack, and takes it apart.
    pub(super) fn taken(mut self, prefix: &str) -> Taken {
        each_text(&mut self.document, &mut |text| {
            replaced(text, &mut |name, whole| {
                let tail = whole.strip_prefix("${").and_then(|w| w.strip_prefix(name));
                format!("${{{prefix}{name}{}", tail.unwrap_or("}"))
            })
        });
        let secrets = self
            .document
            .get_mut("secrets")
            .and_then(Json::as_object_mut);
        for secret in secrets.into_iter().flat_map(|s| s.values_mut()) {
            if let Some(Json::String(name)) = secret.get_mut("environment") {
                name.insert_str(0, prefix);
            }
        }
        let files = self
            .document
            .get_mut(KEY)
            .and_then(|x| x.get_mut("secret_files"));
        for name in files
            .and_then(Json::as_object_mut)
            .into_iter()
            .flat_map(|f| f.values_mut())
        {
            if let Json::String(name) = name {
                name.insert_str(0, prefix);
            }
        }
        let values = self
            .values
            .into_iter()
            .map(|(k, v)| (format!("{prefix}{k}"), v))
            .collect();
        let mut taken = Taken {
            services: IndexMap::new(),
            document: self.document,
            values,
            home: self.home,
        };
        let names: Vec<String> = taken
            .section("services")
            .map(|s| s.keys().cloned().collect())
            .unwrap_or_default();
        for name in names {
            let parts = split(&taken.document, &name);
            taken.services.insert(name, parts);
        }
        taken
    }
}

impl Taken {
    /// A section at the top of the stack.
    pub fn section(&self, key: &str) -> Option<&Map<String, Json>> {
        self.document.get(key)?.as_object()
    }

    /// An object of such a section.
    pub fn object(&self, section: &str, name: &str) -> Option<&Json> {
        self.section(section)?.get(name)
    }

    /// A field of `x-prodmirror`.
    pub fn extension(&self, field: &str) -> Option<&Json> {
        self.document.get(KEY)?.get(field)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.document
            .get("name")
            .and_then(Json::as_str)
            .unwrap_or_default()
    }

    /// What a service waits for: each with how.
    pub fn waits(&self, service: &str) -> Map<String, Json> {
        let value = self
            .object("services", service)
            .and_then(|s| s.get("depends_on"));
        value.and_then(Json::as_object).cloned().unwrap_or_default()
    }

    /// Where a service is in the network.
    pub fn place(&self, service: &str) -> Map<String, Json> {
        let whole = self.object("services", service).and_then(Json::as_object);
        let of = |key: &&str| Some(((*key).to_owned(), whole?.get(*key)?.clone()));
        PLACE.iter().filter_map(of).collect()
    }

    /// The names by which others call a service.
    pub fn hosts(&self, service: &str) -> Vec<String> {
        let mut names = vec![service.to_owned()];
        let Some(whole) = self.object("services", service) else {
            return names;
        };
        let attached = whole.get("networks").and_then(Json::as_object);
        let aliases = attached.into_iter().flat_map(|n| n.values());
        let aliases = aliases
            .filter_map(|n| n.get("aliases")?.as_array())
            .flatten();
        let single = ["hostname", "container_name"]
            .into_iter()
            .filter_map(|k| whole.get(k));
        names.extend(
            aliases
                .chain(single)
                .filter_map(Json::as_str)
                .map(str::to_owned),
        );
        names
    }
}

/// Fields of a service that say where it is in the network.
pub(super) const PLACE: [&str; 2] = ["networks", "network_mode"];
