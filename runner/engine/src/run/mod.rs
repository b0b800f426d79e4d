//! Playing compiled scenarios on stacks.
//!
//! [`play`] plays one scenario; the [`Dispatcher`] gives scenarios to stacks, in parallel,
//! and owns the truth about what ended how. What happens leaves as events only.

mod attempt;
mod case;
mod dispatcher;
mod flow;
mod group;
mod inspect;
mod on_engine;
mod pulse;
mod queue;
mod race;
mod read_back;
mod seed;
mod snapshots;
mod steps;
mod stop;
mod window;

pub use attempt::StepEnd;
pub use case::{CaseEnd, CaseOptions, play};
pub use dispatcher::{
    Aftermath, Case, Counts, Dispatcher, Finished, Limits, Need, RunEnd, Stack, StackFactory,
    StackRefused,
};
pub use inspect::{Halt, Inspector};
pub use on_engine::{EngineStacks, FlagPlans, Keep, Observer, Running};
pub use pulse::pulse;
pub use read_back::ReadBack;
pub use seed::Seed;
pub use snapshots::{Outside, Written};
pub use stop::Stop;
pub use window::Window;
