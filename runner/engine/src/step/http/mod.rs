//! `http`: a request to a service, stub or declared name.

mod body;
mod certificate;
mod client;
mod events;
mod multipart;
#[cfg(feature = "s3")]
mod plain;
mod request;
pub(super) mod response;
pub(super) mod tls;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::header::{self, HeaderName};
use hyper::{Method, Request, Uri, Version};
use prodmirror_model::check::{Expectation, read_expectations};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::event::Mismatch;
use prodmirror_model::source::SourceFile;
use prodmirror_model::template::Text;
use prodmirror_model::yaml::{Node, Spanned, parse_one};
use serde::Deserialize;
use serde_json::Value as Json;

use self::body::{Body, Given};
use self::client::{Http, Protocol, Wire};
use self::events::Events;
#[cfg(feature = "s3")]
pub(super) use self::plain::{Plain, exchange};
use self::request::{Prepared, method, parse_url};
use self::response::{More, Wanted};
use super::fields::{Pairs, Time, args};
use super::target::Target;
use super::{Act, Compiled, Context, Done, Kind, Later, StepError};

/// Redirects that are followed unless the step says otherwise.
const REDIRECTS: u32 = 10;

/// The kind.
pub(super) static KIND: Kind = Kind {
    name: "http",
    fields: &[
        "status",
        "headers",
        "body",
        "json",
        "duration",
        "url",
        "version",
        "redirects",
        "cookies",
        "size",
        "encoded_size",
        "events",
        "sha256",
        "certificate",
        "timings",
        "remote",
        "request",
    ],
    help: "sends an HTTP request and gives the response",
    example: "http: { method: POST, url: \"http://gateway/orders\", json: { sku: A1, qty: 1 } }",
    usual: Some("status < 400"),
    compile,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    url: Text,
    #[serde(default)]
    method: Option<Spanned<String>>,
    #[serde(default)]
    query: Pairs,
    #[serde(default)]
    headers: Pairs,
    #[serde(default)]
    json: Option<prodmirror_model::template::Data>,
    #[serde(default)]
    form: Option<Pairs>,
    #[serde(default)]
    body: Option<Text>,
    #[serde(default)]
    body_file: Option<Text>,
    #[serde(default)]
    multipart: Option<Vec<multipart::Part>>,
    #[serde(default)]
    graphql: Option<body::Graphql>,
    #[serde(default)]
    compress: Option<Spanned<String>>,
    #[serde(default)]
    events: Option<events::Args>,
    #[serde(default)]
    auth: Option<Auth>,
    #[serde(default)]
    redirects: Option<u32>,
    #[serde(default)]
    version: Option<Spanned<String>>,
    #[serde(default)]
    verify: Option<bool>,
    #[serde(default)]
    ca: Option<Spanned<String>>,
    #[serde(default)]
    client_cert: Option<tls::ClientCert>,
    #[serde(default)]
    connect_timeout: Option<Time>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Auth {
    Basic(Basic),
    Bearer(Text),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Basic {
    user: Text,
    #[serde(default)]
    password: Option<Text>,
}

struct HttpAct {
    method: Method,
    url: Text,
    query: Pairs,
    headers: Vec<(HeaderName, prodmirror_model::template::Data)>,
    body: Body,
    compress: bool,
    events: Option<Events>,
    auth: Option<Auth>,
    redirects: u32,
    wire: Wire,
    wanted: Wanted,
    connect_timeout: Duration,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let mut problems = Vec::new();
    let given = Given {
        json: a.json,
        form: a.form,
        body: a.body,
        body_file: a.body_file,
        multipart: a.multipart,
        graphql: a.graphql,
    };
    let body = Body::choose(given, node, &mut problems);
    let method = match &a.method {
        None if matches!(body, Body::None) => Method::GET,
        None => Method::POST,
        Some(m) => method(m).unwrap_or_else(|p| {
            problems.push(p);
            Method::GET
        }),
    };
    let mut headers = Vec::new();
    for (name, value) in a.headers.0 {
        match HeaderName::from_bytes(name.source().as_bytes()) {
            Ok(n) => headers.push((n, value)),
            Err(_) => problems.push(Problem::at(
                ProblemKind::InvalidValue,
                name.span(),
                format!("`{}` is not a header name", name.source()),
            )),
        }
    }
    if let Some(plain) = a.url.plain()
        && let Err(p) = parse_url(plain, &a.url)
    {
        problems.push(*p);
    }
    let protocol = protocol(a.version.as_ref()).unwrap_or_else(|p| {
        problems.push(p);
        Protocol::Any
    });
    if let Some(c) = a.compress.as_ref().filter(|c| c.value != "gzip") {
        problems.push(
            Problem::at(
                ProblemKind::InvalidValue,
                &c.span,
                format!("`compress` is `gzip`, found `{}`", c.value),
            )
            .help("leave it out for a body as it is"),
        );
    }
    let trust =
        tls::Trust::read(a.ca.as_ref(), a.client_cert.as_ref()).unwrap_or_else(|mut found| {
            problems.append(&mut found);
            None
        });
    let events = match a.events.map(Events::new) {
        None => None,
        Some(Ok(events)) => Some(events),
        Some(Err(p)) => {
            problems.push(p);
            None
        }
    };
    let wanted = Wanted::by(&node.span.file);
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(HttpAct {
        method,
        url: a.url,
        query: a.query,
        headers,
        body,
        compress: a.compress.is_some(),
        events,
        auth: a.auth,
        redirects: a.redirects.unwrap_or(REDIRECTS),
        wire: Wire {
            protocol,
            verify: a.verify.unwrap_or(true),
            trust,
            told: wanted.certificate || wanted.timings,
        },
        wanted,
        connect_timeout: a.connect_timeout.map_or(Duration::from_secs(10), |t| t.0),
    }
    .into())
}

fn protocol(version: Option<&Spanned<String>>) -> Result<Protocol, Problem> {
    Ok(match version.map(|v| (v.as_str(), &v.span)) {
        None => Protocol::Any,
        Some(("1.0", _)) => Protocol::Http10,
        Some(("1.1", _)) => Protocol::Http11,
        Some(("2", _)) => Protocol::Http2,
        Some((other, span)) => {
            return Err(Problem::at(
                ProblemKind::InvalidValue,
                span,
                format!("`version` is \"1.0\", \"1.1\" or \"2\", found `{other}`"),
            ));
        }
    })
}

/// What a GraphQL request without `expect` expects: errors come with status 200, too.
static GRAPHQL: LazyLock<Vec<Expectation>> = LazyLock::new(|| {
    let text = "[ status < 400, { jsonpath: $.errors, exists: false } ]";
    parse_one(&SourceFile::new("", text))
        .ok()
        .and_then(|node| read_expectations(&node, KIND.fields).ok())
        .unwrap_or_default()
});

/// A response, and what came of its events.
struct Answer {
    whole: response::Whole,
    /// The headers that were sent, where they are asked for.
    sent: Option<header::HeaderMap>,
    first_byte: Duration,
    events: Option<Vec<Json>>,
    mismatch: Option<Mismatch>,
}

/// The cookies of the scenario that belong to a URL.
#[cfg(feature = "websocket")]
pub(super) fn cookie_header(
    sessions: &super::Sessions,
    url: &url::Url,
) -> Option<header::HeaderValue> {
    sessions.shared::<Http>().cookie_header(url)
}

impl HttpAct {
    async fn send(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let mut request = self.prepare(context.scope).await?;
        let http: Arc<Http> = context.sessions.shared::<Http>();
        let begun = Instant::now();
        let mut redirects: Vec<String> = Vec::new();
        loop {
            let sent = self.hop(&http, &request, context);
            let answer = sent.await?;
            let next = response::redirect(&request.method, &request.url, &answer.whole);
            match next {
                Some((url, method)) if self.redirects > 0 => {
                    let url = url.map_err(|location| {
                        StepError::transport(format!("the redirect to `{location}` is not a URL"))
                    })?;
                    if redirects.len() as u32 >= self.redirects {
                        return Err(StepError::transport(format!(
                            "more than {} redirects: {} … {url}",
                            self.redirects, request.url
                        )));
                    }
                    redirects.push(url.to_string());
                    request.follow(url, method);
                }
                _ => {
                    let cookies = http.cookies(&request.url);
                    let mut document = response::document(
                        answer.whole,
                        &response::Asked {
                            method: &request.method,
                            url: &request.url,
                            headers: answer.sent.as_ref().unwrap_or(&request.headers),
                            body: request.unpacked.as_ref().unwrap_or(&request.body),
                        },
                        redirects,
                        cookies,
                        More {
                            wanted: self.wanted,
                            first_byte: answer.first_byte,
                            events: answer.events,
                        },
                    );
                    document.took(begun.elapsed());
                    let mut done = Done::from(document);
                    done.mismatches.extend(answer.mismatch);
                    return Ok(done);
                }
            }
        }
    }

    /// One request and its whole response.
    async fn hop(
        &self,
        http: &Http,
        request: &Prepared,
        context: &mut Context<'_>,
    ) -> Result<Answer, StepError> {
        let uri: Uri = request.url.as_str().parse().map_err(|e| {
            StepError::transport(format!("`{}` cannot be requested: {e}", request.url))
        })?;
        let mut message = Request::new(Full::new(request.body.clone()));
        *message.method_mut() = request.method.clone();
        if self.wire.protocol == Protocol::Http10 {
            *message.version_mut() = Version::HTTP_10;
        }
        *message.uri_mut() = uri;
        *message.headers_mut() = request.headers.clone();
        if let Some(cookie) = http.cookie_header(&request.url)
            && !request.headers.contains_key(header::COOKIE)
        {
            message.headers_mut().insert(header::COOKIE, cookie);
        }
        context.trail.add(
            "request",
            response::show_request(
                &request.method,
                &request.url,
                message.headers(),
                request.unpacked.as_ref().unwrap_or(&request.body),
            ),
        );
        let sent = self.wanted.request.then(|| message.headers().clone());
        let client = http.client(&self.wire, context.world, self.connect_timeout)?;
        let begun = Instant::now();
        let response = client
            .request(message)
            .await
            .map_err(|e| client::error(&request.url, &e))?;
        let first_byte = begun.elapsed();
        http.store_cookies(&request.url, response.headers());
        // A redirect, or an error, is read as what it is.
        let (whole, events, mismatch) = match &self.events {
            Some(events) if response.status().is_success() => {
                let read = events.read(response, begun, context.scope);
                let (whole, came, mismatch) = read.await?;
                (whole, Some(came), mismatch)
            }
            Some(_) => (response::read(response).await?, Some(Vec::new()), None),
            None => (response::read(response).await?, None, None),
        };
        context.trail.add("response", response::show(&whole));
        Ok(Answer {
            whole,
            sent,
            first_byte,
            events,
            mismatch,
        })
    }
}

impl Act for HttpAct {
    fn title(&self) -> String {
        format!("{} {}", self.method, self.url.source())
    }

    fn targets(&self, to: &mut Vec<Target>) {
        to.extend(Target::of_url(&self.url));
    }

    fn limit(&self) -> Duration {
        let within = self.events.as_ref().and_then(|e| e.within);
        within.unwrap_or_default() + Duration::from_secs(30)
    }

    fn usual(&self) -> Option<&'static [Expectation]> {
        matches!(self.body, Body::Graphql(_)).then(|| GRAPHQL.as_slice())
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.send(context))
    }
}
