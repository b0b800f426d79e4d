//! Open websockets: the handshake, what comes while other steps run, and the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::header::HeaderMap;
use serde_json::{Map, Value as Json, json};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::error::{
    CapacityError, Error, ProtocolError, SubProtocolError,
};
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::step::inbox::{self, Inbox};
use crate::step::payload::to_base64;
use crate::step::world::Connection;
use crate::step::{Sessions, StepError};

/// Bytes of one message.
const LARGEST: usize = inbox::LARGEST;
/// How long the other side may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

type Stream = WebSocketStream<Connection>;

/// The websockets that have a name.
#[derive(Default)]
pub(super) struct Named(Mutex<BTreeMap<String, Arc<Session>>>);

impl Named {
    /// Keeps a websocket; one of the same name goes.
    pub fn keep(&self, name: &str, session: Arc<Session>) {
        self.lock().insert(name.to_owned(), session);
    }

    /// Forgets a websocket.
    pub fn forget(&self, name: &str, session: &Arc<Session>) {
        let mut all = self.lock();
        if all.get(name).is_some_and(|s| Arc::ptr_eq(s, session)) {
            all.remove(name);
        }
    }

    fn get(&self, name: &str) -> Option<Arc<Session>> {
        self.lock().get(name).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The websocket of a name: of this branch, or else of the scenario.
    pub fn find(sessions: &Sessions, name: &str) -> Result<Arc<Session>, Vec<String>> {
        let (own, shared) = (sessions.own::<Self>(), sessions.shared::<Self>());
        own.get(name).or_else(|| shared.get(name)).ok_or_else(|| {
            let mut names: Vec<String> = own.lock().keys().cloned().collect();
            names.extend(shared.lock().keys().cloned());
            names.sort();
            names.dedup();
            names
        })
    }

    /// Forgets a websocket wherever it is kept.
    pub fn drop_from(sessions: &Sessions, name: &str, session: &Arc<Session>) {
        sessions.own::<Self>().forget(name, session);
        sessions.shared::<Self>().forget(name, session);
    }
}

/// How a websocket ended.
#[derive(Debug, Clone)]
pub(super) struct Closed {
    /// The code of the other side; 1005 where it gave none, 1006 where the connection was cut.
    pub code: u16,
    pub reason: String,
}

/// An open websocket.
pub(super) struct Session {
    pub inbox: Arc<Inbox>,
    pub status: u16,
    pub headers: Map<String, Json>,
    sink: tokio::sync::Mutex<SplitSink<Stream, Message>>,
    closed: Arc<Mutex<Option<Closed>>>,
    reader: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// What came of a handshake.
pub(super) enum Opened {
    Session(Session),
    /// The server answered, and did not agree.
    Refused {
        status: u16,
        headers: Map<String, Json>,
        body: String,
    },
    /// The server agreed, but not on the subprotocol.
    Subprotocol(String),
}

/// Asks for a websocket on a connection.
pub(super) async fn open(
    request: Request,
    stream: Connection,
    host: &str,
) -> Result<Opened, StepError> {
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .max_message_size(Some(LARGEST))
        .max_frame_size(Some(LARGEST));
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((stream, response)) => Ok(Opened::Session(Session::start(
            stream,
            response.status().as_u16(),
            response.headers(),
        ))),
        Err(Error::Http(response)) => Ok(Opened::Refused {
            status: response.status().as_u16(),
            headers: headers(response.headers()),
            body: response
                .body()
                .as_deref()
                .map(|b| String::from_utf8_lossy(b).into_owned())
                .unwrap_or_default(),
        }),
        Err(Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(e))) => {
            Ok(Opened::Subprotocol(match e {
                SubProtocolError::NoSubProtocol => "the server chose none".to_owned(),
                SubProtocolError::InvalidSubProtocol => "the server chose another".to_owned(),
                other => other.to_string(),
            }))
        }
        Err(e) => Err(StepError::transport(format!(
            "no websocket at {host}: {}",
            handshake_words(&e)
        ))),
    }
}

fn headers(map: &HeaderMap) -> Map<String, Json> {
    crate::step::http::response::headers(map)
}

/// Why there was no handshake.
fn handshake_words(e: &Error) -> String {
    match e {
        Error::Protocol(ProtocolError::HandshakeIncomplete)
        | Error::ConnectionClosed
        | Error::AlreadyClosed => "the connection was closed before the handshake was over".into(),
        Error::Protocol(ProtocolError::HttparseError(e)) => {
            format!("what answers there does not speak HTTP ({e})")
        }
        Error::AttackAttempt => {
            "what answers there does not speak HTTP (its answer does not end)".into()
        }
        Error::Protocol(
            e @ (ProtocolError::MissingUpgradeWebSocketHeader
            | ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::SecWebSocketAcceptKeyMismatch),
        ) => format!("the server agreed, but not to this handshake: {e}"),
        other => other.to_string(),
    }
}

impl Session {
    fn start(stream: Stream, status: u16, map: &HeaderMap) -> Self {
        let inbox = Arc::new(Inbox::default());
        let closed = Arc::new(Mutex::new(None));
        let (sink, stream) = stream.split();
        let reader = tokio::spawn(read(stream, inbox.clone(), closed.clone()));
        Self {
            inbox,
            status,
            headers: headers(map),
            sink: tokio::sync::Mutex::new(sink),
            closed,
            reader,
        }
    }

    /// How it ended, when it did.
    pub fn closed(&self) -> Option<Closed> {
        self.closed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sends a message.
    pub async fn send(&self, message: Message) -> Result<(), String> {
        let mut sink = self.sink.lock().await;
        sink.send(message).await.map_err(|e| match e {
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(ProtocolError::SendAfterClosing) => self
                .inbox
                .ended()
                .unwrap_or_else(|| "it is closed".to_owned()),
            other => other.to_string(),
        })
    }

    /// Says goodbye, and waits for the other side's.
    pub async fn close(&self) {
        let goodbye = async {
            let frame = CloseFrame {
                code: 1000.into(),
                reason: "".into(),
            };
            // When it is closed already there is nothing to say.
            let _ = self.send(Message::Close(Some(frame))).await;
            self.inbox.over().await;
        };
        if tokio::time::timeout(GOODBYE, goodbye).await.is_err() {
            self.reader.abort();
            self.inbox.end("the server did not say goodbye");
        }
    }
}

/// Keeps what comes, until the end. Pings are answered by the library while it reads.
async fn read(
    mut stream: SplitStream<Stream>,
    inbox: Arc<Inbox>,
    closed: Arc<Mutex<Option<Closed>>>,
) {
    let over = |code: u16, reason: String, words: String| {
        let mut closed = closed.lock().unwrap_or_else(PoisonError::into_inner);
        if closed.is_none() {
            *closed = Some(Closed { code, reason });
        }
        drop(closed);
        inbox.end(words);
    };
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => inbox.put(document("text", text.as_ref()), text.len()),
            Some(Ok(Message::Binary(bytes))) => {
                inbox.put(document("binary", &bytes), bytes.len());
            }
            Some(Ok(Message::Close(frame))) => {
                let (code, reason) = frame.map_or((1005, String::new()), |f| {
                    (u16::from(f.code), f.reason.to_string())
                });
                let words = match reason.is_empty() {
                    true => format!("the server closed with {code}"),
                    false => format!("the server closed with {code} ({reason})"),
                };
                over(code, reason, words);
            }
            Some(Ok(_)) => {}
            Some(Err(e)) => {
                let words = cut_words(&e);
                return over(1006, words.clone(), words);
            }
            None => {
                let words = "the connection was closed".to_owned();
                return over(1006, words.clone(), words);
            }
        }
    }
}

/// Why a connection is of no more use.
fn cut_words(e: &Error) -> String {
    match e {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            "the connection was cut without a goodbye".into()
        }
        Error::Capacity(CapacityError::MessageTooLong { .. }) => format!(
            "a message came that is larger than {} MiB",
            LARGEST / 1024 / 1024
        ),
        Error::Utf8(_) => "a text message came that is no UTF-8".into(),
        Error::Protocol(e) => format!("the server broke the rules of websockets: {e}"),
        Error::Io(e) => format!("the connection was cut: {e}"),
        other => other.to_string(),
    }
}

/// A message as a document.
fn document(kind: &str, bytes: &[u8]) -> Json {
    let mut body = inbox::body(bytes);
    let mut message = json!({
        "type": kind,
        "text": body.remove("body"),
        "json": body.remove("json"),
        "bytes": bytes.len(),
    });
    if kind == "binary" {
        message["base64"] = to_base64(bytes).into();
    }
    message
}

/// A message to send.
pub(super) fn message(sent: crate::step::payload::Sent) -> Message {
    match (sent.is_text, String::from_utf8(sent.bytes)) {
        (true, Ok(text)) => Message::Text(text.into()),
        (false, Ok(text)) => Message::Binary(Bytes::from(text.into_bytes())),
        (_, Err(e)) => Message::Binary(Bytes::from(e.into_bytes())),
    }
}
