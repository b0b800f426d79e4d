//! Sealing what a volume or a directory of the engine holds.

use std::collections::BTreeMap;

use prodmirror_agent::wire::StoreKind;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::snapshot::Content;
use serde_json::{Value, json};

use super::helper::{Helper, Open, Progress, SOURCE};
use crate::docker::{Engine, Found};

/// What is done about containers that use a volume which is to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// It is refused: data that somebody writes to is not consistent.
    Refuse,
    /// They are stopped cleanly, and started again.
    Stop,
}

/// A volume or directory of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceVolume<'a> {
    /// A volume of this name.
    Volume(&'a str),
    /// A directory of the engine's host.
    Directory(&'a str),
}

/// What was sealed.
#[derive(Debug)]
pub struct Sealed {
    /// Its content.
    pub content: Content,
    /// How the store keeps it; absent = it was there already.
    pub kind: Option<StoreKind>,
}

impl SourceVolume<'_> {
    fn mount(self) -> Value {
        match self {
            Self::Volume(name) => json!({
                "Type": "volume", "Source": name, "Target": SOURCE, "ReadOnly": true,
                "VolumeOptions": {"NoCopy": true},
            }),
            Self::Directory(path) => json!({
                "Type": "bind", "Source": path, "Target": SOURCE, "ReadOnly": true,
            }),
        }
    }
}

/// Copies what a source holds into a store and seals it.
///
/// # Errors
/// The volume is not there or in use, something cannot be read, or there is no room. Nothing is
/// left in the store then, and what was stopped runs again.
pub async fn seal(
    engine: &Engine,
    (store, labels): (&str, BTreeMap<String, String>),
    source: SourceVolume<'_>,
    pause: Pause,
    progress: Progress<'_>,
) -> Result<Sealed, Problem> {
    let stopped = match source {
        SourceVolume::Volume(name) => settle(engine, name, pause).await?,
        SourceVolume::Directory(_) => Vec::new(),
    };
    let sealed = read(engine, (store, labels), source, progress).await;
    let mut again = Ok(());
    for container in stopped.iter().rev() {
        let started = engine.start_container(&container.id).await;
        if let Err(e) = started {
            again = Err(e.problem(format!("start `{}` again", container.name)));
        }
    }
    let sealed = sealed?;
    again.map(|()| sealed)
}

async fn read(
    engine: &Engine,
    (store, labels): (&str, BTreeMap<String, String>),
    source: SourceVolume<'_>,
    progress: Progress<'_>,
) -> Result<Sealed, Problem> {
    let how = Open {
        labels,
        mounts: vec![source.mount()],
        ..Open::of(store)
    };
    let helper = Helper::open(engine, &how).await?;
    let kind = Some(helper.kind());
    let read = helper.import(SOURCE, progress).await;
    helper.close().await;
    let read = read?;
    let content = Content {
        hash: read.hash,
        entries: read.entries,
        bytes: read.bytes,
    };
    Ok(Sealed { content, kind })
}

/// Sees to it that nobody writes to a volume; gives what was stopped for that.
async fn settle(engine: &Engine, volume: &str, pause: Pause) -> Result<Vec<Found>, Problem> {
    let there = engine.has_volume(volume).await;
    if !there.map_err(|e| e.problem(format!("look for the volume `{volume}`")))? {
        let message = format!("there is no volume `{volume}` on this engine");
        let problem = Problem::new(ProblemKind::UnknownReference, message);
        return Err(problem.help("`docker volume ls` lists them"));
    }
    let users = engine.users_of(volume).await;
    let users = users.map_err(|e| e.problem(format!("list the users of the volume `{volume}`")))?;
    let running: Vec<Found> = users
        .into_iter()
        .filter(|c| !matches!(c.state.as_str(), "created" | "exited" | "dead"))
        .collect();
    if running.is_empty() {
        return Ok(running);
    }
    let names: Vec<String> = running.iter().map(|c| format!("`{}`", c.name)).collect();
    let names = names.join(", ");
    if pause == Pause::Refuse {
        let message = format!("the volume `{volume}` is in use by {names}");
        return Err(Problem::new(ProblemKind::Conflict, message).help(
            "a copy of data that somebody writes to is not consistent: stop them, \
             or let them be stopped and started again with `--stop`",
        ));
    }
    for (i, container) in running.iter().enumerate() {
        let stopped = engine.stop_container(&container.id, None).await;
        if let Err(e) = stopped {
            for before in &running[..i] {
                let _ = engine.start_container(&before.id).await;
            }
            return Err(e.problem(format!("stop `{}`", container.name)));
        }
    }
    Ok(running)
}
