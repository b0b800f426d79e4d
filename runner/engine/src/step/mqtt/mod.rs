//! `mqtt`: messages of an MQTT broker.

mod connect;

use std::sync::Arc;
use std::time::{Duration, Instant};

use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Mismatch;
use prodmirror_model::template::{Data, Document, Scope, Text};
use prodmirror_model::yaml::{Node, Spanned};
use rumqttc::QoS;
use serde::Deserialize;

use self::connect::{Link, Pool, Who, optional};
use super::fields::{Time, args};
use super::filter::Where;
use super::inbox::{Subscriptions, Wanted};
use super::payload::{Payload, Sent};
use super::target::Target;
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "mqtt",
    fields: &[
        "messages",
        "count",
        "lost",
        "topic",
        "topics",
        "subscription",
        "duration",
    ],
    help: "publishes and receives messages of an MQTT broker",
    example: "mqtt: { service: mosquitto, publish: { topic: shop/orders, json: { id: 7 }, qos: 1 } }",
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
    publish: Option<PublishArgs>,
    #[serde(default)]
    subscribe: Option<SubscribeArgs>,
    #[serde(default)]
    get: Option<GetArgs>,
    #[serde(default)]
    drain: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishArgs {
    topic: Text,
    #[serde(default)]
    json: Option<Data>,
    #[serde(default)]
    text: Option<Text>,
    #[serde(default)]
    base64: Option<Text>,
    #[serde(default)]
    qos: Option<Spanned<u8>>,
    #[serde(default)]
    retain: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubscribeArgs {
    #[serde(default)]
    topic: Option<Text>,
    #[serde(default)]
    topics: Vec<Text>,
    #[serde(default)]
    qos: Option<Spanned<u8>>,
    #[serde(default, rename = "as")]
    name: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GetArgs {
    #[serde(default)]
    from: Option<Text>,
    #[serde(default)]
    count: Option<Spanned<u32>>,
    #[serde(default)]
    within: Option<Time>,
    #[serde(default)]
    r#where: Option<Where>,
    #[serde(default)]
    ack: Option<bool>,
}

struct Publish {
    topic: Text,
    body: Option<Payload>,
    qos: QoS,
    retain: bool,
}

struct Subscribe {
    topics: Vec<Text>,
    qos: QoS,
    name: Option<Text>,
}

enum Operation {
    Publish(Box<Publish>),
    Subscribe(Subscribe),
    Get { from: Option<Text>, wanted: Wanted },
    Drain(Text),
}

struct MqttAct {
    service: Spanned<String>,
    port: u16,
    user: Option<Text>,
    password: Option<Text>,
    operation: Operation,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let mut operations: Vec<Result<Operation, Problem>> = Vec::new();
    operations.extend(a.publish.map(|p| publish(p, node)));
    operations.extend(a.subscribe.map(|s| subscribe(s, node)));
    operations.extend(a.get.map(|g| {
        let wanted = Wanted::new(g.count, g.within, g.r#where, g.ack)?;
        Ok(Operation::Get {
            from: g.from,
            wanted,
        })
    }));
    operations.extend(a.drain.map(|d| Ok(Operation::Drain(d))));
    let one = |text: &str| {
        vec![
            Problem::at(ProblemKind::Conflict, &node.span, text)
                .help("give one of: publish, subscribe, get, drain"),
        ]
    };
    let operation = match (operations.len(), operations.pop()) {
        (1, Some(o)) => o.map_err(|p| vec![p])?,
        (0, _) => return Err(one("this `mqtt` step does nothing")),
        _ => return Err(one("an `mqtt` step does one thing")),
    };
    Ok(MqttAct {
        service: a.service,
        port: a.port.unwrap_or(1883),
        user: a.user,
        password: a.password,
        operation,
    }
    .into())
}

fn publish(p: PublishArgs, node: &Node) -> Result<Operation, Problem> {
    if let Some(topic) = p.topic.plain() {
        check_topic(topic, &p.topic)?;
    }
    Ok(Operation::Publish(Box::new(Publish {
        body: Payload::choose(p.json, p.text, p.base64, node)?,
        topic: p.topic,
        qos: qos(p.qos.as_ref())?,
        retain: p.retain,
    })))
}

fn subscribe(s: SubscribeArgs, node: &Node) -> Result<Operation, Problem> {
    let mut topics = s.topics;
    topics.extend(s.topic);
    if topics.is_empty() {
        return Err(Problem::at(
            ProblemKind::Missing,
            &node.span,
            "`subscribe` does not say to what",
        )
        .help("add `topic: shop/orders`, or `topics` with several"));
    }
    for t in &topics {
        if let Some(filter) = t.plain() {
            check_filter(filter, t)?;
        }
    }
    Ok(Operation::Subscribe(Subscribe {
        topics,
        qos: qos(s.qos.as_ref())?,
        name: s.name,
    }))
}

fn qos(given: Option<&Spanned<u8>>) -> Result<QoS, Problem> {
    match given.map(|q| (q.value, &q.span)) {
        None | Some((1, _)) => Ok(QoS::AtLeastOnce),
        Some((0, _)) => Ok(QoS::AtMostOnce),
        Some((2, _)) => Ok(QoS::ExactlyOnce),
        Some((other, span)) => Err(Problem::at(
            ProblemKind::InvalidValue,
            span,
            format!("`qos` is 0, 1 or 2, found {other}"),
        )
        .help("0: at most once, 1: at least once, 2: exactly once")),
    }
}

/// Bytes of a topic: its length has two bytes on the wire.
const LONGEST: usize = 65_535;

fn check_topic(topic: &str, at: &Text) -> Result<(), Problem> {
    if topic.contains(['+', '#']) {
        return Err(bad_topic(topic, at, "a message goes to one topic")
            .help("`+` and `#` are for `subscribe`"));
    }
    check_length(topic, at)
}

fn check_filter(filter: &str, at: &Text) -> Result<(), Problem> {
    check_length(filter, at)?;
    match rumqttc::valid_filter(filter) {
        true => Ok(()),
        false => Err(bad_topic(
            filter,
            at,
            "`+` and `#` stand for whole levels, and `#` stands last",
        )
        .help("write for example `shop/+/paid` or `shop/#`")),
    }
}

fn check_length(topic: &str, at: &Text) -> Result<(), Problem> {
    if topic.is_empty() {
        return Err(bad_topic(topic, at, "it is empty"));
    }
    if topic.contains('\0') || topic.len() > LONGEST {
        return Err(bad_topic(
            &topic.chars().take(40).collect::<String>(),
            at,
            "it has a zero byte in it, or more than 65535 bytes",
        ));
    }
    Ok(())
}

fn bad_topic(topic: &str, at: &Text, why: &str) -> Problem {
    Problem::at(
        ProblemKind::InvalidValue,
        at.span(),
        format!("`{topic}` is not a topic: {why}"),
    )
}

impl MqttAct {
    fn who(&self, scope: &Scope) -> Result<Who, StepError> {
        Ok(Who {
            host: self.service.value.clone(),
            port: self.port,
            user: optional(&self.user, scope)?,
            password: optional(&self.password, scope)?,
        })
    }

    async fn act(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let begun = Instant::now();
        let mut done = match &self.operation {
            Operation::Publish(p) => self.publish(p, context).await,
            Operation::Subscribe(s) => self.subscribe(s, context).await,
            Operation::Get { from, wanted } => self.get(from.as_ref(), wanted, context).await,
            Operation::Drain(name) => self.drain(name, context).await,
        }?;
        done.document.took(begun.elapsed());
        Ok(done)
    }

    fn lost(&self, e: impl std::fmt::Display) -> StepError {
        StepError::transport(format!("{}:{}: {e}", self.service.value, self.port))
    }

    async fn publish(&self, p: &Publish, context: &mut Context<'_>) -> Result<Done, StepError> {
        let topic = p.topic.render(context.scope)?;
        check_topic(&topic, &p.topic)?;
        let sent = p
            .body
            .as_ref()
            .map_or_else(|| Ok(Sent::empty()), |b| b.render(context.scope))?;
        context
            .trail
            .add("message", format!("to {topic}\n\n{}", sent.shown()));
        let pool = context.sessions.shared::<Pool>();
        let link = pool.get(context.world, &self.who(context.scope)?).await?;
        link.publish(&topic, p.qos, p.retain, sent.bytes)
            .await
            .map_err(|e| self.lost(e))?;
        Ok(Document::default().with("topic", topic).into())
    }

    async fn subscribe(&self, s: &Subscribe, context: &mut Context<'_>) -> Result<Done, StepError> {
        let mut topics = Vec::with_capacity(s.topics.len());
        for t in &s.topics {
            let topic = t.render(context.scope)?;
            check_filter(&topic, t)?;
            topics.push(topic);
        }
        let name = optional(&s.name, context.scope)?;
        let name = name.unwrap_or_else(|| topics[0].clone());
        let link = Link::open(context.world, &self.who(context.scope)?).await?;
        let refused = link.subscribe(&topics, s.qos).await;
        let refused = refused.map_err(|e| self.lost(e))?;
        let mut done = Done::from(
            Document::default()
                .with("topics", topics.clone())
                .with("subscription", name.as_str()),
        );
        if refused.is_empty() {
            let service = &self.service.value;
            Subscriptions::keep(context.sessions, service, self.port, name, link);
        } else {
            done.mismatches.push(Mismatch {
                expectation: format!("subscribe to {}", topics.join(", ")),
                kind: KIND.name.into(),
                place: Some((&self.service.span).into()),
                expected: "that the broker allows it".into(),
                actual: format!("it refuses {}", refused.join(", ")),
                path: None,
                hint: None,
            });
        }
        Ok(done)
    }

    fn find(
        &self,
        from: Option<&Text>,
        context: &Context<'_>,
    ) -> Result<(String, Arc<Link>), StepError> {
        let (sessions, scope) = (context.sessions, context.scope);
        Subscriptions::find(sessions, &self.service, self.port, from, scope)
    }

    async fn get(
        &self,
        from: Option<&Text>,
        wanted: &Wanted,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let (name, link) = self.find(from, context)?;
        let taken = link.inbox.take(wanted, context.scope).await?;
        taken.show(&name, context.trail);
        let lost = taken.end.as_ref();
        if let Some(why) = lost.filter(|_| !wanted.met(&taken) || wanted.count == 0) {
            let got = taken.messages.len();
            return Err(self.lost(format!("{name}: {got} messages came; {why}")));
        }
        let mut done = wanted.done(taken, KIND.name, &name, &self.service.span);
        done.document.set("subscription", name);
        Ok(done)
    }

    async fn drain(&self, name: &Text, context: &mut Context<'_>) -> Result<Done, StepError> {
        let (name, link) = self.find(Some(name), context)?;
        if link.inbox.ended().is_none() {
            link.settle().await.map_err(|e| self.lost(e))?;
        }
        let taken = link.inbox.drain();
        taken.show(&name, context.trail);
        Ok(taken.document().with("subscription", name).into())
    }
}

impl Act for MqttAct {
    fn title(&self) -> String {
        let what = match &self.operation {
            Operation::Publish(p) => format!("publish to {}", p.topic.source()),
            Operation::Subscribe(s) => {
                let topics: Vec<&str> = s.topics.iter().map(Text::source).collect();
                format!("subscribe to {}", topics.join(", "))
            }
            Operation::Get { from, .. } => match from {
                Some(f) => format!("get from {}", f.source()),
                None => "get".to_owned(),
            },
            Operation::Drain(name) => format!("drain {}", name.source()),
        };
        format!("{}: {what}", self.service.value)
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.push(Target::host(&self.service, self.port));
    }

    fn limit(&self) -> Duration {
        let within = match &self.operation {
            Operation::Get { wanted, .. } => wanted.within,
            _ => Duration::ZERO,
        };
        within + Duration::from_secs(30)
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.act(context))
    }
}
