//! The lines around a place where something did not hold.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prodmirror_model::event::{CaseId, Outcome, Place, What};
use prodmirror_model::redact::Redactor;
use prodmirror_model::source::SourceFile;

/// Lines before the place.
const BEFORE: u32 = 4;
/// Lines after it.
const AFTER: u32 = 2;
/// Characters of a line that are told.
const WIDTH: usize = 400;

/// Knows the files, and which steps run at which place.
pub(super) struct Excerpts {
    files: HashMap<String, Arc<SourceFile>>,
    running: HashMap<(CaseId, String), Place>,
    told: HashSet<(String, u32)>,
}

impl Excerpts {
    pub(super) fn new(sources: Vec<Arc<SourceFile>>) -> Self {
        Self {
            files: sources.into_iter().map(|f| (f.name.clone(), f)).collect(),
            running: HashMap::new(),
            told: HashSet::new(),
        }
    }

    /// The events that `what` needs before it, for its places to be shown.
    pub(super) fn wanted_by(&mut self, what: &What, redactor: &Redactor) -> Vec<What> {
        if self.files.is_empty() {
            return Vec::new();
        }
        match what {
            What::StepStarted {
                case, step, place, ..
            } => {
                self.running
                    .insert((case.clone(), step.clone()), place.clone());
                Vec::new()
            }
            What::StepFinished {
                case,
                step,
                outcome,
                mismatches,
                ..
            } => {
                let own = self.running.remove(&(case.clone(), step.clone()));
                if matches!(outcome, Outcome::Passed | Outcome::Skipped) {
                    return Vec::new();
                }
                mismatches
                    .iter()
                    .filter_map(|m| m.place.as_ref())
                    .chain(own.as_ref())
                    .filter_map(|place| self.around(place, redactor))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn around(&mut self, place: &Place, redactor: &Redactor) -> Option<What> {
        let file = self.files.get(&place.file)?;
        if place.line == 0 || !self.told.insert((place.file.clone(), place.line)) {
            return None;
        }
        let first = place.line.saturating_sub(BEFORE).max(1);
        let count = (place.line - first) + 1 + AFTER;
        let lines: Vec<String> = file
            .text
            .lines()
            .skip(first as usize - 1)
            .take(count as usize)
            .map(|l| redactor.redact_cut(l, WIDTH))
            .collect();
        (!lines.is_empty()).then(|| What::Source {
            file: place.file.clone(),
            first,
            lines,
        })
    }
}
