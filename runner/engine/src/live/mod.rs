//! A plan made live on the engine, and removed again.

mod error;
pub mod lease;
mod logs;
mod options;
mod stack;

pub use error::{Failed, LiveError, ServiceFailure};
pub use logs::{Cursor, LogBook, LogLine};
pub use options::{Teardown, UpOptions};
pub use stack::{DownReport, ExecOutput, ExecRequest, LiveStack, up};
