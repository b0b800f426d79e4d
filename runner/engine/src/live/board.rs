//! What every container of a stack is doing at present, for all who wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// A replica of a service.
pub type ReplicaKey = (String, u32);

/// What a service's container is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Id of its container; empty until it is made.
    pub id: String,
    /// Where it stands.
    pub phase: Phase,
    /// How often the engine restarted it.
    pub restarts: u32,
    /// Last output of its health check.
    pub health_output: String,
    /// Whether it has a health check.
    pub checked: bool,
    /// Whether it was started, with the commands after its start.
    pub begun: bool,
}

/// Where a service's container stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not made yet.
    #[default]
    Planned,
    /// Made.
    Created,
    /// Its process runs.
    Running,
    /// Its health check passed.
    Healthy,
    /// Its health check failed too often.
    Unhealthy,
    /// It ended, and the engine will restart it.
    Restarting {
        /// Exit code.
        code: i64,
        /// Whether the kernel killed it for its memory limit.
        oom: bool,
    },
    /// It ended.
    Ended {
        /// Exit code.
        code: i64,
        /// Whether the kernel killed it for its memory limit.
        oom: bool,
    },
}

impl Phase {
    /// Whether its process runs.
    pub fn is_up(&self) -> bool {
        matches!(self, Self::Running | Self::Healthy | Self::Unhealthy)
    }
}

/// The status of all replicas. Cloning is cheap and shares it.
#[derive(Debug, Clone, Default)]
pub struct Board {
    replicas: Arc<BTreeMap<ReplicaKey, watch::Sender<Status>>>,
}

impl Board {
    /// A board for these replicas, all planned.
    pub fn new(replicas: impl IntoIterator<Item = ReplicaKey>) -> Self {
        let replicas = replicas
            .into_iter()
            .map(|k| (k, watch::channel(Status::default()).0))
            .collect();
        Self {
            replicas: Arc::new(replicas),
        }
    }

    /// All replicas, in order.
    pub fn keys(&self) -> impl Iterator<Item = &ReplicaKey> {
        self.replicas.keys()
    }

    /// The present status of a replica.
    pub fn get(&self, key: &ReplicaKey) -> Status {
        self.replicas
            .get(key)
            .map(|s| s.borrow().clone())
            .unwrap_or_default()
    }

    /// Changes the status of a replica; tells whether it is another one now.
    pub fn update(&self, key: &ReplicaKey, change: impl FnOnce(&mut Status)) -> bool {
        let Some(sender) = self.replicas.get(key) else {
            return false;
        };
        sender.send_if_modified(|status| {
            let before = status.clone();
            change(status);
            *status != before
        })
    }

    /// Waits until a replica's status is as wanted. For ever if there is no such replica.
    pub async fn wait(&self, key: &ReplicaKey, wanted: impl FnMut(&Status) -> bool) -> Status {
        let Some(sender) = self.replicas.get(key) else {
            return std::future::pending().await;
        };
        let mut status = sender.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let found = status.wait_for(wanted).await.map(|s| s.clone());
        found.unwrap_or_default()
    }

    /// The replicas of a service.
    pub fn replicas_of<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a ReplicaKey> {
        self.replicas.keys().filter(move |(s, _)| s == service)
    }
}
