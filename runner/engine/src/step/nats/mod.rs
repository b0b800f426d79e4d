//! `nats`: messages of NATS, and streams of its JetStream.

mod connect;
mod jetstream;
mod message;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::client::{Request as Asked, RequestErrorKind};
use futures_util::StreamExt;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Mismatch;
use prodmirror_model::template::{Document, Scope, Text};
use prodmirror_model::yaml::{Node, Spanned};
use tokio::task::JoinHandle;

use self::connect::{Link, Pool, Who, optional};
use self::message::{Args, Declare, Get, Message, Publish, Request, Subscribe};
use super::fields::args;
use super::http::tls::Trust;
use super::inbox::{Inbox, Subscriptions, Wanted};
use super::target::Target;
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "nats",
    fields: &[
        "messages",
        "count",
        "lost",
        "subject",
        "subscription",
        "json",
        "body",
        "headers",
        "stream",
        "sequence",
        "duplicate",
        "exists",
        "depth",
        "consumers",
        "purged",
        "duration",
    ],
    help: "publishes, asks and receives over a NATS service, with JetStream",
    example: "nats: { service: nats, publish: { subject: orders.paid, json: { id: 7 } } }",
    usual: None,
    compile,
};

enum Operation {
    Publish(Box<Message<Publish>>),
    Request(Box<Message<Request>>),
    Subscribe(Subscribe),
    Get {
        from: Option<Text>,
        wanted: Wanted,
    },
    /// Messages of a stream.
    Consume {
        stream: Text,
        durable: Option<Text>,
        filter: Option<Text>,
        wanted: Wanted,
    },
    Drain(Text),
    Declare(Declare),
    /// How deep a stream is.
    Look(Text),
    Purge(Text),
}

struct NatsAct {
    service: Spanned<String>,
    port: u16,
    user: Option<Text>,
    password: Option<Text>,
    token: Option<Text>,
    verify: bool,
    trust: Option<Arc<Trust>>,
    operation: Operation,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let one_problem = |p: Problem| vec![p];
    let mut operations: Vec<Operation> = Vec::new();
    if let Some(p) = a.publish {
        let message = p.message(node).map_err(one_problem)?;
        operations.push(Operation::Publish(Box::new(message)));
    }
    if let Some(r) = a.request {
        let message = r.message(node).map_err(one_problem)?;
        operations.push(Operation::Request(Box::new(message)));
    }
    if let Some(s) = a.subscribe {
        message::check_subject(&s.subject, true).map_err(one_problem)?;
        operations.push(Operation::Subscribe(s));
    }
    if let Some(g) = a.get {
        operations.push(get(g, node).map_err(one_problem)?);
    }
    operations.extend(a.drain.map(Operation::Drain));
    operations.extend(a.declare.map(Operation::Declare));
    operations.extend(a.stream.map(Operation::Look));
    operations.extend(a.purge.map(Operation::Purge));
    let one = |text: &str| {
        vec![
            Problem::at(ProblemKind::Conflict, &node.span, text).help(
                "give one of: publish, request, subscribe, get, drain, stream (how deep it is), purge, declare",
            ),
        ]
    };
    let operation = match (operations.len(), operations.pop()) {
        (1, Some(o)) => o,
        (0, _) => return Err(one("this `nats` step does nothing")),
        _ => return Err(one("a `nats` step does one thing")),
    };
    if a.token.is_some() && (a.user.is_some() || a.password.is_some()) {
        return Err(vec![
            Problem::at(
                ProblemKind::Conflict,
                &node.span,
                "a session has a token, or a user and a password",
            )
            .help("keep `token`, or `user` and `password`"),
        ]);
    }
    Ok(NatsAct {
        service: a.service,
        port: a.port.unwrap_or(4222),
        user: a.user,
        password: a.password,
        token: a.token,
        verify: a.verify.unwrap_or(true),
        trust: Trust::read(a.ca.as_ref(), a.client_cert.as_ref())?,
        operation,
    }
    .into())
}

fn get(g: Get, node: &Node) -> Result<Operation, Problem> {
    let wanted = Wanted::new(g.count, g.within, g.r#where, g.ack)?;
    let conflict =
        |text: &str, help: &str| Problem::at(ProblemKind::Conflict, &node.span, text).help(help);
    match (g.stream, g.from) {
        (Some(_), Some(_)) => Err(conflict(
            "messages come from a subscription or from a stream",
            "keep `from` or `stream`",
        )),
        (Some(stream), None) => {
            if let Some(f) = &g.filter {
                message::check_subject(f, true)?;
            }
            Ok(Operation::Consume {
                stream,
                durable: g.durable,
                filter: g.filter,
                wanted,
            })
        }
        (None, from) if g.durable.is_none() && g.filter.is_none() => {
            Ok(Operation::Get { from, wanted })
        }
        (None, _) => Err(conflict(
            "`durable` and `filter` are about a stream",
            "say which with `stream`, or leave them out",
        )),
    }
}

/// A subscription that is kept for the scenario.
struct Subscription {
    subject: String,
    inbox: Arc<Inbox>,
    link: Arc<Link>,
    reader: JoinHandle<()>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl NatsAct {
    fn who(&self, scope: &Scope) -> Result<Who, StepError> {
        Ok(Who {
            host: self.service.value.clone(),
            port: self.port,
            user: optional(&self.user, scope)?,
            password: optional(&self.password, scope)?,
            token: optional(&self.token, scope)?,
            verify: self.verify,
            trust: self.trust.clone(),
        })
    }

    async fn act(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let begun = Instant::now();
        let mut done = match &self.operation {
            // What came is there whether the server still is or not.
            Operation::Get { from, wanted } => self.get(from.as_ref(), wanted, context).await?,
            Operation::Drain(name) => self.drain(name, context).await?,
            _ => {
                let pool = context.sessions.shared::<Pool>();
                let link = pool.get(context.world, self.who(context.scope)?).await?;
                self.with(&link, context).await?
            }
        };
        done.document.took(begun.elapsed());
        Ok(done)
    }

    async fn with(&self, link: &Arc<Link>, context: &mut Context<'_>) -> Result<Done, StepError> {
        match &self.operation {
            Operation::Publish(m) if m.what.jetstream => self.store(link, m, context).await,
            Operation::Publish(m) => self.publish(link, m, context).await,
            Operation::Request(m) => self.request(link, m, context).await,
            Operation::Subscribe(s) => self.subscribe(link, s, context).await,
            Operation::Consume {
                stream,
                durable,
                filter,
                wanted,
            } => {
                self.consume(
                    link,
                    stream,
                    durable.as_ref(),
                    filter.as_ref(),
                    wanted,
                    context,
                )
                .await
            }
            Operation::Declare(d) => self.declare(link, d, context).await,
            Operation::Look(stream) => self.look(link, stream, context).await,
            Operation::Purge(stream) => self.purge(link, stream, context).await,
            Operation::Get { .. } | Operation::Drain(_) => Ok(Done::default()),
        }
    }

    fn lost(&self, e: impl std::fmt::Display) -> StepError {
        StepError::transport(format!("{}:{}: {e}", self.service.value, self.port))
    }

    fn mismatch(&self, expectation: String, expected: &str, actual: String) -> Mismatch {
        Mismatch {
            expectation,
            kind: KIND.name.into(),
            place: Some((&self.service.span).into()),
            expected: expected.to_owned(),
            actual,
            path: None,
            hint: None,
        }
    }

    async fn publish(
        &self,
        link: &Link,
        m: &Message<Publish>,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let (subject, payload, headers) = m.render(context)?;
        let sent = link
            .client
            .publish_with_headers(subject.clone(), headers, payload)
            .await;
        sent.map_err(|e| self.lost(e))?;
        link.settle().await?;
        let mut done = Done::from(Document::default().with("subject", subject.as_str()));
        if let Some(why) = link.watch.complaint("Publish", &subject) {
            done.mismatches.push(self.mismatch(
                format!("publish to {subject}"),
                "that the server takes the message",
                why,
            ));
        }
        Ok(done)
    }

    async fn request(
        &self,
        link: &Link,
        m: &Message<Request>,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let (subject, payload, headers) = m.render(context)?;
        let within = m.what.within();
        let asked = Asked::new()
            .payload(payload)
            .headers(headers)
            .timeout(Some(within));
        let reply = match link.client.send_request(subject.clone(), asked).await {
            Ok(reply) => reply,
            Err(e) => {
                let why = match e.kind() {
                    RequestErrorKind::NoResponders => {
                        format!("nobody answers requests on {subject}")
                    }
                    RequestErrorKind::TimedOut => {
                        let within = humantime::format_duration(within);
                        match link.watch.complaint("Publish", &subject) {
                            Some(why) => why,
                            None => format!("no reply from {subject} within {within}"),
                        }
                    }
                    _ => e.to_string(),
                };
                return Err(self.lost(why));
            }
        };
        let reply = message::document(&reply);
        context.trail.add("reply", reply.to_string());
        let mut document = Document::default().with("count", 1);
        for field in ["json", "body", "headers", "subject"] {
            document.set(field, reply[field].clone());
        }
        document.set("messages", vec![reply]);
        Ok(document.into())
    }

    async fn subscribe(
        &self,
        link: &Arc<Link>,
        s: &Subscribe,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let subject = message::subject(&s.subject, true, context.scope)?;
        let name = optional(&s.name, context.scope)?.unwrap_or_else(|| subject.clone());
        let group = optional(&s.group, context.scope)?;
        let made = match group {
            Some(g) => link.client.queue_subscribe(subject.clone(), g).await,
            None => link.client.subscribe(subject.clone()).await,
        };
        let mut messages = made.map_err(|e| self.lost(e))?;
        let inbox = Arc::new(Inbox::default());
        link.watch.tell(&inbox);
        let keep = inbox.clone();
        let reader = tokio::spawn(async move {
            while let Some(m) = messages.next().await {
                keep.put(message::document(&m), m.length);
            }
            keep.end("the subscription is over");
        });
        let subscription = Subscription {
            subject: subject.clone(),
            inbox,
            link: link.clone(),
            reader,
        };
        // Not before the server knows of it may the next step act.
        link.settle().await?;
        let mut done = Done::from(
            Document::default()
                .with("subject", subject.as_str())
                .with("subscription", name.as_str()),
        );
        match link.watch.complaint("Subscription", &subject) {
            Some(why) => done.mismatches.push(self.mismatch(
                format!("subscribe to {subject}"),
                "that the server allows it",
                why,
            )),
            None => {
                let service = &self.service.value;
                Subscriptions::keep(context.sessions, service, self.port, name, subscription);
            }
        }
        Ok(done)
    }

    fn find(
        &self,
        from: Option<&Text>,
        context: &Context<'_>,
    ) -> Result<(String, Arc<Subscription>), StepError> {
        let (sessions, scope) = (context.sessions, context.scope);
        Subscriptions::find(sessions, &self.service, self.port, from, scope)
    }

    async fn get(
        &self,
        from: Option<&Text>,
        wanted: &Wanted,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        let (name, subscription) = self.find(from, context)?;
        let taken = subscription.inbox.take(wanted, context.scope).await?;
        taken.show(&name, context.trail);
        let lost = taken
            .end
            .as_ref()
            .filter(|_| !wanted.met(&taken) || wanted.count == 0);
        if let Some(why) = lost {
            return Err(self.lost(format!(
                "{name}: {} messages came; {why}",
                taken.messages.len()
            )));
        }
        if let Some(why) = subscription
            .link
            .watch
            .complaint("Subscription", &subscription.subject)
        {
            return Err(self.lost(why));
        }
        let mut done = wanted.done(taken, KIND.name, &name, &self.service.span);
        done.document.set("subscription", name);
        Ok(done)
    }

    async fn drain(&self, name: &Text, context: &mut Context<'_>) -> Result<Done, StepError> {
        let (name, subscription) = self.find(Some(name), context)?;
        if subscription.inbox.ended().is_none() {
            subscription.link.settle().await?;
        }
        let taken = subscription.inbox.drain();
        taken.show(&name, context.trail);
        Ok(taken.document().with("subscription", name).into())
    }
}

impl Act for NatsAct {
    fn title(&self) -> String {
        let what = match &self.operation {
            Operation::Publish(m) => format!("publish to {}", m.subject.source()),
            Operation::Request(m) => format!("request {}", m.subject.source()),
            Operation::Subscribe(s) => format!("subscribe to {}", s.subject.source()),
            Operation::Get { from, .. } => match from {
                Some(f) => format!("get from {}", f.source()),
                None => "get".to_owned(),
            },
            Operation::Consume { stream, .. } => format!("get from {}", stream.source()),
            Operation::Drain(name) => format!("drain {}", name.source()),
            Operation::Declare(d) => format!("declare {}", d.stream.source()),
            Operation::Look(s) => format!("stream {}", s.source()),
            Operation::Purge(s) => format!("purge {}", s.source()),
        };
        format!("{}: {what}", self.service.value)
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.push(Target::host(&self.service, self.port));
    }

    fn limit(&self) -> Duration {
        let within = match &self.operation {
            Operation::Get { wanted, .. } | Operation::Consume { wanted, .. } => wanted.within,
            Operation::Request(m) => m.what.within(),
            _ => Duration::ZERO,
        };
        within + Duration::from_secs(30)
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.act(context))
    }
}
