//! What is sent: a request with all values in.

use bytes::Bytes;
use hyper::Method;
use hyper::header::{self, HeaderMap, HeaderValue};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::{Scope, Text};
use prodmirror_model::yaml::Spanned;
use url::Url;

use super::body::{self, Body};
use super::{Auth, HttpAct};
use crate::step::StepError;

pub(super) fn method(m: &Spanned<String>) -> Result<Method, Problem> {
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

pub(super) fn parse_url(text: &str, at: &Text) -> Result<Url, Box<Problem>> {
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
pub(super) struct Prepared {
    pub url: Url,
    pub method: Method,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body before it was packed, for people.
    pub unpacked: Option<Bytes>,
}

impl HttpAct {
    pub async fn prepare(&self, scope: &Scope) -> Result<Prepared, StepError> {
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
        let accept = match self.events {
            None => "*/*",
            Some(_) => "text/event-stream",
        };
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        let rendered = self.body.render(scope).await?;
        if let Some(t) = rendered.content_type {
            headers.insert(header::CONTENT_TYPE, t);
        }
        let (mut body, mut unpacked) = (rendered.bytes, None);
        if self.compress && !matches!(self.body, Body::None) {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            let packed = body::gzip(&body);
            unpacked = Some(std::mem::replace(&mut body, packed));
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
            unpacked,
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
}

impl Prepared {
    /// Turns this request into the one that a redirect asks for.
    pub fn follow(&mut self, url: Url, method: Method) {
        if method != self.method {
            self.body = Bytes::new();
            self.unpacked = None;
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
