//! What is left of a stack on which something failed, looked at before it is removed.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value as Json;

use super::context::{Context, key_of};
use super::stack::LiveStack;
use crate::docker::EngineError;

/// How long the engine may take to show a container.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);
/// How long it may take to say what a container uses. Docker Engine 20.10 waits for its next
/// sample, up to a second, and a failing run does not: its processes tell most of it at once.
const USAGE_WITHIN: Duration = Duration::from_millis(100);
/// How long it may take to list changed files. One that walks through the whole image for it
/// is not asked: it would go on when nobody waits any more, and hold up whatever comes next.
const CHANGES_WITHIN: Duration = Duration::from_secs(1);
/// Files that are listed of one container, at most.
const MOST_CHANGES: usize = 10_000;

/// One container, as the engine shows it. Each part is absent when the engine could not say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remains {
    /// Its service.
    pub service: String,
    /// Its replica, from 1.
    pub replica: u32,
    /// All that the engine shows of it (`docker inspect`). It holds secrets.
    pub shown: Option<Json>,
    /// What it has otherwise than its image: `A /path`, `C /path` or `D /path` for added, changed
    /// and deleted, as `docker diff` prints it.
    pub changes: Option<Vec<String>>,
    /// Its processes (`docker top`): state, memory, times, and the program without arguments.
    pub processes: Option<Json>,
    /// What it used of the machine (`docker stats`), when the engine has that at hand.
    pub usage: Option<Json>,
}

impl LiveStack {
    /// Looks at all of its containers at once. What cannot be had is left out: this is done for
    /// people who look for a cause, and is no reason for anything to fail.
    pub async fn autopsy(&self) -> Vec<Remains> {
        let ctx = self.context();
        let asked = ctx.order.containers.iter().map(|i| look(&ctx, *i));
        join_all(asked).await
    }
}

async fn look(ctx: &Context, position: usize) -> Remains {
    let plan = &ctx.plan.containers[position];
    let id = ctx.board.get(&key_of(plan)).id;
    let (shown, changes, processes, usage) = futures_util::future::join4(
        within(SHOWN_WITHIN, ctx.engine.show_container(&id)),
        changes(ctx, &id),
        within(SHOWN_WITHIN, ctx.engine.container_processes(&id)),
        within(USAGE_WITHIN, ctx.engine.container_usage(&id)),
    )
    .await;
    let cut = |mut all: Vec<String>| {
        let more = all.len().saturating_sub(MOST_CHANGES);
        all.truncate(MOST_CHANGES);
        if more > 0 {
            all.push(format!("… and {more} more"));
        }
        all
    };
    Remains {
        service: plan.service.clone(),
        replica: plan.replica,
        shown,
        changes: changes.map(cut),
        processes,
        usage,
    }
}

async fn changes(ctx: &Context, id: &str) -> Option<Vec<String>> {
    if !ctx.engine.facts().lists_changes {
        return None;
    }
    within(CHANGES_WITHIN, ctx.engine.container_changes(id)).await
}

/// What came in time.
async fn within<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, EngineError>>,
) -> Option<T> {
    tokio::time::timeout(limit, asked).await.ok()?.ok()
}
