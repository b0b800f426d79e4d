//! The data of a running stack: remembered, and put back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind, nearest};

use super::LiveStack;
use super::board::ReplicaKey;
use crate::store::{Clones, Given};

/// What was remembered: clones by volume and name.
#[derive(Debug, Default)]
pub struct Saved(pub std::sync::Mutex<BTreeMap<(String, String), String>>);

/// What was done to data.
#[derive(Debug, Clone)]
pub struct DataDone {
    /// The volume.
    pub volume: String,
    /// Services that were stopped and started again for it.
    pub services: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl LiveStack {
    /// Remembers what a volume holds now, under a name. Services that use it are stopped cleanly
    /// and started again.
    ///
    /// # Errors
    /// There is no such volume, it does not start from a snapshot, or the engine's.
    pub async fn save_data(&self, volume: Option<&str>, name: &str) -> Result<DataDone, Problem> {
        let (volume, given, clones) = self.clone_of(volume)?;
        let stack = self.id().to_owned();
        let name = name.to_owned();
        let key = (volume.clone(), name);
        let of = given.clone.clone();
        self.paused(&volume, async {
            let made = clones.fork(&stack, &of).await?;
            let ctx = self.context();
            let old = ctx
                .saved
                .0
                .lock()
                .ok()
                .and_then(|mut s| s.insert(key, made));
            match old {
                Some(old) => clones.discard(&stack, &old).await,
                None => Ok(()),
            }
        })
        .await
    }

    /// Puts back what a volume held when it was remembered under a name; without one, what it
    /// held when the stack was started.
    ///
    /// # Errors
    /// As [`LiveStack::save_data`]; nothing was remembered under the name.
    pub async fn restore_data(
        &self,
        volume: Option<&str>,
        name: Option<&str>,
    ) -> Result<DataDone, Problem> {
        let (volume, given, clones) = self.clone_of(volume)?;
        let from = name.map(|n| self.saved(&volume, n)).transpose()?;
        self.paused(&volume, async {
            match &from {
                Some(from) => clones.replace(&given.clone, from).await,
                None => {
                    clones
                        .renew(&given.clone, &given.manifest.content.hash)
                        .await
                }
            }
        })
        .await
    }

    fn saved(&self, volume: &str, name: &str) -> Result<String, Problem> {
        let ctx = self.context();
        let all = ctx.saved.0.lock().map(|s| s.clone()).unwrap_or_default();
        let key = (volume.to_owned(), name.to_owned());
        all.get(&key).cloned().ok_or_else(|| {
            let names: Vec<&str> = all
                .keys()
                .filter(|(v, _)| v == volume)
                .map(|(_, n)| n.as_str())
                .collect();
            let message = format!("nothing of `{volume}` was remembered as `{name}`");
            let help = match (nearest(name, names.iter().copied()), names.is_empty()) {
                (Some(near), _) => format!("did you mean `{near}`?"),
                (None, true) => "a `snapshot` step remembers it".to_owned(),
                (None, false) => format!("remembered: {}", names.join(", ")),
            };
            Problem::new(ProblemKind::UnknownReference, message).help(help)
        })
    }

    /// A volume, the clone that it is, and who gave it.
    fn clone_of(&self, volume: Option<&str>) -> Result<(String, Given, Arc<Clones>), Problem> {
        let ctx = self.context();
        let all = &ctx.made.clones;
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        let found = match volume {
            Some(name) => all.get_key_value(name),
            None if all.len() == 1 => all.iter().next(),
            None => None,
        };
        let Some((name, given)) = found else {
            let (message, help) = match volume {
                Some(name) if ctx.made.volumes.contains_key(name) => (
                    format!("the volume `{name}` does not start from a snapshot"),
                    "only such volumes can be remembered and put back at once: name its data in mirror.yaml".to_owned(),
                ),
                Some(name) => (
                    format!("the stack has no volume `{name}`"),
                    format!("volumes that start from snapshots: {}", names.join(", ")),
                ),
                None if names.is_empty() => (
                    "no volume of the stack starts from a snapshot".to_owned(),
                    "name the data of a volume in mirror.yaml".to_owned(),
                ),
                None => (
                    "several volumes start from snapshots".to_owned(),
                    format!("name one: {}", names.join(", ")),
                ),
            };
            return Err(Problem::new(ProblemKind::UnknownReference, message).help(help));
        };
        let clones = ctx
            .options
            .data
            .clone()
            .ok_or_else(|| Problem::new(ProblemKind::Start, "the stack has no store"))?;
        Ok((name.clone(), given.clone(), clones))
    }

    /// Does something while nobody uses a volume.
    async fn paused(
        &self,
        volume: &str,
        work: impl Future<Output = Result<(), Problem>>,
    ) -> Result<DataDone, Problem> {
        let begun = Instant::now();
        let ctx = self.context();
        let name = ctx.made.volumes.get(volume).cloned().unwrap_or_default();
        let users = ctx.engine.users_of(&name).await;
        let users = users.map_err(|e| e.problem("list the users of the volume"))?;
        let uses = |key: &&ReplicaKey| {
            let id = ctx.board.get(key).id;
            users.iter().any(|u| u.id == id && u.state == "running")
        };
        let keys: Vec<ReplicaKey> = ctx.board.keys().filter(uses).cloned().collect();
        let was = self.stop_replicas(keys.clone()).await?;
        let worked = work.await;
        let started = self.start_replicas(&was).await;
        worked?;
        started?;
        Ok(DataDone {
            volume: volume.to_owned(),
            services: keys.into_iter().map(|(service, _)| service).collect(),
            took: begun.elapsed(),
        })
    }
}
