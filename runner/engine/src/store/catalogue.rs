//! Which snapshots there are: an empty volume for each, whose labels hold its manifest.

use std::collections::BTreeMap;

use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::lock::Digest;
use prodmirror_model::snapshot::{MANIFEST_VERSION, Manifest};

use crate::docker::{Engine, Found, NewVolume};
use crate::live::label;

/// Name of a snapshot.
const SNAPSHOT: &str = "dev.prodmirror.snapshot";
/// Its manifest, as JSON.
const MANIFEST: &str = "dev.prodmirror.snapshot.manifest";
/// The manifest's digest.
const DIGEST: &str = "dev.prodmirror.snapshot.digest";
/// The store that has its content.
const STORE: &str = "dev.prodmirror.snapshot.store";
/// Value of the role's label.
const ROLE: &str = "snapshot";

/// A snapshot that there is.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its manifest.
    pub manifest: Manifest,
    /// The manifest's digest.
    pub digest: Digest,
}

/// The snapshots of a store.
#[derive(Debug, Clone)]
pub struct Catalogue {
    engine: Engine,
    store: String,
}

impl Catalogue {
    /// The catalogue of a store.
    pub fn of(engine: &Engine, store: &str) -> Self {
        Self {
            engine: engine.clone(),
            store: store.to_owned(),
        }
    }

    /// The store.
    pub fn store(&self) -> &str {
        &self.store
    }

    /// All snapshots by name. What cannot be read is told beside.
    ///
    /// # Errors
    /// The engine's.
    pub async fn list(&self) -> Result<(Vec<Entry>, Vec<Problem>), Problem> {
        let labels = [
            format!("{}={ROLE}", label::ROLE),
            format!("{STORE}={}", self.store),
        ];
        let found = self.engine.find_volumes(&labels).await;
        let found = found.map_err(|e| e.problem("list the snapshots"))?;
        let (mut entries, mut problems) = (Vec::new(), Vec::new());
        for volume in &found {
            match entry(volume) {
                Ok(entry) => entries.push(entry),
                Err(problem) => problems.push(problem),
            }
        }
        entries.sort_by(|a, b| a.manifest.name.cmp(&b.manifest.name));
        Ok((entries, problems))
    }

    /// The snapshot of a name.
    ///
    /// # Errors
    /// There is none ([`ProblemKind::UnknownReference`]), or the engine's.
    pub async fn get(&self, name: &str) -> Result<Entry, Problem> {
        let labels = [
            format!("{SNAPSHOT}={name}"),
            format!("{STORE}={}", self.store),
        ];
        let found = self.engine.find_volumes(&labels).await;
        let found = found.map_err(|e| e.problem("look the snapshot up"))?;
        if let Some(volume) = found.first() {
            return entry(volume);
        }
        let (all, _) = self.list().await?;
        let names: Vec<&str> = all.iter().map(|e| e.manifest.name.as_str()).collect();
        let problem = Problem::new(
            ProblemKind::UnknownReference,
            format!("there is no snapshot `{name}` on this engine"),
        );
        let help = match (nearest(name, names.iter().copied()), names.as_slice()) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) => {
                "make it with `prodmirror snapshot create`, or bring it here with `snapshot import` or `snapshot pull`"
                    .to_owned()
            }
            (None, names) => format!("snapshots: {}", names.join(", ")),
        };
        Err(problem.help(help))
    }

    /// Whether a name is free.
    ///
    /// # Errors
    /// It is taken ([`ProblemKind::Conflict`]), or the engine's.
    pub async fn is_free(&self, name: &str) -> Result<(), Problem> {
        match self.get(name).await {
            Ok(entry) => Err(taken(&entry)),
            Err(p) if p.kind == ProblemKind::UnknownReference => Ok(()),
            Err(p) => Err(p),
        }
    }

    /// Notes a snapshot whose content is in the store.
    ///
    /// # Errors
    /// Somebody was faster with the same name ([`ProblemKind::Conflict`]), or the engine's.
    pub async fn add(&self, manifest: &Manifest) -> Result<Entry, Problem> {
        let digest = manifest.digest();
        let text = serde_json::to_string(manifest).unwrap_or_default();
        let labels = [
            (label::ROLE, ROLE.to_owned()),
            (SNAPSHOT, manifest.name.clone()),
            (STORE, self.store.clone()),
            (MANIFEST, text),
            (DIGEST, digest.to_string()),
        ];
        let labels = labels.map(|(k, v)| (k.to_owned(), v));
        let new = NewVolume {
            name: self.volume(&manifest.name),
            labels: labels.into(),
            options: BTreeMap::new(),
        };
        let made = self.engine.create_volume(&new).await;
        made.map_err(|e| e.problem("note the snapshot"))?;
        // The engine gives a volume that is there already without a word.
        let there = self.get(&manifest.name).await?;
        match there.digest == digest {
            true => Ok(there),
            false => Err(taken(&there)),
        }
    }

    /// Forgets a snapshot.
    ///
    /// # Errors
    /// The engine's.
    pub async fn forget(&self, name: &str) -> Result<(), Problem> {
        let removed = self.engine.remove_volume(&self.volume(name)).await;
        removed.map_err(|e| e.problem(format!("forget the snapshot `{name}`")))
    }

    fn volume(&self, name: &str) -> String {
        let store = self.store.strip_suffix("-store").unwrap_or(&self.store);
        format!("{store}-snapshot-{name}")
    }
}

fn taken(entry: &Entry) -> Problem {
    let manifest = &entry.manifest;
    let message = format!(
        "there is a snapshot `{}` already, of {}",
        manifest.name, manifest.created
    );
    Problem::new(ProblemKind::Conflict, message).help(format!(
        "choose another name, or remove it: `prodmirror snapshot rm {}`",
        manifest.name
    ))
}

fn entry(volume: &Found) -> Result<Entry, Problem> {
    let broken = |why: &str| {
        let message = format!(
            "the manifest of the snapshot volume `{}` {why}",
            volume.name
        );
        Problem::new(ProblemKind::InvalidValue, message).help(format!(
            "remove it (`docker volume rm {}`) and make the snapshot again",
            volume.name
        ))
    };
    let manifest: Manifest = serde_json::from_str(volume.label(MANIFEST))
        .map_err(|e| broken(&format!("cannot be read: {e}")))?;
    if manifest.version != MANIFEST_VERSION {
        return Err(broken("is of another version of prodmirror"));
    }
    let digest = manifest.digest();
    if volume.label(DIGEST) != digest.as_str() {
        return Err(broken("was changed after it was sealed"));
    }
    Ok(Entry { manifest, digest })
}
