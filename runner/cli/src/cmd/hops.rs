//! What proxies have in common: headers that are of one connection only, connections that stop
//! being HTTP, and their own answers.

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;

/// Headers of one connection, not of the request.
pub const HOPS: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What a proxy answers.
pub type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// Whether a request asks for a WebSocket.
pub fn is_websocket(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|u| u.to_str().ok());
    upgrade.is_some_and(|u| u.eq_ignore_ascii_case("websocket"))
}

/// Headers that `Connection` names.
pub fn connection_names(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(header::CONNECTION).iter();
    lines
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(|n| n.trim().to_ascii_lowercase())
        .collect()
}

/// An answer of the proxy itself.
pub fn answer(status: StatusCode, kind: &'static str, text: &str) -> Answer {
    let mut response = Response::new(whole(text.to_owned()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// As [`answer`], in plain text.
pub fn plain(status: StatusCode, text: &str) -> Answer {
    answer(status, "text/plain; charset=utf-8", text)
}

/// A body that is there as a whole.
pub fn whole(text: String) -> BoxBody<Bytes, hyper::Error> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    body.boxed()
}

/// What a client of HTTP says, with its cause.
pub fn why(e: &hyper::Error) -> String {
    match std::error::Error::source(e) {
        Some(cause) => format!("{e}: {cause}"),
        None => e.to_string(),
    }
}

/// Joins the two ends of a connection that is no HTTP any more, until both have ended.
pub async fn join(near: hyper::upgrade::OnUpgrade, far: hyper::upgrade::OnUpgrade) -> bool {
    let (Ok(near), Ok(far)) = (near.await, far.await) else {
        return false;
    };
    let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(near), &mut TokioIo::new(far)).await;
    true
}
