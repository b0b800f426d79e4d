//! Exit codes: the table that scripts and CI rely on.

use std::process::ExitCode;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All passed, or there was nothing to object to.
    Ok = 0,
    /// A scenario failed.
    Failed = 1,
    /// Usage, or a file is invalid. Nothing was started.
    Invalid = 2,
    /// The stack did not start.
    Stack = 3,
    /// A gate closed: lock, fidelity, audit, egress.
    Gate = 4,
    /// The engine could not be reached, or was lost.
    Engine = 5,
    /// Interrupted; everything was cleaned up.
    Interrupted = 130,
}

impl Exit {
    /// The number.
    pub fn code(self) -> i32 {
        self as u8 as i32
    }
}

impl From<Exit> for ExitCode {
    fn from(e: Exit) -> Self {
        ExitCode::from(e as u8)
    }
}
