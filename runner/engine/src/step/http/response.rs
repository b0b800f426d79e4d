//! From a response to a document.

use std::io::Read;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap};
use hyper::{Method, Response, StatusCode, Version};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::Document;
use serde_json::{Map, Value as Json};
use url::Url;

use super::certificate::Certificate;
use super::client::in_words;
use crate::step::StepError;

/// Bytes of a body that are read at most, unpacked.
const LARGEST: usize = 16 * 1024 * 1024;

/// A response that was read to its end.
pub(super) struct Whole {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Facts of the server's certificate; null without TLS.
    pub certificate: Json,
}

/// Reads a response to its end, within bounds.
pub(super) async fn read(response: Response<Incoming>) -> Result<Whole, StepError> {
    let (parts, mut body) = response.into_parts();
    let certificate = parts
        .extensions
        .get::<Certificate>()
        .map_or(Json::Null, Certificate::json);
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| {
            StepError::transport(format!(
                "the response broke off: {}",
                in_words(&e.to_string())
            ))
        })?;
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
    let body = unpack(raw, &parts.headers)?;
    Ok(Whole {
        status: parts.status,
        version: parts.version,
        headers: parts.headers,
        body,
        certificate,
    })
}

fn too_large() -> StepError {
    Problem::new(
        ProblemKind::TooLarge,
        format!("the body is larger than {} MiB", LARGEST / 1024 / 1024),
    )
    .into()
}

fn unpack(raw: Bytes, headers: &HeaderMap) -> Result<Bytes, StepError> {
    let encoding = headers
        .get(header::CONTENT_ENCODING)
        .and_then(|v| v.to_str().ok());
    let limit = LARGEST as u64 + 1;
    let mut out = Vec::new();
    let read = match encoding.map(str::trim) {
        Some("gzip" | "x-gzip") => flate2::read::MultiGzDecoder::new(&raw[..])
            .take(limit)
            .read_to_end(&mut out),
        Some("deflate") => flate2::read::ZlibDecoder::new(&raw[..])
            .take(limit)
            .read_to_end(&mut out),
        _ => return Ok(raw),
    };
    match read {
        Ok(_) if out.len() > LARGEST => Err(too_large()),
        Ok(_) => Ok(out.into()),
        Err(e) => Err(StepError::transport(format!(
            "the body says it is {} but cannot be unpacked: {e}",
            encoding.unwrap_or_default()
        ))),
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
) -> Document {
    let mut d = Document::default();
    let (url, head) = (request.url, request.method == Method::HEAD);
    d.set("request", request.json());
    d.set("certificate", response.certificate.clone());
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
fn headers(headers: &HeaderMap) -> Map<String, Json> {
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
