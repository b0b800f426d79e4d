//! What must exist before the containers do: networks, volumes, the agent's image.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use prodmirror_agent::wire::Cidr;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::What;
use prodmirror_model::plan::{ContainerPlan, NetworkPlan, Plan, VolumePlan};

use super::body;
use super::context::{Made, MadeNetwork};
use super::error::LiveError;
use super::files::{Files, Shelf};
use super::label::{Role, Tags};
use super::options::UpOptions;
use super::roots;
use super::subnet::{self, Allocator};
use crate::bus::Sink;
use crate::docker::{Engine, EngineError, NewNetwork, NewVolume};
use crate::store::{Given, kind_text};

/// How often another subnet is tried when somebody was faster.
const SUBNET_ATTEMPTS: u32 = 64;
/// Addresses kept free in each network, for gateways and what a scenario adds.
const SPARE_ADDRESSES: u32 = 4;

/// Names of volumes on the engine, and those of them that are clones, by key.
type Volumes = (BTreeMap<String, String>, BTreeMap<String, Given>);

/// Makes the objects of one stack.
pub struct Maker<'a> {
    pub engine: &'a Engine,
    pub plan: &'a Plan,
    pub tags: &'a Tags,
    pub options: &'a UpOptions,
    pub sink: &'a dyn Sink,
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
        let volumes = self.make_volumes(chosen);
        let shelf = |shelf: Shelf| async move { self.make_shelf(files, shelf).await };
        // All are waited for, so that nothing is made after the stack was given up.
        let (agent, networks, volumes, disk, memory) = tokio::join!(
            agent,
            self.make_networks(chosen),
            volumes,
            shelf(Shelf::Disk),
            shelf(Shelf::Memory)
        );
        let (volumes, clones) = volumes?;
        let made = Made {
            agent: agent?,
            networks: networks?,
            volumes,
            clones,
            files: disk?.map(|v| (files.upload(), v)).into_iter().collect(),
            secrets: memory?.map(|v| (files.upload(), v)).into_iter().collect(),
        };
        let volumes = self.plan.volumes.iter();
        // A clone has the owner and rights that it was sealed with.
        let empty: Vec<_> = volumes
            .filter(|v| !made.clones.contains_key(&v.key))
            .cloned()
            .collect();
        let prepared = roots::prepare(self.engine, self.tags, &made.agent, &empty, &made.volumes);
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

    async fn make_volumes(&self, chosen: &[&ContainerPlan]) -> Result<Volumes, LiveError> {
        let used = used_volumes(chosen);
        let wanted = self.plan.volumes.iter().filter(|v| used.contains(&v.key));
        let made = wanted.map(|v| self.make_volume(v));
        // All are waited for, so that nothing is made after the stack was given up.
        let mut all = Volumes::default();
        for made in join_all(made).await {
            let (key, name, given) = made?;
            if let Some(given) = given {
                all.1.insert(key.clone(), given);
            }
            all.0.insert(key, name);
        }
        Ok(all)
    }

    /// Gives a volume's key, its name on the engine, and the clone that it is.
    async fn make_volume(
        &self,
        v: &VolumePlan,
    ) -> Result<(String, String, Option<Given>), LiveError> {
        let snapshot = self.options.snapshots.get(&v.key).or(v.snapshot.as_ref());
        if let Some(name) = &v.external {
            return Ok((v.key.clone(), name.clone(), None));
        }
        let mut labels = v.labels.clone();
        labels.extend(self.tags.labels(Role::Volume));
        let begun = Instant::now();
        let given = match snapshot {
            Some(snapshot) => Some(self.clone_of(snapshot, &v.key).await?),
            None => None,
        };
        let mut new = NewVolume {
            name: self.tags.name(&v.key),
            labels,
            options: v.options.clone(),
        };
        if let Some(given) = &given {
            new.options.clone_from(&given.options);
        }
        if let (Some(content), Some(clones)) =
            (self.options.contents.get(&v.key), &self.options.data)
        {
            let cloned = clones.give_content(self.tags.stack(), content).await;
            new.options = cloned.map_err(|p| LiveError::Refused(Box::new(p)))?;
        }
        let made = self.engine.create_volume(&new).await;
        made.map_err(|e| LiveError::Engine(Box::new(e.problem("make a volume"))))?;
        if let (Some(given), Some(snapshot)) = (&given, snapshot) {
            self.tell(given, &v.key, snapshot, begun.elapsed());
        }
        Ok((v.key.clone(), new.name, given))
    }

    /// A clone of a snapshot for a volume.
    async fn clone_of(&self, snapshot: &str, volume: &str) -> Result<Given, LiveError> {
        let refused = |p: Problem| LiveError::Refused(Box::new(p));
        let Some(clones) = &self.options.data else {
            let message = format!(
                "the volume `{volume}` starts from the snapshot `{snapshot}`, and there is no store to have it from"
            );
            return Err(refused(Problem::new(ProblemKind::Start, message)));
        };
        let given = clones.give(self.tags.stack(), snapshot).await;
        given.map_err(|p| match p.kind {
            ProblemKind::Engine => LiveError::Engine(Box::new(p)),
            _ => {
                let message = format!("the volume `{volume}`: {}", p.message);
                refused(Problem { message, ..p })
            }
        })
    }

    /// Makes known what a volume is a clone of.
    fn tell(&self, given: &Given, volume: &str, snapshot: &str, took: Duration) {
        self.sink.emit(What::Data {
            stack: self.tags.stack().to_owned(),
            volume: volume.to_owned(),
            snapshot: snapshot.to_owned(),
            digest: given.manifest.digest().to_string(),
            summary: given.manifest.summary(),
            kind: kind_text(given.kind).to_owned(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        });
    }

    /// Makes the volume of files or of secrets, if there are any.
    pub async fn make_shelf(
        &self,
        files: &Files,
        shelf: Shelf,
    ) -> Result<Option<(String, String)>, LiveError> {
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
        let name = self.tags.name(&files.named(name));
        let labels = self.tags.labels(Role::Files);
        let new = NewVolume {
            name: name.clone(),
            labels,
            options,
        };
        let path = self.engine.create_volume(&new).await;
        let path =
            path.map_err(|e| LiveError::Engine(Box::new(e.problem("make the volume of files"))))?;
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
pub fn used_volumes(chosen: &[&ContainerPlan]) -> BTreeSet<String> {
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
