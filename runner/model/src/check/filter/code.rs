//! Filters that encode and decode.

use base64::Engine;
use base64::engine::general_purpose::{
    GeneralPurpose, STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{Boxed, Filter, Made, Simple, bytes_of, text_of, text_or_bytes, value, wrong};
use crate::check::subject::{self, Subject};
use crate::diag::Problem;
use crate::yaml::Node;

/// Everything but the unreserved characters of RFC 3986, and `/`, which paths keep.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

pub(super) fn url_encode() -> Boxed {
    Box::new(Simple(|v| {
        value(utf8_percent_encode(text_of(&v)?, ESCAPED).to_string())
    }))
}

pub(super) fn url_decode() -> Boxed {
    Box::new(Simple(|v| {
        match percent_decode_str(text_of(&v)?).decode_utf8() {
            Ok(s) => value(s.into_owned()),
            Err(_) => Err("a URL-encoded text of UTF-8".into()),
        }
    }))
}

#[derive(Debug)]
struct Param(String);

pub(super) fn url_param(node: &Node) -> Result<Boxed, Problem> {
    match node.scalar_text() {
        Some(s) => Ok(Box::new(Param(s))),
        None => Err(wrong(node, "`url_param` takes the name of a parameter")),
    }
}

impl Filter for Param {
    fn apply<'a>(&self, v: Subject<'a>) -> Result<Made<'a>, String> {
        let text = text_of(&v)?;
        // A path with a query, as in `location`, is good enough.
        let url = match url::Url::parse(text) {
            Ok(u) => u,
            Err(_) => url::Url::parse("http://here/")
                .and_then(|base| base.join(text))
                .map_err(|_| "a URL".to_owned())?,
        };
        match url.query_pairs().find(|(k, _)| *k == self.0.as_str()) {
            Some((_, found)) => value(found.into_owned()),
            None => Ok(Made::Nothing(format!("the URL has no `{}`", self.0))),
        }
    }
}

pub(super) fn html_escape() -> Boxed {
    Box::new(Simple(|v| {
        let text = text_of(&v)?;
        let mut out = String::with_capacity(text.len() + 16);
        for c in text.chars() {
            match c {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#x27;"),
                other => out.push(other),
            }
        }
        value(out)
    }))
}

pub(super) fn html_unescape() -> Boxed {
    Box::new(Simple(|v| {
        // A parser knows all names; tags are no names.
        let text = text_of(&v)?.replace('<', "&lt;");
        let parsed = scraper::Html::parse_fragment(&text);
        value(parsed.root_element().text().collect::<String>())
    }))
}

pub(super) fn base64_encode() -> Boxed {
    Box::new(Simple(|v| value(STANDARD.encode(bytes_of(&v)?))))
}

pub(super) fn base64url_encode() -> Boxed {
    Box::new(Simple(|v| value(URL_SAFE_NO_PAD.encode(bytes_of(&v)?))))
}

pub(super) fn base64_decode() -> Boxed {
    Box::new(Simple(|v| decode(&v, &[&STANDARD, &STANDARD_NO_PAD])))
}

pub(super) fn base64url_decode() -> Boxed {
    Box::new(Simple(|v| decode(&v, &[&URL_SAFE_NO_PAD, &URL_SAFE])))
}

fn decode<'a>(v: &Subject<'_>, ways: &[&GeneralPurpose]) -> Result<Made<'a>, String> {
    let text = text_of(v)?.trim();
    match ways.iter().find_map(|w| w.decode(text).ok()) {
        Some(bytes) => text_or_bytes(bytes),
        None => Err("a text of base64".into()),
    }
}

pub(super) fn hex_encode() -> Boxed {
    Box::new(Simple(|v| value(subject::hex(bytes_of(&v)?))))
}

pub(super) fn hex_decode() -> Boxed {
    Box::new(Simple(|v| match subject::unhex(text_of(&v)?.trim()) {
        Some(bytes) => text_or_bytes(bytes),
        None => Err("a text of hexadecimal digits".into()),
    }))
}

pub(super) fn sha256() -> Boxed {
    Box::new(Simple(|v| value(subject::sha256(bytes_of(&v)?))))
}
