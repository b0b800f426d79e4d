//! Making and removing snapshots.

use std::path::Path;
use std::sync::Arc;

use prodmirror_engine::live::label::{self, Role};
use prodmirror_engine::store::{Pause, Sealed, SourceVolume, kind_text, seal};
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::snapshot::{MANIFEST_VERSION, Manifest, Source, bytes, grouped, wrong_name};

use super::Work;
use crate::args::CreateArgs;

impl Work<'_> {
    /// `create`
    pub(super) async fn create(&self, args: &CreateArgs) -> Result<(), Problems> {
        if let Some(why) = wrong_name(&args.name) {
            let message = format!("`{}` is no name of a snapshot: {why}", args.name);
            return Err(Problem::new(ProblemKind::InvalidValue, message).into());
        }
        self.catalogue.is_free(&args.name).await?;
        let pause = if args.stop {
            Pause::Stop
        } else {
            Pause::Refuse
        };
        let cwd = &self.session.context.cwd;
        let (source, sealed) = if let Some(volume) = &args.volume {
            let sealed = self.seal(SourceVolume::Volume(volume), pause).await?;
            (source("volume", volume), sealed)
        } else if let Some(dir) = &args.directory {
            let sealed = self.directory(&cwd.join(dir)).await?;
            (source("directory", &dir.to_string_lossy()), sealed)
        } else if let Some(file) = &args.tar {
            let path = cwd.join(file);
            let (sealed, digest) = self.tar(&path).await?;
            let mut source = source("tar", &file.to_string_lossy());
            source.digest = Some(digest);
            (source, sealed)
        } else if let Some(volume) = &args.mirror {
            let name = self.volume_of_mirror(volume).await?;
            let sealed = self.seal(SourceVolume::Volume(&name), Pause::Stop).await?;
            (source("stack", volume), sealed)
        } else {
            let message = format!("nothing says what `{}` is made from", args.name);
            let problem = Problem::new(ProblemKind::Missing, message);
            return Err(problem
                .help("name a --volume, --directory, --tar or --mirror")
                .into());
        };
        let manifest = Manifest {
            version: MANIFEST_VERSION,
            name: args.name.clone(),
            created: jiff::Timestamp::now(),
            source,
            image: None,
            content: sealed.content.clone(),
            public: false,
            masked: Vec::new(),
            databases: Vec::new(),
        };
        self.add(&manifest, &sealed).await
    }

    /// Notes a snapshot that is sealed; what is sealed goes again if that cannot be done.
    pub(super) async fn add(&self, manifest: &Manifest, sealed: &Sealed) -> Result<(), Problems> {
        let noted = self.catalogue.add(manifest).await;
        let entry = match noted {
            Ok(entry) => entry,
            Err(problem) => {
                self.drop_content(&manifest.content.hash).await?;
                return Err(problem.into());
            }
        };
        self.say(&format!(
            "{}: {} in {} entries, {} ({})\n",
            manifest.name,
            bytes(manifest.content.bytes),
            grouped(manifest.content.entries),
            entry.digest,
            kind_text(sealed.kind)
        ));
        if self.session.global.format == crate::args::Format::Json {
            let text = serde_json::to_string_pretty(&entry.manifest).unwrap_or_default();
            self.session.print(&format!("{text}\n"));
        }
        Ok(())
    }

    async fn seal(&self, from: SourceVolume<'_>, pause: Pause) -> Result<Sealed, Problem> {
        let progress = self.progress("sealing");
        let store = (self.store(), self.labels());
        seal(&self.engine, store, from, pause, &progress).await
    }

    /// A directory of this host: mounted where the engine sees it, else sent to it.
    async fn directory(&self, path: &Path) -> Result<Sealed, Problem> {
        let unreadable = |e: std::io::Error| {
            let why = prodmirror_model::source::io_reason(&e);
            let message = format!("cannot read {}: {why}", path.display());
            Problem::new(ProblemKind::MissingFile, message)
        };
        let path = std::fs::canonicalize(path).map_err(unreadable)?;
        std::fs::read_dir(&path).map_err(unreadable)?;
        if self.engine.facts().local {
            let text = path.to_string_lossy();
            return self
                .seal(SourceVolume::Directory(&text), Pause::Refuse)
                .await;
        }
        let volume = self.scratch().await?;
        let packed = prodmirror_engine::store::pack(path);
        self.fill(&volume, packed).await?;
        self.seal(SourceVolume::Volume(&volume), Pause::Refuse)
            .await
    }

    async fn tar(&self, path: &Path) -> Result<(Sealed, String), Problem> {
        let checked = {
            let path = path.to_path_buf();
            let checked =
                tokio::task::spawn_blocking(move || prodmirror_engine::store::check_tar(&path));
            checked.await.map_err(|e| {
                let message = format!("reading the archive broke off: {e}");
                Problem::new(ProblemKind::Start, message)
            })?
        };
        let digest = checked?;
        let volume = self.scratch().await?;
        self.fill(&volume, prodmirror_engine::store::pieces(path)?)
            .await?;
        let sealed = self
            .seal(SourceVolume::Volume(&volume), Pause::Refuse)
            .await?;
        Ok((sealed, digest))
    }

    /// A volume that goes when the command ends.
    async fn scratch(&self) -> Result<String, Problem> {
        prodmirror_engine::store::scratch(&self.engine, &self.tags).await
    }

    async fn fill(
        &self,
        volume: &str,
        tar: impl futures_util::Stream<Item = Result<bytes::Bytes, std::io::Error>> + Send + 'static,
    ) -> Result<(), Problem> {
        prodmirror_engine::store::fill(&self.engine, &self.tags, volume, tar).await
    }

    /// The engine's name of a volume of the mirror that is up.
    async fn volume_of_mirror(&self, volume: &str) -> Result<String, Problem> {
        let stack = self
            .session
            .standing()
            .await
            .map_err(|_| Problem::new(ProblemKind::Missing, "no mirror is up"))?;
        let filters = [
            format!("{}={}", label::RUN, stack.run),
            format!("{}={}", label::STACK, stack.stack),
            format!("{}={}", label::ROLE, Role::Volume.text()),
        ];
        let volumes = self.engine.find_volumes(&filters).await;
        let volumes = volumes.map_err(|e| e.problem("list the volumes of the mirror"))?;
        let ending = format!("-{volume}");
        let found = volumes.iter().find(|v| v.name.ends_with(&ending));
        found.map(|v| v.name.clone()).ok_or_else(|| {
            let names: Vec<&str> = volumes.iter().map(|v| v.name.as_str()).collect();
            let message = format!("the mirror has no volume `{volume}`");
            Problem::new(ProblemKind::UnknownReference, message)
                .help(format!("volumes: {}", names.join(", ")))
        })
    }

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
        let helper = Arc::new(self.helper().await?);
        let (_, clones) = helper.list().await?;
        for entry in &entries {
            let hash = &entry.manifest.content.hash;
            let short = hash.get(..16).unwrap_or(hash);
            let used = clones
                .iter()
                .filter(|c| c.split('.').nth(1) == Some(short))
                .count();
            if used > 0 && !force {
                let message = format!(
                    "the snapshot `{}` is in use: stacks have {used} clones of it",
                    entry.manifest.name
                );
                problems.push(Problem::new(ProblemKind::Conflict, message).help(
                    "remove them (`prodmirror ps`, `prodmirror down`), or remove it all the same with `--force`",
                ));
                continue;
            }
            self.catalogue.forget(&entry.manifest.name).await?;
            let (left, _) = self.catalogue.list().await?;
            if left.iter().all(|e| e.manifest.content.hash != *hash) {
                helper.remove(hash).await?;
            }
            self.say(&format!("removed {}\n", entry.manifest.name));
        }
        if let Ok(helper) = Arc::try_unwrap(helper) {
            helper.close().await;
        }
        let (left, broken) = self.catalogue.list().await?;
        if left.is_empty() && broken.is_empty() {
            // Nothing is in it, and nobody uses it; where somebody does, it stays.
            let _ = self.engine.remove_volume(self.store()).await;
        }
        match problems.0.is_empty() {
            true => Ok(()),
            false => Err(problems),
        }
    }

    /// Removes a content that no snapshot has.
    async fn drop_content(&self, hash: &str) -> Result<(), Problem> {
        let (entries, _) = self.catalogue.list().await?;
        if entries.iter().any(|e| e.manifest.content.hash == hash) {
            return Ok(());
        }
        let helper = self.helper().await?;
        let removed = helper.remove(hash).await;
        helper.close().await;
        removed
    }
}

fn source(kind: &str, name: &str) -> Source {
    Source {
        kind: kind.to_owned(),
        name: name.to_owned(),
        digest: None,
    }
}
