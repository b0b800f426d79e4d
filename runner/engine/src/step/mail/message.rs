//! A message as expectations see it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use mail_parser::{MessageParser, MimeHeaders, PartType};
use prodmirror_agent::wire::Mail;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::step::cut;

/// Bytes of a text that expectations see.
const LONGEST: usize = 1024 * 1024;
/// Bytes of a header.
const LONGEST_HEADER: usize = 64 * 1024;

/// A message.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// Recipients of the envelope: also those that no header names.
    pub to: Vec<String>,
    /// The address of its `From`; where there is none, the envelope's sender.
    pub from: String,
    /// The envelope's sender.
    pub sender: String,
    /// Its subject.
    pub subject: String,
    json: Map<String, Json>,
}

impl Message {
    /// Reads a message as it was taken. What is no message has no headers, and its text is all
    /// that came.
    pub fn read(mail: &Mail) -> Result<Self, String> {
        let bytes = STANDARD.decode(&mail.data).map_err(|e| e.to_string())?;
        let parsed = MessageParser::default().parse(&bytes);
        let mut parsed = parsed.unwrap_or_default();
        // The library takes it for granted that a message has a part.
        if parsed.parts.is_empty() {
            parsed.parts.push(mail_parser::MessagePart::default());
        }
        let from = parsed.from().and_then(|a| a.first()?.address());
        let subject = cut(parsed.subject().unwrap_or_default(), LONGEST_HEADER);
        let mut headers = Map::new();
        for header in parsed.headers() {
            let raw = || {
                let range = header.offset_start() as usize..header.offset_end() as usize;
                let raw = bytes.get(range).unwrap_or_default();
                unfolded(&String::from_utf8_lossy(raw))
            };
            let value = header.value().as_text().map_or_else(raw, str::to_owned);
            let value = cut(&value, LONGEST_HEADER);
            // What comes several times is one text, as in HTTP.
            match headers.get_mut(&header.name().to_ascii_lowercase()) {
                Some(Json::String(before)) if before.len() < LONGEST_HEADER => {
                    before.push_str(", ");
                    before.push_str(&value);
                }
                Some(_) => {}
                None => {
                    headers.insert(header.name().to_ascii_lowercase(), value.into());
                }
            }
        }
        let text = parsed.text_bodies().find_map(|part| match &part.body {
            PartType::Text(text) => Some(lines(text)),
            _ => None,
        });
        let html = parsed.html_bodies().find_map(|part| match &part.body {
            PartType::Html(html) => Some(lines(html)),
            _ => None,
        });
        let attachments: Vec<Json> = parsed.attachments().map(attachment).collect();
        let at = i64::try_from(mail.at).ok();
        let at = at.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let mut message = Self {
            to: mail.to.clone(),
            from: from.unwrap_or(&mail.from).to_owned(),
            sender: mail.from.clone(),
            subject,
            json: Map::new(),
        };
        let all = json!({
            "id": mail.id,
            "at": at.map(|t| t.to_string()),
            "from": message.from,
            "sender": message.sender,
            "to": message.to,
            "subject": message.subject,
            "text": text,
            "html": html,
            "headers": headers,
            "attachments": attachments,
            "size": bytes.len(),
            "port": mail.port,
            "tls": mail.tls,
            "user": mail.user,
        });
        if let Json::Object(all) = all {
            message.json = all;
        }
        Ok(message)
    }

    /// The message for expectations.
    pub fn json(self) -> Json {
        Json::Object(self.json)
    }

    /// The message in a line.
    pub fn line(&self) -> String {
        let to = match &self.to[..] {
            [first, .., _] => format!("{first} and {} more", self.to.len() - 1),
            to => to.concat(),
        };
        cut(&format!("{} to {to}: {}", self.from, self.subject), 300).replace('\n', " ")
    }
}

fn attachment(part: &mail_parser::MessagePart<'_>) -> Json {
    let kind = part.content_type().map(|t| match t.subtype() {
        Some(sub) => format!("{}/{sub}", t.ctype()).to_ascii_lowercase(),
        None => t.ctype().to_ascii_lowercase(),
    });
    let kind = kind.or_else(|| part.is_message().then(|| "message/rfc822".to_owned()));
    let contents = part.contents();
    let sum: String = Sha256::digest(contents)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    json!({
        "name": part.attachment_name(),
        "type": kind.unwrap_or_else(|| "text/plain".to_owned()),
        "size": contents.len(),
        "sha256": sum,
    })
}

/// A text with the line ends of expectations: mail has CR and LF.
fn lines(text: &str) -> String {
    cut(&text.replace("\r\n", "\n"), LONGEST)
}

/// A header's value in one line.
fn unfolded(raw: &str) -> String {
    let lines: Vec<&str> = raw.lines().map(str::trim).collect();
    lines.join(" ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &[u8]) -> Message {
        let mail = Mail {
            id: 3,
            at: 1_700_000_000_000,
            from: "bounce@x".into(),
            to: vec!["b@y".into(), "hidden@y".into()],
            data: STANDARD.encode(data),
            ..Mail::default()
        };
        Message::read(&mail).unwrap()
    }

    #[test]
    fn parts_are_told_apart() {
        let message = read(
            b"From: Shop <a@x>\r\nTo: b@y,\r\n c@y\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\nX-A: 1\r\nX-A: 2\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/alternative; boundary=i\r\n\r\n--i\r\nContent-Type: text/plain\r\n\r\nplain\r\n--i\r\nContent-Type: text/html\r\n\r\n<b>rich</b>\r\n--i--\r\n--o\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--o--\r\n",
        );
        assert_eq!(message.line(), "a@x to b@y and 1 more: caf\u{e9}");
        let json = message.json();
        assert_eq!(
            (&json["from"], &json["sender"]),
            (&json!("a@x"), &json!("bounce@x"))
        );
        assert_eq!(json["text"], "plain");
        assert_eq!(json["html"], "<b>rich</b>");
        assert_eq!(json["headers"]["x-a"], "1, 2");
        assert_eq!(json["headers"]["to"], "b@y, c@y");
        assert_eq!(json["headers"]["subject"], "caf\u{e9}");
        assert_eq!(json["at"], "2023-11-14T22:13:20Z");
        let pdf = &json["attachments"][0];
        assert_eq!((&pdf["name"], &pdf["size"]), (&json!("a.pdf"), &json!(4)));
        assert_eq!(pdf["type"], "application/pdf");
        assert!(pdf["sha256"].as_str().unwrap().starts_with("315d429b"));
    }

    #[test]
    fn what_is_no_message_is_no_reason_to_fail() {
        for data in [
            &b""[..],
            b"\r\n",
            b"\xff\xfe\0",
            b"no headers at all",
            b"Subject",
        ] {
            let json = read(data).json();
            assert_eq!(json["from"], "bounce@x");
            assert_eq!(json["size"], data.len());
        }
        assert_eq!(read(b"Subject: x\r\n\r\nhi").json()["text"], "hi");
        assert_eq!(read(b"Subject: x\r\n\r\nhi").json()["html"], Json::Null);
        let html = read(b"Content-Type: text/html\r\n\r\n<p>").json();
        assert_eq!((&html["text"], &html["html"]), (&Json::Null, &json!("<p>")));
        assert!(
            Message::read(&Mail {
                data: "?".into(),
                ..Mail::default()
            })
            .is_err()
        );
    }
}
