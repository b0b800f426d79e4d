//! Making snapshots.

use std::path::{Path, PathBuf};

use prodmirror_engine::live::label::{self, Role};
use prodmirror_engine::store::dump::{self, Dump};
use prodmirror_engine::store::{
    Pause, Sealed, SourceVolume, check_tar, fill, kind_text, pack, pieces, scratch, seal,
};
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::lock::Digest;
use prodmirror_model::project::{Project, Recipe, SnapshotFrom, find};
use prodmirror_model::snapshot::{
    Database, ImageUsed, MANIFEST_VERSION, Manifest, Masked, Source, wrong_name,
};
use prodmirror_model::source::io_reason;

use super::Work;
use super::made::Wanted;
use crate::args::{CreateArgs, Format};

/// Where the data is.
pub(super) enum From {
    Volume(String),
    Directory(PathBuf),
    Tar(PathBuf),
    Mirror(String),
    Snapshot(String),
    Dump(PathBuf),
    Script(PathBuf),
}

/// What a snapshot becomes, as far as it is known when it is sealed.
#[derive(Default)]
pub(super) struct Known {
    pub image: Option<ImageUsed>,
    pub databases: Vec<Database>,
    pub masked: Vec<Masked>,
    pub public: bool,
}

impl Work<'_> {
    /// `create`
    pub(super) async fn create(&self, args: &CreateArgs) -> Result<(), Problems> {
        if let Some(why) = wrong_name(&args.name) {
            let message = format!("`{}` is no name of a snapshot: {why}", args.name);
            return Err(Problem::new(ProblemKind::InvalidValue, message).into());
        }
        self.catalogue.is_free(&args.name).await?;
        let cwd = &self.session.context.cwd;
        let at = |path: &PathBuf| cwd.join(path);
        let given = [
            args.volume.clone().map(From::Volume),
            args.directory.as_ref().map(|p| From::Directory(at(p))),
            args.tar.as_ref().map(|p| From::Tar(at(p))),
            args.mirror.clone().map(From::Mirror),
            args.snapshot.clone().map(From::Snapshot),
            args.dump.as_ref().map(|p| From::Dump(at(p))),
            args.script.as_ref().map(|p| From::Script(at(p))),
        ];
        let (from, recipe) = match given.into_iter().flatten().next() {
            Some(from) => (from, None),
            None => {
                let (from, recipe) = self.recipe(&args.name)?;
                (from, Some(recipe))
            }
        };
        let service = recipe.as_ref().and_then(|r| r.service.clone());
        let service = args.service.clone().or(service.map(|s| s.value));
        let database = recipe.as_ref().and_then(|r| r.database.clone());
        let database = args.database.clone().or(database.map(|d| d.value));
        let wanted = Wanted {
            service,
            database: database.unwrap_or_default(),
            public: args.public || recipe.as_ref().is_some_and(|r| r.public),
            recipe: recipe.as_ref(),
        };
        let pause = if args.stop {
            Pause::Stop
        } else {
            Pause::Refuse
        };
        let (source, sealed, known) = self.make(&from, pause, &wanted).await?;
        let manifest = Manifest {
            version: MANIFEST_VERSION,
            name: args.name.clone(),
            created: jiff::Timestamp::now(),
            source,
            image: known.image,
            content: sealed.content.clone(),
            public: known.public,
            masked: known.masked,
            databases: known.databases,
        };
        self.add(&manifest, &sealed).await
    }

    /// What mirror.yaml says about a snapshot.
    fn recipe(&self, name: &str) -> Result<(From, Recipe), Problems> {
        let nothing = |help: String| {
            let message = format!("nothing says what `{name}` is made from");
            Problem::new(ProblemKind::Missing, message).help(help)
        };
        let flags = "name a --dump, --script, --volume, --directory, --tar, --snapshot or --mirror";
        let path = match &self.session.global.project {
            Some(path) => self.session.context.cwd.join(path),
            None => Project::find(&self.session.context.cwd)
                .map_err(|_| nothing(format!("{flags}, or go to the project")))?,
        };
        let project = Project::load(&path)?;
        let Some(recipe) = find(&project.snapshots, name) else {
            let names = project.snapshots.iter().map(|s| s.name.value.as_str());
            let names: Vec<&str> = names.collect();
            let help = match names.is_empty() {
                true => {
                    format!("{flags}, or write how it is made under `snapshots` in mirror.yaml")
                }
                false => format!("{flags}; mirror.yaml has {}", names.join(", ")),
            };
            return Err(nothing(help).into());
        };
        let from = match &recipe.from {
            SnapshotFrom::Dump(p) => From::Dump(p.path.clone()),
            SnapshotFrom::Script(p) => From::Script(p.path.clone()),
            SnapshotFrom::Directory(p) => From::Directory(p.path.clone()),
            SnapshotFrom::Tar(p) => From::Tar(p.path.clone()),
            SnapshotFrom::Volume(name) => From::Volume(name.value.clone()),
            SnapshotFrom::Mirror(name) => From::Mirror(name.value.clone()),
            SnapshotFrom::Snapshot(name) => From::Snapshot(name.value.clone()),
        };
        Ok((from, recipe.clone()))
    }

    async fn make(
        &self,
        from: &From,
        pause: Pause,
        wanted: &Wanted<'_>,
    ) -> Result<(Source, Sealed, Known), Problems> {
        let (source, raw) = match from {
            From::Volume(volume) => {
                let sealed = self.seal(SourceVolume::Volume(volume), pause).await?;
                (source("volume", volume), Some(sealed))
            }
            From::Directory(dir) => {
                let sealed = self.directory(dir).await?;
                (source("directory", &self.shown(dir)), Some(sealed))
            }
            From::Tar(path) => {
                let (sealed, digest) = self.tar(path).await?;
                let mut source = source("tar", &self.shown(path));
                source.digest = Some(digest);
                (source, Some(sealed))
            }
            From::Mirror(volume) => {
                let name = self.volume_of_mirror(volume).await?;
                let sealed = self.seal(SourceVolume::Volume(&name), Pause::Stop).await?;
                (source("stack", volume), Some(sealed))
            }
            From::Snapshot(name) => return self.of_snapshot(name, wanted).await,
            From::Dump(path) => {
                let dump = self.dump(path).await?;
                let mut source = source("dump", &dump.shown);
                source.digest = Some(dump.digest.clone());
                let (sealed, known) = self.loaded(&dump, wanted).await?;
                return Ok((source, sealed, known));
            }
            From::Script(path) => {
                let text = std::fs::read(path).map_err(|e| unreadable(path, &e))?;
                let mut source = source("script", &self.shown(path));
                source.digest = Some(Digest::of(&text).to_string());
                let (sealed, known) = self.scripted(path, wanted).await?;
                return Ok((source, sealed, known));
            }
        };
        let Some(raw) = raw else {
            return Err(Problem::new(ProblemKind::Start, "nothing was sealed").into());
        };
        if wanted.service.is_none() {
            if wanted.is_more() {
                self.drop_content(&raw.content.hash).await?;
                let message =
                    "masks, subsets, growth and `public` need the service that reads the data";
                return Err(Problem::new(ProblemKind::Missing, message)
                    .help("name it: `service: db` in the recipe, or --service db")
                    .into());
            }
            return Ok((source, raw, Known::default()));
        }
        let hash = raw.content.hash.clone();
        let treated = self.of_content(raw, wanted).await;
        match treated {
            Ok((sealed, known)) => {
                if sealed.content.hash != hash {
                    self.drop_content(&hash).await?;
                }
                Ok((source, sealed, known))
            }
            Err(problems) => {
                self.drop_content(&hash).await?;
                Err(problems)
            }
        }
    }

    async fn of_snapshot(
        &self,
        name: &str,
        wanted: &Wanted<'_>,
    ) -> Result<(Source, Sealed, Known), Problems> {
        let entry = self.catalogue.get(name).await?;
        let raw = Sealed {
            content: entry.manifest.content.clone(),
            kind: None,
        };
        let (sealed, mut known) = self.of_content(raw, wanted).await?;
        // What was masked before still is.
        let before = entry.manifest.masked.iter();
        let new: Vec<Masked> = before
            .filter(|m| known.masked.iter().all(|k| k.column != m.column))
            .cloned()
            .collect();
        known.masked.extend(new);
        let mut source = source("snapshot", name);
        source.digest = Some(entry.digest.to_string());
        Ok((source, sealed, known))
    }

    /// A dump, read to its end: that it is whole is known before anything is started.
    async fn dump(&self, path: &Path) -> Result<Dump, Problem> {
        let (path, shown) = (path.to_path_buf(), self.shown(path));
        self.say(&format!("reading {shown}\n"));
        blocking(move || dump::recognise(&path, &shown)).await
    }

    /// A path as people know it.
    fn shown(&self, path: &Path) -> String {
        let cwd = &self.session.context.cwd;
        path.strip_prefix(cwd).unwrap_or(path).display().to_string()
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
        let kind = sealed.kind.map(|kind| format!(" ({})", kind_text(kind)));
        self.say(&format!(
            "{}{}\n",
            entry.manifest.summary(),
            kind.unwrap_or_default()
        ));
        if self.session.global.format == Format::Json {
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
        let path = std::fs::canonicalize(path).map_err(|e| unreadable(path, &e))?;
        std::fs::read_dir(&path).map_err(|e| unreadable(&path, &e))?;
        if self.engine.facts().local {
            let text = path.to_string_lossy();
            return self
                .seal(SourceVolume::Directory(&text), Pause::Refuse)
                .await;
        }
        let volume = scratch(&self.engine, &self.tags).await?;
        fill(&self.engine, &self.tags, &volume, pack(path)).await?;
        self.seal(SourceVolume::Volume(&volume), Pause::Refuse)
            .await
    }

    async fn tar(&self, path: &Path) -> Result<(Sealed, String), Problem> {
        let owned = path.to_path_buf();
        let digest = blocking(move || check_tar(&owned)).await?;
        let volume = scratch(&self.engine, &self.tags).await?;
        fill(&self.engine, &self.tags, &volume, pieces(path)?).await?;
        let sealed = self
            .seal(SourceVolume::Volume(&volume), Pause::Refuse)
            .await?;
        Ok((sealed, digest))
    }

    /// The engine's name of a volume of the mirror that is up.
    async fn volume_of_mirror(&self, volume: &str) -> Result<String, Problem> {
        let stack = self.session.standing().await;
        let stack = stack.map_err(|_| Problem::new(ProblemKind::Missing, "no mirror is up"))?;
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

    /// Removes a content that no snapshot has.
    pub(super) async fn drop_content(&self, hash: &str) -> Result<(), Problem> {
        let (entries, _) = self.catalogue.list().await?;
        if entries.iter().any(|e| e.manifest.content.hash == hash) {
            return Ok(());
        }
        let helper = self.helper().await?;
        let removed = helper.remove(hash).await;
        helper.close().await;
        removed?;
        self.drop_empty_store().await
    }

    /// Removes the store when no snapshot is left in it.
    pub(super) async fn drop_empty_store(&self) -> Result<(), Problem> {
        let (left, broken) = self.catalogue.list().await?;
        if left.is_empty() && broken.is_empty() {
            // Where somebody uses it, it stays.
            let _ = self.engine.remove_volume(self.store()).await;
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| {
        let message = format!("reading broke off: {e}");
        Err(Problem::new(ProblemKind::Start, message))
    })
}

fn unreadable(path: &Path, e: &std::io::Error) -> Problem {
    let message = format!("cannot read {}: {}", path.display(), io_reason(e));
    Problem::new(ProblemKind::MissingFile, message)
}

fn source(kind: &str, name: &str) -> Source {
    Source {
        kind: kind.to_owned(),
        name: name.to_owned(),
        digest: None,
    }
}
