//! Configuration of mode `gateway`.

use serde::{Deserialize, Serialize};

/// The port that a gateway listens on.
pub const GATEWAY_PORT: u16 = 80;

/// What one rule of a gateway says. Of the rules of a host the first that fits counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayRoute {
    /// The host in lower case; `*.shop.example` for any one label before it; empty = any host.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// How the path is compared.
    pub kind: PathKind,
    /// The path.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The service and its port: `orders.shop.svc.cluster.local:8080`.
    pub to: String,
    /// The path by which it is asked instead; `$1` is the first group of a regular expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<String>,
}

/// How a path is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathKind {
    /// It is the same.
    Exact,
    /// It is the same or below it, element by element.
    Prefix,
    /// Its beginning matches a regular expression, in any case.
    Regex,
    /// For all that no other rule is for, whatever the host.
    Default,
}
