//! Who keeps a stack: what its labels say, and how long it may live without a runner.

mod owner;

use std::time::Duration;

pub use owner::{Life, Owner};

/// Who keeps a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// The run: when the runner is gone, so is the stack.
    Run,
    /// Nobody, but it may be collected after this long (whole seconds).
    For(Duration),
    /// Nobody: it stays until somebody removes it.
    Kept,
}
