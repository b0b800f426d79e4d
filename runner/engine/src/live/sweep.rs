//! Removing everything that carries certain labels, until nothing is left.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::{Semaphore, oneshot};

use crate::docker::{Engine, EngineError, Found, FoundKind};

use super::label::{self, Role};

/// Pause between attempts: the engine needs a moment to let go of what it is removing.
const PAUSE: Duration = Duration::from_millis(100);
/// How many more containers are removed at once than the engine has CPUs: removal is mostly
/// CPU work of the engine's, and what is begun later does not slow down what was begun.
const MORE_THAN_CPUS: usize = 3;
/// How long the helper of a store may take to stop.
const STORE_GRACE: Duration = Duration::from_secs(5);
/// An engine that is away for so long is not waited for: keeper and reaper have more time.
const LOST_WITHIN: Duration = Duration::from_secs(5);

/// What removing a stack gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DownReport {
    /// How many objects were removed.
    pub removed: usize,
    /// Objects that could not be removed, with the engine's words.
    pub left: Vec<String>,
    /// Runs that were left alone, each with the process that still works on it.
    pub alive: BTreeMap<String, u32>,
    /// Why nothing more could be removed, when that is because the engine is away.
    pub lost: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// Removes all objects with these labels: containers are killed, their anonymous volumes go
/// with them. Objects that appear meanwhile are removed as well. It ends at the deadline, also
/// when the engine says nothing at all, and early when the engine is away.
pub async fn sweep(engine: &Engine, labels: &[String], deadline: Duration) -> DownReport {
    let begun = Instant::now();
    let mut report = DownReport::default();
    let mut away: Option<Instant> = None;
    loop {
        let left = deadline.saturating_sub(begun.elapsed()).max(PAUSE);
        let round = tokio::time::timeout(left, round(engine, labels, &mut report)).await;
        match round.unwrap_or(Err(EngineError::Timeout)) {
            Ok(()) => {
                report.lost = None;
                away = None;
                if report.left.is_empty() {
                    break;
                }
            }
            Err(e) => {
                report.left = vec![format!("the stack: the engine could not be asked: {e}")];
                report.lost = e.is_lost().then(|| e.to_string());
                let since = *away.get_or_insert_with(Instant::now);
                if e.is_lost() && since.elapsed() >= LOST_WITHIN {
                    break;
                }
            }
        }
        if begun.elapsed() >= deadline {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    report.took = begun.elapsed();
    report
}

/// Looks once and removes what is found.
async fn round(
    engine: &Engine,
    labels: &[String],
    report: &mut DownReport,
) -> Result<(), EngineError> {
    let found = engine.find(labels).await?;
    report.removed += remove_all(engine, found, &mut report.left).await;
    Ok(())
}

/// Removes what was found and gives how many objects that were; `left` is what could not be
/// removed.
///
/// Containers that are attached to networks go first, so that the networks go while the
/// engine is still busy with services, which only join a sandbox. Volumes go after all
/// containers.
pub async fn remove_all(engine: &Engine, found: Vec<Found>, left: &mut Vec<String>) -> usize {
    left.clear();
    let permits = Semaphore::new(engine.facts().cpus as usize + MORE_THAN_CPUS);
    let Parts {
        attached,
        joined,
        networks,
        volumes,
        stores,
    } = Parts::of(found);
    let (tell, attached_gone) = oneshot::channel();
    let with_networks = async {
        let mut done = remove_each(engine, attached, Some(&permits)).await;
        let _ = tell.send(());
        // A network's removal is the engine's waiting more than its work.
        done.extend(remove_each(engine, networks, None).await);
        done
    };
    let with_volumes = async {
        let mut done = remove_each(engine, joined, Some(&permits)).await;
        let _ = attached_gone.await;
        done.extend(remove_each(engine, volumes, None).await);
        done
    };
    let (mut done, others) = tokio::join!(with_networks, with_volumes);
    done.extend(others);
    for store in &stores {
        // Told to stop, it removes the clones that nobody uses any more.
        let _ = engine.stop_container(&store.id, Some(STORE_GRACE)).await;
    }
    done.extend(remove_each(engine, stores, None).await);
    let all = done.len();
    left.extend(done.into_iter().filter_map(Result::err));
    all - left.len()
}

/// Removes objects, as many at once as there are permits, the first ones first.
async fn remove_each(
    engine: &Engine,
    objects: Vec<Found>,
    permits: Option<&Semaphore>,
) -> Vec<Result<(), String>> {
    let removals = objects.into_iter().map(|object| async move {
        let _permit = match permits {
            // Nobody closes the semaphore.
            Some(permits) => permits.acquire().await.ok(),
            None => None,
        };
        let removed = engine.remove(&object).await;
        removed.map_err(|e| format!("{} `{}`: {e}", kind_word(&object), object.name))
    });
    join_all(removals).await
}

/// Objects by when they can be removed.
#[derive(Default)]
struct Parts {
    /// Containers that are, or may be, attached to networks.
    attached: Vec<Found>,
    /// Services: they join the network of a sandbox.
    joined: Vec<Found>,
    networks: Vec<Found>,
    volumes: Vec<Found>,
    /// Those who keep the clones that volumes are.
    stores: Vec<Found>,
}

impl Parts {
    fn of(found: Vec<Found>) -> Self {
        let mut parts = Self::default();
        for object in found {
            let part = match object.kind {
                FoundKind::Container if object.label(label::ROLE) == Role::Service.text() => {
                    &mut parts.joined
                }
                FoundKind::Container if object.label(label::ROLE) == Role::Store.text() => {
                    &mut parts.stores
                }
                FoundKind::Container => &mut parts.attached,
                FoundKind::Network => &mut parts.networks,
                FoundKind::Volume => &mut parts.volumes,
            };
            part.push(object);
        }
        parts
    }
}

fn kind_word(object: &Found) -> &str {
    match object.kind {
        FoundKind::Container => {
            let role = object.label(label::ROLE);
            if role.is_empty() { "container" } else { role }
        }
        FoundKind::Network => "network",
        FoundKind::Volume => "volume",
    }
}
