//! What other formats say that Compose has no word for.

use std::collections::BTreeMap;

use crate::source::Span;

/// What a production spec says beyond Compose, by service.
#[derive(Debug, Clone, Default)]
pub struct Beyond {
    /// Services that do nothing but hold the network (and other namespaces) that the
    /// containers of a pod or task share: `network_mode: service:NAME` names them. They run
    /// the agent; production has a pause container there, or nothing that a spec names. Each
    /// with the place of the pod or task.
    pub holders: BTreeMap<String, Span>,
}

impl Beyond {
    /// Takes over what another source says; the later one wins.
    pub fn merge(&mut self, later: Self) {
        self.holders.extend(later.holders);
    }
}
