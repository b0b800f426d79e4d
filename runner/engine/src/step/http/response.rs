//! From a response to a document.

use std::cell::RefCell;
use std::io::Read;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::http::Extensions;
use hyper::{Method, Response, StatusCode, Version};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::source::SourceFile;
use prodmirror_model::template::Document;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};
use url::Url;

use super::certificate;
use super::client::{Peer, in_words};
use crate::step::StepError;

/// Bytes of a body that are read at most, unpacked.
pub(super) const LARGEST: usize = 16 * 1024 * 1024;

/// A response that was read to its end.
pub(super) struct Whole {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    /// Unpacked.
    pub body: Bytes,
    /// Bytes of the body as they came.
    pub encoded_size: usize,
    /// What the connection knows of itself ([`Peer`]).
    pub extensions: Extensions,
}

/// Fields that cost something and are made only where the scenario speaks of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wanted {
    pub encoded_size: bool,
    pub sha256: bool,
    pub certificate: bool,
    pub timings: bool,
    pub remote: bool,
    pub request: bool,
}

impl Wanted {
    /// What the text of a scenario's file speaks of. All steps of a file ask, so the last
    /// answer is kept.
    pub fn by(file: &Arc<SourceFile>) -> Self {
        thread_local! {
            static LAST: RefCell<(Weak<SourceFile>, Wanted)> = RefCell::default();
        }
        LAST.with_borrow_mut(|(last, wanted)| {
            if !std::ptr::eq(last.as_ptr(), Arc::as_ptr(file)) {
                let has = |word: &str| file.text.contains(word);
                *wanted = Self {
                    encoded_size: has("encoded_size"),
                    sha256: has("sha256"),
                    certificate: has("certificate"),
                    timings: has("timings"),
                    remote: has("remote"),
                    request: has("request") || has("openapi"),
                };
                *last = Arc::downgrade(file);
            }
            *wanted
        })
    }
}

/// Reads a response to its end, within bounds, and unpacks it.
pub(super) async fn read(response: Response<Incoming>) -> Result<Whole, StepError> {
    let mut whole = raw(response).await?;
    whole.body = unpack(whole.body, &whole.headers)?;
    Ok(whole)
}

/// Reads a response to its end, within bounds.
pub(super) async fn raw(response: Response<Incoming>) -> Result<Whole, StepError> {
    let (parts, mut body) = response.into_parts();
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| broke_off(&e))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.len() + more.len() + data.len() > LARGEST {
            return Err(too_large());
        }
        // Most bodies come in one piece, which is kept as it is.
        if first.is_empty() && more.is_empty() {
            first = data;
        } else {
            more.extend_from_slice(&data);
        }
    }
    let raw = if more.is_empty() {
        first
    } else {
        let mut all = BytesMut::with_capacity(first.len() + more.len());
        all.extend_from_slice(&first);
        all.extend_from_slice(&more);
        all.freeze()
    };
    let encoded_size = raw.len();
    Ok(Whole {
        status: parts.status,
        version: parts.version,
        headers: parts.headers,
        body: raw,
        encoded_size,
        extensions: parts.extensions,
    })
}

/// A body that did not come to its end.
pub(super) fn broke_off(e: &hyper::Error) -> StepError {
    // The innermost reason is the one that says something: `Connection reset by peer`.
    let mut reason = e.to_string();
    let mut source = std::error::Error::source(e);
    while let Some(s) = source {
        reason = s.to_string();
        source = s.source();
    }
    StepError::transport(format!("the response broke off: {}", in_words(&reason)))
}

pub(super) fn too_large() -> StepError {
    Problem::new(
        ProblemKind::TooLarge,
        format!("the body is larger than {} MiB", LARGEST / 1024 / 1024),
    )
    .into()
}

fn unpack(raw: Bytes, headers: &HeaderMap) -> Result<Bytes, StepError> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(raw);
    };
    let encoding = String::from_utf8_lossy(encoding.as_bytes());
    let mut body = raw;
    // Each was applied to what the one before it gave.
    for one in encoding.rsplit(',').map(str::trim) {
        let read = match one {
            "gzip" | "x-gzip" => inflate(flate2::read::MultiGzDecoder::new(&body[..])),
            "deflate" => match inflate(flate2::read::ZlibDecoder::new(&body[..])) {
                // Some servers leave out the wrapping that the standard asks for.
                Err(Unpacked::Broken(_)) => inflate(flate2::read::DeflateDecoder::new(&body[..])),
                other => other,
            },
            "br" => inflate(brotli_decompressor::Decompressor::new(&body[..], 4096)),
            "zstd" => zstd(&body),
            // Such as `identity`, and others, for which nobody asked.
            _ => return Ok(body),
        };
        body = match read {
            Ok(out) => out,
            Err(Unpacked::TooLarge) => return Err(too_large()),
            // To a HEAD request, or with 304, there is no body to unpack.
            Err(Unpacked::Broken(_)) if body.is_empty() => return Ok(body),
            Err(Unpacked::Broken(e)) => {
                return Err(StepError::transport(format!(
                    "the body says it is {one} but cannot be unpacked: {e}"
                )));
            }
        };
    }
    Ok(body)
}

enum Unpacked {
    TooLarge,
    Broken(std::io::Error),
}

fn inflate(packed: impl Read) -> Result<Bytes, Unpacked> {
    let mut out = Vec::new();
    match packed.take(LARGEST as u64 + 1).read_to_end(&mut out) {
        Ok(_) if out.len() > LARGEST => Err(Unpacked::TooLarge),
        Ok(_) => Ok(out.into()),
        Err(e) => Err(Unpacked::Broken(e)),
    }
}

/// All frames of a body that is packed by Zstandard.
fn zstd(mut packed: &[u8]) -> Result<Bytes, Unpacked> {
    let broken = |e: String| Unpacked::Broken(std::io::Error::other(e));
    let mut out = Vec::new();
    loop {
        let frame = ruzstd::decoding::StreamingDecoder::new(&mut packed);
        let frame = frame.map_err(|e| broken(e.to_string()))?;
        // One byte more than may be tells that there are more.
        let left = (LARGEST - out.len()) as u64 + 1;
        frame
            .take(left)
            .read_to_end(&mut out)
            .map_err(Unpacked::Broken)?;
        if out.len() > LARGEST {
            return Err(Unpacked::TooLarge);
        }
        if packed.is_empty() {
            return Ok(out.into());
        }
    }
}

/// Where a response leads, and with which method. A location that is no URL is given back.
pub(super) fn redirect(
    method: &Method,
    url: &Url,
    response: &Whole,
) -> Option<(Result<Url, String>, Method)> {
    let method = match response.status.as_u16() {
        301 | 302 if *method == Method::POST => Method::GET,
        303 if *method != Method::HEAD => Method::GET,
        301 | 302 | 303 | 307 | 308 => method.clone(),
        _ => return None,
    };
    let location = response.headers.get(header::LOCATION)?;
    let text = String::from_utf8_lossy(location.as_bytes()).into_owned();
    Some((url.join(&text).map_err(|_| text), method))
}

/// The request that a response answers.
pub(super) struct Asked<'r> {
    pub method: &'r Method,
    pub url: &'r Url,
    /// As they were sent.
    pub headers: &'r HeaderMap,
    pub body: &'r [u8],
}

impl Asked<'_> {
    /// What expectations see of it. Credentials are not shown.
    fn json(&self) -> Json {
        let mut shown = headers(self.headers);
        for name in [header::AUTHORIZATION, header::PROXY_AUTHORIZATION] {
            if let Some(value) = shown.get_mut(name.as_str()) {
                *value = Json::from("***");
            }
        }
        let mut map = Map::with_capacity(4);
        map.insert("method".into(), self.method.as_str().into());
        map.insert("url".into(), self.url.as_str().into());
        map.insert("headers".into(), Json::Object(shown));
        map.insert("body".into(), String::from_utf8_lossy(self.body).into());
        Json::Object(map)
    }
}

/// The step's result.
pub(super) fn document(
    response: Whole,
    request: &Asked<'_>,
    redirects: Vec<String>,
    cookies: Map<String, Json>,
    more: More,
) -> Document {
    let mut d = Document::default();
    let (url, head) = (request.url, request.method == Method::HEAD);
    if more.wanted.request {
        d.set("request", request.json());
    }
    more.add(&response, url, &mut d);
    d.set("status", response.status.as_u16());
    d.set("version", version(response.version));
    d.set("url", url.as_str());
    d.set("size", response.body.len());
    d.set("headers", headers(&response.headers));
    let json = if head { None } else { json(&response) };
    let body = match String::from_utf8(response.body.into()) {
        Ok(text) => text,
        Err(e) => {
            let text = String::from_utf8_lossy(e.as_bytes()).into_owned();
            d.raw = Some(e.into_bytes().into());
            text
        }
    };
    d.set("json", json.unwrap_or(Json::Null));
    d.set("body", body);
    d.set("redirects", redirects);
    d.set("cookies", Json::Object(cookies));
    d
}

/// What only some scenarios ask for.
pub(super) struct More {
    pub wanted: Wanted,
    /// From sending the last request to the head of its response.
    pub first_byte: Duration,
    pub events: Option<Vec<Json>>,
}

impl More {
    fn add(self, response: &Whole, url: &Url, d: &mut Document) {
        if let Some(events) = self.events {
            d.set("events", events);
        }
        if self.wanted == Wanted::default() {
            return;
        }
        if self.wanted.encoded_size {
            d.set("encoded_size", response.encoded_size);
        }
        if self.wanted.sha256 {
            d.set(
                "sha256",
                prodmirror_model::check::hex(&Sha256::digest(&response.body)),
            );
        }
        if self.wanted.remote {
            let host = url.host_str().unwrap_or_default();
            let port = url.port_or_known_default().unwrap_or_default();
            d.set("remote", format!("{host}:{port}"));
        }
        let peer = response.extensions.get::<Peer>();
        if self.wanted.certificate {
            let der = peer.and_then(|p| p.certificate.as_deref());
            d.set("certificate", der.map_or(Json::Null, certificate::document));
        }
        if self.wanted.timings {
            let connect = peer.map_or(Duration::ZERO, Peer::waited);
            let text = |t: Duration| Json::from(format!("{}ms", t.as_micros() as f64 / 1000.0));
            let mut timings = Map::new();
            timings.insert("connect".into(), text(connect));
            timings.insert("first_byte".into(), text(self.first_byte));
            d.set("timings", Json::Object(timings));
        }
    }
}

/// JSON where the type says so, or where it looks like it and is.
fn json(response: &Whole) -> Option<Json> {
    let says = response.headers.get(header::CONTENT_TYPE).is_some_and(|t| {
        t.as_bytes()
            .windows(4)
            .any(|w| w.eq_ignore_ascii_case(b"json"))
    });
    let looks = || matches!(response.body.trim_ascii_start().first(), Some(b'{' | b'['));
    (says || looks())
        .then(|| serde_json::from_slice(&response.body).ok())
        .flatten()
}

/// Names in lower case; several values of one name are joined, cookies are a list.
pub(in crate::step) fn headers(headers: &HeaderMap) -> Map<String, Json> {
    let mut map = Map::with_capacity(headers.keys_len());
    for name in headers.keys() {
        let mut values = headers
            .get_all(name)
            .iter()
            .map(|v| String::from_utf8_lossy(v.as_bytes()));
        let value = if *name == header::SET_COOKIE {
            Json::Array(values.map(|v| Json::from(v.into_owned())).collect())
        } else {
            let first = values.next().unwrap_or_default().into_owned();
            Json::from(values.fold(first, |all, v| all + ", " + &v))
        };
        map.insert(name.as_str().to_owned(), value);
    }
    map
}

fn version(v: Version) -> &'static str {
    match v {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}

/// Bytes of a body that are worth showing.
const SHOWN: usize = 6 * 1024;

/// A request as people read it. Credentials are not shown.
pub(super) fn show_request(method: &Method, url: &Url, headers: &HeaderMap, body: &[u8]) -> String {
    let mut text = String::with_capacity(256 + body.len().min(SHOWN));
    text.push_str(method.as_str());
    text.push(' ');
    text.push_str(url.as_str());
    text.push('\n');
    show_headers(headers, &mut text);
    show_body(body, &mut text);
    text
}

/// A response as people read it.
pub(super) fn show(response: &Whole) -> String {
    let mut text = String::with_capacity(256 + response.body.len().min(SHOWN));
    text.push_str("HTTP/");
    text.push_str(version(response.version));
    text.push(' ');
    text.push_str(response.status.as_str());
    if let Some(reason) = response.status.canonical_reason() {
        text.push(' ');
        text.push_str(reason);
    }
    text.push('\n');
    show_headers(&response.headers, &mut text);
    show_body(&response.body, &mut text);
    text
}

fn show_headers(headers: &HeaderMap, text: &mut String) {
    for (name, value) in headers {
        text.push_str(name.as_str());
        text.push_str(": ");
        if *name == header::AUTHORIZATION || *name == header::PROXY_AUTHORIZATION {
            text.push_str("***");
        } else {
            text.push_str(&String::from_utf8_lossy(value.as_bytes()));
        }
        text.push('\n');
    }
}

fn show_body(body: &[u8], text: &mut String) {
    if body.is_empty() {
        return;
    }
    text.push('\n');
    let shown = &body[..body.len().min(SHOWN)];
    text.push_str(&String::from_utf8_lossy(shown));
    if body.len() > SHOWN {
        text.push_str(&format!("\n… ({} bytes more)", body.len() - SHOWN));
    }
}
