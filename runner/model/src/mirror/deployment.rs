//! What an orchestrator is told about a service.

use std::time::Duration;

use super::{Bytes, Cpus, DeviceRequest, Sourced, Texts};

/// What an orchestrator is told about a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deployment {
    /// `replicated`, `global`, or a job.
    pub mode: Option<Sourced<String>>,
    /// Number of containers.
    pub replicas: Option<Sourced<u32>>,
    /// Labels of the service (not of its containers).
    pub labels: Texts,
    /// How a new release is rolled out.
    pub update: Option<Sourced<RolloutRule>>,
    /// How a release is taken back.
    pub rollback: Option<Sourced<RolloutRule>>,
    /// Limits and reservations.
    pub resources: Option<Sourced<Resources>>,
    /// What happens when a container ends.
    pub restart: Option<Sourced<RestartRule>>,
    /// Which hosts are fit.
    pub placement: Option<Sourced<Placement>>,
    /// How clients reach the replicas: `vip` or `dnsrr`.
    pub endpoint_mode: Option<Sourced<String>>,
}

/// How replicas are replaced.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RolloutRule {
    /// How many at once; 0 = all.
    pub parallelism: Option<Sourced<u64>>,
    /// Time between two groups.
    pub delay: Option<Sourced<Duration>>,
    /// What a failure leads to: `continue`, `pause`, `rollback`.
    pub failure_action: Option<Sourced<String>>,
    /// Time in which a new container may not fail.
    pub monitor: Option<Sourced<Duration>>,
    /// Share of failures that is borne.
    pub max_failure_ratio: Option<Sourced<Cpus>>,
    /// `start-first` or `stop-first`.
    pub order: Option<Sourced<String>>,
}

/// Limits and reservations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resources {
    /// At most this.
    pub limits: Option<Sourced<ResourceSet>>,
    /// At least this.
    pub reservations: Option<Sourced<ResourceSet>>,
}

/// Amounts of resources.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ResourceSet {
    /// Processors.
    pub cpus: Option<Sourced<Cpus>>,
    /// Memory.
    pub memory: Option<Sourced<Bytes>>,
    /// Processes and threads.
    pub pids: Option<Sourced<i64>>,
    /// Devices.
    pub devices: Vec<Sourced<DeviceRequest>>,
    /// Resources that only the cluster knows.
    pub generic: Vec<Sourced<GenericResource>>,
}

/// A resource that only the cluster knows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenericResource {
    /// One that is counted.
    pub discrete: Option<Sourced<DiscreteResource>>,
}

/// A resource that is counted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DiscreteResource {
    /// What it is.
    pub kind: Option<Sourced<String>>,
    /// How many.
    pub value: Option<Sourced<i64>>,
}

/// What happens when a container ends.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RestartRule {
    /// `none`, `on-failure`, `any`.
    pub condition: Option<Sourced<String>>,
    /// Time before it starts again.
    pub delay: Option<Sourced<Duration>>,
    /// How often it is tried.
    pub max_attempts: Option<Sourced<u64>>,
    /// Time after which a start counts as good.
    pub window: Option<Sourced<Duration>>,
}

/// Which hosts are fit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Placement {
    /// What a host must fulfil.
    pub constraints: Vec<Sourced<String>>,
    /// What is preferred.
    pub preferences: Vec<Sourced<PlacementPreference>>,
    /// Containers on one host.
    pub max_replicas_per_node: Option<Sourced<u64>>,
}

/// A wish for the placement.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlacementPreference {
    /// The label over whose values the containers are spread.
    pub spread: Option<Sourced<String>>,
}
