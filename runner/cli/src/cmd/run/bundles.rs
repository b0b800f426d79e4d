//! The bundles of a run.

use std::collections::BTreeMap;
use std::path::Path;

use futures_util::StreamExt as _;
use prodmirror_engine::docker::Engine;
use prodmirror_engine::store::Catalogue;
use prodmirror_model::bundle::{DataFacts, HostFacts, ImageFacts, RunFacts};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::plan::Plan;
use prodmirror_model::source::io_reason;
use tokio::io::AsyncWriteExt as _;

use super::Ready;
use crate::args::RunArgs;
use crate::bundle::Facts;
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
        dir: &RunDir,
        scratch: &Path,
    ) -> Facts {
        let mut facts = Facts {
            images: images(&self.engine, &self.opened, &self.plan).await,
            host: host(&self.engine, &self.plan),
            data: self.data(session).await,
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
                &mut facts.data,
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

    async fn data(&self, session: &Session) -> BTreeMap<String, DataFacts> {
        let volumes = self.plan.volumes.iter();
        let mut data: BTreeMap<String, DataFacts> = volumes
            .filter_map(|v| {
                let snapshot = v.snapshot.clone()?;
                let facts = DataFacts {
                    snapshot,
                    ..DataFacts::default()
                };
                Some((v.key.clone(), facts))
            })
            .collect();
        if data.is_empty() {
            return data;
        }
        let catalogue = Catalogue::of(&self.engine, &session.global.store);
        if let Ok((entries, _)) = catalogue.list().await {
            for facts in data.values_mut() {
                let entry = entries.iter().find(|e| e.manifest.name == facts.snapshot);
                facts.digest = entry.map_or(String::new(), |e| e.digest.to_string());
            }
        }
        data
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
