//! What audits of production leave out, and what they are told about production's hosts.

use serde::Deserialize;

use crate::yaml::Spanned;

/// The section `audit` of `mirror.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct AuditOptions {
    /// Rules that are switched off, each with the reason.
    #[serde(default)]
    pub off: Vec<Off>,
    /// The platform of production's hosts (`linux/amd64`), which images must fit.
    #[serde(default)]
    pub platform: Option<Spanned<String>>,
}

/// A rule that is switched off.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct Off {
    /// The rule.
    pub rule: Spanned<String>,
    /// The object (`db`, `service:db`, `secret:key`); absent = any.
    #[serde(default)]
    pub on: Option<Spanned<String>>,
    /// The field, or a field above it; absent = any.
    #[serde(default)]
    pub field: Option<Spanned<String>>,
    /// Why.
    pub because: String,
}
