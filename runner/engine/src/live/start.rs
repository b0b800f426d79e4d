//! Starting a stack: what all services need, then every service as soon as it may.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{join_all, try_join_all};
use prodmirror_agent::wire::Cidr;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::{ContainerPlan, NetworkOf, NetworkPlan, Plan};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::board::{Board, Phase, ReplicaKey};
use super::context::{Context, Made, MadeNetwork, Sandboxes, key_of};
use super::error::{Failed, LiveError};
use super::files::{self, Files, Shelf};
use super::label::{self, Role, Tags};
use super::lease::Owner;
use super::logs::LogBook;
use super::options::UpOptions;
use super::order::Order;
use super::stack::LiveStack;
use super::subnet::{self, Allocator};
use super::sweep::sweep;
use super::watch::{self as events, verdict};
use super::{replica, sandbox, stub};
use crate::bus::Sink;
use crate::docker::{Engine, EngineError, NewContainer, NewNetwork, NewVolume};

/// How often another subnet is tried when somebody was faster.
const SUBNET_ATTEMPTS: u32 = 64;
/// Addresses kept free in each network, for gateways and what a scenario adds.
const SPARE_ADDRESSES: u32 = 4;
/// How far before the first request events are asked for: clocks differ a little.
const EVENTS_BEFORE: Duration = Duration::from_secs(2);
/// How long requests under way may take after the start was given up.
const REQUESTS_END_WITHIN: Duration = Duration::from_secs(45);
/// How long it is tried to remove a stack from an engine that was lost.
const SWEEP_LOST_WITHIN: Duration = Duration::from_secs(5);
/// How long the engine may take to tell of an end that it shows already.
const EVENT_WITHIN: Duration = Duration::from_secs(5);
/// Where the uploading container has the volume of files.
const FILES_DIR: &str = "/files";

/// Starts a plan and returns when all of it is ready. What becomes of services, and what they
/// print, goes to `sink`; that the stack starts, is ready or failed is for the caller to tell.
///
/// # Errors
/// See [`LiveError`]. Everything that was made is removed by then, also when the start was
/// cancelled or this future was dropped.
pub async fn up(
    engine: &Engine,
    plan: Arc<Plan>,
    options: UpOptions,
    sink: Arc<dyn Sink>,
) -> Result<LiveStack, LiveError> {
    // Dropping this future must not leave half a stack: the work goes on in a task of its
    // own, which is told.
    let cancel = options.cancel.child_token();
    let guard = cancel.clone().drop_guard();
    let work = tokio::spawn(run(engine.clone(), plan, options, sink, cancel));
    let ended = work.await;
    guard.disarm();
    ended.unwrap_or_else(|e| {
        let message = format!("the start of the stack broke off: {e}");
        Err(LiveError::Refused(Box::new(Problem::new(
            ProblemKind::Start,
            message,
        ))))
    })
}

async fn run(
    engine: Engine,
    plan: Arc<Plan>,
    options: UpOptions,
    sink: Arc<dyn Sink>,
    cancel: CancellationToken,
) -> Result<LiveStack, LiveError> {
    let begun = Instant::now();
    let order = Order::of(&plan, &options.services).map_err(|p| LiveError::Refused(Box::new(p)))?;
    let owner = Owner::this_process();
    let mut tags = Tags::new(
        &plan.project,
        &options.run,
        &options.stack,
        options.hold,
        &owner,
    );
    if options.plain_names {
        tags = tags.plain();
    }
    let attempt = Attempt {
        engine,
        plan,
        options,
        sink,
        order,
        tags,
        cancel,
    };
    attempt.start(begun).await
}

/// One attempt to start a stack.
struct Attempt {
    engine: Engine,
    plan: Arc<Plan>,
    options: UpOptions,
    sink: Arc<dyn Sink>,
    order: Order,
    tags: Tags,
    cancel: CancellationToken,
}

impl Attempt {
    async fn start(self, begun: Instant) -> Result<LiveStack, LiveError> {
        let (engine, filters) = (self.engine.clone(), self.tags.filters());
        let deadline = self.options.teardown.deadline;
        let started = self.start_or_leave(begun).await;
        if let Err(e) = &started {
            // Counted apart from the start's own time, and not ended by its cancelling. An
            // engine that is lost is not waited for: keeper and reaper have more time.
            let lost = e.problem().kind == ProblemKind::Engine;
            let deadline = if lost {
                deadline.min(SWEEP_LOST_WITHIN)
            } else {
                deadline
            };
            sweep(&engine, &filters, deadline).await;
        }
        started
    }

    async fn start_or_leave(self, begun: Instant) -> Result<LiveStack, LiveError> {
        let refuse = |p: Problem| LiveError::Refused(Box::new(p));
        let chosen: Vec<&ContainerPlan> = self
            .order
            .containers
            .iter()
            .map(|i| &self.plan.containers[*i])
            .collect();
        let files = Files::gather(&chosen).map_err(refuse)?;
        self.refuse_if_there().await?;
        let since = self.events_since();
        let made = self.make(&files, &chosen).await?;
        let owners: Vec<ReplicaKey> = chosen
            .iter()
            .filter(|c| c.network == NetworkOf::Own)
            .map(|c| key_of(c))
            .collect();
        let (failures, mut failed) = mpsc::unbounded_channel();
        let ctx = Arc::new(Context {
            board: Board::new(chosen.iter().map(|c| key_of(c))),
            sandboxes: Sandboxes::new(owners),
            logs: LogBook::new(self.options.log_bytes),
            starting: Semaphore::new(self.engine.facts().cpus as usize + 2),
            files_ready: watch::channel(false).0,
            secrets_ready: watch::channel(false).0,
            stop: CancellationToken::new(),
            gone: CancellationToken::new(),
            failures,
            files,
            made,
            engine: self.engine,
            plan: self.plan.clone(),
            options: self.options,
            order: self.order,
            tags: self.tags,
            sink: self.sink,
        });
        ctx.beside(events::watch(ctx.clone(), since));
        let mut tasks = spawn_all(&ctx);
        let mut ended = supervise(&ctx, &mut tasks, &mut failed, &self.cancel, begun).await;
        if ended.is_ok() {
            ended = confirm(&ctx).await;
        }
        match ended {
            Ok(()) => Ok(LiveStack::new(ctx)),
            Err(first) => {
                let root = give_up(&ctx, tasks, &mut failed, first).await;
                ctx.gone.cancel();
                Err(root)
            }
        }
    }

    /// A stack that stays has plain names; a second one of the same name is refused with
    /// better words than the engine's.
    async fn refuse_if_there(&self) -> Result<(), LiveError> {
        if !self.options.plain_names {
            return Ok(());
        }
        let stack = [
            format!("{}={}", label::PROJECT, self.plan.project),
            format!("{}={}", label::STACK, self.tags.stack()),
        ];
        let there = self.engine.find_containers(&stack).await;
        let there = there.map_err(|e| LiveError::Engine(Box::new(e.problem("list containers"))))?;
        if there.is_empty() {
            return Ok(());
        }
        let message = format!("the mirror of `{}` is up already", self.plan.project);
        let problem = Problem::new(ProblemKind::Conflict, message);
        Err(LiveError::Refused(Box::new(
            problem.help("remove it first: `prodmirror down`"),
        )))
    }

    fn events_since(&self) -> i64 {
        let ahead = self.engine.facts().clock_ahead_ms;
        let now = jiff::Timestamp::now().as_millisecond() + ahead;
        let before = i64::try_from(EVENTS_BEFORE.as_millis()).unwrap_or(0);
        (now - before).saturating_mul(1_000_000)
    }

    /// Makes what must exist before the containers do.
    async fn make(&self, files: &Files, chosen: &[&ContainerPlan]) -> Result<Made, LiveError> {
        let failed = |doing: &str, e: &EngineError| LiveError::Engine(Box::new(e.problem(doing)));
        if self.cancel.is_cancelled() {
            return Err(LiveError::Cancelled);
        }
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
        Ok(Made {
            agent: agent?,
            networks: networks?,
            volumes: volumes?,
            files: disk?,
            secrets: memory?,
        })
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
                .filter(|c| super::body::attachments(c).iter().any(|a| a.network == key))
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
                    let internal = plan.internal;
                    let made = MadeNetwork {
                        id,
                        name: new.name,
                        subnet,
                        internal,
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
        let message = format!("there is no free subnet for network `{}`", plan.key);
        let problem = Problem::new(ProblemKind::Start, message)
            .help("remove networks that nobody needs (`prodmirror gc`, `docker network ls`)");
        Err(LiveError::Refused(Box::new(problem)))
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

/// Keys of the volumes that these containers mount.
fn used_volumes(chosen: &[&ContainerPlan]) -> std::collections::BTreeSet<String> {
    let mut used = std::collections::BTreeSet::new();
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

/// Starts every replica, and the uploads that they wait for.
fn spawn_all(ctx: &Arc<Context>) -> JoinSet<Result<(), LiveError>> {
    let mut tasks = JoinSet::new();
    // In this order they ask for the engine's CPUs: long chains of dependents first.
    for position in 0..ctx.order.containers.len() {
        let plan = &ctx.plan.containers[ctx.order.containers[position]];
        if stub::is_stub(plan) {
            tasks.spawn(stub::start(ctx.clone(), position));
        } else {
            tasks.spawn(replica::start(ctx.clone(), position));
        }
    }
    if ctx.made.files.is_some() {
        tasks.spawn(upload_files(ctx.clone()));
    }
    if ctx.made.secrets.is_some() {
        tasks.spawn(upload_secrets(ctx.clone()));
    }
    tasks
}

/// Uploads all files of the stack at once, through a container that is never started.
async fn upload_files(ctx: Arc<Context>) -> Result<(), LiveError> {
    let Some((volume, _)) = &ctx.made.files else {
        return Ok(());
    };
    let failed = |e: &EngineError| ctx.engine_failed("upload files", e);
    let body = serde_json::json!({
        "Image": ctx.made.agent,
        "Cmd": ["hold"],
        "Labels": ctx.tags.labels(Role::Files),
        "HostConfig": {"NetworkMode": "none", "Binds": [format!("{volume}:{FILES_DIR}")]},
    });
    ctx.going()?;
    let new = NewContainer {
        name: ctx.tags.name("files"),
        body,
        platform: None,
    };
    let id = ctx
        .engine
        .create_container(&new)
        .await
        .map_err(|e| failed(&e))?
        .id;
    let archive = files::archive(ctx.files.entries(Shelf::Disk).to_vec());
    ctx.engine
        .put_archive_stream(&id, FILES_DIR, archive)
        .await
        .map_err(|e| failed(&e))?;
    ctx.files_ready.send_replace(true);
    ctx.engine
        .remove_container(&id)
        .await
        .map_err(|e| failed(&e))
}

/// Uploads the secrets into their volume in memory, which must be mounted by somebody who
/// runs: the first sandbox that holds it, or a container of its own.
async fn upload_secrets(ctx: Arc<Context>) -> Result<(), LiveError> {
    let Some((volume, _)) = &ctx.made.secrets else {
        return Ok(());
    };
    let failed = |e: &EngineError| ctx.engine_failed("upload secrets", e);
    let holder = ctx
        .order
        .containers
        .iter()
        .enumerate()
        .find_map(|(position, i)| {
            let plan = &ctx.plan.containers[*i];
            let owner = match &plan.network {
                NetworkOf::Own if !stub::is_stub(plan) => Some(key_of(plan)),
                NetworkOf::Service(s) => ctx.sandboxes.owner(s, plan.replica),
                _ => None,
            };
            owner.filter(|_| ctx.files.uses(position, Shelf::Memory))
        });
    let alone = ctx
        .order
        .containers
        .iter()
        .enumerate()
        .any(|(position, i)| {
            let plan = &ctx.plan.containers[*i];
            let no_sandbox = matches!(plan.network, NetworkOf::None | NetworkOf::Foreign(_))
                || stub::is_stub(plan);
            no_sandbox && ctx.files.uses(position, Shelf::Memory)
        });
    let id = match holder.filter(|_| !alone) {
        Some(owner) => ctx.until(ctx.sandboxes.wait(&owner, |s| s.ready)).await?.id,
        None => {
            let dir = sandbox::SECRETS_DIR;
            let body = serde_json::json!({
                "Image": ctx.made.agent,
                "Cmd": ["hold"],
                "Labels": ctx.tags.labels(Role::Files),
                "HostConfig": {"NetworkMode": "none", "Binds": [format!("{volume}:{dir}")],
                               "CapDrop": ["ALL"], "ReadonlyRootfs": true},
            });
            ctx.going()?;
            let new = NewContainer {
                name: ctx.tags.name("secrets"),
                body,
                platform: None,
            };
            let id = ctx
                .engine
                .create_container(&new)
                .await
                .map_err(|e| failed(&e))?
                .id;
            ctx.going()?;
            ctx.engine
                .start_container(&id)
                .await
                .map_err(|e| failed(&e))?;
            id
        }
    };
    ctx.going()?;
    let archive = files::archive(ctx.files.entries(Shelf::Memory).to_vec());
    let put = ctx
        .engine
        .put_archive_stream(&id, sandbox::SECRETS_DIR, archive)
        .await;
    put.map_err(|e| failed(&e))?;
    ctx.secrets_ready.send_replace(true);
    Ok(())
}

/// Waits until every task has ended well, or something fails the start.
async fn supervise(
    ctx: &Context,
    tasks: &mut JoinSet<Result<(), LiveError>>,
    failed: &mut mpsc::UnboundedReceiver<LiveError>,
    cancel: &CancellationToken,
    begun: Instant,
) -> Result<(), LiveError> {
    let deadline = tokio::time::sleep(ctx.options.timeout.saturating_sub(begun.elapsed()));
    tokio::pin!(deadline);
    loop {
        tokio::select! {
            biased;
            Some(failure) = failed.recv() => return Err(failure),
            () = cancel.cancelled() => return Err(LiveError::Cancelled),
            ended = tasks.join_next() => match ended {
                None => return Ok(()),
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(e))) => return Err(e),
                Some(Err(e)) => {
                    let message = format!("a part of the start broke off: {e}");
                    let problem = Problem::new(ProblemKind::Start, message);
                    return Err(LiveError::Refused(Box::new(problem)));
                }
            },
            () = &mut deadline => return Err(not_ready(ctx).await),
        }
    }
}

/// Asks once whether every service that was started still runs: a process that ended at once
/// may have ended before the engine told of it.
async fn confirm(ctx: &Context) -> Result<(), LiveError> {
    let there = ctx.engine.find_containers(&ctx.tags.filters()).await;
    let there = there.map_err(|e| ctx.engine_failed("list containers", &e))?;
    for found in there
        .iter()
        .filter(|f| f.state == "exited" || f.state == "restarting")
    {
        let replica = found.label(label::REPLICA).parse().unwrap_or(1);
        let key = (found.label(label::SERVICE).to_owned(), replica);
        if !ctx.board.get(&key).phase.is_up() {
            continue;
        }
        let told = ctx.board.wait(&key, |s| !s.phase.is_up());
        let told = tokio::time::timeout(EVENT_WITHIN, told).await;
        if let Some(what) = told.ok().and_then(|_| verdict(ctx, &key)) {
            return Err(ctx.failure(&key, what).await);
        }
    }
    Ok(())
}

/// Lets requests under way end, so that nothing is made after the sweep, and finds the
/// failure that explains the others.
async fn give_up(
    ctx: &Context,
    mut tasks: JoinSet<Result<(), LiveError>>,
    failed: &mut mpsc::UnboundedReceiver<LiveError>,
    first: LiveError,
) -> LiveError {
    ctx.stop.cancel();
    let all = async { while tasks.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(REQUESTS_END_WITHIN, all).await;
    // "The engine said no" is often the echo of a service that died a moment before.
    match &first {
        LiveError::Service(_) | LiveError::Cancelled => first,
        _ => match failed.try_recv() {
            Ok(LiveError::Service(f)) => LiveError::Service(f),
            _ => first,
        },
    }
}

/// The failure of a start whose time is over: the service that holds up the others.
async fn not_ready(ctx: &Context) -> LiveError {
    let after_ms = u64::try_from(ctx.options.timeout.as_millis()).unwrap_or(u64::MAX);
    let mut worst: Option<(u8, ReplicaKey, String)> = None;
    for position in 0..ctx.order.containers.len() {
        let plan = &ctx.plan.containers[ctx.order.containers[position]];
        let key = key_of(plan);
        let status = ctx.board.get(&key);
        let (rank, waiting_for) = match &status.phase {
            Phase::Running if status.checked => {
                let last = match status.health_output.as_str() {
                    "" => String::new(),
                    output => format!(" (last: {output})"),
                };
                (0, format!("its health check has not passed{last}"))
            }
            Phase::Restarting { code, .. } => {
                (1, format!("it ends again and again, with exit code {code}"))
            }
            Phase::Running if !status.begun => (2, "the commands after its start run".to_owned()),
            Phase::Running
                if plan.one_shot || ctx.order.wanted_completed.contains(&plan.service) =>
            {
                (3, "it has not ended".to_owned())
            }
            Phase::Planned => (4, "its container was not made yet".to_owned()),
            Phase::Created => (5, "it was not started yet".to_owned()),
            _ => continue,
        };
        if worst.as_ref().is_none_or(|(r, ..)| rank < *r) {
            worst = Some((rank, key, waiting_for));
        }
    }
    let (key, waiting_for) = match worst {
        Some((_, key, waiting_for)) => (key, waiting_for),
        None => return LiveError::Cancelled,
    };
    ctx.failure(
        &key,
        Failed::NotReady {
            after_ms,
            waiting_for,
        },
    )
    .await
}
