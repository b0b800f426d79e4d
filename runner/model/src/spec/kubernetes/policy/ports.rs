//! Sets of ports.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::NetworkPolicyPort;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::super::network::named_port;
use super::super::workload::Workload;

/// Where the cluster's DNS listens.
const DNS: u16 = 53;

/// Ports of one protocol, the first and the last.
type Range = (String, u16, u16);

/// A set of ports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ports {
    /// All ports of all protocols.
    All,
    /// These; none when there are none.
    Only(BTreeSet<Range>),
}

fn range(port: &NetworkPolicyPort, listening: &Workload<'_>) -> Option<Range> {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let protocol = protocol.to_ascii_lowercase();
    let first = match &port.port {
        None => return Some((protocol, 0, u16::MAX)),
        Some(IntOrString::Int(n)) => *n,
        Some(IntOrString::String(name)) => named_port(listening, name)?,
    };
    let first = u16::try_from(first).ok()?;
    let last = port.end_port.and_then(|n| u16::try_from(n).ok());
    Some((protocol, first, last.unwrap_or(first).max(first)))
}

/// Whether a rule's ports hold that of the cluster's DNS.
pub fn hold_dns(ports: Option<&Vec<NetworkPolicyPort>>, asking: &Workload<'_>) -> bool {
    let is_dns = |p: &NetworkPolicyPort| {
        let is_named =
            matches!(&p.port, Some(IntOrString::String(name)) if name.starts_with("dns"));
        let holds =
            |(protocol, first, last): Range| protocol == "udp" && (first..=last).contains(&DNS);
        is_named || range(p, asking).is_some_and(holds)
    };
    ports.is_none_or(|p| p.is_empty() || p.iter().any(is_dns))
}

impl Ports {
    /// No port.
    pub fn none() -> Self {
        Self::Only(BTreeSet::new())
    }

    /// The ports of a rule, as the pods that listen on them call them.
    pub fn of(ports: Option<&Vec<NetworkPolicyPort>>, listening: &Workload<'_>) -> Self {
        match ports {
            None => Self::All,
            Some(ports) if ports.is_empty() => Self::All,
            Some(ports) => Self::Only(ports.iter().filter_map(|p| range(p, listening)).collect()),
        }
    }

    /// Takes others in.
    pub fn add(&mut self, more: Self) {
        match (&mut *self, more) {
            (Self::All, _) => {}
            (_, Self::All) => *self = Self::All,
            (Self::Only(ports), Self::Only(more)) => ports.extend(more),
        }
    }

    /// Keeps what is in another set too.
    pub fn keep(&mut self, other: &Self) {
        match (&*self, other) {
            (_, Self::All) => {}
            (Self::All, _) => *self = other.clone(),
            (Self::Only(ours), Self::Only(theirs)) => {
                let pairs = ours.iter().flat_map(|a| theirs.iter().map(move |b| (a, b)));
                let same = pairs.filter(|(a, b)| a.0 == b.0);
                let both = same.map(|(a, b)| (a.0.clone(), a.1.max(b.1), a.2.min(b.2)));
                *self = Self::Only(both.filter(|(_, first, last)| first <= last).collect());
            }
        }
    }

    fn holds(&self, protocol: &str, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Only(ports) => ports
                .iter()
                .any(|(p, first, last)| p == protocol && (*first..=*last).contains(&port)),
        }
    }

    /// The ports as callers know them: those that lead to an allowed one are allowed. A front
    /// with an address of its own has no other ports.
    pub fn through(&self, forwards: &[String], is_front: bool) -> Self {
        let Self::Only(own) = self else {
            return Self::All;
        };
        let led = forwards.iter().filter_map(|f| {
            let (ports, protocol) = f.rsplit_once('/')?;
            let (port, to) = ports.split_once('=')?;
            let target = to.rsplit_once(':').map_or(to, |(_, port)| port);
            let (port, target) = (port.parse().ok()?, target.parse().ok()?);
            self.holds(protocol, target)
                .then(|| (protocol.to_owned(), port, port))
        });
        let own = own.iter().filter(|_| !is_front).cloned();
        Self::Only(own.chain(led).collect())
    }

    /// The ports as texts: `5432/tcp`, `8000-8100/udp`. None for all of them too.
    pub fn texts(&self) -> Vec<String> {
        let Self::Only(ports) = self else {
            return Vec::new();
        };
        let text = |(protocol, first, last): &Range| match first == last {
            true => format!("{first}/{protocol}"),
            false => format!("{first}-{last}/{protocol}"),
        };
        ports.iter().map(text).collect()
    }
}
