//! The two environments: found, opened, and compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prodmirror_engine::docker::Engine;
use prodmirror_model::diag::Problem;
use prodmirror_model::hybrid::{Difference, Hybrid};
use prodmirror_model::isolate::{Atom, Atoms};
use prodmirror_model::project::{Flags, Project};
use serde_json::Value as Json;

use super::bundles::{self, OfBundle};
use super::environment::Environment;
use super::pins::{self, Pins};
use super::same::same_path;
use crate::args::BisectArgs;
use crate::cmd::Session;
use crate::cmd::bundled::Stopped;

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
    /// What the images of any combination are by the locks.
    pub pins: Pins,
}

impl Sides {
    /// Opens both. What a bundle holds is written below `dir`.
    ///
    /// # Errors
    /// What keeps one from being read or started.
    pub async fn open(session: &Session, args: &BisectArgs, dir: &Path) -> Result<Self, Stopped> {
        let cwd = &session.context.cwd;
        let is_bundle = [&args.a, &args.b].map(|text| bundles::is_bundle(cwd, text));
        // Only what bundles need of it is asked for before it is known what differs.
        let engine = match is_bundle.contains(&true) {
            true => Some(session.engine().await?),
            false => None,
        };
        let given = (args.a.as_str(), args.image_a.as_slice(), dir.join("a"));
        let mut a = open(session, (args, engine.as_ref()), given).await?;
        let given = (args.b.as_str(), args.image_b.as_slice(), dir.join("b"));
        let mut b = open(session, (args, engine.as_ref()), given).await?;
        let flags = flags(args, (&a, &b))?;
        let (mut ours, mut theirs) = (a.side()?, b.side()?);
        let pins = pins::level((&a, &b), (&mut ours, &mut theirs));
        if let Some(engine) = &engine {
            for one in [&a, &b].into_iter().filter(|e| e.bundle.is_none()) {
                bundles::nothing_allowed(one, &args.trust.allow_egress)?;
            }
            bundles::level_images(engine, &ours, &mut theirs).await?;
        }
        let hybrid = Hybrid::new(ours, theirs, &same_path);
        if a.name == b.name {
            a.name = with(&a.name, &args.image_a, &args.flag_a);
            b.name = with(&b.name, &args.image_b, &args.flag_b);
        }
        Ok(Self {
            a,
            b,
            hybrid,
            flags,
            pins,
        })
    }

    /// The bundle whose failure is searched for: that of B, else that of A.
    pub fn of_bundle(&self) -> Option<&OfBundle> {
        self.b.bundle.as_ref().or(self.a.bundle.as_ref())
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

    /// The flags of a combination: of the side whose file is in it.
    pub fn flags_of(&self, document: &Json) -> Option<Flags> {
        let both = [self.b.flags(), self.a.flags()];
        let mut both: Vec<Flags> = both.into_iter().flatten().collect();
        let held = both.iter().position(|f| {
            let file = f.file.as_ref();
            file.is_some_and(|file| holds(document, &file.path))
        });
        let index = held.unwrap_or(0);
        (index < both.len()).then(|| both.swap_remove(index))
    }

    /// Takes the secrets of both out of what is printed.
    pub fn redact(&self, text: &str) -> String {
        let text = self.a.opened.redactor.redact(text);
        self.b.opened.redactor.redact(&text).into_owned()
    }
}

/// An environment: a bundle, a project or a spec, by what its text looks like.
async fn open(
    session: &Session,
    (args, engine): (&BisectArgs, Option<&Engine>),
    (text, images, dir): (&str, &[String], PathBuf),
) -> Result<Environment, Stopped> {
    match engine.filter(|_| bundles::is_bundle(&session.context.cwd, text)) {
        Some(engine) => bundles::open(session, (args, engine), (text, images), &dir).await,
        None => Ok(Environment::open(session, text, images)?),
    }
}

/// Whether a stack gives a file to a service: as a config, or below a bind.
fn holds(document: &Json, file: &Path) -> bool {
    let is = |path: &str| file.starts_with(path.replace("$$", "$"));
    let configs = document["configs"].as_object().into_iter().flatten();
    let services = document["services"].as_object().into_iter().flatten();
    let mounts = services.filter_map(|(_, s)| s["volumes"].as_array());
    configs.filter_map(|(_, c)| c["file"].as_str()).any(is)
        || mounts
            .flatten()
            .filter(|m| m["type"] == "bind")
            .filter_map(|m| m["source"].as_str())
            .any(is)
}

/// A side of the same project, by what is otherwise in it.
fn with(name: &str, images: &[String], flags: &[String]) -> String {
    let all: Vec<&str> = images.iter().chain(flags).map(String::as_str).collect();
    match all.is_empty() {
        true => name.to_owned(),
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

/// The flags of the command line and of bundles, each once.
fn flags(args: &BisectArgs, (a, b): (&Environment, &Environment)) -> Result<Vec<Flag>, Problem> {
    let read = |given: &[String], side: &Environment| {
        let mut values = BTreeMap::new();
        let ran = side.bundle.iter().flat_map(|b| &b.flags);
        for text in ran.chain(given) {
            let (name, _) = crate::flags::fixed(text)?;
            let value = text.get(name.len() + 1..).unwrap_or_default().to_owned();
            values.insert(name, value);
        }
        Ok::<_, Problem>(values)
    };
    let (a, b) = (read(&args.flag_a, a)?, read(&args.flag_b, b)?);
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

/// The directory of a project, for the scenarios beside it.
pub fn scenarios_of(project: &Project) -> PathBuf {
    project.root.join("scenarios")
}
