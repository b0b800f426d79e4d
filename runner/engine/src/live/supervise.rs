//! A start under way: until all of it is ready, or something fails it.

use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::board::{Phase, ReplicaKey, Status};
use super::context::{Context, key_of};
use super::error::{Failed, LiveError};
use super::label;
use super::watch::verdict;
use crate::docker::EngineError;

/// How long requests under way may take after the start was given up.
const REQUESTS_END_WITHIN: Duration = Duration::from_secs(45);
/// How long the engine may take to tell of an end that it shows already.
const EVENT_WITHIN: Duration = Duration::from_secs(5);

/// Waits until every task has ended well, or something fails the start.
pub async fn supervise(
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
pub async fn confirm(ctx: &Context) -> Result<(), LiveError> {
    let ended = hear(ctx).await;
    let ended = ended.map_err(|e| ctx.engine_failed("list containers", &e))?;
    for key in ended.iter().filter(|k| ctx.judges(&k.0)) {
        if let Some(what) = verdict(ctx, key) {
            return Err(ctx.failure(key, what).await);
        }
    }
    Ok(())
}

/// Waits until the engine has told of every end that it shows, and gives whose they are.
pub async fn hear(ctx: &Context) -> Result<Vec<ReplicaKey>, EngineError> {
    let there = ctx.engine.find_containers(&ctx.tags.filters()).await?;
    let mut ended = Vec::new();
    for found in there
        .iter()
        .filter(|f| f.state == "exited" || f.state == "restarting")
    {
        let replica = found.label(label::REPLICA).parse().unwrap_or(1);
        let key = (found.label(label::SERVICE).to_owned(), replica);
        let status = ctx.board.get(&key);
        if status.id != found.id || !status.phase.is_up() {
            continue;
        }
        let told = ctx.board.wait(&key, |s| !s.phase.is_up());
        if tokio::time::timeout(EVENT_WITHIN, told).await.is_ok() {
            ended.push(key);
        }
    }
    Ok(ended)
}

/// Lets requests under way end, so that nothing is made after the sweep, and finds the
/// failure that explains the others.
pub async fn give_up(
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
        let ends = plan.one_shot || ctx.order.wanted_completed.contains(&plan.service);
        let Some((rank, waiting_for)) = holds_up(&ctx.board.get(&key), ends) else {
            continue;
        };
        if worst.as_ref().is_none_or(|(r, ..)| rank < *r) {
            worst = Some((rank, key, waiting_for));
        }
    }
    let Some((_, key, waiting_for)) = worst else {
        return LiveError::Cancelled;
    };
    let what = Failed::NotReady {
        after_ms,
        waiting_for,
    };
    ctx.failure(&key, what).await
}

/// What keeps a replica from being ready, with a rank: the lower, the nearer to the cause.
/// `ends` says whether it is meant to end.
fn holds_up(status: &Status, ends: bool) -> Option<(u8, String)> {
    Some(match &status.phase {
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
        Phase::Running if ends => (3, "it has not ended".to_owned()),
        Phase::Planned => (4, "its container was not made yet".to_owned()),
        Phase::Created => (5, "it was not started yet".to_owned()),
        _ => return None,
    })
}
