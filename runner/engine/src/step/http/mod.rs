//! `http`: a request to a service, stub or declared name.

mod body;
mod certificate;
mod client;
mod response;
mod tls;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Uri};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::{Scope, Text};
use prodmirror_model::yaml::{Node, Spanned};
use serde::Deserialize;
use url::Url;

use self::body::Body;
use self::client::{Http, Wire};
use super::fields::{Pairs, Time, args};
use super::target::{Target, TargetKind};
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
        "request",
        "certificate",
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
    auth: Option<Auth>,
    #[serde(default)]
    redirects: Option<u32>,
    #[serde(default)]
    version: Option<Spanned<String>>,
    #[serde(default)]
    verify: Option<bool>,
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
    auth: Option<Auth>,
    redirects: u32,
    wire: Wire,
    connect_timeout: Duration,
}

fn compile(node: &Node) -> Result<Compiled, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let mut problems = Vec::new();
    let body = Body::choose(a.json, a.form, a.body, node, &mut problems);
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
    let http2 = match a.version.as_ref().map(|v| (v.as_str(), &v.span)) {
        None | Some(("1.1", _)) => false,
        Some(("2", _)) => true,
        Some((other, span)) => {
            problems.push(Problem::at(
                ProblemKind::InvalidValue,
                span,
                format!("`version` is \"1.1\" or \"2\", found `{other}`"),
            ));
            false
        }
    };
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(HttpAct {
        method,
        url: a.url,
        query: a.query,
        headers,
        body,
        auth: a.auth,
        redirects: a.redirects.unwrap_or(REDIRECTS),
        wire: Wire {
            http2,
            verify: a.verify.unwrap_or(true),
        },
        connect_timeout: a.connect_timeout.map_or(Duration::from_secs(10), |t| t.0),
    }
    .into())
}

fn method(m: &Spanned<String>) -> Result<Method, Problem> {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    let upper = m.value.to_ascii_uppercase();
    if upper == m.value {
        if let Ok(method) = Method::from_bytes(upper.as_bytes()) {
            // An unusual method is taken as it is, unless a usual one is nearly it.
            let near = prodmirror_model::diag::nearest(&upper, KNOWN);
            if KNOWN.contains(&upper.as_str()) || near.is_none() {
                return Ok(method);
            }
        }
    } else if KNOWN.contains(&upper.as_str()) {
        return Ok(Method::from_bytes(upper.as_bytes()).unwrap_or(Method::GET));
    }
    let p = Problem::at(
        ProblemKind::InvalidValue,
        &m.span,
        format!("`{}` is not an HTTP method", m.value),
    );
    Err(match prodmirror_model::diag::nearest(&upper, KNOWN) {
        Some(n) => p.help(format!("did you mean `{n}`?")),
        None => p.help(format!("for example: {}", KNOWN.join(", "))),
    })
}

fn parse_url(text: &str, at: &Text) -> Result<Url, Box<Problem>> {
    let bad = |what: String| Problem::at(ProblemKind::InvalidValue, at.span(), what);
    let url = Url::parse(text).map_err(|e| {
        let p = bad(format!("`{text}` is not a URL: {e}"));
        if text.contains("://") {
            p
        } else {
            p.help(format!(
                "write the scheme and the service: `http://{}`",
                text.trim_start_matches('/')
            ))
        }
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        let p = bad(format!("`{}` is not a scheme of `http`", url.scheme()));
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        return Err(Box::new(
            p.help(format!("write `http://{rest}` or `https://{rest}`")),
        ));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Box::new(bad(format!("`{text}` names no host"))));
    }
    Ok(url)
}

/// What is sent, with all values in.
struct Prepared {
    url: Url,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
}

impl HttpAct {
    fn prepare(&self, scope: &Scope) -> Result<Prepared, StepError> {
        let text = self.url.render(scope)?;
        let mut url = parse_url(&text, &self.url).map_err(StepError::Refused)?;
        if !self.query.0.is_empty() {
            let mut pairs = url.query_pairs_mut();
            for (k, v) in &self.query.0 {
                pairs.append_pair(&k.render(scope)?, &v.render_text(scope)?);
            }
        }
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 4);
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("prodmirror/", env!("CARGO_PKG_VERSION"))),
        );
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        let (body, content_type) = self.body.render(scope)?;
        if let Some(t) = content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(t));
        }
        if let Some(value) = self.authorization(scope)? {
            headers.insert(header::AUTHORIZATION, value);
        }
        let mut given = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let text = value.render_text(scope)?;
            let value = HeaderValue::from_str(&text).map_err(|_| {
                Problem::at(
                    ProblemKind::InvalidValue,
                    value.span(),
                    format!("the value of the header `{name}` holds a line break or another control character"),
                )
            })?;
            given.append(name.clone(), value);
        }
        // What the step says takes the place of what is added.
        headers.extend(given);
        Ok(Prepared {
            url,
            method: self.method.clone(),
            headers,
            body,
        })
    }

    fn authorization(&self, scope: &Scope) -> Result<Option<HeaderValue>, StepError> {
        use base64::Engine;
        let text = match &self.auth {
            None => return Ok(None),
            Some(Auth::Bearer(token)) => format!("Bearer {}", token.render(scope)?),
            Some(Auth::Basic(b)) => {
                let password = b
                    .password
                    .as_ref()
                    .map_or(Ok(String::new()), |p| p.render(scope))?;
                let pair = format!("{}:{password}", b.user.render(scope)?);
                format!(
                    "Basic {}",
                    base64::engine::general_purpose::STANDARD.encode(pair)
                )
            }
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            Problem::at(
                ProblemKind::InvalidValue,
                self.url.span(),
                "`auth` holds a control character",
            )
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    async fn send(&self, context: &mut Context<'_>) -> Result<Done, StepError> {
        let mut request = self.prepare(context.scope)?;
        let http: Arc<Http> = context.sessions.shared::<Http>();
        let begun = Instant::now();
        let mut redirects: Vec<String> = Vec::new();
        loop {
            let sent = self.hop(&http, &request, context);
            let (response, headers) = sent.await?;
            let next = response::redirect(&request.method, &request.url, &response);
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
                    let asked = response::Asked {
                        method: &request.method,
                        url: &request.url,
                        headers: &headers,
                        body: &request.body,
                    };
                    let mut document = response::document(response, &asked, redirects, cookies);
                    document.took(begun.elapsed());
                    return Ok(document.into());
                }
            }
        }
    }

    /// One request and its whole response, with the headers that were sent.
    async fn hop(
        &self,
        http: &Http,
        request: &Prepared,
        context: &mut Context<'_>,
    ) -> Result<(response::Whole, HeaderMap), StepError> {
        let uri: Uri = request.url.as_str().parse().map_err(|e| {
            StepError::transport(format!("`{}` cannot be requested: {e}", request.url))
        })?;
        let mut message = Request::new(Full::new(request.body.clone()));
        *message.method_mut() = request.method.clone();
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
                &request.body,
            ),
        );
        let sent = message.headers().clone();
        let client = http.client(self.wire, context.world, self.connect_timeout)?;
        let answer = client
            .request(message)
            .await
            .map_err(|e| client::error(&request.url, &e))?;
        http.store_cookies(&request.url, answer.headers());
        let whole = response::read(answer).await?;
        context.trail.add("response", response::show(&whole));
        Ok((whole, sent))
    }
}

impl Prepared {
    /// Turns this request into the one that a redirect asks for.
    fn follow(&mut self, url: Url, method: Method) {
        if method != self.method {
            self.body = Bytes::new();
            for name in [
                header::CONTENT_TYPE,
                header::CONTENT_LENGTH,
                header::CONTENT_ENCODING,
            ] {
                self.headers.remove(name);
            }
        }
        let other_origin = url.host_str() != self.url.host_str()
            || url.port_or_known_default() != self.url.port_or_known_default();
        if other_origin {
            // Credentials are for the host that they were given for.
            self.headers.remove(header::AUTHORIZATION);
            self.headers.remove(header::COOKIE);
        }
        self.method = method;
        self.url = url;
    }
}

impl Act for HttpAct {
    fn title(&self) -> String {
        format!("{} {}", self.method, self.url.source())
    }

    fn targets(&self, to: &mut Vec<Target>) {
        // A template in the path leaves the host plain.
        let source = self.url.source();
        let Some((scheme, rest)) = source.split_once("://") else {
            return;
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains("{{") {
            return;
        }
        let Ok(url) = Url::parse(&format!("{scheme}://{authority}/")) else {
            return;
        };
        if let Some(host) = url.host_str() {
            to.push(Target {
                name: host.trim_matches(['[', ']']).to_owned(),
                port: url.port_or_known_default(),
                kind: TargetKind::Host,
                span: self.url.span().clone(),
            });
        }
    }

    fn run<'a>(&'a self, context: &'a mut Context<'_>) -> Later<'a, Result<Done, StepError>> {
        Box::pin(self.send(context))
    }
}
