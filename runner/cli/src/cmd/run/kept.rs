//! A stack that is kept from turn to turn, and shared by all scenarios of `run --watch`.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use prodmirror_engine::bus::Sink;
use prodmirror_engine::run::{
    EngineStacks, Finished, Need, Stack, StackFactory, StackRefused, Stop,
};
use prodmirror_engine::step::{Later, World};
use prodmirror_model::event::What;
use tokio::sync::Mutex;

/// Lends one stack to whoever asks.
pub struct Kept {
    state: Mutex<State>,
}

struct State {
    /// Makes stacks; another one when production's files changed.
    maker: EngineStacks,
    /// How many were made.
    made: u32,
    held: Option<Held>,
    /// What could not be removed, so far.
    left: bool,
    lost: Option<String>,
}

struct Held {
    stack: Box<dyn Stack>,
    data: BTreeMap<String, String>,
}

impl Kept {
    /// Nothing is started yet.
    pub fn new(maker: EngineStacks) -> Self {
        Self {
            state: Mutex::new(State {
                maker,
                made: 0,
                held: None,
                left: false,
                lost: None,
            }),
        }
    }

    /// The next stack is made by another one. That which is there is removed.
    pub async fn replace(&self, maker: EngineStacks) {
        let mut state = self.state.lock().await;
        state.remove().await;
        state.maker = maker;
    }

    /// Removes the stack. What of all could not be removed, and why when the engine was lost.
    pub async fn end(&self) -> Finished {
        let mut state = self.state.lock().await;
        state.remove().await;
        Finished {
            left: state.left,
            lost: state.lost.clone(),
        }
    }
}

impl State {
    async fn remove(&mut self) {
        if let Some(held) = self.held.take() {
            let finished = held.stack.finish(true).await;
            self.left |= finished.left;
            self.lost = self.lost.take().or(finished.lost);
        }
    }
}

impl StackFactory for Kept {
    fn start<'a>(
        &'a self,
        need: &'a Need,
        stop: &'a Stop,
    ) -> Later<'a, Result<Box<dyn Stack>, StackRefused>> {
        Box::pin(async move {
            let mut state = self.state.lock().await;
            if let Some(held) = &state.held {
                if held.data == need.data {
                    return Ok(Box::new(Lent(held.stack.world())) as Box<dyn Stack>);
                }
                state.maker.sink.emit(What::Warning {
                    message: "the scenario starts from other data: the stack is made again".into(),
                });
                state.remove().await;
            }
            state.made += 1;
            let need = Need {
                stack: format!("w{}", state.made),
                ..need.clone()
            };
            let stack = state.maker.start(&need, stop).await?;
            let world = stack.world();
            state.held = Some(Held {
                stack,
                data: need.data,
            });
            Ok(Box::new(Lent(world)) as Box<dyn Stack>)
        })
    }
}

/// The stack, for as long as cases run on it.
struct Lent(Arc<dyn World>);

impl Stack for Lent {
    fn world(&self) -> Arc<dyn World> {
        self.0.clone()
    }

    fn finish(self: Box<Self>, _passed: bool) -> Later<'static, Finished> {
        Box::pin(async { Finished::default() })
    }
}

/// Hands facts on to where they go at present: each turn has its own events.
pub struct Relay(RwLock<Arc<dyn Sink>>);

impl Relay {
    /// Begins with this one.
    pub fn new(to: Arc<dyn Sink>) -> Self {
        Self(RwLock::new(to))
    }

    /// Hands on to another one from now on.
    pub fn turn_to(&self, to: Arc<dyn Sink>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = to;
    }
}

impl Sink for Relay {
    fn emit(&self, what: What) {
        let to = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        to.emit(what);
    }
}
