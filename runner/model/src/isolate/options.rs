//! What the caller wants of a search.

use super::Invalid;

/// What the caller wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// How many configurations can be tried at once. Beyond the first, those are asked for which
    /// would be next by either verdict: more runs, in less time.
    pub width: usize,
    /// How many runs may be asked for.
    pub limit: u32,
    /// How often each of the two ends is judged before anything else.
    pub ends: u32,
    /// When a configuration is judged more than once.
    pub repeats: Repeats,
    /// How sure the answer has to be where runs are repeated.
    pub confidence: f64,
    /// Whether to go on when the failure is still there without the first cause.
    pub all: bool,
    /// How many causes are looked for at most.
    pub causes: usize,
}

/// When a configuration is judged more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// When the failing environment did not fail each time.
    WhenSeen,
    /// Always: even if it failed each time, it may fail only nearly always.
    Always,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            width: 1,
            limit: 100,
            ends: 1,
            repeats: Repeats::WhenSeen,
            confidence: 0.99,
            all: false,
            causes: 4,
        }
    }
}

impl Options {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        if self.confidence > 0.0 && self.confidence < 1.0 {
            return Ok(());
        }
        Err(Invalid::Confidence(self.confidence))
    }
}
