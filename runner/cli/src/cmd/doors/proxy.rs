//! The proxy by which production's names work for programs of this host: it reaches what the
//! mirror has, and nothing else.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Uri};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use prodmirror_engine::reach::{Connection, Reach};
use prodmirror_model::diag::{Problem, ProblemKind};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::pac;
use crate::cmd::hops::{
    Answer, HOPS, answer, connection_names, is_websocket, join, plain, whole, why,
};

/// How long an accept that failed is not tried again: out of file descriptors, some must be
/// closed first.
const AGAIN: Duration = Duration::from_millis(100);

/// What is always said of what is not of the mirror.
const NEVER: &str = "a mirror never reaches outside, so nothing was asked";

/// Opens it; it serves in a task of `tasks`.
///
/// # Errors
/// It cannot be listened there.
pub async fn open(
    at: SocketAddr,
    reach: Reach,
    tasks: &mut JoinSet<()>,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(at).await?;
    let here = listener.local_addr()?;
    let proxy = Arc::new(Proxy { reach, here });
    tasks.spawn(proxy.serve(listener));
    Ok(here)
}

struct Proxy {
    reach: Reach,
    here: SocketAddr,
}

impl Proxy {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        open.spawn(self.clone().attend(stream));
                    }
                    Err(_) => tokio::time::sleep(AGAIN).await,
                },
                Some(_) = open.join_next() => {}
            }
        }
    }

    async fn attend(self: Arc<Self>, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request| {
            let proxy = self.clone();
            async move { Ok::<_, Infallible>(proxy.answer(request).await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let _ = connection.await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        if request.method() == Method::CONNECT {
            return self.tunnel(request).await;
        }
        let uri = request.uri();
        match (uri.scheme_str(), uri.authority().cloned()) {
            (Some("http"), Some(authority)) => self.onward(request, &authority).await,
            (None, _) => self.own(&request),
            (scheme, _) => plain(
                StatusCode::BAD_REQUEST,
                &format!(
                    "prodmirror: the scheme `{}` is not passed on by name; use CONNECT for all but http\n",
                    scheme.unwrap_or_default()
                ),
            ),
        }
    }

    /// Any protocol, by `CONNECT`.
    async fn tunnel(&self, mut request: Request<Incoming>) -> Answer {
        let authority = request.uri().authority().cloned();
        let Some((authority, port)) = authority.and_then(|a| Some((a.clone(), a.port_u16()?)))
        else {
            let text = "prodmirror: CONNECT needs a host and a port, such as db:5432\n";
            return plain(StatusCode::BAD_REQUEST, text);
        };
        let mut far = match self.reach(&authority, port).await {
            Ok(far) => far,
            Err(refused) => return refused,
        };
        let near = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            if let Ok(near) = near.await {
                let mut near = TokioIo::new(near);
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
        Response::new(whole(String::new()))
    }

    /// Plain HTTP: the request as production would get it, without what is said to a proxy.
    async fn onward(&self, mut request: Request<Incoming>, authority: &Authority) -> Answer {
        let far = match self
            .reach(authority, authority.port_u16().unwrap_or(80))
            .await
        {
            Ok(far) => far,
            Err(refused) => return refused,
        };
        let socket = is_websocket(request.headers());
        let near = socket.then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        parts.headers = passed_on(&parts.headers, socket);
        if let Ok(host) = HeaderValue::from_str(host_of(authority)) {
            parts.headers.insert(header::HOST, host);
        }
        let root = || PathAndQuery::from_static("/");
        let path = parts.uri.path_and_query().cloned().unwrap_or_else(root);
        parts.uri = Uri::from(path);
        parts.version = hyper::Version::HTTP_11;
        let sent = send(far, Request::from_parts(parts, body)).await;
        let mut response = match sent {
            Ok(response) => response,
            Err(why) => {
                let text = format!("prodmirror: no answer of {authority}: {why}\n");
                return plain(StatusCode::BAD_GATEWAY, &text);
            }
        };
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if let (true, Some(near)) = (upgraded, near) {
            tokio::spawn(join(near, hyper::upgrade::on(&mut response)));
            let (parts, _) = response.into_parts();
            return Response::from_parts(parts, whole(String::new()));
        }
        let (mut parts, body) = response.into_parts();
        parts.headers = passed_on(&parts.headers, false);
        // The connection to whoever asks is another one.
        parts.version = hyper::Version::HTTP_11;
        Response::from_parts(parts, body.boxed())
    }

    /// Connects to what the mirror has; or says why not.
    async fn reach(&self, authority: &Authority, port: u16) -> Result<Connection, Answer> {
        // Brackets are of IPv6 addresses, which the mirror has no names for.
        let host = authority.host();
        let connected = self.reach.connect(host, port).await;
        connected.map_err(|p| self.refused(&p))
    }

    fn refused(&self, p: &Problem) -> Answer {
        let help = p.help.as_ref().map_or(String::new(), |h| format!("{h}\n"));
        let outside = p.kind == ProblemKind::Forbidden;
        let status = match outside {
            true => StatusCode::FORBIDDEN,
            false => StatusCode::BAD_GATEWAY,
        };
        let text = match outside {
            true => format!("prodmirror: {}; {NEVER}\n{help}", p.message),
            false => format!("prodmirror: {}\n{help}", p.message),
        };
        plain(status, &text)
    }

    /// What is asked of the proxy itself.
    fn own(&self, request: &Request<Incoming>) -> Answer {
        // A page of the web whose name was made to lead here learns no name of the mirror.
        if !asks_for_this_host(request.headers()) {
            let text = "prodmirror: this is a proxy; ask it for a name of the mirror\n";
            return plain(StatusCode::MISDIRECTED_REQUEST, text);
        }
        let read = matches!(*request.method(), Method::GET | Method::HEAD);
        match request.uri().path() {
            "/proxy.pac" if read => {
                let text = pac::text(&self.names(), self.here);
                let mut response = answer(StatusCode::OK, pac::TYPE, &text);
                // Another mirror at the same port has other names.
                let none = HeaderValue::from_static("no-store");
                response.headers_mut().insert(header::CACHE_CONTROL, none);
                response
            }
            "/" if read => {
                let text = format!(
                    "prodmirror: a proxy to the mirror; by it these names work, and no others:\n{}\n\
                     http://{}/proxy.pac lets a browser use it for them alone\n",
                    self.names().join("\n"),
                    self.here
                );
                plain(StatusCode::OK, &text)
            }
            _ => {
                let text = format!(
                    "prodmirror: this is a proxy; it has http://{}/proxy.pac and nothing else of its own\n",
                    self.here
                );
                plain(StatusCode::NOT_FOUND, &text)
            }
        }
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .reach
            .named()
            .into_iter()
            .flat_map(|n| n.names)
            .collect();
        names.sort();
        names
    }
}

async fn send(far: Connection, request: Request<Incoming>) -> Result<Response<Incoming>, String> {
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(far)).await;
    let (mut sender, connection) = handshake.map_err(|e| why(&e))?;
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await.map_err(|e| why(&e))
}

/// Headers without those of one connection.
fn passed_on(headers: &HeaderMap, socket: bool) -> HeaderMap {
    let named = connection_names(headers);
    let mut out = HeaderMap::new();
    for (name, value) in headers {
        let n = name.as_str();
        let hop = HOPS.contains(&n) || named.iter().any(|c| c == n);
        // The request is sent as a whole, and this host has asked for it already.
        if n == "expect" || (hop && !(socket && n == "upgrade")) {
            continue;
        }
        out.append(name.clone(), value.clone());
    }
    if socket {
        out.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    out
}

/// The host and port of a URL, without a user's name.
fn host_of(authority: &Authority) -> &str {
    let text = authority.as_str();
    text.rsplit_once('@').map_or(text, |(_, host)| host)
}

fn asks_for_this_host(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    let authority: Option<Authority> = host.and_then(|h| h.parse().ok());
    authority.is_some_and(|a| {
        let host = a.host().trim_matches(['[', ']']);
        let address = host.parse::<std::net::IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|a| a.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_one_connection_stays_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "1"),
            ("proxy-authorization", "Basic eA=="),
            ("proxy-connection", "keep-alive"),
            ("upgrade", "websocket"),
            ("expect", "100-continue"),
            ("accept", "a"),
            ("accept", "b"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let shown = |socket| {
            let passed = passed_on(&headers, socket);
            let pairs = passed.iter();
            let mut pairs: Vec<String> = pairs
                .map(|(n, v)| format!("{n}={}", v.to_str().unwrap()))
                .collect();
            pairs.sort();
            pairs.join(" ")
        };
        assert_eq!(shown(false), "accept=a accept=b");
        assert_eq!(
            shown(true),
            "accept=a accept=b connection=upgrade upgrade=websocket"
        );
    }

    #[test]
    fn only_this_host_is_told_names() {
        for (host, wanted) in [
            ("127.0.0.1:4711", true),
            ("localhost", true),
            ("[::1]:80", true),
            ("127.0.0.1.evil.example", false),
            ("evil.example:4711", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            assert_eq!(asks_for_this_host(&headers), wanted, "{host}");
        }
        assert!(!asks_for_this_host(&HeaderMap::new()));
    }

    #[test]
    fn a_host_is_told_without_the_users_name() {
        let authority: Authority = "me:word@gateway:8080".parse().unwrap();
        assert_eq!(host_of(&authority), "gateway:8080");
    }
}
