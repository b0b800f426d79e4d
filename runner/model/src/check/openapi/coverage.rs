//! Which operations of OpenAPI files were used.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::spec::{Operation, Spec};

/// The operations of files, and how often each was used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// By the file's name.
    pub files: BTreeMap<String, FileCoverage>,
}

/// The operations of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCoverage {
    /// By the operation: `GET /orders/{id}`.
    pub operations: BTreeMap<String, Used>,
}

/// How an operation was used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// How many requests there were.
    pub times: u64,
    /// Which statuses came.
    pub statuses: BTreeSet<u16>,
}

impl Coverage {
    /// Notes that an operation was used. All operations of its file are known from then on.
    pub fn note(&mut self, spec: &Spec, operation: &Operation, status: u16) {
        let file = self
            .files
            .entry(spec.name.clone())
            .or_insert_with(|| FileCoverage {
                operations: spec
                    .operations()
                    .iter()
                    .map(|o| (o.to_string(), Used::default()))
                    .collect(),
            });
        let used = file.operations.entry(operation.to_string()).or_default();
        used.times += 1;
        used.statuses.insert(status);
    }

    /// Takes over what was noted elsewhere.
    pub fn merge(&mut self, other: Coverage) {
        for (name, file) in other.files {
            let mine = self.files.entry(name).or_default();
            for (operation, used) in file.operations {
                let sum = mine.operations.entry(operation).or_default();
                sum.times += used.times;
                sum.statuses.extend(used.statuses);
            }
        }
    }

    /// Whether no file was used.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

impl FileCoverage {
    /// How many operations were used.
    pub fn used(&self) -> usize {
        self.operations.values().filter(|u| u.times > 0).count()
    }

    /// The operations that were not.
    pub fn unused(&self) -> impl Iterator<Item = &str> {
        self.operations
            .iter()
            .filter(|(_, u)| u.times == 0)
            .map(|(o, _)| o.as_str())
    }
}

/// One line for each file, and one for each operation that nothing used.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, file) in &self.files {
            let all = file.operations.len();
            writeln!(f, "{name}: {} of {all} operations were used", file.used())?;
            for operation in file.unused() {
                writeln!(f, "  not used: {operation}")?;
            }
        }
        Ok(())
    }
}

/// A coverage that scenarios at the same time write to.
#[derive(Debug, Default)]
pub struct CoverageBook(Mutex<Coverage>);

impl CoverageBook {
    /// As [`Coverage::note`].
    pub fn note(&self, spec: &Spec, operation: &Operation, status: u16) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .note(spec, operation, status);
    }

    /// What was noted so far.
    pub fn so_far(&self) -> Coverage {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
