//! Removing everything that carries certain labels, until nothing is left.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::docker::{Engine, Found, FoundKind};

use super::label;

/// Pause between attempts: the engine needs a moment to let go of what it is removing.
const PAUSE: Duration = Duration::from_millis(100);

/// What removing a stack gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DownReport {
    /// How many objects were removed.
    pub removed: usize,
    /// Objects that could not be removed, with the engine's words.
    pub left: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// Removes all objects with these labels: containers are killed, their anonymous volumes go
/// with them. Objects that appear meanwhile are removed as well.
pub async fn sweep(engine: &Engine, labels: &[String], deadline: Duration) -> DownReport {
    let begun = Instant::now();
    let mut report = DownReport::default();
    loop {
        match engine.find(labels).await {
            Ok(found) if found.is_empty() => {
                report.left.clear();
                break;
            }
            Ok(found) => {
                let removed = remove_all(engine, found, &mut report.left).await;
                report.removed += removed;
                if report.left.is_empty() {
                    break;
                }
            }
            Err(e) => report.left = vec![format!("the engine could not be asked: {e}")],
        }
        if begun.elapsed() >= deadline {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    report.took = begun.elapsed();
    report
}

/// Removes what was found, containers first; gives how many were removed.
pub async fn remove_all(engine: &Engine, found: Vec<Found>, left: &mut Vec<String>) -> usize {
    left.clear();
    let (containers, others): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|f| f.kind == FoundKind::Container);
    let mut removed = 0;
    for group in [containers, others] {
        let results = join_all(group.iter().map(|object| engine.remove(object))).await;
        for (object, result) in group.iter().zip(results) {
            match result {
                Ok(()) => removed += 1,
                Err(e) => left.push(format!("{} `{}`: {e}", kind_word(object), object.name)),
            }
        }
    }
    removed
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
