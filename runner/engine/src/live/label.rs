//! Labels and names of the engine's objects: by them everything is found and removed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lease::{Hold, Owner};

/// Project name.
pub const PROJECT: &str = "dev.prodmirror.project";
/// Run that the object belongs to: what is swept together.
pub const RUN: &str = "dev.prodmirror.run";
/// Stack within the run.
pub const STACK: &str = "dev.prodmirror.stack";
/// Service.
pub const SERVICE: &str = "dev.prodmirror.service";
/// Replica, from 1.
pub const REPLICA: &str = "dev.prodmirror.replica";
/// What the object is for: see [`Role`].
pub const ROLE: &str = "dev.prodmirror.role";
/// Who made it, as JSON: see [`Owner`].
pub const OWNER: &str = "dev.prodmirror.owner";
/// `run`, `none`, or a time to live in seconds (`3600s`).
pub const LEASE: &str = "dev.prodmirror.lease";
/// Ports that the service publishes, as JSON.
pub const PORTS: &str = "dev.prodmirror.ports";
/// Seconds of grace before a stop turns into a kill.
pub const GRACE: &str = "dev.prodmirror.grace";
/// Names of services that must be stopped before this one, separated by blanks.
pub const DEPENDENTS: &str = "dev.prodmirror.dependents";

/// Names of services that restart when this one does, separated by blanks.
pub const RESTARTS: &str = "dev.prodmirror.restarts";
/// Commands to run in the container before it is stopped, as JSON.
pub const PRE_STOP: &str = "dev.prodmirror.pre-stop";

/// The ports of a replaced service and the processes of this host that take their connections,
/// as JSON.
pub const REPLACED: &str = "dev.prodmirror.replaced";

/// Of a service's container that was made in the place of another one while the stack stood.
pub const RENEWED: &str = "dev.prodmirror.renewed";

/// What an object is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A service's own container.
    Service,
    /// Holder of a service's network.
    Sandbox,
    /// Stand-in for an external service.
    Stub,
    /// Holder of the run's lease.
    Keeper,
    /// The way in for a runner that cannot route to containers.
    Gateway,
    /// A volume of the spec.
    Volume,
    /// A network of the spec.
    Network,
    /// Files that are put into services.
    Files,
    /// What keeps the clones of data volumes.
    Store,
    /// A container that a step runs to its end.
    OneOff,
    /// What finds out what the engine grants to containers, or what is in an image.
    Probe,
}

impl Role {
    /// The label's value.
    pub fn text(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Sandbox => "sandbox",
            Self::Stub => "stub",
            Self::Keeper => "keeper",
            Self::Gateway => "gateway",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Files => "files",
            Self::Store => "store",
            Self::OneOff => "one-off",
            Self::Probe => "probe",
        }
    }
}

/// What all objects of a stack have in common.
#[derive(Debug, Clone)]
pub struct Tags {
    common: BTreeMap<String, String>,
    prefix: String,
    stack: String,
}

impl Tags {
    /// Tags of a stack, or (with an empty stack) of what a run has outside of its stacks.
    ///
    /// Names of objects hold a part of the run's identity, so that runs beside each other do
    /// not meet; [`Tags::plain`] leaves it out.
    pub fn new(project: &str, run: &str, stack: &str, hold: Hold, owner: &Owner) -> Self {
        let lease = match hold {
            Hold::Run => "run".to_owned(),
            Hold::Kept => "none".to_owned(),
            Hold::For(d) => format!("{}s", d.as_secs()),
        };
        let mut common = BTreeMap::from([
            (PROJECT.to_owned(), project.to_owned()),
            (RUN.to_owned(), run.to_owned()),
            (OWNER.to_owned(), owner.to_json()),
            (LEASE.to_owned(), lease),
        ]);
        if !stack.is_empty() {
            common.insert(STACK.to_owned(), stack.to_owned());
        }
        let mut parts = vec![object_name(project), object_name(short(run))];
        if !stack.is_empty() {
            parts.push(object_name(stack));
        }
        Self {
            common,
            prefix: parts.join("-"),
            stack: stack.to_owned(),
        }
    }

    /// The same with names that only hold the project's and the stack's name.
    #[must_use]
    pub fn plain(mut self) -> Self {
        let project = self.common.get(PROJECT).map_or("", String::as_str);
        self.prefix = object_name(project);
        if !self.stack.is_empty() && self.stack != project {
            self.prefix = format!("{}-{}", self.prefix, object_name(&self.stack));
        }
        self
    }

    /// The stack.
    pub fn stack(&self) -> &str {
        &self.stack
    }

    /// Labels of an object with this role.
    pub fn labels(&self, role: Role) -> BTreeMap<String, String> {
        let mut labels = self.common.clone();
        labels.insert(ROLE.to_owned(), role.text().to_owned());
        labels
    }

    /// Labels of a replica's container.
    pub fn replica_labels(
        &self,
        role: Role,
        service: &str,
        replica: u32,
    ) -> BTreeMap<String, String> {
        let mut labels = self.labels(role);
        labels.insert(SERVICE.to_owned(), service.to_owned());
        labels.insert(REPLICA.to_owned(), replica.to_string());
        labels
    }

    /// Name of an object of the stack.
    pub fn name(&self, rest: &str) -> String {
        format!("{}-{}", self.prefix, object_name(rest))
    }

    /// The filters that find every object of the stack.
    pub fn filters(&self) -> Vec<String> {
        [RUN, STACK]
            .iter()
            .filter_map(|name| Some(format!("{name}={}", self.common.get(*name)?)))
            .collect()
    }
}

/// The part of a run's identity that differs most: its end.
fn short(run: &str) -> &str {
    let start = run.char_indices().rev().nth(7).map_or(0, |(i, _)| i);
    &run[start..]
}

/// Text as the engine allows it in names: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
fn object_name(text: &str) -> String {
    let mut name: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "_.-".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        name.insert(0, 'x');
    }
    name
}

/// Reads a lease label.
pub fn read_lease(text: &str) -> Option<Hold> {
    match text {
        "run" => Some(Hold::Run),
        "none" => Some(Hold::Kept),
        _ => {
            let seconds = text.strip_suffix('s')?.parse().ok()?;
            Some(Hold::For(Duration::from_secs(seconds)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_runs_differ_and_are_allowed() {
        let owner = Owner::this_process();
        let a = Tags::new("my shop", "run-0123456789", "1", Hold::Run, &owner);
        assert_eq!(a.name("orders"), "my-shop-23456789-1-orders");
        let up = Tags::new("shop", "x", "shop", Hold::Kept, &owner).plain();
        assert_eq!(up.name("_db"), "shop-x_db");
        assert_eq!(up.labels(Role::Network)[LEASE], "none");
    }

    #[test]
    fn leases_are_read_back() {
        for hold in [Hold::Run, Hold::Kept, Hold::For(Duration::from_secs(90))] {
            let tags = Tags::new("p", "r", "s", hold, &Owner::this_process());
            assert_eq!(read_lease(&tags.labels(Role::Service)[LEASE]), Some(hold));
        }
        assert_eq!(read_lease("soon"), None);
    }
}
