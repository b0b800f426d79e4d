//! What is inside of an image, without running it: its files are read from the archive of a
//! container that is made and never started, so an image needs no shell for it.

mod archive;
mod asked;
mod elf;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use prodmirror_model::compare::Fingerprint;
use prodmirror_model::diag::Problem;
use serde_json::json;
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::docker::{Engine, ImageConfig, NewContainer};
use crate::live::label::{Role, Tags};
use crate::live::lease::{Hold, Owner};
use crate::run::Stop;

pub use archive::Limits;

/// How an image is looked into.
#[derive(Debug, Clone)]
pub struct Options {
    /// The project that the container is labelled with, so that `gc` finds it.
    pub project: String,
    /// Paths in the image: whether it has something there.
    pub ask: BTreeSet<String>,
    /// What is read at most.
    pub limits: Limits,
    /// How long it may take.
    pub deadline: Duration,
}

impl Options {
    /// The usual limits.
    pub fn new(project: impl Into<String>) -> Self {
        Self {
            project: project.into(),
            ask: BTreeSet::new(),
            limits: Limits::default(),
            deadline: Duration::from_secs(180),
        }
    }
}

/// Looks into an image that the engine has. The container that this takes is removed whatever
/// happens; if this process is killed, `gc` removes it.
///
/// # Errors
/// When the engine does not have the image, is lost, takes too long, or `stop` says so.
pub async fn fingerprint(
    engine: &Engine,
    image: &str,
    options: &Options,
    stop: &Stop,
) -> Result<Fingerprint, Problem> {
    let doing = format!("look into the image {image}");
    let config = engine
        .image_config(image)
        .await
        .map_err(|e| e.problem(&doing))?;
    let id = create(engine, image, &options.project)
        .await
        .map_err(|e| e.problem(&doing))?;
    let read = tokio::select! {
        read = files(engine, &id, options) => read,
        () = tokio::time::sleep(options.deadline) => {
            Err(format!("it took longer than {} s", options.deadline.as_secs()))
        }
        () = stop.stopping() => Err("it was interrupted".to_owned()),
    };
    // Before anything else is said: nothing of this may stay.
    let removed = engine.remove_container(&id).await;
    let mut found = read.map_err(|why| failed(&doing, &why))?;
    removed.map_err(|e| e.problem("remove the container that was made for it"))?;
    describe(&mut found, &config);
    Ok(found)
}

fn failed(doing: &str, why: &str) -> Problem {
    Problem::new(
        prodmirror_model::diag::ProblemKind::Start,
        format!("could not {doing}: {why}"),
    )
}

async fn create(
    engine: &Engine,
    image: &str,
    project: &str,
) -> Result<String, crate::docker::EngineError> {
    let run = format!("probe-{}", uuid::Uuid::new_v4().simple());
    let tags = Tags::new(project, &run, "", Hold::Run, &Owner::this_process());
    let new = NewContainer {
        name: format!("prodmirror-{run}"),
        body: json!({
            "Image": image,
            // It is never started; an image may have no command, and a container must.
            "Entrypoint": ["/"],
            "Cmd": [],
            "NetworkDisabled": true,
            "Healthcheck": { "Test": ["NONE"] },
            "Labels": tags.labels(Role::Probe),
        }),
        platform: None,
    };
    Ok(engine.create_container(&new).await?.id)
}

/// Reads the container's files as they come. The archive is read by a thread: it is a
/// synchronous format, and parsing takes time.
async fn files(engine: &Engine, id: &str, options: &Options) -> Result<Fingerprint, String> {
    let (limits, ask) = (options.limits, options.ask.clone());
    let bytes = engine
        .export_container(id)
        .map(|piece| piece.map_err(|e| std::io::Error::other(e.to_string())));
    let reader = SyncIoBridge::new(StreamReader::new(Box::pin(bytes)));
    let work = tokio::task::spawn_blocking(move || archive::read(reader, limits, &ask));
    match work.await {
        Ok(found) => found.map_err(|e| e.to_string()),
        Err(e) => Err(e.to_string()),
    }
}

/// What the image's configuration adds to its files.
fn describe(found: &mut Fingerprint, config: &ImageConfig) {
    found.platform.clone_from(&config.platform);
    found.ports.clone_from(&config.ports);
    found.health = config.health;
    found.user.clone_from(&config.user);
    let user = if config.user.is_empty() {
        "root"
    } else {
        &config.user
    };
    let name = user.split(':').next().unwrap_or(user);
    let number = found.users.get(name).map(|n| format!(" ({n})"));
    found.fact("user", format!("{user}{}", number.unwrap_or_default()));
    for entry in &config.env {
        let Some((name, value)) = entry.split_once('=') else {
            continue;
        };
        match name {
            "LC_ALL" | "LANG" => {
                found.facts.insert("locale".to_owned(), value.to_owned());
            }
            "TZ" if !value.is_empty() => {
                found.facts.insert("time zone".to_owned(), value.to_owned());
            }
            _ => runtime_of(found, name, value),
        }
    }
}

/// Official images say in their environment which runtime they have.
fn runtime_of(found: &mut Fingerprint, name: &str, version: &str) {
    const NAMES: [(&str, &str); 8] = [
        ("PYTHON_VERSION", "python"),
        ("NODE_VERSION", "node"),
        ("RUBY_VERSION", "ruby"),
        ("PHP_VERSION", "php"),
        ("JAVA_VERSION", "java"),
        ("GOLANG_VERSION", "go"),
        ("RUST_VERSION", "rust"),
        ("PG_VERSION", "postgresql"),
    ];
    if let Some((_, runtime)) = NAMES.iter().find(|(n, _)| *n == name) {
        found
            .runtimes
            .entry((*runtime).to_owned())
            .or_insert_with(|| version.to_owned());
    }
}
