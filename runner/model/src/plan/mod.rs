//! What the engine will be asked to do for a stack, decided before anything is done.
//!
//! A plan is data: it can be printed, compared and tested without an engine. The engine
//! half only carries it out.

mod agree;
pub mod body;
mod build;
pub mod deviations;
mod directories;
mod draft;
mod dropped;
pub mod facts;
mod loopback;
mod network;
mod options;
mod order;
mod readback;
pub mod replace;
mod rules;
mod split;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

pub use agree::{AgreeRequest, Agreement, Difference, agree};
pub use build::plan;
pub use loopback::{BLOCKS, loopback};
pub use options::{HostFacts, PlanOptions};
pub use order::{Order, order};
pub use readback::{Observation, Observed, read_back, read_back_stack};
pub use rules::image::CERTIFICATE_VARIABLES;
pub use rules::network::SANDBOX_RESOLVER;
pub use split::{NETWORK_FIELDS, NETWORK_HOST_FIELDS, NETWORK_SYSCTLS, Split, endpoints, split};

use crate::fidelity::Fidelity;
pub use crate::mirror::Condition;
use crate::secret::Secret;
pub use crate::stack::extension::End;
use crate::stack::extension::{Link, Probes, VolumeRoot};

/// Everything that one stack consists of.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Plan {
    /// The project's name (for labels and names of objects).
    pub project: String,
    /// Networks, by the key that services use.
    pub networks: Vec<NetworkPlan>,
    /// Named volumes, by the key that services use.
    pub volumes: Vec<VolumePlan>,
    /// Containers, one for each replica of each service, each after those that its service
    /// waits for.
    pub containers: Vec<ContainerPlan>,
    /// Where the containers differ from production.
    pub fidelity: Fidelity,
}

/// A network of the stack. The engine half chooses its subnet.
#[derive(Debug, Clone, Serialize)]
pub struct NetworkPlan {
    /// Key in the spec.
    pub key: String,
    /// Labels that the spec gives it.
    pub labels: BTreeMap<String, String>,
    /// Whether the network must not lead out of the engine's host. Only a network that
    /// `mirror.yaml` opens by name is not internal.
    pub internal: bool,
    /// Driver options of the bridge that are harmless locally (such as the MTU).
    pub options: BTreeMap<String, String>,
    /// How many addresses it must offer at least.
    pub addresses: u32,
}

/// A named volume of the stack.
#[derive(Debug, Clone, Serialize)]
pub struct VolumePlan {
    /// Key in the spec.
    pub key: String,
    /// Labels that the spec gives it.
    pub labels: BTreeMap<String, String>,
    /// Options of the `local` driver that were let through (tmpfs and its size).
    pub options: BTreeMap<String, String>,
    /// An existing volume of the engine, allowed by name in `mirror.yaml`; used, never removed.
    pub external: Option<String>,
    /// Owner and rights of its top, where an orchestrator gives it some.
    pub root: Option<VolumeRoot>,
    /// The snapshot that it starts from.
    pub snapshot: Option<String>,
}

/// One container of a service.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ContainerPlan {
    /// Service name.
    pub service: String,
    /// Replica, from 1.
    pub replica: u32,
    /// Image reference as it will be looked up on the engine.
    pub image: String,
    /// Platform as `os/arch[/variant]`, when the spec names one.
    pub platform: Option<String>,
    /// `always`, `missing`, `never`… as in Compose; absent = missing.
    pub pull_policy: Option<String>,
    /// Body of `POST /containers/create` (Engine API 1.41 names: `Image`, `Env`, `HostConfig`,
    /// `NetworkingConfig`…) as one container that owns its network, the way Compose would send
    /// it. Networks and volumes are named by their keys; [`split()`] gives the
    /// sandbox's part and the service's part.
    pub body: serde_json::Value,
    /// Values of `Env` that are secret, by variable name; `body` holds them as `***`.
    pub secret_env: BTreeMap<String, Secret>,
    /// Where its network comes from.
    pub network: NetworkOf,
    /// Files to put into it before it starts.
    pub files: Vec<FilePlan>,
    /// What must have happened to others before it starts.
    pub depends_on: Vec<Dependency>,
    /// Grace before a stop turns into a kill; absent = the engine's 10 s.
    pub stop_grace: Option<Duration>,
    /// Commands after start and before stop, in order.
    pub hooks: Hooks,
    /// Ports that the spec publishes, for `up` and `ports`.
    pub ports: Vec<PortPlan>,
    /// Whether the service is meant to run to its end (a migration), so that exit 0 is success.
    pub one_shot: bool,
    /// What an orchestrator does for it that the engine does not.
    pub care: Care,
    /// What its end means for the pod or task that it is a part of, where it is said.
    pub end: Option<End>,
    /// The ports whose connections a process beside the tool takes, when one took its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<replace::Carried>,
}

/// What an orchestrator does for a container that the engine does not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Care {
    /// Checks that it makes.
    pub probes: Probes,
    /// Whether [`OWN_ADDRESS`](crate::stack::extension::OWN_ADDRESS) in its body stands for its
    /// address.
    pub own_address: bool,
    /// Whether it is started again as long as it takes.
    pub patient: bool,
    /// Whether its image must not run as root.
    pub non_root: bool,
    /// Which connections it may open, where that is restricted: each with the services that it
    /// is about, those that stand in for hosts outside of the mirror too.
    pub links: Vec<Link>,
}

/// Repository of the image by which a plan asks for the agent itself.
const AGENT: &str = "prodmirror/agent";

impl ContainerPlan {
    /// Whether the agent plays it.
    pub fn is_agent(&self) -> bool {
        let rest = self.image.strip_prefix(AGENT);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    }

    /// Whether the agent stands in it for what is outside: as a stub, or as a relay to an
    /// allowed destination. Nobody else is in its network, which therefore needs no guard; the
    /// network of an agent that only holds it for others does.
    pub fn is_stand_in(&self) -> bool {
        let mode = self.body.get("Cmd").and_then(|cmd| cmd.get(0)?.as_str());
        self.is_agent() && matches!(mode, Some("stub" | "relay"))
    }
}

/// Where a container's network namespace comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NetworkOf {
    /// A sandbox of its own, attached to the networks of its body.
    #[default]
    Own,
    /// The sandbox of another service (its replica of the same number, else the first).
    Service(String),
    /// None at all.
    None,
    /// A network mode of the engine that leads beyond the stack and is allowed by name:
    /// `host`, `container:NAME`, or the name of a network.
    Foreign(String),
}

/// A file or directory that is put into a container.
#[derive(Debug, Clone, Serialize)]
pub struct FilePlan {
    /// Absolute path in the container.
    pub target: String,
    /// What it holds.
    pub content: FileContent,
    /// Permission bits; absent = as the source has them, 0444 for generated content.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Whether the container must not be able to write it.
    pub read_only: bool,
}

/// What a file that is put into a container holds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileContent {
    /// Text that is not secret.
    Text(String),
    /// A secret value.
    Secret(Secret),
    /// A file or directory of the project on the runner's side, copied as it is.
    HostPath(std::path::PathBuf),
    /// Bytes that are no text, in base64. They may be secret.
    Base64(Secret),
    /// A directory of files.
    Directory(Vec<FilePlan>),
}

impl FileContent {
    /// Whether it holds, or may hold, something secret.
    pub fn is_secret(&self) -> bool {
        match self {
            Self::Secret(_) | Self::Base64(_) => true,
            Self::Text(_) | Self::HostPath(_) => false,
            Self::Directory(files) => files.iter().any(|f| f.content.is_secret()),
        }
    }

    /// All secret values in it.
    pub fn secrets(&self) -> Vec<&Secret> {
        match self {
            Self::Secret(secret) | Self::Base64(secret) => vec![secret],
            Self::Text(_) | Self::HostPath(_) => Vec::new(),
            Self::Directory(files) => files.iter().flat_map(|f| f.content.secrets()).collect(),
        }
    }
}

/// A condition on another service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// The other service.
    pub service: String,
    /// What must have happened.
    pub condition: Condition,
    /// Whether its failure fails this one.
    pub required: bool,
    /// Whether this one restarts when the other does.
    pub restart: bool,
}

/// Commands around a container's life (`post_start`, `pre_stop` of Compose).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Hooks {
    /// After start.
    pub post_start: Vec<Hook>,
    /// Before stop.
    pub pre_stop: Vec<Hook>,
}

/// One command in a running container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// Program and arguments.
    pub command: Vec<String>,
    /// User; absent = the container's.
    pub user: Option<String>,
    /// Whether it runs privileged.
    pub privileged: bool,
    /// Working directory; absent = the container's.
    pub working_dir: Option<String>,
    /// Additional environment, `NAME=value`.
    pub environment: Vec<String>,
}

/// A port that the spec publishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PortPlan {
    /// Port in the container.
    pub target: u16,
    /// `tcp`, `udp`, `sctp`.
    pub protocol: String,
    /// The host port that the spec declares, when it is a single number.
    pub published: Option<u16>,
}
