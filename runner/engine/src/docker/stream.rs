//! Streams from the engine: events, logs, attached containers.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::query_parameters as query;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWrite;

use super::{Engine, EngineError};

/// Where a piece of output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFrom {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A terminal, which has both.
    Terminal,
}

/// A piece of output: one write, or a part of one; not always a whole line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Where it came from.
    pub from: OutputFrom,
    /// The bytes.
    pub bytes: Bytes,
}

/// A stream of output.
pub type LogStream = Pin<Box<dyn Stream<Item = Result<Output, EngineError>> + Send>>;

/// An attached container.
pub struct Attached {
    /// What it prints from now on.
    pub output: LogStream,
    /// Its stdin; closing it closes the container's when it was made with `StdinOnce`.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

/// Which part of a container's log is wanted.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Go on with what comes, until the container ends.
    pub follow: bool,
    /// Only since then, seconds since 1970.
    pub since: Option<i64>,
    /// Only the last lines.
    pub tail: Option<u32>,
    /// Put the engine's time and a blank before each line.
    pub timestamps: bool,
}

/// Something that happened to an object of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// `create`, `start`, `die`, `oom`, `health_status: healthy`, `destroy`…
    pub action: String,
    /// The object's id.
    pub id: String,
    /// Attributes (`exitCode`, `signal`) and the object's labels.
    pub attributes: BTreeMap<String, String>,
    /// The engine's time, nanoseconds since 1970.
    pub at_nanos: i64,
}

impl Engine {
    /// Events of containers with all these labels, from `since` (nanoseconds since 1970 by the
    /// engine's clock) on. The stream ends when the connection does.
    pub fn events(
        &self,
        labels: &[String],
        since: i64,
    ) -> Pin<Box<dyn Stream<Item = Result<EngineEvent, EngineError>> + Send>> {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("label".to_owned(), labels.to_vec()),
        ]);
        let since = format!("{}.{:09}", since / 1_000_000_000, since % 1_000_000_000);
        let options = query::EventsOptionsBuilder::default()
            .since(&since)
            .filters(&filters)
            .build();
        Box::pin(self.client().events(Some(options)).map(|event| {
            let event = event?;
            let actor = event.actor.unwrap_or_default();
            Ok(EngineEvent {
                action: event.action.unwrap_or_default(),
                id: actor.id.unwrap_or_default(),
                attributes: actor.attributes.unwrap_or_default().into_iter().collect(),
                at_nanos: event.time_nano.unwrap_or(0),
            })
        }))
    }

    /// A container's log.
    pub fn logs(&self, id: &str, wanted: &LogQuery) -> LogStream {
        let mut options = query::LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .follow(wanted.follow)
            .timestamps(wanted.timestamps);
        if let Some(since) = wanted.since.and_then(|s| i32::try_from(s).ok()) {
            options = options.since(since);
        }
        match wanted.tail {
            Some(n) => options = options.tail(&n.to_string()),
            None => options = options.tail("all"),
        }
        outputs(self.client().logs(id, Some(options.build())))
    }

    /// Connects to a container's output, and to its stdin when `stdin` is set. Attach before
    /// the start to miss nothing.
    pub async fn attach(&self, id: &str, stdin: bool) -> Result<Attached, EngineError> {
        let options = query::AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdout(true)
            .stderr(true)
            .stdin(stdin)
            .build();
        let attached = self.client().attach_container(id, Some(options)).await?;
        Ok(Attached {
            output: outputs(attached.output),
            input: attached.input,
        })
    }
}

pub(super) fn outputs(
    stream: impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send + 'static,
) -> LogStream {
    Box::pin(stream.map(|item| {
        let (from, bytes) = match item? {
            LogOutput::StdOut { message } => (OutputFrom::Stdout, message),
            LogOutput::StdErr { message } => (OutputFrom::Stderr, message),
            LogOutput::Console { message } | LogOutput::StdIn { message } => {
                (OutputFrom::Terminal, message)
            }
        };
        Ok(Output { from, bytes })
    }))
}
