//! Services of a running stack, stopped and started again.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use prodmirror_model::diag::{Problem, ProblemKind};

use super::LiveStack;
use super::board::{Phase, ReplicaKey, Status};

/// How long services may take to be as they were.
const BACK_WITHIN: Duration = Duration::from_secs(120);

/// A replica, and what it was before it was stopped.
pub(super) type Was = (ReplicaKey, Status);

/// What became of a service's replicas.
#[derive(Debug, Clone)]
pub struct Replicas {
    /// How many ran before.
    pub before: u32,
    /// How many run now.
    pub running: u32,
    /// How long it took.
    pub took: Duration,
}

impl LiveStack {
    /// Stops replicas by their own signals, each within its grace, and gives what they were.
    pub(super) async fn stop_replicas(&self, keys: Vec<ReplicaKey>) -> Result<Vec<Was>, Problem> {
        let ctx = &self.context();
        let was: Vec<Was> = keys
            .into_iter()
            .map(|k| {
                let status = ctx.board.get(&k);
                (k, status)
            })
            .collect();
        let stops = was.iter().map(|(key, status)| async move {
            let plans = &mut ctx.plan.containers.iter();
            let plan = plans.find(|c| c.service == key.0 && c.replica == key.1);
            let grace = plan.and_then(|c| c.stop_grace);
            let stopped = ctx.engine.stop_container(&status.id, grace).await;
            stopped.map_err(|e| e.problem(format!("stop `{}`", key.0)))
        });
        match try_join_all(stops).await {
            Ok(_) => Ok(was),
            Err(p) => {
                // What was stopped runs again, as far as it can.
                let _ = self.start_replicas(&was).await;
                Err(p)
            }
        }
    }

    async fn told_to_have_ended(&self, key: &ReplicaKey) {
        let ctx = self.context();
        let ended = ctx.board.wait(key, |s| !s.phase.is_up());
        let _ = tokio::time::timeout(Duration::from_secs(5), ended).await;
    }

    /// Starts what was stopped, and waits until it is what it was.
    pub(super) async fn start_replicas(&self, was: &[Was]) -> Result<(), Problem> {
        let ctx = &self.context();
        let starts = was.iter().map(|(key, status)| async move {
            // The end is told before the start that follows it.
            self.told_to_have_ended(key).await;
            let started = ctx.engine.start_container(&status.id).await;
            started.map_err(|e| e.problem(format!("start `{}` again", key.0)))?;
            let healthy = status.phase == Phase::Healthy;
            let back = ctx.board.wait(key, |s| match healthy {
                true => s.phase == Phase::Healthy,
                false => s.phase.is_up(),
            });
            tokio::time::timeout(BACK_WITHIN, back).await.map_err(|_| {
                let message = format!("`{}` was not ready again within {BACK_WITHIN:?}", key.0);
                Problem::new(ProblemKind::Start, message)
            })
        });
        try_join_all(starts).await.map(|_| ())
    }

    /// Restarts a service as a deployment does: stopped by its own signal within its grace,
    /// started, and ready again. Dependents that production restarts with it follow.
    ///
    /// # Errors
    /// Unknown service, the engine's refusal, or it is not ready again in time.
    pub async fn restart_and_wait(&self, service: &str) -> Result<Duration, Problem> {
        let begun = Instant::now();
        let ctx = self.context();
        let mut wave = vec![service.to_owned()];
        let mut done = std::collections::BTreeSet::new();
        while let Some(service) = wave.pop() {
            if !done.insert(service.clone()) {
                continue;
            }
            let up = |k: &ReplicaKey| ctx.board.get(k).phase.is_up();
            let keys: Vec<ReplicaKey> = self.keys(&service)?.into_iter().filter(up).collect();
            let was = self.stop_replicas(keys).await?;
            self.start_replicas(&was).await?;
            wave.extend(
                ctx.order
                    .restarted_with
                    .get(&service)
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
        }
        Ok(begun.elapsed())
    }

    /// Stops replicas of a service, or starts those again that were stopped, until so many run.
    ///
    /// # Errors
    /// Unknown service; more replicas than production has.
    pub async fn scale(&self, service: &str, wanted: u32) -> Result<Replicas, Problem> {
        let begun = Instant::now();
        let ctx = self.context();
        let keys = self.keys(service)?;
        let most = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        if wanted > most {
            let message = format!("production runs {most} of `{service}`, and not {wanted}");
            return Err(Problem::new(ProblemKind::InvalidValue, message)
                .help("the stack has as many replicas as production: fewer can run, more cannot"));
        }
        let (up, down): (Vec<ReplicaKey>, Vec<ReplicaKey>) = keys
            .into_iter()
            .partition(|k| ctx.board.get(k).phase.is_up());
        let before = u32::try_from(up.len()).unwrap_or(u32::MAX);
        let wanted_len = wanted as usize;
        if wanted < before {
            // The last ones go first, as Compose and Kubernetes' StatefulSets do it.
            let last = up[wanted_len..].to_vec();
            let stopped = self.stop_replicas(last).await?;
            for (key, _) in &stopped {
                self.told_to_have_ended(key).await;
            }
        } else {
            let healthy = up.iter().any(|k| ctx.board.get(k).phase == Phase::Healthy);
            let missing = down.into_iter().take(wanted_len - up.len());
            let was: Vec<Was> = missing
                .map(|k| {
                    let mut status = ctx.board.get(&k);
                    if healthy {
                        status.phase = Phase::Healthy;
                    }
                    (k, status)
                })
                .collect();
            self.start_replicas(&was).await?;
        }
        Ok(Replicas {
            before,
            running: wanted,
            took: begun.elapsed(),
        })
    }
}
