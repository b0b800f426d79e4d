//! Removing by hand what runs left behind whose lease has lapsed.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use prodmirror_model::diag::Problem;

use super::super::label::{self, read_lease};
use super::super::sweep::remove_all;
use super::{Hold, Life, Owner};
use crate::docker::{Engine, Found};

/// Pause between attempts at what the engine does not let go of yet.
const PAUSE: Duration = Duration::from_millis(200);

/// What to collect.
#[derive(Debug, Clone)]
pub struct GcOptions {
    /// Say what would be removed, and remove nothing.
    pub dry_run: bool,
    /// How long it may take; for each run by itself, since all are worked on at once.
    pub deadline: Duration,
    /// Leave alone what is younger: its own keeper and reaper come first.
    pub older_than: Duration,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self {
            dry_run: false,
            deadline: Duration::from_secs(120),
            older_than: Duration::ZERO,
        }
    }
}

/// What was collected.
#[derive(Debug, Clone, Default)]
pub struct GcReport {
    /// What was removed (or would be).
    pub removed: Vec<Found>,
    /// Runs that were left alone, each with the reason.
    pub kept: Vec<(String, String)>,
    /// What could not be removed, with the engine's words.
    pub left: Vec<String>,
}

/// Removes the objects of runs whose lease has lapsed: their runner, on this host, is dead,
/// or their time to live is over. Nothing else is touched; a run that cannot be judged from
/// here stays. What the engine does not let go of in one run does not keep the others.
///
/// # Errors
/// The engine cannot be asked.
pub async fn gc(engine: &Engine, options: &GcOptions) -> Result<GcReport, Problem> {
    let doing = "look for what runs left behind";
    let found = engine
        .find(&[label::RUN.to_owned()])
        .await
        .map_err(|e| e.problem(doing))?;
    let mut runs: BTreeMap<String, Vec<Found>> = BTreeMap::new();
    for object in found {
        runs.entry(object.label(label::RUN).to_owned())
            .or_default()
            .push(object);
    }
    let now = engine_now(engine);
    let least = i64::try_from(options.older_than.as_secs()).unwrap_or(i64::MAX);
    let old = |o: &Found| o.created.is_none_or(|c| c.saturating_add(least) <= now);
    let mut report = GcReport::default();
    let mut lapsed_runs = Vec::new();
    for (run, objects) in runs {
        if least > 0 && !objects.iter().all(old) {
            continue;
        }
        let (lapsed, reason) = split(objects, now);
        if let Some(reason) = reason {
            report.kept.push((run.clone(), reason));
        }
        if !lapsed.is_empty() {
            lapsed_runs.push((run, lapsed));
        }
    }
    if options.dry_run {
        report.removed = lapsed_runs.into_iter().flat_map(|(_, o)| o).collect();
        return Ok(report);
    }
    let collected = lapsed_runs
        .into_iter()
        .map(|(run, lapsed)| collect(engine, run, lapsed, options.deadline));
    for (removed, left) in join_all(collected).await {
        report.removed.extend(removed);
        report.left.extend(left);
    }
    Ok(report)
}

/// Removes what has lapsed of one run, and what of it appears meanwhile: the engine may still
/// finish what the dead runner asked for last. Gives what was removed, and what is left, with
/// the engine's words.
async fn collect(
    engine: &Engine,
    run: String,
    mut lapsed: Vec<Found>,
    deadline: Duration,
) -> (Vec<Found>, Vec<String>) {
    let filter = [format!("{}={run}", label::RUN)];
    let mut removed: Vec<Found> = Vec::new();
    let mut left = Vec::new();
    let rounds = async {
        while !lapsed.is_empty() {
            remove_all(engine, lapsed.clone(), &mut left).await;
            for object in &lapsed {
                if removed.iter().all(|r| r.id != object.id) {
                    removed.push(object.clone());
                }
            }
            if !left.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
            match engine.find(&filter).await {
                Ok(objects) => lapsed = split(objects, engine_now(engine)).0,
                Err(e) => {
                    left = vec![format!("run {run}: the engine could not be asked: {e}")];
                    return;
                }
            }
        }
        left.clear();
    };
    // A request that the engine never answers ends here as well.
    if tokio::time::timeout(deadline, rounds).await.is_err() && left.is_empty() {
        left.push(format!(
            "run {run}: the engine was not done after {} s",
            deadline.as_secs()
        ));
    }
    // What was still there at the last look.
    removed.retain(|r| lapsed.iter().all(|l| l.id != r.id));
    (removed, left)
}

/// The objects of a run whose lease has lapsed, and why others of it must stay: a run may have
/// stacks that are held in different ways.
fn split(objects: Vec<Found>, now: i64) -> (Vec<Found>, Option<String>) {
    let judged: Vec<_> = objects.iter().map(|o| judge(o, &objects, now)).collect();
    let (lapsed, live): (Vec<_>, Vec<_>) = objects
        .into_iter()
        .zip(judged)
        .partition(|(_, reason)| reason.is_none());
    (
        lapsed.into_iter().map(|(object, _)| object).collect(),
        live.into_iter().find_map(|(_, reason)| reason),
    )
}

/// Seconds since 1970 by the engine's clock, which is the one that dates objects.
fn engine_now(engine: &Engine) -> i64 {
    jiff::Timestamp::now().as_second() + engine.facts().clock_ahead_ms / 1000
}

/// Why an object must stay; nothing when its lease has lapsed.
fn judge(object: &Found, run: &[Found], now: i64) -> Option<String> {
    match read_lease(object.label(label::LEASE)) {
        None => Some("its lease cannot be read".to_owned()),
        Some(Hold::Kept) => {
            let project = object.label(label::PROJECT);
            Some(format!("`{project}` stays up until `prodmirror down`"))
        }
        Some(Hold::For(limit)) => {
            let limit = i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
            let begun = run.iter().filter_map(|o| o.created).min()?;
            let over = begun.saturating_add(limit) <= now;
            (!over).then(|| {
                format!(
                    "its time is over in {} s",
                    begun.saturating_add(limit) - now
                )
            })
        }
        Some(Hold::Run) => {
            let Some(owner) = Owner::from_json(object.label(label::OWNER)) else {
                return Some("its owner cannot be read".to_owned());
            };
            match owner.life() {
                Life::Dead => None,
                Life::Alive => Some(format!("its runner lives (process {})", owner.pid)),
                Life::Elsewhere => Some(elsewhere(&owner, run)),
            }
        }
    }
}

/// What is said of a run whose runner is not on this host: its keeper sees to it.
fn elsewhere(owner: &Owner, run: &[Found]) -> String {
    let host = owner.host.split('/').next().unwrap_or_default();
    let kept = run
        .iter()
        .any(|o| o.label(label::ROLE) == "keeper" && o.state == "running");
    if kept {
        format!("its runner is on {host}, and its keeper hears it")
    } else {
        format!("its runner is, or was, on {host}: collect it there")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::FoundKind;

    fn object(lease: &str, owner: &Owner, created: i64) -> Found {
        let labels = [
            (label::LEASE, lease.to_owned()),
            (label::OWNER, owner.to_json()),
        ];
        Found {
            kind: FoundKind::Volume,
            id: "v".into(),
            name: "v".into(),
            labels: labels.into_iter().map(|(k, v)| (k.to_owned(), v)).collect(),
            created: Some(created),
            state: String::new(),
            status: String::new(),
            image: String::new(),
        }
    }

    fn stays(object: Found) -> bool {
        judge(&object, std::slice::from_ref(&object), 1000).is_some()
    }

    #[test]
    fn only_what_is_surely_lapsed_goes() {
        let me = Owner::this_process();
        let dead = Owner {
            start: me.start + 1,
            ..me.clone()
        };
        let far = Owner {
            host: "far/1".into(),
            ..me.clone()
        };
        assert!(stays(object("run", &me, 0)));
        assert!(!stays(object("run", &dead, 0)));
        assert!(stays(object("run", &far, 0)));
        assert!(stays(object("none", &dead, 0)));
        assert!(stays(object("soon", &dead, 0)));
        assert!(stays(object("600s", &dead, 500)));
        assert!(!stays(object("600s", &me, 400)));
        let mut nobody = object("run", &dead, 0);
        nobody.labels.insert(label::OWNER.into(), "?".into());
        assert!(stays(nobody));
    }
}
