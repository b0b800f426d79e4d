//! A subscriber with its thread and its queue.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use prodmirror_model::event::{Event, What};

use super::{Subscriber, lock};

/// How long events gather before the thread is woken for them, unless one is urgent.
const GATHER: Duration = Duration::from_millis(15);

/// Events that may wait for a slow subscriber; beyond this, log lines are left out.
const BACKLOG: usize = 20_000;

/// A subscriber that runs by itself. Emitting costs a push; the thread takes whole batches.
pub(super) struct Lane {
    name: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the lane's thread.
    work: Condvar,
    /// Wakes those who wait for the lane.
    progress: Condvar,
}

#[derive(Default)]
struct State {
    queue: Vec<Arc<Event>>,
    urgent: bool,
    closed: bool,
    /// The thread sleeps and needs a wake-up for any event.
    idle: bool,
    /// Number of the last event that was delivered.
    delivered: u64,
    /// Number of the last event that was queued.
    queued: u64,
    left_out: u64,
    ended: bool,
    panicked: bool,
}

impl Lane {
    pub(super) fn start(name: &str, mut subscriber: Box<dyn Subscriber>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mine = shared.clone();
        std::thread::Builder::new()
            .name(format!("events: {name}"))
            .spawn(move || {
                let _ended = Ended(&mine);
                while let Some(batch) = mine.next_batch() {
                    for event in &batch {
                        subscriber.on(event);
                    }
                    mine.delivered(batch.last().map_or(0, |e| e.seq));
                }
                subscriber.finish();
            })?;
        Ok(Self {
            name: name.to_owned(),
            shared,
        })
    }

    /// Queues an event.
    pub(super) fn push(&self, event: &Arc<Event>) {
        let mut state = lock(&self.shared.state);
        if state.closed || state.ended {
            return;
        }
        if state.queue.len() >= BACKLOG && matches!(event.what, What::Log { .. }) {
            state.left_out += 1;
            return;
        }
        state.queue.push(event.clone());
        state.queued = event.seq;
        let urgent = is_urgent(&event.what);
        if state.idle || urgent {
            state.idle = false;
            state.urgent |= urgent;
            self.shared.work.notify_one();
        }
    }

    /// No more events will be pushed.
    pub(super) fn close(&self) {
        lock(&self.shared.state).closed = true;
        self.shared.work.notify_one();
    }

    /// Waits until everything up to number `seq` is delivered.
    pub(super) fn settle(&self, seq: u64, until: Instant) -> bool {
        {
            let mut state = lock(&self.shared.state);
            state.urgent = true;
            self.shared.work.notify_one();
        }
        self.wait(until, |s| s.ended || s.delivered >= seq.min(s.queued))
    }

    /// Waits for the thread's end; gives what went wrong.
    pub(super) fn end(&self, until: Instant) -> Option<String> {
        let name = &self.name;
        if !self.wait(until, |s| s.ended) {
            return Some(format!("the {name} did not finish in time"));
        }
        let state = lock(&self.shared.state);
        if state.panicked {
            return Some(format!("the {name} failed unexpectedly"));
        }
        (state.left_out > 0).then(|| {
            format!(
                "the {name} was too slow and left {} log lines out; the events file has them",
                state.left_out
            )
        })
    }

    fn wait(&self, until: Instant, done: impl Fn(&State) -> bool) -> bool {
        let state = lock(&self.shared.state);
        let left = until.saturating_duration_since(Instant::now());
        let (state, _) = self
            .shared
            .progress
            .wait_timeout_while(state, left, |s| !done(s))
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        done(&state)
    }
}

impl Shared {
    /// The next events, or `None` when all were taken and no more will come.
    fn next_batch(&self) -> Option<Vec<Arc<Event>>> {
        let unpoisoned = std::sync::PoisonError::into_inner;
        let mut state = lock(&self.state);
        while state.queue.is_empty() && !state.closed {
            state.idle = true;
            state = self.work.wait(state).unwrap_or_else(unpoisoned);
        }
        state.idle = false;
        let (mut state, _) = self
            .work
            .wait_timeout_while(state, GATHER, |s| !s.urgent && !s.closed)
            .unwrap_or_else(|e| e.into_inner());
        state.urgent = false;
        if state.queue.is_empty() && state.closed {
            return None;
        }
        Some(std::mem::take(&mut state.queue))
    }

    fn delivered(&self, seq: u64) {
        lock(&self.state).delivered = seq;
        self.progress.notify_all();
    }
}

/// Marks the lane as ended, also when its subscriber panics.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.ended = true;
        state.panicked = std::thread::panicking();
        state.queue = Vec::new();
        drop(state);
        self.0.progress.notify_all();
    }
}

/// Whether somebody looks at the outcome of this at once: people, or a file that must hold it.
fn is_urgent(what: &What) -> bool {
    matches!(
        what,
        What::RunStarted { .. }
            | What::StackFailed { .. }
            | What::CaseFinished { .. }
            | What::RunFinished { .. }
    )
}
