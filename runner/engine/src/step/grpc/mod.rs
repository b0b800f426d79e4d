//! `grpc`: a call to a gRPC service.

mod call;
mod channel;
mod codec;
mod message;
mod proto;
mod reflection;
mod status;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Mismatch;
use prodmirror_model::template::{Data, Scope};
use prodmirror_model::yaml::{Node, Spanned};
use prost::Message;
use prost_reflect::{MessageDescriptor, MethodDescriptor};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use tonic::metadata::{AsciiMetadataKey, BinaryMetadataKey, MetadataMap, MetadataValue};

use self::call::{Call, Came, MOST};
use self::channel::{Channel, Endpoint, Hub, Tls};
use super::fields::{Pairs, Time, args};
use super::http::tls::{ClientCert, Trust};
use super::target::{Target, TargetKind};
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "grpc",
    fields: &[
        "status", "code", "message", "json", "messages", "count", "headers", "trailers", "details",
        "duration",
    ],
    help: "calls a method of a gRPC service and gives its answer",
    example: "grpc: { service: \"orders:50051\", method: shop.Orders/Create, message: { sku: A1 } }",
    usual: Some("code == 0"),
    compile,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    service: Spanned<String>,
    method: Spanned<String>,
    #[serde(default)]
    message: Option<Node>,
    #[serde(default)]
    messages: Option<Vec<Node>>,
    #[serde(default)]
    metadata: Pairs,
    #[serde(default)]
    proto: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    import: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    tls: Option<bool>,
    #[serde(default)]
    verify: Option<bool>,
    #[serde(default)]
    ca: Option<Spanned<String>>,
    #[serde(default)]
    client_cert: Option<ClientCert>,
    #[serde(default)]
    deadline: Option<Time>,
    #[serde(default)]
    receive: Option<ReceiveArgs>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiveArgs {
    #[serde(default)]
    count: Option<Spanned<usize>>,
    #[serde(default)]
    within: Option<Time>,
}

/// How much of a stream is waited for.
#[derive(Debug, Clone, Copy, Default)]
struct Receive {
    count: Option<usize>,
    within: Option<Duration>,
}

impl Receive {
    fn is_any(self) -> bool {
        self.count.is_some() || self.within.is_some()
    }

    fn within(self) -> Option<Duration> {
        // That nothing comes is known only after a time.
        let none = (self.count == Some(0)).then_some(Duration::from_secs(5));
        self.within.or(none)
    }

    /// With `count: 0` no message may come: the first ends the wait.
    fn enough(self, got: usize) -> bool {
        self.count.is_some_and(|n| got >= n.max(1))
    }
}

/// How methods are known.
enum Described {
    /// From files.
    Known(Box<MethodDescriptor>),
    /// By the server.
    Reflection,
    /// From files beside a scenario that is not in a file.
    Nowhere(Spanned<String>),
}

struct GrpcAct {
    service: Spanned<String>,
    endpoint: Endpoint,
    method: Spanned<String>,
    /// The method's service and its own name.
    names: (String, String),
    described: Described,
    messages: Vec<(Node, Data)>,
    metadata: Vec<(Key, Data)>,
    deadline: Option<Duration>,
    receive: Receive,
}

enum Key {
    Ascii(AsciiMetadataKey),
    Binary(BinaryMetadataKey),
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let mut problems = Vec::new();
    let (host, port) = address(&a.service).unwrap_or_else(|p| {
        problems.push(p);
        Default::default()
    });
    let names = names(&a.method).unwrap_or_else(|p| {
        problems.push(p);
        Default::default()
    });
    let trust = Trust::read(a.ca.as_ref(), a.client_cert.as_ref()).unwrap_or_else(|mut found| {
        problems.append(&mut found);
        None
    });
    let says_tls = a.verify.is_some() || a.ca.is_some() || a.client_cert.is_some();
    if says_tls && a.tls == Some(false) {
        problems.push(
            Problem::at(
                ProblemKind::Conflict,
                &node.span,
                "`verify`, `ca` and `client_cert` are for TLS, and `tls` is false",
            )
            .help("leave out `tls: false`"),
        );
    }
    if a.message.is_some() && a.messages.is_some() {
        problems.push(Problem::at(
            ProblemKind::Conflict,
            &node.span,
            "a call has `message` or `messages`, not both",
        ));
    }
    let nodes = a.messages.unwrap_or_else(|| Vec::from_iter(a.message));
    let mut messages = Vec::with_capacity(nodes.len());
    for node in nodes {
        match Data::new(&node) {
            Ok(data) => messages.push((node, data)),
            Err(mut found) => problems.append(&mut found),
        }
    }
    let metadata = metadata(a.metadata, &mut problems);
    if let Some(count) = a.receive.as_ref().and_then(|r| r.count.as_ref())
        && count.value > MOST
    {
        problems.push(Problem::at(
            ProblemKind::TooLarge,
            &count.span,
            format!("at most {MOST} messages are read"),
        ));
    }
    let receive = a.receive.map_or(Receive::default(), |r| Receive {
        count: r.count.map(|c| c.value),
        within: r.within.map(|t| t.0),
    });
    if !problems.is_empty() {
        return Err(problems);
    }
    let files = proto::Files {
        proto: a.proto.as_deref().unwrap_or_default(),
        import: a.import.as_deref().unwrap_or_default(),
    };
    let described = match (files.proto.first(), files.import.first()) {
        (None, None) => Described::Reflection,
        (None, Some(import)) => {
            return Err(vec![
                Problem::at(
                    ProblemKind::Missing,
                    &import.span,
                    "`import` is for the files of `proto`, and there are none",
                )
                .help("write `proto: [orders.proto]`"),
            ]);
        }
        (Some(first), _) => match files.compile()? {
            None => Described::Nowhere(first.clone()),
            Some(pool) => {
                let service =
                    proto::service(&pool, &names.0, &a.method.span).map_err(|p| vec![p])?;
                let method =
                    proto::method(&service, &names.1, &a.method.span).map_err(|p| vec![p])?;
                for (node, _) in &messages {
                    message::check(node, &method.input(), &mut problems);
                }
                problems.extend(amount(&method, &messages, &a.method));
                Described::Known(Box::new(method))
            }
        },
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(GrpcAct {
        endpoint: Endpoint {
            host,
            port,
            tls: (a.tls == Some(true) || says_tls).then_some(Tls {
                verify: a.verify.unwrap_or(true),
                trust,
            }),
        },
        service: a.service,
        method: a.method,
        names,
        described,
        messages,
        metadata,
        deadline: a.deadline.map(|t| t.0),
        receive,
    }
    .into())
}

fn address(service: &Spanned<String>) -> Result<(String, u16), Problem> {
    let bad = || {
        Problem::at(
            ProblemKind::InvalidValue,
            &service.span,
            format!("`service` is a name and a port, found `{}`", service.value),
        )
        .help(format!(
            "write `service: \"{}:50051\"`",
            service
                .value
                .rsplit("//")
                .next()
                .and_then(|s| s.split(':').next())
                .unwrap_or("orders")
        ))
    };
    let (host, port) = service.rsplit_once(':').ok_or_else(bad)?;
    let host = host.trim_matches(['[', ']']);
    if host.is_empty() || host.contains('/') {
        return Err(bad());
    }
    Ok((host.to_owned(), port.parse().map_err(|_| bad())?))
}

/// `package.Service/Method`.
fn names(method: &Spanned<String>) -> Result<(String, String), Problem> {
    let text = method.trim_start_matches('/');
    match text.split_once('/') {
        Some((service, name)) if is_name(service) && is_name(name) && !name.contains('.') => {
            Ok((service.to_owned(), name.to_owned()))
        }
        _ => {
            let p = Problem::at(
                ProblemKind::InvalidValue,
                &method.span,
                format!("`{}` is not a method", method.value),
            );
            Err(match text.rsplit_once('.') {
                Some((service, name)) if is_name(service) && is_name(name) => {
                    p.help(format!("write `{service}/{name}`"))
                }
                _ => p.help("write `package.Service/Method`"),
            })
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
}

fn metadata(pairs: Pairs, problems: &mut Vec<Problem>) -> Vec<(Key, Data)> {
    let mut all = Vec::with_capacity(pairs.0.len());
    for (name, value) in pairs.0 {
        let lower = name.source().to_ascii_lowercase();
        let bad = |what: &str| {
            Problem::at(
                ProblemKind::InvalidValue,
                name.span(),
                format!("`{}` {what}", name.source()),
            )
        };
        if lower.starts_with("grpc-") {
            problems
                .push(bad("belongs to the protocol itself").help("a deadline is `deadline: 2s`"));
        } else if lower.ends_with("-bin") {
            match BinaryMetadataKey::from_bytes(lower.as_bytes()) {
                Ok(key) => all.push((Key::Binary(key), value)),
                Err(_) => problems.push(bad("is not a name of metadata")),
            }
        } else {
            match AsciiMetadataKey::from_bytes(lower.as_bytes()) {
                Ok(key) => all.push((Key::Ascii(key), value)),
                Err(_) => problems.push(bad("is not a name of metadata")),
            }
        }
    }
    all
}

/// Whether the method takes so many messages.
fn amount(
    method: &MethodDescriptor,
    messages: &[(Node, Data)],
    at: &Spanned<String>,
) -> Option<Problem> {
    let many = messages.len();
    (many > 1 && !method.is_client_streaming()).then(|| {
        Problem::at(
            ProblemKind::Conflict,
            messages.get(1).map_or(&at.span, |(n, _)| &n.span),
            format!("{} takes one message, not {many}", method.full_name()),
        )
        .help("only methods with `stream` before their request take several")
    })
}

impl GrpcAct {
    fn metadata(&self, scope: &Scope) -> Result<MetadataMap, StepError> {
        let mut map = MetadataMap::with_capacity(self.metadata.len());
        for (key, value) in &self.metadata {
            let bad = |what: &str| Problem::at(ProblemKind::InvalidValue, value.span(), what);
            let texts = match value.render(scope)? {
                Json::Array(items) => items.iter().map(text).collect(),
                one => vec![text(&one)],
            };
            for text in texts {
                match key {
                    Key::Ascii(key) => {
                        let value = MetadataValue::try_from(text.as_str()).map_err(|_| {
                            bad("a value of metadata holds what is not ASCII")
                                .help("give it a name that ends with `-bin`, and base64")
                        })?;
                        map.append(key.clone(), value);
                    }
                    Key::Binary(key) => {
                        let bytes = STANDARD.decode(text.trim()).map_err(|_| {
                            bad("metadata with a name that ends with `-bin` is base64")
                        })?;
                        map.append_bin(key.clone(), MetadataValue::from_bytes(&bytes));
                    }
                }
            }
        }
        Ok(map)
    }

    /// The method, by files or by the server's own word.
    async fn described(
        &self,
        hub: &Hub,
        channel: &Channel,
        metadata: &MetadataMap,
    ) -> Result<MethodDescriptor, StepError> {
        let service = match &self.described {
            Described::Known(method) => return Ok((**method).clone()),
            Described::Nowhere(name) => {
                let found = super::files::find(name, &name.span).map(drop);
                return Err(found.err().unwrap_or_else(|| self.no_files(name)).into());
            }
            Described::Reflection => hub.service(&self.endpoint, &self.names.0),
        };
        let service = match service {
            Some(service) => service,
            None => {
                let span = &self.method.span;
                let service = reflection::service(channel, metadata, &self.names.0, span).await?;
                hub.remember(&self.endpoint, service.clone());
                service
            }
        };
        let method = proto::method(&service, &self.names.1, &self.method.span)?;
        if let Some(p) = amount(&method, &self.messages, &self.method) {
            return Err(p.into());
        }
        Ok(method)
    }

    fn no_files(&self, name: &Spanned<String>) -> Problem {
        Problem::at(
            ProblemKind::MissingFile,
            &name.span,
            format!("cannot read {}", name.value),
        )
    }

    /// The messages as bytes, and as they are shown.
    fn encode(
        &self,
        kind: &MessageDescriptor,
        scope: &Scope,
    ) -> Result<(Vec<Bytes>, Vec<String>), StepError> {
        if self.messages.is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        let mut encoded = Vec::with_capacity(self.messages.len());
        let mut shown = Vec::with_capacity(self.messages.len());
        for (node, data) in &self.messages {
            let value = data.render(scope)?;
            shown.push(value.to_string());
            let message = message::from_json(value, kind).map_err(|misfit| {
                // Without templates in it, the exact place is known.
                let mut found = Vec::new();
                message::check(node, kind, &mut found);
                found
                    .into_iter()
                    .next()
                    .unwrap_or_else(|| misfit.at(&node.span))
            })?;
            encoded.push(message.encode_to_vec().into());
        }
        Ok((encoded, shown))
    }

    async fn send(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let metadata = self.metadata(context.scope)?;
        let hub: Arc<Hub> = context.sessions.shared::<Hub>();
        let channel = hub.channel(&self.endpoint, context.world).await?;
        let method = self.described(&hub, &channel, &metadata).await?;
        let (mut messages, shown) = self.encode(&method.input(), context.scope)?;
        if messages.is_empty() && !method.is_client_streaming() {
            // A request without fields.
            messages.push(Bytes::new());
        }
        context.trail.add("request", self.show(&metadata, &shown));
        let call = Call {
            method: &method,
            messages,
            metadata,
            deadline: self.deadline,
            receive: self.receive,
        };
        let came = call.make(&channel.another()).await?;
        context.trail.add("response", came.show());
        let mismatch = self.too_few(&came);
        let mut done = Done::from(came.document());
        done.mismatches.extend(mismatch);
        Ok(done)
    }

    fn show(&self, metadata: &MetadataMap, messages: &[String]) -> String {
        let mut text = format!("{}/{} of {}", self.names.0, self.names.1, self.endpoint);
        let fields: Map<String, Json> = status::metadata(metadata);
        for (name, value) in &fields {
            let value = match name.as_str() {
                "authorization" | "proxy-authorization" | "cookie" => "***",
                _ => value.as_str().unwrap_or_default(),
            };
            text.push_str(&format!("\n{name}: {value}"));
        }
        for message in messages {
            text.push('\n');
            text.push_str(message);
        }
        text
    }

    fn too_few(&self, came: &Came) -> Option<Mismatch> {
        let count = self.receive.count?;
        let got = came.messages.len();
        if got == count {
            return None;
        }
        let time = self.receive.within().map_or_else(
            || "before the end".to_owned(),
            |w| format!("within {}", humantime::format_duration(w)),
        );
        let mut actual = format!("{got} came");
        if came.code != tonic::Code::Ok {
            actual.push_str(&format!(
                ", then {} {}",
                status::name(came.code),
                came.message
            ));
        }
        Some(Mismatch {
            expectation: format!("receive {count}"),
            kind: "grpc".into(),
            place: Some((&self.method.span).into()),
            expected: match count {
                0 => format!("no message {time}"),
                n => format!("{n} messages {time}"),
            },
            actual: actual.trim_end().to_owned(),
            path: None,
            hint: None,
        })
    }
}

fn text(value: &Json) -> String {
    match value {
        Json::String(s) => s.clone(),
        other => other.to_string(),
    }
}

impl Act for GrpcAct {
    fn title(&self) -> String {
        format!("{} {}", self.service.value, self.method.value)
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.push(Target {
            name: self.endpoint.host.clone(),
            port: Some(self.endpoint.port),
            kind: TargetKind::Host,
            span: self.service.span.clone(),
        });
    }

    fn limit(&self) -> Duration {
        let longest = self.receive.within().max(self.deadline);
        longest.unwrap_or_default() + Duration::from_secs(30)
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.send(context))
    }
}
