//! The keeper: a container with the engine's socket that removes the run's objects when the
//! runner's beats stop.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use prodmirror_agent::wire::{CONFIG_ENV, Event, KeeperConfig};
use prodmirror_model::diag::Problem;
use prodmirror_model::event::What;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::follow::Lines;
use super::super::label::{Role, Tags};
use super::{Hold, LeaseOptions, Owner};
use crate::bus::Sink;
use crate::docker::{Attached, Endpoint, Engine, NewContainer};

/// Where engines have their socket on their own host.
pub const ENGINE_SOCKET: &str = "/var/run/docker.sock";
/// How long the keeper may take to be gone after its release.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// A keeper that was stopped by others is seen to have ended within this time.
const ENDED_WITHIN: Duration = Duration::from_millis(200);
/// Path of the socket inside the keeper.
const INNER_SOCKET: &str = "/engine.sock";

/// How the run's keeper ended before its time. Cloning shares it.
#[derive(Debug, Clone, Default)]
pub struct KeeperEnd {
    ended: CancellationToken,
    lapsed: Arc<OnceLock<String>>,
}

impl KeeperEnd {
    /// Waits until the keeper is gone, or has said that it took the runner for dead.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Whether it is.
    pub fn is_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Why it took the runner for dead, when it said so: it then removes all of the run.
    pub fn lapsed(&self) -> Option<&str> {
        self.lapsed.get().map(String::as_str)
    }

    fn end(&self, lapsed: Option<String>) {
        if let Some(why) = lapsed {
            let _ = self.lapsed.set(why);
        }
        self.ended.cancel();
    }
}

/// A keeper at work.
#[derive(Debug)]
pub(super) struct Keeper {
    release: oneshot::Sender<()>,
    work: JoinHandle<()>,
}

impl Keeper {
    /// Makes the keeper. It is started in the background: until then the reaper watches.
    pub async fn start(
        engine: &Engine,
        options: &LeaseOptions,
        socket: &str,
        sink: &Arc<dyn Sink>,
    ) -> Result<Self, Problem> {
        let doing = "make the keeper of the run";
        let image = engine.load_agent().await?;
        let tags = Tags::new(
            &options.project,
            &options.run,
            "",
            Hold::Run,
            &Owner::this_process(),
        );
        // A rootless engine's socket is where its user's programs find it, too.
        let socket = match engine.endpoint() {
            Endpoint::Unix(path) if engine.facts().rootless => path.to_string_lossy(),
            _ => socket.into(),
        };
        let config = KeeperConfig {
            run: options.run.clone(),
            grace_ms: u64::try_from(options.grace.as_millis()).unwrap_or(u64::MAX),
            socket: INNER_SOCKET.to_owned(),
        };
        let config = serde_json::to_string(&config).unwrap_or_default();
        let body = json!({
            "Image": image,
            "Cmd": ["keeper"],
            "Env": [format!("{CONFIG_ENV}={config}")],
            "Labels": tags.labels(Role::Keeper),
            "OpenStdin": true,
            "StdinOnce": true,
            "AttachStdin": true,
            "HostConfig": {
                "NetworkMode": "none",
                "AutoRemove": true,
                "ReadonlyRootfs": true,
                "CapDrop": ["ALL"],
                // Where SELinux guards the socket, this container needs to be let through.
                "SecurityOpt": ["no-new-privileges", "label=disable"],
                "Mounts": [{"Type": "bind", "Source": socket, "Target": INNER_SOCKET}],
            },
        });
        let new = NewContainer {
            name: tags.name("keeper"),
            body,
            platform: None,
        };
        let id = engine
            .create_container(&new)
            .await
            .map_err(|e| e.problem(doing))?
            .id;
        let attached = match engine.attach(&id, true).await {
            Ok(attached) => attached,
            Err(e) => {
                let _ = engine.remove_container(&id).await;
                return Err(e.problem(doing));
            }
        };
        let (release, released) = oneshot::channel();
        let work = Work {
            engine: engine.clone(),
            id,
            attached,
            beat: options.grace / 4,
            sink: sink.clone(),
            end: options.keeper_end.clone(),
        };
        let work = tokio::spawn(work.run(released));
        Ok(Self { release, work })
    }

    /// Ends the keeper's watch; returns when it is gone.
    pub async fn release(self) {
        let _ = self.release.send(());
        let _ = tokio::time::timeout(GONE_WITHIN, self.work).await;
    }
}

struct Work {
    engine: Engine,
    id: String,
    attached: Attached,
    beat: Duration,
    sink: Arc<dyn Sink>,
    end: KeeperEnd,
}

impl Work {
    async fn run(mut self, mut released: oneshot::Receiver<()>) {
        if let Err(e) = self.engine.start_container(&self.id).await {
            let _ = self.engine.remove_container(&self.id).await;
            self.warn(format!("the keeper of the run could not be started: {e}"));
            return;
        }
        let mut beat = tokio::time::interval(self.beat);
        let mut lines = Lines::default();
        loop {
            tokio::select! {
                // Dropping the lease ends this, too, and the keeper with its stdin.
                told = &mut released => {
                    if told.is_ok() {
                        self.give_back().await;
                    }
                    return;
                }
                _ = beat.tick() => {
                    let _ = self.attached.input.write_all(b"\n").await;
                    let _ = self.attached.input.flush().await;
                }
                piece = self.attached.output.next() => {
                    let Some(Ok(piece)) = piece else {
                        self.end.end(None);
                        self.over().await;
                        return;
                    };
                    lines.push(&piece).iter().for_each(|line| self.heard(&line.text));
                }
            }
        }
    }

    /// Nothing comes from the keeper any more. One that still runs has lost the connection to
    /// this runner, takes that for its death, and removes all of the run.
    async fn over(&mut self) {
        let begun = Instant::now();
        while self.runs().await {
            if begun.elapsed() >= ENDED_WITHIN {
                self.end.end(Some(
                    "the connection to its keeper on the engine broke".to_owned(),
                ));
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.warn("the keeper of the run ended before its time".to_owned());
    }

    async fn runs(&mut self) -> bool {
        let found = self.engine.inspect_container(&self.id).await;
        found.is_ok_and(|state| state.running)
    }

    async fn give_back(&mut self) {
        let _ = self.attached.input.write_all(b"\nrelease\n").await;
        let _ = self.attached.input.flush().await;
        // It removes itself; what matters to the caller is that it is gone.
        while let Some(Ok(_)) = self.attached.output.next().await {}
        while self.engine.inspect_container(&self.id).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn heard(&self, line: &str) {
        match serde_json::from_str(line) {
            Ok(Event::Error { what, why }) => {
                self.warn(format!("the keeper of the run: {what}: {why}"));
            }
            Ok(Event::Lapsed { why, .. }) => self.end.end(Some(why)),
            _ => {}
        }
    }

    fn warn(&self, message: String) {
        self.sink.emit(What::Warning { message });
    }
}
