//! The bundles of a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::StreamExt as _;
use prodmirror_engine::docker::Engine;
use prodmirror_engine::store::Catalogue;
use prodmirror_model::bundle::{DataFacts, HostFacts, ImageFacts, RunFacts};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::Plan;
use prodmirror_model::source::io_reason;
use tokio::io::AsyncWriteExt as _;

use super::Ready;
use crate::args::{BundleWhen, RunArgs};
use crate::bundle::sign::Signer;
use crate::bundle::{Facts, Failed};
use crate::cmd::Session;
use crate::open::{Opened, is_own};
use crate::runs::RunDir;

impl Ready {
    /// What the bundles of the run say of its stack and machine. What cannot be had is told and
    /// left out.
    pub(super) async fn bundle_facts(
        &self,
        session: &Session,
        args: &RunArgs,
        (dir, failed): (&RunDir, &[Failed]),
        scratch: &Path,
    ) -> Facts {
        let volumes = self.plan.volumes.iter();
        let volumes = volumes.filter_map(|v| Some((v.key.clone(), v.snapshot.clone()?)));
        let volumes: BTreeMap<String, String> = volumes.collect();
        let mut facts = Facts {
            images: images(&self.engine, &self.opened, &self.plan).await,
            host: host(&self.engine, &self.plan),
            snapshots: self.snapshots(session, &volumes, failed).await,
            volumes,
            run: RunFacts {
                id: dir.id.clone(),
                seed: self.seed,
                vars: self.vars.clone(),
                flags: args.flags.clone(),
                allow_shell: args.allow_shell,
                ..RunFacts::default()
            },
            saved: None,
            exported: BTreeMap::new(),
            files: self.files.clone(),
            signer: self.signer.clone(),
        };
        if args.bundle.with_images {
            let to = scratch.join("images.tar");
            match save(&self.engine, &facts.images, &to).await {
                Ok(()) => facts.saved = Some(to),
                Err(p) => session.note(&format!("warning: bundles are without images: {p}\n")),
            }
        }
        if args.bundle.with_data {
            let exported = crate::cmd::snapshot::export_masked(
                session,
                &self.engine,
                &mut facts.snapshots,
                scratch,
            );
            let (files, refused) = exported.await;
            facts.exported = files;
            for p in refused {
                session.note(&format!("warning: bundles are without data: {p}\n"));
            }
        }
        facts
    }

    /// The snapshots that the failed cases' stacks started from, by name.
    async fn snapshots(
        &self,
        session: &Session,
        volumes: &BTreeMap<String, String>,
        failed: &[Failed],
    ) -> BTreeMap<String, DataFacts> {
        let own = failed.iter().flat_map(|f| f.program.scenario.data.values());
        let named = volumes.values().chain(own.map(|s| &s.value));
        let facts = |snapshot: &String| DataFacts {
            snapshot: snapshot.clone(),
            ..DataFacts::default()
        };
        let mut all: BTreeMap<String, DataFacts> = named.map(|s| (s.clone(), facts(s))).collect();
        if all.is_empty() {
            return all;
        }
        let catalogue = Catalogue::of(&self.engine, &session.global.store);
        if let Ok((entries, _)) = catalogue.list().await {
            for facts in all.values_mut() {
                let entry = entries.iter().find(|e| e.manifest.name == facts.snapshot);
                facts.digest = entry.map_or(String::new(), |e| e.digest.to_string());
            }
        }
        all
    }
}

/// Who signs bundles, if any are to be written: the key that `--sign` or the shell names.
///
/// # Errors
/// It is no key to sign with.
pub fn signer(session: &Session, args: &RunArgs) -> Result<Option<Arc<Signer>>, Problem> {
    let of_shell = || {
        session
            .context
            .var("PRODMIRROR_SIGN_KEY")
            .map(PathBuf::from)
    };
    match args.bundle.sign.clone().or_else(of_shell) {
        Some(path) if args.bundle.when == BundleWhen::OnFailure => {
            let shown = path.display().to_string();
            let signer = Signer::read(&session.context.cwd.join(&path), &shown)?;
            Ok(Some(Arc::new(signer)))
        }
        _ => Ok(None),
    }
}

/// The images of a stack, as the engine has them.
pub async fn images(engine: &Engine, opened: &Opened, plan: &Plan) -> BTreeMap<String, ImageFacts> {
    let mut known: BTreeMap<&str, ImageFacts> = BTreeMap::new();
    let mut images = BTreeMap::new();
    for c in plan.containers.iter().filter(|c| !is_own(&c.image)) {
        if !known.contains_key(c.image.as_str()) {
            let found = engine.image(&c.image).await.ok().flatten();
            let mut facts = ImageFacts::default();
            if let Some(found) = found {
                facts.id = found.id;
                facts.digests = found.digests;
            }
            if c.image.contains('@') && !facts.digests.contains(&c.image) {
                facts.digests.insert(0, c.image.clone());
            }
            known.insert(&c.image, facts);
        }
        let stack = opened.compiled.stack.as_ref();
        let service = stack.and_then(|s| s.mirror.services.get(&c.service));
        let named = service.and_then(|s| s.image.reference.as_ref());
        let facts = known.get(c.image.as_str()).cloned().unwrap_or_default();
        images.insert(
            c.service.clone(),
            ImageFacts {
                reference: named.map_or_else(|| c.image.clone(), |n| n.value.clone()),
                ..facts
            },
        );
    }
    images
}

fn host(engine: &Engine, plan: &Plan) -> HostFacts {
    let facts = engine.facts();
    let limit = |c: &prodmirror_model::plan::ContainerPlan| {
        c.body["HostConfig"]["Memory"].as_u64().unwrap_or(0)
    };
    HostFacts {
        engine: facts.engine.clone(),
        os: facts.os.clone(),
        arch: facts.arch.clone(),
        kernel: facts.kernel.clone(),
        cpus: u64::from(facts.cpus),
        memory: facts.memory,
        limits: plan.containers.iter().map(limit).sum(),
    }
}

/// Writes images to a file as `docker save` does.
async fn save(
    engine: &Engine,
    images: &BTreeMap<String, ImageFacts>,
    to: &Path,
) -> Result<(), Problem> {
    let mut ids: Vec<&str> = images.values().map(|i| i.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.retain(|id| !id.is_empty());
    let cannot = |e: &std::io::Error| {
        let text = format!("cannot write {}: {}", to.display(), io_reason(e));
        Problem::new(ProblemKind::MissingFile, text)
    };
    let mut file = tokio::fs::File::create(to).await.map_err(|e| cannot(&e))?;
    let mut saved = std::pin::pin!(engine.save_images(&ids));
    while let Some(piece) = saved.next().await {
        let piece = piece.map_err(|e| e.problem("save the images"))?;
        file.write_all(&piece).await.map_err(|e| cannot(&e))?;
    }
    file.flush().await.map_err(|e| cannot(&e))
}
