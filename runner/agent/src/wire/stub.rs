//! Configuration of mode `stub`.

use std::collections::BTreeMap;

use super::MailConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Configuration of mode `stub`: a stand-in for an external service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StubConfig {
    /// What events call this stub.
    #[serde(default)]
    pub name: String,
    /// The ports that are listened on.
    pub listen: Vec<ListenConfig>,
    /// The answers; the first whose request matches is given.
    #[serde(default)]
    pub routes: Vec<RouteConfig>,
    /// The answer when no route matches.
    #[serde(default = "not_found")]
    pub default: RespondConfig,
    /// How many requests are kept to be read back.
    #[serde(default = "keep_requests")]
    pub keep: usize,
}

/// One port of a stub.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenConfig {
    /// TCP port, on all addresses.
    pub port: u16,
    /// Certificate and key; without them the port speaks plain text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// A fixed behaviour instead of HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawConfig>,
    /// SMTP instead of HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailConfig>,
}

/// A certificate chain and its key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Certificates, the leaf first (PEM).
    pub cert_pem: String,
    /// Private key (PEM).
    pub key_pem: String,
}

impl std::fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsConfig")
            .field("cert_pem", &self.cert_pem)
            .finish_non_exhaustive()
    }
}

/// What a port does that does not speak HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// The behaviour.
    pub kind: RawKind,
    /// What `bytes` sends, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What `bytes` sends, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
}

/// Behaviour of a raw port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawKind {
    /// Accept, then close.
    Close,
    /// Send back what comes.
    Echo,
    /// Read, never answer.
    Sink,
    /// Send fixed bytes, then read until the peer closes.
    Bytes,
}

/// One route: which requests, and what they are answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// HTTP method in capitals; `*` for any.
    #[serde(default = "any")]
    pub method: String,
    /// Exact path, `prefix*`, or `~regex`.
    pub path: String,
    /// What else must hold.
    #[serde(default)]
    pub when: WhenConfig,
    /// The answer.
    pub respond: RespondConfig,
}

/// Conditions on a request, all of which must hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhenConfig {
    /// Header name (in any case) to its exact value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub header: BTreeMap<String, String>,
    /// Query parameter to its exact decoded value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// JSON pointer into the body to the value that must stand there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, Value>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RespondConfig {
    /// HTTP status, 200 when left out.
    #[serde(default = "ok")]
    pub status: u16,
    /// Headers, set as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Body as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Body as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Milliseconds to wait before the answer.
    #[serde(default)]
    pub delay_ms: u64,
    /// Whether `{{…}}` in the body is filled from the request.
    #[serde(default)]
    pub template: bool,
}

fn any() -> String {
    "*".to_owned()
}

fn ok() -> u16 {
    200
}

fn keep_requests() -> usize {
    200
}

fn not_found() -> RespondConfig {
    RespondConfig {
        status: 404,
        headers: BTreeMap::new(),
        json: Some(serde_json::json!({ "error": "no stub route" })),
        body: None,
        delay_ms: 0,
        template: false,
    }
}
