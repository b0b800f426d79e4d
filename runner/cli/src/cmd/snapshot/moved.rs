//! Snapshots from one engine to another: by files, and by registries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt as _;
use prodmirror_engine::docker::Engine;
use prodmirror_engine::store::artifact::{Artifact, Descriptor, FileIn, FileOut, checked, config};
use prodmirror_engine::store::{
    Clones, Entry, Part, Pause, Remote, SourceVolume, Unpacking, parts, seal, unpacked,
};
use prodmirror_model::bundle::{DATA, DataFacts};
use prodmirror_model::diag::{Problem, ProblemKind, Problems};
use prodmirror_model::lock::Digest;
use prodmirror_model::snapshot::{Manifest, bytes, wrong_name};
use prodmirror_model::source::io_reason;

use super::Work;
use crate::cmd::Session;

/// Where blobs come from.
enum Blobs {
    File(FileIn),
    Registry(Remote),
}

impl Blobs {
    async fn artifact(&mut self) -> Result<(Artifact, Digest), Problem> {
        match self {
            Self::File(file) => file.artifact(),
            Self::Registry(remote) => remote.artifact().await,
        }
    }

    async fn blob(&mut self, wanted: &Descriptor) -> Result<bytes::Bytes, Problem> {
        match self {
            Self::File(file) => file.blob(wanted),
            Self::Registry(remote) => remote.blob(wanted).await,
        }
    }
}

impl Work<'_> {
    /// `export`
    pub(super) async fn export(&self, name: &str, file: &Path) -> Result<(), Problems> {
        let entry = self.catalogue.get(name).await?;
        let path = self.session.context.cwd.join(file);
        let unwritable = |e: &std::io::Error| {
            let message = format!("cannot write {}: {}", file.display(), io_reason(e));
            Problem::new(ProblemKind::MissingFile, message)
        };
        let mut out = FileOut::create(&path).map_err(|e| unwritable(&e))?;
        let (mut artifact, config) = Artifact::of(&entry.manifest);
        let mut written = 0;
        self.each_part(&entry, async |part| {
            out.blob(&part.digest, &part.bytes)
                .map_err(|e| unwritable(&e))?;
            artifact.add(&part.digest, &part.bytes);
            written += part.bytes.len() as u64;
            Ok(written)
        })
        .await?;
        let finished = out.finish(&artifact, &config, name);
        finished.map_err(|e| unwritable(&e))?;
        self.say(&format!(
            "{name} is in {}: {} in {} parts\n",
            file.display(),
            bytes(written),
            artifact.layers.len()
        ));
        Ok(())
    }

    /// `push`
    pub(super) async fn push(&self, name: &str, reference: &str) -> Result<(), Problems> {
        let entry = self.catalogue.get(name).await?;
        let login = self.session.logins().find(reference).await;
        let remote = Remote::open(reference, login.as_ref()).await?;
        let (mut artifact, config) = Artifact::of(&entry.manifest);
        let (mut sent, mut there) = (0, 0);
        self.each_part(&entry, async |part| {
            match remote.send(&part.digest, &part.bytes).await? {
                true => sent += part.bytes.len() as u64,
                false => there += 1,
            }
            artifact.add(&part.digest, &part.bytes);
            Ok(sent)
        })
        .await?;
        remote.send(&Digest::of(&config), &config).await?;
        let digest = remote.finish(&artifact).await?;
        self.say(&format!(
            "{name} is in the registry as {digest}: {} sent, {there} of {} parts were there\n",
            bytes(sent),
            artifact.layers.len()
        ));
        Ok(())
    }

    /// Gives every part of a snapshot's content; what comes back is how far it is.
    async fn each_part(
        &self,
        entry: &Entry,
        mut each: impl AsyncFnMut(Part) -> Result<u64, Problem>,
    ) -> Result<(), Problem> {
        let clones = Arc::new(Clones::new(&self.engine, self.store(), self.labels()));
        let progress = self.progress("writing");
        let hash = &entry.manifest.content.hash;
        let given = async {
            let all = parts(&self.engine, &self.tags, &clones, hash).await?;
            let mut all = std::pin::pin!(all);
            while let Some(part) = all.next().await {
                progress(each(part?).await?);
            }
            Ok(())
        };
        let given = given.await;
        self.tidy().await;
        clones.take_back("packed").await;
        clones.close().await;
        given
    }

    /// `import`
    pub(super) async fn import(&self, file: &Path, name: Option<&str>) -> Result<(), Problems> {
        let path = self.session.context.cwd.join(file);
        let shown = file.display().to_string();
        let blobs = Blobs::File(FileIn::open(&path, &shown)?);
        self.bring(blobs, &shown, name).await
    }

    /// `pull`
    pub(super) async fn pull(&self, reference: &str, name: Option<&str>) -> Result<(), Problems> {
        let login = self.session.logins().find(reference).await;
        let remote = Remote::open(reference, login.as_ref()).await?;
        self.bring(Blobs::Registry(remote), reference, name).await
    }

    async fn bring(
        &self,
        mut blobs: Blobs,
        shown: &str,
        name: Option<&str>,
    ) -> Result<(), Problems> {
        let (artifact, _) = blobs.artifact().await?;
        let text = blobs.blob(&artifact.config).await?;
        checked(&text, &artifact.config, shown)?;
        let mut manifest = config(&text, shown)?;
        if let Some(name) = name {
            name.clone_into(&mut manifest.name);
        }
        if let Some(why) = wrong_name(&manifest.name) {
            let message = format!("`{}` is no name of a snapshot: {why}", manifest.name);
            return Err(Problem::new(ProblemKind::InvalidValue, message).into());
        }
        if let Ok(there) = self.catalogue.get(&manifest.name).await
            && there.manifest == manifest
        {
            self.say(&format!("{} is here already\n", manifest.name));
            return Ok(());
        }
        self.catalogue.is_free(&manifest.name).await?;
        let sealed = self.unpack(&mut blobs, &artifact, shown, &manifest).await?;
        self.add(&manifest, &sealed).await
    }

    async fn unpack(
        &self,
        blobs: &mut Blobs,
        artifact: &Artifact,
        shown: &str,
        manifest: &Manifest,
    ) -> Result<prodmirror_engine::store::Sealed, Problems> {
        let mut into = Unpacking::start(&self.engine, &self.tags).await?;
        let progress = self.progress("reading");
        let mut read = 0;
        for part in &artifact.layers {
            let packed = blobs.blob(part).await?;
            read += packed.len() as u64;
            let raw = tokio::task::spawn_blocking(move || unpacked(&packed)).await;
            let raw = raw.map_err(|e| Problem::new(ProblemKind::Start, e.to_string()))??;
            into.write(&raw).await?;
            progress(read);
        }
        into.finish().await?;
        let sealing = self.progress("sealing");
        let store = (self.store(), self.labels());
        let volume = SourceVolume::Volume(&into.volume);
        let sealed = seal(&self.engine, store, volume, Pause::Refuse, &sealing).await?;
        if sealed.content == manifest.content {
            return Ok(sealed);
        }
        self.drop_content(&sealed.content.hash).await?;
        let why = format!(
            "its content is sha256:{}, and its manifest says sha256:{}",
            sealed.content.hash, manifest.content.hash
        );
        Err(prodmirror_engine::store::artifact::wrong(shown, &why).into())
    }
}

/// Writes the snapshots of volumes to files in a directory, for a bundle: only those that may be
/// given to others. What comes back are the files by their names in the bundle, and why others
/// are not among them.
pub(in crate::cmd) async fn export_masked(
    session: &Session,
    engine: &Engine,
    data: &mut BTreeMap<String, DataFacts>,
    dir: &Path,
) -> (BTreeMap<String, PathBuf>, Vec<Problem>) {
    let work = Work::new(session, engine.clone());
    let mut files = BTreeMap::new();
    let mut refused = Vec::new();
    for facts in data.values_mut() {
        let name = &facts.snapshot;
        let entry = match work.catalogue.get(name).await {
            Ok(entry) => entry,
            Err(p) => {
                refused.push(p);
                continue;
            }
        };
        if !entry.manifest.public && entry.manifest.masked.is_empty() {
            let text = format!("nothing of the snapshot {name} is masked");
            let help = "make one with `mask`, or that is `public`, and name it under `data`";
            refused.push(Problem::new(ProblemKind::Forbidden, text).help(help));
            continue;
        }
        let file = format!("{DATA}{name}.snapshot");
        if !files.contains_key(&file) {
            let to = dir.join(format!("{name}.snapshot"));
            if let Err(problems) = work.export(name, &to).await {
                refused.extend(problems.0);
                continue;
            }
            files.insert(file.clone(), to);
        }
        facts.file = Some(file);
    }
    (files, refused)
}

/// Brings a snapshot from a file of a bundle, if it is not here already.
pub(in crate::cmd) async fn import_from(
    session: &Session,
    engine: &Engine,
    file: &Path,
) -> Result<(), Problems> {
    Work::new(session, engine.clone()).import(file, None).await
}
