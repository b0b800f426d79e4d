//! What the caller decides about a stack.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::lease::Hold;
use crate::store::Clones;

/// How to start a stack.
#[derive(Debug, Clone)]
pub struct UpOptions {
    /// The run that it belongs to: the label by which it is swept.
    pub run: String,
    /// Its identity within the run; unique there. Part of every object's name.
    pub stack: String,
    /// Who keeps it: the run's lease, a time to live, or nobody.
    pub hold: Hold,
    /// Whether its objects are named after project and stack alone (`shop-orders-1`): for a
    /// mirror of which there is only one.
    pub plain_names: bool,
    /// Only these services and what they depend on; empty = all.
    pub services: Vec<String>,
    /// How long the whole start may take.
    pub timeout: Duration,
    /// How many bytes of each service's log are kept in memory.
    pub log_bytes: usize,
    /// How it is removed when the start fails or [`LiveStack::down`](super::LiveStack::down)
    /// is not told otherwise.
    pub teardown: Teardown,
    /// Destinations outside the stack's networks that its guards let through.
    pub allow: Vec<Ipv4Addr>,
    /// Who gives clones of the snapshots that volumes start from.
    pub data: Option<Arc<Clones>>,
    /// Snapshots of volumes in place of the plan's, by the volume's key.
    pub snapshots: BTreeMap<String, String>,
    /// Sealed contents that volumes are clones of, by the volume's key; wins over snapshots.
    pub contents: BTreeMap<String, String>,
    /// Cancels the start: everything made so far is removed, and the start fails.
    pub cancel: CancellationToken,
}

impl UpOptions {
    /// Options with the usual values for a stack of a run.
    pub fn new(run: impl Into<String>, stack: impl Into<String>) -> Self {
        Self {
            run: run.into(),
            stack: stack.into(),
            hold: Hold::Run,
            plain_names: false,
            services: Vec::new(),
            timeout: Duration::from_secs(300),
            log_bytes: 1 << 20,
            teardown: Teardown::default(),
            allow: Vec::new(),
            data: None,
            snapshots: BTreeMap::new(),
            contents: BTreeMap::new(),
            cancel: CancellationToken::new(),
        }
    }
}

/// How a stack is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Teardown {
    /// Stop services with their own signal and grace, dependents first, running their
    /// `pre_stop` commands. Otherwise they are killed.
    pub graceful: bool,
    /// How long each service may take to stop, in place of its own grace.
    pub grace: Option<Duration>,
    /// How long removal may take in all, counted apart from any other deadline.
    pub deadline: Duration,
}

impl Default for Teardown {
    fn default() -> Self {
        Self {
            graceful: false,
            grace: None,
            deadline: Duration::from_secs(60),
        }
    }
}
