//! What the program prints, and how it fails.

use std::fmt::Display;
use std::io::Write;

use prodmirror_agent::wire::Event;

/// Why a mode could not do its work.
#[derive(Debug)]
pub struct Failure {
    /// What could not be done; empty when the program was called wrongly.
    pub what: String,
    /// The cause.
    pub why: String,
}

impl Failure {
    /// `what` could not be done because of `why`.
    pub fn new(what: impl Into<String>, why: impl Display) -> Self {
        Self {
            what: what.into(),
            why: why.to_string(),
        }
    }

    /// The program was called or configured wrongly.
    pub fn usage(why: impl Display) -> Self {
        Self {
            what: String::new(),
            why: why.to_string(),
        }
    }

    /// Whether the program was called or configured wrongly.
    pub fn is_usage(&self) -> bool {
        self.what.is_empty()
    }
}

/// Prints an event.
pub fn emit(event: &Event) {
    line(&event.to_line());
}

/// Prints a warning.
pub fn warn(what: &str, why: impl Display) {
    emit(&Event::Warning {
        what: what.to_owned(),
        why: why.to_string(),
    });
}

/// Prints one line. Nobody may be reading any more, which is no reason to stop working.
pub fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}");
    let _ = out.flush();
}
