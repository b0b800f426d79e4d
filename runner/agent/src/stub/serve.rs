//! Connections and requests of a stub.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prodmirror_agent::wire::{Event, STUB_REQUESTS_PATH};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::answer::Answers;
use super::log::{Entry, Log};
use super::mail::{MailPort, Store};
use super::matching::Request;
use super::raw::Raw;
use super::template::Context;
use crate::output::emit;

/// The largest body of a request, in bytes.
const MAX_BODY: usize = 16 * 1024 * 1024;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A stub at work.
#[derive(Debug)]
pub struct Stub {
    /// What events call it.
    pub name: String,
    /// What it answers.
    pub answers: Answers,
    /// What it was asked.
    pub log: Log,
    /// The messages that it took.
    pub mail: Rc<Store>,
}

/// One of a stub's ports.
pub struct Port {
    /// TCP port.
    pub number: u16,
    /// TLS, if it speaks that.
    pub tls: Option<TlsAcceptor>,
    /// Fixed behaviour instead of HTTP.
    pub raw: Option<Raw>,
    /// SMTP instead of HTTP.
    pub mail: Option<MailPort>,
}

thread_local! {
    /// Number of requests so far, over all ports.
    static COUNTER: Cell<u64> = const { Cell::new(0) };
}

/// Accepts connections for ever, each in a task of its own.
pub async fn accept(stub: Rc<Stub>, port: Port, listener: TcpListener) {
    let port = Rc::new(port);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let _ = stream.set_nodelay(true);
                spawn_local(connection(Rc::clone(&stub), Rc::clone(&port), stream, peer));
            }
            // Out of descriptors: the ones in use will come free.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(stub: Rc<Stub>, port: Rc<Port>, stream: TcpStream, peer: SocketAddr) {
    let from = peer.ip();
    if let Some(mail) = &port.mail {
        return mail.serve(stream, from).await;
    }
    if let Some(raw) = &port.raw {
        let stub = stub.name.clone();
        emit(&Event::StubConnection {
            stub,
            port: port.number,
            from,
            kind: raw.kind,
        });
        return raw.serve(stream).await;
    }
    let Some(tls) = &port.tls else {
        return http(stub, port.number, from, stream).await;
    };
    let why = match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => return http(stub, port.number, from, stream).await,
        Ok(Err(error)) => format!("the TLS handshake failed: {error}"),
        Err(_) => "the TLS handshake did not end".to_owned(),
    };
    emit(&Event::StubRefused {
        stub: stub.name.clone(),
        port: port.number,
        from,
        why,
    });
}

async fn http<S>(stub: Rc<Stub>, port: u16, from: IpAddr, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let name = stub.name.clone();
    let service = service_fn(move |request| {
        let stub = Rc::clone(&stub);
        async move { Ok::<_, Infallible>(request_answered(&stub, port, from, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served
        && error.is_parse()
    {
        emit(&Event::StubRefused {
            stub: name,
            port,
            from,
            why: format!("no HTTP/1.1: {error}"),
        });
    }
}

async fn request_answered(
    stub: &Stub,
    port: u16,
    from: IpAddr,
    request: hyper::Request<Incoming>,
) -> Response<Full<Bytes>> {
    let start = Instant::now();
    let (head, body) = request.into_parts();
    if head.uri.path() == STUB_REQUESTS_PATH && from.is_loopback() {
        return plain(
            StatusCode::OK,
            "application/json",
            stub.log.to_json().to_string(),
        );
    }
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(error) => {
            let why = format!("the request's body: {error}");
            return plain(StatusCode::PAYLOAD_TOO_LARGE, "text/plain", why);
        }
    };
    let request = Request::new(head, body);
    let chosen = stub.answers.choose(&request);
    let context = Context {
        request: &request,
        groups: &chosen.groups,
        counter: COUNTER.replace(COUNTER.get() + 1) + 1,
        now: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs(),
    };
    let body = chosen.answer.body(&context);
    sleep(chosen.answer.delay).await;
    let status = chosen.answer.status;
    let ms = start.elapsed().as_secs_f64() * 1e3;
    stub.log.push(&Entry {
        method: &request.method,
        path: &request.path,
        query: &request.query_text,
        headers: &request.headers,
        body: &request.body,
        status: status.as_u16(),
        ms,
        route: chosen.route,
    });
    emit(&Event::StubRequest {
        stub: stub.name.clone(),
        port,
        from,
        method: request.method.clone(),
        path: request.path.clone(),
        status: status.as_u16(),
        ms,
        route: chosen.route,
    });
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    *response.headers_mut() = chosen.answer.headers.clone();
    response
}

fn plain(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
}
