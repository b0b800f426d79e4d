//! `events`: server-sent events, as they come.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header;
use prodmirror_model::check::Expr;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Mismatch;
use prodmirror_model::template::{Document, Scope};
use prodmirror_model::yaml::{Node, Spanned};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tokio::time::Instant;

use super::response::{LARGEST, Whole, broke_off, too_large};
use crate::step::StepError;
use crate::step::fields::Time;

/// Events of a response at most.
const MOST: usize = 10_000;

/// `events: { count, within, until }`, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    #[serde(default)]
    count: Option<Spanned<usize>>,
    #[serde(default)]
    within: Option<Time>,
    #[serde(default)]
    until: Option<Node>,
}

/// How many events are waited for.
#[derive(Debug)]
pub(super) struct Events {
    count: Option<usize>,
    pub within: Option<Duration>,
    until: Option<Expr>,
}

impl Events {
    pub fn new(a: Args) -> Result<Self, Problem> {
        if let Some(count) = a.count.as_ref().filter(|c| c.value > MOST) {
            return Err(Problem::at(
                ProblemKind::TooLarge,
                &count.span,
                format!("at most {MOST} events are read"),
            ));
        }
        let until = match &a.until {
            Some(node) => Some(Expr::new(
                &node.scalar_text().unwrap_or_default(),
                &node.span,
            )?),
            None => None,
        };
        let count = a.count.map(|c| c.value);
        Ok(Self {
            // No event may come: that is known only after a time.
            within: match (a.within, count) {
                (Some(t), _) => Some(t.0),
                (None, Some(0)) => Some(Duration::from_secs(5)),
                (None, _) => None,
            },
            count,
            until,
        })
    }

    /// Reads a response until enough events came, the time is over, or it ends. What the
    /// step itself expected and did not find is told beside it.
    pub async fn read(
        &self,
        response: Response<Incoming>,
        begun: std::time::Instant,
        scope: &Scope,
    ) -> Result<(Whole, Vec<Json>, Option<Mismatch>), StepError> {
        let (parts, mut body) = response.into_parts();
        let of = |name| parts.headers.get(name).and_then(|v| v.to_str().ok());
        let mut unpack = Unpack::new(of(header::CONTENT_ENCODING))?;
        let kind = of(header::CONTENT_TYPE).unwrap_or("no type").to_owned();
        let deadline = self.within.map(|w| Instant::from_std(begun) + w);
        let mut reader = Reader::default();
        let mut events = Vec::new();
        let mut encoded_size = 0;
        // With `count: 0` no event may come: the first ends the wait.
        let enough = self.count.map(|c| c.max(1));
        let mut met = self.until.is_none();
        let mut unclear = None;
        'reading: loop {
            let next = match deadline {
                Some(at) => match tokio::time::timeout_at(at, body.frame()).await {
                    Ok(next) => next,
                    Err(_) => break,
                },
                None => body.frame().await,
            };
            let frame = match next {
                None => {
                    unpack.end()?;
                    break;
                }
                Some(Ok(frame)) => frame,
                Some(Err(e)) => {
                    let StepError::Transport(why) = broke_off(&e) else {
                        return Err(broke_off(&e));
                    };
                    let came = events.len();
                    return Err(StepError::transport(format!("{why} (after {came} events)")));
                }
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            encoded_size += data.len();
            for piece in data.chunks(PIECE) {
                reader.feed(unpack.feed(piece)?);
                if reader.text.len() > LARGEST {
                    return Err(too_large());
                }
                while let Some(event) = reader.next() {
                    let document = event.document();
                    // An event without the key that is asked for is not the one.
                    let wanted = match &self.until {
                        None => false,
                        Some(until) => until.is_true(&document, scope).unwrap_or_else(|m| {
                            unclear = Some(m.actual);
                            false
                        }),
                    };
                    events.push(Json::Object(document.fields));
                    met |= wanted;
                    if wanted || enough.is_some_and(|n| events.len() >= n) {
                        break 'reading;
                    }
                    if events.len() >= MOST {
                        return Err(too_many());
                    }
                }
            }
        }
        let mut mismatch = self.mismatch(events.len(), met, &kind);
        if let (Some(m), Some(why)) = (&mut mismatch, unclear) {
            m.hint = Some(format!("of an event, `until` had no value: {why}"));
        }
        let whole = Whole {
            status: parts.status,
            version: parts.version,
            headers: parts.headers,
            encoded_size,
            body: Bytes::from(reader.text),
            extensions: parts.extensions,
        };
        Ok((whole, events, mismatch))
    }

    fn mismatch(&self, got: usize, met: bool, kind: &str) -> Option<Mismatch> {
        let time = self.within.map_or_else(
            || "before the response ended".to_owned(),
            |w| format!("within {}", humantime::format_duration(w)),
        );
        let expected = match (self.count, &self.until) {
            _ if met && self.until.is_some() => return None,
            (_, Some(until)) => format!("an event with `{}` {time}", until.source()),
            (Some(count), None) if got != count => match count {
                0 => format!("no event {time}"),
                n => format!("{n} events {time}"),
            },
            _ => return None,
        };
        let mut actual = format!("{got} came");
        if got == 0 && !kind.starts_with("text/event-stream") {
            actual.push_str(&format!("; the response is {kind}, not text/event-stream"));
        }
        Some(Mismatch {
            expectation: "events".into(),
            kind: "http".into(),
            place: self
                .until
                .as_ref()
                .filter(|u| u.span().is_real())
                .map(|u| u.span().into()),
            expected,
            actual,
            path: None,
            hint: None,
        })
    }
}

fn too_many() -> StepError {
    Problem::new(
        ProblemKind::TooLarge,
        format!("the response has more than {MOST} events"),
    )
    .help("say how many are enough: `events: { count: 10 }`")
    .into()
}

/// Bytes that are unpacked at once, so that a little that becomes much is noticed.
const PIECE: usize = 4096;

/// A body that may be packed, as it comes.
enum Unpack {
    No(Vec<u8>),
    Gzip(flate2::write::MultiGzDecoder<Vec<u8>>),
    Deflate(flate2::write::ZlibDecoder<Vec<u8>>),
    Brotli(Box<brotli_decompressor::DecompressorWriter<Vec<u8>>>),
}

impl Unpack {
    fn new(encoding: Option<&str>) -> Result<Self, StepError> {
        Ok(match encoding.map(str::trim) {
            None | Some("" | "identity") => Unpack::No(Vec::new()),
            Some("gzip" | "x-gzip") => Unpack::Gzip(flate2::write::MultiGzDecoder::new(Vec::new())),
            Some("deflate") => Unpack::Deflate(flate2::write::ZlibDecoder::new(Vec::new())),
            Some("br") => {
                let z = brotli_decompressor::DecompressorWriter::new(Vec::new(), PIECE);
                Unpack::Brotli(Box::new(z))
            }
            Some(other) => {
                return Err(StepError::transport(format!(
                    "the events are encoded as {other}, which is not read here"
                )));
            }
        })
    }

    /// That nothing is missing.
    fn end(&mut self) -> Result<(), StepError> {
        match self {
            Unpack::No(_) => Ok(()),
            Unpack::Gzip(z) => z.try_finish(),
            Unpack::Deflate(z) => z.try_finish(),
            Unpack::Brotli(z) => z.close(),
        }
        .map_err(|e| packed(&e))
    }

    fn feed(&mut self, piece: &[u8]) -> Result<Vec<u8>, StepError> {
        let fed = match self {
            Unpack::No(out) => out.write_all(piece),
            Unpack::Gzip(z) => z.write_all(piece).and_then(|()| z.flush()),
            Unpack::Deflate(z) => z.write_all(piece).and_then(|()| z.flush()),
            Unpack::Brotli(z) => z.write_all(piece).and_then(|()| z.flush()),
        };
        fed.map_err(|e| packed(&e))?;
        Ok(std::mem::take(match self {
            Unpack::No(out) => out,
            Unpack::Gzip(z) => z.get_mut(),
            Unpack::Deflate(z) => z.get_mut(),
            Unpack::Brotli(z) => z.get_mut(),
        }))
    }
}

fn packed(e: &std::io::Error) -> StepError {
    StepError::transport(format!("the events cannot be unpacked: {e}"))
}

/// Cuts a stream into events, as the HTML standard has it.
#[derive(Default)]
struct Reader {
    /// All that came.
    text: Vec<u8>,
    /// Where the next line begins.
    at: usize,
    /// Up to where it was looked at.
    seen: usize,
    event: Event,
    id: String,
}

/// One event.
#[derive(Default)]
struct Event {
    name: String,
    id: String,
    data: String,
    has_data: bool,
}

impl Reader {
    fn feed(&mut self, bytes: Vec<u8>) {
        if self.text.is_empty() {
            self.text = bytes;
        } else {
            self.text.extend_from_slice(&bytes);
        }
    }

    /// The next whole line: it ends with a line feed, a carriage return, or both.
    fn line(&mut self) -> Option<String> {
        let rest = self.text.get(self.seen..)?;
        let Some(end) = rest.iter().position(|b| matches!(b, b'\n' | b'\r')) else {
            self.seen = self.text.len();
            return None;
        };
        let end = self.seen + end;
        let mut next = end + 1;
        if self.text[end] == b'\r' {
            match self.text.get(next) {
                Some(b'\n') => next += 1,
                Some(_) => {}
                // Whether a line feed follows is not known yet.
                None => {
                    self.seen = end;
                    return None;
                }
            }
        }
        let mut line = &self.text[self.at..end];
        if self.at == 0 {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        let line = String::from_utf8_lossy(line).into_owned();
        self.at = next;
        self.seen = next;
        Some(line)
    }

    fn next(&mut self) -> Option<Event> {
        while let Some(line) = self.line() {
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                if event.has_data {
                    return Some(Event {
                        id: self.id.clone(),
                        ..event
                    });
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.event.name),
                "data" => {
                    if self.event.has_data {
                        self.event.data.push('\n');
                    }
                    self.event.data.push_str(value);
                    self.event.has_data = true;
                }
                "id" if !value.contains('\0') => value.clone_into(&mut self.id),
                _ => {}
            }
        }
        None
    }
}

impl Event {
    fn document(self) -> Document {
        let json = serde_json::from_str(&self.data).ok();
        let name = match self.name.as_str() {
            "" => "message",
            name => name,
        };
        let mut fields = Map::with_capacity(4);
        fields.insert("event".into(), name.into());
        fields.insert("id".into(), self.id.into());
        fields.insert("data".into(), self.data.into());
        fields.insert("json".into(), json.unwrap_or(Json::Null));
        Document {
            fields,
            ..Document::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All events of a text that comes in pieces of `size` bytes.
    fn events(text: &[u8], size: usize) -> Vec<(String, String, String)> {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        for piece in text.chunks(size) {
            reader.feed(piece.to_vec());
            while let Some(e) = reader.next() {
                events.push((e.name, e.id, e.data));
            }
        }
        events
    }

    #[test]
    fn a_stream_is_cut_the_same_however_it_comes() {
        let text = "\u{feff}: hello\n\nevent: add\nid: 7\ndata: a\ndata:  b\r\n\r\ndata\n\nid\rdata: ü\r\rretry: 5\n\ndata: never ended";
        let of = |name: &str, id: &str, data: &str| (name.into(), id.into(), data.into());
        let want = [of("add", "7", "a\n b"), of("", "7", ""), of("", "", "ü")];
        for size in 1..text.len() {
            assert_eq!(events(text.as_bytes(), size), want, "{size}");
        }
    }
}
