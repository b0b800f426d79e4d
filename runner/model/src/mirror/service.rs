//! A service: one container, or several equal ones.

use indexmap::IndexMap;
use serde::Serialize;

use super::{
    Build, Deployment, Develop, EnvFile, EnvVar, FileUse, Health, Hook, Limits, Mounts, Namespaces,
    Restart, Security, ServiceNetwork, Sourced, Texts,
};
use crate::yaml::Node;

/// A service of production.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Service {
    /// Its name; the place is that of its key.
    pub name: Sourced<String>,
    /// What it runs.
    pub image: Image,
    /// The process and how it is ended.
    pub process: Process,
    /// A fixed name for its container.
    pub container_name: Option<Sourced<String>>,
    /// Environment, in the order of the spec. A variable without a value is removed from
    /// what the image brings.
    pub env: Vec<EnvVar>,
    /// Files with further variables. Empty once the reader has taken them into `env`.
    pub env_files: Vec<Sourced<EnvFile>>,
    /// Labels of the container.
    pub labels: Texts,
    /// Files with further labels.
    pub label_files: Vec<Sourced<String>>,
    /// Annotations for the OCI runtime.
    pub annotations: Texts,
    /// Networks, names, ports.
    pub network: ServiceNetwork,
    /// Volumes, binds, tmpfs.
    pub mounts: Mounts,
    /// Configuration files that are put into it.
    pub config_files: Vec<Sourced<FileUse>>,
    /// Secrets that are put into it as files.
    pub secrets: Vec<Sourced<FileUse>>,
    /// What it may use at most.
    pub limits: Limits,
    /// Rights and confinement.
    pub security: Security,
    /// Namespaces that it shares, but for the network.
    pub namespaces: Namespaces,
    /// Health check; absent = the image's.
    pub health: Option<Sourced<Health>>,
    /// Services that must have come to a state before this one starts.
    pub depends_on: Vec<Dependency>,
    /// Restart policy of the container (an orchestrator's is in `deployment`).
    pub restart: Option<Sourced<Restart>>,
    /// Number of containers, where it is given beside `deployment`.
    pub scale: Option<Sourced<u32>>,
    /// What an orchestrator is told: replicas, resources, restart, rollout.
    pub deployment: Option<Sourced<Deployment>>,
    /// Commands that run in the container after its start.
    pub post_start: Vec<Sourced<Hook>>,
    /// Commands that run in the container before its stop.
    pub pre_stop: Vec<Sourced<Hook>>,
    /// Where its output goes; absent = the engine's default.
    pub logging: Option<Sourced<Logging>>,
    /// Whether its output is shown by default.
    pub attach: Option<Sourced<bool>>,
    /// Profiles that it belongs to.
    pub profiles: Vec<Sourced<String>>,
    /// Rules for a developer's machine; no part of production.
    pub develop: Option<Sourced<Develop>>,
    /// A program outside of the engine that provides the service.
    pub provider: Option<Sourced<Provider>>,
    /// Language models that it uses.
    pub models: IndexMap<String, ModelUse>,
    /// Extension values (`x-…`).
    pub extensions: IndexMap<String, Node>,
}

impl Service {
    /// How many containers production declares (1 unless it says otherwise).
    pub fn replicas(&self) -> u32 {
        let deployed = self.deployment.as_ref().and_then(|d| d.replicas.as_ref());
        self.scale.as_ref().or(deployed).map_or(1, |n| n.value)
    }
}

/// What a service runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Image {
    /// Reference with tag or digest.
    pub reference: Option<Sourced<String>>,
    /// `os/arch[/variant]`.
    pub platform: Option<Sourced<String>>,
    /// When to pull it: `always`, `missing`, `never`, `build`, `daily`…
    pub pull_policy: Option<Sourced<String>>,
    /// How it is built, when it is.
    pub build: Option<Sourced<Build>>,
}

/// The process of a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Process {
    /// The program; what the image says unless set.
    pub entrypoint: Sourced<Argv>,
    /// Its arguments; what the image says unless set.
    pub command: Sourced<Argv>,
    /// Working directory.
    pub working_dir: Option<Sourced<String>>,
    /// User, as name or number, with an optional group.
    pub user: Option<Sourced<String>>,
    /// Further groups.
    pub groups: Vec<Sourced<String>>,
    /// Whether it has a terminal.
    pub tty: Option<Sourced<bool>>,
    /// Whether its standard input is kept open.
    pub stdin_open: Option<Sourced<bool>>,
    /// Whether a small init process is its parent.
    pub init: Option<Sourced<bool>>,
    /// Signal that asks it to end.
    pub stop_signal: Option<Sourced<String>>,
    /// Time that it gets to end.
    pub stop_grace: Option<Sourced<std::time::Duration>>,
}

/// A program or its arguments.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Argv {
    /// What the image says.
    #[default]
    Inherit,
    /// None, whatever the image says.
    Clear,
    /// These.
    Set(Vec<Sourced<String>>),
}

/// What must have happened to a service before its dependents start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It was started.
    #[default]
    Started,
    /// All its replicas are healthy.
    Healthy,
    /// It ended with exit code 0.
    CompletedSuccessfully,
    /// It ended, whatever its exit code. Compose has no word for it.
    Ended,
}

/// A condition on another service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dependency {
    /// The other service; the place is that of its key.
    pub service: Sourced<String>,
    /// What must have happened.
    pub condition: Option<Sourced<Condition>>,
    /// Whether its absence or failure fails this one.
    pub required: Option<Sourced<bool>>,
    /// Whether this one restarts when the other does.
    pub restart: Option<Sourced<bool>>,
}

impl Dependency {
    /// What must have happened; started, unless the spec says otherwise.
    pub fn condition(&self) -> Condition {
        self.condition
            .as_ref()
            .map_or(Condition::Started, |c| c.value)
    }

    /// Whether its absence or failure fails this one; so it is unless the spec says otherwise.
    pub fn required(&self) -> bool {
        self.required.as_ref().is_none_or(|r| r.value)
    }

    /// Whether this one restarts when the other does.
    pub fn restart(&self) -> bool {
        self.restart.as_ref().is_some_and(|r| r.value)
    }
}

/// Where a service's output goes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Logging {
    /// Name of the logging driver.
    pub driver: Option<Sourced<String>>,
    /// Options of the driver.
    pub options: Texts,
}

/// A program outside of the engine that provides a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Provider {
    /// Which program.
    pub kind: Option<Sourced<String>>,
    /// Its options, each with one or several values.
    pub options: IndexMap<String, Vec<Sourced<String>>>,
}

/// A language model that services use.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    /// Its name on the engine.
    pub name: Option<Sourced<String>>,
    /// Reference of the model.
    pub reference: Option<Sourced<String>>,
    /// Size of its context, in tokens.
    pub context_size: Option<Sourced<i64>>,
    /// Options of its runtime.
    pub runtime_flags: Vec<Sourced<String>>,
    /// Extension values (`x-…`).
    pub extensions: IndexMap<String, Node>,
}

/// A service's use of a language model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelUse {
    /// Whether the spec writes a mapping, be it an empty one.
    pub explicit: bool,
    /// Environment variable that gets the model's address.
    pub endpoint_var: Option<Sourced<String>>,
    /// Environment variable that gets the model's name.
    pub model_var: Option<Sourced<String>>,
}
