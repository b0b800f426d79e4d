//! What must exist before the containers do: networks, volumes, the agent's image.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join_all, try_join_all};
use prodmirror_agent::wire::Cidr;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::{ContainerPlan, NetworkPlan, Plan};

use super::body;
use super::context::{Made, MadeNetwork};
use super::error::LiveError;
use super::files::{Files, Shelf};
use super::label::{Role, Tags};
use super::roots;
use super::subnet::{self, Allocator};
use crate::docker::{Engine, EngineError, NewNetwork, NewVolume};

/// How often another subnet is tried when somebody was faster.
const SUBNET_ATTEMPTS: u32 = 64;
/// Addresses kept free in each network, for gateways and what a scenario adds.
const SPARE_ADDRESSES: u32 = 4;

/// Makes the objects of one stack.
pub struct Maker<'a> {
    pub engine: &'a Engine,
    pub plan: &'a Plan,
    pub tags: &'a Tags,
}

impl Maker<'_> {
    /// Makes what must exist before the containers do.
    pub async fn all(&self, files: &Files, chosen: &[&ContainerPlan]) -> Result<Made, LiveError> {
        let failed = |doing: &str, e: &EngineError| LiveError::Engine(Box::new(e.problem(doing)));
        let agent = async {
            self.engine
                .load_agent()
                .await
                .map_err(|p| LiveError::Refused(Box::new(p)))
        };
        let volumes = async {
            let made = self.make_volumes(chosen).await;
            made.map_err(|e| failed("make a volume", &e))
        };
        let shelf = |shelf: Shelf| async move {
            let made = self.make_shelf(files, shelf).await;
            made.map_err(|e| failed("make the volume of files", &e))
        };
        // All are waited for, so that nothing is made after the stack was given up.
        let (agent, networks, volumes, disk, memory) = tokio::join!(
            agent,
            self.make_networks(chosen),
            volumes,
            shelf(Shelf::Disk),
            shelf(Shelf::Memory)
        );
        let made = Made {
            agent: agent?,
            networks: networks?,
            volumes: volumes?,
            files: disk?,
            secrets: memory?,
        };
        let (engine, volumes) = (self.engine, &self.plan.volumes);
        let prepared = roots::prepare(engine, self.tags, &made.agent, volumes, &made.volumes);
        prepared
            .await
            .map_err(|e| failed("prepare the volumes", &e))?;
        Ok(made)
    }

    async fn make_networks(
        &self,
        chosen: &[&ContainerPlan],
    ) -> Result<BTreeMap<String, MadeNetwork>, LiveError> {
        let used = self.engine.used_subnets().await;
        let used = used.map_err(|e| LiveError::Engine(Box::new(e.problem("list networks"))))?;
        let mut taken: Vec<Cidr> = used.iter().filter_map(|u| u.subnet.parse().ok()).collect();
        taken.extend(subnet::host_routes());
        let allocator = tokio::sync::Mutex::new(Allocator::new(taken));
        // A network that no chosen service is attached to is not made.
        let attached = |key: &str| {
            let count = chosen
                .iter()
                .filter(|c| body::attachments(c).iter().any(|a| a.network == key))
                .count();
            u32::try_from(count).unwrap_or(u32::MAX)
        };
        let made = self
            .plan
            .networks
            .iter()
            .filter(|n| attached(&n.key) > 0)
            .map(|n| self.make_network(n, attached(&n.key), &allocator));
        let made = join_all(made)
            .await
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        Ok(made.into_iter().collect())
    }

    async fn make_network(
        &self,
        plan: &NetworkPlan,
        attached: u32,
        allocator: &tokio::sync::Mutex<Allocator>,
    ) -> Result<(String, MadeNetwork), LiveError> {
        let addresses = plan.addresses.max(attached).saturating_add(SPARE_ADDRESSES);
        let name = self.tags.name(&plan.key);
        let mut labels = plan.labels.clone();
        labels.extend(self.tags.labels(Role::Network));
        for _ in 0..SUBNET_ATTEMPTS {
            let Some(subnet) = allocator.lock().await.take(addresses) else {
                break;
            };
            let new = NewNetwork {
                name: name.clone(),
                subnet: subnet.to_string(),
                gateway: subnet::gateway(subnet),
                internal: plan.internal,
                labels: labels.clone(),
                options: plan.options.clone(),
            };
            match self.engine.create_network(&new).await {
                Ok(id) => {
                    let made = MadeNetwork {
                        id,
                        name: new.name,
                        subnet,
                        internal: plan.internal,
                    };
                    return Ok((plan.key.clone(), made));
                }
                Err(e) if e.to_string().contains("overlap") => {}
                Err(e) => {
                    let doing = format!("make network `{}`", plan.key);
                    return Err(LiveError::Engine(Box::new(e.problem(doing))));
                }
            }
        }
        Err(no_subnet(&plan.key))
    }

    async fn make_volumes(
        &self,
        chosen: &[&ContainerPlan],
    ) -> Result<BTreeMap<String, String>, EngineError> {
        let used = used_volumes(chosen);
        let wanted = self.plan.volumes.iter().filter(|v| used.contains(&v.key));
        let made = wanted.map(|v| async move {
            if let Some(name) = &v.external {
                return Ok((v.key.clone(), name.clone()));
            }
            let mut labels = v.labels.clone();
            labels.extend(self.tags.labels(Role::Volume));
            let name = self.tags.name(&v.key);
            let options = v.options.clone();
            let new = NewVolume {
                name: name.clone(),
                labels,
                options,
            };
            self.engine
                .create_volume(&new)
                .await
                .map(|_| (v.key.clone(), name))
        });
        Ok(try_join_all(made).await?.into_iter().collect())
    }

    /// Makes the volume of files or of secrets, if there are any.
    async fn make_shelf(
        &self,
        files: &Files,
        shelf: Shelf,
    ) -> Result<Option<(String, String)>, EngineError> {
        if files.entries(shelf).is_empty() {
            return Ok(None);
        }
        let (name, options) = match shelf {
            Shelf::Disk => ("files", BTreeMap::new()),
            Shelf::Memory => {
                // Room for the values, whole pages, and the file system's own needs.
                let count = files.entries(shelf).len();
                let size = files.memory_bytes() + count * 8192 + (1 << 20);
                let option = |name: &str, value: String| (name.to_owned(), value);
                let options = BTreeMap::from([
                    option("type", "tmpfs".to_owned()),
                    option("device", "tmpfs".to_owned()),
                    option("o", format!("size={size},mode=0755")),
                ]);
                ("secrets", options)
            }
        };
        let name = self.tags.name(name);
        let labels = self.tags.labels(Role::Files);
        let new = NewVolume {
            name: name.clone(),
            labels,
            options,
        };
        let path = self.engine.create_volume(&new).await?;
        Ok(Some((name, path)))
    }
}

fn no_subnet(network: &str) -> LiveError {
    let message = format!("there is no free subnet for network `{network}`");
    let problem = Problem::new(ProblemKind::Start, message)
        .help("remove networks that nobody needs (`prodmirror gc`, `docker network ls`)");
    LiveError::Refused(Box::new(problem))
}

/// Keys of the volumes that these containers mount.
fn used_volumes(chosen: &[&ContainerPlan]) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for c in chosen {
        let Some(host) = c.body.get("HostConfig") else {
            continue;
        };
        let binds = host.get("Binds").and_then(|b| b.as_array());
        for bind in binds.into_iter().flatten().filter_map(|b| b.as_str()) {
            used.extend(bind.split(':').next().map(str::to_owned));
        }
        let mounts = host.get("Mounts").and_then(|m| m.as_array());
        for source in mounts
            .into_iter()
            .flatten()
            .filter_map(|m| m.get("Source")?.as_str())
        {
            used.insert(source.to_owned());
        }
    }
    used
}
