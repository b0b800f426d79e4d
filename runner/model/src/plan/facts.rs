//! What a body, or an inspected container, says: field by field, in one form for both.
//!
//! The engine shows a container otherwise than it was asked for it: capabilities get a
//! prefix, lists another order, published ports count as exposed, swap is filled in. Here
//! both sides are brought to what the engine would show, so that they can be compared.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

/// Fields by their path (`User`, `HostConfig.CapAdd`, `Networks.front.Aliases`), without
/// those that are empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts(pub BTreeMap<String, Json>);

/// Lists whose order means nothing.
const UNORDERED: [&str; 13] = [
    "Env",
    "HostConfig.Binds",
    "HostConfig.CapAdd",
    "HostConfig.CapDrop",
    "HostConfig.DeviceRequests",
    "HostConfig.Devices",
    "HostConfig.ExtraHosts",
    "HostConfig.GroupAdd",
    "HostConfig.Mounts",
    "HostConfig.SecurityOpt",
    "HostConfig.Ulimits",
    "Aliases",
    "Links",
];

/// Fields that are compared one level down.
const NESTED: [&str; 6] = [
    "Healthcheck",
    "Labels",
    "HostConfig.LogConfig",
    "HostConfig.LogConfig.Config",
    "HostConfig.Sysctls",
    "HostConfig.Tmpfs",
];

/// Fields for which an empty list says something else than an absent one.
const NULL_MATTERS: [&str; 2] = ["HostConfig.MaskedPaths", "HostConfig.ReadonlyPaths"];

/// Fields of an endpoint that a spec can set; the others are what the engine found.
const ENDPOINT: [&str; 5] = ["Aliases", "DriverOpts", "IPAMConfig", "Links", "GwPriority"];

impl Facts {
    /// What a body asks for.
    pub fn of_body(body: &Json) -> Self {
        let mut facts = Self::default();
        let empty = Map::new();
        let fields = body.as_object().unwrap_or(&empty);
        for (key, value) in fields {
            match key.as_str() {
                "HostConfig" => facts.host(value),
                "NetworkingConfig" => facts.networks(&value["EndpointsConfig"]),
                _ => facts.add(key.clone(), value),
            }
        }
        facts.engine_rules();
        facts
    }

    /// What an inspected container says: `Config`, `HostConfig` and the networks, which stand
    /// under `NetworkSettings` or (cut down) at the top.
    pub fn of_inspect(inspect: &Json) -> Self {
        let mut facts = Self::default();
        for (key, value) in inspect["Config"].as_object().into_iter().flatten() {
            facts.add(key.clone(), value);
        }
        facts.host(&inspect["HostConfig"]);
        // A container without a name of its own is called by its id.
        let short_id = inspect["Id"].as_str().and_then(|id| id.get(..12));
        let settings = inspect["NetworkSettings"].get("Networks");
        facts.networks(settings.or(inspect.get("Networks")).unwrap_or(&Json::Null));
        if let Some(id) = short_id {
            facts.forget_alias(id);
            facts
                .0
                .retain(|path, value| path != "Hostname" || value != id);
        }
        facts.engine_rules();
        facts
    }

    /// Older engines list the container's own id among its names.
    fn forget_alias(&mut self, id: &str) {
        self.0.retain(|path, value| {
            if path.ends_with(".Aliases")
                && let Json::Array(aliases) = value
            {
                aliases.retain(|alias| alias != id);
                return !aliases.is_empty();
            }
            true
        });
    }

    fn host(&mut self, host: &Json) {
        for (key, value) in host.as_object().into_iter().flatten() {
            self.add(format!("HostConfig.{key}"), value);
        }
    }

    fn networks(&mut self, networks: &Json) {
        for (name, endpoint) in networks.as_object().into_iter().flatten() {
            // That the network is joined is a fact, even if nothing else is said of it.
            self.0.insert(format!("Networks.{name}"), json!(true));
            for key in ENDPOINT {
                if let Some(value) = endpoint.get(key) {
                    let path = format!("Networks.{name}.{key}");
                    if let Some(value) = canonical(key, value) {
                        self.0.insert(path, value);
                    }
                }
            }
        }
    }

    fn add(&mut self, path: String, value: &Json) {
        if NULL_MATTERS.contains(&path.as_str()) {
            let empty = value.as_array().is_none_or(Vec::is_empty);
            let shown = if empty { Json::Null } else { json!("default") };
            self.0.insert(path, shown);
            return;
        }
        let nested = NESTED.contains(&path.as_str());
        match value.as_object().filter(|_| nested) {
            Some(fields) => {
                for (key, value) in fields {
                    let below = format!("{path}.{key}");
                    if NESTED.contains(&below.as_str()) {
                        self.add(below, value);
                    } else if let Some(value) = canonical_in(&path, key, value) {
                        self.0.insert(below, value);
                    }
                }
            }
            None => {
                if let Some(value) = canonical(&path, value) {
                    self.0.insert(path, value);
                }
            }
        }
    }

    /// What the engine makes of some fields by itself.
    fn engine_rules(&mut self) {
        // A container is found by its host name as well.
        if let Some(name) = self.0.get("Hostname").cloned() {
            for (_, aliases) in self
                .0
                .iter_mut()
                .filter(|(path, _)| path.ends_with(".Aliases"))
            {
                if let Json::Array(aliases) = aliases
                    && !aliases.contains(&name)
                {
                    aliases.push(name.clone());
                    aliases.sort_by_key(Json::to_string);
                }
            }
        }
        // On networks of one's own only the links of the endpoint count.
        self.0.remove("HostConfig.Links");
        // Swap is as large again as the memory, unless it is said otherwise.
        let memory = self.0.get("HostConfig.Memory").and_then(Json::as_i64);
        if let Some(memory) = memory {
            self.0
                .entry("HostConfig.MemorySwap".into())
                .or_insert_with(|| json!(memory.saturating_mul(2)));
        }
        self.confinement();
        // The host's network and no network are networks, too.
        let mode = self.0.get("HostConfig.NetworkMode").and_then(Json::as_str);
        if let Some(mode @ ("host" | "none")) = mode {
            self.0.insert(format!("Networks.{mode}"), json!(true));
        }
        if let Some(bindings) = self.0.get("HostConfig.PortBindings").cloned() {
            let exposed = self
                .0
                .entry("ExposedPorts".into())
                .or_insert_with(|| json!({}));
            if let (Some(exposed), Some(ports)) = (exposed.as_object_mut(), bindings.as_object()) {
                for port in ports.keys() {
                    exposed.entry(port.clone()).or_insert_with(|| json!({}));
                }
            }
        }
    }
}

impl Facts {
    /// A container with all rights is not confined, one that sees the host's processes or
    /// messages has no label.
    fn confinement(&mut self) {
        let is = |key: &str, value: Json| self.0.get(key) == Some(&value);
        let privileged = is("HostConfig.Privileged", json!(true));
        let host =
            is("HostConfig.PidMode", json!("host")) || is("HostConfig.IpcMode", json!("host"));
        if privileged {
            for key in NULL_MATTERS {
                self.0.insert(key.into(), Json::Null);
            }
        }
        if privileged || host {
            self.0
                .entry("HostConfig.SecurityOpt".into())
                .or_insert_with(|| json!(["label=disable"]));
        }
    }
}

/// The value of a field inside of one of the [`NESTED`]: texts may be empty there.
fn canonical_in(outer: &str, key: &str, value: &Json) -> Option<Json> {
    match value {
        Json::String(text) if outer != "HostConfig.LogConfig" => Some(json!(text)),
        _ => canonical(key, value),
    }
}

/// A value in the form in which it is compared; none when it is empty.
fn canonical(path: &str, value: &Json) -> Option<Json> {
    let value = match value {
        Json::Null | Json::Bool(false) => return None,
        Json::String(text) if text.is_empty() => return None,
        Json::Number(n) if n.as_f64() == Some(0.0) => return None,
        Json::Array(items) => {
            let mut items: Vec<Json> = items.iter().map(|i| item(path, i)).collect();
            if items.is_empty() {
                return None;
            }
            if UNORDERED.contains(&path) {
                items.sort_by_key(Json::to_string);
                items.dedup();
            }
            Json::Array(items)
        }
        Json::Object(fields) => {
            let fields = sorted(path, fields);
            if fields.is_empty() {
                return None;
            }
            Json::Object(fields)
        }
        other => other.clone(),
    };
    Some(value)
}

/// The fields of an object by name, without empty ones where those mean nothing.
fn sorted(path: &str, fields: &Map<String, Json>) -> Map<String, Json> {
    let sets = matches!(path, "ExposedPorts" | "HostConfig.PortBindings" | "Volumes");
    // Whether a missing path is made is shown by engines from API 1.42 on only.
    let mut pairs: Vec<(String, Json)> = fields
        .iter()
        .filter(|(key, _)| *key != "CreateMountpoint")
        .filter_map(|(key, value)| {
            let value = canonical(key, value);
            match value {
                None if sets => Some((key.clone(), json!({}))),
                value => value.map(|v| (key.clone(), v)),
            }
        })
        .collect();
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs.into_iter().collect()
}

/// An item of a list; it stays even if it is empty.
fn item(path: &str, value: &Json) -> Json {
    match (path, value) {
        ("HostConfig.CapAdd" | "HostConfig.CapDrop", Json::String(name)) => capability(name),
        (_, Json::Object(fields)) => Json::Object(sorted("", fields)),
        (_, Json::Array(items)) => Json::Array(items.iter().map(|i| item("", i)).collect()),
        (_, other) => other.clone(),
    }
}

/// `net_admin` as `CAP_NET_ADMIN`; `all` as `ALL`.
fn capability(name: &str) -> Json {
    let name = name.to_uppercase();
    if name == "ALL" || name.starts_with("CAP_") {
        json!(name)
    } else {
        json!(format!("CAP_{name}"))
    }
}
