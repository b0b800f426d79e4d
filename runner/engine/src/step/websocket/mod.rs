//! `websocket`: messages over a websocket, which may stay open across steps.

mod session;

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::{self, HeaderName, HeaderValue};
use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::event::Mismatch;
use prodmirror_model::source::Span;
use prodmirror_model::template::{Data, Document, Text};
use prodmirror_model::yaml::de::carried;
use prodmirror_model::yaml::{Node, Spanned, Value as Yaml, from_node};
use serde::Deserialize;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use url::Url;

use self::session::{Named, Opened, Session};
use super::fields::{Pairs, Time, args};
use super::filter::Where;
use super::http::{cookie_header, tls};
use super::inbox::Wanted;
use super::payload::Payload;
use super::target::Target;
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "websocket",
    fields: &[
        "messages",
        "count",
        "lost",
        "status",
        "headers",
        "body",
        "close_code",
        "close_reason",
        "duration",
    ],
    help: "opens a websocket, sends and receives messages",
    example: "websocket: { url: \"ws://gateway/live\", send: [{ json: { watch: A1 } }], receive: { count: 1, within: 5s } }",
    usual: Some("status == 101"),
    compile,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default)]
    url: Option<Text>,
    #[serde(default)]
    headers: Option<Pairs>,
    #[serde(default)]
    subprotocol: Option<Text>,
    #[serde(default)]
    verify: Option<bool>,
    #[serde(default)]
    send: Option<Messages>,
    #[serde(default)]
    receive: Option<Receive>,
    #[serde(default)]
    session: Option<Spanned<String>>,
    #[serde(default)]
    close: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Receive {
    #[serde(default)]
    count: Option<Spanned<u32>>,
    #[serde(default)]
    within: Option<Time>,
    #[serde(default)]
    r#where: Option<Where>,
}

/// One message or several.
#[derive(Debug, Default)]
struct Messages(Vec<Payload>);

impl<'de> Deserialize<'de> for Messages {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(d)?;
        let nodes = match &node.value {
            Yaml::Seq(items) => items.as_slice(),
            _ => std::slice::from_ref(&node),
        };
        let messages = nodes.iter().map(from_node).collect::<Result<_, _>>();
        messages.map(Messages).map_err(carried)
    }
}

/// How a websocket is asked for.
struct Door {
    url: Text,
    headers: Vec<(HeaderName, Data)>,
    subprotocol: Option<Text>,
    verify: bool,
}

struct WebsocketAct {
    /// Absent where an open one is used.
    door: Option<Door>,
    session: Option<Spanned<String>>,
    send: Vec<Payload>,
    receive: Option<Wanted>,
    close: bool,
    span: Span,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let mut problems = Vec::new();
    let send = a.send.unwrap_or_default().0;
    let receive = a.receive.and_then(|r| {
        Wanted::new(r.count, r.within, r.r#where, None)
            .map_err(|p| problems.push(p))
            .ok()
    });
    let mut headers = Vec::new();
    let opens = a.headers.is_some() || a.subprotocol.is_some() || a.verify.is_some();
    for (name, value) in a.headers.unwrap_or_default().0 {
        match HeaderName::from_bytes(name.source().as_bytes()) {
            Ok(n) => headers.push((n, value)),
            Err(_) => problems.push(Problem::at(
                ProblemKind::InvalidValue,
                name.span(),
                format!("`{}` is not a header name", name.source()),
            )),
        }
    }
    match (&a.url, &a.session) {
        (None, None) => problems.push(
            Problem::at(
                ProblemKind::Missing,
                &node.span,
                "this `websocket` step has neither a `url` nor a `session`",
            )
            .help("open one with `url`, or name one that an earlier step opened with `session`"),
        ),
        (None, Some(s)) if opens => problems.push(
            Problem::at(
                ProblemKind::Conflict,
                &s.span,
                "`headers`, `subprotocol` and `verify` are about opening a websocket, and this one is open already",
            )
            .help("give them in the step that has the `url`"),
        ),
        (None, Some(s)) if send.is_empty() && receive.is_none() && !a.close => problems.push(
            Problem::at(ProblemKind::Missing, &s.span, "this `websocket` step does nothing")
                .help("give `send`, `receive` or `close: true`"),
        ),
        (Some(url), _) => {
            if let Some(plain) = url.plain()
                && let Err(p) = parse_url(plain, url)
            {
                problems.push(*p);
            }
        }
        _ => {}
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let door = a.url.map(|url| Door {
        url,
        headers,
        subprotocol: a.subprotocol,
        verify: a.verify.unwrap_or(true),
    });
    Ok(WebsocketAct {
        close: a.close,
        door,
        session: a.session,
        send,
        receive,
        span: node.span.clone(),
    }
    .into())
}

fn parse_url(text: &str, at: &Text) -> Result<Url, Box<Problem>> {
    let bad = |what: String| Problem::at(ProblemKind::InvalidValue, at.span(), what);
    let url = Url::parse(text).map_err(|e| {
        bad(format!("`{text}` is not a URL: {e}"))
            .help("write the scheme and the service: `ws://gateway/live`")
    })?;
    if !matches!(url.scheme(), "ws" | "wss") {
        let scheme = match url.scheme() {
            "https" => "wss",
            _ => "ws",
        };
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let p = bad(format!("`{}` is not a scheme of `websocket`", url.scheme()));
        return Err(Box::new(p.help(format!("write `{scheme}://{rest}`"))));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Box::new(bad(format!("`{text}` names no host"))));
    }
    Ok(url)
}

impl Door {
    fn request(&self, url: &Url, context: &Context<'_>) -> Result<Request, StepError> {
        let scope = context.scope;
        let mut request = url.as_str().into_client_request().map_err(|e| {
            Problem::at(
                ProblemKind::InvalidValue,
                self.url.span(),
                format!("`{url}` cannot be asked for: {e}"),
            )
        })?;
        let headers = request.headers_mut();
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("prodmirror/", env!("CARGO_PKG_VERSION"))),
        );
        let mut as_http = url.clone();
        let scheme = if url.scheme() == "wss" {
            "https"
        } else {
            "http"
        };
        if as_http.set_scheme(scheme).is_ok()
            && let Some(cookies) = cookie_header(context.sessions, &as_http)
        {
            headers.insert(header::COOKIE, cookies);
        }
        if let Some(t) = &self.subprotocol {
            let name = t.render(scope)?;
            let value = value(&name, t.span(), "subprotocol")?;
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
        }
        for (name, data) in &self.headers {
            let text = data.render_text(scope)?;
            headers.insert(name.clone(), value(&text, data.span(), name.as_str())?);
        }
        Ok(request)
    }

    async fn open(&self, context: &mut Context<'_>) -> Result<Opened, StepError> {
        let text = self.url.render(context.scope)?;
        let url = parse_url(&text, &self.url).map_err(StepError::Refused)?;
        let request = self.request(&url, context)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port_or_known_default().unwrap_or(80);
        context.trail.add("websocket", url.as_str());
        let mut stream = context.connect(&host, port).await?;
        if url.scheme() == "wss" {
            stream = tls::open(self.verify, &context.world.roots(), &host, stream)
                .await
                .map_err(StepError::transport)?;
        }
        session::open(request, stream, &format!("{host}:{port}")).await
    }
}

fn value(text: &str, span: &Span, name: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(|_| {
        Problem::at(
            ProblemKind::InvalidValue,
            span,
            format!(
                "the value of the header `{name}` holds a line break or another control character"
            ),
        )
    })
}

impl WebsocketAct {
    async fn act(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let sent = self
            .send
            .iter()
            .map(|p| p.render(context.scope))
            .collect::<Result<Vec<_>, _>>()?;
        let begun = Instant::now();
        let session = match &self.door {
            Some(door) => match door.open(context).await? {
                Opened::Session(session) => Arc::new(session),
                Opened::Refused {
                    status,
                    headers,
                    body,
                } => {
                    context.trail.add("refused", format!("{status}\n\n{body}"));
                    let mut document = empty()
                        .with("status", status)
                        .with("headers", headers)
                        .with("body", body);
                    document.took(begun.elapsed());
                    return Ok(document.into());
                }
                Opened::Subprotocol(actual) => {
                    let wanted = door.subprotocol.as_ref().map_or("", Text::source);
                    let mut document = empty().with("status", 101);
                    document.took(begun.elapsed());
                    return Ok(Done {
                        document,
                        mismatches: vec![self.mismatch(wanted, actual)],
                    });
                }
            },
            None => self.find(context)?,
        };
        if let (Some(name), Some(_)) = (&self.session, &self.door) {
            let named = context.sessions.own::<Named>();
            named.keep(&name.value, session.clone());
        }
        let mut done = self.exchange(&session, sent, context).await?;
        let ends = self.close || self.session.is_none();
        if ends {
            session.close().await;
            if let Some(name) = &self.session {
                Named::drop_from(context.sessions, &name.value, &session);
            }
        }
        let document = &mut done.document;
        document.set("status", session.status);
        document.set("headers", session.headers.clone());
        if let Some(closed) = session.closed() {
            document.set("close_code", closed.code);
            document.set("close_reason", closed.reason);
        } else {
            document.set("close_code", serde_json::Value::Null);
            document.set("close_reason", serde_json::Value::Null);
        }
        document.took(begun.elapsed());
        Ok(done)
    }

    async fn exchange(
        &self,
        session: &Session,
        sent: Vec<super::payload::Sent>,
        context: &mut Context<'_>,
    ) -> Result<Done, StepError> {
        for s in sent {
            context.trail.add("sent", s.shown());
            let sent = session.send(session::message(s)).await;
            sent.map_err(|e| {
                StepError::transport(format!("{}: a message was not taken: {e}", self.name()))
            })?;
        }
        let Some(wanted) = &self.receive else {
            return Ok(empty().into());
        };
        let taken = session.inbox.take(wanted, context.scope).await?;
        let name = self.name();
        taken.show(&name, context.trail);
        let cut = session.closed().is_some_and(|c| c.code == 1006);
        if cut && wanted.count > 0 && !wanted.met(&taken) {
            return Err(StepError::transport(format!(
                "{name}: {} messages came; {}",
                taken.messages.len(),
                taken.end.unwrap_or_default()
            )));
        }
        Ok(wanted.done(taken, KIND.name, &name, &self.span))
    }

    /// An open websocket.
    fn find(&self, context: &Context<'_>) -> Result<Arc<Session>, StepError> {
        let Some(name) = &self.session else {
            return Err(StepError::transport("no websocket is named"));
        };
        Named::find(context.sessions, &name.value).map_err(|open| {
            let p = Problem::at(
                ProblemKind::UnknownReference,
                &name.span,
                format!("no websocket named `{}` is open", name.value),
            );
            let help = match nearest(&name.value, open.iter().map(String::as_str)) {
                Some(n) => format!("did you mean `{n}`?"),
                None => format!(
                    "an earlier step opens it: `websocket: {{ url: \"ws://…\", session: {} }}`",
                    name.value
                ),
            };
            p.help(help).into()
        })
    }

    fn name(&self) -> String {
        match (&self.session, &self.door) {
            (Some(s), _) => s.value.clone(),
            (None, Some(d)) => d.url.source().to_owned(),
            (None, None) => String::new(),
        }
    }

    fn mismatch(&self, wanted: &str, actual: String) -> Mismatch {
        Mismatch {
            expectation: format!("open {}", self.name()),
            kind: KIND.name.into(),
            place: self.span.is_real().then(|| (&self.span).into()),
            expected: format!("the subprotocol {wanted}"),
            actual,
            path: None,
            hint: None,
        }
    }
}

/// The result where nothing was received.
fn empty() -> Document {
    Document::default()
        .with("messages", Vec::<serde_json::Value>::new())
        .with("count", 0)
        .with("lost", 0)
}

impl Act for WebsocketAct {
    fn title(&self) -> String {
        let mut what = Vec::new();
        if !self.send.is_empty() {
            what.push(format!("send {}", self.send.len()));
        }
        if let Some(r) = &self.receive {
            what.push(format!("receive {}", r.count));
        }
        if self.close {
            what.push("close".to_owned());
        }
        let what = match what.is_empty() {
            true => String::new(),
            false => format!(": {}", what.join(", ")),
        };
        let name = match &self.door {
            Some(d) => d.url.source().to_owned(),
            None => self.name(),
        };
        format!("websocket {name}{what}")
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.extend(self.door.iter().filter_map(|d| Target::of_url(&d.url)));
    }

    fn limit(&self) -> Duration {
        self.receive.as_ref().map_or(Duration::ZERO, |r| r.within) + Duration::from_secs(30)
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.act(context))
    }
}
