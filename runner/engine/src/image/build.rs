//! Making what is missing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::event::What;

use super::context;
use super::login::Logins;
use super::manifest::{Entry, Recipes, Source};
use super::recipe::{Hashes, LABEL, hashes};
use super::rootfs;
use crate::bus::Sink;
use crate::docker::{Engine, NewImage};

/// How many lines of a failed build are shown.
const SHOWN_LINES: usize = 25;

/// What is to be built.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// Only these images and their parents; empty = all. Names may be shortened.
    pub images: Vec<String>,
    /// How many at a time; zero = one for each CPU of the engine, at least two, at most four.
    pub at_once: usize,
}

/// What a build did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Built {
    /// Images that were made.
    pub made: Vec<String>,
    /// Images that were there already.
    pub kept: Vec<String>,
}

/// How an image stands to its recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was made from this recipe.
    Current,
    /// It was made from another one.
    Outdated,
    /// The engine does not have it.
    Missing,
}

/// Every recipe's image, in order, and how it stands.
///
/// # Errors
/// Recipes that cannot be read; an engine that does not answer.
pub async fn states(engine: &Engine, recipes: &Recipes) -> Result<Vec<(String, State)>, Problem> {
    let hashes = hashes(recipes)?;
    let mut found = Vec::new();
    for entry in &recipes.entries {
        found.push((entry.name.clone(), state(engine, entry, &hashes).await?));
    }
    Ok(found)
}

async fn state(engine: &Engine, entry: &Entry, hashes: &Hashes) -> Result<State, Problem> {
    let image = engine
        .image(&entry.name)
        .await
        .map_err(|e| e.problem(format!("look for the image {}", entry.name)))?;
    Ok(match image {
        None => State::Missing,
        Some(i) if i.labels.get(LABEL) == hashes.get(&entry.name) => State::Current,
        Some(_) => State::Outdated,
    })
}

/// Builds the images that are missing or whose recipe changed, parents first, several at a
/// time. What fails is told at the end; what does not need it is built all the same.
///
/// # Errors
/// Unknown names, unreadable recipes, an engine that does not answer, failed builds with
/// the end of what they printed.
pub async fn build(
    engine: &Engine,
    recipes: &Recipes,
    options: &BuildOptions,
    (logins, sink): (&Logins, &dyn Sink),
) -> Result<Built, Problems> {
    let hashes = hashes(recipes)?;
    let mut built = Built::default();
    let mut todo: VecDeque<&Entry> = VecDeque::new();
    for entry in recipes.select(&options.images)? {
        if state(engine, entry, &hashes).await? == State::Current {
            built.kept.push(entry.name.clone());
        } else {
            todo.push_back(entry);
        }
    }
    let at_once = match options.at_once {
        0 => (engine.facts().cpus as usize).clamp(2, 4),
        n => n,
    };
    let site = Site {
        engine,
        recipes,
        hashes: &hashes,
        logins,
        sink,
    };
    site.make_all(todo, at_once, &mut built).await?;
    Ok(built)
}

/// What all builds of one call share.
struct Site<'a> {
    engine: &'a Engine,
    recipes: &'a Recipes,
    hashes: &'a Hashes,
    logins: &'a Logins,
    sink: &'a dyn Sink,
}

impl Site<'_> {
    async fn make_all(
        &self,
        mut todo: VecDeque<&Entry>,
        at_once: usize,
        built: &mut Built,
    ) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let mut missing: BTreeSet<String> = todo.iter().map(|e| e.name.clone()).collect();
        let mut failed: BTreeSet<String> = BTreeSet::new();
        let mut running = FuturesUnordered::new();
        loop {
            let mut waiting = VecDeque::new();
            for entry in todo.drain(..) {
                match entry.parent() {
                    Some(p) if failed.contains(p) => {
                        failed.insert(entry.name.clone());
                        self.tell(&entry.name, "failed", "its parent could not be built");
                    }
                    Some(p) if missing.contains(p) => waiting.push_back(entry),
                    _ if running.len() >= at_once => waiting.push_back(entry),
                    _ => running.push(async move { (entry, self.make(entry).await) }),
                }
            }
            todo = waiting;
            let Some((entry, result)) = running.next().await else {
                break;
            };
            match result {
                Ok(()) => {
                    missing.remove(&entry.name);
                    built.made.push(entry.name.clone());
                }
                Err(p) => {
                    failed.insert(entry.name.clone());
                    problems.push(p);
                }
            }
        }
        if problems.0.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }

    async fn make(&self, entry: &Entry) -> Result<(), Problem> {
        let name = &entry.name;
        let replaced = self.engine.image(name).await.ok().flatten();
        self.tell(name, "building", "");
        let recipe = self.hashes.get(name).cloned().unwrap_or_default();
        let made = match &entry.source {
            Source::Rootfs(spec) => {
                let order = rootfs::Order {
                    engine: self.engine,
                    logins: self.logins,
                    name,
                    spec,
                    recipe: &recipe,
                };
                order.make(&|line| self.tell(name, "building", line)).await
            }
            Source::Folder {
                folder,
                parent,
                args,
            } => {
                let mut args = args.clone();
                args.extend(parent.iter().map(|p| ("PARENT".to_owned(), p.clone())));
                self.dockerfile(name, folder, (args, recipe)).await
            }
        };
        match &made {
            Ok(()) => self.tell(name, "ready", ""),
            Err(p) => self.tell(name, "failed", &p.message),
        }
        // The image that had this name before has none now. What still uses it keeps it.
        if let (Ok(()), Some(old)) = (&made, replaced)
            && old.labels.contains_key(LABEL)
        {
            let _ = self.engine.remove_nameless_image(&old.id).await;
        }
        made
    }

    async fn dockerfile(
        &self,
        name: &str,
        folder: &str,
        (args, recipe): (BTreeMap<String, String>, String),
    ) -> Result<(), Problem> {
        let context = context::files(&self.recipes.dir.join(folder))
            .and_then(|files| context::archive(&files))
            .map_err(|e| {
                Problem::new(
                    ProblemKind::MissingFile,
                    format!("cannot read the folder `{folder}`: {e}"),
                )
            })?;
        let new = NewImage {
            name: name.to_owned(),
            context,
            args,
            labels: [(LABEL.to_owned(), recipe)].into(),
        };
        let mut last: VecDeque<String> = VecDeque::new();
        let done = self
            .engine
            .build_image(new, |line| {
                if line.starts_with("Step ") {
                    self.tell(name, "building", line);
                }
                if line.trim().is_empty() {
                    return;
                }
                if last.len() == SHOWN_LINES {
                    last.pop_front();
                }
                last.push_back(line.to_owned());
            })
            .await;
        done.map_err(|e| {
            let printed: Vec<&str> = last.iter().map(String::as_str).collect();
            e.problem(format!("build the image {name}"))
                .help(format!("the build ended with:\n{}", printed.join("\n")))
        })
    }

    fn tell(&self, image: &str, state: &str, detail: &str) {
        self.sink.emit(What::Image {
            image: image.to_owned(),
            state: state.to_owned(),
            detail: detail.trim().to_owned(),
        });
    }
}

/// The last lines of a program's output.
pub(super) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}
