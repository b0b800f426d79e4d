//! Stacks on an engine: what the dispatcher starts, and what steps see of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_model::diag::ProblemKind;
use prodmirror_model::event::What;
use prodmirror_model::flags::OverrideKey;
use prodmirror_model::plan::{Observation, Plan};
use prodmirror_model::secret::Secret;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::dispatcher::{Finished, Need, Stack, StackFactory, StackRefused};
use super::read_back::ReadBack;
use super::stop::Stop;
use crate::bus::Sink;
use crate::docker::Engine;
use crate::live::{LiveError, LiveStack, Remade, Remains, Remake, Teardown, UpOptions, up};
use crate::step::StackWorld;
use crate::step::world::{Later, World};
use crate::store::Clones;

/// How long it is tried to remove a stack when the engine is known to be lost.
const LOST_WITHIN: Duration = Duration::from_secs(5);
/// How long the removal of a stack waits for it to be read back.
const OBSERVED_WITHIN: Duration = Duration::from_secs(5);

/// When a stack is left running after its scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// It is always removed.
    #[default]
    Never,
    /// It is left when one of its scenarios did not pass.
    OnFailure,
    /// It is always left.
    Always,
}

/// Takes what the engine shows of the stack of this name.
pub type Observer = Arc<dyn Fn(&str, Observation) + Send + Sync>;

/// Plans of stacks whose feature flags differ from production's, by what differs.
pub type FlagPlans = BTreeMap<OverrideKey, Arc<Plan>>;

/// Starts stacks of one plan on one engine.
pub struct EngineStacks {
    /// The engine.
    pub engine: Engine,
    /// What each stack consists of.
    pub plan: Arc<Plan>,
    /// The same with other values of feature flags.
    pub flag_plans: FlagPlans,
    /// The flags of the stacks that are read back; they are of one plan.
    pub observed: OverrideKey,
    /// The run that they belong to.
    pub run: String,
    /// Where facts go.
    pub sink: Arc<dyn Sink>,
    /// When they are left.
    pub keep: Keep,
    /// Certificates (DER) of the authorities that steps trust.
    pub roots: Vec<Vec<u8>>,
    /// Values of `secrets.<name>`.
    pub secrets: BTreeMap<String, Secret>,
    /// How long a start may take.
    pub timeout: Duration,
    /// Is told what the engine shows of the first stack with the flags `observed` that is ready.
    pub observer: Option<Observer>,
    /// Whether it was told.
    pub read_back: Arc<ReadBack>,
    /// Who gives clones of snapshots.
    pub data: Option<Arc<Clones>>,
    /// Options of every start, made for a stack's identity.
    pub options: Arc<dyn Fn(UpOptions) -> UpOptions + Send + Sync>,
}

impl EngineStacks {
    /// The plan of a stack with these flags.
    fn plan_of(&self, flags: &OverrideKey) -> Option<&Arc<Plan>> {
        if flags.is_empty() {
            return Some(&self.plan);
        }
        self.flag_plans.get(flags)
    }

    fn planned(&self, need: &Need) -> Result<&Arc<Plan>, StackRefused> {
        self.plan_of(&need.flags).ok_or_else(|| StackRefused {
            reason: "nothing was planned for its feature flags".to_owned(),
            lost: false,
        })
    }

    async fn bring_up(&self, need: &Need, stop: &Stop) -> Result<LiveStack, StackRefused> {
        let mut options = (self.options)(UpOptions::new(self.run.clone(), need.stack.clone()));
        options.timeout = self.timeout;
        options.data.clone_from(&self.data);
        options.snapshots.clone_from(&need.data);
        let plan = self.planned(need)?;
        let cancel = options.cancel.clone();
        let began = Instant::now();
        self.sink.emit(What::StackStarting {
            stack: need.stack.clone(),
            services: services(plan),
        });
        let start = up(&self.engine, plan.clone(), options, self.sink.clone());
        tokio::pin!(start);
        let started = tokio::select! {
            started = &mut start => started,
            () = stop.stopping() => {
                cancel.cancel();
                start.await
            }
        };
        let live = started.map_err(|e| self.refuse(&need.stack, &e))?;
        self.sink.emit(What::StackReady {
            stack: need.stack.clone(),
            took_ms: ms(began),
        });
        Ok(live)
    }

    /// Reads the first stack back that can be, beside whatever runs on it.
    fn observe(&self, need: &Need, live: &Arc<LiveStack>) -> Option<JoinHandle<()>> {
        let observer = self
            .observer
            .clone()
            .filter(|_| need.flags == self.observed)?;
        let read_back = self.read_back.clone();
        if !read_back.begin() {
            return None;
        }
        let (live, sink) = (live.clone(), self.sink.clone());
        Some(tokio::spawn(async move {
            let observed = live.observe().await;
            read_back.end(observed.is_ok());
            match observed {
                Ok(observation) => observer(live.id(), observation),
                Err(p) => sink.emit(What::Warning {
                    message: format!("fidelity is what was planned, not what runs: {p}"),
                }),
            }
        }))
    }

    fn refuse(&self, stack: &str, e: &LiveError) -> StackRefused {
        let problem = e.problem();
        let reason = match &problem.help {
            Some(help) => format!("{} ({help})", problem.message),
            None => problem.message.clone(),
        };
        self.sink.emit(What::StackFailed {
            stack: stack.to_owned(),
            service: e.service().map(str::to_owned),
            reason: reason.clone(),
            log: e.log().to_vec(),
        });
        StackRefused {
            reason,
            lost: problem.kind == ProblemKind::Engine,
        }
    }
}

impl EngineStacks {
    /// Starts a stack, as [`StackFactory::start`] does.
    ///
    /// # Errors
    /// It could not be had, which the sink was told.
    pub async fn bring(&self, need: &Need, stop: &Stop) -> Result<Running, StackRefused> {
        let live = Arc::new(self.bring_up(need, stop).await?);
        let observing = self.observe(need, &live);
        Ok(Running {
            world: self.world(&live, need),
            live,
            observing,
            keep: self.keep,
            sink: self.sink.clone(),
            stop: stop.clone(),
        })
    }

    fn world(&self, live: &Arc<LiveStack>, need: &Need) -> Arc<StackWorld> {
        let plan = self.plan_of(&need.flags).unwrap_or(&self.plan);
        let world = StackWorld::new(live.clone(), plan);
        let world = world.with_roots(self.roots.clone());
        Arc::new(world.with_secrets(self.secrets.clone()))
    }

    /// Makes services of a stack again, as the plan says that `need` is about. `changed` are
    /// files of this machine with another content than the stack was given.
    ///
    /// # Errors
    /// It could not be done, which the sink was told; the stack's other services still run.
    pub async fn remake(
        &self,
        running: &mut Running,
        need: &Need,
        (services, changed): (BTreeSet<String>, BTreeSet<PathBuf>),
        stop: &Stop,
    ) -> Result<Remade, StackRefused> {
        let plan = self.planned(need)?;
        let cancel = CancellationToken::new();
        let how = Remake {
            plan: plan.clone(),
            services,
            changed,
            cancel: cancel.clone(),
        };
        let live = running.live.clone();
        let remade = live.remake(how);
        tokio::pin!(remade);
        let remade = tokio::select! {
            remade = &mut remade => remade,
            () = stop.stopping() => {
                cancel.cancel();
                remade.await
            }
        };
        let stack = live.id();
        let remade = remade.map_err(|e| self.refuse(stack, &e))?;
        running.world = self.world(&live, need);
        Ok(remade)
    }
}

impl StackFactory for EngineStacks {
    fn start<'a>(
        &'a self,
        need: &'a Need,
        stop: &'a Stop,
    ) -> Later<'a, Result<Box<dyn Stack>, StackRefused>> {
        Box::pin(async move {
            let stack = self.bring(need, stop).await?;
            Ok(Box::new(stack) as Box<dyn Stack>)
        })
    }
}

/// The services of a plan, each once, in its order.
fn services(plan: &Plan) -> Vec<String> {
    let mut services: Vec<String> = plan.containers.iter().map(|c| c.service.clone()).collect();
    services.dedup();
    services
}

fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A stack that runs on an engine.
pub struct Running {
    live: Arc<LiveStack>,
    /// The reading back, which needs the containers.
    observing: Option<JoinHandle<()>>,
    world: Arc<StackWorld>,
    keep: Keep,
    sink: Arc<dyn Sink>,
    stop: Stop,
}

impl Running {
    /// Its services that ended, or are unhealthy.
    pub fn fallen(&self) -> BTreeSet<String> {
        self.live.fallen()
    }
}

impl Stack for Running {
    fn world(&self) -> Arc<dyn World> {
        self.world.clone()
    }

    fn autopsy(&self) -> Later<'_, Vec<Remains>> {
        Box::pin(self.live.autopsy())
    }

    fn finish(self: Box<Self>, passed: bool) -> Later<'static, Finished> {
        Box::pin(async move {
            let keep = match self.keep {
                Keep::Never => false,
                Keep::OnFailure => !passed,
                Keep::Always => true,
            };
            let stack = self.live.id().to_owned();
            if let Some(observing) = self.observing {
                let _ = tokio::time::timeout(OBSERVED_WITHIN, observing).await;
            }
            if keep {
                self.sink.emit(What::Warning {
                    message: format!(
                        "stack {stack} is left running: `prodmirror ps` shows it, \
                         `prodmirror down` removes it"
                    ),
                });
                return Finished::default();
            }
            let began = Instant::now();
            let mut how = Teardown::default();
            if self.stop.lost().is_some() {
                how.deadline = LOST_WITHIN;
            }
            let report = self.live.down(Some(&how)).await;
            for left in &report.left {
                self.sink.emit(What::Warning {
                    message: format!("could not remove {left}"),
                });
            }
            if report.left.is_empty() {
                self.sink.emit(What::StackStopped {
                    stack,
                    took_ms: ms(began),
                });
            }
            Finished {
                left: !report.left.is_empty(),
                lost: report.lost,
            }
        })
    }
}
