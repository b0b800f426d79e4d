//! One-off containers beside the services of a stack: a load generator, a browser, a test
//! binary.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::StreamExt;
use prodmirror_model::diag::{Problem, ProblemKind};
use serde_json::json;

use super::LiveStack;
use super::exec::ExecOutput;
use super::label::Role;
use crate::docker::{NewContainer, OutputFrom};

/// Bytes of each output that are kept.
const KEEP: usize = 16 << 20;

/// A container that runs once, in the network of a service.
#[derive(Debug, Clone, Default)]
pub struct OneOff {
    /// The service whose place in the network it has: its names, and what it may reach.
    pub beside: String,
    /// Its image.
    pub image: String,
    /// Program and arguments; empty = the image's.
    pub command: Vec<String>,
    /// In place of the image's entrypoint.
    pub entrypoint: Option<Vec<String>>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// User.
    pub user: Option<String>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// Files that are put in before it starts, by their path there.
    pub files: BTreeMap<String, Vec<u8>>,
    /// A file that is taken out when it has ended.
    pub take: Option<String>,
    /// Bytes of memory at most; 0 = no limit.
    pub memory: u64,
}

/// What it gave.
#[derive(Debug, Clone, Default)]
pub struct OneOffOutput {
    /// Exit code and what it printed.
    pub output: ExecOutput,
    /// The file that was wanted, if it was there.
    pub taken: Option<Vec<u8>>,
}

/// Removes the container also when whoever waits for it is gone.
struct Removed {
    engine: crate::docker::Engine,
    id: String,
}

impl Drop for Removed {
    fn drop(&mut self) {
        let (engine, id) = (self.engine.clone(), std::mem::take(&mut self.id));
        if id.is_empty() {
            return;
        }
        // Without a runtime the process ends, and whoever guards the run removes it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = engine.remove_container(&id).await;
            });
        }
    }
}

impl LiveStack {
    /// Runs a container to its end and removes it.
    ///
    /// # Errors
    /// Unknown service, an image that is not there, or the engine's refusal.
    pub async fn run_once(&self, one: OneOff) -> Result<OneOffOutput, Problem> {
        let ctx = self.context();
        let doing = format!("run `{}` beside `{}`", one.image, one.beside);
        let key = self.key(&one.beside, 0)?;
        let sandbox = ctx.sandboxes.get(&key).map(|s| s.id).unwrap_or_default();
        let network = if sandbox.is_empty() {
            ctx.board.get(&key).id
        } else {
            sandbox
        };
        let found = ctx.engine.image_id(&one.image).await;
        if found.map_err(|e| e.problem(&doing))?.is_none() {
            let pulled = ctx.engine.pull_image(&one.image, None, None, |_| {}).await;
            pulled.map_err(|e| {
                e.problem(format!("pull `{}`", one.image))
                    .help("build or pull it before the run, or name an image that the registry has")
            })?;
        }
        let mut body = json!({
            "Image": one.image,
            "Env": one.env,
            "Labels": ctx.tags.labels(Role::OneOff),
            "HostConfig": {"NetworkMode": format!("container:{network}"), "Memory": one.memory},
        });
        if !one.command.is_empty() {
            body["Cmd"] = json!(one.command);
        }
        for (field, value) in [("User", &one.user), ("WorkingDir", &one.working_dir)] {
            if let Some(v) = value {
                body[field] = json!(v);
            }
        }
        if let Some(entrypoint) = &one.entrypoint {
            body["Entrypoint"] = json!(entrypoint);
        }
        let number = ctx
            .one_offs
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let new = NewContainer {
            name: ctx.tags.name(&format!("{}-once-{number}", one.beside)),
            body,
            platform: None,
        };
        let made = ctx.engine.create_container(&new).await;
        let removed = Removed {
            engine: ctx.engine.clone(),
            id: made.map_err(|e| e.problem(&doing))?.id,
        };
        let id = removed.id.as_str();
        if !one.files.is_empty() {
            let tar = packed(&one.files).map_err(|e| {
                let message = format!("could not {doing}: {e}");
                Problem::new(ProblemKind::InvalidValue, message)
            })?;
            let put = ctx.engine.put_archive(id, "/", tar).await;
            put.map_err(|e| e.problem(&doing))?;
        }
        let output = self.followed(id).await.map_err(|e| e.problem(&doing))?;
        let taken = match &one.take {
            Some(path) => self.file_of(id, path, &doing).await?.map(|f| f.bytes),
            None => None,
        };
        let gone = ctx.engine.remove_container(id).await;
        gone.map_err(|e| e.problem(&doing))?;
        let mut removed = removed;
        removed.id.clear();
        Ok(OneOffOutput { output, taken })
    }

    async fn followed(&self, id: &str) -> Result<ExecOutput, crate::docker::EngineError> {
        let engine = self.engine();
        let mut attached = engine.attach(id, false).await?;
        engine.start_container(id).await?;
        let mut done = ExecOutput::default();
        while let Some(piece) = attached.output.next().await {
            let piece = piece?;
            let to = match piece.from {
                OutputFrom::Stderr => &mut done.stderr,
                _ => &mut done.stdout,
            };
            let room = KEEP.saturating_sub(to.len());
            to.extend_from_slice(&piece.bytes[..piece.bytes.len().min(room)]);
            done.cut |= piece.bytes.len() > room;
        }
        // The output may end before the program does.
        done.exit_code = engine.wait_container(id).await?;
        Ok(done)
    }
}

/// Files as an archive below `/`, readable for all.
fn packed(files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<Bytes> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        // What begins with `#!` is meant to be run.
        header.set_mode(if bytes.starts_with(b"#!") {
            0o755
        } else {
            0o644
        });
        tar.append_data(&mut header, path.trim_start_matches('/'), &bytes[..])?;
    }
    Ok(Bytes::from(tar.into_inner()?))
}
