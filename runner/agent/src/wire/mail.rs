//! Mail that a stub took.

use serde::{Deserialize, Serialize};

/// SMTP on a port of a stub. With a certificate and without `starttls` the port speaks TLS
/// from the first byte on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// Whether TLS begins when the client asks for it.
    #[serde(default)]
    pub starttls: bool,
}

/// One line of what mode `mail` prints: each message, then the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailLine {
    /// A message.
    Mail(Mail),
    /// There are no more.
    End {
        /// Id of the last message that was ever taken; 0 = none was.
        last: u64,
        /// How many were given up for newer ones.
        dropped: u64,
    },
}

/// A message with its envelope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Its number, from 1.
    pub id: u64,
    /// When it was taken, in milliseconds since 1970.
    pub at: u64,
    /// The port that it came to.
    pub port: u16,
    /// The sender of the envelope; empty = nobody is to be told of failures.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// How the client called itself.
    pub helo: String,
    /// As whom it logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whether it came over TLS.
    pub tls: bool,
    /// The message, in base64.
    pub data: String,
}
