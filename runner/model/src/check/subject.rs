//! What a source finds and filters change: JSON, or bytes.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::show::cut;

/// A value on its way from a source to predicates or a capture.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject<'a> {
    /// A JSON value, which every text, number and list is.
    Json(Cow<'a, Json>),
    /// Bytes that need not be text.
    Bytes(Cow<'a, [u8]>),
}

impl<'a> Subject<'a> {
    /// A value of its own.
    pub fn own(json: impl Into<Json>) -> Self {
        Self::Json(Cow::Owned(json.into()))
    }

    /// A value that someone else holds.
    pub fn of(json: &'a Json) -> Self {
        Self::Json(Cow::Borrowed(json))
    }

    /// Bytes of its own.
    pub fn bytes(bytes: Vec<u8>) -> Self {
        Self::Bytes(Cow::Owned(bytes))
    }

    /// The value as JSON: bytes become their hexadecimal digits.
    pub fn json(&self) -> Cow<'_, Json> {
        match self {
            Self::Json(j) => Cow::Borrowed(j.as_ref()),
            Self::Bytes(b) => Cow::Owned(Json::from(hex(b))),
        }
    }

    /// As [`Subject::json`], without a copy where it is one already.
    pub fn into_json(self) -> Json {
        match self {
            Self::Json(j) => j.into_owned(),
            Self::Bytes(b) => Json::from(hex(&b)),
        }
    }

    /// As people read it in a failure.
    pub fn show(&self) -> String {
        match self {
            Self::Json(j) => super::show::show(j),
            Self::Bytes(b) => show_bytes(b),
        }
    }
}

/// Bytes as people read them in a failure.
pub(crate) fn show_bytes(bytes: &[u8]) -> String {
    // More digits than are shown need not be made.
    let head = &bytes[..bytes.len().min(200)];
    let mut text = cut(&hex(head));
    if bytes.len() > head.len() {
        text = format!("{}…", hex(&bytes[..100]));
    }
    format!("{} bytes {text}", bytes.len())
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        let _ = write!(text, "{b:02x}");
    }
    text
}

/// The bytes of hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| {
            let digit = |b: u8| char::from(b).to_digit(16);
            let value = digit(pair[0])? * 16 + digit(pair[1])?;
            u8::try_from(value).ok()
        })
        .collect()
}

/// The SHA-256 of bytes, as lower-case hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    hex(&Sha256::digest(bytes))
}
