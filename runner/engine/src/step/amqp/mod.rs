//! `amqp`: messages and queues of RabbitMQ.

mod connect;
mod message;

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions, QueuePurgeOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Error};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Mismatch;
use prodmirror_model::template::{Data, Document, Scope, Text};
use prodmirror_model::yaml::{Node, Spanned};
use serde::Deserialize;
use serde_json::Value as Json;

use self::connect::{Pool, Who};
use super::fields::{Pairs, Time, args};
use super::target::Target;
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// Messages that a step may take.
const MOST: u32 = 10_000;

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "amqp",
    fields: &[
        "messages",
        "count",
        "depth",
        "consumers",
        "routed",
        "purged",
        "queue",
        "exists",
        "duration",
    ],
    help: "publishes, takes and counts messages of a RabbitMQ service",
    example: "amqp: { service: rabbitmq, get: { queue: shipped, within: 10s } }",
    usual: None,
    compile,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    service: Spanned<String>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    user: Option<Text>,
    #[serde(default)]
    password: Option<Text>,
    #[serde(default)]
    vhost: Option<Text>,
    #[serde(default)]
    publish: Option<Publish>,
    #[serde(default)]
    get: Option<Get>,
    #[serde(default)]
    queue: Option<Text>,
    #[serde(default)]
    purge: Option<Text>,
    #[serde(default)]
    declare: Option<Declare>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Publish {
    #[serde(default)]
    exchange: Option<Text>,
    #[serde(default)]
    routing_key: Option<Text>,
    #[serde(default)]
    queue: Option<Text>,
    #[serde(default)]
    json: Option<Data>,
    #[serde(default)]
    text: Option<Text>,
    #[serde(default)]
    headers: Pairs,
    #[serde(default)]
    properties: Option<message::Properties>,
    #[serde(default)]
    mandatory: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Get {
    queue: Text,
    #[serde(default)]
    count: Option<u32>,
    #[serde(default)]
    within: Option<Time>,
    #[serde(default)]
    ack: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Declare {
    queue: Text,
    #[serde(default)]
    durable: bool,
    #[serde(default)]
    exclusive: Option<bool>,
    #[serde(default)]
    bind: Option<Bind>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bind {
    exchange: Text,
    #[serde(default)]
    routing_key: Option<Text>,
}

enum Operation {
    Publish(Box<Publish>),
    Get(Get),
    /// How deep a queue is.
    Look(Text),
    Purge(Text),
    Declare(Box<Declare>),
}

struct AmqpAct {
    service: Spanned<String>,
    port: u16,
    user: Option<Text>,
    password: Option<Text>,
    vhost: Option<Text>,
    operation: Operation,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let mut operations: Vec<Operation> = Vec::new();
    operations.extend(a.publish.map(|p| Operation::Publish(Box::new(p))));
    operations.extend(a.get.map(Operation::Get));
    operations.extend(a.queue.map(Operation::Look));
    operations.extend(a.purge.map(Operation::Purge));
    operations.extend(a.declare.map(|d| Operation::Declare(Box::new(d))));
    let one = |text: &str| {
        vec![
            Problem::at(ProblemKind::Conflict, &node.span, text)
                .help("give one of: publish, get, queue (how deep it is), purge, declare"),
        ]
    };
    let operation = match (operations.len(), operations.pop()) {
        (1, Some(o)) => o,
        (0, _) => return Err(one("this `amqp` step does nothing")),
        _ => return Err(one("an `amqp` step does one thing")),
    };
    check(&operation, node)?;
    Ok(AmqpAct {
        service: a.service,
        port: a.port.unwrap_or(5672),
        user: a.user,
        password: a.password,
        vhost: a.vhost,
        operation,
    }
    .into())
}

fn check(operation: &Operation, node: &Node) -> Result<(), Vec<Problem>> {
    let bad =
        |kind, text: &str, help: &str| Err(vec![Problem::at(kind, &node.span, text).help(help)]);
    match operation {
        Operation::Publish(p) if p.json.is_some() && p.text.is_some() => bad(
            ProblemKind::Conflict,
            "a message has one body",
            "keep `json` or `text`",
        ),
        Operation::Publish(p)
            if p.queue.is_some() && (p.exchange.is_some() || p.routing_key.is_some()) =>
        {
            bad(
                ProblemKind::Conflict,
                "a message goes to a queue, or to an exchange with a routing key",
                "keep `queue`, or `exchange` and `routing_key`",
            )
        }
        Operation::Publish(p) if p.queue.is_none() && p.exchange.is_none() => bad(
            ProblemKind::Missing,
            "`publish` does not say where the message goes",
            "add `exchange` and `routing_key`, or `queue`",
        ),
        Operation::Get(g) if g.count.is_some_and(|c| c > MOST) => bad(
            ProblemKind::TooLarge,
            "too many messages for one step",
            "at most 10000 are taken",
        ),
        _ => Ok(()),
    }
}

/// Renders a name of the protocol: at most 255 bytes.
fn short(text: &Text, scope: &Scope) -> Result<ShortString, StepError> {
    let name = text.render(scope)?;
    ShortString::try_new(name).map_err(|e| {
        Problem::at(
            ProblemKind::InvalidValue,
            text.span(),
            format!("a name of AMQP: {e}"),
        )
        .into()
    })
}

impl AmqpAct {
    fn who(&self, scope: &Scope) -> Result<Who, StepError> {
        let text = |t: &Option<Text>| t.as_ref().map(|t| t.render(scope)).transpose();
        Ok(Who {
            host: self.service.value.clone(),
            port: self.port,
            user: text(&self.user)?,
            password: text(&self.password)?,
            vhost: text(&self.vhost)?,
        })
    }

    async fn send(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let pool = context.sessions.shared::<Pool>();
        let channel = pool
            .channel(context.world, self.who(context.scope)?)
            .await?;
        let begun = Instant::now();
        let result = match &self.operation {
            Operation::Publish(p) => self.publish(&channel, p, context).await,
            Operation::Get(g) => self.get(&channel, g, context).await,
            Operation::Look(q) => self.look(&channel, q, context).await,
            Operation::Purge(q) => self.purge(&channel, q, context).await,
            Operation::Declare(d) => self.declare(&channel, d, context).await,
        };
        // What was not taken goes back to its queue with the channel.
        if channel.status().connected() {
            let _ = channel.close(200, "done".into()).await;
        }
        let mut done = result?;
        done.document.took(begun.elapsed());
        Ok(done)
    }

    fn lost(&self, e: &Error) -> StepError {
        StepError::transport(format!("{}:{}: {e}", self.service.value, self.port))
    }

    fn mismatch(&self, expectation: String, expected: String, actual: String) -> Mismatch {
        Mismatch {
            expectation,
            kind: "amqp".into(),
            place: Some((&self.service.span).into()),
            expected,
            actual,
            path: None,
            hint: None,
        }
    }

    async fn publish(
        &self,
        channel: &Channel,
        p: &Publish,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let scope = context.scope;
        let (exchange, key) = match &p.queue {
            Some(q) => (ShortString::default(), short(q, scope)?),
            None => {
                let of = |t: &Option<Text>| {
                    t.as_ref()
                        .map_or(Ok(ShortString::default()), |t| short(t, scope))
                };
                (of(&p.exchange)?, of(&p.routing_key)?)
            }
        };
        let (payload, kind) = match (&p.json, &p.text) {
            (Some(j), _) => (j.render(scope)?.to_string(), Some("application/json")),
            (_, Some(t)) => (t.render(scope)?, Some("text/plain")),
            _ => (String::new(), None),
        };
        let mut properties = BasicProperties::default().with_delivery_mode(2);
        if let Some(kind) = kind {
            properties = properties.with_content_type(kind.into());
        }
        if !p.headers.0.is_empty() {
            properties = properties.with_headers(message::headers(&p.headers, scope)?);
        }
        if let Some(more) = &p.properties {
            properties = more.set(properties, scope)?;
        }
        context.trail.add(
            "message",
            format!(
                "to {:?} with the key {:?}\n\n{payload}",
                exchange.as_str(),
                key.as_str()
            ),
        );
        let mandatory = p.mandatory.unwrap_or(true);
        let lost = |e| self.lost(&e);
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .map_err(lost)?;
        let options = BasicPublishOptions {
            mandatory,
            ..BasicPublishOptions::default()
        };
        let confirm = channel
            .basic_publish(
                exchange.clone(),
                key.clone(),
                options,
                payload.as_bytes(),
                properties,
            )
            .await
            .map_err(lost)?;
        let confirmation = confirm.await.map_err(lost)?;
        let refused = matches!(confirmation, Confirmation::Nack(_));
        let returned = confirmation
            .take_message()
            .map(|m| m.reply_text.to_string());
        let mut done =
            Done::from(Document::default().with("routed", returned.is_none() && !refused));
        let expectation = format!("publish to {} with {}", exchange.as_str(), key.as_str());
        if refused {
            let actual = "the broker refused the message".to_owned();
            done.mismatches.push(self.mismatch(
                expectation,
                "that the broker takes it".into(),
                actual,
            ));
        } else if let Some(reason) = returned {
            let actual = format!("no queue is bound there ({reason})");
            done.mismatches.push(self.mismatch(
                expectation,
                "that the message reaches a queue".into(),
                actual,
            ));
        }
        Ok(done)
    }

    async fn get(
        &self,
        channel: &Channel,
        g: &Get,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let queue = short(&g.queue, context.scope)?;
        let wanted = g.count.unwrap_or(1);
        let within = g.within.map_or(Duration::from_secs(5), |t| t.0);
        let ack = g.ack.unwrap_or(true);
        let lost = |e| self.lost(&e);
        let ahead = u16::try_from(wanted.max(1)).unwrap_or(u16::MAX);
        channel
            .basic_qos(ahead, BasicQosOptions::default())
            .await
            .map_err(lost)?;
        let consumer = channel
            .basic_consume(
                queue.clone(),
                ShortString::default(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await;
        let mut consumer = match consumer {
            Ok(c) => c,
            Err(e) => return self.missing(&queue, e),
        };
        let deadline = tokio::time::Instant::now() + within;
        // With `count: 0` no message may come: the first ends the wait.
        let enough = wanted.max(1) as usize;
        let mut messages = Vec::new();
        while messages.len() < enough {
            let Ok(next) = tokio::time::timeout_at(deadline, consumer.next()).await else {
                break;
            };
            match next {
                Some(Ok(delivery)) => {
                    messages.push(message::document(&delivery));
                    let settled = if ack && wanted > 0 {
                        delivery.ack(BasicAckOptions::default()).await
                    } else {
                        delivery
                            .nack(BasicNackOptions {
                                requeue: true,
                                ..BasicNackOptions::default()
                            })
                            .await
                    };
                    settled.map_err(lost)?;
                }
                Some(Err(e)) => return Err(self.lost(&e)),
                None => return Err(StepError::transport(format!("the queue {queue} is gone"))),
            }
        }
        let shown: Vec<String> = messages.iter().take(5).map(Json::to_string).collect();
        context.trail.add(
            "messages",
            format!("{} from {queue}\n{}", messages.len(), shown.join("\n")),
        );
        let got = messages.len();
        let mut done = Done::from(
            Document::default()
                .with("queue", queue.as_str())
                .with("count", got)
                .with("messages", messages),
        );
        if got != wanted as usize {
            let expectation = format!("get {wanted} from {queue}");
            let expected = match wanted {
                0 => format!("no message within {}", humantime::format_duration(within)),
                n => format!("{n} messages within {}", humantime::format_duration(within)),
            };
            done.mismatches
                .push(self.mismatch(expectation, expected, format!("{got} came")));
        }
        Ok(done)
    }

    async fn look(
        &self,
        channel: &Channel,
        queue: &Text,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let queue = short(queue, context.scope)?;
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let found = match channel
            .queue_declare(queue.clone(), options, FieldTable::default())
            .await
        {
            Ok(q) => q,
            Err(e) => return self.missing(&queue, e),
        };
        let (depth, consumers) = (found.message_count(), found.consumer_count());
        context.trail.add(
            "queue",
            format!("{queue}: {depth} messages, {consumers} consumers"),
        );
        Ok(Document::default()
            .with("queue", queue.as_str())
            .with("exists", true)
            .with("depth", depth)
            .with("consumers", consumers)
            .into())
    }

    /// A queue that does not exist is an answer; anything else is not.
    fn missing(&self, queue: &ShortString, e: Error) -> Result<Done, StepError> {
        let not_found = matches!(e.kind(), lapin::ErrorKind::ProtocolError(p) if p.get_id() == 404);
        if !not_found {
            return Err(self.lost(&e));
        }
        let expectation = format!("queue {queue}");
        let mismatch = self.mismatch(
            expectation,
            "a queue of this name".into(),
            "there is none".into(),
        );
        Ok(Done {
            document: Document::default()
                .with("queue", queue.as_str())
                .with("exists", false),
            mismatches: vec![mismatch],
        })
    }

    async fn purge(
        &self,
        channel: &Channel,
        queue: &Text,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let queue = short(queue, context.scope)?;
        match channel
            .queue_purge(queue.clone(), QueuePurgeOptions::default())
            .await
        {
            Ok(n) => Ok(Document::default()
                .with("queue", queue.as_str())
                .with("purged", n)
                .into()),
            Err(e) => self.missing(&queue, e),
        }
    }

    async fn declare(
        &self,
        channel: &Channel,
        d: &Declare,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let queue = short(&d.queue, context.scope)?;
        // By default it is gone with the scenario's connection.
        let options = QueueDeclareOptions {
            durable: d.durable,
            exclusive: d.exclusive.unwrap_or(!d.durable),
            ..QueueDeclareOptions::default()
        };
        let lost = |e| self.lost(&e);
        let made = channel
            .queue_declare(queue.clone(), options, FieldTable::default())
            .await
            .map_err(lost)?;
        if let Some(b) = &d.bind {
            let exchange = short(&b.exchange, context.scope)?;
            let key = b
                .routing_key
                .as_ref()
                .map_or(Ok(ShortString::default()), |k| short(k, context.scope))?;
            channel
                .queue_bind(
                    queue.clone(),
                    exchange,
                    key,
                    QueueBindOptions::default(),
                    FieldTable::default(),
                )
                .await
                .map_err(lost)?;
        }
        Ok(Document::default()
            .with("queue", queue.as_str())
            .with("exists", true)
            .with("depth", made.message_count())
            .with("consumers", made.consumer_count())
            .into())
    }
}

impl Act for AmqpAct {
    fn title(&self) -> String {
        let what = match &self.operation {
            Operation::Publish(p) => {
                let to = p
                    .queue
                    .as_ref()
                    .or(p.routing_key.as_ref())
                    .or(p.exchange.as_ref());
                format!("publish to {}", to.map_or("", Text::source))
            }
            Operation::Get(g) => format!("get from {}", g.queue.source()),
            Operation::Look(q) => format!("queue {}", q.source()),
            Operation::Purge(q) => format!("purge {}", q.source()),
            Operation::Declare(d) => format!("declare {}", d.queue.source()),
        };
        format!("{}: {what}", self.service.value)
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.push(Target::host(&self.service, self.port));
    }

    fn limit(&self) -> Duration {
        match &self.operation {
            Operation::Get(g) => g.within.map_or(Duration::ZERO, |t| t.0) + Duration::from_secs(30),
            _ => Duration::from_secs(30),
        }
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.send(context))
    }
}
