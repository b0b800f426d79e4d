//! The client: connections to the stack only, kept alive, with the scenario's cookies.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::task::{self, Poll};
use std::time::Duration;

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

use super::certificate::Certificate;
use super::tls;
use crate::step::StepError;
use crate::step::context::reach_error;
use crate::step::world::{Connection, Later, World};

/// How a request goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wire {
    /// HTTP/2 from the start, also without TLS.
    pub http2: bool,
    /// Whether certificates must be valid.
    pub verify: bool,
}

type HyperClient = Client<Connector, Full<Bytes>>;

/// Pools and cookies of a scenario.
#[derive(Default)]
pub(super) struct Http {
    /// By [`Wire`]: HTTP/1 verified, HTTP/1 not, HTTP/2 verified, HTTP/2 not.
    clients: [OnceLock<HyperClient>; 4],
    cookies: RwLock<CookieStore>,
    any_cookie: std::sync::atomic::AtomicBool,
    making: Mutex<()>,
}

impl Http {
    pub fn client(
        &self,
        wire: Wire,
        world: &Arc<dyn World>,
        connect_timeout: Duration,
    ) -> Result<&HyperClient, StepError> {
        let slot = &self.clients[usize::from(wire.http2) * 2 + usize::from(!wire.verify)];
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let _one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let connector = Connector {
            world: world.clone(),
            tls: tls::config(wire.verify, wire.http2, &world.roots())
                .map_err(StepError::transport)?,
            timeout: connect_timeout,
        };
        let client = Client::builder(TokioExecutor::new())
            .http2_only(wire.http2)
            .pool_idle_timeout(None)
            .build(connector);
        Ok(slot.get_or_init(|| client))
    }

    pub fn cookie_header(&self, url: &Url) -> Option<HeaderValue> {
        if !self.any_cookie.load(std::sync::atomic::Ordering::Relaxed) {
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
        self.any_cookie
            .store(true, std::sync::atomic::Ordering::Relaxed);
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
        if !self.any_cookie.load(std::sync::atomic::Ordering::Relaxed) {
            return Map::new();
        }
        let store = self.cookies.read().unwrap_or_else(PoisonError::into_inner);
        store
            .get_request_values(url)
            .map(|(k, v)| (k.to_owned(), Json::from(v)))
            .collect()
    }
}

/// Connects to names of the stack.
#[derive(Clone)]
pub(super) struct Connector {
    world: Arc<dyn World>,
    tls: Arc<rustls::ClientConfig>,
    timeout: Duration,
}

/// A connection as hyper wants it.
pub(super) struct Io {
    stream: TokioIo<Connection>,
    http2: bool,
    certificate: Option<Certificate>,
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
        let stream = self.world.connect(&host, port).await.map_err(reach_error)?;
        if !secure {
            return Ok(Io {
                stream: TokioIo::new(stream),
                http2: false,
                certificate: None,
            });
        }
        let secured = tls::connect(self.tls, &host, stream)
            .await
            .map_err(StepError::transport)?;
        Ok(Io {
            stream: TokioIo::new(secured.stream),
            http2: secured.http2,
            certificate: secured.certificate,
        })
    }
}

impl HyperConnection for Io {
    fn connected(&self) -> Connected {
        let mut connected = Connected::new();
        if let Some(c) = &self.certificate {
            connected = connected.extra(c.clone());
        }
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
    StepError::transport(format!(
        "no response from {host}:{port}: {}",
        in_words(&last)
    ))
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
