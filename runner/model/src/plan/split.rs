//! One planned container into two: the sandbox, which owns the network namespace, and the
//! service, which joins it.

use serde_json::{Map, Value as Json, json};

/// Fields of the container that belong to whoever owns its network.
pub const NETWORK_FIELDS: [&str; 5] = [
    "Hostname",
    "Domainname",
    "MacAddress",
    "ExposedPorts",
    "NetworkingConfig",
];

/// Fields of `HostConfig` that belong to whoever owns the container's network.
pub const NETWORK_HOST_FIELDS: [&str; 7] = [
    "NetworkMode",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "Links",
    "PortBindings",
];

/// Kernel parameters of the network namespace begin so.
pub const NETWORK_SYSCTLS: &str = "net.";

/// A body in two parts. The image and program of the sandbox, and the service's
/// `NetworkMode: container:ID`, are not in them: they are known when both are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// What the sandbox takes over.
    pub sandbox: Json,
    /// What stays the service's.
    pub service: Json,
}

/// Parts the body of a container that owns its network.
pub fn split(body: &Json) -> Split {
    let mut service = body.as_object().cloned().unwrap_or_default();
    let mut sandbox = Map::new();
    take(&mut service, &mut sandbox, &NETWORK_FIELDS);

    let mut host = match service.remove("HostConfig") {
        Some(Json::Object(host)) => host,
        _ => Map::new(),
    };
    let mut sandbox_host = Map::new();
    take(&mut host, &mut sandbox_host, &NETWORK_HOST_FIELDS);
    if let Some(Json::Object(sysctls)) = host.remove("Sysctls") {
        let (net, other): (Map<_, _>, Map<_, _>) = sysctls
            .into_iter()
            .partition(|(name, _)| name.starts_with(NETWORK_SYSCTLS));
        if !net.is_empty() {
            sandbox_host.insert("Sysctls".into(), Json::Object(net));
        }
        if !other.is_empty() {
            host.insert("Sysctls".into(), Json::Object(other));
        }
    }
    sandbox.insert("HostConfig".into(), Json::Object(sandbox_host));
    service.insert("HostConfig".into(), Json::Object(host));
    Split {
        sandbox: Json::Object(sandbox),
        service: Json::Object(service),
    }
}

fn take(from: &mut Map<String, Json>, to: &mut Map<String, Json>, keys: &[&str]) {
    for key in keys {
        if let Some(value) = from.shift_remove(*key) {
            to.insert((*key).to_owned(), value);
        }
    }
}

/// The endpoints of a body for an engine: what goes into the request, and what must be
/// connected after the creation and before the start, because engines before API 1.44 take
/// one network only.
pub fn endpoints(body: &Json, api: (usize, usize)) -> (Json, Vec<(String, Json)>) {
    let all = body["NetworkingConfig"]["EndpointsConfig"].as_object();
    let all = all.cloned().unwrap_or_default();
    let first = if api >= (1, 44) { all.len() } else { 1 };
    let mut at_create = Map::new();
    let mut later = Vec::new();
    for (i, (network, endpoint)) in all.into_iter().enumerate() {
        if i < first {
            at_create.insert(network, endpoint);
        } else {
            later.push((network, endpoint));
        }
    }
    (json!({ "EndpointsConfig": at_create }), later)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_goes_to_the_sandbox_and_nothing_is_lost() {
        let body = json!({
            "Image": "i", "Hostname": "h", "ExposedPorts": {"80/tcp": {}},
            "HostConfig": {
                "NetworkMode": "front", "Dns": ["1.1.1.1"], "Memory": 7,
                "Sysctls": {"net.core.somaxconn": "9", "kernel.msgmax": "1"},
            },
            "NetworkingConfig": {"EndpointsConfig": {"front": {}, "back": {}}},
        });
        let parts = split(&body);
        assert_eq!(
            parts.service,
            json!({"Image": "i", "HostConfig": {"Memory": 7, "Sysctls": {"kernel.msgmax": "1"}}})
        );
        assert_eq!(parts.sandbox["Hostname"], "h");
        assert_eq!(
            parts.sandbox["HostConfig"],
            json!({"NetworkMode": "front", "Dns": ["1.1.1.1"], "Sysctls": {"net.core.somaxconn": "9"}})
        );
        let (now, later) = endpoints(&parts.sandbox, (1, 41));
        assert_eq!(now, json!({"EndpointsConfig": {"front": {}}}));
        assert_eq!(later, [("back".to_owned(), json!({}))]);
        assert!(endpoints(&parts.sandbox, (1, 44)).1.is_empty());
    }
}
