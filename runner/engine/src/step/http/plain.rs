//! Requests of other kinds that speak HTTP underneath: no redirects, no cookies.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Uri};
use url::Url;

use super::client::{self, Http, Protocol, Wire};
use super::response;
use crate::step::{Context, StepError};

/// A response as it came.
pub(in crate::step) struct Plain {
    pub status: u16,
    pub headers: HeaderMap,
    /// As it is stored, packed or not.
    pub body: Bytes,
}

/// One request and its whole response, on a connection of the scenario.
pub(in crate::step) async fn exchange(
    context: &Context<'_>,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    verify: bool,
) -> Result<Plain, StepError> {
    let host = url.host_str().unwrap_or_default().to_owned();
    let uri: Uri = url
        .as_str()
        .parse()
        .map_err(|e| StepError::transport(format!("{host} cannot be asked: {e}")))?;
    let length = body.len();
    let mut message = Request::new(Full::new(body));
    *message.method_mut() = method;
    *message.uri_mut() = uri;
    *message.headers_mut() = headers;
    if *message.method() == Method::PUT {
        // The length of an empty body must be said, too.
        message
            .headers_mut()
            .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let http = context.sessions.shared::<Http>();
    let wire = Wire {
        protocol: Protocol::Any,
        verify,
        trust: None,
        told: false,
    };
    let client = http.client(&wire, context.world, Duration::from_secs(10))?;
    let answer = client
        .request(message)
        .await
        .map_err(|e| client::error(&url, &e))?;
    let whole = response::raw(answer).await?;
    Ok(Plain {
        status: whole.status.as_u16(),
        headers: whole.headers,
        body: whole.body,
    })
}
