//! Containers: their life from create to remove, and what they are in between.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HealthConfig};
use bollard::query_parameters as query;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde_json::Value;

use super::{Engine, EngineError};

/// A container to be made.
#[derive(Debug, Clone)]
pub struct NewContainer {
    /// Name, unique on the engine.
    pub name: String,
    /// Body of `POST /containers/create`.
    pub body: Value,
    /// Platform as `os/arch[/variant]`.
    pub platform: Option<String>,
}

/// A container that was made.
#[derive(Debug, Clone)]
pub struct CreatedContainer {
    /// Its id.
    pub id: String,
    /// What the engine remarked about the request.
    pub warnings: Vec<String>,
}

/// A health check as the engine runs it: the spec's, merged with the image's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// Program and arguments (the shell form is resolved).
    pub command: Vec<String>,
    /// How long one check may take.
    pub timeout: Duration,
    /// How many failures in a row make it unhealthy.
    pub retries: u32,
}

/// What a container is at present.
#[derive(Debug, Clone, Default)]
pub struct ContainerState {
    /// Id.
    pub id: String,
    /// Name, without the slash.
    pub name: String,
    /// Image reference as it was asked for.
    pub image: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// `created`, `running`, `paused`, `restarting`, `exited`, `dead`.
    pub status: String,
    /// Whether its process runs.
    pub running: bool,
    /// Exit code of its last end.
    pub exit_code: i64,
    /// Whether the kernel killed it for its memory limit.
    pub oom: bool,
    /// The engine's error from starting it.
    pub error: String,
    /// How often the engine restarted it.
    pub restarts: u32,
    /// `starting`, `healthy`, `unhealthy`; absent without a health check.
    pub health: Option<String>,
    /// Output of the last health check.
    pub health_output: String,
    /// Its health check.
    pub check: Option<HealthCheck>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Its addresses: network name to address.
    pub addresses: BTreeMap<String, IpAddr>,
    /// Names under which it is found in its networks.
    pub aliases: Vec<String>,
    /// Its host name.
    pub hostname: String,
    /// Where its network comes from (`container:<id>`, a network's name, `none`).
    pub network_mode: String,
    /// Process id on the engine's host; 0 when it does not run.
    pub pid: i64,
    /// When it was started, as the engine writes it.
    pub started_at: String,
}

impl Engine {
    /// Makes a container. It is not started.
    ///
    /// # Errors
    /// 404 = no such image (or another object the body names), 409 = the name is taken.
    pub async fn create_container(
        &self,
        new: &NewContainer,
    ) -> Result<CreatedContainer, EngineError> {
        let body: ContainerCreateBody = serde_json::from_value(new.body.clone())
            .map_err(|e| EngineError::Garbled(format!("not a container: {e}")))?;
        let mut options = query::CreateContainerOptionsBuilder::default().name(&new.name);
        if let Some(platform) = &new.platform {
            options = options.platform(platform);
        }
        let made = self
            .client()
            .create_container(Some(options.build()), body)
            .await?;
        Ok(CreatedContainer {
            id: made.id,
            warnings: made.warnings,
        })
    }

    /// Starts a container. One that runs already is no error.
    pub async fn start_container(&self, id: &str) -> Result<(), EngineError> {
        let none = None::<query::StartContainerOptions>;
        settled(self.client().start_container(id, none).await)
    }

    /// Sends a signal (`SIGKILL`…). The engine then no longer applies the restart policy.
    pub async fn kill_container(&self, id: &str, signal: &str) -> Result<(), EngineError> {
        let options = query::KillContainerOptionsBuilder::default()
            .signal(signal)
            .build();
        settled(self.client().kill_container(id, Some(options)).await)
    }

    /// Stops a container with its own signal, and kills it after `grace` (absent = its own).
    pub async fn stop_container(
        &self,
        id: &str,
        grace: Option<Duration>,
    ) -> Result<(), EngineError> {
        let mut options = query::StopContainerOptionsBuilder::default();
        if let Some(grace) = grace {
            options = options.t(seconds(grace));
        }
        settled(
            self.client()
                .stop_container(id, Some(options.build()))
                .await,
        )
    }

    /// Stops a container as [`Engine::stop_container`] does, and starts it again.
    pub async fn restart_container(
        &self,
        id: &str,
        grace: Option<Duration>,
    ) -> Result<(), EngineError> {
        let mut options = query::RestartContainerOptionsBuilder::default();
        if let Some(grace) = grace {
            options = options.t(seconds(grace));
        }
        settled(
            self.client()
                .restart_container(id, Some(options.build()))
                .await,
        )
    }

    /// The container's files as one tar archive, whether it runs or not.
    pub fn export_container(
        &self,
        id: &str,
    ) -> impl Stream<Item = Result<Bytes, EngineError>> + Send + use<> {
        let pieces = self.client().export_container(id);
        pieces.map(|piece| piece.map_err(EngineError::from))
    }

    /// Removes a container with its anonymous volumes, killing it if it runs. One that is
    /// not there (any more) is no error.
    pub async fn remove_container(&self, id: &str) -> Result<(), EngineError> {
        let options = query::RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        match self
            .client()
            .remove_container(id, Some(options))
            .await
            .map_err(EngineError::from)
        {
            Err(e) if e.is_missing() => Ok(()),
            other => other,
        }
    }

    /// Gives a container another name.
    pub async fn rename_container(&self, id: &str, name: &str) -> Result<(), EngineError> {
        let options = query::RenameContainerOptionsBuilder::default()
            .name(name)
            .build();
        Ok(self.client().rename_container(id, options).await?)
    }

    /// Removes a container that has ended, and none of its volumes.
    pub async fn remove_but_volumes(&self, id: &str) -> Result<(), EngineError> {
        let options = query::RemoveContainerOptionsBuilder::default().build();
        Ok(self.client().remove_container(id, Some(options)).await?)
    }

    /// Asks what a container is at present.
    pub async fn inspect_container(&self, id: &str) -> Result<ContainerState, EngineError> {
        let none = None::<query::InspectContainerOptions>;
        Ok(state(self.client().inspect_container(id, none).await?))
    }

    /// Waits until a container has ended, and gives its exit code.
    ///
    /// # Errors
    /// The container is gone, or the engine.
    pub async fn wait_container(&self, id: &str) -> Result<i64, EngineError> {
        let options = query::WaitContainerOptionsBuilder::default()
            .condition("not-running")
            .build();
        let mut ends = std::pin::pin!(self.client().wait_container(id, Some(options)));
        match ends.next().await {
            Some(Ok(end)) => Ok(end.status_code),
            // The client makes an error of every code but 0.
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(e)) => Err(e.into()),
            None => Ok(self.inspect_container(id).await?.exit_code),
        }
    }

    /// What `ps` on the engine's host says of a container's processes: rows of columns.
    ///
    /// # Errors
    /// The container does not run, or the host has no `ps` that knows the columns.
    pub async fn top(&self, id: &str, columns: &str) -> Result<Vec<Vec<String>>, EngineError> {
        let options = query::TopOptionsBuilder::default().ps_args(columns).build();
        let top = self.client().top_processes(id, Some(options)).await?;
        Ok(top.processes.unwrap_or_default())
    }

    /// All that the engine shows of a container (`docker inspect`).
    pub async fn show_container(&self, id: &str) -> Result<Value, EngineError> {
        let none = None::<query::InspectContainerOptions>;
        let shown = self.client().inspect_container(id, none).await?;
        serde_json::to_value(&shown).map_err(|e| EngineError::Garbled(e.to_string()))
    }

    /// What a container has otherwise than its image, as `docker diff` prints it.
    pub async fn container_changes(&self, id: &str) -> Result<Vec<String>, EngineError> {
        let changes = self.client().container_changes(id).await?;
        let all = changes.unwrap_or_default().into_iter().map(|c| {
            // <https://docs.docker.com/reference/api/engine/version/v1.41/#operation/ContainerChanges>
            let kind = match c.kind as i64 {
                1 => 'A',
                2 => 'D',
                _ => 'C',
            };
            format!("{kind} {}", c.path)
        });
        Ok(all.collect())
    }

    /// The processes of a container, as `docker top` shows them: `Titles` and `Processes`. Of
    /// command lines, which may hold anything, only the program.
    ///
    /// # Errors
    /// 404 = there is no such container, 409 = it does not run.
    pub async fn container_processes(&self, id: &str) -> Result<Value, EngineError> {
        let options = query::TopOptionsBuilder::default()
            .ps_args("-eo pid,ppid,stat,rss,vsz,time,etime,comm")
            .build();
        let processes = self.client().top_processes(id, Some(options)).await?;
        serde_json::to_value(&processes).map_err(|e| EngineError::Garbled(e.to_string()))
    }

    /// What a container uses of the machine at this moment.
    ///
    /// # Errors
    /// 404 = there is no such container.
    pub async fn container_usage(&self, id: &str) -> Result<Value, EngineError> {
        let options = query::StatsOptionsBuilder::default()
            .stream(false)
            .one_shot(true)
            .build();
        let mut stats = std::pin::pin!(self.client().stats(id, Some(options)));
        match stats.next().await {
            Some(usage) => {
                serde_json::to_value(usage?).map_err(|e| EngineError::Garbled(e.to_string()))
            }
            None => Err(EngineError::Garbled("no statistics came".to_owned())),
        }
    }

    /// Unpacks a tar archive below a directory of a container (which need not run).
    pub async fn put_archive(&self, id: &str, dir: &str, tar: Bytes) -> Result<(), EngineError> {
        let options = query::UploadToContainerOptionsBuilder::default()
            .path(dir)
            .build();
        let body = bollard::body_full(tar);
        Ok(self
            .client()
            .upload_to_container(id, Some(options), body)
            .await?)
    }

    /// Unpacks a stream of a tar archive below a directory of a container.
    pub async fn put_archive_stream(
        &self,
        id: &str,
        dir: &str,
        tar: impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static,
    ) -> Result<(), EngineError> {
        let options = query::UploadToContainerOptionsBuilder::default()
            .path(dir)
            .build();
        let body = bollard::body_try_stream(tar);
        Ok(self
            .client()
            .upload_to_container(id, Some(options), body)
            .await?)
    }

    /// A file or directory of a container as a tar archive.
    pub fn get_archive(
        &self,
        id: &str,
        path: &str,
    ) -> impl Stream<Item = Result<Bytes, EngineError>> + Send + use<> {
        let options = query::DownloadFromContainerOptionsBuilder::default()
            .path(path)
            .build();
        self.client()
            .download_from_container(id, Some(options))
            .map(|b| b.map_err(Into::into))
    }
}

/// Being in the wanted state already (304) is what was wanted.
fn settled(answer: Result<(), bollard::errors::Error>) -> Result<(), EngineError> {
    match answer.map_err(EngineError::from) {
        Err(e) if e.is_not_modified() => Ok(()),
        other => other,
    }
}

/// Whole seconds, rounded up: the engine counts grace in seconds.
fn seconds(d: Duration) -> i32 {
    i32::try_from(d.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

fn state(c: ContainerInspectResponse) -> ContainerState {
    let s = c.state.unwrap_or_default();
    let config = c.config.unwrap_or_default();
    let health = s.health.unwrap_or_default();
    let output = health
        .log
        .as_deref()
        .and_then(|l| l.last())
        .and_then(|l| l.output.clone());
    let networks = c
        .network_settings
        .and_then(|n| n.networks)
        .unwrap_or_default();
    let shell = config.shell.clone();
    ContainerState {
        id: c.id.unwrap_or_default(),
        name: c
            .name
            .unwrap_or_default()
            .trim_start_matches('/')
            .to_owned(),
        image: config.image.unwrap_or_default(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        status: s.status.map(|s| s.to_string()).unwrap_or_default(),
        running: s.running.unwrap_or(false),
        exit_code: s.exit_code.unwrap_or(0),
        oom: s.oom_killed.unwrap_or(false),
        error: s.error.unwrap_or_default(),
        restarts: c.restart_count.and_then(|n| n.try_into().ok()).unwrap_or(0),
        health: health
            .status
            .map(|h| h.to_string())
            .filter(|h| !h.is_empty() && h != "none"),
        health_output: output.unwrap_or_default().trim().to_owned(),
        check: config.healthcheck.and_then(|h| health_check(h, shell)),
        tty: config.tty.unwrap_or(false),
        aliases: networks
            .values()
            .filter_map(|e| e.aliases.clone())
            .flatten()
            .collect(),
        hostname: config.hostname.unwrap_or_default(),
        network_mode: c
            .host_config
            .and_then(|h| h.network_mode)
            .unwrap_or_default(),
        addresses: networks
            .into_iter()
            .filter_map(|(name, e)| Some((name, e.ip_address?.parse().ok()?)))
            .collect(),
        pid: s.pid.unwrap_or(0),
        started_at: s.started_at.unwrap_or_default(),
    }
}

/// The check as the engine would run it; absent when there is none or it is switched off.
fn health_check(h: HealthConfig, shell: Option<Vec<String>>) -> Option<HealthCheck> {
    let test = h.test?;
    let (kind, rest) = test.split_first()?;
    let command = match kind.as_str() {
        "CMD" if !rest.is_empty() => rest.to_vec(),
        "CMD-SHELL" => {
            let shell = shell.filter(|s| !s.is_empty());
            let mut command = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
            command.extend(rest.first().cloned());
            command
        }
        _ => return None,
    };
    // Zero means "the default" to the engine.
    let nanos = h
        .timeout
        .and_then(|n| u64::try_from(n).ok())
        .filter(|n| *n > 0);
    Some(HealthCheck {
        command,
        timeout: nanos.map_or(Duration::from_secs(30), Duration::from_nanos),
        retries: h
            .retries
            .and_then(|n| n.try_into().ok())
            .filter(|n| *n > 0)
            .unwrap_or(3),
    })
}
