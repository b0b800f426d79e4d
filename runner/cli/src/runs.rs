//! Directories of runs: `.prodmirror/runs/<id>/` beside the project file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use prodmirror_model::event::{CaseId, Outcome};
use prodmirror_model::project::Project;
use prodmirror_model::summary::Case;

use crate::report::replay;

/// How many runs this process made.
static MADE: AtomicU64 = AtomicU64::new(0);

/// The runs of a project.
pub struct Runs {
    dir: PathBuf,
}

/// One run's identity and directory.
pub struct RunDir {
    /// Its identity: time and a few random digits, so that names sort by time.
    pub id: String,
    /// Its directory.
    pub path: PathBuf,
}

impl Runs {
    /// The runs of the project in `root`.
    pub fn of(root: &Path) -> Self {
        Self {
            dir: root.join(".prodmirror").join("runs"),
        }
    }

    /// What `bisect` leaves of its searches in a directory.
    pub fn of_bisect(root: &Path) -> Self {
        Self {
            dir: root.join(".prodmirror").join("bisect"),
        }
    }

    /// Where their directories are.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The runs of the project that `-f` or the directory names.
    pub fn above(cwd: &Path, project: Option<&Path>) -> Self {
        let file = match project {
            Some(path) => Some(cwd.join(path)),
            None => Project::find(cwd).ok(),
        };
        let root = file.and_then(|f| f.parent().map(Path::to_path_buf));
        Self::of(&root.unwrap_or_else(|| cwd.to_owned()))
    }

    /// Makes the directory of a new run.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(&self, seed: u64) -> io::Result<RunDir> {
        let now = jiff::Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC);
        let stamp = now.strftime("%Y%m%d-%H%M%S");
        let mut digits = seed ^ u64::from(std::process::id()).rotate_left(32);
        // Runs at once, in directories of their own: their names on the engine must differ, too.
        digits = digits.wrapping_add(MADE.fetch_add(1, Ordering::Relaxed));
        std::fs::create_dir_all(&self.dir)?;
        loop {
            digits = digits
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let id = format!("{stamp}-{:04x}", digits >> 48);
            let path = self.dir.join(&id);
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(RunDir { id, path }),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// The directory of the last run.
    pub fn last(&self) -> Option<PathBuf> {
        let entries = std::fs::read_dir(&self.dir).ok()?;
        entries
            .filter_map(|e| Some(e.ok()?.path()))
            .filter(|p| p.is_dir())
            .max()
    }

    /// The cases that did not pass in the last run.
    pub fn last_failed(&self) -> Option<Vec<CaseId>> {
        let replay = replay::read(&self.last()?.join("events.jsonl")).ok()?;
        let bad = |c: &&Case| !matches!(c.verdict(), Outcome::Passed | Outcome::Skipped);
        let failed = replay.summary.cases.iter().filter(bad);
        Some(failed.map(|c| c.id.clone()).collect())
    }
}
