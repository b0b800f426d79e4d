//! The proxy between a person and the gateway of a mirror.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use prodmirror_engine::reach::Reach;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::super::hops::{Answer, HOPS, connection_names, is_websocket, join, plain, whole, why};
use super::book::{Book, Entry, Of};
use super::rewrite::{self, Site};

/// How long an accept that failed is not tried again: out of file descriptors, some must be
/// closed first.
const AGAIN: Duration = Duration::from_millis(100);

/// Headers by which an answer depends on what a browser has kept, or cannot be read.
const KEPT: [&str; 8] = [
    "accept-encoding",
    "expect",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "host",
];

/// Where requests go.
pub struct Proxy {
    /// The way into the mirror.
    pub reach: Reach,
    /// Host of the gateway.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Its name in URLs, with the port where that is not the usual one.
    pub authority: String,
    /// The two names of the site.
    pub site: Site,
    /// Where it is written down.
    pub book: Arc<Book>,
    /// Says something to the person, once.
    pub warn: Box<dyn Fn(String) + Send + Sync>,
}

impl Proxy {
    /// Serves until `over` says so; then lets requests that are under way come to their end.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, mut over: watch::Receiver<bool>) {
        let mut open = JoinSet::new();
        let of_each = over.clone();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        open.spawn(self.clone().attend(stream, of_each.clone()));
                    }
                    Err(_) => tokio::time::sleep(AGAIN).await,
                },
                Some(_) = open.join_next() => {}
                () = ended(&mut over) => break,
            }
        }
        while open.join_next().await.is_some() {}
    }

    async fn attend(self: Arc<Self>, stream: TcpStream, mut over: watch::Receiver<bool>) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| {
            let proxy = self.clone();
            async move { Ok::<_, Infallible>(proxy.answer(request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        tokio::pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            () = ended(&mut over) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }

    async fn answer(&self, mut request: Request<Incoming>) -> Answer {
        if request.method() == Method::CONNECT {
            let why = "prodmirror record: open this address itself; it is no proxy for others\n";
            return plain(StatusCode::METHOD_NOT_ALLOWED, why);
        }
        let path = request.uri().path_and_query();
        let path = path.map_or("/", |p| p.as_str()).to_owned();
        let socket = is_websocket(request.headers());
        let headers = self.onward(request.headers(), socket);
        let url = format!("{}{path}", self.site.there);
        let method = request.method().clone();
        let entry = Arc::new(self.book.begin(method.as_str(), &url, pairs(&headers)));
        let near = socket.then(|| hyper::upgrade::on(&mut request));
        let body = Tee::new(request.into_body(), entry.clone(), Of::Request);
        let mut onward = Request::new(body);
        *onward.method_mut() = method;
        *onward.headers_mut() = headers;
        match path.parse::<Uri>() {
            Ok(uri) => *onward.uri_mut() = uri,
            Err(e) => return self.refused(&entry, &format!("the path is none: {e}")),
        }
        let mut response = match self.send(onward).await {
            Ok(response) => response,
            Err(why) => return self.refused(&entry, &why),
        };
        let status = response.status();
        let reason = status.canonical_reason().unwrap_or("").to_owned();
        entry.answered((status.as_u16(), reason), pairs(response.headers()));
        if status == StatusCode::SWITCHING_PROTOCOLS
            && let Some(near) = near
        {
            let far = hyper::upgrade::on(&mut response);
            tokio::spawn(async move {
                if join(near, far).await {
                    entry.complete();
                }
            });
            let (parts, _) = response.into_parts();
            return Response::from_parts(parts, whole(String::new()));
        }
        let (mut parts, body) = response.into_parts();
        parts.headers = self.back(&parts.headers, &path);
        // The connection to the person is another one.
        parts.version = hyper::Version::HTTP_11;
        Response::from_parts(parts, Tee::new(body, entry, Of::Response).boxed())
    }

    async fn send(&self, request: Request<Tee>) -> Result<Response<Incoming>, String> {
        let stream = self.reach.connect(&self.host, self.port).await;
        let stream = stream.map_err(|p| p.message)?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|e| why(&e))?;
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.map_err(|e| why(&e))
    }

    fn refused(&self, entry: &Entry, why: &str) -> Answer {
        entry.failed(why);
        let text = format!(
            "prodmirror record: no answer of {}: {why}\nThis request is not recorded.\n",
            self.site.there
        );
        plain(StatusCode::BAD_GATEWAY, &text)
    }

    /// Headers as production gets them.
    fn onward(&self, headers: &HeaderMap, socket: bool) -> HeaderMap {
        let named = connection_names(headers);
        let mut out = HeaderMap::new();
        if let Ok(host) = HeaderValue::from_str(&self.authority) {
            out.insert(header::HOST, host);
        }
        for (name, value) in headers {
            let n = name.as_str();
            let hop = HOPS.contains(&n) || named.iter().any(|c| c == n);
            if KEPT.contains(&n) || (hop && !(socket && n == "upgrade")) {
                continue;
            }
            let origin = *name == header::ORIGIN || *name == header::REFERER;
            let other = match origin {
                true => value.to_str().ok().and_then(|v| self.site.to_production(v)),
                false => None,
            };
            let other = other.and_then(|v| HeaderValue::from_str(&v).ok());
            out.append(name.clone(), other.unwrap_or_else(|| value.clone()));
        }
        if socket {
            out.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        }
        out
    }

    /// Headers as the person gets them.
    fn back(&self, headers: &HeaderMap, path: &str) -> HeaderMap {
        let named = connection_names(headers);
        let mut out = HeaderMap::new();
        for (name, value) in headers {
            let n = name.as_str();
            if HOPS.contains(&n) || named.iter().any(|c| c == n) {
                continue;
            }
            let text = value.to_str().ok();
            let other = text.and_then(|v| self.told(name, v, path));
            let other = other.and_then(|v| HeaderValue::from_str(&v).ok());
            out.append(name.clone(), other.unwrap_or_else(|| value.clone()));
        }
        // A browser that keeps answers does not ask again, and nothing would be recorded.
        let none = HeaderValue::from_static("no-store");
        out.insert(header::CACHE_CONTROL, none);
        out
    }

    fn told(&self, name: &HeaderName, value: &str, path: &str) -> Option<String> {
        match name.as_str() {
            "location" | "content-location" | "access-control-allow-origin" => {
                if *name == header::LOCATION
                    && let Some(other) = self.site.leaves_for(value)
                {
                    let path = path.split('?').next().unwrap_or("");
                    (self.warn)(format!(
                        "{path} redirects to {other}, which is not {}: a browser leaves the recording there",
                        self.site.there
                    ));
                }
                self.site.to_person(value)
            }
            // It would ask this address by TLS from now on.
            "strict-transport-security" => Some("max-age=0".into()),
            "set-cookie" => Some(rewrite::cookie(value)),
            _ => None,
        }
    }
}

/// Waits until it is over.
async fn ended(over: &mut watch::Receiver<bool>) {
    let _ = over.wait_for(|o| *o).await;
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |v: &HeaderValue| String::from_utf8_lossy(v.as_bytes()).into_owned();
    headers
        .iter()
        .map(|(n, v)| (n.as_str().to_owned(), text(v)))
        .collect()
}

/// A body that is written down as it passes.
struct Tee {
    body: Incoming,
    entry: Arc<Entry>,
    of: Of,
}

impl Tee {
    fn new(body: Incoming, entry: Arc<Entry>, of: Of) -> Self {
        let tee = Self { body, entry, of };
        tee.look();
        tee
    }

    /// Says when the answer came to its end.
    fn look(&self) {
        if self.of == Of::Response && self.body.is_end_stream() {
            self.entry.complete();
        }
    }
}

impl Body for Tee {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(bytes) = frame.data_ref() {
                    self.entry.piece(self.of, bytes);
                }
                self.look();
            }
            Poll::Ready(None) if self.of == Of::Response => self.entry.complete(),
            _ => {}
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
