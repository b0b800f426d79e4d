//! Removal of what a run left.

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use prodmirror_agent::wire::{Event, LABEL_KEEP, LABEL_RUN};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::engine::{Engine, Kind};
use crate::output::{emit, warn};

/// How long removal may take in all.
const LIMIT: Duration = Duration::from_secs(60);
/// Between two looks. Requests that were under way when the runner died may still make objects.
const PAUSE: Duration = Duration::from_millis(500);
/// How many removals run at once.
const AT_ONCE: usize = 6;
/// How often nothing has to be found.
const EMPTY_LOOKS: usize = 2;

/// An object that has to go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Object {
    kind: Kind,
    id: String,
    name: String,
}

/// Removes everything of `run` but this container and what is to be kept, until twice
/// nothing is found. Gives the exit code.
pub async fn reap(engine: &Engine, run: &str) -> u8 {
    let start = Instant::now();
    let (mut removed, mut empty, mut left) = (0, 0, 0);
    let mut last = String::new();
    while empty < EMPTY_LOOKS && start.elapsed() < LIMIT {
        match round(engine, run).await {
            Ok(round) => {
                removed += round.removed;
                left = round.left;
                empty = if round.removed + round.left == 0 {
                    empty + 1
                } else {
                    0
                };
                last = round.error.unwrap_or(last);
            }
            Err(error) => {
                if last.is_empty() {
                    warn("the engine does not answer as it should", &error);
                }
                empty = 0;
                left = left.max(1);
                last = error.to_string();
            }
        }
        if empty < EMPTY_LOOKS {
            sleep(PAUSE).await;
        }
    }
    if left > 0 {
        warn("not everything could be removed", last);
    }
    emit(&Event::Done {
        run: run.to_owned(),
        removed,
        left,
    });
    u8::from(left > 0)
}

#[derive(Debug, Default)]
struct Round {
    removed: usize,
    left: usize,
    error: Option<String>,
}

/// Lists and removes once, kind by kind.
async fn round(engine: &Engine, run: &str) -> io::Result<Round> {
    let label = format!("{LABEL_RUN}={run}");
    let own = own_id();
    let containers = engine.list(Kind::Container, &label).await?;
    let kept = Kept::of(&containers, own.as_deref());
    let mut result = Round::default();
    for kind in Kind::ORDER {
        let listed = match kind {
            Kind::Container => containers.clone(),
            _ => engine.list(kind, &label).await?,
        };
        let objects: Vec<_> = listed
            .iter()
            .filter(|object| !is_labelled_keep(object))
            .filter_map(|object| describe(kind, object))
            .filter(|object| !kept.holds(object))
            .collect();
        remove_all(engine, objects, &mut result).await;
    }
    Ok(result)
}

async fn remove_all(engine: &Engine, objects: Vec<Object>, result: &mut Round) {
    let mut waiting = objects.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < AT_ONCE
            && let Some(object) = waiting.next()
        {
            let engine = engine.clone();
            running.spawn(async move {
                let removed = engine.remove(object.kind, &object.id).await;
                (object, removed)
            });
        }
        let Some(joined) = running.join_next().await else {
            return;
        };
        let Ok((object, removed)) = joined else {
            continue;
        };
        match removed {
            Ok(()) => {
                result.removed += 1;
                emit(&Event::Removed {
                    kind: object.kind.to_string(),
                    id: object.id,
                    name: object.name,
                });
            }
            Err(error) => {
                result.left += 1;
                result.error = Some(format!("{} {}: {error}", object.kind, object.name));
            }
        }
    }
}

/// What stays: this container, kept containers and what they need.
#[derive(Debug, Default)]
struct Kept {
    ids: HashSet<String>,
}

impl Kept {
    fn of(containers: &[Value], own: Option<&str>) -> Self {
        let mut kept = Self::default();
        for container in containers {
            let id = container["Id"].as_str().unwrap_or_default();
            if own.is_some_and(|own| id.starts_with(own)) {
                kept.ids.insert(id.to_owned());
            }
            if is_labelled_keep(container) {
                kept.ids.extend(needs(container));
            }
        }
        // A sandbox that a kept service has joined needs its networks.
        let joined = containers.iter().filter(|container| {
            container["Id"]
                .as_str()
                .is_some_and(|id| kept.ids.contains(id))
        });
        let needed: Vec<_> = joined.flat_map(needs).collect();
        kept.ids.extend(needed);
        kept
    }

    fn holds(&self, object: &Object) -> bool {
        self.ids.contains(&object.id)
    }
}

/// The container whose network namespace it joins, its networks and its volumes.
fn needs(container: &Value) -> Vec<String> {
    let mode = container["HostConfig"]["NetworkMode"].as_str();
    let sandbox = mode.and_then(|mode| mode.strip_prefix("container:"));
    let networks = container["NetworkSettings"]["Networks"]
        .as_object()
        .into_iter()
        .flatten();
    let networks = networks.filter_map(|(_, network)| network["NetworkID"].as_str());
    let mounts = container["Mounts"].as_array().into_iter().flatten();
    let volumes = mounts.filter_map(|mount| mount["Name"].as_str());
    sandbox
        .into_iter()
        .chain(networks)
        .chain(volumes)
        .map(str::to_owned)
        .collect()
}

fn is_labelled_keep(object: &Value) -> bool {
    object["Labels"][LABEL_KEEP].as_str() == Some("true")
}

fn describe(kind: Kind, object: &Value) -> Option<Object> {
    let name = match kind {
        Kind::Container => object["Names"][0]
            .as_str()
            .unwrap_or_default()
            .trim_start_matches('/'),
        _ => object["Name"].as_str()?,
    };
    let id = if kind == Kind::Volume {
        name
    } else {
        object["Id"].as_str()?
    };
    Some(Object {
        kind,
        id: id.to_owned(),
        name: name.to_owned(),
    })
}

/// The beginning of this container's id, which is its host name unless somebody set one.
fn own_id() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    let is_id = name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_kept_keeps_what_it_needs() {
        let containers = [
            json!({"Id": "aaaa00000000ffff", "Labels": {}}),
            json!({"Id": "bbbb", "Labels": {"dev.prodmirror.keep": "true"},
                   "HostConfig": {"NetworkMode": "container:cccc"},
                   "NetworkSettings": {"Networks": {"n": {"NetworkID": "net1"}}},
                   "Mounts": [{"Name": "vol1", "Type": "volume"}, {"Type": "bind"}]}),
        ];
        let kept = Kept::of(&containers, Some("aaaa00000000"));
        let object = |id: &str| Object {
            kind: Kind::Network,
            id: id.into(),
            name: String::new(),
        };
        for id in ["aaaa00000000ffff", "cccc", "net1", "vol1"] {
            assert!(kept.holds(&object(id)), "{id}");
        }
        assert!(!kept.holds(&object("other")));
    }

    #[test]
    fn a_kept_sandbox_keeps_its_networks_too() {
        let containers = [
            json!({"Id": "service", "Labels": {"dev.prodmirror.keep": "true"},
                   "HostConfig": {"NetworkMode": "container:sandbox"}}),
            json!({"Id": "sandbox", "Labels": {},
                   "NetworkSettings": {"Networks": {"n": {"NetworkID": "net1"}}}}),
        ];
        let kept = Kept::of(&containers, None);
        assert!(kept.ids.contains("sandbox") && kept.ids.contains("net1"));
    }
}
