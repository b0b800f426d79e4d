//! One planned container into two: the sandbox that owns its network, and the service that
//! joins it.

use std::collections::BTreeMap;

use prodmirror_agent::wire::{CONFIG_ENV, DNS_SINK};
use prodmirror_model::plan::{ContainerPlan, NetworkOf};
use prodmirror_model::plan::{NETWORK_HOST_FIELDS, split};
use prodmirror_model::stack::extension::OWN_ADDRESS;
use serde_json::{Map, Value, json};

/// How much log of one sandbox the engine keeps.
const SANDBOX_LOG: &str = "1m";

/// One network that a sandbox is attached to.
#[derive(Debug, Clone, PartialEq)]
pub struct Attachment {
    /// Key of the network.
    pub network: String,
    /// Endpoint settings without addresses: these are ours to choose.
    pub endpoint: Value,
    /// Names under which it is found there.
    pub aliases: Vec<String>,
}

/// The networks of a planned container; the one whose gateway is the default route first.
pub fn attachments(plan: &ContainerPlan) -> Vec<Attachment> {
    if plan.network != NetworkOf::Own {
        return Vec::new();
    }
    let host = plan.body.get("HostConfig");
    let mode = host
        .and_then(|h| h.get("NetworkMode"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    let endpoints = plan
        .body
        .get("NetworkingConfig")
        .and_then(|n| n.get("EndpointsConfig"))
        .and_then(Value::as_object);
    let mut all: Vec<Attachment> = endpoints
        .into_iter()
        .flatten()
        .map(|(network, settings)| {
            let mut endpoint = settings.as_object().cloned().unwrap_or_default();
            for key in [
                "IPAMConfig",
                "MacAddress",
                "NetworkID",
                "IPAddress",
                "Gateway",
            ] {
                endpoint.remove(key);
            }
            let aliases = strings(endpoint.get("Aliases"));
            Attachment {
                network: network.clone(),
                endpoint: Value::Object(endpoint),
                aliases,
            }
        })
        .collect();
    if all.is_empty() && !["", "default", "bridge", "none", "host"].contains(&mode) {
        let (network, endpoint) = (mode.to_owned(), json!({}));
        all.push(Attachment {
            network,
            endpoint,
            aliases: Vec::new(),
        });
    }
    all.sort_by_key(|a| a.network != mode);
    all
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// What the body of a sandbox is made from, besides the plan.
pub struct SandboxParts<'a> {
    /// The agent's image.
    pub image: &'a str,
    /// Its configuration, as JSON.
    pub config: String,
    /// The engine's id of its first network.
    pub network: &'a str,
    /// Settings of its endpoint there.
    pub endpoint: &'a Value,
    /// Volumes to hold, `name:/path`.
    pub binds: Vec<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// Body of the sandbox of a planned container.
pub fn sandbox(plan: &ContainerPlan, parts: SandboxParts<'_>) -> Value {
    let mut body = split(&plan.body).sandbox;
    let host = &mut body["HostConfig"];
    for key in ["PortBindings", "Links"] {
        remove(host, key);
    }
    host["NetworkMode"] = json!(parts.network);
    host["CapDrop"] = json!(["ALL"]);
    host["CapAdd"] = json!(["NET_ADMIN", "NET_BIND_SERVICE"]);
    host["SecurityOpt"] = json!(["no-new-privileges"]);
    host["Dns"] = json!([DNS_SINK.to_string()]);
    host["ReadonlyRootfs"] = json!(true);
    host["Binds"] = json!(parts.binds);
    let log = json!({"max-size": SANDBOX_LOG, "max-file": "1"});
    host["LogConfig"] = json!({"Type": "json-file", "Config": log});
    body["Image"] = json!(parts.image);
    body["Cmd"] = json!(["sandbox"]);
    body["Env"] = json!([format!("{CONFIG_ENV}={}", parts.config)]);
    body["Labels"] = json!(parts.labels);
    body["NetworkingConfig"] = json!({"EndpointsConfig": {parts.network: parts.endpoint}});
    body
}

fn remove(object: &mut Value, key: &str) {
    if let Some(object) = object.as_object_mut() {
        object.shift_remove(key);
    }
}

/// What the body of a service is made from, besides the plan.
#[derive(Default)]
pub struct ServiceParts {
    /// Where its network comes from: `container:<id>` or `none`.
    pub network_mode: String,
    /// Labels on top of the plan's.
    pub labels: BTreeMap<String, String>,
    /// Volumes: key of the spec to name on the engine.
    pub volumes: BTreeMap<String, String>,
    /// Containers: service name to name or id on the engine, for shared PID and IPC
    /// namespaces and `volumes_from`.
    pub containers: BTreeMap<String, String>,
    /// Bind mounts of files, as `HostConfig.Binds` has them.
    pub binds: Vec<String>,
    /// Mounts of files, as `HostConfig.Mounts` has them.
    pub mounts: Vec<Value>,
}

/// Body of the service's own container.
pub fn service(plan: &ContainerPlan, parts: &ServiceParts) -> Value {
    let whole = if plan.network == NetworkOf::None {
        // Without a network of others its name and kernel parameters stay its own.
        let mut body = plan.body.clone();
        for key in ["ExposedPorts", "MacAddress", "NetworkingConfig"] {
            remove(&mut body, key);
        }
        body
    } else {
        split(&plan.body).service
    };
    let mut body = match whole {
        Value::Object(body) => body,
        _ => Map::new(),
    };
    if !plan.secret_env.is_empty() {
        body.insert("Env".to_owned(), secret_env(plan));
    }
    let mut labels = body
        .get("Labels")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    for (name, value) in &parts.labels {
        labels.insert(name.clone(), Value::String(value.clone()));
    }
    body.insert("Labels".to_owned(), Value::Object(labels));
    body.insert("Image".to_owned(), Value::String(plan.image.clone()));
    let host = body.shift_remove("HostConfig").and_then(|h| match h {
        Value::Object(h) => Some(h),
        _ => None,
    });
    body.insert(
        "HostConfig".to_owned(),
        Value::Object(host_config(host, parts)),
    );
    Value::Object(body)
}

fn host_config(host: Option<Map<String, Value>>, parts: &ServiceParts) -> Map<String, Value> {
    let mut host = host.unwrap_or_default();
    for key in NETWORK_HOST_FIELDS {
        host.shift_remove(key);
    }
    // The engine removes such a container behind our back, together with its log.
    for key in ["AutoRemove", "PublishAllPorts"] {
        host.shift_remove(key);
    }
    host.insert(
        "NetworkMode".to_owned(),
        Value::String(parts.network_mode.clone()),
    );
    let mut binds: Vec<String> = strings(host.get("Binds"))
        .iter()
        .map(|b| rename_bind(b, &parts.volumes))
        .collect();
    binds.extend(parts.binds.iter().cloned());
    host.insert("Binds".to_owned(), json!(binds));
    let mut mounts = host
        .get("Mounts")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    for mount in &mut mounts {
        let is_volume = mount.get("Type").and_then(Value::as_str) == Some("volume");
        let source = mount.get("Source").and_then(Value::as_str);
        if let Some(name) = source
            .and_then(|s| parts.volumes.get(s))
            .filter(|_| is_volume)
        {
            mount["Source"] = Value::String(name.clone());
        }
    }
    mounts.extend(parts.mounts.iter().cloned());
    host.insert("Mounts".to_owned(), Value::Array(mounts));
    for key in ["PidMode", "IpcMode"] {
        let service = host.get(key).and_then(Value::as_str).and_then(shared_with);
        if let Some(id) = service.and_then(|s| parts.containers.get(s)) {
            host.insert(key.to_owned(), Value::String(format!("container:{id}")));
        }
    }
    let from: Vec<String> = strings(host.get("VolumesFrom"))
        .iter()
        .map(|v| {
            let (service, options) = v.split_once(':').unwrap_or((v, ""));
            let id = parts
                .containers
                .get(service)
                .map_or(service, String::as_str);
            if options.is_empty() {
                id.to_owned()
            } else {
                format!("{id}:{options}")
            }
        })
        .collect();
    if !from.is_empty() {
        host.insert("VolumesFrom".to_owned(), json!(from));
    }
    host
}

/// `Env` with the secret values put in.
fn secret_env(plan: &ContainerPlan) -> Value {
    let mut env = strings(plan.body.get("Env"));
    for (name, secret) in &plan.secret_env {
        let entry = format!("{name}={}", secret.expose());
        let same = |e: &&mut String| e.split('=').next() == Some(name.as_str());
        match env.iter_mut().find(same) {
            Some(old) => *old = entry,
            None => env.push(entry),
        }
    }
    json!(env)
}

/// Puts an address in the place of what stands for it, in all texts.
pub fn put_address(value: &mut Value, address: &str) {
    match value {
        Value::String(text) if text.contains(OWN_ADDRESS) => {
            *text = text.replace(OWN_ADDRESS, address);
        }
        Value::Array(items) => items.iter_mut().for_each(|v| put_address(v, address)),
        Value::Object(map) => map.values_mut().for_each(|v| put_address(v, address)),
        _ => {}
    }
}

/// `key:/target[:options]` with the volume's name on the engine in place of its key.
fn rename_bind(bind: &str, volumes: &BTreeMap<String, String>) -> String {
    match bind.split_once(':') {
        Some((key, rest)) => match volumes.get(key) {
            Some(name) => format!("{name}:{rest}"),
            None => bind.to_owned(),
        },
        None => bind.to_owned(),
    }
}

/// The service that a namespace or volumes are shared with (`service:x`, `container:x`).
pub fn shared_with(mode: &str) -> Option<&str> {
    mode.strip_prefix("service:")
        .or_else(|| mode.strip_prefix("container:"))
}

/// The services whose containers must exist before this one can be made.
pub fn needs_containers(plan: &ContainerPlan) -> Vec<String> {
    let host = plan.body.get("HostConfig");
    let text = |key: &str| host.and_then(|h| h.get(key)).and_then(Value::as_str);
    let mut needed: Vec<String> = ["PidMode", "IpcMode"]
        .iter()
        .filter_map(|key| shared_with(text(key)?).map(str::to_owned))
        .collect();
    let from = strings(host.and_then(|h| h.get("VolumesFrom")));
    needed.extend(
        from.iter()
            .filter_map(|v| v.split(':').next().map(str::to_owned)),
    );
    needed
}

#[cfg(test)]
mod tests {
    use prodmirror_model::secret::Secret;

    use super::*;

    fn plan() -> ContainerPlan {
        ContainerPlan {
            service: "orders".into(),
            replica: 1,
            image: "shop/orders:1".into(),
            body: json!({
                "Image": "shop/orders:1",
                "Hostname": "orders-host",
                "ExposedPorts": {"80/tcp": {}},
                "Env": ["A=1", "KEY=***"],
                "Labels": {"own": "x"},
                "HostConfig": {
                    "NetworkMode": "front",
                    "Dns": ["8.8.8.8"],
                    "DnsSearch": ["corp"],
                    "ExtraHosts": ["a:10.0.0.1"],
                    "Sysctls": {"net.core.somaxconn": "1024", "kernel.msgmax": "1"},
                    "Binds": ["data:/var/lib/x:rw", "/abs:/y"],
                    "Mounts": [{"Type": "volume", "Source": "data", "Target": "/z"}],
                    "PidMode": "service:db",
                },
                "NetworkingConfig": {"EndpointsConfig": {
                    "back": {"Aliases": ["orders"], "IPAMConfig": {"IPv4Address": "10.0.0.9"}},
                    "front": {"Aliases": ["orders", "api"]},
                }},
            }),
            secret_env: BTreeMap::from([("KEY".to_owned(), Secret::new("s3cret"))]),
            ..ContainerPlan::default()
        }
    }

    #[test]
    fn an_address_stands_wherever_it_is_named() {
        let mut body = json!({"Env": [format!("A=tcp://{OWN_ADDRESS}:1")], "Cmd": [OWN_ADDRESS]});
        put_address(&mut body, "10.0.0.9");
        assert_eq!(
            body,
            json!({"Env": ["A=tcp://10.0.0.9:1"], "Cmd": ["10.0.0.9"]})
        );
    }

    #[test]
    fn the_sandbox_owns_the_network() {
        let attached = attachments(&plan());
        assert_eq!(attached[0].network, "front");
        assert_eq!(attached[1].endpoint, json!({"Aliases": ["orders"]}));
        let body = sandbox(
            &plan(),
            SandboxParts {
                image: "agent",
                config: "{}".into(),
                network: "id1",
                endpoint: &attached[0].endpoint,
                binds: vec![],
                labels: BTreeMap::new(),
            },
        );
        assert_eq!(body["Hostname"], "orders-host");
        assert_eq!(body["HostConfig"]["Dns"], json!([DNS_SINK.to_string()]));
        assert_eq!(body["HostConfig"]["ExtraHosts"], json!(["a:10.0.0.1"]));
        assert_eq!(
            body["HostConfig"]["Sysctls"],
            json!({"net.core.somaxconn": "1024"})
        );
        assert_eq!(
            body["NetworkingConfig"]["EndpointsConfig"]["id1"],
            json!({"Aliases": ["orders", "api"]})
        );
    }

    #[test]
    fn the_service_keeps_the_rest() {
        let parts = ServiceParts {
            network_mode: "container:sb".into(),
            labels: BTreeMap::from([("dev".to_owned(), "y".to_owned())]),
            volumes: BTreeMap::from([("data".to_owned(), "p-data".to_owned())]),
            containers: BTreeMap::from([("db".to_owned(), "id-db".to_owned())]),
            binds: vec!["/vol/1:/etc/x:ro".into()],
            mounts: vec![],
        };
        let body = service(&plan(), &parts);
        let host = &body["HostConfig"];
        assert!(body.get("Hostname").is_none() && body.get("NetworkingConfig").is_none());
        assert_eq!(body["Env"], json!(["A=1", "KEY=s3cret"]));
        assert_eq!(body["Labels"], json!({"own": "x", "dev": "y"}));
        assert_eq!(host["NetworkMode"], "container:sb");
        assert!(host.get("Dns").is_none() && host.get("ExtraHosts").is_none());
        assert_eq!(host["Sysctls"], json!({"kernel.msgmax": "1"}));
        assert_eq!(
            host["Binds"],
            json!(["p-data:/var/lib/x:rw", "/abs:/y", "/vol/1:/etc/x:ro"])
        );
        assert_eq!(host["Mounts"][0]["Source"], "p-data");
        assert_eq!(host["PidMode"], "container:id-db");
        assert_eq!(needs_containers(&plan()), ["db"]);
    }
}
