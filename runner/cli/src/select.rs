//! Which scenarios run: found in files and directories, then narrowed by options.

use std::collections::BTreeSet;
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
    let paths: Vec<PathBuf> = paths.iter().map(|p| place(p, cwd).0).collect();
    let paths = paths.as_slice();
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

/// A path that may end in `:LINE`. A file that is really named so is that file.
fn place(path: &Path, cwd: &Path) -> (PathBuf, Option<u32>) {
    let text = path.to_string_lossy();
    let split = text.rsplit_once(':').and_then(|(file, line)| {
        let line = line.parse::<u32>().ok().filter(|n| *n > 0)?;
        Some((PathBuf::from(file), line))
    });
    match split {
        Some((file, line)) if !cwd.join(path).exists() => (file, Some(line)),
        _ => (path.to_owned(), None),
    }
}

/// The lines that paths name, by the file as messages call it.
pub fn lines(paths: &[PathBuf], root: &Path, cwd: &Path) -> Vec<(String, u32)> {
    let places = paths.iter().map(|p| place(p, cwd));
    places
        .filter_map(|(file, line)| Some((shown(&cwd.join(file), root, cwd), line?)))
        .collect()
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
    /// Of these files, only the scenarios at these lines.
    pub lines: Vec<(String, u32)>,
    /// Only scenarios that one of these files is part of.
    pub changed: Option<BTreeSet<PathBuf>>,
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
        let taken = programs.iter().filter(|p| self.takes(p));
        let taken: Vec<CaseId> = match self.shard {
            None => taken.map(Program::case).collect(),
            Some((i, n)) => {
                let parts = taken.enumerate().filter(|(k, _)| k % n == i - 1);
                parts.map(|(_, p)| p.case()).collect()
            }
        };
        with_needs(programs, taken)
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
        label && text && wanted && self.takes_line(program) && self.takes_changed(program)
    }

    /// `FILE:LINE` narrows the file that it names, and no other.
    fn takes_line(&self, program: &Program) -> bool {
        let s = &program.scenario;
        let mut of_file = self
            .lines
            .iter()
            .filter(|(f, _)| *f == s.file.name)
            .peekable();
        // A document ends where the next begins: blank lines behind it belong to it.
        of_file.peek().is_none() || of_file.any(|(_, line)| covers(program, *line))
    }

    fn takes_changed(&self, program: &Program) -> bool {
        self.changed.as_ref().is_none_or(|changed| {
            let sources = program.scenario.sources.iter();
            let paths = sources.filter_map(|f| f.path.as_deref()?.canonicalize().ok());
            paths.into_iter().any(|p| changed.contains(&p))
        })
    }
}

/// Whether a line of the file is one of the scenario's document.
fn covers(program: &Program, line: u32) -> bool {
    let s = &program.scenario;
    let text: Vec<&str> = s.file.text.lines().collect();
    let is_mark = |n: u32| {
        text.get(n as usize - 1)
            .is_some_and(|l| l.starts_with("---"))
    };
    let first = (1..=s.span.line).rev().find(|n| is_mark(*n)).unwrap_or(1);
    let end = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let last = (s.span.line + 1..=end)
        .find(|n| is_mark(*n))
        .map_or(end, |n| n - 1);
    (first..=last).contains(&line)
}

/// The programs of these cases, with all that they need, in order.
pub fn with_needs(programs: Vec<Program>, cases: Vec<CaseId>) -> Vec<Program> {
    let mut wanted: BTreeSet<CaseId> = BTreeSet::new();
    let mut open = cases;
    while let Some(case) = open.pop() {
        let program = programs.iter().find(|p| p.case() == case);
        if wanted.insert(case) {
            open.extend(program.iter().flat_map(|p| p.needs()).cloned());
        }
    }
    let wanted = |p: &Program| wanted.contains(&p.case());
    programs.into_iter().filter(wanted).collect()
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
