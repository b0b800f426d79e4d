//! Commands in running containers.

use std::pin::Pin;

use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use tokio::io::AsyncWrite;

use super::stream::{LogStream, outputs};
use super::{Engine, EngineError};

/// A command to run in a running container.
#[derive(Debug, Clone, Default)]
pub struct ExecSpec {
    /// Container.
    pub container: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment on top of the container's, `NAME=value`.
    pub env: Vec<String>,
    /// User; absent = the container's.
    pub user: Option<String>,
    /// Working directory; absent = the container's.
    pub working_dir: Option<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Whether its stdin is connected.
    pub stdin: bool,
    /// Whether it runs with all capabilities.
    pub privileged: bool,
}

/// A command that runs in a container.
pub struct ExecIo {
    /// Its id on the engine.
    pub id: String,
    /// What it prints; ends when it ends.
    pub output: LogStream,
    /// Its stdin.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl Engine {
    /// Starts a command in a running container.
    ///
    /// # Errors
    /// 404 no such container, 409 it does not run (or is paused).
    pub async fn exec(&self, spec: &ExecSpec) -> Result<ExecIo, EngineError> {
        let config = ExecConfig {
            attach_stdin: Some(spec.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(spec.tty),
            env: Some(spec.env.clone()),
            cmd: Some(spec.command.clone()),
            privileged: Some(spec.privileged),
            user: spec.user.clone(),
            working_dir: spec.working_dir.clone(),
            ..ExecConfig::default()
        };
        let id = self.client().create_exec(&spec.container, config).await?.id;
        let options = StartExecOptions {
            detach: false,
            tty: spec.tty,
            output_capacity: Some(64 * 1024),
        };
        match self.client().start_exec(&id, Some(options)).await? {
            StartExecResults::Attached { output, input } => Ok(ExecIo {
                id,
                output: outputs(output),
                input,
            }),
            StartExecResults::Detached => Err(EngineError::Garbled(
                "the engine detached a command".to_owned(),
            )),
        }
    }

    /// Exit code of a command; absent while it runs.
    pub async fn exec_exit(&self, id: &str) -> Result<Option<i64>, EngineError> {
        let state = self.client().inspect_exec(id).await?;
        Ok(if state.running.unwrap_or(false) {
            None
        } else {
            state.exit_code
        })
    }

    /// Tells a command's terminal its size.
    pub async fn exec_resize(&self, id: &str, cols: u16, rows: u16) -> Result<(), EngineError> {
        let size = bollard::exec::ResizeExecOptions {
            height: rows,
            width: cols,
        };
        Ok(self.client().resize_exec(id, size).await?)
    }
}
