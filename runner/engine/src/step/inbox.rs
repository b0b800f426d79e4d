//! Messages that come while other steps run, kept until a step asks for them.

// A tool that is built without some kinds does not use all of this.
#![cfg_attr(
    not(all(feature = "mqtt", feature = "nats", feature = "websocket")),
    allow(dead_code)
)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::event::Mismatch;
use prodmirror_model::source::Span;
use prodmirror_model::template::{Document, Scope, Text};
use prodmirror_model::yaml::Spanned;
use serde_json::{Map, Value as Json};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::fields::Time;
use super::filter::Where;
use super::payload::to_base64;
use super::{Done, Sessions, StepError, Trail};

/// Messages that are kept, and that a step may ask for.
pub(super) const MOST: u32 = 10_000;
/// Bytes of all messages that are kept.
pub(super) const LARGEST: usize = 16 * 1024 * 1024;

/// Messages that came and were not asked for yet. What comes when it is full is lost, and
/// counted.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    next: u64,
    lost: u64,
    end: Option<String>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    bytes: usize,
    message: Json,
}

/// Which messages a step asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// How many; 0: none may come.
    pub count: u32,
    pub within: Duration,
    pub only: Where,
    /// Whether they are gone afterwards.
    pub ack: bool,
}

/// What a step got.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub messages: Vec<Json>,
    /// How many were lost since the inbox was opened.
    pub lost: u64,
    /// Why no more will come.
    pub end: Option<String>,
    /// How many others are there, that were not meant.
    pub others: usize,
}

impl Wanted {
    /// With what is usual where nothing is said.
    pub fn new(
        count: Option<Spanned<u32>>,
        within: Option<Time>,
        only: Option<Where>,
        ack: Option<bool>,
    ) -> Result<Self, Problem> {
        if let Some(c) = &count
            && c.value > MOST
        {
            return Err(Problem::at(
                ProblemKind::TooLarge,
                &c.span,
                "too many messages for one step",
            )
            .help(format!("at most {MOST} are taken")));
        }
        Ok(Self {
            count: count.map_or(1, |c| c.value),
            within: within.map_or(Duration::from_secs(5), |t| t.0),
            only: only.unwrap_or_default(),
            ack: ack.unwrap_or(true),
        })
    }

    /// How many end the wait: where none may come, the first does.
    pub fn enough(&self) -> usize {
        self.count.max(1) as usize
    }

    /// Whether what was taken is what was asked for.
    pub fn met(&self, taken: &Taken) -> bool {
        taken.messages.len() == self.count as usize
    }

    /// The result of a step, with what is wrong about it.
    pub fn done(&self, taken: Taken, kind: &str, from: &str, place: &Span) -> Done {
        let mismatch = (!self.met(&taken)).then(|| self.mismatch(&taken, kind, from, place));
        let mut done = Done::from(taken.document());
        done.mismatches.extend(mismatch);
        done
    }

    fn mismatch(&self, taken: &Taken, kind: &str, from: &str, place: &Span) -> Mismatch {
        let meant = match self.only.is_empty() {
            true => String::new(),
            false => format!(" {}", self.only.words()),
        };
        let within = humantime::format_duration(self.within);
        let mut actual = format!("{} came", taken.messages.len());
        if taken.others > 0 {
            actual.push_str(&format!(", and {} that are not meant", taken.others));
        }
        if let Some(why) = &taken.end {
            actual.push_str(&format!("; {why}"));
        }
        Mismatch {
            expectation: format!("get {} from {from}{meant}", self.count),
            kind: kind.to_owned(),
            place: place.is_real().then(|| place.into()),
            expected: match self.count {
                0 => format!("no message{meant} within {within}"),
                n => format!("{n} messages{meant} within {within}"),
            },
            actual,
            path: None,
            hint: (taken.lost > 0).then(|| {
                format!(
                    "{} messages were lost: no more than {MOST} messages or {} MiB are kept between two steps",
                    taken.lost,
                    LARGEST / 1024 / 1024
                )
            }),
        }
    }
}

impl Taken {
    /// As a result.
    pub fn document(self) -> Document {
        Document::default()
            .with("count", self.messages.len())
            .with("lost", self.lost)
            .with("messages", self.messages)
    }

    /// As evidence.
    pub fn show(&self, from: &str, trail: &mut Trail) {
        let shown: Vec<String> = self.messages.iter().take(5).map(Json::to_string).collect();
        trail.add(
            "messages",
            format!("{} from {from}\n{}", self.messages.len(), shown.join("\n")),
        );
    }
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a message; `bytes` is what its body needs.
    pub fn put(&self, message: Json, bytes: usize) {
        let mut state = self.lock();
        if state.waiting.len() >= MOST as usize || state.bytes + bytes > LARGEST {
            state.lost += 1;
            return;
        }
        let number = state.next;
        state.next += 1;
        state.bytes += bytes;
        state.waiting.push_back(Waiting {
            number,
            bytes,
            message,
        });
        drop(state);
        self.changed.notify_waiters();
    }

    /// Counts a message that could not be kept.
    pub fn lose(&self, count: u64) {
        self.lock().lost += count;
    }

    /// Says why no more will come; the first reason stays.
    pub fn end(&self, why: impl Into<String>) {
        self.lock().end.get_or_insert_with(|| why.into());
        self.changed.notify_waiters();
    }

    /// Why no more will come.
    pub fn ended(&self) -> Option<String> {
        self.lock().end.clone()
    }

    /// Waits until no more will come.
    pub async fn over(&self) -> String {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(why) = self.ended() {
                return why;
            }
            changed.await;
        }
    }

    /// Takes the messages that are meant, when enough of them come in time. When they do
    /// not, all stay for a later step.
    pub async fn take(&self, wanted: &Wanted, scope: &Scope) -> Result<Taken, StepError> {
        let deadline = Instant::now() + wanted.within;
        let (mut meant, mut next) = (Vec::new(), 0);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                for w in state.waiting.iter().filter(|w| w.number >= next) {
                    let json = w.message.get("json").filter(|j| !j.is_null());
                    if wanted.only.meets(json, scope)? {
                        meant.push(w.number);
                    }
                }
                next = state.next;
                // Another step may have taken some in the meantime.
                meant.retain(|n| state.place(*n).is_some());
                if meant.len() >= wanted.enough() || state.end.is_some() {
                    meant.truncate(wanted.enough());
                    return Ok(state.give(&meant, wanted));
                }
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                let mut state = self.lock();
                meant.retain(|n| state.place(*n).is_some());
                return Ok(state.give(&meant, wanted));
            }
        }
    }

    /// Takes everything that is there.
    pub fn drain(&self) -> Taken {
        let mut state = self.lock();
        state.bytes = 0;
        Taken {
            messages: state.waiting.drain(..).map(|w| w.message).collect(),
            lost: state.lost,
            end: state.end.clone(),
            others: 0,
        }
    }
}

impl State {
    fn place(&self, number: u64) -> Option<usize> {
        self.waiting
            .binary_search_by_key(&number, |w| w.number)
            .ok()
    }

    fn give(&mut self, meant: &[u64], wanted: &Wanted) -> Taken {
        let gone = wanted.ack && meant.len() == wanted.count as usize;
        let mut messages = Vec::with_capacity(meant.len());
        for number in meant {
            let Some(place) = self.place(*number) else {
                continue;
            };
            if !gone {
                messages.push(self.waiting[place].message.clone());
            } else if let Some(w) = self.waiting.remove(place) {
                self.bytes -= w.bytes;
                messages.push(w.message);
            }
        }
        let others = self.waiting.len() - if gone { 0 } else { messages.len() };
        Taken {
            messages,
            lost: self.lost,
            end: self.end.clone(),
            others,
        }
    }
}

/// Where a subscription is: service, port, and its name.
type Place = (String, u16, String);

/// Subscriptions that are kept for the scenario.
#[derive(Debug)]
pub(super) struct Subscriptions<T>(Mutex<BTreeMap<Place, Arc<T>>>);

impl<T> Default for Subscriptions<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Send + Sync + 'static> Subscriptions<T> {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a subscription; one of the same name goes.
    pub fn keep(sessions: &Sessions, service: &str, port: u16, name: String, subscription: T) {
        let place = (service.to_owned(), port, name);
        let old = sessions
            .own::<Self>()
            .lock()
            .insert(place, Arc::new(subscription));
        drop(old);
    }

    /// All that a step can name: those of its own branch before the scenario's.
    fn all(sessions: &Sessions, service: &str, port: u16) -> Vec<(String, Arc<T>)> {
        let mut all: Vec<(String, Arc<T>)> = Vec::new();
        for kept in [sessions.own::<Self>(), sessions.shared::<Self>()] {
            for ((s, p, name), subscription) in &*kept.lock() {
                if s == service && *p == port && all.iter().all(|(n, _)| n != name) {
                    all.push((name.clone(), subscription.clone()));
                }
            }
        }
        all
    }

    /// A subscription by its name; the only one, where none is named.
    pub fn find(
        sessions: &Sessions,
        service: &Spanned<String>,
        port: u16,
        from: Option<&Text>,
        scope: &Scope,
    ) -> Result<(String, Arc<T>), StepError> {
        let mut all = Self::all(sessions, &service.value, port);
        let name = from.map(|f| f.render(scope)).transpose()?;
        let found = match &name {
            Some(n) => all.iter().position(|(name, _)| name == n),
            None => (all.len() == 1).then_some(0),
        };
        if let Some(i) = found {
            return Ok(all.swap_remove(i));
        }
        let names: Vec<&str> = all.iter().map(|(n, _)| n.as_str()).collect();
        let span = from.map_or(&service.span, Text::span);
        let to = &service.value;
        let (kind, message) = match &name {
            Some(n) => (
                ProblemKind::UnknownReference,
                format!("no subscription to {to} is named `{n}`"),
            ),
            None if names.is_empty() => (
                ProblemKind::Missing,
                format!("there is no subscription to {to}"),
            ),
            None => (
                ProblemKind::Missing,
                format!("there are {} subscriptions to {to}", names.len()),
            ),
        };
        let near = name.and_then(|n| nearest(&n, names.iter().copied()));
        let help = match near {
            Some(n) => format!("did you mean `{n}`?"),
            None if names.is_empty() => {
                "subscribe before the act: what comes before that is not kept".to_owned()
            }
            None => format!("say which with `from`: {}", names.join(", ")),
        };
        Err(Problem::at(kind, span, message).help(help).into())
    }
}

/// The body of a message, as `json`, `body` (with replacements where it is no UTF-8) and
/// `bytes`; and as `base64` where the text does not say all.
pub(super) fn body(bytes: &[u8]) -> Map<String, Json> {
    let mut map = Map::new();
    let json = serde_json::from_slice::<Json>(bytes).unwrap_or(Json::Null);
    map.insert("json".into(), json);
    map.insert(
        "body".into(),
        String::from_utf8_lossy(bytes).into_owned().into(),
    );
    if std::str::from_utf8(bytes).is_err() {
        map.insert("base64".into(), to_base64(bytes).into());
    }
    map.insert("bytes".into(), bytes.len().into());
    map
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(count: u32, within: u64) -> Wanted {
        Wanted {
            count,
            within: Duration::from_millis(within),
            only: Where::default(),
            ack: true,
        }
    }

    fn message(n: u32) -> Json {
        json!({ "json": { "n": n } })
    }

    #[tokio::test]
    async fn messages_wait_in_their_order() {
        let inbox = Inbox::default();
        let scope = Scope::default();
        (1..=3).for_each(|n| inbox.put(message(n), 1));
        let taken = inbox.take(&wanted(2, 1000), &scope).await.unwrap();
        assert_eq!(taken.messages, [message(1), message(2)]);
        assert_eq!(taken.others, 1);
        // Too few: they stay.
        let wants = wanted(2, 1);
        let taken = inbox.take(&wants, &scope).await.unwrap();
        assert_eq!(taken.messages, [message(3)]);
        let done = wants.done(taken, "nats", "seen", &Span::generated());
        assert_eq!(done.mismatches[0].expected, "2 messages within 1ms");
        assert_eq!(done.mismatches[0].actual, "1 came");
        assert_eq!(inbox.drain().messages, [message(3)]);
        assert!(inbox.drain().messages.is_empty());
    }

    #[tokio::test]
    async fn where_none_may_come_the_first_ends_the_wait_and_stays() {
        let inbox = Inbox::default();
        let scope = Scope::default();
        let none = wanted(0, 60_000);
        inbox.put(message(1), 1);
        let taken = inbox.take(&none, &scope).await.unwrap();
        assert!(!none.met(&taken));
        assert_eq!(inbox.drain().messages, [message(1)]);
        let none = wanted(0, 1);
        assert!(none.met(&inbox.take(&none, &scope).await.unwrap()));
    }

    #[tokio::test]
    async fn a_full_inbox_loses_and_counts() {
        let inbox = Inbox::default();
        for n in 0..MOST + 5 {
            inbox.put(message(n), 0);
        }
        let taken = inbox.drain();
        assert_eq!((taken.messages.len(), taken.lost), (MOST as usize, 5));
        inbox.put(message(0), LARGEST);
        inbox.put(message(1), 1);
        let wants = wanted(2, 1);
        let taken = inbox.take(&wants, &Scope::default()).await.unwrap();
        assert_eq!(taken.lost, 6);
        let done = wants.done(taken, "nats", "seen", &Span::generated());
        let hint = done.mismatches[0].hint.as_deref().unwrap();
        assert!(hint.starts_with("6 messages were lost"), "{hint}");
    }

    #[tokio::test]
    async fn one_message_goes_to_one_of_two_who_wait() {
        let inbox = Arc::new(Inbox::default());
        let waiting = |inbox: Arc<Inbox>| {
            tokio::spawn(async move {
                let wants = wanted(1, 300);
                let taken = inbox.take(&wants, &Scope::default()).await.unwrap();
                taken.messages.len()
            })
        };
        let (a, b) = (waiting(inbox.clone()), waiting(inbox.clone()));
        tokio::task::yield_now().await;
        inbox.put(message(1), 1);
        assert_eq!(a.await.unwrap() + b.await.unwrap(), 1);
    }

    #[tokio::test]
    async fn the_end_ends_the_wait() {
        let inbox = Inbox::default();
        inbox.put(message(1), 1);
        inbox.end("the server is gone");
        inbox.end("later");
        let wants = wanted(2, 60_000);
        let taken = inbox.take(&wants, &Scope::default()).await.unwrap();
        let done = wants.done(taken, "nats", "seen", &Span::generated());
        assert_eq!(done.mismatches[0].actual, "1 came; the server is gone");
        assert_eq!(inbox.over().await, "the server is gone");
    }

    #[test]
    fn bodies_that_are_no_text_come_as_base64() {
        let text = body(br#"{"a":1}"#);
        assert_eq!(text["json"], json!({"a": 1}));
        assert!(!text.contains_key("base64"));
        let bytes = body(b"\xff\x00");
        assert_eq!(bytes["base64"], "/wA=");
        assert_eq!(bytes["bytes"], 2);
        assert_eq!(bytes["json"], Json::Null);
    }
}
