//! Answers, made ready when the stub starts, so that a bad one is refused then.

use std::time::Duration;

use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{HeaderMap, StatusCode};
use prodmirror_agent::wire::{RespondConfig, StubConfig};
use serde_json::Value;

use super::matching::{Matcher, Request};
use super::template::{Context, Text, Tree};

/// All answers of a stub.
#[derive(Debug)]
pub struct Answers {
    routes: Vec<(Matcher, Answer)>,
    default: Answer,
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers, the body's type included.
    pub headers: HeaderMap,
    /// How long to wait before it.
    pub delay: Duration,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Fixed(Vec<u8>),
    Text(Text),
    Json(Tree),
}

/// The answer to a request.
#[derive(Debug)]
pub struct Chosen<'a> {
    /// The answer.
    pub answer: &'a Answer,
    /// Index of its route; none for the default.
    pub route: Option<usize>,
    /// What the route's path matched.
    pub groups: Vec<String>,
}

impl Answers {
    /// Reads the routes of a configuration.
    pub fn compile(config: &StubConfig) -> Result<Self, String> {
        let default = Answer::compile(&config.default).map_err(|why| format!("default: {why}"))?;
        let routes = config.routes.iter().enumerate();
        let routes = routes
            .map(|(index, route)| {
                let compiled = || Ok((Matcher::compile(route)?, Answer::compile(&route.respond)?));
                compiled().map_err(|why: String| format!("routes[{index}]: {why}"))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { routes, default })
    }

    /// The first route that matches, else the default.
    pub fn choose(&self, request: &Request) -> Chosen<'_> {
        for (index, (matcher, answer)) in self.routes.iter().enumerate() {
            if let Some(groups) = matcher.matches(request) {
                return Chosen {
                    answer,
                    route: Some(index),
                    groups,
                };
            }
        }
        Chosen {
            answer: &self.default,
            route: None,
            groups: Vec::new(),
        }
    }
}

impl Answer {
    fn compile(config: &RespondConfig) -> Result<Self, String> {
        let status = StatusCode::from_u16(config.status)
            .ok()
            .filter(|status| !status.is_informational())
            .ok_or_else(|| format!("{} is no final HTTP status", config.status))?;
        let (body, kind) = match (&config.json, &config.body) {
            (Some(_), Some(_)) => return Err("`json` and `body` exclude each other".to_owned()),
            (Some(json), None) => (Body::json(json, config.template)?, Some("application/json")),
            (None, Some(text)) => (
                Body::text(text, config.template)?,
                Some("text/plain; charset=utf-8"),
            ),
            (None, None) => (Body::Fixed(Vec::new()), None),
        };
        let mut headers = read_headers(config)?;
        if let Some(kind) = kind {
            headers
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static(kind));
        }
        Ok(Self {
            status,
            headers,
            delay: Duration::from_millis(config.delay_ms),
            body,
        })
    }

    /// The body for a request.
    pub fn body(&self, context: &Context<'_>) -> Vec<u8> {
        match &self.body {
            Body::Fixed(bytes) => bytes.clone(),
            Body::Text(text) => text.fill(context).into_bytes(),
            Body::Json(tree) => tree.fill(context).to_string().into_bytes(),
        }
    }
}

impl Body {
    fn json(json: &Value, template: bool) -> Result<Self, String> {
        Ok(match template {
            true => Self::Json(Tree::compile(json)?),
            false => Self::Fixed(json.to_string().into_bytes()),
        })
    }

    fn text(text: &str, template: bool) -> Result<Self, String> {
        Ok(match template {
            true => Self::Text(Text::compile(text)?),
            false => Self::Fixed(text.as_bytes().to_vec()),
        })
    }
}

fn read_headers(config: &RespondConfig) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let key: HeaderName = name
            .parse()
            .map_err(|_| format!("`{name}` is no header name"))?;
        if key == CONTENT_LENGTH || key == TRANSFER_ENCODING {
            return Err(format!("`{name}` follows from the body and cannot be set"));
        }
        let value = value
            .parse()
            .map_err(|_| format!("header `{name}`: not a header's value"))?;
        headers.insert(key, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compile(value: Value) -> Result<Answer, String> {
        Answer::compile(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn bad_answers_are_refused() {
        for bad in [
            json!({"status": 99}),
            json!({"status": 101}),
            json!({"json": {}, "body": ""}),
            json!({"headers": {"a b": "c"}}),
            json!({"headers": {"Content-Length": "3"}}),
            json!({"headers": {"a": "b\nc"}}),
            json!({"body": "{{x}}", "template": true}),
        ] {
            assert!(compile(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_type_of_the_body_is_said() {
        let answer = compile(json!({"json": {"a": "{{kept}}"}})).unwrap();
        assert_eq!(answer.headers[CONTENT_TYPE], "application/json");
        let own =
            compile(json!({"body": "<a/>", "headers": {"content-type": "text/xml"}})).unwrap();
        assert_eq!(own.headers[CONTENT_TYPE], "text/xml");
        assert!(compile(json!({"status": 204})).unwrap().headers.is_empty());
    }
}
