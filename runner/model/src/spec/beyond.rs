//! What other formats say that Compose has no word for.

use std::collections::{BTreeMap, BTreeSet};

use crate::secret::Secret;
use crate::source::Span;
use crate::stack::extension::Extension;

/// What a production spec says beyond Compose, by service.
#[derive(Debug, Clone, Default)]
pub struct Beyond {
    /// Services that do nothing but hold the network (and other namespaces) that the
    /// containers of a pod or task share: `network_mode: service:NAME` names them. They run
    /// the agent; production has a pause container there, or nothing that a spec names. Each
    /// with the place of the pod or task.
    pub holders: BTreeMap<String, Span>,
    /// Services that stand before another one in its network: they take connections on the
    /// ports by which production calls it and pass them on to those on which it listens.
    pub fronts: BTreeMap<String, Front>,
    /// Values of variables that secrets are taken from, where production's files hold them.
    pub values: BTreeMap<String, Secret>,
    /// Variables of `values` whose value stands in a file as everybody can read it.
    pub plain: BTreeMap<String, Plain>,
    /// Names of secrets that production asks for beside those that Compose knows.
    pub asked: BTreeSet<String>,
    /// What goes to the stack as it is: probes, directories of files, and the like.
    pub extension: Extension,
}

/// Where a secret stands in a file.
#[derive(Debug, Clone)]
pub struct Plain {
    /// What holds it: `secret:shop-db`.
    pub object: String,
    /// The place of that.
    pub at: Span,
}

/// What the agent does in a service that stands before others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrontMode {
    /// It passes connections on to another port.
    Front,
    /// It hands HTTP requests to services by their host and path.
    Gateway,
}

impl FrontMode {
    /// The agent's mode.
    pub fn name(self) -> &'static str {
        match self {
            Self::Front => "front",
            Self::Gateway => "gateway",
        }
    }
}

/// A service that stands before another one.
#[derive(Debug, Clone)]
pub struct Front {
    /// Where production declares the ports.
    pub at: Span,
    /// What the agent does there.
    pub does: FrontMode,
    /// Ports with where they lead, `80=8080/tcp`; of a gateway its routes, each in JSON.
    pub forwards: Vec<String>,
}

impl Beyond {
    /// Whether a service is none of production's, but holds a network or stands before one.
    pub fn is_ours(&self, service: &str) -> bool {
        self.holders.contains_key(service) || self.fronts.contains_key(service)
    }

    /// Takes over what another source says; the later one wins.
    pub fn merge(&mut self, later: Self) {
        self.holders.extend(later.holders);
        self.fronts.extend(later.fronts);
        self.values.extend(later.values);
        self.plain.extend(later.plain);
        self.asked.extend(later.asked);
        let (to, from) = (&mut self.extension, later.extension);
        to.directories.extend(from.directories);
        to.base64.extend(from.base64);
        to.probes.extend(from.probes);
        to.own_address.extend(from.own_address);
        to.patient.extend(from.patient);
        to.non_root.extend(from.non_root);
        to.volume_roots.extend(from.volume_roots);
        to.ends.extend(from.ends);
        to.after_end.extend(from.after_end);
        to.links.extend(from.links);
    }
}
