//! The one way by which facts leave the engine: stamped, numbered, redacted, fanned out.

mod excerpt;
mod lane;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prodmirror_model::event::{EVENT_VERSION, Event, What};
use prodmirror_model::redact::Redactor;
use prodmirror_model::source::SourceFile;

use excerpt::Excerpts;
use lane::Lane;

/// Takes facts about a run. The real one is the [`Bus`]; tests collect.
///
/// `emit` never waits for a reporter and never fails: what cannot be written is said by
/// [`Bus::finish`].
pub trait Sink: Send + Sync {
    /// Hands one fact over. The sink stamps and redacts it.
    fn emit(&self, what: What);
}

/// A sink that drops everything, for calls whose facts nobody asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSink;

impl Sink for NoSink {
    fn emit(&self, _what: What) {}
}

/// A sink that keeps everything, for tests and for callers that look at the facts themselves.
#[derive(Debug, Default)]
pub struct Collected(Mutex<Vec<What>>);

impl Collected {
    /// All facts so far, in order.
    pub fn all(&self) -> Vec<What> {
        lock(&self.0).clone()
    }
}

impl Sink for Collected {
    fn emit(&self, what: What) {
        lock(&self.0).push(what);
    }
}

impl<S: Sink + ?Sized> Sink for Arc<S> {
    fn emit(&self, what: What) {
        (**self).emit(what);
    }
}

/// Is told every event of a run, on a thread of its own.
pub trait Subscriber: Send {
    /// Takes one event. May be slow: nothing waits for it.
    fn on(&mut self, event: &Event);

    /// No more events will come.
    fn finish(&mut self) {}
}

/// What a [`Bus`] is made from.
pub struct BusOptions {
    redactor: Redactor,
    file: Option<File>,
    sources: Vec<Arc<SourceFile>>,
    subscribers: Vec<(String, Box<dyn Subscriber>)>,
}

impl BusOptions {
    /// A bus that redacts with `redactor` and tells nobody yet.
    pub fn new(redactor: Redactor) -> Self {
        Self {
            redactor,
            file: None,
            sources: Vec::new(),
            subscribers: Vec::new(),
        }
    }

    /// Writes every event to a new file, one JSON object a line.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn events_file(mut self, path: &Path) -> std::io::Result<Self> {
        self.file = Some(File::create(path)?);
        Ok(self)
    }

    /// Makes the text of a file known: its lines around a failed expectation become an event.
    #[must_use]
    pub fn source(mut self, file: &Arc<SourceFile>) -> Self {
        self.sources.push(file.clone());
        self
    }

    /// Adds a subscriber; `name` is what messages call it.
    #[must_use]
    pub fn subscriber(mut self, name: &str, subscriber: Box<dyn Subscriber>) -> Self {
        self.subscribers.push((name.to_owned(), subscriber));
        self
    }

    /// Starts the bus; the run's clock begins here.
    ///
    /// # Errors
    /// When a thread cannot be started, or the events file cannot be opened a second time.
    pub fn start(self) -> std::io::Result<Bus> {
        let mut lanes = Vec::new();
        if let Some(file) = &self.file {
            let syncer = Box::new(Syncer(file.try_clone()?));
            lanes.push(Lane::start("events file", syncer)?);
        }
        for (name, subscriber) in self.subscribers {
            lanes.push(Lane::start(&name, subscriber)?);
        }
        Ok(Bus {
            redactor: self.redactor,
            began: Instant::now(),
            lanes,
            ordered: Mutex::new(Ordered {
                seq: 0,
                file: self.file,
                problems: Vec::new(),
                excerpts: Excerpts::new(self.sources),
            }),
        })
    }
}

/// Brings the events file to disk whenever a case has ended.
struct Syncer(File);

impl Subscriber for Syncer {
    fn on(&mut self, event: &Event) {
        if matches!(
            event.what,
            What::CaseFinished { .. } | What::RunFinished { .. }
        ) {
            // Some file systems cannot; the data was handed to the system in any case.
            let _ = self.0.sync_data();
        }
    }
}

/// The choke point: every fact of a run passes it.
///
/// A fact is redacted, then stamped and written to the events file before `emit` returns, so
/// that the file holds it even if the process is killed in the next moment. Subscribers follow
/// on their own threads.
pub struct Bus {
    redactor: Redactor,
    began: Instant,
    lanes: Vec<Lane>,
    ordered: Mutex<Ordered>,
}

/// What must happen in the order of the numbers.
struct Ordered {
    seq: u64,
    file: Option<File>,
    problems: Vec<String>,
    excerpts: Excerpts,
}

/// How a bus ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusEnd {
    /// Number of events.
    pub events: u64,
    /// What could not be written, or who did not finish: lowercase fragments.
    pub problems: Vec<String>,
}

impl Bus {
    /// What redacts the events; feed it each secret before anything can print it.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Milliseconds since the bus was started.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Waits until every subscriber has seen all that was emitted before this call; says
    /// whether that was so within `patience`. Blocks the thread.
    pub fn settle(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let seq = lock(&self.ordered).seq;
        self.lanes.iter().all(|l| l.settle(seq, until))
    }

    /// Lets every subscriber finish, waiting at most `patience` for all of them together.
    /// Blocks the thread.
    pub fn finish(&self, patience: Duration) -> BusEnd {
        let until = Instant::now() + patience;
        for lane in &self.lanes {
            lane.close();
        }
        let late: Vec<String> = self.lanes.iter().filter_map(|l| l.end(until)).collect();
        let mut ordered = lock(&self.ordered);
        ordered.problems.extend(late);
        BusEnd {
            events: ordered.seq,
            problems: ordered.problems.clone(),
        }
    }

    fn publish(&self, ordered: &mut Ordered, what: What, json: Result<String, String>) {
        ordered.seq += 1;
        let event = Event {
            v: EVENT_VERSION,
            seq: ordered.seq,
            at: jiff::Timestamp::now(),
            ms: self.elapsed_ms(),
            what,
        };
        let written = json.and_then(|json| ordered.write(&event, &json));
        if let Err(problem) = written
            && ordered.problems.is_empty()
        {
            ordered.problems.push(problem);
        }
        let event = Arc::new(event);
        for lane in &self.lanes {
            lane.push(&event);
        }
    }

    fn redacted(&self, mut what: What) -> (What, Result<String, String>) {
        what.each_text(&mut |text| self.redactor.redact_shown(text));
        let json = serde_json::to_string(&what)
            .map_err(|e| format!("an event could not be written as JSON: {e}"));
        (what, json)
    }
}

impl Sink for Bus {
    fn emit(&self, what: What) {
        let (what, json) = self.redacted(what);
        let mut ordered = lock(&self.ordered);
        for source in ordered.excerpts.wanted_by(&what, &self.redactor) {
            let (source, json) = self.redacted(source);
            self.publish(&mut ordered, source, json);
        }
        self.publish(&mut ordered, what, json);
    }
}

impl Ordered {
    /// Appends one line by one write, so that a kill leaves whole lines.
    fn write(&mut self, event: &Event, json: &str) -> Result<(), String> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let body = json.strip_prefix('{').unwrap_or(json);
        let line = format!(
            "{{\"v\":{},\"seq\":{},\"at\":\"{}\",\"ms\":{},{body}\n",
            event.v, event.seq, event.at, event.ms
        );
        file.write_all(line.as_bytes())
            .map_err(|e| format!("the events file could not be written: {e}"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
