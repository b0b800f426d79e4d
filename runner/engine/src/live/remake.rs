//! Services of a running stack, made again as another plan says: what else there is stays.
//!
//! A service keeps its sandbox, and with it its addresses and all that guards it. Networks,
//! volumes and what they hold are not touched.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::ServiceState;
use prodmirror_model::plan::{ContainerPlan, FileContent, FilePlan, NetworkOf, Plan};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::LiveStack;
use super::board::{Phase, ReplicaKey, Status};
use super::body::needs_containers;
use super::context::{Context, Made, Sandbox, key_of};
use super::down;
use super::error::LiveError;
use super::files::Shelf;
use super::label::{self, Role};
use super::make::{Maker, used_volumes};
use super::order::Order;
use super::stack::names;
use super::start::{spawn_one, spawn_uploads};
use super::supervise::{confirm, give_up, supervise};
use super::watch::verdict;
use crate::docker::{EngineError, Found};

/// What is made again.
#[derive(Debug, Clone)]
pub struct Remake {
    /// What the services are to be. Of all others it must say what they are.
    pub plan: Arc<Plan>,
    /// The services.
    pub services: BTreeSet<String>,
    /// Files of this machine that have another content than when they were put in.
    pub changed: BTreeSet<PathBuf>,
    /// Gives it up. The services may be in any state then.
    pub cancel: CancellationToken,
}

/// What was made again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remade {
    /// Services that were made again: those that were named, and those that share their
    /// processes or volumes.
    pub services: BTreeSet<String>,
    /// Services that production restarts when one of these changes.
    pub restarted: BTreeSet<String>,
    /// How long it took.
    pub took: Duration,
}

impl LiveStack {
    /// Makes services again as another plan says, and waits until they are ready.
    ///
    /// # Errors
    /// As a start's. What was not asked for still runs; of the services nothing is certain.
    pub async fn remake(&self, how: Remake) -> Result<Remade, LiveError> {
        let begun = Instant::now();
        let old = self.context();
        let services = with_sharers(&how.plan, how.services.clone());
        let plan = Arc::new(joined(&old.plan, &how.plan, &services)?);
        let (failures, mut failed) = mpsc::unbounded_channel();
        let ctx = again(&old, plan, &services, &how.changed, failures).await?;
        // What the engine tells from now on is about the new ones.
        self.current.set(ctx.clone());
        let made = self.make(&ctx, &services, &mut failed, &how.cancel, begun);
        if let Err(e) = made.await {
            // The next attempt begins from what is known to be there.
            self.current.set(old);
            return Err(e);
        }
        self.reach().rename(names(&ctx));
        let restarted = self.restart_with(&services).await?;
        clear(&ctx).await;
        Ok(Remade {
            services,
            restarted,
            took: begun.elapsed(),
        })
    }

    async fn make(
        &self,
        ctx: &Arc<Context>,
        services: &BTreeSet<String>,
        failed: &mut mpsc::UnboundedReceiver<LiveError>,
        cancel: &CancellationToken,
        begun: Instant,
    ) -> Result<(), LiveError> {
        remove(ctx, services).await?;
        if cancel.is_cancelled() {
            return Err(LiveError::Cancelled);
        }
        let mut tasks = JoinSet::new();
        for (position, i) in ctx.order.containers.iter().enumerate() {
            if services.contains(&ctx.plan.containers[*i].service) {
                spawn_one(ctx, position, &mut tasks);
            }
        }
        spawn_uploads(ctx, &mut tasks);
        let mut ended = supervise(ctx, &mut tasks, failed, cancel, begun).await;
        if ended.is_ok() {
            ended = confirm(ctx).await;
        }
        match ended {
            Ok(()) => Ok(()),
            Err(first) => Err(give_up(ctx, tasks, failed, first).await),
        }
    }

    /// Services that do not run as they should: they ended, or are unhealthy.
    pub fn fallen(&self) -> BTreeSet<String> {
        let ctx = self.context();
        let fell = |key: &&ReplicaKey| {
            let status = ctx.board.get(key);
            status.phase == Phase::Unhealthy || verdict(&ctx, key).is_some()
        };
        let fallen = ctx.board.keys().filter(fell);
        fallen.map(|(service, _)| service.clone()).collect()
    }

    /// Restarts the dependents that production restarts with these services.
    async fn restart_with(
        &self,
        services: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, LiveError> {
        let ctx = self.context();
        let with = |service: &String| ctx.order.restarted_with.get(service).into_iter().flatten();
        let mut restarted = BTreeSet::new();
        let mut wave: Vec<&String> = services.iter().flat_map(with).collect();
        while let Some(service) = wave.pop() {
            if services.contains(service) || !restarted.insert(service.clone()) {
                continue;
            }
            let replicas = ctx.board.replicas_of(service);
            let up = replicas.filter(|k| ctx.board.get(k).phase.is_up());
            let again = async {
                let was = self.stop_replicas(up.cloned().collect()).await?;
                self.start_replicas(&was).await
            };
            again.await.map_err(refused)?;
            wave.extend(with(service));
        }
        Ok(restarted)
    }
}

fn refused(p: Problem) -> LiveError {
    LiveError::Refused(Box::new(p))
}

/// The services with those that share processes or volumes of their containers, which are
/// others afterwards.
fn with_sharers(plan: &Plan, mut services: BTreeSet<String>) -> BTreeSet<String> {
    loop {
        let shares = |c: &&ContainerPlan| {
            !services.contains(&c.service)
                && needs_containers(c).iter().any(|s| services.contains(s))
        };
        let sharers = plan.containers.iter().filter(shares);
        let more: Vec<String> = sharers.map(|c| c.service.clone()).collect();
        if more.is_empty() {
            return services;
        }
        services.extend(more);
    }
}

/// What runs when the services were made again: the others are what they were planned to be.
fn joined(old: &Plan, new: &Plan, services: &BTreeSet<String>) -> Result<Plan, LiveError> {
    let before: BTreeMap<ReplicaKey, &ContainerPlan> =
        old.containers.iter().map(|c| (key_of(c), c)).collect();
    let same = before.len() == new.containers.len();
    let mut containers = Vec::with_capacity(new.containers.len());
    for c in &new.containers {
        match before.get(&key_of(c)) {
            Some(_) if services.contains(&c.service) => containers.push(c.clone()),
            Some(there) => containers.push((*there).clone()),
            None => return Err(other_services()),
        }
    }
    if !same {
        return Err(other_services());
    }
    Ok(Plan {
        containers,
        ..old.clone()
    })
}

fn other_services() -> LiveError {
    refused(Problem::new(
        ProblemKind::Start,
        "the stack has other services: it has to be made again as a whole",
    ))
}

/// The context of the stack with the services made again; the volumes of their files are made.
async fn again(
    old: &Context,
    plan: Arc<Plan>,
    services: &BTreeSet<String>,
    changed: &BTreeSet<PathBuf>,
    failures: mpsc::UnboundedSender<LiveError>,
) -> Result<Arc<Context>, LiveError> {
    let order = Order::of(&plan, &old.options.services).map_err(refused)?;
    let chosen: Vec<&ContainerPlan> = order
        .containers
        .iter()
        .map(|i| &plan.containers[*i])
        .collect();
    let unmade = used_volumes(&chosen).into_iter().find(|key| {
        plan.volumes.iter().any(|v| v.key == *key) && !old.made.volumes.contains_key(key)
    });
    if let Some(key) = unmade {
        let message = format!(
            "nobody used the volume `{key}` so far: the stack has to be made again as a whole"
        );
        return Err(refused(Problem::new(ProblemKind::Start, message)));
    }
    let upload = old.one_offs.fetch_add(1, Ordering::Relaxed) + 1;
    let files = old.files.again(upload, &chosen, |container, file| {
        let c = chosen[container];
        let there = old.order.containers.iter().position(|i| {
            let before = &old.plan.containers[*i];
            key_of(before) == key_of(c)
        })?;
        if !services.contains(&c.service) {
            return Some((there, file));
        }
        let before = &old.plan.containers[old.order.containers[there]];
        let file = &c.files[file];
        let same = |f: &FilePlan| is_same(f, file, changed);
        Some((there, before.files.iter().position(same)?))
    });
    let files = files.map_err(refused)?;
    let maker = Maker {
        engine: &old.engine,
        plan: &plan,
        tags: &old.tags,
        options: &old.options,
        sink: &*old.sink,
    };
    let (disk, memory) = tokio::join!(
        maker.make_shelf(&files, Shelf::Disk),
        maker.make_shelf(&files, Shelf::Memory)
    );
    let mut made: Made = old.made.clone();
    // Those that nobody has are removed by now.
    let used = old.files.used();
    made.files.retain(|n, _| *n == 0 || used.contains(n));
    made.secrets.retain(|n, _| *n == 0 || used.contains(n));
    let (disk, memory) = (disk?, memory?);
    let (no_files, no_secrets) = (disk.is_none(), memory.is_none());
    made.files.extend(disk.map(|v| (upload, v)));
    made.secrets.extend(memory.map(|v| (upload, v)));
    Ok(Arc::new(Context {
        engine: old.engine.clone(),
        options: old.options.clone(),
        tags: old.tags.clone(),
        board: old.board.clone(),
        sandboxes: old.sandboxes.clone(),
        logs: old.logs.clone(),
        sink: old.sink.clone(),
        saved: old.saved.clone(),
        one_offs: old.one_offs.clone(),
        addresses: old.addresses.clone(),
        gone: old.gone.clone(),
        stop: CancellationToken::new(),
        starting: Semaphore::new(old.engine.facts().cpus as usize + 2),
        files_ready: watch::channel(no_files).0,
        secrets_ready: watch::channel(no_secrets).0,
        plan: plan.clone(),
        order,
        files,
        made,
        judged: Some(services.clone()),
        failures,
    }))
}

/// Whether a file that is there is what a file is to be.
fn is_same(there: &FilePlan, wanted: &FilePlan, changed: &BTreeSet<PathBuf>) -> bool {
    let about = |f: &FilePlan| (f.target.clone(), f.mode, f.uid, f.gid, f.read_only);
    if about(there) != about(wanted) {
        return false;
    }
    match (&there.content, &wanted.content) {
        (FileContent::Text(a), FileContent::Text(b)) => a == b,
        (FileContent::Secret(a), FileContent::Secret(b))
        | (FileContent::Base64(a), FileContent::Base64(b)) => a == b,
        (FileContent::HostPath(a), FileContent::HostPath(b)) => {
            a == b && !changed.iter().any(|c| c.starts_with(a))
        }
        (FileContent::Directory(a), FileContent::Directory(b)) => {
            let mut both = a.iter().zip(b);
            a.len() == b.len() && both.all(|(a, b)| is_same(a, b, changed))
        }
        _ => false,
    }
}

/// Removes the containers of services. Those that have volumes which stay are stopped as
/// production stops them; others are killed, as when a stack is removed.
async fn remove(ctx: &Context, services: &BTreeSet<String>) -> Result<(), LiveError> {
    let failed = |e: &EngineError| ctx.engine_failed("remove containers that are made again", e);
    let found = ctx.engine.find_containers(&ctx.tags.filters()).await;
    let ours = |f: &Found| {
        let role = f.label(label::ROLE);
        let is_own = role == Role::Service.text() || role == Role::Stub.text();
        is_own && services.contains(f.label(label::SERVICE))
    };
    let found: Vec<Found> = found
        .map_err(|e| failed(&e))?
        .into_iter()
        .filter(ours)
        .collect();
    for key in ctx.board.keys().filter(|k| services.contains(&k.0)) {
        // From here on nothing that is told of it counts.
        ctx.board.update(key, |s| *s = Status::default());
    }
    let keeps = |f: &&Found| f.state == "running" && has_volumes(ctx, f.label(label::SERVICE));
    let gently = found.iter().filter(keeps).cloned().collect();
    down::stop_all(&ctx.engine, gently, None).await;
    let removed = join_all(found.iter().map(|f| ctx.engine.remove_container(&f.id))).await;
    for removed in removed {
        removed.map_err(|e| failed(&e))?;
    }
    for c in &ctx.plan.containers {
        let key = key_of(c);
        if !services.contains(&c.service) {
            continue;
        }
        ctx.emit_state(&key, ServiceState::Removed, None);
        if c.is_stand_in() && c.network == NetworkOf::Own {
            // It is in the network itself.
            ctx.sandboxes.update(&key, |s| *s = Sandbox::default());
        }
    }
    Ok(())
}

fn has_volumes(ctx: &Context, service: &str) -> bool {
    let of: Vec<&ContainerPlan> = ctx
        .plan
        .containers
        .iter()
        .filter(|c| c.service == service)
        .collect();
    let used = used_volumes(&of);
    used.iter().any(|key| ctx.made.volumes.contains_key(key))
}

/// Removes the volumes of files that nobody has any more, with those who held them. What cannot
/// be removed goes with the stack.
async fn clear(ctx: &Context) {
    let used = ctx.files.used();
    let unused = |made: &BTreeMap<u32, (String, String)>| -> Vec<String> {
        let past = made
            .iter()
            .filter(|(upload, _)| **upload > 0 && !used.contains(*upload));
        past.map(|(_, (name, _))| name.clone()).collect()
    };
    let mut names = unused(&ctx.made.files);
    names.extend(unused(&ctx.made.secrets));
    if names.is_empty() {
        return;
    }
    for name in &names {
        // Who holds a volume of secrets is called like it.
        let users = ctx.engine.users_of(name).await.unwrap_or_default();
        for holder in users.iter().filter(|u| u.name == *name) {
            let _ = ctx.engine.remove_container(&holder.id).await;
        }
        let _ = ctx.engine.remove_volume(name).await;
    }
}

#[cfg(test)]
mod tests {
    use prodmirror_model::secret::Secret;
    use serde_json::json;

    use super::*;

    fn container(service: &str, host: serde_json::Value) -> ContainerPlan {
        ContainerPlan {
            service: service.into(),
            replica: 1,
            body: json!({"HostConfig": host}),
            ..ContainerPlan::default()
        }
    }

    #[test]
    fn who_shares_processes_or_volumes_is_made_again_too() {
        let plan = Plan {
            containers: vec![
                container("app", json!({})),
                container("trace", json!({"PidMode": "service:app"})),
                container("ship", json!({"VolumesFrom": ["trace:ro"]})),
                container("db", json!({})),
            ],
            ..Plan::default()
        };
        let all = with_sharers(&plan, ["app".to_owned()].into());
        assert_eq!(
            all.into_iter().collect::<Vec<_>>(),
            ["app", "ship", "trace"]
        );
        let one = with_sharers(&plan, ["db".to_owned()].into());
        assert_eq!(one.into_iter().collect::<Vec<_>>(), ["db"]);
    }

    #[test]
    fn a_stack_of_other_services_is_not_changed_in_place() {
        let of = |names: &[&str]| Plan {
            containers: names.iter().map(|n| container(n, json!({}))).collect(),
            ..Plan::default()
        };
        let services = ["app".to_owned()].into();
        assert!(joined(&of(&["app"]), &of(&["app", "db"]), &services).is_err());
        assert!(joined(&of(&["app", "db"]), &of(&["app"]), &services).is_err());
        assert!(joined(&of(&["app", "db"]), &of(&["db", "app"]), &services).is_ok());
    }

    #[test]
    fn a_file_stays_as_long_as_it_is_the_same() {
        let file = |content: FileContent| FilePlan {
            target: "/f".into(),
            content,
            mode: None,
            uid: 0,
            gid: 0,
            read_only: true,
        };
        let path = |p: &str| file(FileContent::HostPath(p.into()));
        let secret = |s: &str| file(FileContent::Secret(Secret::new(s)));
        let none = BTreeSet::new();
        assert!(is_same(&path("/p"), &path("/p"), &none));
        assert!(!is_same(&path("/p"), &path("/q"), &none));
        assert!(!is_same(&path("/p"), &path("/p"), &["/p/a".into()].into()));
        assert!(is_same(&secret("a"), &secret("a"), &none));
        assert!(!is_same(&secret("a"), &secret("b"), &none));
        assert!(!is_same(
            &secret("a"),
            &file(FileContent::Text("a".into())),
            &none
        ));
        let writable = FilePlan {
            read_only: false,
            ..secret("a")
        };
        assert!(!is_same(&secret("a"), &writable, &none));
    }
}
