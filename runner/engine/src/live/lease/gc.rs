//! Removing by hand what runs left behind whose lease has lapsed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

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
    /// How long it may take.
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
/// here stays.
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
    let now = jiff::Timestamp::now().as_second() + engine.facts().clock_ahead_ms / 1000;
    let least = i64::try_from(options.older_than.as_secs()).unwrap_or(i64::MAX);
    let old = |o: &Found| o.created.is_none_or(|c| c.saturating_add(least) <= now);
    let mut report = GcReport::default();
    for (run, objects) in runs {
        if least > 0 && !objects.iter().all(old) {
            continue;
        }
        // A run may have stacks that are held in different ways.
        let (lapsed, live): (Vec<_>, Vec<_>) = {
            let judged: Vec<_> = objects.iter().map(|o| judge(o, &objects, now)).collect();
            objects
                .into_iter()
                .zip(judged)
                .partition(|(_, reason)| reason.is_none())
        };
        if let Some((_, Some(reason))) = live.into_iter().next() {
            report.kept.push((run, reason));
        }
        report
            .removed
            .extend(lapsed.into_iter().map(|(object, _)| object));
    }
    if options.dry_run {
        return Ok(report);
    }
    let begun = Instant::now();
    while !report.removed.is_empty() {
        remove_all(engine, report.removed.clone(), &mut report.left).await;
        if report.left.is_empty() || begun.elapsed() > options.deadline {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(report)
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
