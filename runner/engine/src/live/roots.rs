//! Owner and rights of the tops of fresh volumes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use prodmirror_model::plan::VolumePlan;
use serde_json::json;

use super::files::add_directory;
use super::label::{Role, Tags};
use crate::docker::{Engine, EngineError, NewContainer};

/// Where the volumes are mounted in a container that is never started.
const DIR: &str = "/volumes";

/// Gives the tops of volumes their owner and rights, through a container that is never
/// started. `made` has the names of volumes on the engine.
pub async fn prepare(
    engine: &Engine,
    tags: &Tags,
    agent: &str,
    volumes: &[VolumePlan],
    made: &BTreeMap<String, String>,
) -> Result<(), EngineError> {
    let roots: Vec<_> = volumes
        .iter()
        .filter(|v| v.external.is_none() && v.options.is_empty())
        .filter_map(|v| Some((made.get(&v.key)?, v.root?)))
        .collect();
    if roots.is_empty() {
        return Ok(());
    }
    let binds = roots.iter().enumerate();
    let binds: Vec<String> = binds
        .map(|(n, (name, _))| format!("{name}:{DIR}/{n}:nocopy"))
        .collect();
    let body = json!({
        "Image": agent,
        "Cmd": ["hold"],
        "Labels": tags.labels(Role::Files),
        "HostConfig": {"NetworkMode": "none", "Binds": binds},
    });
    let new = NewContainer {
        name: tags.name("volumes"),
        body,
        platform: None,
    };
    let id = engine.create_container(&new).await?.id;
    let mut tar = tar::Builder::new(Vec::new());
    let mut archive = || -> std::io::Result<()> {
        for (n, (_, root)) in roots.iter().enumerate() {
            add_directory(&mut tar, &PathBuf::from(n.to_string()), root.mode, root.gid)?;
        }
        tar.finish()
    };
    // Writing to memory does not fail.
    let packed = archive().is_ok();
    let bytes = tar.into_inner().unwrap_or_default();
    if packed {
        engine.put_archive(&id, DIR, Bytes::from(bytes)).await?;
    }
    engine.remove_container(&id).await
}
