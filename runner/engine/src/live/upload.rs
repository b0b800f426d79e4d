//! Files and secrets, put into the volumes that services have them from.

use std::sync::Arc;

use prodmirror_model::plan::NetworkOf;

use super::board::ReplicaKey;
use super::context::{Context, key_of};
use super::error::LiveError;
use super::files::{Shelf, archive};
use super::label::Role;
use super::sandbox;
use crate::docker::{EngineError, NewContainer};

/// Where the uploading container has the volume of files.
const FILES_DIR: &str = "/files";

/// Uploads all files of the stack at once, through a container that is never started.
pub async fn files(ctx: Arc<Context>) -> Result<(), LiveError> {
    let Some((volume, _)) = ctx.made.shelf(Shelf::Disk, ctx.files.upload()) else {
        return Ok(());
    };
    let failed = |e: &EngineError| ctx.engine_failed("upload files", e);
    let id = create_holder(&ctx, &ctx.files.named("files"), volume, FILES_DIR).await?;
    let tar = archive(ctx.files.entries(Shelf::Disk).to_vec());
    ctx.engine
        .put_archive_stream(&id, FILES_DIR, tar)
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
pub async fn secrets(ctx: Arc<Context>) -> Result<(), LiveError> {
    let Some((volume, _)) = ctx.made.shelf(Shelf::Memory, ctx.files.upload()) else {
        return Ok(());
    };
    let failed = |e: &EngineError| ctx.engine_failed("upload secrets", e);
    let id = match holder(&ctx).filter(|_| ctx.files.is_first()) {
        Some(owner) => ctx.until(ctx.sandboxes.wait(&owner, |s| s.ready)).await?.id,
        None => start_holder(&ctx, volume).await?,
    };
    ctx.going()?;
    let tar = archive(ctx.files.entries(Shelf::Memory).to_vec());
    let put = ctx
        .engine
        .put_archive_stream(&id, sandbox::SECRETS_DIR, tar)
        .await;
    put.map_err(|e| failed(&e))?;
    ctx.secrets_ready.send_replace(true);
    Ok(())
}

/// The sandbox that holds the secrets' volume, unless a service without a sandbox needs it:
/// then nobody may be running when the secrets are wanted.
fn holder(ctx: &Context) -> Option<ReplicaKey> {
    let holder = ctx
        .order
        .containers
        .iter()
        .enumerate()
        .find_map(|(position, i)| {
            let plan = &ctx.plan.containers[*i];
            let owner = match &plan.network {
                NetworkOf::Own if !plan.is_stand_in() => Some(key_of(plan)),
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
                || plan.is_stand_in();
            no_sandbox && ctx.files.uses(position, Shelf::Memory)
        });
    holder.filter(|_| !alone)
}

/// Starts a container that does nothing but hold the secrets' volume; gives its id.
async fn start_holder(ctx: &Context, volume: &str) -> Result<String, LiveError> {
    let id = create_holder(
        ctx,
        &ctx.files.named("secrets"),
        volume,
        sandbox::SECRETS_DIR,
    )
    .await?;
    ctx.going()?;
    ctx.engine
        .start_container(&id)
        .await
        .map_err(|e| ctx.engine_failed("upload secrets", &e))?;
    Ok(id)
}

/// Creates a container that has nothing but a volume; gives its id.
async fn create_holder(
    ctx: &Context,
    what: &str,
    volume: &str,
    dir: &str,
) -> Result<String, LiveError> {
    let body = serde_json::json!({
        "Image": ctx.made.agent,
        "Cmd": ["hold"],
        "Labels": ctx.tags.labels(Role::Files),
        "HostConfig": {"NetworkMode": "none", "Binds": [format!("{volume}:{dir}")],
                       "CapDrop": ["ALL"], "ReadonlyRootfs": true},
    });
    ctx.going()?;
    let new = NewContainer {
        name: ctx.tags.name(what),
        body,
        platform: None,
    };
    let made = ctx.engine.create_container(&new).await;
    Ok(made
        .map_err(|e| ctx.engine_failed(format!("upload {what}"), &e))?
        .id)
}
