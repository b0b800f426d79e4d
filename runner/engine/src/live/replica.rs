//! One replica of a service, from nothing to ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::{Condition, ContainerPlan, Dependency, Hook, NetworkOf};

use super::board::{Phase, ReplicaKey, Status};
use super::body::{self, ServiceParts};
use super::context::{Context, key_of};
use super::error::{Failed, LiveError};
use super::files::Shelf;
use super::follow;
use super::label::{self, Role};
use super::watch::verdict;
use super::{exec, health, probe, sandbox};
use crate::docker::{EngineError, ExecSpec, HealthCheck, NewContainer};

/// How much of a command's output a failure shows.
const KEPT_OUTPUT: usize = 16 * 1024;

/// Starts one replica (`position` in [`super::order::Order::containers`]) and returns when
/// it is ready, or has ended well.
pub async fn start(ctx: Arc<Context>, position: usize) -> Result<(), LiveError> {
    let plan = &ctx.plan.containers[ctx.order.containers[position]];
    let key = key_of(plan);
    let made = match &plan.network {
        NetworkOf::Own => {
            // A service that is made again finds its network, with all that guards it.
            if let Some(network) = standing_sandbox(&ctx, &key) {
                let mode = format!("container:{network}");
                let made = create(&ctx, plan, position, mode).await?;
                return go_on(ctx.clone(), position, made).await;
            }
            let network = sandbox::create(&ctx, plan, position).await?;
            let mode = format!("container:{network}");
            if plan.care.own_address {
                sandbox::start(&ctx, &key, &network).await?;
                let made = create(&ctx, plan, position, mode).await?;
                return go_on(ctx.clone(), position, made).await;
            }
            // Both are waited for, so that no request is given up half-way.
            let (started, made) = tokio::join!(
                sandbox::start(&ctx, &key, &network),
                create(&ctx, plan, position, mode)
            );
            started?;
            made?
        }
        NetworkOf::Service(other) => {
            let Some(owner) = ctx.sandboxes.owner(other, plan.replica) else {
                let why = format!("service `{other}`, whose network it joins, has none");
                return Err(ctx.failure(&key, Failed::Sandbox(why)).await);
            };
            let needs_address = plan.care.own_address;
            let made = ctx
                .sandboxes
                .wait(&owner, |s| !s.id.is_empty() && (s.ready || !needs_address));
            let mode = format!("container:{}", ctx.until(made).await?.id);
            let made = create(&ctx, plan, position, mode).await?;
            ctx.until(ctx.sandboxes.wait(&owner, |s| s.ready)).await?;
            made
        }
        NetworkOf::None => create(&ctx, plan, position, "none".to_owned()).await?,
        NetworkOf::Foreign(mode) => create(&ctx, plan, position, mode.clone()).await?,
    };
    go_on(ctx, position, made).await
}

/// Starts a replica whose container was made, when all that it waits for is there.
async fn go_on(
    ctx: Arc<Context>,
    position: usize,
    (id, check): (String, Option<HealthCheck>),
) -> Result<(), LiveError> {
    let plan = &ctx.plan.containers[ctx.order.containers[position]];
    await_files(&ctx, position).await?;
    for dependency in &plan.depends_on {
        await_dependency(&ctx, plan, dependency).await?;
    }
    run(&ctx, plan, &id).await?;
    await_ready(&ctx, plan, &id, check).await
}

/// Makes the service's own container; gives its id and its health check.
async fn create(
    ctx: &Context,
    plan: &ContainerPlan,
    position: usize,
    network_mode: String,
) -> Result<(String, Option<HealthCheck>), LiveError> {
    let key = key_of(plan);
    let mut containers = BTreeMap::new();
    for other in body::needs_containers(plan) {
        let Some(owner) = ctx.board.replicas_of(&other).next().cloned() else {
            continue;
        };
        let made = ctx.board.wait(&owner, |s| !s.id.is_empty());
        containers.insert(other, ctx.until(made).await?.id);
    }
    let shelf = |shelf: Shelf, upload: u32| {
        let made = ctx.made.shelf(shelf, upload);
        made.cloned().unwrap_or_default()
    };
    let mut parts = ServiceParts {
        network_mode,
        labels: labels(ctx, plan),
        volumes: ctx.made.volumes.clone(),
        containers,
        ..ServiceParts::default()
    };
    // Parts of volumes can be mounted from API 1.45 on; before, paths of the engine's host.
    if ctx.engine.facts().api_at_least(1, 45) {
        parts.mounts = ctx.files.mounts(position, |s, upload| shelf(s, upload).0);
    } else {
        parts.binds = ctx.files.binds(position, |s, upload| shelf(s, upload).1);
    }
    let mut body = body::service(plan, &parts);
    if let Some(address) = own_address(ctx, plan) {
        body::put_address(&mut body, &address);
    }
    let new = NewContainer {
        name: ctx.tags.name(&format!("{}-{}", plan.service, plan.replica)),
        body,
        platform: plan.platform.clone(),
    };
    ctx.going()?;
    if plan.care.non_root {
        refuse_root(ctx, plan).await?;
    }
    let made = match ctx.engine.create_container(&new).await {
        Ok(made) => made,
        Err(e) => return Err(not_made(ctx, plan, &key, &e).await),
    };
    for warning in &made.warnings {
        ctx.warn(format!(
            "service `{}`: the engine says: {warning}",
            plan.service
        ));
    }
    let state = ctx.engine.inspect_container(&made.id).await;
    let state = state.map_err(|e| ctx.engine_failed("look at a container", &e))?;
    ctx.set(&key, |s| {
        s.id = made.id.clone();
        s.checked = state.check.is_some() || !plan.care.probes.ready.is_empty();
        s.phase = Phase::Created;
    });
    Ok((made.id, state.check))
}

/// The address by which others reach a replica, when its body has to name it.
fn own_address(ctx: &Context, plan: &ContainerPlan) -> Option<String> {
    if !plan.care.own_address {
        return None;
    }
    let owner = match &plan.network {
        NetworkOf::Own => key_of(plan),
        NetworkOf::Service(other) => ctx.sandboxes.owner(other, plan.replica)?,
        NetworkOf::None | NetworkOf::Foreign(_) => return None,
    };
    let addresses = ctx.sandboxes.get(&owner)?.addresses;
    addresses.values().next().map(ToString::to_string)
}

/// An orchestrator that was told so does not start an image as root, nor one of which it cannot
/// know.
async fn refuse_root(ctx: &Context, plan: &ContainerPlan) -> Result<(), LiveError> {
    let declared = plan.body.get("User").and_then(|u| u.as_str());
    let user = match declared.filter(|u| !u.is_empty()) {
        Some(user) => user.to_owned(),
        None => {
            let image = ctx.engine.image(&plan.image).await;
            let image = image.map_err(|e| ctx.engine_failed("look at an image", &e))?;
            image.map(|i| i.user).unwrap_or_default()
        }
    };
    let id = user.split(':').next().unwrap_or_default();
    let why = match id.parse::<u32>() {
        Ok(0) => "runs as root",
        Ok(_) => return Ok(()),
        Err(_) if id.is_empty() => "runs as root",
        Err(_) => "runs as a user of which production knows only the name",
    };
    let what = format!("`runAsNonRoot` is set, and {} {why}", plan.image);
    Err(ctx.failure(&key_of(plan), Failed::NotStarted(what)).await)
}

/// The sandbox of a replica that has one already.
fn standing_sandbox(ctx: &Context, key: &ReplicaKey) -> Option<String> {
    let sandbox = ctx.sandboxes.get(key)?;
    sandbox.ready.then_some(sandbox.id)
}

/// Labels from which another process can list, reach and stop the service.
fn labels(ctx: &Context, plan: &ContainerPlan) -> BTreeMap<String, String> {
    let mut labels = ctx
        .tags
        .replica_labels(Role::Service, &plan.service, plan.replica);
    // What an image or a spec brings under these names must not be taken for ours.
    for name in [
        label::PORTS,
        label::GRACE,
        label::DEPENDENTS,
        label::RESTARTS,
        label::PRE_STOP,
        label::REPLACED,
    ] {
        labels.insert(name.to_owned(), String::new());
    }
    if !plan.ports.is_empty() {
        let ports = serde_json::to_string(&plan.ports).unwrap_or_default();
        labels.insert(label::PORTS.to_owned(), ports);
    }
    if !plan.replaced.is_empty() {
        let ports = serde_json::to_string(&plan.replaced).unwrap_or_default();
        labels.insert(label::REPLACED.to_owned(), ports);
    }
    if let Some(grace) = plan.stop_grace {
        labels.insert(
            label::GRACE.to_owned(),
            grace.as_secs_f64().ceil().to_string(),
        );
    }
    let others = [
        (label::DEPENDENTS, &ctx.order.dependents),
        (label::RESTARTS, &ctx.order.restarted_with),
    ];
    for (name, of) in others {
        if let Some(services) = of.get(&plan.service) {
            let services: Vec<&str> = services.iter().map(String::as_str).collect();
            labels.insert(name.to_owned(), services.join(" "));
        }
    }
    if !plan.hooks.pre_stop.is_empty() {
        let hooks = serde_json::to_string(&plan.hooks.pre_stop).unwrap_or_default();
        labels.insert(label::PRE_STOP.to_owned(), hooks);
    }
    labels
}

async fn not_made(
    ctx: &Context,
    plan: &ContainerPlan,
    key: &ReplicaKey,
    e: &EngineError,
) -> LiveError {
    if e.is_lost() {
        return ctx.engine_failed(format!("make service `{}`", plan.service), e);
    }
    let text = e.to_string();
    if e.is_missing() && text.to_lowercase().contains("no such image") {
        let problem = Problem::new(
            ProblemKind::Missing,
            format!(
                "service `{}` needs the image {}, which the engine does not have",
                plan.service, plan.image
            ),
        );
        return LiveError::Refused(Box::new(
            problem.help("pull or build it, or name another one under `images` of mirror.yaml"),
        ));
    }
    ctx.failure(key, Failed::NotStarted(text)).await
}

pub async fn await_files(ctx: &Context, position: usize) -> Result<(), LiveError> {
    for (shelf, ready) in [
        (Shelf::Disk, &ctx.files_ready),
        (Shelf::Memory, &ctx.secrets_ready),
    ] {
        if ctx.files.uses(position, shelf) {
            let mut ready = ready.subscribe();
            // The sender is in the context, so waiting cannot fail.
            ctx.until(async { ready.wait_for(|r| *r).await.is_ok() })
                .await?;
        }
    }
    Ok(())
}

async fn await_dependency(
    ctx: &Context,
    plan: &ContainerPlan,
    dependency: &Dependency,
) -> Result<(), LiveError> {
    let replicas: Vec<ReplicaKey> = ctx
        .board
        .replicas_of(&dependency.service)
        .cloned()
        .collect();
    for other in &replicas {
        let decided = |s: &Status| match (&s.phase, dependency.condition) {
            (Phase::Ended { .. }, _) => true,
            (_, Condition::Started) => s.begun,
            (Phase::Healthy | Phase::Unhealthy, Condition::Healthy) => true,
            (_, Condition::Healthy) => s.begun && !s.checked,
            (_, Condition::CompletedSuccessfully | Condition::Ended) => false,
        };
        let status = ctx.until(ctx.board.wait(other, decided)).await?;
        let met = matches!(
            (&status.phase, dependency.condition),
            (_, Condition::Started)
                | (Phase::Ended { .. }, Condition::Ended)
                | (Phase::Healthy, Condition::Healthy)
                | (
                    Phase::Ended { code: 0, .. },
                    Condition::CompletedSuccessfully
                )
        );
        if met {
            continue;
        }
        if dependency.required {
            return Err(unmet(ctx, plan, other, &status).await);
        }
        ctx.warn(format!(
            "service `{}` starts without `{}`, which is not required",
            plan.service, dependency.service
        ));
    }
    Ok(())
}

/// Why a dependency can no longer be met.
async fn unmet(
    ctx: &Context,
    plan: &ContainerPlan,
    other: &ReplicaKey,
    status: &Status,
) -> LiveError {
    let what = match &status.phase {
        Phase::Ended { code, oom } => Failed::Died {
            code: *code,
            oom: *oom,
            restarts: status.restarts,
        },
        Phase::Unhealthy => Failed::Unhealthy {
            output: status.health_output.clone(),
        },
        _ => {
            let message = format!(
                "service `{}` waits until `{}` is healthy, but that has no health check",
                plan.service, other.0
            );
            let problem = Problem::new(ProblemKind::Missing, message)
                .help("give it a `healthcheck`, or wait for `service_started`");
            return LiveError::Refused(Box::new(problem));
        }
    };
    ctx.failure(other, what).await
}

/// Starts the container and runs the commands after its start.
async fn run(ctx: &Arc<Context>, plan: &ContainerPlan, id: &str) -> Result<(), LiveError> {
    let key = key_of(plan);
    ctx.going()?;
    if let Err(e) = ctx.engine.start_container(id).await {
        if e.is_lost() {
            return Err(ctx.engine_failed(format!("start service `{}`", plan.service), &e));
        }
        return Err(ctx.failure(&key, Failed::NotStarted(e.to_string())).await);
    }
    ctx.set(&key, |s| {
        if s.phase == Phase::Created {
            s.phase = Phase::Running;
        }
    });
    follow_log(ctx, &key, id);
    if let Some(what) = verdict(ctx, &key) {
        return Err(ctx.failure(&key, what).await);
    }
    for hook in &plan.hooks.post_start {
        run_hook(ctx, &key, id, hook).await?;
    }
    if let Some(startup) = &plan.care.probes.startup {
        probe::until_passed(ctx, plan, id, startup).await?;
    }
    ctx.board.update(&key, |s| s.begun = true);
    Ok(())
}

/// Follows what a replica's container prints.
pub fn follow_log(ctx: &Arc<Context>, key: &ReplicaKey, id: &str) {
    let (shared, key, id) = (ctx.clone(), key.clone(), id.to_owned());
    ctx.beside(async move {
        let ctx = shared;
        let speaker = ctx.speaker(&key);
        let up_again = || -> BoxFuture<'static, ()> {
            let (board, key) = (ctx.board.clone(), key.clone());
            Box::pin(async move {
                board.wait(&key, |s| s.phase.is_up()).await;
            })
        };
        let take = |line| follow::record(&speaker, line, &ctx.logs, &*ctx.sink);
        follow::follow(&ctx.engine, &id, up_again, take).await;
    });
}

async fn run_hook(ctx: &Context, key: &ReplicaKey, id: &str, hook: &Hook) -> Result<(), LiveError> {
    let spec = hook_spec(id, hook);
    let command = hook.command.join(" ");
    let done = ctx
        .until(exec::run(&ctx.engine, &spec, None, KEPT_OUTPUT))
        .await?;
    let failed = match done {
        Ok(done) if done.exit_code == 0 => return Ok(()),
        Ok(done) => Failed::Hook {
            command,
            code: done.exit_code,
            output: done.summary(),
        },
        Err(e) => Failed::Hook {
            command,
            code: -1,
            output: e.to_string(),
        },
    };
    Err(ctx.failure(key, failed).await)
}

/// A hook as a command in its container.
pub fn hook_spec(id: &str, hook: &Hook) -> ExecSpec {
    ExecSpec {
        container: id.to_owned(),
        command: hook.command.clone(),
        env: hook.environment.clone(),
        user: hook.user.clone(),
        working_dir: hook.working_dir.clone(),
        privileged: hook.privileged,
        ..ExecSpec::default()
    }
}

/// Waits until the replica is ready: healthy if it has a check, ended if it is meant to.
async fn await_ready(
    ctx: &Arc<Context>,
    plan: &ContainerPlan,
    id: &str,
    check: Option<HealthCheck>,
) -> Result<(), LiveError> {
    let key = key_of(plan);
    let decided = |s: &Status| {
        matches!(
            s.phase,
            Phase::Healthy | Phase::Unhealthy | Phase::Ended { .. }
        )
    };
    let ends = plan.one_shot || ctx.order.wanted_completed.contains(&plan.service);
    let probes = plan.care.probes.ready.iter().filter(|_| !ends);
    for ready in probes.clone() {
        probe::until_passed(ctx, plan, id, ready).await?;
    }
    if check.is_none() && probes.count() > 0 {
        ctx.set(&key, |s| {
            if s.phase == Phase::Running {
                s.phase = Phase::Healthy;
            }
        });
    }
    if let Some(check) = check.filter(|_| !ends) {
        // A success of a process that has ended meanwhile is none: then once more.
        while !decided(&ctx.board.get(&key)) {
            ctx.until(async {
                tokio::select! {
                    () = early_check(ctx, &key, id, &check) => {}
                    _ = ctx.board.wait(&key, decided) => {}
                }
            })
            .await?;
        }
    } else if ends {
        let ended = |s: &Status| matches!(s.phase, Phase::Ended { .. });
        ctx.until(ctx.board.wait(&key, ended)).await?;
    }
    let status = ctx.board.get(&key);
    if let Phase::Unhealthy = status.phase
        && !ctx.order.optional.contains(&key.0)
    {
        let what = Failed::Unhealthy {
            output: status.health_output,
        };
        return Err(ctx.failure(&key, what).await);
    }
    match verdict(ctx, &key) {
        Some(what) => Err(ctx.failure(&key, what).await),
        None => Ok(()),
    }
}

/// Runs the health check until it succeeds; then the replica is healthy.
async fn early_check(ctx: &Context, key: &ReplicaKey, id: &str, check: &HealthCheck) {
    let failed = |output| {
        ctx.board.update(key, |s| s.health_output = output);
    };
    health::first_success(&ctx.engine, id, check, failed).await;
    ctx.set(key, |s| {
        if s.phase == Phase::Running {
            s.phase = Phase::Healthy;
        }
    });
}
