//! Following the output of containers: pieces of bytes into whole lines.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use prodmirror_model::event::What;

use super::{LogBook, LogLine};
use crate::bus::Sink;
use crate::docker::{Engine, LogQuery, Output, OutputFrom};

/// Longest line that is kept whole; what is longer is cut into several.
const LONGEST_LINE: usize = 64 * 1024;
/// Pause before a log is asked for again after its stream broke.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// A line with the engine's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The engine's time.
    pub at: Timestamp,
    /// Whether it came on stderr.
    pub stderr: bool,
    /// The line without its end; invalid UTF-8 is replaced.
    pub text: String,
}

/// Puts the pieces of one container's log (asked for with timestamps) together.
///
/// The engine cuts lines at 16 KiB into records without an end; a shorter record without one
/// comes only at the very end of the log.
#[derive(Debug, Default)]
pub struct Lines {
    stdout: Open,
    stderr: Open,
}

#[derive(Debug, Default)]
struct Open {
    at: Option<Timestamp>,
    bytes: BytesMut,
}

impl Lines {
    /// Takes a piece, gives the lines that it completes.
    pub fn push(&mut self, piece: &Output) -> Vec<Line> {
        let stderr = piece.from == OutputFrom::Stderr;
        let open = if stderr {
            &mut self.stderr
        } else {
            &mut self.stdout
        };
        let mut done = Vec::new();
        let mut rest: &[u8] = &piece.bytes;
        while !rest.is_empty() {
            let (line, ended) = match rest.iter().position(|b| *b == b'\n') {
                Some(end) => (&rest[..end], true),
                None => (rest, false),
            };
            rest = &rest[line.len() + usize::from(ended)..];
            // The engine stamps each of its records: a continued line has stamps inside.
            let (at, text) = split_stamp(line);
            open.at = open.at.or(at);
            open.bytes.extend_from_slice(text);
            if ended || open.bytes.len() >= LONGEST_LINE {
                done.push(open.take(stderr));
            }
        }
        done
    }

    /// What is left when the log ends.
    pub fn finish(&mut self) -> Vec<Line> {
        let mut done = Vec::new();
        for (open, stderr) in [(&mut self.stdout, false), (&mut self.stderr, true)] {
            if !open.bytes.is_empty() {
                done.push(open.take(stderr));
            }
        }
        done
    }
}

impl Open {
    fn take(&mut self, stderr: bool) -> Line {
        let bytes = self.bytes.split();
        let text = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
        Line {
            at: self.at.take().unwrap_or(Timestamp::UNIX_EPOCH),
            stderr,
            text: String::from_utf8_lossy(text).into_owned(),
        }
    }
}

/// The engine's time at the begin of a record, and the rest.
fn split_stamp(record: &[u8]) -> (Option<Timestamp>, &[u8]) {
    let Some(blank) = record.iter().take(40).position(|b| *b == b' ') else {
        return (None, record);
    };
    let stamp = std::str::from_utf8(&record[..blank])
        .ok()
        .and_then(|s| s.parse().ok());
    match stamp {
        Some(at) => (Some(at), &record[blank + 1..]),
        None => (None, record),
    }
}

/// Gives every line of a container to `take`, across restarts of the container and breaks of
/// the connection, without gaps or doubles. `again` completes when it makes sense to follow
/// once more, after the log has ended. Returns when the container is removed.
pub async fn follow(
    engine: &Engine,
    id: &str,
    again: impl Fn() -> BoxFuture<'static, ()> + Send,
    take: impl FnMut(Line) + Send,
) {
    follow_from(engine, id, LogQuery::default(), again, take).await;
}

/// As [`follow`], from a part of the log on.
pub async fn follow_from(
    engine: &Engine,
    id: &str,
    mut wanted: LogQuery,
    again: impl Fn() -> BoxFuture<'static, ()> + Send,
    mut take: impl FnMut(Line) + Send,
) {
    wanted.follow = true;
    wanted.timestamps = true;
    let mut last: Option<Timestamp> = None;
    loop {
        if let Some(last) = last {
            wanted.since = Some(last.as_second());
            wanted.tail = None;
        }
        let mut stream = engine.logs(id, &wanted);
        let mut lines = Lines::default();
        let seen = last;
        let mut give = |line: Line| {
            // `since` counts whole seconds: what was given before comes again.
            if seen.is_none_or(|seen| line.at > seen) {
                last = Some(line.at);
                take(line);
            }
        };
        while let Some(piece) = stream.next().await {
            match piece {
                Ok(piece) => lines.push(&piece).into_iter().for_each(&mut give),
                Err(e) if e.is_missing() => return,
                Err(_) => break,
            }
        }
        lines.finish().into_iter().for_each(&mut give);
        tokio::time::sleep(AGAIN_AFTER).await;
        again().await;
    }
}

/// Whose lines they are.
#[derive(Clone)]
pub struct Speaker {
    /// Stack.
    pub stack: Arc<str>,
    /// Service.
    pub service: Arc<str>,
    /// Replica.
    pub replica: u32,
}

/// Keeps a line and makes it known.
pub fn record(speaker: &Speaker, line: Line, logs: &LogBook, sink: &dyn Sink) {
    sink.emit(What::Log {
        stack: speaker.stack.to_string(),
        service: speaker.service.to_string(),
        replica: speaker.replica,
        stream: if line.stderr { "stderr" } else { "stdout" }.to_owned(),
        line: line.text.clone(),
    });
    logs.push(LogLine {
        number: 0,
        at: line.at,
        service: speaker.service.clone(),
        replica: speaker.replica,
        stderr: line.stderr,
        text: line.text,
    });
}

/// The last lines of a container, as text, oldest first. Nothing when they cannot be had.
pub async fn tail(engine: &Engine, id: &str, lines: u32) -> Vec<String> {
    let wanted = LogQuery {
        tail: Some(lines),
        timestamps: true,
        ..LogQuery::default()
    };
    let mut stream = engine.logs(id, &wanted);
    let mut assembled = Lines::default();
    let mut all = Vec::new();
    while let Some(Ok(piece)) = stream.next().await {
        all.extend(assembled.push(&piece));
    }
    all.extend(assembled.finish());
    all.sort_by_key(|l| l.at);
    all.into_iter().map(|l| l.text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(from: OutputFrom, text: &[u8]) -> Output {
        Output {
            from,
            bytes: bytes::Bytes::copy_from_slice(text),
        }
    }

    #[test]
    fn lines_are_put_together_from_records() {
        let mut lines = Lines::default();
        let stamp = "2026-01-02T03:04:05.000000006Z";
        let first = format!("{stamp} {}", "x".repeat(16 * 1024));
        assert!(
            lines
                .push(&piece(OutputFrom::Stdout, first.as_bytes()))
                .is_empty()
        );
        let err = format!("{stamp} oops\n");
        let got = lines.push(&piece(OutputFrom::Stderr, err.as_bytes()));
        assert_eq!((got[0].text.as_str(), got[0].stderr), ("oops", true));
        let second = format!("{stamp} end\r\n");
        let got = lines.push(&piece(OutputFrom::Stdout, second.as_bytes()));
        assert_eq!(got[0].text.len(), 16 * 1024 + 3);
        assert_eq!(got[0].at, stamp.parse().unwrap());
        let last = format!("{stamp} no end");
        assert!(
            lines
                .push(&piece(OutputFrom::Stdout, last.as_bytes()))
                .is_empty()
        );
        assert_eq!(lines.finish()[0].text, "no end");
    }

    #[test]
    fn any_bytes_are_a_line() {
        let mut lines = Lines::default();
        let got = lines.push(&piece(OutputFrom::Terminal, b"\xff\x00 a b\n\n"));
        assert_eq!(got.len(), 2);
        assert_eq!(got[0].text, "\u{fffd}\0 a b");
        assert_eq!(got[1].text, "");
    }
}
