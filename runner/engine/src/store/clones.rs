//! The clones of a run: each stack gets its own of each snapshot, at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use prodmirror_agent::wire::StoreKind;
use prodmirror_model::diag::Problem;
use prodmirror_model::lock::Digest;
use prodmirror_model::snapshot::Manifest;

use super::catalogue::Catalogue;
use super::helper::{Helper, Open};
use crate::docker::Engine;

/// A clone that a volume of a stack is.
#[derive(Debug, Clone)]
pub struct Given {
    /// Its name in the store.
    pub clone: String,
    /// Options of the volume.
    pub options: BTreeMap<String, String>,
    /// What it is a clone of.
    pub manifest: Arc<Manifest>,
    /// How it came about.
    pub kind: StoreKind,
}

/// Gives clones of snapshots. The store is opened when the first is wanted; a helper that was
/// lost is replaced by another.
pub struct Clones {
    engine: Engine,
    catalogue: Catalogue,
    labels: BTreeMap<String, String>,
    helper: tokio::sync::Mutex<Option<Arc<Helper>>>,
    /// By stack.
    given: Mutex<BTreeMap<String, Vec<String>>>,
    /// Digests that snapshots must have, by name.
    locked: BTreeMap<String, Digest>,
}

impl std::fmt::Debug for Clones {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clones").finish_non_exhaustive()
    }
}

impl Clones {
    /// Clones for a run; `labels` are those of what a run has outside of its stacks, by which
    /// the helper is removed when nobody is left who could.
    pub fn new(engine: &Engine, store: &str, labels: BTreeMap<String, String>) -> Self {
        Self {
            engine: engine.clone(),
            catalogue: Catalogue::of(engine, store),
            labels,
            helper: tokio::sync::Mutex::new(None),
            given: Mutex::default(),
            locked: BTreeMap::new(),
        }
    }

    /// Snapshots are refused whose manifest has another digest.
    #[must_use]
    pub fn locked(mut self, locked: BTreeMap<String, Digest>) -> Self {
        self.locked = locked;
        self
    }

    async fn helper(&self) -> Result<Arc<Helper>, Problem> {
        let mut open = self.helper.lock().await;
        if let Some(helper) = open.as_ref().filter(|h| h.is_alive()) {
            return Ok(helper.clone());
        }
        let how = Open {
            labels: self.labels.clone(),
            // Clones live as long as it: it must not end with this process when stacks stay.
            stay: true,
            ..Open::of(self.catalogue.store())
        };
        let helper = Arc::new(Helper::open(&self.engine, &how).await?);
        *open = Some(helper.clone());
        Ok(helper)
    }

    /// Makes a clone of a snapshot for a stack.
    ///
    /// # Errors
    /// There is no such snapshot, it is not the locked one, or it cannot be cloned.
    pub async fn give(&self, stack: &str, snapshot: &str) -> Result<Given, Problem> {
        let (entry, helper) = tokio::join!(self.catalogue.get(snapshot), self.helper());
        let (entry, helper) = (entry?, helper?);
        if let Some(locked) = self.locked.get(snapshot).filter(|d| **d != entry.digest) {
            return Err(Problem::new(
                prodmirror_model::diag::ProblemKind::Drift,
                format!(
                    "the snapshot `{snapshot}` is not the one in mirror.lock: its manifest is {}, and the lock has {}",
                    entry.digest.short(),
                    locked.short()
                ),
            )
            .help("bring the locked one here, or lock this one: `prodmirror lock`"));
        }
        let content = &entry.manifest.content.hash;
        let cloned = helper.clone_of(content).await;
        let (clone, options) = cloned.map_err(|p| {
            let name = &entry.manifest.name;
            let message = format!("snapshot `{name}`: {}", p.message);
            Problem { message, ..p }
        })?;
        self.note(stack, &clone);
        Ok(Given {
            clone,
            options,
            kind: helper.kind(),
            manifest: Arc::new(entry.manifest),
        })
    }

    /// Makes a clone of a sealed content for a stack; gives the options of the volume that is it.
    ///
    /// # Errors
    /// There is no such content, or it cannot be cloned.
    pub async fn give_content(
        &self,
        stack: &str,
        content: &str,
    ) -> Result<BTreeMap<String, String>, Problem> {
        let helper = self.helper().await?;
        let (clone, options) = helper.clone_of(content).await?;
        self.note(stack, &clone);
        Ok(options)
    }

    /// Makes a clone of what a clone of a stack holds now; gives its name.
    ///
    /// # Errors
    /// There is no such clone any more, or no room.
    pub async fn fork(&self, stack: &str, of: &str) -> Result<String, Problem> {
        let clone = self.helper().await?.fork(of, None).await?;
        self.note(stack, &clone);
        Ok(clone)
    }

    /// Lets a clone that nobody uses hold what another one does.
    ///
    /// # Errors
    /// As [`Clones::fork`].
    pub async fn replace(&self, clone: &str, from: &str) -> Result<(), Problem> {
        let helper = self.helper().await?;
        helper.discard(clone).await?;
        helper.fork(from, Some(clone)).await.map(drop)
    }

    /// Lets a clone that nobody uses be as it was at first.
    ///
    /// # Errors
    /// The content is not there any more, or there is no room.
    pub async fn renew(&self, clone: &str, content: &str) -> Result<(), Problem> {
        let helper = self.helper().await?;
        helper.discard(clone).await?;
        helper.clone_as(content, clone).await.map(drop)
    }

    /// Removes a clone of a stack.
    ///
    /// # Errors
    /// There is none.
    pub async fn discard(&self, stack: &str, clone: &str) -> Result<(), Problem> {
        {
            let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(all) = given.get_mut(stack) {
                all.retain(|c| c != clone);
            }
        }
        self.helper().await?.discard(clone).await
    }

    fn note(&self, stack: &str, clone: &str) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given
            .entry(stack.to_owned())
            .or_default()
            .push(clone.to_owned());
    }

    /// Removes the clones of a stack that is removed.
    pub async fn take_back(&self, stack: &str) {
        let clones = {
            let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
            given.remove(stack).unwrap_or_default()
        };
        let helper = self.helper.lock().await.clone();
        let Some(helper) = helper else { return };
        for clone in clones {
            // What cannot be removed now goes when the store is opened the next time.
            let _ = helper.discard(&clone).await;
        }
    }

    /// Ends the use of the store, unless stacks are left that have clones: then it stays with
    /// them, and goes with the last.
    pub async fn close(&self) {
        let in_use = {
            let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
            !given.is_empty()
        };
        let helper = self.helper.lock().await.take();
        if let Some(helper) = helper.filter(|_| !in_use)
            && let Ok(helper) = Arc::try_unwrap(helper)
        {
            helper.close().await;
        }
    }
}
