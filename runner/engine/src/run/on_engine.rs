//! Stacks on an engine: what the dispatcher starts, and what steps see of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_model::event::What;
use prodmirror_model::plan::Plan;
use prodmirror_model::secret::Secret;

use super::dispatcher::{Need, Stack, StackFactory, StackRefused};
use super::stop::Stop;
use crate::bus::Sink;
use crate::docker::Engine;
use crate::live::{LiveError, LiveStack, Teardown, UpOptions, up};
use crate::step::StackWorld;
use crate::step::world::{Later, World};

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

/// Starts stacks of one plan on one engine.
pub struct EngineStacks {
    /// The engine.
    pub engine: Engine,
    /// What each stack consists of.
    pub plan: Arc<Plan>,
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
    /// Options of every start, made for a stack's identity.
    pub options: Arc<dyn Fn(UpOptions) -> UpOptions + Send + Sync>,
}

impl EngineStacks {
    async fn bring_up(&self, need: &Need, stop: &Stop) -> Result<LiveStack, StackRefused> {
        let mut options = (self.options)(UpOptions::new(self.run.clone(), need.stack.clone()));
        options.timeout = self.timeout;
        let cancel = options.cancel.clone();
        let start = up(&self.engine, self.plan.clone(), options, self.sink.clone());
        tokio::pin!(start);
        let started = tokio::select! {
            started = &mut start => started,
            () = stop.stopping() => {
                cancel.cancel();
                start.await
            }
        };
        started.map_err(|e| self.refuse(need, &e))
    }

    fn refuse(&self, need: &Need, e: &LiveError) -> StackRefused {
        let problem = e.problem();
        let reason = match &problem.help {
            Some(help) => format!("{} ({help})", problem.message),
            None => problem.message.clone(),
        };
        self.sink.emit(What::StackFailed {
            stack: need.stack.clone(),
            service: e.service().map(str::to_owned),
            reason: reason.clone(),
            log: e.log().to_vec(),
        });
        StackRefused { reason }
    }
}

impl StackFactory for EngineStacks {
    fn start<'a>(
        &'a self,
        need: &'a Need,
        stop: &'a Stop,
    ) -> Later<'a, Result<Box<dyn Stack>, StackRefused>> {
        Box::pin(async move {
            let live = self.bring_up(need, stop).await?;
            let live = Arc::new(live);
            let world = StackWorld::new(live.clone(), &self.plan)
                .with_roots(self.roots.clone())
                .with_secrets(self.secrets.clone());
            let stack = Running {
                live,
                world: Arc::new(world),
                keep: self.keep,
                sink: self.sink.clone(),
            };
            Ok(Box::new(stack) as Box<dyn Stack>)
        })
    }
}

fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

struct Running {
    live: Arc<LiveStack>,
    world: Arc<StackWorld>,
    keep: Keep,
    sink: Arc<dyn Sink>,
}

impl Stack for Running {
    fn world(&self) -> Arc<dyn World> {
        self.world.clone()
    }

    fn finish(self: Box<Self>, passed: bool) -> Later<'static, ()> {
        Box::pin(async move {
            let keep = match self.keep {
                Keep::Never => false,
                Keep::OnFailure => !passed,
                Keep::Always => true,
            };
            let stack = self.live.id().to_owned();
            if keep {
                self.sink.emit(What::Warning {
                    message: format!(
                        "stack {stack} is left running: `prodmirror ps` shows it, \
                         `prodmirror down` removes it"
                    ),
                });
                return;
            }
            let began = Instant::now();
            let report = self.live.down(Some(&Teardown::default())).await;
            for left in &report.left {
                self.sink.emit(What::Warning {
                    message: format!("could not remove {left}; `prodmirror gc` tries again"),
                });
            }
            self.sink.emit(What::StackStopped {
                stack,
                took_ms: ms(began),
            });
        })
    }
}
