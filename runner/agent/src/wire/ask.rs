//! What a readiness check asks.

use serde::{Deserialize, Serialize};

/// One question to a service, from inside its own network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Asks over HTTP; a status from 200 to 399 is a success.
    Http {
        /// The port.
        port: u16,
        /// Path and query.
        path: String,
        /// Whether over TLS; certificates are not verified.
        #[serde(default)]
        tls: bool,
        /// Host to connect to; empty = this one's own address.
        #[serde(default)]
        host: String,
        /// Header fields, each `Name: value`.
        #[serde(default)]
        headers: Vec<String>,
    },
    /// Opens a connection.
    Tcp {
        /// The port.
        port: u16,
        /// Host to connect to; empty = this one's own address.
        #[serde(default)]
        host: String,
    },
    /// Asks by gRPC's health protocol.
    Grpc {
        /// The port.
        port: u16,
        /// The service that is asked about; empty = the server as a whole.
        #[serde(default)]
        service: String,
    },
}
