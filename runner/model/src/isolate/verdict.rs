//! What a run of the scenario says of a configuration.

use serde::Serialize;

/// The verdict of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The scenario passes.
    Pass,
    /// It fails as it does on the failing environment; what that means is the caller's affair.
    Same,
    /// It fails in another way.
    Other,
    /// It could not be judged: what was to be tried did not start, for instance.
    Unresolved,
}

impl Verdict {
    /// Whether it says that the failure is there, or that it is not.
    pub fn is_clear(self) -> bool {
        matches!(self, Verdict::Pass | Verdict::Same)
    }
}

/// How often each verdict was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Runs that passed.
    pub pass: u32,
    /// Runs that failed as the failing environment does.
    pub same: u32,
    /// Runs that failed in another way.
    pub other: u32,
    /// Runs that could not be judged.
    pub unresolved: u32,
}

impl Counts {
    /// One more.
    pub(super) fn add(&mut self, verdict: Verdict) {
        let count = match verdict {
            Verdict::Pass => &mut self.pass,
            Verdict::Same => &mut self.same,
            Verdict::Other => &mut self.other,
            Verdict::Unresolved => &mut self.unresolved,
        };
        *count = count.saturating_add(1);
    }

    /// How many there were.
    pub fn all(&self) -> u32 {
        self.pass
            .saturating_add(self.same)
            .saturating_add(self.unclear())
    }

    /// How many said neither that the failure is there nor that it is not.
    pub(super) fn unclear(&self) -> u32 {
        self.other.saturating_add(self.unresolved)
    }
}
