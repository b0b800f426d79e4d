//! What passed as HAR 1.2.

use base64::Engine as _;
use serde_json::{Map, Value as Json, json};

use super::book::{Exchange, Side};
use crate::cmd::new;

/// The whole log.
pub fn log(exchanges: &[Exchange]) -> Json {
    let entries: Vec<Json> = exchanges.iter().map(entry).collect();
    json!({ "log": {
        "version": "1.2",
        "creator": { "name": "prodmirror", "version": env!("CARGO_PKG_VERSION") },
        "entries": entries,
    } })
}

/// Why an exchange does not become a step.
pub fn left_out(e: &Exchange, all: bool) -> Option<&'static str> {
    new::useless(&head(e), all)
}

fn entry(e: &Exchange) -> Json {
    let mut entry = head(e);
    let request = &e.request;
    if request.size > 0 {
        let kind = request.header("content-type").unwrap_or("");
        entry["request"]["postData"] = body(request, kind);
    }
    let kind = e.response.header("content-type").unwrap_or("").to_owned();
    let mut content = body(&e.response, &kind);
    content["size"] = e.response.size.into();
    entry["response"]["content"] = content;
    entry
}

/// An entry without its bodies.
fn head(e: &Exchange) -> Json {
    let took = (e.took.as_secs_f64() * 1e6).round() / 1e3;
    let (status, text) = e.status.clone().unwrap_or_default();
    let location = e.response.header("location").unwrap_or("");
    let kind = e.response.header("content-type").unwrap_or("");
    let mut entry = json!({
        // Of one length, so that they are in order as texts.
        "startedDateTime": format!("{:.3}", e.at),
        "time": took,
        "request": {
            "method": e.method,
            "url": e.url,
            "httpVersion": "HTTP/1.1",
            "cookies": cookies(&e.request),
            "headers": headers(&e.request),
            "queryString": query(&e.url),
            "headersSize": -1,
            "bodySize": e.request.size,
        },
        "response": {
            "status": status,
            "statusText": text,
            "httpVersion": "HTTP/1.1",
            "cookies": set_cookies(&e.response),
            "headers": headers(&e.response),
            "content": { "size": e.response.size, "mimeType": kind },
            "redirectURL": location,
            "headersSize": -1,
            "bodySize": e.response.size,
        },
        "cache": {},
        "timings": { "send": 0, "wait": took, "receive": 0 },
    });
    if let Some(why) = &e.error {
        entry["response"]["_error"] = Json::from(why.as_str());
    }
    if status > 0 && !e.is_complete {
        entry["response"]["comment"] = "the answer did not come to its end".into();
    }
    entry
}

fn headers(side: &Side) -> Vec<Json> {
    let one = |(n, v): &(String, String)| json!({ "name": n, "value": v });
    side.headers.iter().map(one).collect()
}

fn pair(text: &str) -> Json {
    let (n, v) = text.trim().split_once('=').unwrap_or((text.trim(), ""));
    json!({ "name": n, "value": v })
}

fn cookies(side: &Side) -> Vec<Json> {
    let lines = side.headers.iter();
    let lines = lines.filter(|(n, _)| n.eq_ignore_ascii_case("cookie"));
    lines
        .flat_map(|(_, v)| v.split(';').filter(|p| !p.trim().is_empty()).map(pair))
        .collect()
}

fn set_cookies(side: &Side) -> Vec<Json> {
    let lines = side.headers.iter();
    let lines = lines.filter(|(n, _)| n.eq_ignore_ascii_case("set-cookie"));
    lines
        .map(|(_, v)| pair(v.split(';').next().unwrap_or("")))
        .collect()
}

fn query(url: &str) -> Vec<Json> {
    let query = url.split_once('?').map_or("", |(_, q)| q);
    let pairs = query.split('&').filter(|p| !p.is_empty());
    pairs.map(pair).collect()
}

/// A body as a text where it is one, as base64 where it is none, and without one where it is
/// not kept.
fn body(side: &Side, kind: &str) -> Json {
    let mut out = Map::new();
    out.insert("mimeType".into(), kind.into());
    if !side.is_whole() {
        out.insert("text".into(), "".into());
        out.insert("comment".into(), new::TOO_LONG.into());
        return Json::Object(out);
    }
    match std::str::from_utf8(&side.body) {
        Ok(text) => {
            out.insert("text".into(), text.into());
        }
        Err(_) => {
            let text = base64::engine::general_purpose::STANDARD.encode(&side.body);
            out.insert("text".into(), text.into());
            out.insert("encoding".into(), "base64".into());
        }
    }
    Json::Object(out)
}
