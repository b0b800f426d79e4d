//! From a store's answer to a document.

use std::fmt::Write;

use prodmirror_model::template::Document;
use rusty_s3::actions::ListObjectsV2Response;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::step::http::Plain;

/// Objects and common prefixes of all pages.
#[derive(Default)]
pub(super) struct Listed {
    pub objects: Vec<Json>,
    prefixes: Vec<String>,
}

impl Listed {
    /// Adds a page.
    pub fn add(&mut self, page: ListObjectsV2Response) {
        self.objects.extend(page.contents.into_iter().map(|o| {
            json!({
                "key": o.key, "size": o.size, "etag": o.etag.map(unquoted),
                "modified": o.last_modified, "class": o.storage_class,
            })
        }));
        self.prefixes
            .extend(page.common_prefixes.into_iter().map(|p| p.prefix));
    }

    /// As a result.
    pub fn document(self) -> Document {
        let keys: Vec<Json> = self.objects.iter().map(|o| o["key"].clone()).collect();
        Document::default()
            .with("status", 200)
            .with("count", self.objects.len())
            .with("keys", keys)
            .with("prefixes", self.prefixes)
            .with("objects", self.objects)
            .with("error", Json::Null)
    }
}

/// What changed, or why nothing did.
pub(super) fn of_change(answer: &Plain) -> Document {
    Document::default()
        .with("status", answer.status)
        .with("error", error(answer))
}

/// What was put.
pub(super) fn of_put(answer: &Plain, body: &[u8]) -> Document {
    of_change(answer)
        .with("exists", answer.status < 400)
        .with("size", body.len())
        .with("sha256", sha256(body))
        .with("etag", text(answer, "etag"))
}

/// What is known of an object.
pub(super) fn of_head(answer: &Plain) -> Document {
    let there = answer.status < 400;
    let size = text(answer, "content-length");
    let size = size.as_str().and_then(|s| s.parse::<u64>().ok());
    let mut metadata = Map::new();
    for (name, value) in &answer.headers {
        if let Some(name) = name.as_str().strip_prefix("x-amz-meta-") {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            metadata.insert(name.to_owned(), value.into());
        }
    }
    of_change(answer)
        .with("exists", there)
        .with(
            "size",
            size.filter(|_| there).map_or(Json::Null, Json::from),
        )
        .with("etag", text(answer, "etag"))
        .with("type", text(answer, "content-type"))
        .with("metadata", metadata)
}

/// An object with what is in it.
pub(super) fn of_get(answer: Plain) -> Document {
    let document = of_head(&answer);
    if answer.status >= 400 {
        return document;
    }
    document
        .with("size", answer.body.len())
        .with("sha256", sha256(&answer.body))
        .with(
            "json",
            serde_json::from_slice(&answer.body).unwrap_or(Json::Null),
        )
        .with("body", String::from_utf8_lossy(&answer.body).into_owned())
}

/// Whether an answer is worth showing.
pub(super) fn is_text(answer: &Plain) -> bool {
    std::str::from_utf8(&answer.body).is_ok_and(|s| !s.contains('\0'))
}

/// The code and the words of a refusal; `head` has no words.
fn error(answer: &Plain) -> Json {
    if answer.status < 400 {
        return Json::Null;
    }
    let body = String::from_utf8_lossy(&answer.body);
    let part = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        let (inner, _) = rest.split_once(&format!("</{name}>"))?;
        Some(inner.to_owned())
    };
    json!({ "code": part("Code"), "message": part("Message") })
}

fn text(answer: &Plain, header: &str) -> Json {
    let value = answer.headers.get(header);
    value.map_or(Json::Null, |v| {
        unquoted(String::from_utf8_lossy(v.as_bytes()).into_owned()).into()
    })
}

fn unquoted(etag: String) -> String {
    etag.trim_matches('"').to_owned()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut hex, b| {
            let _ = write!(hex, "{b:02x}");
            hex
        })
}
