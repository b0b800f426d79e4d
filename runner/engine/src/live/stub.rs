//! Stand-ins for external services, and relays to those that are allowed: the agent itself, on
//! the stack's networks under the external names. It needs no sandbox.

use std::sync::Arc;

use prodmirror_agent::wire::Event;
use prodmirror_model::plan::ContainerPlan;
use serde_json::{Value, json};

use super::board::{Phase, ReplicaKey};
use super::context::{Context, key_of};
use super::error::{Failed, LiveError};
use super::files::Shelf;
use super::follow;
use super::label::Role;
use super::replica::await_files;
use super::sandbox::networks_of;
use crate::docker::NewContainer;

/// Starts a stand-in and returns when it answers.
pub async fn start(ctx: Arc<Context>, position: usize) -> Result<(), LiveError> {
    let plan = &ctx.plan.containers[ctx.order.containers[position]];
    let key = key_of(plan);
    let id = create(&ctx, plan, position).await?;
    ctx.set(&key, |s| {
        s.id = id.clone();
        s.phase = Phase::Created;
    });
    ctx.sandboxes.update(&key, |s| s.id = id.clone());
    await_files(&ctx, position).await?;
    let started = {
        let _permit = ctx.until(ctx.starting.acquire()).await?;
        ctx.going()?;
        ctx.engine.start_container(&id).await
    };
    if let Err(e) = started {
        return Err(ctx.failure(&key, Failed::NotStarted(e.to_string())).await);
    }
    ctx.set(&key, |s| s.phase = Phase::Running);
    let state = ctx.engine.inspect_container(&id).await;
    let state = state.map_err(|e| ctx.engine_failed("look at a stub", &e))?;
    ctx.sandboxes.update(&key, |s| {
        s.addresses = state.addresses;
        s.ready = true;
    });
    await_ready(&ctx, &key, &id).await?;
    ctx.set(&key, |s| {
        s.begun = true;
        s.phase = Phase::Healthy;
    });
    Ok(())
}

async fn create(ctx: &Context, plan: &ContainerPlan, position: usize) -> Result<String, LiveError> {
    let doing = format!("make the stub `{}`", plan.service);
    let attached = networks_of(ctx, plan);
    let first = attached.first();
    let mut endpoints = serde_json::Map::new();
    if let Some((attachment, network)) = first {
        endpoints.insert(network.id.clone(), attachment.endpoint.clone());
    }
    let (mut binds, mut mounts) = (Vec::new(), Vec::new());
    let part = |shelf: Shelf, upload: u32| {
        let made = ctx.made.shelf(shelf, upload);
        made.cloned().unwrap_or_default()
    };
    if ctx.engine.facts().api_at_least(1, 45) {
        mounts = ctx.files.mounts(position, |s, upload| part(s, upload).0);
    } else {
        binds = ctx.files.binds(position, |s, upload| part(s, upload).1);
    }
    let host = plan.body.get("HostConfig").cloned().unwrap_or_default();
    let body = json!({
        "Image": ctx.made.agent,
        "Cmd": plan.body.get("Cmd").cloned().unwrap_or(Value::Null),
        "Env": plan.body.get("Env").cloned().unwrap_or(Value::Null),
        "Labels": ctx.tags.replica_labels(Role::Stub, &plan.service, plan.replica),
        "HostConfig": {
            "ExtraHosts": host.get("ExtraHosts").cloned().unwrap_or(json!([])),
            // It stands in several networks and must not route between them.
            "Sysctls": {"net.ipv4.ip_forward": "0"},
            "NetworkMode": first.map_or("none", |(_, n)| n.id.as_str()),
            "CapDrop": ["ALL"],
            "CapAdd": ["NET_BIND_SERVICE"],
            "SecurityOpt": ["no-new-privileges"],
            "ReadonlyRootfs": true,
            "Memory": host.get("Memory").cloned().unwrap_or(Value::Null),
            "PidsLimit": host.get("PidsLimit").cloned().unwrap_or(Value::Null),
            "LogConfig": {"Type": "json-file"},
            "Binds": binds,
            "Mounts": mounts,
        },
        "NetworkingConfig": {"EndpointsConfig": endpoints},
    });
    let name = ctx.tags.name(&format!("{}-{}", plan.service, plan.replica));
    ctx.going()?;
    let made = ctx
        .engine
        .create_container(&NewContainer {
            name,
            body,
            platform: None,
        })
        .await;
    let id = made.map_err(|e| ctx.engine_failed(&doing, &e))?.id;
    for (attachment, network) in attached.iter().skip(1) {
        ctx.going()?;
        let joined = ctx
            .engine
            .connect_network(&network.id, &id, &attachment.endpoint)
            .await;
        joined.map_err(|e| ctx.engine_failed(&doing, &e))?;
    }
    Ok(id)
}

/// Follows what it says, and waits until it says that it answers.
async fn await_ready(ctx: &Arc<Context>, key: &ReplicaKey, id: &str) -> Result<(), LiveError> {
    let (heard, mut hear) = tokio::sync::mpsc::unbounded_channel();
    ctx.beside({
        let (ctx, key, id) = (ctx.clone(), key.clone(), id.to_owned());
        async move {
            let speaker = ctx.speaker(&key);
            let never = || -> futures_util::future::BoxFuture<'static, ()> {
                Box::pin(std::future::pending())
            };
            let take = |line: follow::Line| {
                match serde_json::from_str::<Event>(&line.text) {
                    Ok(Event::Ready(_)) => drop(heard.send(Ok(()))),
                    Ok(Event::Error { what, why }) => {
                        drop(heard.send(Err(format!("{what}: {why}"))))
                    }
                    _ => {}
                }
                follow::record(&speaker, line, &ctx.logs, &*ctx.sink);
            };
            follow::follow(&ctx.engine, &id, never, take).await;
        }
    });
    match ctx.until(hear.recv()).await? {
        Some(Ok(())) => Ok(()),
        Some(Err(why)) => Err(ctx.failure(key, Failed::NotStarted(why)).await),
        None => Err(ctx
            .failure(key, Failed::NotStarted("it ended at once".to_owned()))
            .await),
    }
}
