//! What a step sends: a text, JSON, or bytes as base64 or hex.

// A tool that is built without some kinds does not use all of this.
#![cfg_attr(
    not(all(feature = "mqtt", feature = "nats", feature = "websocket")),
    allow(dead_code)
)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::source::Span;
use prodmirror_model::template::{Data, Scope, Text};
use prodmirror_model::yaml::Node;
use prodmirror_model::yaml::de::carried;
use serde::Deserialize;

use super::StepError;

/// What is sent, before values are put in.
#[derive(Debug)]
pub(super) enum Payload {
    Text(Text),
    Json(Data),
    Base64(Text),
    Hex(Text),
}

/// What is sent.
#[derive(Debug)]
pub(super) struct Sent {
    pub bytes: Vec<u8>,
    /// Whether it was given as a text or as JSON.
    pub is_text: bool,
}

const FORMS: [&str; 4] = ["text", "json", "base64", "hex"];

impl Payload {
    /// Reads a text, or a mapping with one of `text`, `json`, `base64`, `hex`.
    fn read(node: &Node) -> Result<Self, Problem> {
        if let Some(text) = node.scalar_text() {
            return Ok(Self::Text(Text::new(text, &node.span)?));
        }
        let entries = node.as_map().map(|m| m.0.iter().collect::<Vec<_>>());
        let [(key, entry)] = entries.as_deref().unwrap_or_default() else {
            return Err(Problem::at(
                ProblemKind::WrongType,
                &node.span,
                "what is sent is a text, or a mapping with one key",
            )
            .help("write a text, `{ json: … }`, `{ base64: … }` or `{ hex: … }`"));
        };
        let text = || {
            let text = entry.node.scalar_text().ok_or_else(|| {
                Problem::at(
                    ProblemKind::WrongType,
                    &entry.node.span,
                    format!("`{key}` is a text, found {}", entry.node.kind()),
                )
            })?;
            Text::new(text, &entry.node.span)
        };
        let payload = match key.as_str() {
            "text" => Self::Text(text()?),
            "json" => Self::Json(Data::new(&entry.node).map_err(|mut p| p.swap_remove(0))?),
            "base64" => Self::Base64(text()?),
            "hex" => Self::Hex(text()?),
            other => {
                let p = Problem::at(
                    ProblemKind::UnknownKey,
                    &entry.key,
                    format!("unknown key `{other}`"),
                );
                return Err(match nearest(other, FORMS) {
                    Some(n) => p.help(format!("did you mean `{n}`?")),
                    None => p.help(format!("known here: {}", FORMS.join(", "))),
                });
            }
        };
        payload.check()?;
        Ok(payload)
    }

    /// The one of three keys of a message that is given.
    pub fn choose(
        json: Option<Data>,
        text: Option<Text>,
        base64: Option<Text>,
        node: &Node,
    ) -> Result<Option<Self>, Problem> {
        let mut given = Vec::new();
        given.extend(json.map(Self::Json));
        given.extend(text.map(Self::Text));
        given.extend(base64.map(Self::Base64));
        if given.len() > 1 {
            return Err(
                Problem::at(ProblemKind::Conflict, &node.span, "a message has one body")
                    .help("keep one of `json`, `text` and `base64`"),
            );
        }
        let payload = given.pop();
        if let Some(p) = &payload {
            p.check()?;
        }
        Ok(payload)
    }

    /// Finds bytes that cannot be decoded before anything runs.
    fn check(&self) -> Result<(), Problem> {
        match self {
            Self::Base64(t) => t.plain().map_or(Ok(()), |s| base64(s, t.span()).map(drop)),
            Self::Hex(t) => t.plain().map_or(Ok(()), |s| hex(s, t.span()).map(drop)),
            Self::Text(_) | Self::Json(_) => Ok(()),
        }
    }

    /// Puts the values in.
    pub fn render(&self, scope: &Scope) -> Result<Sent, StepError> {
        let (bytes, is_text) = match self {
            Self::Text(t) => (t.render(scope)?.into_bytes(), true),
            Self::Json(d) => (d.render(scope)?.to_string().into_bytes(), true),
            Self::Base64(t) => (base64(&t.render(scope)?, t.span())?, false),
            Self::Hex(t) => (hex(&t.render(scope)?, t.span())?, false),
        };
        Ok(Sent { bytes, is_text })
    }
}

impl Sent {
    /// Nothing.
    pub fn empty() -> Self {
        Self {
            bytes: Vec::new(),
            is_text: true,
        }
    }

    /// For people.
    pub fn shown(&self) -> String {
        if self.is_text {
            String::from_utf8_lossy(&self.bytes).into_owned()
        } else {
            format!(
                "{} bytes: {}",
                self.bytes.len(),
                shown_hex(&self.bytes, 1024)
            )
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Payload::read(&Node::deserialize(d)?).map_err(carried)
    }
}

fn base64(text: &str, span: &Span) -> Result<Vec<u8>, Problem> {
    STANDARD.decode(text.trim()).map_err(|e| {
        Problem::at(
            ProblemKind::InvalidValue,
            span,
            format!("this is not base64: {e}"),
        )
        .help("the alphabet is A-Z, a-z, 0-9, + and /, filled up with = to a multiple of four")
    })
}

fn hex(text: &str, span: &Span) -> Result<Vec<u8>, Problem> {
    let bad = |what: String| {
        Problem::at(ProblemKind::InvalidValue, span, what)
            .help("write two digits for each byte, with or without blanks: `hex: \"0d 0a\"`")
    };
    let mut digits = Vec::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        let digit = c
            .to_digit(16)
            .ok_or_else(|| bad(format!("`{c}` is no hexadecimal digit")))?;
        // A digit is below 16.
        digits.push(digit as u8);
    }
    if digits.len() % 2 == 1 {
        return Err(bad("the last byte has one digit only".to_owned()));
    }
    Ok(digits.chunks(2).map(|d| d[0] << 4 | d[1]).collect())
}

/// Bytes as hexadecimal digits.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for b in bytes {
        out.push(char::from(DIGITS[usize::from(b >> 4)]));
        out.push(char::from(DIGITS[usize::from(b & 15)]));
    }
    out
}

/// The first bytes, for people.
pub(super) fn shown_hex(bytes: &[u8], most: usize) -> String {
    let cut = &bytes[..bytes.len().min(most)];
    let more = if cut.len() < bytes.len() { "…" } else { "" };
    format!("{}{more}", to_hex(cut))
}

/// Bytes as base64.
pub(super) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_to_hex_and_back() {
        let span = Span::generated();
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(hex(&to_hex(&all), &span).unwrap(), all);
        assert_eq!(hex(" 0D\n0a ", &span).unwrap(), b"\r\n");
        assert_eq!(hex("", &span).unwrap(), b"");
        for (text, said) in [
            ("0", "the last byte has one digit only"),
            ("0g", "`g` is no hexadecimal digit"),
            ("0x0d", "`x` is no hexadecimal digit"),
            ("é0", "`é` is no hexadecimal digit"),
        ] {
            assert_eq!(hex(text, &span).unwrap_err().message, said);
        }
        assert_eq!(shown_hex(&all, 2), "0001…");
    }
}
