//! One run of Docker Compose: what it was given, what it made of it, and what we make of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::spec::compose::{LoadRequest, Loaded, ValueSource, Variable, load};

use super::compare::{differences, restored};

/// A row of the table.
pub struct Row {
    cwd: String,
    env: String,
    args: String,
    /// The file of the result.
    pub output: String,
    /// Compose's exit code.
    pub exit: String,
}

/// Whether we agree.
pub enum Verdict {
    Agrees,
    Differs(String),
}

impl Row {
    /// Reads a line of the table.
    pub fn read(line: &str) -> Option<Self> {
        let mut columns = line.split('\t').map(str::to_owned).skip(1);
        Some(Self {
            cwd: columns.next()?,
            env: columns.next()?,
            args: columns.next()?,
            output: columns.next()?,
            exit: columns.next()?,
        })
    }

    /// Reads the same files as Compose did, and compares.
    pub fn judge(&self, corpus: &Path) -> Verdict {
        let expected = match std::fs::read_to_string(corpus.join(&self.output)) {
            Ok(text) => text,
            Err(e) => return Verdict::Differs(format!("  the result cannot be read: {e}")),
        };
        let got = load(&self.request(corpus));
        match (self.exit.as_str(), got) {
            ("0", Ok(loaded)) => accepted(&expected, &loaded, corpus),
            ("0", Err(problems)) => Verdict::Differs(format!("  refused: {problems}")),
            (_, Ok(_)) => Verdict::Differs(format!("  accepted; Compose says: {expected}")),
            (_, Err(problems)) => refused(&expected, &problems),
        }
    }

    /// Compares the variables of which Compose warns that they are unset with ours.
    pub fn judge_warnings(&self, corpus: &Path) -> Verdict {
        let file = self.output.replace(".oracle.json", ".oracle.warnings.txt");
        let expected = std::fs::read_to_string(corpus.join(file)).unwrap_or_default();
        let want: BTreeSet<&str> = expected
            .lines()
            .filter_map(|line| line.split_once("msg=\"The \\\"")?.1.split('\\').next())
            .collect();
        let loaded = match load(&self.request(corpus)) {
            Ok(loaded) => loaded,
            Err(problems) => return Verdict::Differs(format!("  refused: {problems}")),
        };
        let unset = |v: &Variable| v.uses.iter().any(|u| u.source == ValueSource::Unset);
        let got: BTreeSet<&str> = loaded
            .variables
            .iter()
            .filter(|(_, v)| unset(v))
            .map(|(name, _)| name.as_str())
            .collect();
        if want == got {
            return Verdict::Agrees;
        }
        Verdict::Differs(format!(
            "  too few {:?}, too many {:?}",
            want.difference(&got).collect::<Vec<_>>(),
            got.difference(&want).collect::<Vec<_>>()
        ))
    }

    fn request(&self, corpus: &Path) -> LoadRequest {
        let mut request = LoadRequest {
            working_dir: corpus.join(&self.cwd),
            ..LoadRequest::default()
        };
        let shell = &mut request.shell;
        shell.insert("PATH".into(), "/usr/bin:/bin".into());
        shell.insert("HOME".into(), "/home/oracle".into());
        for pair in self.env.split(' ') {
            if let Some((name, value)) = pair.split_once('=') {
                shell.insert(name.into(), value.into());
            }
        }
        let mut args = self.args.split_whitespace();
        while let Some(arg) = args.next() {
            let mut value = || args.next().unwrap_or_default().to_owned();
            match arg {
                "-f" => request.files.push(PathBuf::from(value())),
                "--env-file" => request.env_files.push(PathBuf::from(value())),
                "--profile" => request.profiles.push(value()),
                "-p" | "--project-name" => request.project_name = Some(value()),
                "--project-directory" => request.project_dir = Some(PathBuf::from(value())),
                service => request.services.push(service.to_owned()),
            }
        }
        request
    }
}

fn accepted(expected: &str, loaded: &Loaded, corpus: &Path) -> Verdict {
    let want = match serde_json::from_str(expected) {
        Ok(json) => restored(json, &corpus.to_string_lossy()),
        Err(e) => return Verdict::Differs(format!("  the result is not JSON: {e}")),
    };
    let found = differences(&want, &loaded.root.to_json());
    if found.is_empty() {
        Verdict::Agrees
    } else {
        Verdict::Differs(found[..found.len().min(12)].join("\n"))
    }
}

fn refused(expected: &str, problems: &Problems) -> Verdict {
    let Some(kinds) = kinds_of(expected) else {
        return Verdict::Differs(format!("  Compose's reason has no kind here: {expected}"));
    };
    let errors = || problems.0.iter().filter(|p| p.is_error());
    if errors().any(|p: &Problem| kinds.contains(&p.kind)) {
        Verdict::Agrees
    } else {
        let ours: Vec<_> = errors().map(|p| format!("  {:?}: {p}", p.kind)).collect();
        Verdict::Differs(format!("  want {kinds:?}: {expected}\n{}", ours.join("\n")))
    }
}

/// The kinds of problem that a message of Docker Compose can be about. The first part that
/// the message holds decides.
fn kinds_of(message: &str) -> Option<&'static [ProblemKind]> {
    use ProblemKind as K;
    let known: &[(&str, &'static [ProblemKind])] = &[
        ("neither an image nor a build context", &[K::Missing]),
        ("refers to undefined", &[K::UnknownReference]),
        ("depends on undefined", &[K::UnknownReference]),
        ("is required by", &[K::UnknownReference]),
        (
            "cannot extend service",
            &[K::UnknownReference, K::WrongType],
        ),
        ("no such service", &[K::UnknownReference]),
        ("declares unknown service", &[K::UnknownReference]),
        ("exclusive", &[K::Conflict]),
        ("can't set", &[K::Conflict]),
        ("conflict", &[K::Conflict]),
        ("already mounted as", &[K::Conflict]),
        ("is already in use", &[K::Conflict]),
        ("MUST include", &[K::Conflict]),
        ("cycle detected", &[K::Cycle]),
        ("Circular reference", &[K::Cycle]),
        ("required variable", &[K::RequiredVariable]),
        ("already defined at", &[K::DuplicateKey]),
        ("additional propert", &[K::UnknownKey]),
        ("missing propert", &[K::Missing]),
        ("must declare either", &[K::Missing]),
        ("is missing a", &[K::Missing]),
        ("is required", &[K::Missing]),
        ("must be set", &[K::Missing]),
        ("empty compose file", &[K::Missing]),
        ("target is required", &[K::Missing]),
        ("must start either", &[K::InvalidValue]),
        ("must be greater", &[K::InvalidValue]),
        ("must be less", &[K::InvalidValue]),
        ("must be a", &[K::WrongType]),
        ("invalid jsonType", &[K::WrongType]),
        ("invalid type", &[K::WrongType]),
        ("unexpected type", &[K::WrongType]),
        ("unsupported value", &[K::WrongType]),
        ("cannot override", &[K::WrongType]),
        ("non-string key", &[K::WrongType]),
        ("interface conversion", &[K::WrongType, K::Missing]),
        ("no such file", &[K::MissingFile]),
        ("couldn't find env file", &[K::MissingFile]),
        ("is a directory", &[K::MissingFile]),
        ("is not a file", &[K::MissingFile]),
        ("no configuration file", &[K::MissingFile]),
        ("invalid interpolation format", &[K::Syntax]),
        ("failed to cast", &[K::InvalidValue]),
        ("invalid spec", &[K::InvalidValue]),
        ("value must be one of", &[K::InvalidValue]),
        ("does not match pattern", &[K::InvalidValue]),
        ("items at", &[K::InvalidValue]),
        ("decoding failed", &[K::InvalidValue, K::WrongType]),
        ("invalid project name", &[K::InvalidValue]),
        ("project name", &[K::InvalidValue]),
        ("nvalid containerPort", &[K::InvalidValue]),
        ("nvalid hostPort", &[K::InvalidValue]),
        ("nvalid proto", &[K::InvalidValue]),
        ("nvalid ip address", &[K::InvalidValue]),
        ("nvalid range", &[K::InvalidValue]),
        ("o port specified", &[K::InvalidValue]),
        ("device mapping", &[K::InvalidValue]),
        ("trailing space", &[K::InvalidValue]),
        ("missing IP", &[K::InvalidValue]),
        ("bad host name", &[K::InvalidValue]),
        ("unsupported env_file format", &[K::InvalidValue]),
        ("yaml:", &[K::Syntax]),
        ("failed to parse", &[K::Syntax]),
        ("failed to read", &[K::Syntax]),
    ];
    known
        .iter()
        .find(|(part, _)| message.contains(part))
        .map(|(_, kinds)| *kinds)
}
