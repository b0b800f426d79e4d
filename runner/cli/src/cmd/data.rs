//! The data that stacks start from: who gives it, and whether scenarios mean anything on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use prodmirror_engine::docker::Engine;
use prodmirror_engine::live::label::{Role, Tags};
use prodmirror_engine::live::lease::{Hold, Owner};
use prodmirror_engine::step::Program;
use prodmirror_engine::store::{Catalogue, Clones, Entry};
use prodmirror_model::diag::Problem;
use prodmirror_model::lock::{Digest, Facts};
use prodmirror_model::plan::Plan;
use prodmirror_model::snapshot::Manifest;

use super::Session;
use crate::open::Opened;

/// Who gives the stacks of a run their data; nothing when none starts from a snapshot.
pub fn clones(
    session: &Session,
    opened: &Opened,
    engine: &Engine,
    (plan, run, hold): (&Plan, &str, Hold),
    programs: &[Arc<Program>],
) -> Option<Arc<Clones>> {
    let of_plan = plan.volumes.iter().any(|v| v.snapshot.is_some());
    if !of_plan && programs.iter().all(|p| p.scenario.data.is_empty()) {
        return None;
    }
    let tags = Tags::new(&plan.project, run, "", hold, &Owner::this_process());
    let clones = Clones::new(engine, &session.global.store, tags.labels(Role::Store));
    Some(Arc::new(clones.locked(locked(opened))))
}

/// Says of the facts of a lock which manifests the snapshots have that are here.
///
/// # Errors
/// The engine's.
pub async fn manifests(
    session: &Session,
    engine: &Engine,
    facts: &mut Facts,
) -> Result<(), Problem> {
    if facts.data.values().all(|c| c.snapshot.is_none()) {
        return Ok(());
    }
    let (entries, _) = Catalogue::of(engine, &session.global.store).list().await?;
    for content in facts.data.values_mut() {
        let named = |e: &&Entry| content.snapshot.as_ref() == Some(&e.manifest.name);
        let digest = entries.iter().find(named).map(|e| e.digest.clone());
        content.value.manifest = digest;
    }
    Ok(())
}

/// Digests of manifests that the lock has, by snapshot.
fn locked(opened: &Opened) -> BTreeMap<String, Digest> {
    let Some(lock) = &opened.lock else {
        return BTreeMap::new();
    };
    let contents = lock.facts.data.values();
    contents
        .filter_map(|c| Some((c.snapshot.clone()?, c.manifest.clone()?)))
        .collect()
}

/// Why scenarios would prove nothing on the data that they get.
pub struct Realism {
    /// What is known of snapshots, by name.
    manifests: BTreeMap<String, Manifest>,
    /// The snapshot of each volume of the plan.
    volumes: BTreeMap<String, String>,
}

impl Realism {
    /// Looks up what scenarios ask about.
    ///
    /// # Errors
    /// The engine's.
    pub async fn of(
        session: &Session,
        engine: &Engine,
        plan: &Plan,
        programs: &[Arc<Program>],
    ) -> Result<Self, Problem> {
        let volumes = plan.volumes.iter();
        let volumes = volumes.filter_map(|v| Some((v.key.clone(), v.snapshot.clone()?)));
        let mut known = Self {
            manifests: BTreeMap::new(),
            volumes: volumes.collect(),
        };
        if programs
            .iter()
            .any(|p| !p.scenario.requires.data.is_empty())
        {
            let (entries, _) = Catalogue::of(engine, &session.global.store).list().await?;
            let entries = entries.into_iter();
            known.manifests = entries
                .map(|e| (e.manifest.name.clone(), e.manifest))
                .collect();
        }
        Ok(known)
    }

    /// Why a scenario would prove nothing; nothing when it does, or asks for nothing.
    pub fn unmet(&self, program: &Program) -> Option<String> {
        let needs = &program.scenario.requires.data;
        if needs.is_empty() {
            return None;
        }
        let mut volumes = self.volumes.clone();
        for (volume, snapshot) in &program.scenario.data {
            volumes.insert(volume.clone(), snapshot.value.clone());
        }
        let data: Vec<&Manifest> = volumes
            .values()
            .filter_map(|name| self.manifests.get(name))
            .collect();
        let unmet: Vec<String> = needs
            .iter()
            .filter_map(|need| need.value.unmet(&data))
            .collect();
        if unmet.is_empty() {
            return None;
        }
        let on = match volumes.is_empty() {
            true => String::new(),
            false => {
                let names: Vec<&str> = volumes.values().map(String::as_str).collect();
                format!(" (data: {})", names.join(", "))
            }
        };
        Some(format!(
            "not a pass, and not run: it {}{on}",
            unmet.join("; it ")
        ))
    }
}
