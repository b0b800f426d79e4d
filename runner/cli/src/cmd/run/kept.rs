//! A stack that is kept from turn to turn, and shared by all scenarios of `run --watch`. When what
//! it is to be differs from what it is, no more of it is made again than has to be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use prodmirror_engine::bus::Sink;
use prodmirror_engine::live::Remade;
use prodmirror_engine::run::{
    EngineStacks, Finished, Need, Running, Stack, StackFactory, StackRefused, Stop,
};
use prodmirror_engine::step::{Later, World};
use prodmirror_model::event::What;
use prodmirror_model::flags::OverrideKey;
use tokio::sync::Mutex;

use super::shape::{Differs, Shape};
use crate::cmd::note;

/// What stacks are to be, by the feature flags that differ from production's.
pub type Shapes = BTreeMap<OverrideKey, Shape>;

/// Lends one stack to whoever asks.
pub struct Kept {
    state: Mutex<State>,
}

struct State {
    /// Makes stacks; another one when production's files changed.
    maker: EngineStacks,
    shapes: Shapes,
    /// How many were made.
    made: u32,
    held: Option<Held>,
    /// What could not be removed, so far.
    left: bool,
    lost: Option<String>,
}

struct Held {
    stack: Running,
    data: BTreeMap<String, String>,
    /// What it is.
    shape: Shape,
    /// Files of this machine that have another content than when it was given them.
    changed: BTreeSet<PathBuf>,
    /// Services that could not be made again.
    broken: BTreeSet<String>,
}

impl Kept {
    /// Nothing is started yet.
    pub fn new(maker: EngineStacks) -> Self {
        Self {
            state: Mutex::new(State {
                maker,
                shapes: Shapes::new(),
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

    /// What stacks are to be from now on. That which is there becomes so when it is asked for.
    pub async fn aim(&self, maker: EngineStacks, shapes: Shapes) {
        let mut state = self.state.lock().await;
        state.maker = maker;
        state.shapes = shapes;
    }

    /// Says which files of this machine changed.
    pub async fn changed(&self, paths: &BTreeSet<PathBuf>) {
        if let Some(held) = &mut self.state.lock().await.held {
            held.changed.extend(paths.iter().cloned());
        }
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
            let finished = Box::new(held.stack).finish(true).await;
            self.left |= finished.left;
            self.lost = self.lost.take().or(finished.lost);
        }
    }

    /// Makes of the stack that is there what is asked for, if that can be done while it runs.
    /// Gives whether there is one then.
    async fn adapt(&mut self, need: &Need, stop: &Stop) -> Result<bool, StackRefused> {
        let Some(held) = &mut self.held else {
            return Ok(false);
        };
        if held.data != need.data {
            self.maker.sink.emit(What::Warning {
                message: "the scenario starts from other data: the stack is made again".into(),
            });
            self.remove().await;
            return Ok(false);
        }
        let Some(wanted) = self.shapes.get(&need.flags) else {
            return Ok(true);
        };
        let differs = held.shape.differs(wanted, &held.changed);
        if !differs.whole.is_empty() {
            let all: Vec<String> = differs
                .whole
                .iter()
                .cloned()
                .chain(said(&differs))
                .collect();
            note(&format!(
                "{}: the whole stack is made again, with fresh data\n",
                all.join("; ")
            ));
            self.remove().await;
            return Ok(false);
        }
        let mut services: BTreeSet<String> = differs.services.keys().cloned().collect();
        services.extend(held.broken.iter().cloned());
        if services.is_empty() {
            return Ok(true);
        }
        // Others that do not run are what services that are made again would wait for.
        services.extend(held.stack.fallen());
        let changed = held.changed.clone();
        let again = (services.clone(), changed);
        match self.maker.remake(&mut held.stack, need, again, stop).await {
            Ok(remade) => {
                note(&line(&differs, &remade));
                held.shape = wanted.clone();
                held.changed.clear();
                held.broken.clear();
                Ok(true)
            }
            Err(refused) => {
                held.broken.extend(services);
                Err(refused)
            }
        }
    }
}

/// What of services differs, each in words.
fn said(differs: &Differs) -> impl Iterator<Item = String> {
    let each = differs.services.iter();
    each.map(|(service, what)| format!("{service}: {}", what.join(", ")))
}

/// What was made again, and why.
fn line(differs: &Differs, remade: &Remade) -> String {
    let mut parts: Vec<String> = said(differs).collect();
    let others = remade.services.iter();
    let others: Vec<&str> = others
        .filter(|s| !differs.services.contains_key(*s))
        .map(String::as_str)
        .collect();
    if !others.is_empty() {
        parts.push(format!("with {}", others.join(", ")));
    }
    let restarted: Vec<&str> = remade.restarted.iter().map(String::as_str).collect();
    let restarted = match restarted.is_empty() {
        true => String::new(),
        false => format!("; {} restarted", restarted.join(", ")),
    };
    format!(
        "{}: made again in {:.1} s{restarted}; the rest stays\n",
        parts.join("; "),
        remade.took.as_secs_f64()
    )
}

impl StackFactory for Kept {
    fn start<'a>(
        &'a self,
        need: &'a Need,
        stop: &'a Stop,
    ) -> Later<'a, Result<Box<dyn Stack>, StackRefused>> {
        Box::pin(async move {
            let mut state = self.state.lock().await;
            if !state.adapt(need, stop).await? {
                state.made += 1;
                let need = Need {
                    stack: format!("w{}", state.made),
                    ..need.clone()
                };
                let stack = state.maker.bring(&need, stop).await?;
                let shape = state.shapes.get(&need.flags).cloned();
                state.held = Some(Held {
                    stack,
                    data: need.data,
                    shape: shape.unwrap_or_default(),
                    changed: BTreeSet::new(),
                    broken: BTreeSet::new(),
                });
            }
            let world = state.held.as_ref().map(|held| held.stack.world());
            match world {
                Some(world) => Ok(Box::new(Lent(world)) as Box<dyn Stack>),
                None => Err(StackRefused {
                    reason: "there is no stack".to_owned(),
                    lost: false,
                }),
            }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_line_says_what_was_made_again() {
        let names = |all: &[&str]| all.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        let differs = Differs {
            whole: Vec::new(),
            services: [("orders".to_owned(), names(&["image", "env PAYMENT_URL"]))].into(),
        };
        let mut remade = Remade {
            services: names(&["orders"]).into_iter().collect(),
            restarted: BTreeSet::new(),
            took: Duration::from_millis(1230),
        };
        let said = line(&differs, &remade);
        let wanted = "orders: image, env PAYMENT_URL: made again in 1.2 s; the rest stays\n";
        assert_eq!(said, wanted);
        remade.services.insert("log".to_owned());
        remade.restarted.insert("web".to_owned());
        let said = line(&differs, &remade);
        let wanted = "orders: image, env PAYMENT_URL; with log: made again in 1.2 s; web restarted; the rest stays\n";
        assert_eq!(said, wanted);
    }
}
