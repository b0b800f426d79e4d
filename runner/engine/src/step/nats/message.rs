//! The arguments of `nats`, and messages as documents.

use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::{Data, Scope, Text};
use prodmirror_model::yaml::{Node, Spanned};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::step::fields::{Pairs, Time};
use crate::step::filter::Where;
use crate::step::http::tls::ClientCert;
use crate::step::payload::{Payload, Sent};
use crate::step::{Context, StepError, inbox};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Args {
    pub service: Spanned<String>,
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default)]
    pub user: Option<Text>,
    #[serde(default)]
    pub password: Option<Text>,
    #[serde(default)]
    pub token: Option<Text>,
    #[serde(default)]
    pub verify: Option<bool>,
    #[serde(default)]
    pub ca: Option<Spanned<String>>,
    #[serde(default)]
    pub client_cert: Option<ClientCert>,
    #[serde(default)]
    pub publish: Option<PublishArgs>,
    #[serde(default)]
    pub request: Option<RequestArgs>,
    #[serde(default)]
    pub subscribe: Option<Subscribe>,
    #[serde(default)]
    pub get: Option<Get>,
    #[serde(default)]
    pub drain: Option<Text>,
    #[serde(default)]
    pub declare: Option<Declare>,
    #[serde(default)]
    pub stream: Option<Text>,
    #[serde(default)]
    pub purge: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PublishArgs {
    subject: Text,
    #[serde(default)]
    json: Option<Data>,
    #[serde(default)]
    text: Option<Text>,
    #[serde(default)]
    base64: Option<Text>,
    #[serde(default)]
    headers: Pairs,
    #[serde(default)]
    jetstream: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestArgs {
    subject: Text,
    #[serde(default)]
    json: Option<Data>,
    #[serde(default)]
    text: Option<Text>,
    #[serde(default)]
    base64: Option<Text>,
    #[serde(default)]
    headers: Pairs,
    #[serde(default)]
    within: Option<Time>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscribe {
    pub subject: Text,
    #[serde(default, rename = "as")]
    pub name: Option<Text>,
    #[serde(default)]
    pub group: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Get {
    #[serde(default)]
    pub from: Option<Text>,
    #[serde(default)]
    pub stream: Option<Text>,
    #[serde(default)]
    pub durable: Option<Text>,
    #[serde(default)]
    pub filter: Option<Text>,
    #[serde(default)]
    pub count: Option<Spanned<u32>>,
    #[serde(default)]
    pub within: Option<Time>,
    #[serde(default)]
    pub r#where: Option<Where>,
    #[serde(default)]
    pub ack: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Declare {
    pub stream: Text,
    pub subjects: Vec<Text>,
    #[serde(default)]
    pub durable: bool,
}

/// How a message is published.
pub(super) struct Publish {
    /// Whether a stream must store it.
    pub jetstream: bool,
}

/// How a message is asked about.
pub(super) struct Request(Option<Time>);

impl Request {
    /// How long the reply may take.
    pub fn within(&self) -> Duration {
        self.0.map_or(Duration::from_secs(5), |t| t.0)
    }
}

/// A message to send.
pub(super) struct Message<W> {
    pub subject: Text,
    pub what: W,
    body: Option<Payload>,
    headers: Pairs,
}

impl PublishArgs {
    pub fn message(self, node: &Node) -> Result<Message<Publish>, Problem> {
        check_subject(&self.subject, false)?;
        Ok(Message {
            subject: self.subject,
            what: Publish {
                jetstream: self.jetstream,
            },
            body: Payload::choose(self.json, self.text, self.base64, node)?,
            headers: self.headers,
        })
    }
}

impl RequestArgs {
    pub fn message(self, node: &Node) -> Result<Message<Request>, Problem> {
        check_subject(&self.subject, false)?;
        Ok(Message {
            subject: self.subject,
            what: Request(self.within),
            body: Payload::choose(self.json, self.text, self.base64, node)?,
            headers: self.headers,
        })
    }
}

impl<W> Message<W> {
    /// Puts the values in, and shows the message.
    pub fn render(
        &self,
        context: &mut Context<'_>,
    ) -> Result<(String, Bytes, HeaderMap), StepError> {
        let scope = context.scope;
        let subject = subject(&self.subject, false, scope)?;
        let sent = self
            .body
            .as_ref()
            .map_or_else(|| Ok(Sent::empty()), |b| b.render(scope))?;
        let mut headers = HeaderMap::new();
        for (k, v) in &self.headers.0 {
            let (name, value) = (k.render(scope)?, v.render_text(scope)?);
            let bad = name.is_empty() || name.contains([':', ' ', '\r', '\n']);
            if bad || value.contains(['\r', '\n']) {
                return Err(Problem::at(
                    ProblemKind::InvalidValue,
                    k.span(),
                    format!("the header `{name}` cannot be sent: a name has no blanks and no colon, and nothing in it breaks the line"),
                )
                .into());
            }
            headers.insert(name.as_str(), value.as_str());
        }
        context
            .trail
            .add("message", format!("to {subject}\n\n{}", sent.shown()));
        Ok((subject, sent.bytes.into(), headers))
    }
}

/// Renders a subject.
pub(super) fn subject(text: &Text, wildcards: bool, scope: &Scope) -> Result<String, StepError> {
    let subject = text.render(scope)?;
    valid(&subject, wildcards, text)?;
    Ok(subject)
}

/// Finds a mistake in a subject without a template.
pub(super) fn check_subject(text: &Text, wildcards: bool) -> Result<(), Problem> {
    text.plain().map_or(Ok(()), |s| valid(s, wildcards, text))
}

fn valid(subject: &str, wildcards: bool, at: &Text) -> Result<(), Problem> {
    let bad = |why: &str, help: &str| {
        Err(Problem::at(
            ProblemKind::InvalidValue,
            at.span(),
            format!("`{subject}` is not a subject: {why}"),
        )
        .help(help.to_owned()))
    };
    if subject.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return bad(
            "it has a blank in it",
            "write words with dots between them: `orders.paid`",
        );
    }
    let tokens: Vec<&str> = subject.split('.').collect();
    if tokens.iter().any(|t| t.is_empty()) {
        return bad(
            "one of its words is empty",
            "write words with dots between them: `orders.paid`",
        );
    }
    let wild = |t: &&&str| matches!(**t, "*" | ">");
    if !wildcards && tokens.iter().any(|t| wild(&t)) {
        return bad(
            "a message goes to one subject",
            "`*` and `>` are for `subscribe` and `filter`",
        );
    }
    if tokens.iter().rev().skip(1).any(|t| *t == ">") {
        return bad(
            "`>` stands for all words that follow",
            "write it last: `orders.>`",
        );
    }
    Ok(())
}

/// A message as a document.
pub(super) fn document(m: &async_nats::Message) -> Json {
    let mut map = Map::new();
    map.insert("subject".into(), m.subject.as_str().into());
    map.extend(inbox::body(&m.payload));
    map.insert(
        "headers".into(),
        m.headers.as_ref().map_or_else(Map::new, headers).into(),
    );
    map.insert(
        "reply".into(),
        m.reply.as_ref().map_or(Json::Null, |r| r.as_str().into()),
    );
    Json::Object(map)
}

/// Headers; one that is there several times is a list.
fn headers(all: &HeaderMap) -> Map<String, Json> {
    all.iter()
        .map(|(name, values)| {
            let mut texts: Vec<Json> = values.iter().map(|v| v.as_str().into()).collect();
            let value = match texts.len() {
                1 => texts.swap_remove(0),
                _ => Json::Array(texts),
            };
            (name.to_string(), value)
        })
        .collect()
}
