//! `tcp`: bytes to a port and bytes from it.

use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Mismatch;
use prodmirror_model::template::{Document, Text};
use prodmirror_model::yaml::{Node, Spanned};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fields::{Time, args, lossy};
use super::http::tls;
use super::payload::{Payload, shown_hex, to_hex};
use super::target::{Target, TargetKind};
use super::world::Connection;
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// Bytes that are read unless the step says otherwise.
const USUAL: usize = 1024 * 1024;
/// Bytes that a step may ask for.
const MOST: usize = 16 * 1024 * 1024;

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "tcp",
    fields: &[
        "connected",
        "received",
        "hex",
        "bytes",
        "closed",
        "truncated",
        "error",
        "duration",
    ],
    help: "connects to a port, sends bytes and reads bytes",
    example: "tcp: { host: \"redis:6379\", send: \"PING\\r\\n\", until: \"\\r\\n\" }",
    usual: None,
    compile,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    host: Text,
    #[serde(default)]
    send: Option<Payload>,
    /// Says that nothing more is sent.
    #[serde(default)]
    end: bool,
    #[serde(default)]
    until: Option<Payload>,
    #[serde(default)]
    bytes: Option<Spanned<usize>>,
    #[serde(default)]
    within: Option<Time>,
    #[serde(default)]
    limit: Option<Spanned<usize>>,
    #[serde(default)]
    tls: bool,
    #[serde(default)]
    verify: Option<bool>,
    #[serde(default)]
    refused: bool,
}

/// When reading is over.
#[derive(Debug)]
enum Until {
    /// Nothing is read.
    Nothing,
    /// These bytes came.
    Mark(Payload),
    /// So many bytes came.
    Bytes(usize),
    /// The time is over, or the server closed.
    Time,
}

struct TcpAct {
    host: Text,
    send: Option<Payload>,
    end: bool,
    until: Until,
    within: Duration,
    limit: usize,
    tls: bool,
    verify: bool,
    refused: bool,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let mut problems = Vec::new();
    if let Some(plain) = a.host.plain()
        && let Err(p) = address(plain, &a.host)
    {
        problems.push(p);
    }
    let conflict =
        |text: &str, help: &str| Problem::at(ProblemKind::Conflict, &node.span, text).help(help);
    let reads = a.until.is_some() || a.bytes.is_some() || a.within.is_some();
    if a.refused && (a.send.is_some() || a.end || reads || a.tls || a.limit.is_some()) {
        problems.push(conflict(
            "a connection that is refused carries nothing",
            "keep `refused: true` alone, with `host`",
        ));
    }
    if a.until.is_some() && a.bytes.is_some() {
        problems.push(conflict(
            "reading ends at some bytes, or after a number of bytes",
            "keep `until` or `bytes`",
        ));
    }
    if a.verify.is_some() && !a.tls {
        problems.push(conflict(
            "`verify` is about certificates, and this connection has none",
            "add `tls: true`, or leave `verify` out",
        ));
    }
    for n in a.bytes.iter().chain(&a.limit) {
        if n.value == 0 || n.value > MOST {
            problems.push(
                Problem::at(
                    ProblemKind::InvalidValue,
                    &n.span,
                    format!("a step reads between 1 and {MOST} bytes"),
                )
                .help("leave it out to read at most 1 MiB"),
            );
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let limit = a.limit.map_or(USUAL, |l| l.value);
    let bytes = a.bytes.map(|b| b.value);
    Ok(TcpAct {
        host: a.host,
        send: a.send,
        end: a.end,
        limit: limit.max(bytes.unwrap_or(0)),
        until: match (a.until, bytes) {
            (Some(mark), _) => Until::Mark(mark),
            (None, Some(n)) => Until::Bytes(n),
            (None, None) if reads => Until::Time,
            (None, None) => Until::Nothing,
        },
        within: a.within.map_or(Duration::from_secs(5), |t| t.0),
        tls: a.tls,
        verify: a.verify.unwrap_or(true),
        refused: a.refused,
    }
    .into())
}

/// The host and the port of `db:5432`.
fn address<'t>(text: &'t str, at: &Text) -> Result<(&'t str, u16), Problem> {
    let bad = || {
        Problem::at(
            ProblemKind::InvalidValue,
            at.span(),
            format!("`{text}` is not a host and a port"),
        )
        .help("write `host: \"db:5432\"`")
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
    match port.parse() {
        Ok(port) if port > 0 && !host.is_empty() && !host.contains(['/', ' ']) => Ok((host, port)),
        _ => Err(bad()),
    }
}

/// What came, and how it ended.
#[derive(Debug, Default)]
struct Got {
    bytes: Vec<u8>,
    found: bool,
    closed: bool,
    truncated: bool,
    /// A connection that was cut, not closed.
    error: Option<String>,
}

impl TcpAct {
    async fn act(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let text = self.host.render(context.scope)?;
        let (host, port) = address(&text, &self.host)?;
        let send = self
            .send
            .as_ref()
            .map(|p| p.render(context.scope))
            .transpose()?;
        let mark = match &self.until {
            Until::Mark(p) => p.render(context.scope)?.bytes,
            _ => Vec::new(),
        };
        if matches!(self.until, Until::Mark(_)) && mark.is_empty() {
            return Err(Problem::at(
                ProblemKind::InvalidValue,
                self.host.span(),
                "`until` is empty: reading would end at once",
            )
            .into());
        }
        let begun = Instant::now();
        let connected = context.connect(host, port).await;
        if self.refused {
            return self.judge_refused(&text, connected, begun);
        }
        let mut stream = connected?;
        if self.tls {
            stream = tls::open(self.verify, &context.world.roots(), host, stream)
                .await
                .map_err(StepError::transport)?;
        }
        if let Some(sent) = &send {
            context.trail.add("sent", sent.shown());
        }
        let mut got = Got::default();
        let bytes = send.map(|s| s.bytes).unwrap_or_default();
        self.exchange(&mut stream, bytes, &mark, &mut got)
            .await
            .map_err(|e| StepError::transport(format!("{text}: {e}")))?;
        let took = begun.elapsed();
        context.trail.add("received", shown(&got));
        let mismatch = self.judge(&text, &got)?;
        let mut document = Document::default()
            .with("connected", true)
            .with("received", lossy(&got.bytes))
            .with("hex", to_hex(&got.bytes))
            .with("bytes", got.bytes.len())
            .with("closed", got.closed)
            .with("truncated", got.truncated)
            .with("error", got.error);
        document.took(took);
        let mut done = Done::from(document);
        done.mismatches.extend(mismatch);
        Ok(done)
    }

    /// Sends and reads at the same time: a server that answers before it has read everything
    /// would otherwise block both sides.
    async fn exchange(
        &self,
        stream: &mut Connection,
        send: Vec<u8>,
        mark: &[u8],
        got: &mut Got,
    ) -> Result<(), String> {
        let (mut from, mut to) = tokio::io::split(stream);
        let reads = !matches!(self.until, Until::Nothing);
        let sending = async {
            let sent = async {
                to.write_all(&send).await?;
                to.flush().await?;
                if self.end {
                    to.shutdown().await?;
                }
                std::io::Result::Ok(())
            };
            match sent.await {
                // What the server says about it is of more interest than that it stopped
                // listening.
                Err(_) if reads => Ok(()),
                Err(e) => Err(format!("what is sent was not taken: {e}")),
                Ok(()) => Ok(()),
            }
        };
        if !reads {
            return sending.await;
        }
        let reading = async {
            let read = self.read(&mut from, mark, got);
            // Without the time being over it ends by itself.
            let _ = tokio::time::timeout(self.within, read).await;
        };
        tokio::pin!(reading);
        tokio::select! {
            sent = sending => {
                sent?;
                reading.await;
            }
            () = &mut reading => {}
        }
        Ok(())
    }

    async fn read<R: AsyncReadExt + Unpin>(&self, from: &mut R, mark: &[u8], got: &mut Got) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let room = match self.until {
                Until::Bytes(n) => n,
                _ => self.limit,
            } - got.bytes.len();
            let most = room.min(buffer.len());
            match from.read(&mut buffer[..most]).await {
                Ok(0) => {
                    got.closed = true;
                    return;
                }
                Ok(n) => {
                    // The mark may have begun in what came before.
                    let old = got.bytes.len().saturating_sub(mark.len().saturating_sub(1));
                    got.bytes.extend_from_slice(&buffer[..n]);
                    if let Until::Mark(_) = self.until
                        && let Some(at) = memchr::memmem::find(&got.bytes[old..], mark)
                    {
                        got.bytes.truncate(old + at + mark.len());
                        got.found = true;
                        return;
                    }
                }
                // TLS that ends without its own goodbye is what many servers do.
                Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                    got.closed = true;
                    return;
                }
                Err(e) => {
                    got.closed = true;
                    got.error = Some(e.to_string());
                    return;
                }
            }
            match self.until {
                Until::Bytes(n) if got.bytes.len() >= n => {
                    got.found = true;
                    return;
                }
                _ if got.bytes.len() >= self.limit => {
                    got.truncated = true;
                    return;
                }
                _ => {}
            }
        }
    }

    /// What is wrong about what came.
    fn judge(&self, host: &str, got: &Got) -> Result<Option<Mismatch>, StepError> {
        let wanted = match &self.until {
            Until::Mark(Payload::Text(t)) => format!("{:?}", t.source()),
            Until::Mark(_) => "the bytes of `until`".to_owned(),
            Until::Bytes(n) => format!("{n} bytes"),
            Until::Time | Until::Nothing => return Ok(None),
        };
        if got.found {
            return Ok(None);
        }
        let count = got.bytes.len();
        if let Some(e) = &got.error {
            return Err(StepError::transport(format!(
                "{host}: the connection was cut after {count} bytes: {e}"
            )));
        }
        let within = humantime::format_duration(self.within);
        let how = if got.closed {
            format!("the connection was closed after {count} bytes")
        } else if got.truncated {
            format!("{count} bytes came without it, and no more are read (`limit`)")
        } else {
            format!("{count} bytes came")
        };
        Ok(Some(self.mismatch(
            format!("read from {host}"),
            format!("{wanted} within {within}"),
            match count {
                0 => how,
                _ => format!("{how}: {}", preview(&got.bytes)),
            },
        )))
    }

    fn judge_refused(
        &self,
        host: &str,
        connected: Result<Connection, StepError>,
        begun: Instant,
    ) -> Result<Done, StepError> {
        let (connected, error) = match connected {
            Ok(_) => (true, None),
            Err(StepError::Transport(why)) => (false, Some(why)),
            Err(e) => return Err(e),
        };
        let mut document = Document::default()
            .with("connected", connected)
            .with("error", error);
        document.took(begun.elapsed());
        let mut done = Done::from(document);
        if connected {
            done.mismatches.push(self.mismatch(
                format!("connect to {host}"),
                "that no connection is possible".into(),
                "something listens there".into(),
            ));
        }
        Ok(done)
    }

    fn mismatch(&self, expectation: String, expected: String, actual: String) -> Mismatch {
        let span = self.host.span();
        Mismatch {
            expectation,
            kind: "tcp".into(),
            place: span.is_real().then(|| span.into()),
            expected,
            actual,
            path: None,
            hint: None,
        }
    }
}

/// The first of what came, as text where it is text.
fn preview(bytes: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return format!("hex {}", shown_hex(bytes, 50));
    };
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn shown(got: &Got) -> String {
    let end = match (&got.error, got.closed) {
        (Some(e), _) => format!(", then the connection was cut: {e}"),
        (None, true) => ", then the server closed".to_owned(),
        (None, false) => String::new(),
    };
    let body = match std::str::from_utf8(&got.bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => shown_hex(&got.bytes, 2048),
    };
    format!("{} bytes{end}\n{body}", got.bytes.len())
}

impl Act for TcpAct {
    fn title(&self) -> String {
        match self.refused {
            true => format!("no connection to {}", self.host.source()),
            false => format!("tcp {}", self.host.source()),
        }
    }

    fn targets(&self, to: &mut Vec<Target>) {
        let plain = self.host.plain().and_then(|t| address(t, &self.host).ok());
        if let Some((host, port)) = plain {
            to.push(Target {
                name: host.to_owned(),
                port: Some(port),
                kind: TargetKind::Host,
                span: self.host.span().clone(),
            });
        }
    }

    fn limit(&self) -> Duration {
        self.within + Duration::from_secs(30)
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.act(context))
    }
}
