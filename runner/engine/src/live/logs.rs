//! What the services of a stack printed, as far back as memory allows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// One line that a service printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Position among all lines of the stack, from 1: a later line has a greater number.
    pub number: u64,
    /// The engine's time of the line, UTC.
    pub at: jiff::Timestamp,
    /// Service.
    pub service: Arc<str>,
    /// Replica, from 1.
    pub replica: u32,
    /// Whether it came on stderr.
    pub stderr: bool,
    /// The line without its end; invalid UTF-8 is replaced. Not redacted.
    pub text: String,
}

/// A point in a stack's log: everything up to it is in the past.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor(u64);

/// The log of a stack. Cloning is cheap and shares it.
#[derive(Debug, Clone)]
pub struct LogBook {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Bytes that are kept of each service.
    limit: usize,
    shelves: Mutex<Shelves>,
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Shelves {
    next: u64,
    services: BTreeMap<Arc<str>, Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    lines: VecDeque<LogLine>,
    bytes: usize,
    dropped: u64,
}

impl LogBook {
    /// An empty log that keeps `limit` bytes of each service.
    pub fn new(limit: usize) -> Self {
        let (last, _) = watch::channel(0);
        Self {
            inner: Arc::new(Inner {
                limit,
                shelves: Mutex::default(),
                last,
            }),
        }
    }

    /// The present end of the log: lines that come later are after it.
    pub fn cursor(&self) -> Cursor {
        Cursor(*self.inner.last.borrow())
    }

    /// The lines of a service after a cursor, oldest first (from the oldest kept one for
    /// `Cursor::default()`).
    pub fn lines(&self, service: &str, after: Cursor) -> Vec<LogLine> {
        let shelves = self.shelves();
        let Some(shelf) = shelves.services.get(service) else {
            return Vec::new();
        };
        let from = shelf.lines.partition_point(|l| l.number <= after.0);
        shelf.lines.range(from..).cloned().collect()
    }

    /// The lines of all services after a cursor, in the order in which they came.
    pub fn all(&self, after: Cursor) -> Vec<LogLine> {
        let shelves = self.shelves();
        let mut lines: Vec<LogLine> = shelves
            .services
            .values()
            .flat_map(|s| s.lines.iter().filter(|l| l.number > after.0).cloned())
            .collect();
        lines.sort_by_key(|l| l.number);
        lines
    }

    /// The last `n` lines of one replica of a service, as text.
    pub fn tail(&self, service: &str, replica: u32, n: usize) -> Vec<String> {
        let shelves = self.shelves();
        let Some(shelf) = shelves.services.get(service) else {
            return Vec::new();
        };
        let mut lines: Vec<String> = shelf
            .lines
            .iter()
            .rev()
            .filter(|l| l.replica == replica)
            .take(n)
            .map(|l| l.text.clone())
            .collect();
        lines.reverse();
        lines
    }

    /// How many lines of a service were forgotten because it printed too much.
    pub fn dropped(&self, service: &str) -> u64 {
        self.shelves()
            .services
            .get(service)
            .map_or(0, |s| s.dropped)
    }

    /// Waits until there is a line after the cursor. Lines of all services count.
    pub async fn changed(&self, after: Cursor) {
        let mut last = self.inner.last.subscribe();
        // The sender lives in `self`, so this cannot fail.
        let _ = last.wait_for(|n| *n > after.0).await;
    }

    /// Adds a line; its number is given here.
    pub(super) fn push(&self, mut line: LogLine) {
        {
            let mut shelves = self.shelves();
            shelves.next += 1;
            line.number = shelves.next;
            let shelf = shelves.services.entry(line.service.clone()).or_default();
            shelf.bytes += weight(&line);
            shelf.lines.push_back(line);
            while shelf.bytes > self.inner.limit && shelf.lines.len() > 1 {
                if let Some(old) = shelf.lines.pop_front() {
                    shelf.bytes -= weight(&old);
                    shelf.dropped += 1;
                }
            }
        }
        self.inner.last.send_modify(|n| *n += 1);
    }

    fn shelves(&self) -> std::sync::MutexGuard<'_, Shelves> {
        self.inner
            .shelves
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a line costs in memory.
fn weight(line: &LogLine) -> usize {
    size_of::<LogLine>() + line.text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(service: &str, text: &str) -> LogLine {
        LogLine {
            number: 0,
            at: jiff::Timestamp::UNIX_EPOCH,
            service: service.into(),
            replica: 1,
            stderr: false,
            text: text.into(),
        }
    }

    #[tokio::test]
    async fn only_what_came_after_the_cursor_is_seen() {
        let book = LogBook::new(1 << 16);
        book.push(line("a", "one"));
        let cursor = book.cursor();
        let waiting = tokio::spawn({
            let book = book.clone();
            async move { book.changed(cursor).await }
        });
        book.push(line("b", "two"));
        waiting.await.unwrap();
        assert!(book.lines("a", cursor).is_empty());
        assert_eq!(book.lines("b", cursor)[0].text, "two");
        assert_eq!(book.all(Cursor::default()).len(), 2);
    }

    #[test]
    fn old_lines_are_forgotten_and_counted() {
        let book = LogBook::new(1000);
        for i in 0..100 {
            book.push(line("a", &format!("line {i}")));
        }
        assert!(book.dropped("a") > 50);
        assert_eq!(book.tail("a", 1, 2), ["line 98", "line 99"]);
    }
}
