//! The client: connections to the stack only, kept alive, with the scenario's cookies.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use cookie_store::CookieStore;
use http_body_util::Full;
use hyper::Uri;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper_util::client::legacy::connect::{Connected, Connection as HyperConnection};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Map, Value as Json};
use url::Url;

use super::tls::{self, Alpn, Trust};
use crate::step::StepError;
use crate::step::context::reach_error;
use crate::step::world::{Connection, Later, World};

/// How a request goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Wire {
    pub protocol: Protocol,
    /// Whether certificates must be valid.
    pub verify: bool,
    /// What is trusted beside the stack's own authority, and a certificate of its own.
    pub trust: Option<Arc<Trust>>,
    /// Whether connections tell what they know of themselves ([`Peer`]).
    pub told: bool,
}

/// Versions of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    /// HTTP/2 where TLS agrees on it, else HTTP/1.1.
    Any,
    Http10,
    Http11,
    /// HTTP/2 from the start, also without TLS.
    Http2,
}

impl Protocol {
    fn alpn(self) -> Alpn {
        match self {
            Protocol::Any => Alpn::Any,
            Protocol::Http10 | Protocol::Http11 => Alpn::Http1,
            Protocol::Http2 => Alpn::Http2,
        }
    }
}

/// What a connection knows of itself.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    /// How long it took to be made.
    pub connect: Duration,
    /// The server's certificate (DER).
    pub certificate: Option<Arc<[u8]>>,
    /// Whether a response came over it already.
    used: Arc<AtomicBool>,
}

impl Peer {
    /// How long this request waited for its connection: nothing where that was open already.
    pub fn waited(&self) -> Duration {
        if self.used.swap(true, Ordering::Relaxed) {
            Duration::ZERO
        } else {
            self.connect
        }
    }
}

type HyperClient = Client<Connector, Full<Bytes>>;

/// Pools and cookies of a scenario.
#[derive(Default)]
pub(super) struct Http {
    /// What nearly all requests use, by [`Wire`].
    plain: [OnceLock<HyperClient>; 8],
    /// Those of requests that show or trust something of their own, or want to know more.
    others: Mutex<HashMap<Wire, HyperClient>>,
    cookies: RwLock<CookieStore>,
    any_cookie: AtomicBool,
    making: Mutex<()>,
}

/// A client: cloned only where it is not one of the plain ones.
pub(super) enum Picked<'h> {
    Plain(&'h HyperClient),
    Other(Box<HyperClient>),
}

impl std::ops::Deref for Picked<'_> {
    type Target = HyperClient;

    fn deref(&self) -> &HyperClient {
        match self {
            Picked::Plain(c) => c,
            Picked::Other(c) => c,
        }
    }
}

impl Http {
    pub fn client(
        &self,
        wire: &Wire,
        world: &Arc<dyn World>,
        connect_timeout: Duration,
    ) -> Result<Picked<'_>, StepError> {
        if wire.trust.is_some() || wire.told {
            let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(client) = others.get(wire) {
                return Ok(Picked::Other(Box::new(client.clone())));
            }
            let client = make(wire, world, connect_timeout)?;
            others.insert(wire.clone(), client.clone());
            return Ok(Picked::Other(Box::new(client)));
        }
        let slot = &self.plain[wire.protocol as usize * 2 + usize::from(!wire.verify)];
        if let Some(client) = slot.get() {
            return Ok(Picked::Plain(client));
        }
        let _one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let client = make(wire, world, connect_timeout)?;
        Ok(Picked::Plain(slot.get_or_init(|| client)))
    }

    pub fn cookie_header(&self, url: &Url) -> Option<HeaderValue> {
        if !self.any_cookie.load(Ordering::Relaxed) {
            return None;
        }
        let store = self.cookies.read().unwrap_or_else(PoisonError::into_inner);
        let text = store
            .get_request_values(url)
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ");
        (!text.is_empty())
            .then(|| HeaderValue::from_str(&text).ok())
            .flatten()
    }

    pub fn store_cookies(&self, url: &Url, headers: &HeaderMap) {
        if !headers.contains_key(header::SET_COOKIE) {
            return;
        }
        self.any_cookie.store(true, Ordering::Relaxed);
        let mut store = self.cookies.write().unwrap_or_else(PoisonError::into_inner);
        for value in headers.get_all(header::SET_COOKIE) {
            if let Ok(text) = value.to_str() {
                // A cookie that is not for this host is ignored, as browsers do.
                let _ = store.parse(text, url);
            }
        }
    }

    /// The cookies that a request to the URL would carry.
    pub fn cookies(&self, url: &Url) -> Map<String, Json> {
        if !self.any_cookie.load(Ordering::Relaxed) {
            return Map::new();
        }
        let store = self.cookies.read().unwrap_or_else(PoisonError::into_inner);
        store
            .get_request_values(url)
            .map(|(k, v)| (k.to_owned(), Json::from(v)))
            .collect()
    }
}

fn make(
    wire: &Wire,
    world: &Arc<dyn World>,
    connect_timeout: Duration,
) -> Result<HyperClient, StepError> {
    let trust = wire.trust.as_deref();
    let connector = Connector {
        world: world.clone(),
        tls: tls::config(wire.verify, wire.protocol.alpn(), &world.roots(), trust)
            .map_err(StepError::transport)?,
        timeout: connect_timeout,
        told: wire.told,
    };
    Ok(Client::builder(TokioExecutor::new())
        .http2_only(wire.protocol == Protocol::Http2)
        .pool_idle_timeout(None)
        .build(connector))
}

/// Connects to names of the stack.
#[derive(Clone)]
pub(super) struct Connector {
    world: Arc<dyn World>,
    tls: Arc<rustls::ClientConfig>,
    timeout: Duration,
    told: bool,
}

/// A connection as hyper wants it.
pub(super) struct Io {
    stream: TokioIo<Connection>,
    http2: bool,
    peer: Option<Peer>,
}

/// A connection that could not be made, with its reason.
#[derive(Debug)]
struct NotConnected(StepError);

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for NotConnected {}

impl tower_service::Service<Uri> for Connector {
    type Response = Io;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Later<'static, Result<Io, Self::Error>>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let limit = this.timeout;
            let late = || {
                let text = format!("no connection within {}", humantime::format_duration(limit));
                NotConnected(StepError::transport(text))
            };
            let made = tokio::time::timeout(limit, this.connect(uri)).await;
            Ok(made.map_err(|_| late())?.map_err(NotConnected)?)
        })
    }
}

impl Connector {
    async fn connect(self, uri: Uri) -> Result<Io, StepError> {
        let host = uri
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let begun = Instant::now();
        let peer = |certificate| {
            self.told.then(|| Peer {
                connect: begun.elapsed(),
                certificate,
                used: Arc::default(),
            })
        };
        let stream = self.world.connect(&host, port).await.map_err(reach_error)?;
        if !secure {
            return Ok(Io {
                stream: TokioIo::new(stream),
                http2: false,
                peer: peer(None),
            });
        }
        let stream = tls::connect(self.tls.clone(), &host, stream)
            .await
            .map_err(StepError::transport)?;
        let chain = stream.get_ref().1.peer_certificates();
        let first = chain.and_then(<[_]>::first).map(|c| Arc::from(&**c));
        Ok(Io {
            http2: tls::is_http2(&stream),
            peer: peer(first),
            stream: TokioIo::new(Box::new(stream)),
        })
    }
}

impl HyperConnection for Io {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        let connected = match &self.peer {
            Some(peer) => connected.extra(peer.clone()),
            None => connected,
        };
        if self.http2 {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}

impl hyper::rt::Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

/// What went wrong with a request, in words that name the host.
pub(super) fn error(url: &Url, e: &ClientError) -> StepError {
    let mut source: Option<&(dyn Error + 'static)> = Some(e);
    let mut last = e.to_string();
    while let Some(s) = source {
        if let Some(NotConnected(inner)) = s.downcast_ref::<NotConnected>() {
            return inner.clone();
        }
        last = s.to_string();
        source = s.source();
    }
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    let why = tls::late_words(e).unwrap_or_else(|| in_words(&last));
    StepError::transport(format!("no response from {host}:{port}: {why}"))
}

/// Hyper's words for the frequent cases, in ours.
pub(super) fn in_words(error: &str) -> String {
    if error.contains("connection closed before message completed") {
        return "the connection was closed before the response was complete".into();
    }
    if error.contains("invalid HTTP version") || error.contains("invalid HTTP status-code") {
        return format!("what answers there does not speak HTTP ({error})");
    }
    error.to_owned()
}
