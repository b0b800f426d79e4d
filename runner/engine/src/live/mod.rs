//! A plan made live on the engine, and removed again.

mod board;
mod body;
mod context;
mod copy;
mod down;
mod error;
mod exec;
mod files;
mod follow;
mod health;
pub mod label;
pub mod lease;
mod logs;
mod options;
mod order;
mod reading;
mod replica;
mod sandbox;
mod stack;
mod standing;
mod start;
mod stub;
mod subnet;
mod sweep;
mod watch;

pub use board::{Phase, Status};
pub use error::{Failed, LiveError, ServiceFailure};
pub use exec::{ExecOutput, exit_code};
pub use follow::Line;
pub use logs::{Cursor, LogBook, LogLine};
pub use options::{Teardown, UpOptions};
pub use reading::{LogRequest, Spoken};
pub use stack::{ExecRequest, LiveStack};
pub use standing::{Member, Standing, down_project, standing};
pub use start::up;
pub use sweep::{DownReport, sweep};
