//! The sandbox of a replica: the network namespace that its service joins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use prodmirror_agent::wire::{Cidr, DeniedWhy, DnsFront, Event, Ready, SandboxConfig};
use prodmirror_model::event::What;
use prodmirror_model::plan::ContainerPlan;

use super::board::ReplicaKey;
use super::body::{self, Attachment, SandboxParts};
use super::context::{Context, MadeNetwork, key_of};
use super::error::{Failed, LiveError};
use super::files::Shelf;
use super::follow::{self, Line};
use super::label::Role;
use super::links;
use super::subnet;
use crate::docker::{EngineError, NewContainer};

/// Where a sandbox holds the secrets' volume; nobody reads it there.
pub const SECRETS_DIR: &str = "/run/prodmirror-secrets";

/// Said when the kernel of the engine's host cannot keep in frames.
const FRAMES: &str = "the engine's kernel is older than Linux 5.16, or lacks nftables' egress hook: services with \
                      NET_RAW can send raw Ethernet frames as far as the engine's host (and no further)";
/// Whether that was said: once per process is enough.
static FRAMES_TOLD: AtomicBool = AtomicBool::new(false);

/// Makes the sandbox of a replica, attached to its networks, and gives its id.
pub async fn create(
    ctx: &Context,
    plan: &ContainerPlan,
    position: usize,
) -> Result<String, LiveError> {
    let key = key_of(plan);
    let doing = format!("make the sandbox of `{}`", plan.service);
    let attached = networks_of(ctx, plan);
    let Some((first, rest)) = attached.split_first() else {
        let what = Failed::Sandbox("it is attached to no network".to_owned());
        return Err(ctx.failure(&key, what).await);
    };
    let networks: Vec<&MadeNetwork> = attached.iter().map(|(_, n)| *n).collect();
    let config = serde_json::to_string(&config(ctx, plan, &networks)).unwrap_or_default();
    let body = body::sandbox(
        plan,
        SandboxParts {
            image: &ctx.made.agent,
            config,
            network: &first.1.id,
            endpoint: &first.0.endpoint,
            binds: secrets_bind(ctx, plan, position),
            labels: ctx
                .tags
                .replica_labels(Role::Sandbox, &plan.service, plan.replica),
        },
    );
    let name = ctx
        .tags
        .name(&format!("{}-{}-net", plan.service, plan.replica));
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
    // Before API 1.44 a container can be made with one network only.
    for (attachment, network) in rest {
        ctx.going()?;
        let joined = ctx
            .engine
            .connect_network(&network.id, &id, &attachment.endpoint)
            .await;
        joined.map_err(|e| ctx.engine_failed(&doing, &e))?;
    }
    ctx.sandboxes.update(&key, |s| s.id = id.clone());
    Ok(id)
}

/// Starts a sandbox and waits until its guard and DNS sink are in place.
pub async fn start(ctx: &Arc<Context>, key: &ReplicaKey, id: &str) -> Result<(), LiveError> {
    let started = {
        let _permit = ctx.until(ctx.starting.acquire()).await?;
        ctx.going()?;
        ctx.engine.start_container(id).await
    };
    if let Err(e) = started {
        return Err(not_started(ctx, key, &e).await);
    }
    let (heard, mut hear) = tokio::sync::mpsc::unbounded_channel();
    ctx.beside({
        let (ctx, key, id) = (ctx.clone(), key.clone(), id.to_owned());
        async move {
            let at_once = || -> BoxFuture<'static, ()> { Box::pin(std::future::ready(())) };
            let take = |line| said(&ctx, &key, &heard, &line);
            follow::follow(&ctx.engine, &id, at_once, take).await;
        }
    });
    let state = ctx.engine.inspect_container(id).await;
    let state = state.map_err(|e| ctx.engine_failed("look at a sandbox", &e))?;
    match ctx.until(hear.recv()).await? {
        Some(Ok(())) => {}
        Some(Err(why)) => return Err(ctx.failure(key, Failed::Sandbox(why)).await),
        None => {
            let why = "its sandbox ended at once".to_owned();
            return Err(ctx.failure(key, Failed::Sandbox(why)).await);
        }
    }
    ctx.sandboxes.update(key, |s| {
        s.addresses = state.addresses;
        s.ready = true;
    });
    Ok(())
}

async fn not_started(ctx: &Context, key: &ReplicaKey, e: &EngineError) -> LiveError {
    if e.is_lost() {
        return ctx.engine_failed(format!("start the sandbox of `{}`", key.0), e);
    }
    let what = Failed::Sandbox(format!("its sandbox could not be started: {e}"));
    ctx.failure(key, what).await
}

/// Takes a line of a sandbox's output: an event, which is made known where it matters.
fn said(
    ctx: &Context,
    key: &ReplicaKey,
    heard: &tokio::sync::mpsc::UnboundedSender<Result<(), String>>,
    line: &Line,
) {
    let Ok(event) = serde_json::from_str::<Event>(&line.text) else {
        return;
    };
    match event {
        Event::Ready(Ready { frames, .. }) => {
            if frames == Some(false) && !FRAMES_TOLD.swap(true, Ordering::Relaxed) {
                ctx.warn(FRAMES);
            }
            let _ = heard.send(Ok(()));
        }
        Event::Error { what, why } => {
            let _ = heard.send(Err(format!("{what}: {why}")));
        }
        Event::Warning { what, why } => ctx.warn(format!("`{}`: {what}: {why}", key.0)),
        Event::Denied {
            proto,
            dst,
            port,
            why,
            count: 1,
            ..
        } => {
            let known = links::explain(ctx, key, dst).filter(|_| why == DeniedWhy::Link);
            let (host, by) = known.unwrap_or_else(|| (dst.to_string(), String::new()));
            let target = port.map_or(host.clone(), |p| format!("{host}:{p}"));
            egress(ctx, key, proto, (target, by));
        }
        Event::Dns { name, .. } => egress(ctx, key, "dns".to_owned(), (name, String::new())),
        _ => {}
    }
}

fn egress(ctx: &Context, key: &ReplicaKey, protocol: String, (target, by): (String, String)) {
    ctx.sink.emit(What::Egress {
        stack: ctx.options.stack.clone(),
        service: key.0.clone(),
        protocol,
        target,
        by,
    });
}

/// The networks of a planned container with what they became, the default route's first.
pub fn networks_of<'a>(
    ctx: &'a Context,
    plan: &ContainerPlan,
) -> Vec<(Attachment, &'a MadeNetwork)> {
    let key = key_of(plan);
    body::attachments(plan)
        .into_iter()
        .map(|mut a| {
            links::settle(ctx, &key, &a.network, &mut a.endpoint);
            a
        })
        .filter_map(|a| ctx.made.networks.get(&a.network).map(|n| (a, n)))
        .collect()
}

fn config(ctx: &Context, plan: &ContainerPlan, networks: &[&MadeNetwork]) -> SandboxConfig {
    let mut allow: Vec<Cidr> = ctx
        .options
        .allow
        .iter()
        .filter_map(|a| Cidr::new(*a, 32))
        .collect();
    if networks.iter().any(|n| !n.internal) {
        // Only `mirror.yaml` opens a network, by name.
        allow.extend(Cidr::new(std::net::Ipv4Addr::UNSPECIFIED, 0));
    }
    SandboxConfig {
        subnets: networks.iter().map(|n| n.subnet).collect(),
        gateways: networks.iter().map(|n| subnet::gateway(n.subnet)).collect(),
        links: links::config(ctx, plan),
        allow,
        dns: true,
        dns_front: DnsFront::Auto,
        guard: true,
    }
}

/// A sandbox whose services have secrets keeps their volume mounted: it is in memory, and
/// empty as soon as nobody has it.
fn secrets_bind(ctx: &Context, plan: &ContainerPlan, position: usize) -> Vec<String> {
    let shares = ctx.order.containers.iter().enumerate().any(|(at, i)| {
        let other = &ctx.plan.containers[*i];
        let joined = match &other.network {
            prodmirror_model::plan::NetworkOf::Service(s) => {
                ctx.sandboxes.owner(s, other.replica) == Some(key_of(plan))
            }
            _ => at == position,
        };
        joined && ctx.files.uses(at, Shelf::Memory)
    });
    match ctx.made.secrets.values().next() {
        Some((name, _)) if shares => vec![format!("{name}:{SECRETS_DIR}")],
        _ => Vec::new(),
    }
}
