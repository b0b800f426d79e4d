//! Networks and how services take part in them.

use std::fmt;

use indexmap::IndexMap;

use super::{NamespaceMode, Sourced, Texts};
use crate::yaml::Node;

/// A service's part in networks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceNetwork {
    /// Whose network it uses instead of networks of its own.
    pub mode: Option<Sourced<NamespaceMode>>,
    /// The networks that it is attached to, by key.
    pub attachments: IndexMap<String, Attachment>,
    /// Its host name. Other containers can resolve it.
    pub hostname: Option<Sourced<String>>,
    /// Its domain name.
    pub domainname: Option<Sourced<String>>,
    /// Hardware address of its first network.
    pub mac_address: Option<Sourced<String>>,
    /// Name servers.
    pub dns: Vec<Sourced<String>>,
    /// Domains that are searched for short names.
    pub dns_search: Vec<Sourced<String>>,
    /// Options of the resolver.
    pub dns_options: Vec<Sourced<String>>,
    /// Names with fixed addresses.
    pub extra_hosts: Vec<Sourced<HostEntry>>,
    /// Services that get a further name for this one only.
    pub links: Vec<Sourced<Link>>,
    /// Containers beyond the spec that get a name for this one.
    pub external_links: Vec<Sourced<Link>>,
    /// Ports that are published.
    pub ports: Vec<Sourced<Port>>,
    /// Ports that others may use, such as `5432`, `53/udp` or `3000-3005`.
    pub expose: Vec<Sourced<String>>,
}

impl ServiceNetwork {
    /// Keys of its networks, the one with the highest priority first, equals by name.
    pub fn by_priority(&self) -> Vec<&str> {
        let mut keys: Vec<_> = self
            .attachments
            .iter()
            .map(|(key, a)| (-a.priority.as_ref().map_or(0, |p| p.value), key.as_str()))
            .collect();
        keys.sort_unstable();
        keys.into_iter().map(|(_, key)| key).collect()
    }
}

/// A service's place in one network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attachment {
    /// Whether the spec writes a mapping, be it an empty one.
    pub explicit: bool,
    /// Where the service names the network.
    pub declared: Sourced<()>,
    /// Further names in this network.
    pub aliases: Vec<Sourced<String>>,
    /// Options of the network's driver for this endpoint.
    pub driver_opts: Texts,
    /// Which network gives the default route: the highest.
    pub gateway_priority: Option<Sourced<i64>>,
    /// Name of the interface in the container.
    pub interface_name: Option<Sourced<String>>,
    /// Fixed IPv4 address.
    pub ipv4_address: Option<Sourced<String>>,
    /// Fixed IPv6 address.
    pub ipv6_address: Option<Sourced<String>>,
    /// Further link-local addresses.
    pub link_local_ips: Vec<Sourced<String>>,
    /// Hardware address.
    pub mac_address: Option<Sourced<String>>,
    /// Which network is joined first: the highest.
    pub priority: Option<Sourced<i64>>,
}

/// A name with a fixed address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostEntry {
    /// The name.
    pub host: String,
    /// The address, or `host-gateway`.
    pub address: String,
}

impl HostEntry {
    /// Reads `name=address` or `name:address`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, address) = text.split_once('=').or_else(|| text.split_once(':'))?;
        Some(Self {
            host: host.to_owned(),
            address: address.to_owned(),
        })
    }
}

impl fmt::Display for HostEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.host, self.address)
    }
}

/// A further name for another container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// The service or container.
    pub target: String,
    /// The name that it gets; absent = its own.
    pub alias: Option<String>,
}

impl Link {
    /// Reads `target[:alias]`.
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            Some((target, alias)) => Self {
                target: target.to_owned(),
                alias: Some(alias.to_owned()),
            },
            None => Self {
                target: text.to_owned(),
                alias: None,
            },
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.target)?;
        match &self.alias {
            Some(alias) => write!(f, ":{alias}"),
            None => Ok(()),
        }
    }
}

/// A port that is published.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Port {
    /// A name for people.
    pub name: Option<Sourced<String>>,
    /// `ingress` or `host`; only a cluster tells them apart.
    pub mode: Option<Sourced<String>>,
    /// Address of the host.
    pub host_ip: Option<Sourced<String>>,
    /// Port in the container.
    pub target: Option<Sourced<u16>>,
    /// Port of the host or a range; absent = any.
    pub published: Option<Sourced<String>>,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: Option<Sourced<String>>,
    /// The protocol that is spoken, for people.
    pub app_protocol: Option<Sourced<String>>,
}

/// A network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Network {
    /// Where it is declared.
    pub declared: Sourced<()>,
    /// Its name on the engine.
    pub name: Option<Sourced<String>>,
    /// Its driver; absent = the engine's default.
    pub driver: Option<Sourced<String>>,
    /// Options of the driver.
    pub driver_opts: Texts,
    /// Addresses.
    pub ipam: Option<Sourced<Ipam>>,
    /// Whether it exists beyond the spec.
    pub external: Option<Sourced<bool>>,
    /// Whether it does not lead out.
    pub internal: Option<Sourced<bool>>,
    /// Whether single containers may join a cluster's network.
    pub attachable: Option<Sourced<bool>>,
    /// Labels.
    pub labels: Texts,
    /// Whether it has IPv4 addresses.
    pub enable_ipv4: Option<Sourced<bool>>,
    /// Whether it has IPv6 addresses.
    pub enable_ipv6: Option<Sourced<bool>>,
    /// Extension values (`x-…`).
    pub extensions: IndexMap<String, Node>,
}

impl Network {
    /// Whether it exists beyond the spec.
    pub fn is_external(&self) -> bool {
        self.external.as_ref().is_some_and(|e| e.value)
    }
}

/// How a network gives out addresses.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ipam {
    /// Its driver.
    pub driver: Option<Sourced<String>>,
    /// Its ranges.
    pub pools: Vec<Sourced<IpamPool>>,
}

/// A range of addresses of a network.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IpamPool {
    /// The subnet.
    pub subnet: Option<Sourced<String>>,
    /// Address of the gateway.
    pub gateway: Option<Sourced<String>>,
    /// The part of the subnet that containers get.
    pub ip_range: Option<Sourced<String>>,
    /// Addresses that are taken, by host name.
    pub aux_addresses: Texts,
}
