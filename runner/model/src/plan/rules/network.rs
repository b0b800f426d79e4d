//! Rules about networks, names and ports.

use serde_json::{Value as Json, json};

use crate::plan::deviations::{Deviation, Pair};
use crate::plan::draft::{Draft, Note};
use crate::source::Span;

/// Address of the name server in every sandbox.
pub const SANDBOX_RESOLVER: &str = "127.83.77.53";
/// Key of the network that stands for the engine's default bridge.
pub(in crate::plan) const BRIDGE: &str = "default-bridge";

/// The engine's default bridge becomes a network of the stack, without names as there.
pub(in crate::plan) fn mode(draft: &mut Draft<'_>, rule: &Deviation) {
    if !super::super::network::is_default_bridge(draft.service) {
        return;
    }
    draft.host().insert("NetworkMode".into(), json!(BRIDGE));
    draft.body.insert(
        "NetworkingConfig".into(),
        json!({ "EndpointsConfig": { BRIDGE: {} } }),
    );
    let span = draft
        .service
        .network
        .mode
        .as_ref()
        .map_or_else(Span::generated, |m| m.span.clone());
    draft.note(
        rule,
        Note {
            field: "network_mode",
            declared: "bridge".into(),
            actual: "a network of the stack".into(),
            span: &span,
        },
    );
}

pub(in crate::plan) fn allows_mode(pair: Pair<'_>) -> bool {
    pair.actual
        .and_then(Json::as_str)
        .is_some_and(|mode| mode.starts_with("container:"))
}

/// Name servers of production are not asked.
pub(in crate::plan) fn resolver(draft: &mut Draft<'_>, rule: &Deviation) {
    if draft.host().shift_remove("Dns").is_none() {
        return;
    }
    let servers = &draft.service.network.dns;
    let declared: Vec<_> = servers.iter().map(|s| s.value.clone()).collect();
    let span = servers
        .first()
        .map_or_else(Span::generated, |s| s.span.clone());
    draft.note(
        rule,
        Note {
            field: "dns",
            declared: declared.join(", "),
            actual: "the stack's own".into(),
            span: &span,
        },
    );
}

pub(in crate::plan) fn allows_resolver(pair: Pair<'_>) -> bool {
    pair.actual == Some(&json!([SANDBOX_RESOLVER]))
}

/// Fixed addresses are not kept.
pub(in crate::plan) fn addresses(draft: &mut Draft<'_>, rule: &Deviation) {
    let endpoints = draft
        .body
        .get_mut("NetworkingConfig")
        .and_then(|n| n.get_mut("EndpointsConfig"));
    for (_, endpoint) in endpoints
        .and_then(Json::as_object_mut)
        .into_iter()
        .flatten()
    {
        if let Some(endpoint) = endpoint.as_object_mut() {
            endpoint.shift_remove("IPAMConfig");
        }
    }
    for (key, attachment) in &draft.service.network.attachments {
        let fixed = [&attachment.ipv4_address, &attachment.ipv6_address];
        for address in fixed.into_iter().flatten() {
            draft.note(
                rule,
                Note {
                    field: &format!("networks.{key}.address"),
                    declared: address.value.clone(),
                    actual: "any".into(),
                    span: &address.span,
                },
            );
        }
    }
}

/// Names, aliases and links are the same; only fixed addresses are not.
pub(in crate::plan) fn allows_networks(pair: Pair<'_>) -> bool {
    pair.path.ends_with(".IPAMConfig")
}

/// Ports are not published on the host.
pub(in crate::plan) fn ports(draft: &mut Draft<'_>, rule: &Deviation) {
    draft.host().shift_remove("PortBindings");
    for port in &draft.service.network.ports {
        let target = port.target.as_ref().map_or(0, |t| t.value);
        let published = port.published.as_ref().map_or("any", |p| p.as_str());
        draft.note(
            rule,
            Note {
                field: &format!("ports[{target}]"),
                declared: published.to_owned(),
                actual: String::new(),
                span: &port.span,
            },
        );
    }
}

pub(in crate::plan) fn allows_ports(pair: Pair<'_>) -> bool {
    pair.actual.is_none()
}
