//! Removing snapshots.

use prodmirror_engine::store::{Entry, Helper};
use prodmirror_model::diag::{Problem, ProblemKind, Problems};

use super::Work;

impl Work<'_> {
    /// `rm`
    pub(super) async fn rm(&self, names: &[String], force: bool) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let mut entries = Vec::new();
        for name in names {
            match self.catalogue.get(name).await {
                Ok(entry) => entries.push(entry),
                Err(p) => problems.push(p),
            }
        }
        if !problems.0.is_empty() {
            return Err(problems);
        }
        let helper = self.helper().await?;
        let removed = self.rm_all(&helper, &entries, force).await;
        helper.close().await;
        self.drop_empty_store().await?;
        removed
    }

    async fn rm_all(
        &self,
        helper: &Helper,
        entries: &[Entry],
        force: bool,
    ) -> Result<(), Problems> {
        let (contents, clones) = helper.list().await?;
        let mut problems = Problems::default();
        for entry in entries {
            let name = &entry.manifest.name;
            let hash = &entry.manifest.content.hash;
            let short = hash.get(..16).unwrap_or(hash);
            let is_of = |c: &&String| c.split('.').nth(1) == Some(short);
            let used = clones.iter().filter(is_of).count();
            if used > 0 && !force {
                let clones = if used == 1 { "a clone" } else { "clones" };
                let message =
                    format!("the snapshot `{name}` is in use: stacks have {clones} of it");
                problems.push(Problem::new(ProblemKind::Conflict, message).help(
                    "remove them (`prodmirror ps`, `prodmirror down`), or it all the same with --force",
                ));
                continue;
            }
            self.catalogue.forget(name).await?;
            let (left, _) = self.catalogue.list().await?;
            let shared = left.iter().any(|e| e.manifest.content.hash == *hash);
            if !shared && contents.contains(hash) {
                helper.remove(hash).await?;
            }
            self.say(&format!("removed {name}\n"));
        }
        match problems.0.is_empty() {
            true => Ok(()),
            false => Err(problems),
        }
    }
}
