//! What expectations do outside of the values that they look at.

use std::fmt;
use std::sync::Arc;

use super::openapi::CoverageBook;
use super::snapshot::SnapshotStore;

/// What the runner gives to expectations; without it, they only compare.
#[derive(Clone, Default)]
pub struct Hooks {
    /// Where snapshots are.
    pub snapshots: Option<Arc<dyn SnapshotStore>>,
    /// Where the operations of OpenAPI files are noted that were used.
    pub coverage: Option<Arc<CoverageBook>>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("snapshots", &self.snapshots.is_some())
            .field("coverage", &self.coverage.is_some())
            .finish()
    }
}
