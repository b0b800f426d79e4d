//! What a pod says to its own containers about itself.

use k8s_openapi::api::core::v1::{Container, ObjectFieldSelector, ResourceFieldSelector};

use super::pod::Pod;
use super::quantity::Quantity;
use crate::stack::extension::OWN_ADDRESS;

/// The node that the pods of a mirror run on.
pub const NODE: &str = "mirror";
/// Its address: one that no host has.
pub const NODE_ADDRESS: &str = "192.0.2.1";
/// What a node has when the spec limits nothing.
const NODE_CPUS: &str = "4";
const NODE_MEMORY: &str = "16Gi";

/// A value of the downward API.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// It is known.
    Known(String),
    /// It is made up: production decides it only when it runs.
    MadeUp(String),
    /// There is no such field.
    Unknown,
}

/// A field of the pod.
pub fn field(pod: &Pod<'_>, selector: &ObjectFieldSelector) -> Found {
    let path = selector.field_path.as_str();
    let w = pod.workload;
    if let Some((map, key)) = path.strip_suffix("']").and_then(|p| p.split_once("['")) {
        let map = match map {
            "metadata.labels" => &w.labels,
            "metadata.annotations" => &w.annotations,
            _ => return Found::Unknown,
        };
        return Found::Known(map.get(key).cloned().unwrap_or_default());
    }
    match path {
        "metadata.name" if w.kind == super::workload::Kind::StatefulSet => {
            Found::Known(pod.name.clone())
        }
        "metadata.name" => Found::MadeUp(pod.name.clone()),
        "metadata.namespace" => Found::Known(w.namespace().to_owned()),
        "metadata.uid" => Found::MadeUp(uid(&[w.namespace(), &pod.name])),
        "spec.nodeName" => Found::MadeUp(NODE.to_owned()),
        "spec.serviceAccountName" => {
            let name = w.pod.service_account_name.as_ref();
            let name = name.or(w.pod.service_account.as_ref());
            Found::Known(name.cloned().unwrap_or_else(|| "default".into()))
        }
        "status.podIP" | "status.podIPs" => Found::Known(OWN_ADDRESS.to_owned()),
        "status.hostIP" | "status.hostIPs" => Found::MadeUp(NODE_ADDRESS.to_owned()),
        _ => Found::Unknown,
    }
}

/// All labels or annotations, as a file has them.
pub fn map_file(pod: &Pod<'_>, path: &str) -> Option<String> {
    let map = match path {
        "metadata.labels" => &pod.workload.labels,
        "metadata.annotations" => &pod.workload.annotations,
        _ => return None,
    };
    let lines: Vec<String> = map.iter().map(|(k, v)| format!("{k}={v:?}")).collect();
    Some(lines.join("\n"))
}

/// What a container may use, in units of the divisor, rounded up.
pub fn resource(container: &Container, selector: &ResourceFieldSelector) -> Found {
    let Some((side, name)) = selector.resource.split_once('.') else {
        return Found::Unknown;
    };
    let resources = container.resources.as_ref();
    let limits = resources.and_then(|r| r.limits.as_ref());
    let requests = resources.and_then(|r| r.requests.as_ref());
    let limit = limits.and_then(|l| l.get(name));
    let declared = match side {
        "limits" => limit,
        // A limit without a request is a request as well.
        "requests" => requests.and_then(|r| r.get(name)).or(limit),
        _ => return Found::Unknown,
    };
    let divisor = selector.divisor.as_ref().map_or("1", |d| d.0.as_str());
    let divisor = match divisor {
        "0" | "" => "1",
        other => other,
    };
    let amount = |text: &str| {
        let (q, d) = (Quantity::parse(text)?, Quantity::parse(divisor)?);
        Some(q.divided_by(d).to_string())
    };
    match (declared, side, name) {
        (Some(q), ..) => amount(&q.0).map_or(Found::Unknown, Found::Known),
        (None, "requests", _) => Found::Known("0".into()),
        (None, _, "cpu") => amount(NODE_CPUS).map_or(Found::Unknown, Found::MadeUp),
        (None, _, "memory") => amount(NODE_MEMORY).map_or(Found::Unknown, Found::MadeUp),
        (None, _, "ephemeral-storage") => Found::MadeUp("0".into()),
        _ => Found::Unknown,
    }
}

/// An identifier that stays the same.
fn uid(of: &[&str]) -> String {
    use sha2::{Digest as _, Sha256};
    let hex: String = Sha256::digest(of.join("/").as_bytes())
        .iter()
        .take(16)
        .map(|b| format!("{b:02x}"))
        .collect();
    format!(
        "{}-{}-4{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..32]
    )
}
