//! Connections: HTTP/2 to names of the stack, kept for the scenario.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{self, Poll};

use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::http::HeaderMap;
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost_reflect::ServiceDescriptor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use tonic::body::Body;

use crate::step::StepError;
use crate::step::context::reach_error;
use crate::step::http::tls::{self, Alpn, Trust};
use crate::step::world::{Connection, Later, World};

/// A server, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    pub host: String,
    pub port: u16,
    pub tls: Option<Tls>,
}

/// How TLS is spoken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Tls {
    pub verify: bool,
    pub trust: Option<Arc<Trust>>,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What the scenario keeps: connections, and what servers said of their services.
#[derive(Default)]
pub(super) struct Hub {
    slots: Mutex<HashMap<Endpoint, Arc<Slot>>>,
    services: Mutex<HashMap<(Endpoint, String), ServiceDescriptor>>,
}

/// The connection of an endpoint, while there is one.
type Slot = tokio::sync::Mutex<Option<Open>>;

struct Open {
    send: SendRequest<Body>,
    head: Arc<Head>,
    driver: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Hub {
    /// A way to the endpoint, over the connection that is open already where there is one.
    pub async fn channel(
        &self,
        endpoint: &Endpoint,
        world: &Arc<dyn World>,
    ) -> Result<Channel, StepError> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.entry(endpoint.clone()).or_default().clone()
        };
        let mut slot = slot.lock().await;
        let open = match slot.take().filter(|o| !o.send.is_closed()) {
            Some(open) => open,
            None => open(endpoint, world).await?,
        };
        let channel = Channel {
            send: open.send.clone(),
            head: open.head.clone(),
            answered: Arc::default(),
            endpoint: endpoint.clone(),
        };
        *slot = Some(open);
        Ok(channel)
    }

    /// A service that the server described before.
    pub fn service(&self, endpoint: &Endpoint, name: &str) -> Option<ServiceDescriptor> {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.get(&(endpoint.clone(), name.to_owned())).cloned()
    }

    /// Remembers what the server says of a service.
    pub fn remember(&self, endpoint: &Endpoint, service: ServiceDescriptor) {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (endpoint.clone(), service.full_name().to_owned());
        services.insert(key, service);
    }
}

async fn open(endpoint: &Endpoint, world: &Arc<dyn World>) -> Result<Open, StepError> {
    let stream = world
        .connect(&endpoint.host, endpoint.port)
        .await
        .map_err(reach_error)?;
    let stream: Connection = match &endpoint.tls {
        None => stream,
        Some(t) => {
            let trust = t.trust.as_deref();
            let config = tls::config(t.verify, Alpn::Http2, &world.roots(), trust)
                .map_err(StepError::transport)?;
            let stream = tls::connect(config, &endpoint.host, stream)
                .await
                .map_err(StepError::transport)?;
            Box::new(stream)
        }
    };
    let head = Arc::new(Head::default());
    let io = TokioIo::new(Sniffed {
        stream,
        head: head.clone(),
    });
    let (send, connection) = http2::handshake(TokioExecutor::new(), io)
        .await
        .map_err(|e| no_answer(endpoint, &head, &e))?;
    Ok(Open {
        send,
        head,
        // What goes wrong with the connection is told to the calls that use it.
        driver: tokio::spawn(async move { drop(connection.await) }),
    })
}

/// A way to a server, for one call.
#[derive(Clone)]
pub(super) struct Channel {
    send: SendRequest<Body>,
    head: Arc<Head>,
    answered: Arc<AtomicBool>,
    pub endpoint: Endpoint,
}

impl Channel {
    /// For another call over the same connection.
    pub fn another(&self) -> Self {
        Self {
            answered: Arc::default(),
            ..self.clone()
        }
    }

    /// The server as requests name it.
    pub fn origin(&self) -> Result<Uri, StepError> {
        let scheme = match self.endpoint.tls {
            None => "http",
            Some(_) => "https",
        };
        let host = &self.endpoint.host;
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.clone()
        };
        format!("{scheme}://{host}:{}", self.endpoint.port)
            .parse()
            .map_err(|e| StepError::transport(format!("`{}` cannot be called: {e}", self.endpoint)))
    }

    /// Whether a status came from the server itself.
    pub fn answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Why there was no answer.
    pub fn no_answer(&self, status: &tonic::Status) -> StepError {
        match status.source() {
            Some(source) => no_answer(&self.endpoint, &self.head, source),
            None => StepError::transport(format!(
                "no answer from {}: {}",
                self.endpoint,
                status.message()
            )),
        }
    }
}

fn no_answer(endpoint: &Endpoint, head: &Head, error: &(dyn Error + 'static)) -> StepError {
    let why = match (tls::late_words(error), head.words(endpoint.tls.is_some())) {
        (Some(late), _) => late,
        (None, Some(words)) => words,
        (None, None) => {
            let mut last = error.to_string();
            let mut source = error.source();
            while let Some(s) = source {
                last = s.to_string();
                source = s.source();
            }
            last
        }
    };
    StepError::transport(format!("no answer from {endpoint}: {why}"))
}

impl tower_service::Service<Request<Body>> for Channel {
    type Response = Response<Watched>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Later<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.send.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let sent = self.send.send_request(request);
        let answered = self.answered.clone();
        Box::pin(async move {
            let response = sent.await?;
            note(&answered, response.headers());
            let kind = response.headers().get("content-type");
            let kind = kind.map(|k| String::from_utf8_lossy(k.as_bytes()).into_owned());
            let grpc = kind
                .as_ref()
                .is_some_and(|k| k.starts_with("application/grpc"));
            if !grpc && !answered.load(Ordering::Relaxed) {
                return Err(format!(
                    "what answers there is not gRPC: status {} of HTTP, {}",
                    response.status().as_u16(),
                    kind.as_deref().unwrap_or("without a type")
                )
                .into());
            }
            Ok(response.map(|body| Watched { body, answered }))
        })
    }
}

fn note(answered: &AtomicBool, headers: &HeaderMap) {
    if headers.contains_key("grpc-status") {
        answered.store(true, Ordering::Relaxed);
    }
}

/// A body of which it is known whether the server's status was in it.
pub(super) struct Watched {
    body: Incoming,
    answered: Arc<AtomicBool>,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(trailers) = frame.trailers_ref()
        {
            note(&self.answered, trailers);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The first bytes that a server sent: they tell what it speaks.
#[derive(Default)]
struct Head(Mutex<Vec<u8>>);

/// Bytes that are enough to know.
const HEAD: usize = 48;

impl Head {
    fn add(&self, bytes: &[u8]) {
        let mut head = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = HEAD.saturating_sub(head.len());
        head.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// What is wrong when it is not HTTP/2.
    fn words(&self, tls: bool) -> Option<String> {
        let head = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match head.as_slice() {
            [] if tls => None,
            [] => Some(
                "the connection was closed before anything came: what is there does not speak HTTP/2, \
                 on which gRPC is built, or it wants TLS (`tls: true`)"
                    .into(),
            ),
            // A record of TLS: an alert, or a handshake.
            [0x15 | 0x16, 0x03, ..] => Some("it speaks TLS: say `tls: true`".into()),
            // HTTP/2 begins with a frame of settings.
            [_, _, _, 0x04, ..] => None,
            other => {
                let text = String::from_utf8_lossy(other);
                let line = text.lines().next().unwrap_or_default();
                Some(format!(
                    "what answers there does not speak HTTP/2, on which gRPC is built; it began with `{}`",
                    line.escape_debug()
                ))
            }
        }
    }
}

fn is_closed(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(e.kind(), BrokenPipe | ConnectionAborted | ConnectionReset)
}

/// A connection of which the first bytes are kept.
struct Sniffed {
    stream: Connection,
    head: Arc<Head>,
}

impl AsyncRead for Sniffed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.head.add(&buf.filled()[before..]);
        polled
    }
}

impl AsyncWrite for Sniffed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, buf) {
            // Who closes in the middle of a request may have said why: that is read first, and
            // then that it is closed.
            Poll::Ready(Err(e)) if is_closed(&e) => Poll::Ready(Ok(buf.len())),
            other => other,
        }
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Err(e)) if is_closed(&e) => Poll::Ready(Ok(())),
            other => other,
        }
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
