//! The files of snapshots: beside the scenario's own, a directory for each scenario.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use prodmirror_model::check::Hooks;
use prodmirror_model::check::openapi::CoverageBook;
use prodmirror_model::check::snapshot::{SnapshotStore, slug};
use prodmirror_model::scenario::Scenario;
use prodmirror_model::source::io_reason;

/// The directory of snapshots beside a scenario file.
const DIRECTORY: &str = "__snapshots__";

/// The largest snapshot that is read, in bytes: as large as a body may be, written out.
const LARGEST: u64 = 64 * 1024 * 1024;

/// What expectations of a run do outside of their values.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// Whether snapshots are written where they are missing or differ.
    pub update_snapshots: bool,
    /// The snapshots that were written.
    pub written: Arc<Written>,
    /// The operations of OpenAPI files that were used.
    pub coverage: Arc<CoverageBook>,
}

/// Names of snapshots that were written, each once.
#[derive(Debug, Default)]
pub struct Written(Mutex<Vec<String>>);

impl Written {
    fn add(&self, name: String) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.contains(&name) {
            all.push(name);
        }
    }

    /// All of them so far.
    pub fn all(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Outside {
    /// What the expectations of a scenario are given.
    pub(super) fn hooks(&self, scenario: &Scenario) -> Hooks {
        let file = &scenario.file;
        let folder = format!("{DIRECTORY}/{}", slug(&scenario.name.value));
        // A text that is in no file has nothing beside it.
        let store = file.path.as_ref().map(|_| {
            Arc::new(Files {
                folder: file.beside(&folder),
                shown: file.name_beside(&folder),
                updates: self.update_snapshots,
                written: self.written.clone(),
            }) as Arc<dyn SnapshotStore>
        });
        Hooks {
            snapshots: store,
            coverage: Some(self.coverage.clone()),
        }
    }
}

struct Files {
    folder: PathBuf,
    shown: String,
    updates: bool,
    written: Arc<Written>,
}

impl SnapshotStore for Files {
    fn read(&self, file: &str) -> Result<Option<String>, String> {
        let path = self.folder.join(file);
        match std::fs::metadata(&path) {
            Ok(m) if m.len() > LARGEST => {
                return Err(format!(
                    "it has {} bytes; at most {LARGEST} are read",
                    m.len()
                ));
            }
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(io_reason(&e)),
        }
        let bytes = std::fs::read(&path).map_err(|e| io_reason(&e))?;
        String::from_utf8(bytes)
            .map(Some)
            .map_err(|_| "it is not UTF-8".to_owned())
    }

    fn write(&self, file: &str, text: &str) -> Result<(), String> {
        std::fs::create_dir_all(&self.folder).map_err(|e| io_reason(&e))?;
        write_whole(&self.folder, file, text).map_err(|e| io_reason(&e))?;
        self.written.add(self.name(file));
        Ok(())
    }

    fn updates(&self) -> bool {
        self.updates
    }

    fn name(&self, file: &str) -> String {
        format!("{}/{file}", self.shown)
    }
}

/// Puts a file there at once, so that a run that is ended leaves no half of one.
fn write_whole(folder: &Path, file: &str, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(text.as_bytes())?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // Temporary files are for their owner alone; these are committed.
        new.as_file()
            .set_permissions(std::fs::Permissions::from_mode(0o644))?;
    }
    new.persist(folder.join(file)).map_err(|e| e.error)?;
    Ok(())
}
