//! Commands in services: run to their end, with what they printed.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use crate::docker::{Engine, EngineError, ExecIo, ExecSpec, OutputFrom};

/// How long the engine may take to know the exit code of a command whose output has ended.
const EXIT_CODE_WITHIN: Duration = Duration::from_secs(5);

/// What a command in a service gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// Exit code.
    pub exit_code: i64,
    /// What it printed on stdout.
    pub stdout: Vec<u8>,
    /// What it printed on stderr.
    pub stderr: Vec<u8>,
    /// Whether it printed more than was kept.
    pub cut: bool,
}

impl ExecOutput {
    /// The end of what it printed, stderr first, as one text for messages.
    pub fn summary(&self) -> String {
        const LONGEST: usize = 2000;
        let both = [&self.stderr[..], &self.stdout[..]].concat();
        let from = both.len().saturating_sub(LONGEST);
        String::from_utf8_lossy(&both[from..]).trim().to_owned()
    }
}

/// Runs a command to its end. At most `keep` bytes of each output are kept; what comes after
/// is read and dropped, so that the command does not block.
///
/// # Errors
/// The container is not there or does not run, or the connection broke.
pub async fn run(
    engine: &Engine,
    spec: &ExecSpec,
    stdin: Option<&[u8]>,
    keep: usize,
) -> Result<ExecOutput, EngineError> {
    let spec = ExecSpec {
        stdin: stdin.is_some(),
        ..spec.clone()
    };
    let ExecIo {
        id,
        mut output,
        mut input,
    } = engine.exec(&spec).await?;
    let write = async {
        if let Some(bytes) = stdin {
            // A command that does not read its stdin is no failure.
            let _ = input.write_all(bytes).await;
        }
        let _ = input.shutdown().await;
    };
    let read = async {
        let mut done = ExecOutput::default();
        while let Some(piece) = output.next().await {
            let piece = piece?;
            let to = match piece.from {
                OutputFrom::Stderr => &mut done.stderr,
                _ => &mut done.stdout,
            };
            let room = keep.saturating_sub(to.len());
            to.extend_from_slice(&piece.bytes[..piece.bytes.len().min(room)]);
            done.cut |= piece.bytes.len() > room;
        }
        Ok::<_, EngineError>(done)
    };
    let ((), done) = tokio::join!(write, read);
    let mut done = done?;
    done.exit_code = exit_code(engine, &id).await?;
    Ok(done)
}

/// The exit code of a command whose output has ended. The engine may learn of the end a
/// moment after the output closed.
pub async fn exit_code(engine: &Engine, id: &str) -> Result<i64, EngineError> {
    let asked = async {
        let mut pause = Duration::from_millis(2);
        loop {
            if let Some(code) = engine.exec_exit(id).await? {
                return Ok(code);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    };
    tokio::time::timeout(EXIT_CODE_WITHIN, asked)
        .await
        .unwrap_or(Err(EngineError::Timeout))
}
