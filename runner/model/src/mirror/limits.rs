//! What a container may use at most.

use indexmap::IndexMap;

use super::{Bytes, Cpus, Service, Sourced, Texts};

/// Limits of a container, where they are given beside an orchestrator's resources.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// Memory.
    pub memory: Option<Sourced<Bytes>>,
    /// Memory that is kept for it under pressure.
    pub memory_reservation: Option<Sourced<Bytes>>,
    /// Memory and swap together; -1 = no limit.
    pub memory_swap: Option<Sourced<Bytes>>,
    /// How readily its memory is swapped, 0 to 100.
    pub memory_swappiness: Option<Sourced<Bytes>>,
    /// Whether the kernel spares it when memory runs out.
    pub oom_kill_disable: Option<Sourced<bool>>,
    /// How readily the kernel ends it when memory runs out, -1000 to 1000.
    pub oom_score_adj: Option<Sourced<i64>>,
    /// Processors.
    pub cpus: Option<Sourced<Cpus>>,
    /// Weight against other containers.
    pub cpu_shares: Option<Sourced<i64>>,
    /// Microseconds of processor time in a period.
    pub cpu_quota: Option<Sourced<i64>>,
    /// The period, in microseconds.
    pub cpu_period: Option<Sourced<i64>>,
    /// Period of the real-time scheduler, in microseconds.
    pub cpu_rt_period: Option<Sourced<i64>>,
    /// Real-time processor time in a period, in microseconds.
    pub cpu_rt_runtime: Option<Sourced<i64>>,
    /// Number of processors (Windows).
    pub cpu_count: Option<Sourced<i64>>,
    /// Percentage of processors (Windows).
    pub cpu_percent: Option<Sourced<Cpus>>,
    /// Processors that it may run on, such as `0-2,4`.
    pub cpuset: Option<Sourced<String>>,
    /// Processes and threads; -1 = no limit.
    pub pids: Option<Sourced<i64>>,
    /// Size of `/dev/shm`.
    pub shm_size: Option<Sourced<Bytes>>,
    /// Limits of the kernel for its processes, by name.
    pub ulimits: IndexMap<String, Sourced<Ulimit>>,
    /// Disk bandwidth.
    pub block_io: Option<Sourced<BlockIo>>,
    /// Devices of the host.
    pub devices: Vec<Sourced<Device>>,
    /// Rules of the device cgroup.
    pub device_cgroup_rules: Vec<Sourced<String>>,
    /// Graphics processors.
    pub gpus: Vec<Sourced<DeviceRequest>>,
}

/// A limit of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ulimit {
    /// The same for both.
    Single(i64),
    /// One that the process may raise, and how far.
    Pair {
        /// What holds at the start.
        soft: Option<i64>,
        /// How far it may be raised.
        hard: Option<i64>,
    },
}

impl Default for Ulimit {
    fn default() -> Self {
        Self::Single(0)
    }
}

/// The highest limit of open files (`nofile`) that one of these services may raise its own to;
/// -1 = one has no limit at all. Nothing when none declares such a limit.
pub fn highest_nofile<'a>(services: impl IntoIterator<Item = &'a Service>) -> Option<i64> {
    let declared = services
        .into_iter()
        .filter_map(|s| s.limits.ulimits.get("nofile"));
    // As unsigned numbers, no limit is the highest of all.
    declared
        .map(|limit| limit.value.hard())
        .max_by_key(|hard| hard.cast_unsigned())
}

impl Ulimit {
    /// What holds at the start.
    pub fn soft(self) -> i64 {
        match self {
            Self::Single(n) => n,
            Self::Pair { soft, .. } => soft.unwrap_or(0),
        }
    }

    /// How far it may be raised.
    pub fn hard(self) -> i64 {
        match self {
            Self::Single(n) => n,
            Self::Pair { hard, .. } => hard.unwrap_or(0),
        }
    }
}

/// Disk bandwidth of a container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BlockIo {
    /// Weight against other containers, 10 to 1000.
    pub weight: Option<Sourced<u16>>,
    /// Weights for single devices.
    pub weight_device: Vec<Sourced<WeightedDevice>>,
    /// Bytes read in a second.
    pub read_bps: Vec<Sourced<ThrottledDevice>>,
    /// Reads in a second.
    pub read_iops: Vec<Sourced<ThrottledDevice>>,
    /// Bytes written in a second.
    pub write_bps: Vec<Sourced<ThrottledDevice>>,
    /// Writes in a second.
    pub write_iops: Vec<Sourced<ThrottledDevice>>,
}

/// A weight for one device.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WeightedDevice {
    /// Path of the device.
    pub path: Option<Sourced<String>>,
    /// Weight, 10 to 1000.
    pub weight: Option<Sourced<u16>>,
}

/// A rate for one device.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ThrottledDevice {
    /// Path of the device.
    pub path: Option<Sourced<String>>,
    /// Bytes or operations in a second.
    pub rate: Option<Sourced<Bytes>>,
}

/// A device of the host in a container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Device {
    /// Path on the host, or the name of a CDI device.
    pub source: Option<Sourced<String>>,
    /// Path in the container.
    pub target: Option<Sourced<String>>,
    /// Rights: a part of `rwm`.
    pub permissions: Option<Sourced<String>>,
}

/// A wish for devices that a driver provides.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeviceRequest {
    /// Abilities that the devices must have.
    pub capabilities: Vec<Sourced<String>>,
    /// The driver.
    pub driver: Option<Sourced<String>>,
    /// How many; -1 = all.
    pub count: Option<Sourced<i64>>,
    /// Which.
    pub ids: Vec<Sourced<String>>,
    /// Options of the driver.
    pub options: Texts,
}
