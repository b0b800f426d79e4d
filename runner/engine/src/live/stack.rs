//! A running stack.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::ServiceState;
use prodmirror_model::plan::NetworkOf;

use super::board::{ReplicaKey, Status};
use super::body;
use super::context::{Context, Current, key_of};
use super::exec::{self, ExecOutput};
use super::label::Role;
use super::logs::LogBook;
use super::options::Teardown;
use super::order::no_such_service;
use super::supervise::hear;
use super::sweep::{DownReport, sweep};
use super::{down, subnet};
use crate::docker::{Engine, ExecSpec};
use crate::reach::{Names, Reach, Target, WayIn};

/// An engine that says nothing for so long is not waited for.
const HEARD_WITHIN: Duration = Duration::from_secs(5);

/// A stack that is up. Remove it with [`LiveStack::down`]; dropping it leaves it running
/// (until its run's lease ends).
pub struct LiveStack {
    /// The context of its start: what of it no later plan changes is taken from here.
    ctx: Arc<Context>,
    pub(super) current: Current,
    reach: Reach,
    services: BTreeMap<String, u32>,
}

/// A command to run in a service.
#[derive(Debug, Clone, Default)]
pub struct ExecRequest {
    /// Service.
    pub service: String,
    /// Replica; 0 = the first.
    pub replica: u32,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment on top of the service's, `NAME=value`.
    pub env: Vec<String>,
    /// User; absent = the service's.
    pub user: Option<String>,
    /// Working directory; absent = the service's.
    pub working_dir: Option<String>,
    /// What it reads from stdin.
    pub stdin: Option<Vec<u8>>,
    /// How long it may take; absent = for ever.
    pub timeout: Option<Duration>,
    /// How many bytes of each output are kept; 0 = 16 MiB.
    pub keep: usize,
}

impl std::fmt::Debug for LiveStack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveStack")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

impl LiveStack {
    pub(super) fn new(ctx: Arc<Context>, current: Current) -> Self {
        let mut services = BTreeMap::new();
        for (service, _) in ctx.board.keys() {
            *services.entry(service.clone()).or_default() += 1;
        }
        let networks = ctx.made.networks.values();
        let way_in = WayIn {
            networks: networks.clone().map(|n| n.id.clone()).collect(),
            gateways: networks.map(|n| subnet::gateway(n.subnet)).collect(),
            labels: ctx.tags.labels(Role::Gateway),
            name: ctx.tags.name("gateway"),
        };
        let reach = Reach::new(ctx.engine.clone(), names(&ctx), way_in);
        Self {
            ctx,
            current,
            reach,
            services,
        }
    }

    pub(super) fn context(&self) -> Arc<Context> {
        self.current.get()
    }

    /// Its identity within the run.
    pub fn id(&self) -> &str {
        &self.ctx.options.stack
    }

    /// The run it belongs to.
    pub fn run(&self) -> &str {
        &self.ctx.options.run
    }

    /// The engine it runs on.
    pub fn engine(&self) -> &Engine {
        &self.ctx.engine
    }

    /// Its services with their number of replicas.
    pub fn services(&self) -> &BTreeMap<String, u32> {
        &self.services
    }

    /// The way to its services.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// The engine's name of a volume.
    pub fn volume(&self, key: &str) -> Option<&str> {
        self.ctx.made.volumes.get(key).map(String::as_str)
    }

    /// What its services printed.
    pub fn logs(&self) -> &LogBook {
        &self.ctx.logs
    }

    /// What a replica is doing at present.
    ///
    /// # Errors
    /// There is no such service or replica.
    pub fn status(&self, service: &str, replica: u32) -> Result<Status, Problem> {
        let key = self.key(service, replica)?;
        Ok(self.ctx.board.get(&key))
    }

    /// Waits until a replica's status is as wanted. Give it a time limit of your own.
    ///
    /// # Errors
    /// There is no such service or replica.
    pub async fn wait(
        &self,
        service: &str,
        replica: u32,
        wanted: impl FnMut(&Status) -> bool,
    ) -> Result<Status, Problem> {
        let key = self.key(service, replica)?;
        Ok(self.ctx.board.wait(&key, wanted).await)
    }

    /// Runs a command in a service.
    ///
    /// # Errors
    /// Unknown service, a service that does not run, time over ([`ProblemKind::Start`]). A
    /// command that is not there gives exit code 126 or 127.
    pub async fn exec(&self, request: ExecRequest) -> Result<ExecOutput, Problem> {
        const KEEP: usize = 16 << 20;
        let key = self.key(&request.service, request.replica)?;
        let doing = format!(
            "run `{}` in `{}`",
            request.command.join(" "),
            request.service
        );
        let spec = ExecSpec {
            container: self.ctx.board.get(&key).id,
            command: request.command,
            env: request.env,
            user: request.user,
            working_dir: request.working_dir,
            ..ExecSpec::default()
        };
        let keep = if request.keep == 0 {
            KEEP
        } else {
            request.keep
        };
        let run = exec::run(&self.ctx.engine, &spec, request.stdin.as_deref(), keep);
        let done = match request.timeout {
            None => run.await,
            Some(limit) => tokio::time::timeout(limit, run).await.map_err(|_| {
                Problem::new(
                    ProblemKind::Start,
                    format!("could not {doing} within {limit:?}"),
                )
            })?,
        };
        done.map_err(|e| e.problem(doing))
    }

    /// Restarts the containers of a service, all at once, as `docker restart` does, and after
    /// them those of dependents that production restarts with it. Networks, addresses and
    /// names stay.
    ///
    /// # Errors
    /// Unknown service, or the engine's refusal.
    pub async fn restart(&self, service: &str) -> Result<(), Problem> {
        let ctx = self.context();
        let mut wave = vec![service.to_owned()];
        let mut done = std::collections::BTreeSet::new();
        while !wave.is_empty() {
            let mut next = Vec::new();
            for service in wave {
                self.restart_one(&service).await?;
                next.extend(ctx.order.restarted_with.get(&service).into_iter().flatten());
                done.insert(service);
            }
            wave = next
                .into_iter()
                .filter(|s| !done.contains(*s))
                .cloned()
                .collect();
        }
        Ok(())
    }

    async fn restart_one(&self, service: &str) -> Result<(), Problem> {
        let keys = self.keys(service)?;
        let restarts = keys.iter().map(|key| {
            let id = self.ctx.board.get(key).id;
            async move { self.ctx.engine.restart_container(&id, None).await }
        });
        let all = futures_util::future::try_join_all(restarts).await;
        all.map(|_| ())
            .map_err(|e| e.problem(format!("restart `{service}`")))
    }

    /// Ids of a service's containers on the engine, by replica.
    ///
    /// # Errors
    /// Unknown service.
    pub fn containers(&self, service: &str) -> Result<Vec<String>, Problem> {
        Ok(self
            .keys(service)?
            .iter()
            .map(|k| self.ctx.board.get(k).id)
            .collect())
    }

    /// Waits until the engine has told of every service that has ended by now. One that cannot
    /// be asked is noticed elsewhere.
    pub async fn hear_of_ends(&self) {
        let _ = tokio::time::timeout(HEARD_WITHIN, hear(&self.context())).await;
    }

    /// Removes it. May be called again; then it removes what is left. `how` absent = as the
    /// options of its start say.
    pub async fn down(&self, how: Option<&Teardown>) -> DownReport {
        let begun = Instant::now();
        let how = how.unwrap_or(&self.ctx.options.teardown);
        let filters = self.ctx.tags.filters();
        self.context().stop.cancel();
        if how.graceful {
            down::stop_in_order(&self.ctx.engine, &filters, how).await;
        }
        let mut report = sweep(&self.ctx.engine, &filters, how.deadline).await;
        if let Some(data) = self
            .ctx
            .options
            .data
            .as_ref()
            .filter(|_| report.left.is_empty())
        {
            data.take_back(&self.ctx.options.stack).await;
        }
        report.took = begun.elapsed();
        if !self.ctx.gone.is_cancelled() {
            self.ctx.gone.cancel();
            for key in self.ctx.board.keys() {
                self.ctx.emit_state(key, ServiceState::Removed, None);
            }
        }
        report
    }

    pub(super) fn key(&self, service: &str, replica: u32) -> Result<ReplicaKey, Problem> {
        let keys = self.keys(service)?;
        let key = keys
            .into_iter()
            .find(|(_, r)| replica == 0 || *r == replica);
        key.ok_or_else(|| {
            let message = format!("service `{service}` has no replica {replica}");
            Problem::new(ProblemKind::UnknownReference, message)
        })
    }

    pub(super) fn keys(&self, service: &str) -> Result<Vec<ReplicaKey>, Problem> {
        let keys: Vec<ReplicaKey> = self.ctx.board.replicas_of(service).cloned().collect();
        if !keys.is_empty() {
            return Ok(keys);
        }
        Err(no_such_service(
            service,
            self.services.keys().map(String::as_str),
        ))
    }
}

/// Every name that leads to a container of the stack.
pub(super) fn names(ctx: &Context) -> Names {
    let mut names = Names::default();
    for i in &ctx.order.containers {
        let plan = &ctx.plan.containers[*i];
        let owner = match &plan.network {
            NetworkOf::Own => Some(key_of(plan)),
            NetworkOf::Service(s) => ctx.sandboxes.owner(s, plan.replica),
            NetworkOf::None | NetworkOf::Foreign(_) => None,
        };
        let Some(sandbox) = owner.and_then(|o| ctx.sandboxes.get(&o)) else {
            names.add_unreachable(&plan.service);
            continue;
        };
        let attached = body::attachments(plan);
        let first = attached
            .first()
            .and_then(|a| ctx.made.networks.get(&a.network));
        let address = first.and_then(|n| sandbox.addresses.get(&n.name).copied());
        let Some(address) = address.or_else(|| sandbox.addresses.values().next().copied()) else {
            names.add_unreachable(&plan.service);
            continue;
        };
        let target = Target {
            service: plan.service.clone(),
            replica: plan.replica,
            address,
        };
        names.add(&plan.service, target.clone());
        let hostname = plan
            .body
            .get("Hostname")
            .and_then(|h| h.as_str())
            .unwrap_or_default();
        let aliases = attached
            .iter()
            .flat_map(|a| a.aliases.iter().map(String::as_str));
        for name in aliases.chain([hostname]).filter(|n| !n.is_empty()) {
            names.add(name, target.clone());
        }
    }
    names
}
