//! What all tasks that start a stack share.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use prodmirror_agent::wire::Cidr;
use prodmirror_model::event::{ServiceState, What};
use prodmirror_model::plan::{ContainerPlan, Plan};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::board::{Board, Phase, ReplicaKey, Status};
use super::data::Saved;
use super::error::{Failed, LiveError, ServiceFailure};
use super::files::{Files, Shelf};
use super::follow::{self, Speaker};
use super::label::Tags;
use super::links::Addresses;
use super::logs::LogBook;
use super::options::UpOptions;
use super::order::Order;
use crate::bus::Sink;
use crate::docker::{Engine, EngineError};
use crate::store::Given;

/// How many log lines a failure shows.
const FAILURE_LINES: u32 = 30;

/// What all tasks of a stack share.
pub struct Context {
    pub engine: Engine,
    pub plan: Arc<Plan>,
    pub options: UpOptions,
    pub order: Order,
    pub tags: Tags,
    pub board: Board,
    pub sandboxes: Sandboxes,
    pub logs: LogBook,
    pub sink: Arc<dyn Sink>,
    pub files: Files,
    pub made: Made,
    /// What steps remembered of its data.
    pub saved: Arc<Saved>,
    /// How many things were made since the start: names tell them apart by it.
    pub one_offs: Arc<std::sync::atomic::AtomicU32>,
    /// Addresses that are chosen here and not by the engine.
    pub addresses: Addresses,
    /// Ends every waiting: the start was given up, or the stack is being removed.
    pub stop: CancellationToken,
    /// Ends the following of events and logs: the stack is removed.
    pub gone: CancellationToken,
    /// The services whose failure fails what is under way; absent = all.
    pub judged: Option<BTreeSet<String>>,
    /// What fails the start, from the events.
    pub failures: mpsc::UnboundedSender<LiveError>,
    /// How many sandboxes start at once: it is work for the engine's CPUs.
    pub starting: Semaphore,
    /// Whether the files and secrets are in their volumes.
    pub files_ready: watch::Sender<bool>,
    pub secrets_ready: watch::Sender<bool>,
}

/// What exists before any container does.
#[derive(Debug, Clone, Default)]
pub struct Made {
    /// The agent's image.
    pub agent: String,
    /// Key of a network to what it became.
    pub networks: BTreeMap<String, MadeNetwork>,
    /// Key of a volume to its name on the engine.
    pub volumes: BTreeMap<String, String>,
    /// Those of them that are clones of snapshots.
    pub clones: BTreeMap<String, Given>,
    /// The volumes of files, one for each upload that there was: their names and their paths on
    /// the engine's host.
    pub files: BTreeMap<u32, (String, String)>,
    /// The volumes of secrets, likewise.
    pub secrets: BTreeMap<u32, (String, String)>,
}

impl Made {
    /// The volume of an upload.
    pub fn shelf(&self, shelf: Shelf, upload: u32) -> Option<&(String, String)> {
        match shelf {
            Shelf::Disk => self.files.get(&upload),
            Shelf::Memory => self.secrets.get(&upload),
        }
    }
}

/// The context that a stack has at present: another one when services of it are made again as
/// another plan says. Cloning is cheap and shares it.
#[derive(Clone)]
pub struct Current(Arc<RwLock<Arc<Context>>>);

impl Current {
    /// That of the stack's start.
    pub fn new(ctx: Arc<Context>) -> Self {
        Self(Arc::new(RwLock::new(ctx)))
    }

    /// What it is now.
    pub fn get(&self) -> Arc<Context> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }

    /// Another one from now on.
    pub fn set(&self, ctx: Arc<Context>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ctx;
    }
}

/// A network on the engine.
#[derive(Debug, Clone)]
pub struct MadeNetwork {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its subnet.
    pub subnet: Cidr,
    /// Whether it has no way out.
    pub internal: bool,
}

/// A sandbox as far as it is.
#[derive(Debug, Clone, Default)]
pub struct Sandbox {
    /// Its container's id; empty until it is made.
    pub id: String,
    /// Whether its guard and DNS sink are in place.
    pub ready: bool,
    /// Its addresses by the networks' names.
    pub addresses: BTreeMap<String, IpAddr>,
}

/// The sandboxes of all replicas that own one. Cloning is cheap and shares them.
#[derive(Debug, Clone, Default)]
pub struct Sandboxes(Arc<BTreeMap<ReplicaKey, watch::Sender<Sandbox>>>);

impl Sandboxes {
    /// None of them made.
    pub fn new(owners: impl IntoIterator<Item = ReplicaKey>) -> Self {
        let each = owners.into_iter();
        Self(Arc::new(
            each.map(|k| (k, watch::channel(Sandbox::default()).0))
                .collect(),
        ))
    }

    /// The owner of the network that a replica of another service joins: the replica of the
    /// same number, else the first.
    pub fn owner(&self, service: &str, replica: u32) -> Option<ReplicaKey> {
        let same = (service.to_owned(), replica);
        if self.0.contains_key(&same) {
            return Some(same);
        }
        self.0.keys().find(|(s, _)| s == service).cloned()
    }

    /// Changes a sandbox.
    pub fn update(&self, key: &ReplicaKey, change: impl FnOnce(&mut Sandbox)) {
        if let Some(sender) = self.0.get(key) {
            sender.send_modify(change);
        }
    }

    /// The present state of a sandbox.
    pub fn get(&self, key: &ReplicaKey) -> Option<Sandbox> {
        self.0.get(key).map(|s| s.borrow().clone())
    }

    /// Waits until a sandbox is as wanted. For ever if there is no such sandbox.
    pub async fn wait(&self, key: &ReplicaKey, wanted: impl FnMut(&Sandbox) -> bool) -> Sandbox {
        let Some(sender) = self.0.get(key) else {
            return std::future::pending().await;
        };
        let mut sandbox = sender.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let found = sandbox.wait_for(wanted).await.map(|s| s.clone());
        found.unwrap_or_default()
    }
}

/// The key of a planned container.
pub fn key_of(c: &ContainerPlan) -> ReplicaKey {
    (c.service.clone(), c.replica)
}

impl Context {
    /// Whether the failure of a service fails what is under way.
    pub fn judges(&self, service: &str) -> bool {
        let judged = self.judged.as_ref();
        judged.is_none_or(|services| services.contains(service))
    }

    /// Waits for something, unless the start is given up.
    pub async fn until<T>(&self, wait: impl Future<Output = T>) -> Result<T, LiveError> {
        tokio::select! {
            () = self.stop.cancelled() => Err(LiveError::Cancelled),
            done = wait => Ok(done),
        }
    }

    /// Fails when the start is given up: asked before each request that makes something.
    pub fn going(&self) -> Result<(), LiveError> {
        if self.stop.is_cancelled() {
            Err(LiveError::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Runs something beside, until the stack is removed.
    pub fn beside(&self, work: impl Future<Output = ()> + Send + 'static) {
        let gone = self.gone.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = gone.cancelled() => {}
                () = work => {}
            }
        });
    }

    /// A request to the engine that failed.
    pub fn engine_failed(&self, doing: impl std::fmt::Display, e: &EngineError) -> LiveError {
        LiveError::Engine(Box::new(e.problem(doing)))
    }

    /// Changes the status of a replica and makes it known when it entered another phase.
    pub fn set(&self, key: &ReplicaKey, change: impl FnOnce(&mut Status)) {
        let before = self.board.get(key);
        if !self.board.update(key, change) {
            return;
        }
        let now = self.board.get(key);
        if now.phase == before.phase {
            return;
        }
        let (state, detail) = match &now.phase {
            Phase::Planned => return,
            Phase::Created => (ServiceState::Created, None),
            Phase::Running if now.restarts > 0 => (
                ServiceState::Restarted,
                Some(format!("restart {}", now.restarts)),
            ),
            Phase::Running => (ServiceState::Started, None),
            Phase::Healthy => (ServiceState::Healthy, None),
            Phase::Unhealthy => (ServiceState::Unhealthy, Some(now.health_output.clone())),
            // What ends because the stack is removed did not die.
            Phase::Ended { .. } | Phase::Restarting { .. } if self.stop.is_cancelled() => return,
            Phase::Ended { code: 0, .. } => (ServiceState::Completed, None),
            Phase::Ended { code, oom } | Phase::Restarting { code, oom } => {
                let oom = if *oom { ", out of memory" } else { "" };
                (ServiceState::Died, Some(format!("exit code {code}{oom}")))
            }
        };
        self.emit_state(key, state, detail);
    }

    /// Makes a state of a replica known.
    pub fn emit_state(&self, key: &ReplicaKey, state: ServiceState, detail: Option<String>) {
        self.sink.emit(What::Service {
            stack: self.options.stack.clone(),
            service: key.0.clone(),
            replica: key.1,
            state,
            detail,
        });
    }

    /// Tells the user something.
    pub fn warn(&self, message: impl Into<String>) {
        self.sink.emit(What::Warning {
            message: message.into(),
        });
    }

    /// Who speaks in a replica's log.
    pub fn speaker(&self, key: &ReplicaKey) -> Speaker {
        Speaker {
            stack: self.options.stack.as_str().into(),
            service: key.0.as_str().into(),
            replica: key.1,
        }
    }

    /// A failure of a service, with its last log lines.
    pub async fn failure(&self, key: &ReplicaKey, what: Failed) -> LiveError {
        let id = self.board.get(key).id;
        let mut log = Vec::new();
        if !id.is_empty() {
            log = follow::tail(&self.engine, &id, FAILURE_LINES).await;
        }
        if log.is_empty() {
            log = self.logs.tail(&key.0, key.1, FAILURE_LINES as usize);
        }
        LiveError::Service(Box::new(ServiceFailure {
            service: key.0.clone(),
            replica: key.1,
            what,
            log,
        }))
    }
}
