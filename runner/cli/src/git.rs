//! What git knows of a project: asked of the `git` program, which is the only one that reads
//! every repository.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use prodmirror_model::diag::{Problem, ProblemKind};

/// Files below a directory that differ from a revision, with those that git does not know yet.
///
/// # Errors
/// There is no repository, or no such revision.
pub fn changed(dir: &Path, revision: &str) -> Result<BTreeSet<PathBuf>, Problem> {
    let Some(repository) = Repository::of(dir) else {
        let what = format!("{} is not in a git repository", dir.display());
        return Err(Problem::new(ProblemKind::MissingFile, what));
    };
    let commit = repository.commit(revision)?;
    let asked = |args: &[&str]| {
        ask(&repository.top, args).map_err(|e| failed("ask git what changed", &e.to_string()))
    };
    let mut all = names(&asked(&["diff", "--name-only", "-z", &commit, "--"])?);
    let new = ["ls-files", "-z", "--others", "--exclude-standard"];
    all.extend(names(&asked(&new)?));
    let top = &repository.top;
    let there = all.iter().filter_map(|n| top.join(n).canonicalize().ok());
    Ok(there.collect())
}

/// A repository, and a directory in it.
pub struct Repository {
    /// The repository's top directory.
    pub top: PathBuf,
    /// The directory, relative to the top, with `/` and without one at its end; empty = the top.
    pub prefix: String,
    dir: PathBuf,
}

impl Repository {
    /// The repository that a directory is in.
    pub fn of(dir: &Path) -> Option<Self> {
        let text = |args: &[&str]| ask(dir, args).ok();
        let top = text(&["rev-parse", "--show-toplevel"])?;
        let prefix = text(&["rev-parse", "--show-prefix"])?;
        Some(Self {
            top: PathBuf::from(line(&top)),
            prefix: line(&prefix).trim_end_matches('/').to_owned(),
            dir: dir.to_owned(),
        })
    }

    /// The files below the directory that the repository keeps (its index), relative to the
    /// directory.
    pub fn tracked(&self) -> Option<BTreeSet<String>> {
        let out = ask(&self.dir, &["ls-files", "-z", "--cached", "--", "."]).ok()?;
        Some(names(&out))
    }

    /// A path below the directory as the whole repository calls it.
    pub fn whole(&self, path: &str) -> String {
        if self.prefix.is_empty() {
            path.to_owned()
        } else {
            format!("{}/{path}", self.prefix)
        }
    }

    /// Writes the directory as it was at a revision into `to`, and gives the names of its files.
    /// Nothing of the repository is changed: the index that git needs is elsewhere.
    ///
    /// # Errors
    /// When there is no such revision. One that does not have the directory has no files.
    pub fn write_out(&self, revision: &str, to: &Path) -> Result<BTreeSet<String>, Problem> {
        let commit = self.commit(revision)?;
        let scratch =
            tempfile::tempdir().map_err(|e| failed("make a directory", &e.to_string()))?;
        let index = scratch.path().join("index");
        let tree = format!("{commit}:{}", self.prefix);
        let git = |args: &[&str]| {
            let mut command = command(&self.top, args);
            command.env("GIT_INDEX_FILE", &index);
            run(command)
        };
        if ask(&self.top, &["rev-parse", "--verify", "--quiet", &tree]).is_err() {
            // The directory is newer than the revision.
            return Ok(BTreeSet::new());
        }
        git(&["read-tree", &tree]).map_err(|why| failed(&format!("read `{revision}`"), &why))?;
        let prefix = format!("--prefix={}/", to.display());
        git(&["checkout-index", "--all", "--force", &prefix])
            .map_err(|why| failed(&format!("write out `{revision}`"), &why))?;
        let files =
            git(&["ls-files", "-z", "--cached"]).map_err(|why| failed("list files", &why))?;
        Ok(names(&files))
    }

    /// A file below the directory as it was at a revision; nothing when it was not there.
    ///
    /// # Errors
    /// When there is no such revision, or the file is no text.
    pub fn file_at(&self, revision: &str, path: &str) -> Result<Option<String>, Problem> {
        let commit = self.commit(revision)?;
        let name = format!("{commit}:{}", self.whole(path));
        if ask(&self.top, &["cat-file", "-e", &name]).is_err() {
            return Ok(None);
        }
        let bytes = ask(&self.top, &["cat-file", "blob", &name])
            .map_err(|why| failed(&format!("read `{path}` of `{revision}`"), &why))?;
        let text = String::from_utf8(bytes);
        text.map(Some)
            .map_err(|_| failed(&format!("read `{path}` of `{revision}`"), "it is not UTF-8"))
    }

    /// The commit that a revision names.
    fn commit(&self, revision: &str) -> Result<String, Problem> {
        // A leading `-` would be an option; no revision begins with it.
        let spec = format!("{revision}^{{commit}}");
        let found = if revision.starts_with('-') {
            Err("it begins with `-`".to_owned())
        } else {
            ask(&self.dir, &["rev-parse", "--verify", "--quiet", &spec])
        };
        match found {
            Ok(out) if !line(&out).is_empty() => Ok(line(&out)),
            _ => Err(Problem::new(
                ProblemKind::UnknownReference,
                format!("git knows no revision `{revision}` here"),
            )
            .help("name a branch, a tag or a commit; a shallow clone may not have it (`git fetch --unshallow`)")),
        }
    }

    /// Whether a text names a revision.
    pub fn has(&self, revision: &str) -> bool {
        self.commit(revision).is_ok()
    }
}

fn failed(what: &str, why: &str) -> Problem {
    Problem::new(
        ProblemKind::MissingFile,
        format!("git could not {what}: {why}"),
    )
}

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(dir)
        .args(args)
        // Large files that are kept elsewhere are not fetched for this.
        .env("GIT_LFS_SKIP_SMUDGE", "1")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

fn ask(dir: &Path, args: &[&str]) -> Result<Vec<u8>, String> {
    run(command(dir, args))
}

fn run(mut command: Command) -> Result<Vec<u8>, String> {
    let out = command
        .output()
        .map_err(|e| format!("the program `git` cannot be started: {e}"))?;
    if out.status.success() {
        return Ok(out.stdout);
    }
    let said = String::from_utf8_lossy(&out.stderr);
    Err(said.lines().next().unwrap_or("it failed").to_owned())
}

fn line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches(['\n', '\r'])
        .to_owned()
}

/// Names that end in NUL.
fn names(bytes: &[u8]) -> BTreeSet<String> {
    let names = bytes.split(|b| *b == 0).filter(|n| !n.is_empty());
    names
        .map(|n| String::from_utf8_lossy(n).into_owned())
        .collect()
}
