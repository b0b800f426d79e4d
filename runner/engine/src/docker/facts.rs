//! What is known of the engine and the host it runs on.

use bollard::Docker;
use serde::Serialize;

use super::{Endpoint, EngineError};

/// What is known of the engine and the host it runs on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostFacts {
    /// Product and version ("Docker 20.10.24").
    pub engine: String,
    /// Agreed API version, such as `(1, 41)`.
    pub api: (usize, usize),
    /// `linux` or `windows`.
    pub os: String,
    /// CPU architecture in Go's words (`amd64`, `arm64`).
    pub arch: String,
    /// CPUs.
    pub cpus: u32,
    /// Memory, bytes.
    pub memory: u64,
    /// `1` or `2`; 0 = not said.
    pub cgroup_version: u8,
    /// Whether swap is limited per container.
    pub swap_limit: bool,
    /// Whether the engine runs without root.
    pub rootless: bool,
    /// Whether user namespaces are remapped.
    pub userns_remap: bool,
    /// Default log driver.
    pub log_driver: String,
    /// Runtimes that `HostConfig.Runtime` may name.
    pub runtimes: Vec<String>,
    /// Host name of the engine's host.
    pub host: String,
    /// Operating system of the engine's host, as it calls itself.
    pub system: String,
    /// Its kernel.
    pub kernel: String,
    /// Whether the engine seems to share this host's kernel and network, so that a
    /// container's address can be reached from here. A hint: it is tried on each network.
    pub local: bool,
    /// Whether the engine lists what a container changed without walking through its whole
    /// image, during which it answers nothing else about the container.
    #[serde(skip)]
    pub lists_changes: bool,
    /// Engine's clock minus this host's clock, milliseconds.
    pub clock_ahead_ms: i64,
}

impl HostFacts {
    /// What a plan depends on, of what is known. `nofile_limit` is the highest limit of open
    /// files that a container may have, where it was asked for ([`crate::live::nofile_limit`]).
    pub fn for_plan(&self, nofile_limit: Option<u64>) -> prodmirror_model::plan::HostFacts {
        prodmirror_model::plan::HostFacts {
            api: self.api,
            cpus: self.cpus,
            nofile_limit,
            log_driver: self.log_driver.clone(),
            runtimes: self.runtimes.clone(),
        }
    }

    pub(super) async fn ask(client: &Docker, endpoint: &Endpoint) -> Result<Self, EngineError> {
        let before = jiff::Timestamp::now();
        let info = client.info().await?;
        let security = info.security_options.unwrap_or_default();
        let has = |name: &str| security.iter().any(|o| o.contains(name));
        let version = client.client_version();
        let system = info.operating_system.unwrap_or_default();
        let host = info.name.unwrap_or_default();
        let rootless = has("name=rootless");
        let cgroup = info
            .cgroup_version
            .map(|v| v.to_string())
            .unwrap_or_default();
        let clock_ahead_ms = info
            .system_time
            .and_then(|t| t.parse::<jiff::Timestamp>().ok())
            .map_or(0, |t| t.as_millisecond() - before.as_millisecond());
        let mut runtimes: Vec<String> = info.runtimes.unwrap_or_default().into_keys().collect();
        runtimes.sort();
        let driver = info.driver.unwrap_or_default();
        let lists_changes = lists_changes(&driver, &info.driver_status.unwrap_or_default());
        Ok(Self {
            lists_changes,
            engine: format!("Docker {}", info.server_version.unwrap_or_default()),
            api: (version.major_version, version.minor_version),
            os: info.os_type.unwrap_or_default(),
            arch: go_arch(&info.architecture.unwrap_or_default()),
            cpus: info.ncpu.and_then(|n| n.try_into().ok()).unwrap_or(1),
            memory: info.mem_total.and_then(|n| n.try_into().ok()).unwrap_or(0),
            cgroup_version: cgroup.parse().unwrap_or(0),
            swap_limit: info.swap_limit.unwrap_or(false),
            userns_remap: has("name=userns"),
            log_driver: info.logging_driver.unwrap_or_default(),
            runtimes,
            local: matches!(endpoint, Endpoint::Unix(_))
                && !rootless
                && !system.contains("Docker Desktop"),
            rootless,
            host,
            system,
            kernel: info.kernel_version.unwrap_or_default(),
            clock_ahead_ms,
        })
    }

    /// Whether the agreed API is at least this one.
    pub fn api_at_least(&self, major: usize, minor: usize) -> bool {
        self.api >= (major, minor)
    }
}

/// Whether a storage driver keeps a container's changes apart, as its status says.
fn lists_changes(driver: &str, status: &[Vec<String>]) -> bool {
    let says = |name: &str, value: &str| status.iter().any(|row| row[..] == [name, value]);
    match driver {
        "overlay2" => says("Native Overlay Diff", "true"),
        "aufs" | "btrfs" | "zfs" => true,
        _ => false,
    }
}

/// The architecture in the words of image platforms.
fn go_arch(kernel: &str) -> String {
    match kernel {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" => "arm",
        "i386" | "i686" => "386",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::lists_changes;

    #[test]
    fn only_drivers_that_keep_changes_apart_are_asked_for_them() {
        let row = |name: &str, value: &str| vec![name.to_owned(), value.to_owned()];
        let native = [
            row("Backing Filesystem", "extfs"),
            row("Native Overlay Diff", "true"),
        ];
        let other = [row("Native Overlay Diff", "false")];
        assert!(lists_changes("overlay2", &native));
        assert!(!lists_changes("overlay2", &other));
        assert!(!lists_changes("overlay2", &[]));
        assert!(lists_changes("btrfs", &[]));
        for driver in ["fuse-overlayfs", "vfs", "devicemapper", ""] {
            assert!(!lists_changes(driver, &native), "{driver}");
        }
    }
}
