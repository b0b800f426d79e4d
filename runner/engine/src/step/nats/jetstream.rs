//! Streams of JetStream.

use std::fmt::Display;
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::message::AckKind;
use async_nats::jetstream::stream::{Config, StorageType, Stream};
use async_nats::jetstream::{self, Context as JetStream, ErrorCode, Message as Stored};
use futures_util::StreamExt;
use prodmirror_model::template::{Document, Text};
use serde_json::Value as Json;
use tokio::time::Instant;

use super::connect::Link;
use super::message::{Declare, Message, Publish, document, subject};
use super::{KIND, NatsAct};
use crate::step::inbox::{LARGEST, MOST, Taken, Wanted};
use crate::step::{Context, Done, StepError};

/// Messages that are asked for at once.
const AT_ONCE: usize = 256;
/// What is left of a time when nothing is asked for any more.
const OVER: Duration = Duration::from_millis(5);

impl NatsAct {
    /// Publishes to a stream, which must say that it has the message.
    pub(super) async fn store(
        &self,
        link: &Link,
        m: &Message<Publish>,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let (subject, payload, headers) = m.render(context)?;
        let sent = jetstream::new(link.client.clone())
            .publish_with_headers(subject.clone(), headers, payload)
            .await;
        let answer = match sent {
            Ok(answer) => answer.await,
            Err(e) => Err(e),
        };
        let mut result = Document::default().with("subject", subject.as_str());
        match answer {
            Ok(ack) => Ok(result
                .with("stream", ack.stream)
                .with("sequence", ack.sequence)
                .with("duplicate", ack.duplicate)
                .into()),
            Err(e) if e.kind() == PublishErrorKind::StreamNotFound => {
                result.set("stream", Json::Null);
                let mut done = Done::from(result);
                done.mismatches.push(self.mismatch(
                    format!("publish to {subject}"),
                    "that a stream stores the message",
                    "no stream takes this subject".into(),
                ));
                Ok(done)
            }
            Err(e) => Err(self.lost(e)),
        }
    }

    pub(super) async fn declare(
        &self,
        link: &Link,
        d: &Declare,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let subjects = d
            .subjects
            .iter()
            .map(|s| subject(s, true, context.scope))
            .collect::<Result<Vec<_>, _>>()?;
        let config = Config {
            name: d.stream.render(context.scope)?,
            subjects,
            storage: match d.durable {
                true => StorageType::File,
                false => StorageType::Memory,
            },
            ..Config::default()
        };
        let stream = jetstream::new(link.client.clone())
            .get_or_create_stream(config)
            .await
            .map_err(|e| self.lost(e))?;
        Ok(state(&stream).into())
    }

    pub(super) async fn look(
        &self,
        link: &Link,
        name: &Text,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let name = name.render(context.scope)?;
        let stream = match self.stream(link, &name).await? {
            Ok(stream) => stream,
            Err(missing) => return Ok(missing),
        };
        let result = state(&stream);
        let depth = stream.cached_info().state.messages;
        context
            .trail
            .add("stream", format!("{name}: {depth} messages"));
        Ok(result.into())
    }

    pub(super) async fn purge(
        &self,
        link: &Link,
        name: &Text,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let name = name.render(context.scope)?;
        let stream = match self.stream(link, &name).await? {
            Ok(stream) => stream,
            Err(missing) => return Ok(missing),
        };
        let purged = stream.purge().await.map_err(|e| self.lost(e))?.purged;
        Ok(Document::default()
            .with("stream", name)
            .with("exists", true)
            .with("purged", purged)
            .into())
    }

    /// A stream; that there is none is an answer.
    async fn stream(&self, link: &Link, name: &str) -> Result<Result<Stream, Done>, StepError> {
        let found = jetstream(link).get_stream(name).await;
        match found {
            Ok(stream) => Ok(Ok(stream)),
            Err(e) => match e.kind() {
                GetStreamErrorKind::JetStream(e)
                    if e.error_code() == ErrorCode::STREAM_NOT_FOUND =>
                {
                    let mismatch = self.mismatch(
                        format!("stream {name}"),
                        "a stream of this name",
                        "there is none".into(),
                    );
                    Ok(Err(Done {
                        document: Document::default()
                            .with("stream", name)
                            .with("exists", false),
                        mismatches: vec![mismatch],
                    }))
                }
                _ => Err(self.lost(e)),
            },
        }
    }

    pub(super) async fn consume(
        &self,
        link: &Link,
        stream: &Text,
        durable: Option<&Text>,
        filter: Option<&Text>,
        wanted: &Wanted,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let name = stream.render(context.scope)?;
        let durable = durable.map(|d| d.render(context.scope)).transpose()?;
        let filter = filter
            .map(|f| subject(f, true, context.scope))
            .transpose()?;
        let stream = match self.stream(link, &name).await? {
            Ok(stream) => stream,
            Err(missing) => return Ok(missing),
        };
        let config = pull::Config {
            durable_name: durable.clone(),
            filter_subject: filter.unwrap_or_default(),
            ack_policy: AckPolicy::Explicit,
            max_ack_pending: i64::from(MOST),
            ..pull::Config::default()
        };
        let consumer: PullConsumer = match &durable {
            Some(d) => stream
                .get_or_create_consumer(d, config)
                .await
                .map_err(|e| self.lost(e))?,
            None => stream
                .create_consumer(config)
                .await
                .map_err(|e| self.lost(e))?,
        };
        let taken = self.take(&consumer, wanted, context).await;
        if durable.is_none() {
            // It would go by itself after a while; the depth of a stream may depend on it.
            let _ = stream.delete_consumer(&consumer.cached_info().name).await;
        }
        let taken = taken?;
        taken.show(&name, context.trail);
        let mut done = wanted.done(taken, KIND.name, &name, &self.service.span);
        done.document.set("stream", name);
        Ok(done)
    }

    async fn take(
        &self,
        consumer: &PullConsumer,
        wanted: &Wanted,
        context: &mut Context<'_>,
    ) -> Result<Taken, StepError> {
        let deadline = Instant::now() + wanted.within;
        let (mut meant, mut others): (Vec<Stored>, Vec<Stored>) = Default::default();
        let mut bytes = 0;
        let mut documents = Vec::new();
        while meant.len() < wanted.enough() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left < OVER || others.len() >= MOST as usize || bytes >= LARGEST {
                break;
            }
            let most = (wanted.enough() - meant.len()).min(AT_ONCE);
            let batch = consumer.batch().max_messages(most).expires(left);
            let mut batch = batch.messages().await.map_err(|e| self.lost(e))?;
            // The server ends the batch itself; this is for one that is gone.
            let patience = deadline + Duration::from_secs(5);
            loop {
                let next = tokio::time::timeout_at(patience, batch.next()).await;
                let next = next.map_err(|_| self.lost("the server gives no answer"))?;
                let Some(message) = next else { break };
                let message = message.map_err(|e| self.lost(e))?;
                bytes += message.length;
                let document = stored(&message);
                let json = document.get("json").filter(|j| !j.is_null());
                if wanted.only.meets(json, context.scope)? {
                    documents.push(document);
                    meant.push(message);
                } else {
                    others.push(message);
                }
            }
        }
        let gone = wanted.ack && meant.len() == wanted.count as usize;
        let failed = |e: &dyn Display| self.lost(e);
        for message in &meant {
            match gone {
                // With an answer, so that the stream is as it says afterwards.
                true => message.double_ack().await,
                false => message.ack_with(AckKind::Nak(None)).await,
            }
            .map_err(|e| failed(&e))?;
        }
        for message in &others {
            let back = message.ack_with(AckKind::Nak(None)).await;
            back.map_err(|e| failed(&e))?;
        }
        Ok(Taken {
            messages: documents,
            others: others.len(),
            ..Taken::default()
        })
    }
}

fn jetstream(link: &Link) -> JetStream {
    jetstream::new(link.client.clone())
}

fn state(stream: &Stream) -> Document {
    let info = stream.cached_info();
    Document::default()
        .with("stream", info.config.name.as_str())
        .with("exists", true)
        .with("depth", info.state.messages)
        .with("consumers", info.state.consumer_count)
}

/// A message of a stream as a document.
fn stored(message: &Stored) -> Json {
    let mut document = document(&message.message);
    if let Ok(info) = message.info() {
        document["sequence"] = info.stream_sequence.into();
        document["delivered"] = info.delivered.into();
    }
    // Where acknowledgements go is of no interest.
    document["reply"] = Json::Null;
    document
}
