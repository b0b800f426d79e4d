//! Configuration of the modes `sandbox` and `keeper`.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::Cidr;

/// Configuration of mode `sandbox`: a network namespace with a guard and a DNS sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    /// The networks that the sandbox is connected to.
    #[serde(default)]
    pub subnets: Vec<Cidr>,
    /// The addresses of the engine's host in those networks: never reachable.
    #[serde(default)]
    pub gateways: Vec<Ipv4Addr>,
    /// More destinations that are let through.
    #[serde(default)]
    pub allow: Vec<Cidr>,
    /// Whether to answer names that the engine's resolver does not know.
    #[serde(default = "yes")]
    pub dns: bool,
    /// Whether to stand before the engine's resolver instead of behind it.
    #[serde(default)]
    pub dns_front: DnsFront,
    /// Whether to install the guard.
    #[serde(default = "yes")]
    pub guard: bool,
}

/// Where the DNS sink stands. Engines up to 25 forward names they do not know to the
/// sink; later ones do not on internal networks, so the sink has to be asked first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DnsFront {
    /// Ask the engine's resolver for a name that nobody has, and see whether the sink hears it.
    #[default]
    Auto,
    /// In front: every query is taken over, and names of the stack are asked of the engine.
    Always,
    /// Behind: only what the engine forwards is seen.
    Never,
}

/// Configuration of mode `keeper`: the holder of a run's lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeeperConfig {
    /// The run whose objects are removed when the lease lapses.
    pub run: String,
    /// Milliseconds without a beat after which the lease lapses.
    pub grace_ms: u64,
    /// Path of the engine's socket in the keeper's container.
    #[serde(default = "docker_socket")]
    pub socket: String,
}

fn yes() -> bool {
    true
}

fn docker_socket() -> String {
    "/var/run/docker.sock".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_is_guarded_unless_told_otherwise() {
        let config: SandboxConfig =
            serde_json::from_str(r#"{"subnets":["10.83.0.0/26"],"gateways":["10.83.0.1"]}"#)
                .unwrap();
        assert!(config.dns && config.guard);
        assert_eq!(config.dns_front, DnsFront::Auto);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let text = r#"{"subnet":["10.83.0.0/26"]}"#;
        assert!(serde_json::from_str::<SandboxConfig>(text).is_err());
    }
}
