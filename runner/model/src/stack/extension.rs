//! `x-prodmirror`: what a stack says that Compose cannot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::diag::Problem;
use crate::mirror::Mirror;
use crate::yaml::from_node;

/// The key at the top of a stack.
pub const KEY: &str = "x-prodmirror";
/// Version of its format.
pub const VERSION: u32 = 1;

/// The value of `x-prodmirror` at the top of a stack.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct Extension {
    /// Version of the format.
    pub version: u32,
    /// Name of the project.
    pub project: String,
    /// The name under which production's containers run, by which others may call them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub production: String,
    /// Services that stand in for hosts outside of the mirror.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stubs: BTreeMap<String, StubSpec>,
    /// Destinations that have no stub.
    #[serde(default, skip_serializing_if = "EgressSpec::is_empty")]
    pub egress: EgressSpec,
    /// What volumes hold at the start, by volume.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, DataSpec>,
    /// Environment variables whose values are secret, by service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sensitive: BTreeMap<String, Vec<String>>,
    /// Secrets of services with a read-only root, by key, each with the variable that holds its
    /// value. (Plain Compose puts only files into those: it takes the path of one from the
    /// variable with `_FILE` behind its name.)
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_files: BTreeMap<String, String>,
    /// Binds that a service may write, by service and path in it: it writes to a copy. (For
    /// plain Compose they are read-only.)
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub writable_copies: BTreeMap<String, Vec<String>>,
    /// Binds of the engine's host that are allowed, by service and path in it. All others are
    /// copies.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub host_binds: BTreeMap<String, Vec<String>>,
    /// Directories that configuration files and secrets below them make up, by service: each is
    /// one mount that hides what the image has there. (Plain Compose puts the files beside the
    /// image's.)
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub directories: BTreeMap<String, Vec<String>>,
    /// Configuration files and secrets, by key, whose content is written in base64 because it is
    /// no text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub base64: Vec<String>,
    /// Checks that the orchestrator makes, by service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub probes: BTreeMap<String, Probes>,
    /// Services in whose environment, command and arguments [`OWN_ADDRESS`] stands for the
    /// address that they get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_address: Vec<String>,
    /// Services that the orchestrator starts again and again: they may crash until what they
    /// need is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patient: Vec<String>,
    /// Services whose images must not run as root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub non_root: Vec<String>,
    /// Owner and rights that the top of a fresh volume has, by volume.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub volume_roots: BTreeMap<String, VolumeRoot>,
    /// What the end of a service means for the pod or task that it is a part of, where it is
    /// said. (Plain Compose lets the others go on.)
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ends: BTreeMap<String, End>,
    /// Services that wait until others have ended, whatever their exit code, by the one that
    /// waits. (Plain Compose starts them at once.)
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub after_end: BTreeMap<String, Vec<String>>,
    /// Where production restricts which connections a service may open, by the service whose
    /// network they come from. (Plain Compose restricts nothing.)
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, Vec<Link>>,
}

/// Services to which only some connections may be opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct Link {
    /// The services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// Whether it is about all that stands in for hosts outside of the mirror.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside: bool,
    /// Their ports that may be reached, `5432/tcp` or `8000-8100/udp`; none = none of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// What says so.
    pub by: String,
}

/// What stands for the address that a service gets, where [`Extension::own_address`] lists it.
pub const OWN_ADDRESS: &str = "pm-own-address.sserdda-nwo-mp";

/// Checks that an orchestrator makes. Each counts as passed once it has succeeded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct Probes {
    /// Until it has succeeded, the service does not count as started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup: Option<ProbeSpec>,
    /// Until all have succeeded, the service does not count as healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ready: Vec<ProbeSpec>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct ProbeSpec {
    /// What is done.
    pub action: ProbeAction,
    /// Seconds between two checks.
    pub period: u32,
    /// Seconds after which a check counts as failed.
    pub timeout: u32,
    /// Failures in a row after which the service has failed; absent = never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// Seconds after the start before which production does not check: they are none of the
    /// time in which it may fail.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub delay: u32,
    /// Successes in a row that it takes.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub successes: u32,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_one(n: &u32) -> bool {
    *n == 1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl ProbeSpec {
    /// Seconds after the start from which the service has failed; `None` = never.
    pub fn given_up_after(&self) -> Option<u64> {
        let failures = u64::from(self.failures?);
        Some(u64::from(self.delay) + failures * u64::from(self.period))
    }
}

/// What a check does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ProbeAction {
    /// Runs a command in the service's container; exit code 0 is a success.
    Exec(Vec<String>),
    /// Asks over HTTP; a status from 200 to 399 is a success.
    Http {
        /// The port.
        port: u16,
        /// Path and query.
        path: String,
        /// Whether over TLS; certificates are not verified.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        tls: bool,
        /// Host to connect to; empty = the service itself.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        host: String,
        /// Header fields, each `Name: value`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<String>,
    },
    /// Opens a connection.
    Tcp {
        /// The port.
        port: u16,
        /// Host to connect to; empty = the service itself.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        host: String,
    },
    /// Asks by gRPC's health protocol.
    Grpc {
        /// The port.
        port: u16,
        /// The service that is asked about; empty = the server as a whole.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        service: String,
    },
}

/// Owner and rights of the top of a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct VolumeRoot {
    /// Permission bits.
    pub mode: u32,
    /// Group.
    #[serde(default)]
    pub gid: u32,
}

/// What the end of a service means for the pod or task that it is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The whole ends with it: it is a failure, with any exit code.
    Fatal,
    /// Nothing: the others go on, with any exit code.
    Harmless,
}

/// A service that stands in for a host outside of the mirror.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct StubSpec {
    /// The host.
    pub host: String,
    /// Ports that it answers on.
    pub ports: Vec<u16>,
    /// Those of them that speak TLS, from the beginning or when the client asks for it. Each
    /// run puts certificates of its own authority into the configuration (`listen[].tls`);
    /// plain Compose has none, so there they speak plain text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tls: Vec<u16>,
    /// Key of the configuration file, in `configs`.
    pub config: String,
}

/// Destinations that have no stub, as `host:port`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
pub struct EgressSpec {
    /// Traffic to these really leaves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Traffic to these fails, and is no surprise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
}

impl EgressSpec {
    fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }
}

/// What a volume holds at the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataSpec {
    /// A copy of this snapshot.
    Snapshot(String),
    /// Nothing, on purpose.
    Empty(bool),
}

impl Extension {
    /// The extension of a stack; the default when it has none.
    ///
    /// # Errors
    /// What in it has a wrong form.
    pub fn of(mirror: &Mirror) -> Result<Self, Problem> {
        match mirror.extensions.get(KEY) {
            Some(node) => from_node(node),
            None => Ok(Self::default()),
        }
    }
}
