//! Which scenarios run: found in files and directories, then narrowed by options.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prodmirror_engine::step::Program;
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::event::CaseId;
use prodmirror_model::source::{SourceFile, io_reason};

/// Finds and reads scenario files. `paths` may name files and directories (searched for
/// `*.yaml` and `*.yml`, deeper ones too); when empty, `scenarios/` beside the project file is
/// taken. Names in messages are relative to `root` where they can be.
pub fn files(paths: &[PathBuf], root: &Path, cwd: &Path) -> (Vec<Arc<SourceFile>>, Problems) {
    let (found, mut problems) = paths_of(paths, root, cwd);
    let mut files: Vec<Arc<SourceFile>> = Vec::with_capacity(found.len());
    for path in found {
        match SourceFile::read(&path, shown(&path, root, cwd)) {
            Ok(file) if files.iter().any(|f| f.name == file.name) => {}
            Ok(file) => files.push(file),
            Err(p) => problems.push(p),
        }
    }
    (files, problems)
}

/// The paths of the files that [`files`] reads.
pub fn paths_of(paths: &[PathBuf], root: &Path, cwd: &Path) -> (Vec<PathBuf>, Problems) {
    let mut problems = Problems::default();
    let mut found = Vec::new();
    let default = [root.join("scenarios")];
    let (paths, is_default) = if paths.is_empty() {
        (&default[..], true)
    } else {
        (paths, false)
    };
    for path in paths {
        let path = cwd.join(path);
        if path.is_dir() {
            if let Err(e) = walk(&path, &mut found) {
                let what = format!("cannot read {}: {}", path.display(), io_reason(&e));
                problems.push(Problem::new(ProblemKind::MissingFile, what));
            }
        } else if !is_default || path.exists() {
            found.push(path);
        }
    }
    (found, problems)
}

fn walk(dir: &Path, to: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir)?
        .map(|e| e.map(|e| e.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        let hidden = path
            .file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() {
            walk(&path, to)?;
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            to.push(path);
        }
    }
    Ok(())
}

/// What messages call a file.
pub fn shown(path: &Path, root: &Path, cwd: &Path) -> String {
    path.strip_prefix(root)
        .or_else(|_| path.strip_prefix(cwd))
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned()
}

/// How the scenarios that were found are narrowed.
#[derive(Debug, Default)]
pub struct Filter {
    /// Any of these labels.
    pub labels: Vec<String>,
    /// Any of these texts in file or name.
    pub texts: Vec<String>,
    /// Part `.0` (from 1) of `.1`.
    pub shard: Option<(usize, usize)>,
    /// Only these cases.
    pub cases: Option<Vec<CaseId>>,
}

impl Filter {
    /// Reads `i/n`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse_shard(text: &str) -> Result<(usize, usize), Problem> {
        let parsed = text
            .split_once('/')
            .and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)))
            .filter(|(i, n): &(usize, usize)| *i >= 1 && i <= n);
        parsed.ok_or_else(|| {
            Problem::new(
                ProblemKind::InvalidValue,
                format!("`--shard {text}` is not i/n"),
            )
            .help("for example --shard 2/5 runs the second of five parts")
        })
    }

    /// Keeps what was asked for, in order.
    pub fn apply(&self, programs: Vec<Program>) -> Vec<Program> {
        let kept = programs.into_iter().filter(|p| self.takes(p));
        match self.shard {
            None => kept.collect(),
            Some((i, n)) => {
                let parts = kept.enumerate().filter(|(k, _)| k % n == i - 1);
                parts.map(|(_, p)| p).collect()
            }
        }
    }

    fn takes(&self, program: &Program) -> bool {
        let s = &program.scenario;
        let label = self.labels.is_empty() || self.labels.iter().any(|l| s.labels.contains(l));
        let text = self.texts.is_empty()
            || self
                .texts
                .iter()
                .any(|t| s.name.contains(t.as_str()) || s.file.name.contains(t.as_str()));
        let wanted = self
            .cases
            .as_ref()
            .is_none_or(|cases| cases.iter().any(|c| is_of(c, &program.case())));
        label && text && wanted
    }
}

/// Whether a case of an earlier run is this one, or a repetition of it (`name [2-5]`).
fn is_of(case: &CaseId, program: &CaseId) -> bool {
    let repetition = |rest: &str| {
        let inner = rest.strip_prefix(" [").and_then(|r| r.strip_suffix(']'));
        let numbers = inner.and_then(|r| r.split_once('-'));
        numbers.is_some_and(|(i, n)| i.parse::<u32>().is_ok() && n.parse::<u32>().is_ok())
    };
    let rest = case.name.strip_prefix(program.name.as_str());
    case.file == program.file && rest.is_some_and(|rest| rest.is_empty() || repetition(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repetition_is_a_case_of_its_scenario() {
        let case = |name: &str| CaseId {
            file: "a.yaml".into(),
            name: name.into(),
        };
        for (earlier, is) in [
            ("pays", true),
            ("pays [2-5]", true),
            ("pays [card]", false),
            ("pays twice", false),
        ] {
            assert_eq!(is_of(&case(earlier), &case("pays")), is, "{earlier}");
        }
    }

    #[test]
    fn shards() {
        assert_eq!(Filter::parse_shard("2/5").unwrap(), (2, 5));
        for bad in ["0/5", "6/5", "5", "a/b", "1/0"] {
            assert!(Filter::parse_shard(bad).is_err(), "{bad}");
        }
    }
}
