//! The engine's events of one stack: what became of each container, as it happens.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use prodmirror_model::plan::{ContainerPlan, End};

use super::board::{Phase, ReplicaKey};
use super::context::{Context, Current, key_of};
use super::error::{Failed, LiveError};
use super::label;
use super::replica::follow_log;
use crate::docker::EngineEvent;

/// Exit code of a process that was killed (128 and SIGKILL).
const KILLED: i64 = 137;
/// How often the engine is asked whether that was for want of memory, and how long after another.
const OOM_LOOKS: u32 = 10;
const OOM_PAUSE: Duration = Duration::from_millis(100);

/// After so many restarts by the engine during the start a service counts as failed: its
/// pauses double, and nobody wants to wait for the start's whole time.
const CRASH_LOOP: u32 = 5;
/// Attempts to get the events back before the engine counts as lost.
const ATTEMPTS: u32 = 25;
/// Pause between these.
const AGAIN_AFTER: Duration = Duration::from_millis(400);

/// Follows the events of a stack until it is removed. `since` is the engine's time before
/// its first container, nanoseconds.
pub async fn watch(current: Current, since: i64) {
    let (engine, labels) = {
        let ctx = current.get();
        (ctx.engine.clone(), ctx.tags.filters())
    };
    let mut since = since;
    let mut failed = 0;
    loop {
        let mut events = engine.events(&labels, since);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    failed = 0;
                    // The same instant is asked for again, so an event may come twice, but
                    // none is missed; all reactions to them bear that.
                    since = since.max(event.at_nanos);
                    react(&current.get(), &event).await;
                }
                Err(e) => {
                    failed += 1;
                    if failed > ATTEMPTS {
                        let lost = LiveError::Engine(Box::new(e.problem("follow its events")));
                        let _ = current.get().failures.send(lost);
                        failed = 0;
                    }
                    break;
                }
            }
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn react(ctx: &Arc<Context>, event: &EngineEvent) {
    let text = |name: &str| event.attributes.get(name).map_or("", String::as_str);
    let replica = text(label::REPLICA).parse().unwrap_or(1);
    let key: ReplicaKey = (text(label::SERVICE).to_owned(), replica);
    match text(label::ROLE) {
        // What is told of a container that another one has replaced is of no account.
        "service" | "stub" if ctx.board.get(&key).id == event.id => {
            service_event(ctx, &key, event).await;
        }
        // Another process made the service again.
        "service" if event.action == "start" && !text(label::RENEWED).is_empty() => {
            adopt(ctx, &key, &event.id).await;
        }
        "sandbox" if event.action == "die" && !ctx.stop.is_cancelled() => {
            let code = text("exitCode");
            let what = Failed::Sandbox(format!("its sandbox ended with exit code {code}"));
            let _ = ctx.failures.send(ctx.failure(&key, what).await);
        }
        _ => {}
    }
}

/// Takes a container for a service's own, in the place of the one that was there.
async fn adopt(ctx: &Arc<Context>, key: &ReplicaKey, id: &str) {
    // The event may be an old one.
    let state = ctx.engine.inspect_container(id).await;
    if !state.is_ok_and(|s| s.running) {
        return;
    }
    ctx.set(key, |s| {
        s.id = id.to_owned();
        s.phase = Phase::Running;
    });
    follow_log(ctx, key, id);
}

async fn service_event(ctx: &Arc<Context>, key: &ReplicaKey, event: &EngineEvent) {
    match event.action.as_str() {
        "start" => ctx.set(key, |s| {
            if !s.phase.is_up() {
                s.phase = Phase::Running;
            }
        }),
        "health_status: healthy" => ctx.set(key, |s| {
            if s.phase.is_up() {
                s.phase = Phase::Healthy;
            }
        }),
        "health_status: unhealthy" => unhealthy(ctx, key, &event.id).await,
        "die" => died(ctx, key, event).await,
        _ => {}
    }
}

async fn unhealthy(ctx: &Arc<Context>, key: &ReplicaKey, id: &str) {
    let state = ctx.engine.inspect_container(id).await.unwrap_or_default();
    ctx.set(key, |s| {
        s.health_output = state.health_output;
        s.phase = Phase::Unhealthy;
    });
    if !ctx.order.optional.contains(&key.0) && ctx.judges(&key.0) {
        let output = ctx.board.get(key).health_output;
        let _ = ctx
            .failures
            .send(ctx.failure(key, Failed::Unhealthy { output }).await);
    }
}

async fn died(ctx: &Arc<Context>, key: &ReplicaKey, event: &EngineEvent) {
    let before = ctx.board.get(key);
    let code = event
        .attributes
        .get("exitCode")
        .and_then(|c| c.parse().ok());
    let Ok(state) = ctx.engine.inspect_container(&event.id).await else {
        // Removed already: nobody waits for it any more.
        let code = code.unwrap_or(-1);
        ctx.set(key, |s| s.phase = Phase::Ended { code, oom: false });
        return;
    };
    let code = code.unwrap_or(state.exit_code);
    // The engine decides on a restart before it tells of the death.
    let restarting = state.status == "restarting" || state.restarts > before.restarts;
    ctx.set(key, |s| {
        s.restarts = state.restarts;
        s.phase = if restarting {
            Phase::Restarting {
                code,
                oom: state.oom,
            }
        } else {
            Phase::Ended {
                code,
                oom: state.oom,
            }
        };
    });
    // While its start is still being answered, who asked for it judges.
    let judge = before.phase != Phase::Created && !ctx.stop.is_cancelled() && ctx.judges(&key.0);
    if let Some(what) = verdict(ctx, key).filter(|_| judge) {
        let reason_may_come = matches!(
            what,
            Failed::Died {
                code: KILLED,
                oom: false,
                ..
            }
        ) && is_limited(ctx, key);
        if reason_may_come {
            tokio::spawn(fail_later(ctx.clone(), key.clone(), event.id.clone(), what));
        } else {
            let _ = ctx.failures.send(ctx.failure(key, what).await);
        }
    }
    if restarting && state.running {
        // It is up again already; the event of its start may have come before this one.
        ctx.set(key, |s| s.phase = Phase::Running);
    }
}

/// Whether a service has a limit of memory.
fn is_limited(ctx: &Context, key: &ReplicaKey) -> bool {
    let plan = ctx.plan.containers.iter().find(|c| key_of(c) == *key);
    plan.is_some_and(|c| c.body["HostConfig"]["Memory"].as_u64().unwrap_or(0) > 0)
}

/// Tells of a death when it is known whether it was for want of memory. The engine hears of the
/// death and of its reason by two ways, and the reason may come later.
async fn fail_later(ctx: Arc<Context>, key: ReplicaKey, id: String, mut what: Failed) {
    for _ in 0..OOM_LOOKS {
        tokio::time::sleep(OOM_PAUSE).await;
        match ctx.engine.inspect_container(&id).await {
            Ok(state) if state.oom => {
                if let Failed::Died { oom, .. } = &mut what {
                    *oom = true;
                }
                ctx.set(&key, |s| {
                    if let Phase::Ended { oom, .. } | Phase::Restarting { oom, .. } = &mut s.phase {
                        *oom = true;
                    }
                });
                break;
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    if !ctx.stop.is_cancelled() {
        let _ = ctx.failures.send(ctx.failure(&key, what).await);
    }
}

/// Whether the present status of a replica fails the start.
pub fn verdict(ctx: &Context, key: &ReplicaKey) -> Option<Failed> {
    let status = ctx.board.get(key);
    let plan = ctx.plan.containers.iter().find(|c| key_of(c) == *key)?;
    let is_loop = status.restarts >= CRASH_LOOP && !plan.care.patient;
    let (code, oom) = match status.phase {
        Phase::Ended { code, oom } => (code, oom),
        Phase::Restarting { code, oom } if is_loop => (code, oom),
        _ => return None,
    };
    if ctx.order.optional.contains(&key.0) {
        return None;
    }
    if plan.end == Some(End::Harmless) && !ctx.order.wanted_completed.contains(&plan.service) {
        return None;
    }
    if code == 0 && may_complete(ctx, plan, status.checked) {
        return None;
    }
    Some(Failed::Died {
        code,
        oom,
        restarts: status.restarts,
    })
}

/// Whether exit code 0 is a good end for a service: it is meant to end, or nobody needs it
/// to go on.
fn may_complete(ctx: &Context, plan: &ContainerPlan, checked: bool) -> bool {
    if plan.end == Some(End::Fatal) {
        return plan.one_shot;
    }
    plan.one_shot
        || ctx.order.wanted_completed.contains(&plan.service)
        || !(checked || ctx.order.wanted_healthy.contains(&plan.service))
}
