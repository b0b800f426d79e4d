//! What passed, in the order in which it began.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tokio::sync::Notify;

use super::har;

/// Bytes of a body that are kept.
pub const BODY: usize = 1024 * 1024;
/// Bytes of all bodies that are kept.
const BODIES: usize = 64 * 1024 * 1024;
/// Requests that are kept.
const MOST: usize = 10_000;

/// Headers and body of a request or a response.
#[derive(Debug, Default, Clone)]
pub struct Side {
    /// Headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it is kept.
    pub body: Vec<u8>,
    /// How long the body was.
    pub size: u64,
}

impl Side {
    /// Whether the whole body is kept.
    pub fn is_whole(&self) -> bool {
        self.body.len() as u64 == self.size
    }

    /// The first header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }
}

/// A request and its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// When it began.
    pub at: jiff::Timestamp,
    /// How long it took.
    pub took: Duration,
    /// The method.
    pub method: String,
    /// The URL, as production is called.
    pub url: String,
    /// What was asked.
    pub request: Side,
    /// The status, when there was an answer.
    pub status: Option<(u16, String)>,
    /// The answer.
    pub response: Side,
    /// Whether the answer came to its end.
    pub is_complete: bool,
    /// Why there was no answer.
    pub error: Option<String>,
}

/// Tells of an exchange: its number among the steps, or why it is none.
pub type Teller = Box<dyn Fn(&Exchange, Result<usize, &str>) + Send + Sync>;

/// All that passed.
pub struct Book {
    inner: Mutex<Inner>,
    all: bool,
    tell: Teller,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    exchanges: Vec<Exchange>,
    /// Bytes of bodies that are kept.
    bytes: usize,
    /// Requests that came when the book was full.
    beyond: usize,
    /// How many of the exchanges that ended become steps.
    steps: usize,
}

impl Book {
    /// An empty book. With `all`, static files become steps too.
    pub fn new(all: bool, tell: Teller) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::default(),
            all,
            tell,
            changed: Notify::new(),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down that a request began.
    pub fn begin(
        self: &Arc<Self>,
        method: &str,
        url: &str,
        headers: Vec<(String, String)>,
    ) -> Entry {
        let mut inner = self.inner();
        let at = match inner.exchanges.len() < MOST {
            true => {
                inner.exchanges.push(Exchange {
                    at: jiff::Timestamp::now(),
                    took: Duration::ZERO,
                    method: method.to_owned(),
                    url: url.to_owned(),
                    request: Side {
                        headers,
                        ..Side::default()
                    },
                    status: None,
                    response: Side::default(),
                    is_complete: false,
                    error: None,
                });
                Some(inner.exchanges.len() - 1)
            }
            false => {
                inner.beyond += 1;
                None
            }
        };
        Entry {
            book: self.clone(),
            at,
            began: Instant::now(),
        }
    }

    /// Waits until so many exchanges became steps.
    pub async fn has_steps(&self, wanted: usize) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.inner().steps >= wanted {
                return;
            }
            changed.await;
        }
    }

    /// How many exchanges became steps.
    pub fn steps(&self) -> usize {
        self.inner().steps
    }

    /// How many requests came when no more were kept.
    pub fn beyond(&self) -> usize {
        self.inner().beyond
    }

    /// All of it as HAR 1.2.
    pub fn har(&self) -> Json {
        har::log(&self.inner().exchanges)
    }
}

/// A request under way. It is written down as ended when this is dropped, whatever happened.
pub struct Entry {
    book: Arc<Book>,
    at: Option<usize>,
    began: Instant,
}

/// Which side of an exchange a body belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The request.
    Request,
    /// The answer.
    Response,
}

impl Entry {
    fn with(&self, change: impl FnOnce(&mut Exchange)) {
        let mut inner = self.book.inner();
        if let Some(e) = self.at.and_then(|i| inner.exchanges.get_mut(i)) {
            change(e);
        }
    }

    /// Writes down how it was answered.
    pub fn answered(&self, status: (u16, String), headers: Vec<(String, String)>) {
        self.with(|e| {
            e.status = Some(status);
            e.response.headers = headers;
        });
    }

    /// Writes down a piece of a body, as far as there is room.
    pub fn piece(&self, of: Of, bytes: &[u8]) {
        let Some(at) = self.at else { return };
        let mut inner = self.book.inner();
        let room = BODIES.saturating_sub(inner.bytes);
        let Some(e) = inner.exchanges.get_mut(at) else {
            return;
        };
        let side = match of {
            Of::Request => &mut e.request,
            Of::Response => &mut e.response,
        };
        // A body with a hole in it would be another body.
        let whole = side.is_whole();
        side.size = side.size.saturating_add(bytes.len() as u64);
        let fits = bytes.len() <= room.min(BODY.saturating_sub(side.body.len()));
        if whole && fits {
            side.body.extend_from_slice(bytes);
            inner.bytes += bytes.len();
        } else {
            let freed = std::mem::take(&mut side.body).len();
            inner.bytes = inner.bytes.saturating_sub(freed);
        }
    }

    /// Writes down that the answer came to its end.
    pub fn complete(&self) {
        self.with(|e| e.is_complete = true);
    }

    /// Writes down why there is no answer.
    pub fn failed(&self, why: &str) {
        self.with(|e| e.error = Some(why.to_owned()));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let took = self.began.elapsed();
        let mut ended = None;
        {
            let mut inner = self.book.inner();
            if let Some(e) = self.at.and_then(|i| inner.exchanges.get_mut(i)) {
                e.took = took;
                if e.status.is_none() && e.error.is_none() {
                    e.error = Some("the client went away".into());
                }
                let e = e.clone();
                let why = har::left_out(&e, self.book.all);
                if why.is_none() {
                    inner.steps += 1;
                }
                ended = Some((e, why.map_or(Ok(inner.steps), Err)));
            }
        }
        if let Some((e, number)) = ended {
            (self.book.tell)(&e, number);
        }
        self.book.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Arc<Book> {
        Book::new(false, Box::new(|_, _| {}))
    }

    #[test]
    fn a_body_is_kept_whole_or_not_at_all() {
        let book = book();
        let entry = book.begin("POST", "http://gateway/a", Vec::new());
        entry.piece(Of::Request, b"abc");
        entry.piece(Of::Response, &vec![b'x'; BODY]);
        entry.piece(Of::Response, b"y");
        entry.piece(Of::Response, b"z");
        let inner = book.inner();
        let e = &inner.exchanges[0];
        assert_eq!(e.request.body, b"abc");
        assert!(e.request.is_whole());
        assert_eq!(
            (e.response.body.len(), e.response.size),
            (0, BODY as u64 + 2)
        );
        assert!(!e.response.is_whole());
        assert_eq!(inner.bytes, 3);
    }

    #[test]
    fn memory_is_bounded_over_all_bodies() {
        let book = book();
        let piece = vec![b'x'; BODY];
        let entries: Vec<Entry> = (0..70)
            .map(|_| {
                let entry = book.begin("GET", "http://gateway/a", Vec::new());
                entry.piece(Of::Response, &piece);
                entry
            })
            .collect();
        assert!(book.inner().bytes <= BODIES);
        drop(entries);
        assert!(
            book.inner()
                .exchanges
                .iter()
                .any(|e| !e.response.is_whole())
        );
    }

    #[test]
    fn what_was_not_answered_is_written_down() {
        let book = book();
        drop(book.begin("GET", "http://gateway/a", Vec::new()));
        let entry = book.begin("GET", "http://gateway/b", Vec::new());
        entry.answered((200, "OK".into()), Vec::new());
        drop(entry);
        let har = book.har();
        let entries = har["log"]["entries"].as_array().unwrap();
        assert_eq!(entries[0]["response"]["status"], 0);
        assert_eq!(entries[0]["response"]["_error"], "the client went away");
        assert_eq!(entries[1]["response"]["status"], 200);
        assert_eq!(book.inner().steps, 1);
    }

    #[test]
    fn no_more_requests_are_kept_than_there_is_room_for() {
        let book = book();
        for _ in 0..MOST + 3 {
            drop(book.begin("GET", "http://gateway/a", Vec::new()));
        }
        assert_eq!(book.inner().exchanges.len(), MOST);
        assert_eq!(book.beyond(), 3);
    }
}
