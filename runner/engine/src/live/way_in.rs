//! The ways into a stack that another process started.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use prodmirror_model::diag::{Problem, ProblemKind};

use super::Standing;
use super::label;
use crate::docker::{EngineError, Found};
use crate::reach::{Inside, Names, Reach, Target, WayIn};

impl Standing {
    /// The way to its services.
    ///
    /// # Errors
    /// The engine cannot be asked.
    pub async fn reach(&self) -> Result<Reach, Problem> {
        let failed = |e: EngineError| e.problem("look at the stack's networks");
        let networks = self
            .engine
            .find_networks(&self.filters())
            .await
            .map_err(failed)?;
        let used = self.engine.used_subnets().await.map_err(failed)?;
        let gateways = used
            .iter()
            .filter(|u| networks.iter().any(|n| n.name == u.network))
            .filter_map(|u| u.gateway)
            .collect();
        let way_in = WayIn {
            networks: networks.into_iter().map(|n| n.id).collect(),
            gateways,
            labels: self.labels(label::Role::Gateway),
            name: format!("{}-{}-gateway", self.project, self.stack),
        };
        Ok(Reach::new(self.engine.clone(), self.names().await, way_in))
    }

    /// The way to what a replica of a service opens on its own loopback.
    ///
    /// # Errors
    /// There is no such service or replica, or it has no network of the stack.
    pub async fn inside(&self, service: &str, replica: u32) -> Result<Inside, Problem> {
        let member = self.member(service, replica)?;
        let state = self.engine.inspect_container(&member.id).await;
        let state = state.map_err(|e| e.problem(format!("look at `{service}`")))?;
        let owner = state.network_mode.strip_prefix("container:");
        let owner = owner.filter(|id| {
            let mut sandboxes = self.containers.iter();
            sandboxes.any(|c| c.id == *id && c.label(label::ROLE) == label::Role::Sandbox.text())
        });
        let Some(sandbox) = owner else {
            let message = format!("`{service}` has no network of the stack, so nothing can get in");
            return Err(Problem::new(ProblemKind::Forbidden, message));
        };
        let engine = self.engine.clone();
        Ok(Inside::new(engine, sandbox.to_owned(), service.to_owned()))
    }

    /// Names of services, aliases and hostnames, as the engine has them.
    async fn names(&self) -> Names {
        let mut names = Names::default();
        let owns_network = |c: &&Found| matches!(c.label(label::ROLE), "sandbox" | "stub");
        let owners: Vec<&Found> = self.containers.iter().filter(owns_network).collect();
        let states = join_all(owners.iter().map(|c| self.engine.inspect_container(&c.id))).await;
        let mut addresses = BTreeMap::new();
        for state in states.into_iter().flatten() {
            let Some(address) = state.addresses.values().next().copied() else {
                continue;
            };
            addresses.insert(state.id.clone(), (address, state));
        }
        let services = self
            .containers
            .iter()
            .filter(|c| c.label(label::ROLE) == "service");
        let joined = join_all(services.map(|c| self.engine.inspect_container(&c.id))).await;
        for state in joined.into_iter().flatten() {
            let label = |name: &str| state.labels.get(name).map_or("", String::as_str);
            let service = label(label::SERVICE).to_owned();
            let owner = state
                .network_mode
                .strip_prefix("container:")
                .unwrap_or_default();
            match addresses.get(owner) {
                None => names.add_unreachable(&service),
                Some((address, _)) => {
                    let replica = label(label::REPLICA).parse().unwrap_or(1);
                    names.add(
                        &service,
                        Target {
                            service: service.clone(),
                            replica,
                            address: *address,
                        },
                    );
                }
            }
        }
        for (address, owner) in addresses.values() {
            let label = |name: &str| owner.labels.get(name).map_or("", String::as_str);
            let service = label(label::SERVICE).to_owned();
            let replica = label(label::REPLICA).parse().unwrap_or(1);
            let target = Target {
                service: service.clone(),
                replica,
                address: *address,
            };
            let id = owner.id.get(..12).unwrap_or_default();
            for name in owner.aliases.iter().chain([&owner.hostname, &service]) {
                if !name.is_empty() && name != id {
                    names.add(name, target.clone());
                }
            }
        }
        names
    }
}
