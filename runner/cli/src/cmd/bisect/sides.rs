//! The two environments: found, opened, and compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::event::Place;
use prodmirror_model::explain::explain;
use prodmirror_model::hybrid::{Difference, Hybrid, Side};
use prodmirror_model::isolate::{Atom, Atoms};
use prodmirror_model::project::{FILE_NAMES, Project};
use prodmirror_model::source::io_reason;
use prodmirror_model::yaml::parse_one;
use serde_json::{Value as Json, json};

use super::same::same_path;
use crate::args::BisectArgs;
use crate::cmd::Session;
use crate::cmd::diff::side;
use crate::open::Opened;

/// An environment.
pub struct Environment {
    /// What it is called.
    pub name: String,
    /// What stands before the files of its places.
    prefix: String,
    pub opened: Opened,
    /// Where a revision was written to; removed at the end.
    _written: Option<tempfile::TempDir>,
}

/// A feature flag that is served otherwise.
#[derive(Debug, Clone)]
pub struct Flag {
    pub name: String,
    /// What A is told to serve; nothing = what its files say.
    pub a: Option<String>,
    pub b: Option<String>,
}

/// Both environments and all that differs: first the differences of the stacks, then the flags.
pub struct Sides {
    pub a: Environment,
    pub b: Environment,
    pub hybrid: Hybrid,
    pub flags: Vec<Flag>,
}

impl Sides {
    /// Opens both.
    ///
    /// # Errors
    /// What keeps one from being read or started.
    pub fn open(session: &Session, args: &BisectArgs, dir: &Path) -> Result<Self, Problems> {
        let a = Environment::open(session, &args.a, &args.image_a, &dir.join("a"))?;
        let b = Environment::open(session, &args.b, &args.image_b, &dir.join("b"))?;
        let flags = flags(args)?;
        let hybrid = Hybrid::new(a.side()?, b.side()?, &same_path);
        let (mut a, mut b) = (a, b);
        if a.name == b.name {
            a.name = with(&a.name, "A", &args.image_a, &args.flag_a);
            b.name = with(&b.name, "B", &args.image_b, &args.flag_b);
        }
        Ok(Self {
            a,
            b,
            hybrid,
            flags,
        })
    }

    /// The differences for the search.
    pub fn atoms(&self) -> Atoms {
        let mut atoms = self.hybrid.atoms();
        atoms.atoms.extend(self.flags.iter().map(|f| Atom {
            label: f.label(),
            weight: 6.0,
        }));
        atoms
    }

    /// The difference of the stacks at an index, or the flag.
    pub fn at(&self, index: usize) -> Result<&Difference, &Flag> {
        let differences = self.hybrid.differences();
        match differences.get(index) {
            Some(difference) => Ok(difference),
            None => Err(&self.flags[index - differences.len()]),
        }
    }

    /// A difference in a line.
    pub fn label(&self, index: usize) -> String {
        self.at(index).map_or_else(Flag::label, Difference::label)
    }

    /// Why it fails where a difference is the cause: a clause.
    pub fn because(&self, index: usize) -> String {
        let (a, b) = (&self.a.name, &self.b.name);
        match self.at(index) {
            Ok(difference) => difference.because(a, b),
            Err(flag) => {
                let served = |v: &Option<String>| {
                    v.clone().unwrap_or_else(|| "what its files say".to_owned())
                };
                format!(
                    "the flag {} is {} in {b} and {} in {a}",
                    flag.name,
                    served(&flag.b),
                    served(&flag.a)
                )
            }
        }
    }

    /// Where both sides say it, as far as a file does.
    pub fn places(&self, index: usize) -> (Option<String>, Option<String>) {
        let Some(path) = self.at(index).ok().and_then(Difference::path) else {
            return (None, None);
        };
        let has = self
            .at(index)
            .map(|d| (d.a.is_some(), d.b.is_some()))
            .unwrap_or_default();
        let of = |e: &Environment, has: bool| if has { e.place(&path) } else { None };
        (of(&self.a, has.0), of(&self.b, has.1))
    }

    /// What the files of flags are, of the side that has them.
    pub fn flags_section(&self) -> Option<Json> {
        if self.flags.is_empty() {
            return None;
        }
        self.b.flags_section().or_else(|| self.a.flags_section())
    }

    /// Takes the secrets of both out of what is printed.
    pub fn redact(&self, text: &str) -> String {
        let text = self.a.opened.redactor.redact(text);
        self.b.opened.redactor.redact(&text).into_owned()
    }
}

/// A side of the same project, by what is otherwise in it.
fn with(name: &str, letter: &str, images: &[String], flags: &[String]) -> String {
    let all: Vec<&str> = images.iter().chain(flags).map(String::as_str).collect();
    match all.is_empty() {
        true => format!("{name} ({letter})"),
        false => format!("{name} with {}", all.join(", ")),
    }
}

impl Flag {
    fn label(&self) -> String {
        let served = |v: &Option<String>| v.clone().unwrap_or_else(|| "as it is".to_owned());
        format!(
            "flag {} {} → {}",
            self.name,
            served(&self.a),
            served(&self.b)
        )
    }
}

/// The flags of the command line, each once.
fn flags(args: &BisectArgs) -> Result<Vec<Flag>, Problem> {
    let read = |all: &[String]| {
        let mut values = BTreeMap::new();
        for text in all {
            let (name, _) = crate::flags::fixed(text)?;
            let value = text.get(name.len() + 1..).unwrap_or_default().to_owned();
            values.insert(name, value);
        }
        Ok::<_, Problem>(values)
    };
    let (a, b) = (read(&args.flag_a)?, read(&args.flag_b)?);
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort();
    names.dedup();
    let flag = |name: &String| Flag {
        name: name.clone(),
        a: a.get(name).cloned(),
        b: b.get(name).cloned(),
    };
    let all = names.into_iter().map(flag);
    Ok(all.filter(|f| f.a != f.b).collect())
}

impl Environment {
    fn open(
        session: &Session,
        text: &str,
        images: &[String],
        dir: &Path,
    ) -> Result<Self, Problems> {
        let (path, prefix, written) = find(&session.context.cwd, text, dir)?;
        let mut inner = Session {
            global: session.global.clone(),
            context: session.context.clone(),
        };
        inner.global.project = Some(path);
        inner.global.image.extend(images.iter().cloned());
        let opened = Opened::open(&inner.global, &inner.context, crate::cmd::host_arch())?;
        if opened.problems.has_errors() {
            let mut problems = opened.problems.clone();
            problems.0.retain(Problem::is_error);
            return Err(problems);
        }
        let prefix = prefix.unwrap_or_else(|| below(&session.context.cwd, &opened.project.root));
        Ok(Self {
            name: text.to_owned(),
            prefix,
            opened,
            _written: written,
        })
    }

    /// Its stack and the values of its variables.
    fn side(&self) -> Result<Side, Problems> {
        let Some(stack) = self.opened.stack() else {
            let text = format!("{} has no stack that could be started", self.name);
            return Err(Problem::new(ProblemKind::NothingRuns, text).into());
        };
        Ok(Side {
            document: parse_one(&stack.text.file)?.to_json(),
            values: self.opened.values(stack)?,
        })
    }

    fn place(&self, path: &str) -> Option<String> {
        let explained = explain(&self.opened.project, &self.opened.compiled, path).ok()?;
        let place = explained
            .span
            .is_real()
            .then(|| Place::from(&explained.span))?;
        Some(format!(
            "{}{}:{}:{}",
            self.prefix, place.file, place.line, place.column
        ))
    }

    fn flags_section(&self) -> Option<Json> {
        let flags = self.opened.project.flags.as_ref()?;
        let mut section = parse_one(&self.opened.project.file)
            .ok()?
            .get("flags")?
            .to_json();
        if let Some(file) = &flags.file {
            section["file"] = json!(file.path);
        }
        if let Some(map) = section.as_object_mut() {
            map.shift_remove("matrix");
        }
        Some(section)
    }
}

/// Where a directory is, seen from another one: `production/`, or nothing.
fn below(cwd: &Path, root: &Path) -> String {
    match root.strip_prefix(cwd) {
        Ok(rest) if rest.as_os_str().is_empty() => String::new(),
        Ok(rest) => format!("{}/", rest.display()),
        Err(_) => format!("{}/", root.display()),
    }
}

type Found = (PathBuf, Option<String>, Option<tempfile::TempDir>);

/// The project file that a text means. For a spec that has none, one is written to `dir`.
fn find(cwd: &Path, text: &str, dir: &Path) -> Result<Found, Problems> {
    let named = [format!("{text}.mirror.yaml"), format!("{text}.mirror.yml")];
    let mut named: Vec<PathBuf> = named.iter().map(|n| cwd.join(n)).collect();
    if text == "production" {
        named.extend(FILE_NAMES.iter().map(|n| cwd.join(n)));
    }
    if let Some(path) = named.into_iter().find(|p| p.is_file()) {
        return Ok((path, None, None));
    }
    let (path, prefix, written) = if cwd.join(text).exists() {
        (cwd.join(text), None, None)
    } else {
        let (path, prefix, written) = side::at_revision(cwd, text)?;
        (path, Some(prefix), Some(written))
    };
    let project = match path.is_dir() {
        true => FILE_NAMES
            .iter()
            .map(|n| path.join(n))
            .find(|p| p.is_file()),
        false => side::is_project(&path)?.then(|| path.clone()),
    };
    let project = match project {
        Some(project) => project,
        None => write_project(&path, dir)?,
    };
    Ok((project, prefix, written))
}

/// A project of one spec.
fn write_project(spec: &Path, dir: &Path) -> Result<PathBuf, Problem> {
    let spec = std::path::absolute(spec).unwrap_or_else(|_| spec.to_owned());
    let path = dir.join("mirror.yaml");
    let text = json!({ "production": [spec] }).to_string();
    let written = std::fs::create_dir_all(dir).and_then(|()| std::fs::write(&path, text));
    written.map_err(|e| {
        let text = format!("cannot write {}: {}", path.display(), io_reason(&e));
        Problem::new(ProblemKind::MissingFile, text)
    })?;
    Ok(path)
}

/// The directory of a project, for the scenarios beside it.
pub fn scenarios_of(project: &Project) -> PathBuf {
    project.root.join("scenarios")
}
