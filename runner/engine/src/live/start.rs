//! Starting a stack: what all services need, then every service as soon as it may.

use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::{ContainerPlan, NetworkOf, Plan};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::board::{Board, ReplicaKey};
use super::context::{Context, Current, Sandboxes, key_of};
use super::error::LiveError;
use super::files::{Files, Shelf};
use super::label::{self, Tags};
use super::lease::Owner;
use super::logs::LogBook;
use super::make::Maker;
use super::options::UpOptions;
use super::order::Order;
use super::stack::LiveStack;
use super::supervise::{confirm, give_up, supervise};
use super::sweep::sweep;
use super::watch as events;
use super::{links, replica, stub, upload};
use crate::bus::Sink;
use crate::docker::Engine;

/// How far before the first request events are asked for: clocks differ a little.
const EVENTS_BEFORE: Duration = Duration::from_secs(2);

/// Starts a plan and returns when all of it is ready. What becomes of services, and what they
/// print, goes to `sink`; that the stack starts, is ready or failed is for the caller to tell.
///
/// # Errors
/// See [`LiveError`]. Everything that was made is removed by then, also when the start was
/// cancelled or this future was dropped.
pub async fn up(
    engine: &Engine,
    plan: Arc<Plan>,
    options: UpOptions,
    sink: Arc<dyn Sink>,
) -> Result<LiveStack, LiveError> {
    // Dropping this future must not leave half a stack: the work goes on in a task of its
    // own, which is told.
    let cancel = options.cancel.child_token();
    let guard = cancel.clone().drop_guard();
    let stack = [
        format!("{}={}", label::RUN, options.run),
        format!("{}={}", label::STACK, options.stack),
    ];
    let deadline = options.teardown.deadline;
    let work = tokio::spawn(run(engine.clone(), plan, options, sink, cancel));
    let ended = work.await;
    guard.disarm();
    if ended.is_err() {
        // A fault in here: nobody else has removed what was made.
        sweep(engine, &stack, deadline).await;
    }
    ended.unwrap_or_else(|e| {
        let message = format!("the start of the stack broke off: {e}");
        Err(LiveError::Refused(Box::new(Problem::new(
            ProblemKind::Start,
            message,
        ))))
    })
}

async fn run(
    engine: Engine,
    plan: Arc<Plan>,
    options: UpOptions,
    sink: Arc<dyn Sink>,
    cancel: CancellationToken,
) -> Result<LiveStack, LiveError> {
    let begun = Instant::now();
    let order = Order::of(&plan, &options.services).map_err(|p| LiveError::Refused(Box::new(p)))?;
    let owner = Owner::this_process();
    let mut tags = Tags::new(
        &plan.project,
        &options.run,
        &options.stack,
        options.hold,
        &owner,
    );
    if options.plain_names {
        tags = tags.plain();
    }
    let attempt = Attempt {
        engine,
        plan,
        options,
        sink,
        order,
        tags,
        cancel,
    };
    attempt.start(begun).await
}

/// One attempt to start a stack.
struct Attempt {
    engine: Engine,
    plan: Arc<Plan>,
    options: UpOptions,
    sink: Arc<dyn Sink>,
    order: Order,
    tags: Tags,
    cancel: CancellationToken,
}

impl Attempt {
    async fn start(self, begun: Instant) -> Result<LiveStack, LiveError> {
        let (engine, filters) = (self.engine.clone(), self.tags.filters());
        let (data, stack) = (self.options.data.clone(), self.options.stack.clone());
        let deadline = self.options.teardown.deadline;
        let started = self.start_or_leave(begun).await;
        if started.is_err() {
            // Counted apart from the start's own time, and not ended by its cancelling.
            sweep(&engine, &filters, deadline).await;
            if let Some(data) = data {
                data.take_back(&stack).await;
            }
        }
        started
    }

    async fn start_or_leave(self, begun: Instant) -> Result<LiveStack, LiveError> {
        let refuse = |p: Problem| LiveError::Refused(Box::new(p));
        let chosen: Vec<&ContainerPlan> = self
            .order
            .containers
            .iter()
            .map(|i| &self.plan.containers[*i])
            .collect();
        let files = Files::gather(&chosen).map_err(refuse)?;
        self.refuse_if_there().await?;
        let since = self.events_since();
        if self.cancel.is_cancelled() {
            return Err(LiveError::Cancelled);
        }
        let maker = Maker {
            engine: &self.engine,
            plan: &self.plan,
            tags: &self.tags,
            options: &self.options,
            sink: &*self.sink,
        };
        let made = maker.all(&files, &chosen).await?;
        let owners: Vec<ReplicaKey> = chosen
            .iter()
            .filter(|c| c.network == NetworkOf::Own)
            .map(|c| key_of(c))
            .collect();
        let (failures, mut failed) = mpsc::unbounded_channel();
        let addresses = links::addresses(&chosen, &made.networks);
        let ctx = Arc::new(Context {
            board: Board::new(chosen.iter().map(|c| key_of(c))),
            sandboxes: Sandboxes::new(owners),
            logs: LogBook::new(self.options.log_bytes),
            starting: Semaphore::new(self.engine.facts().cpus as usize + 2),
            files_ready: watch::channel(false).0,
            secrets_ready: watch::channel(false).0,
            stop: CancellationToken::new(),
            gone: CancellationToken::new(),
            judged: None,
            failures,
            files,
            made,
            saved: Arc::default(),
            one_offs: Arc::default(),
            addresses,
            engine: self.engine,
            plan: self.plan.clone(),
            options: self.options,
            order: self.order,
            tags: self.tags,
            sink: self.sink,
        });
        let current = Current::new(ctx.clone());
        ctx.beside(events::watch(current.clone(), since));
        let mut tasks = JoinSet::new();
        // In this order they ask for the engine's CPUs: long chains of dependents first.
        for position in 0..ctx.order.containers.len() {
            spawn_one(&ctx, position, &mut tasks);
        }
        spawn_uploads(&ctx, &mut tasks);
        let mut ended = supervise(&ctx, &mut tasks, &mut failed, &self.cancel, begun).await;
        if ended.is_ok() {
            ended = confirm(&ctx).await;
        }
        match ended {
            Ok(()) => Ok(LiveStack::new(ctx, current)),
            Err(first) => {
                let root = give_up(&ctx, tasks, &mut failed, first).await;
                ctx.gone.cancel();
                Err(root)
            }
        }
    }

    /// A stack that stays has plain names; a second one of the same name is refused with
    /// better words than the engine's.
    async fn refuse_if_there(&self) -> Result<(), LiveError> {
        if !self.options.plain_names {
            return Ok(());
        }
        let stack = [
            format!("{}={}", label::PROJECT, self.plan.project),
            format!("{}={}", label::STACK, self.tags.stack()),
        ];
        let there = self.engine.find_containers(&stack).await;
        let there = there.map_err(|e| LiveError::Engine(Box::new(e.problem("list containers"))))?;
        if there.is_empty() {
            return Ok(());
        }
        let message = format!("the mirror of `{}` is up already", self.plan.project);
        let problem = Problem::new(ProblemKind::Conflict, message);
        Err(LiveError::Refused(Box::new(
            problem.help("remove it first: `prodmirror down`"),
        )))
    }

    fn events_since(&self) -> i64 {
        let ahead = self.engine.facts().clock_ahead_ms;
        let now = jiff::Timestamp::now().as_millisecond() + ahead;
        let before = i64::try_from(EVENTS_BEFORE.as_millis()).unwrap_or(0);
        (now - before).saturating_mul(1_000_000)
    }
}

/// Starts a replica (`position` in [`Order::containers`]).
pub fn spawn_one(ctx: &Arc<Context>, position: usize, tasks: &mut JoinSet<Result<(), LiveError>>) {
    let plan = &ctx.plan.containers[ctx.order.containers[position]];
    if plan.is_stand_in() {
        tasks.spawn(stub::start(ctx.clone(), position));
    } else {
        tasks.spawn(replica::start(ctx.clone(), position));
    }
}

/// Starts the uploads that replicas wait for.
pub fn spawn_uploads(ctx: &Arc<Context>, tasks: &mut JoinSet<Result<(), LiveError>>) {
    let last = ctx.files.upload();
    if ctx.made.shelf(Shelf::Disk, last).is_some() {
        tasks.spawn(upload::files(ctx.clone()));
    }
    if ctx.made.shelf(Shelf::Memory, last).is_some() {
        tasks.spawn(upload::secrets(ctx.clone()));
    }
}
