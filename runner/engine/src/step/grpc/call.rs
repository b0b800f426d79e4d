//! One call: what is sent, and all that comes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use hyper::http::uri::PathAndQuery;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::Document;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use serde_json::{Map, Value as Json};
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status, Streaming};

use super::channel::Channel;
use super::codec::Raw;
use super::{Receive, message, status};
use crate::step::StepError;

/// Bytes of all messages that are received at most.
pub(super) const LARGEST: usize = 16 * 1024 * 1024;

/// Messages of a stream at most.
pub(super) const MOST: usize = 10_000;

/// A client over a channel.
pub(super) fn client(channel: &Channel) -> Result<Grpc<Channel>, StepError> {
    let origin = channel.origin()?;
    Ok(Grpc::with_origin(channel.clone(), origin).max_decoding_message_size(LARGEST))
}

/// The path of a method.
pub(super) fn path(service: &str, method: &str) -> Result<PathAndQuery, StepError> {
    format!("/{service}/{method}")
        .parse()
        .map_err(|e| StepError::transport(format!("`{service}/{method}` cannot be called: {e}")))
}

/// What is sent.
pub(super) struct Call<'a> {
    pub method: &'a MethodDescriptor,
    pub messages: Vec<Bytes>,
    pub metadata: MetadataMap,
    pub deadline: Option<Duration>,
    pub receive: Receive,
}

/// What came.
#[derive(Debug)]
pub(super) struct Came {
    pub code: Code,
    pub message: String,
    pub messages: Vec<Json>,
    pub headers: Map<String, Json>,
    pub trailers: Map<String, Json>,
    pub details: Vec<Json>,
    pub took: Duration,
}

/// How receiving went on.
enum Next {
    Message(Bytes),
    /// The server's end of it.
    End,
    Failed(Status),
    /// The step has seen enough, or its time for it is over.
    Enough,
    Late,
}

impl Call<'_> {
    pub async fn make(mut self, channel: &Channel) -> Result<Came, StepError> {
        let begun = Instant::now();
        let path = path(self.method.parent_service().full_name(), self.method.name())?;
        // A server that watches ends with what it is sent: as long as more is waited for, the
        // stream stays open.
        let stays = self.method.is_client_streaming()
            && self.method.is_server_streaming()
            && self.receive.is_any();
        let messages = tokio_stream::iter(std::mem::take(&mut self.messages));
        let outgoing = if stays {
            messages
                .chain(futures_util::stream::pending())
                .left_stream()
        } else {
            messages.right_stream()
        };
        let mut request = Request::new(outgoing);
        *request.metadata_mut() = std::mem::take(&mut self.metadata);
        if let Some(deadline) = self.deadline {
            request.set_timeout(deadline);
        }
        let mut came = Came {
            code: Code::Ok,
            message: String::new(),
            messages: Vec::new(),
            headers: Map::new(),
            trailers: Map::new(),
            details: Vec::new(),
            took: Duration::ZERO,
        };
        let mut client = client(channel)?;
        let opening = client.streaming(request, path, Raw);
        // The server tells the deadline too; it may be a little late with it.
        let deadline = self.deadline.map(|d| begun + d + GRACE);
        let within = self.receive.within().map(|w| begun + w);
        let opened = match earliest(deadline, within) {
            None => opening.await,
            Some(at) => match tokio::time::timeout_at(at.into(), opening).await {
                Ok(opened) => opened,
                Err(_) => {
                    if deadline.is_some_and(|d| d <= at) {
                        self.late(&mut came);
                    }
                    came.took = begun.elapsed();
                    return Ok(came);
                }
            },
        };
        let response = match opened {
            Ok(response) => response,
            Err(status) => {
                self.failed(channel, status, &mut came)?;
                came.took = begun.elapsed();
                return Ok(came);
            }
        };
        came.headers = status::metadata(response.metadata());
        let mut stream = response.into_inner();
        let mut bytes = 0;
        loop {
            let next = self
                .next(&mut stream, came.messages.len(), deadline, within)
                .await;
            match next {
                Next::Message(message) => {
                    bytes += message.len();
                    if bytes > LARGEST || came.messages.len() >= MOST {
                        return Err(self.too_much());
                    }
                    came.messages.push(self.read(message)?);
                }
                Next::End => {
                    if let Ok(Some(trailers)) = stream.trailers().await {
                        came.trailers = own(&trailers);
                    }
                    break;
                }
                Next::Failed(status) => {
                    self.failed(channel, status, &mut came)?;
                    break;
                }
                Next::Late => {
                    self.late(&mut came);
                    break;
                }
                Next::Enough => break,
            }
        }
        came.took = begun.elapsed();
        Ok(came)
    }

    async fn next(
        &self,
        stream: &mut Streaming<Bytes>,
        got: usize,
        deadline: Option<Instant>,
        within: Option<Instant>,
    ) -> Next {
        if self.receive.enough(got) {
            return Next::Enough;
        }
        let message = stream.message();
        let came = match earliest(deadline, within) {
            None => message.await,
            Some(at) => match tokio::time::timeout_at(at.into(), message).await {
                Ok(came) => came,
                Err(_) if deadline.is_some_and(|d| d <= at) => return Next::Late,
                Err(_) => return Next::Enough,
            },
        };
        match came {
            Ok(Some(message)) => Next::Message(message),
            Ok(None) => Next::End,
            Err(status) => Next::Failed(status),
        }
    }

    fn late(&self, came: &mut Came) {
        let deadline = self.deadline.unwrap_or_default();
        came.code = Code::DeadlineExceeded;
        came.message = format!(
            "no answer within the deadline of {}",
            humantime::format_duration(deadline)
        );
    }

    /// A status that the server gave is an answer; one that it did not give is none.
    fn failed(&self, channel: &Channel, status: Status, came: &mut Came) -> Result<(), StepError> {
        if !channel.answered() {
            if status.code() == Code::OutOfRange {
                return Err(self.too_much());
            }
            return Err(channel.no_answer(&status));
        }
        came.code = status.code();
        came.message = status.message().to_owned();
        came.trailers = own(status.metadata());
        let pool = self.method.parent_pool();
        came.details = status::details(status.details(), pool);
        Ok(())
    }

    fn read(&self, bytes: Bytes) -> Result<Json, StepError> {
        let kind = self.method.output();
        let name = kind.full_name().to_owned();
        let read = DynamicMessage::decode(kind, bytes)
            .map_err(|e| StepError::transport(format!("what came is no {name}: {e}")))?;
        message::to_json(&read).map_err(|e| {
            Problem::new(
                ProblemKind::Unsupported,
                format!("the {name} that came cannot be shown: {e}"),
            )
            .help("a google.protobuf.Any needs the file of what is in it: name it in `proto`")
            .into()
        })
    }

    fn too_much(&self) -> StepError {
        Problem::new(
            ProblemKind::TooLarge,
            format!(
                "{} gave more than {} MiB or {MOST} messages",
                self.method.full_name(),
                LARGEST / 1024 / 1024
            ),
        )
        .help("say how much is enough: `receive: { count: 10 }`")
        .into()
    }
}

/// How long after the deadline the server's own word is waited for.
const GRACE: Duration = Duration::from_millis(100);

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Metadata without what the protocol itself puts there.
fn own(map: &MetadataMap) -> Map<String, Json> {
    let mut fields = status::metadata(map);
    fields.retain(|name, _| {
        !matches!(
            name.as_str(),
            "grpc-status" | "grpc-message" | "grpc-status-details-bin"
        )
    });
    fields
}

impl Came {
    /// The step's result.
    pub fn document(self) -> Document {
        let mut d = Document::default();
        d.set("status", status::name(self.code));
        d.set("code", self.code as i32);
        d.set("message", self.message);
        d.set("count", self.messages.len());
        d.set("json", self.messages.last().cloned().unwrap_or(Json::Null));
        d.set("messages", self.messages);
        d.set("headers", self.headers);
        d.set("trailers", self.trailers);
        d.set("details", self.details);
        d.took(self.took);
        d
    }

    /// As people read it.
    pub fn show(&self) -> String {
        let mut text = status::name(self.code).to_owned();
        if !self.message.is_empty() {
            text.push_str(": ");
            text.push_str(&self.message);
        }
        for (name, value) in self.headers.iter().chain(&self.trailers) {
            let value = value.as_str().unwrap_or_default();
            text.push_str(&format!("\n{name}: {value}"));
        }
        for shown in self.details.iter().chain(self.messages.iter().take(SHOWN)) {
            text.push_str(&format!("\n{shown}"));
        }
        if self.messages.len() > SHOWN {
            let more = self.messages.len() - SHOWN;
            text.push_str(&format!("\n… ({more} messages more)"));
        }
        text
    }
}

/// Messages that are worth showing.
const SHOWN: usize = 20;
