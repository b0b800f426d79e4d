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
    /// Destinations within those networks to which only some connections are let through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkConfig>,
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

/// Destinations to which only some connections are let through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkConfig {
    /// Their addresses.
    pub to: Vec<Ipv4Addr>,
    /// The ports that may be reached, `5432/tcp` or `8000-8100/udp`; none = none of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortRange>,
}

/// Ports of one protocol: `5432/tcp`, `8000-8100/udp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PortRange {
    /// Number of the protocol in IP headers.
    pub protocol: u8,
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
}

/// Protocols that have ports, with their numbers in IP headers.
const PROTOCOLS: [(&str, u8); 3] = [("tcp", 6), ("udp", 17), ("sctp", 132)];

impl TryFrom<String> for PortRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let read = || {
            let (ports, name) = text.split_once('/')?;
            let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
            let (_, protocol) = PROTOCOLS.iter().find(|(known, _)| *known == name)?;
            Some(Self {
                protocol: *protocol,
                first: first.parse().ok()?,
                last: last.parse().ok()?,
            })
        };
        read().ok_or_else(|| format!("`{text}` is not PORT/PROTOCOL or PORT-PORT/PROTOCOL"))
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        let known = PROTOCOLS.iter().find(|(_, n)| *n == range.protocol);
        let name = known.map_or("?", |(name, _)| *name);
        match range.first == range.last {
            true => format!("{}/{name}", range.first),
            false => format!("{}-{}/{name}", range.first, range.last),
        }
    }
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
    fn ports_are_read_as_they_are_written() {
        for text in ["5432/tcp", "8000-8100/udp", "0-65535/sctp"] {
            let range = PortRange::try_from(text.to_owned()).unwrap();
            assert_eq!(String::from(range), text);
        }
        for text in ["5432", "x/tcp", "1-/tcp", "70000/tcp", "1/icmp", ""] {
            assert!(PortRange::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn unknown_keys_are_refused() {
        let text = r#"{"subnet":["10.83.0.0/26"]}"#;
        assert!(serde_json::from_str::<SandboxConfig>(text).is_err());
    }
}
