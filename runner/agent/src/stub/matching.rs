//! Which requests a route is for.

use std::collections::BTreeMap;

use hyper::HeaderMap;
use prodmirror_agent::wire::{RouteConfig, WhenConfig};
use regex_lite::Regex;
use serde_json::Value;

/// A request, taken apart.
#[derive(Debug)]
pub struct Request {
    /// HTTP method.
    pub method: String,
    /// Path without the query, as it was sent.
    pub path: String,
    /// Query string, as it was sent.
    pub query_text: String,
    /// Query parameters, decoded; the first of a name.
    pub query: BTreeMap<String, String>,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// Body as JSON; null when it is none.
    pub json: Value,
}

impl Request {
    /// Takes a request's head and body apart.
    pub fn new(head: hyper::http::request::Parts, body: Vec<u8>) -> Self {
        let query_text = head.uri.query().unwrap_or_default().to_owned();
        Self {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: parameters(&query_text),
            query_text,
            headers: head.headers,
            json: serde_json::from_slice(&body).unwrap_or_default(),
            body,
        }
    }

    /// The value of a header; none when it is missing or no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters
            .entry(decode(name))
            .or_insert_with(|| decode(value));
    }
    parameters
}

/// Decodes `%XX` and `+`; what is no such sequence stays as it is.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (byte, escaped) {
            (b'%', Some(value)) => {
                decoded.push(value);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The condition of a route.
#[derive(Debug)]
pub struct Matcher {
    method: Option<String>,
    path: Path,
    when: WhenConfig,
}

#[derive(Debug)]
enum Path {
    Exact(String),
    Prefix(String),
    Pattern(Regex),
}

impl Matcher {
    /// Reads a route's condition.
    pub fn compile(route: &RouteConfig) -> Result<Self, String> {
        let path = match (route.path.strip_prefix('~'), route.path.strip_suffix('*')) {
            (Some(pattern), _) => Path::Pattern(
                Regex::new(pattern).map_err(|error| format!("path `{}`: {error}", route.path))?,
            ),
            (None, Some(prefix)) => Path::Prefix(prefix.to_owned()),
            (None, None) => Path::Exact(route.path.clone()),
        };
        if let Some(bad) = route
            .when
            .json
            .keys()
            .find(|key| !key.is_empty() && !key.starts_with('/'))
        {
            return Err(format!(
                "when.json: `{bad}` is no JSON pointer, which begins with `/`"
            ));
        }
        let method = (route.method != "*").then(|| route.method.to_ascii_uppercase());
        Ok(Self {
            method,
            path,
            when: route.when.clone(),
        })
    }

    /// The parts of the path that the pattern's groups matched, the whole first; none
    /// when the route is not for this request.
    pub fn matches(&self, request: &Request) -> Option<Vec<String>> {
        if self
            .method
            .as_ref()
            .is_some_and(|method| *method != request.method)
        {
            return None;
        }
        let groups = self.path.matches(&request.path)?;
        let when = &self.when;
        let headers = when
            .header
            .iter()
            .all(|(name, value)| request.header(name) == Some(value));
        let query = when
            .query
            .iter()
            .all(|(name, value)| request.query.get(name) == Some(value));
        let json = when.json.iter().all(|(at, value)| {
            request
                .json
                .pointer(at)
                .is_some_and(|found| same(found, value))
        });
        (headers && query && json).then_some(groups)
    }
}

/// Equal as JSON values: numbers by value, not by how they are written.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || a.as_f64().is_some_and(|a| Some(a) == b.as_f64())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

impl Path {
    fn matches(&self, path: &str) -> Option<Vec<String>> {
        match self {
            Self::Exact(exact) => (exact == path).then(|| vec![path.to_owned()]),
            Self::Prefix(prefix) => {
                let rest = path.strip_prefix(prefix.as_str())?;
                Some(vec![path.to_owned(), rest.to_owned()])
            }
            Self::Pattern(pattern) => {
                let groups = pattern.captures(path)?;
                let text = |group: Option<regex_lite::Match<'_>>| {
                    group.map_or("", |group| group.as_str()).to_owned()
                };
                Some(groups.iter().map(text).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn route(value: Value) -> Matcher {
        Matcher::compile(&serde_json::from_value(value).unwrap()).unwrap()
    }

    pub(super) fn request(method: &str, uri: &str, body: &str) -> Request {
        let built = hyper::Request::builder()
            .method(method)
            .uri(uri)
            .header("X-Mode", "test");
        Request::new(
            built.body(()).unwrap().into_parts().0,
            body.as_bytes().to_vec(),
        )
    }

    #[test]
    fn paths_match_exactly_by_prefix_or_by_pattern() {
        let respond = json!({});
        let exact = route(json!({"path": "/a", "respond": respond}));
        assert!(exact.matches(&request("GET", "/a?x=1", "")).is_some());
        assert!(exact.matches(&request("GET", "/a/", "")).is_none());
        let prefix = route(json!({"path": "/a/*", "respond": respond}));
        assert_eq!(prefix.matches(&request("GET", "/a/b", "")).unwrap()[1], "b");
        let pattern = route(json!({"path": "~^/v1/(\\d+)$", "respond": respond}));
        assert_eq!(
            pattern.matches(&request("PUT", "/v1/42", "")).unwrap()[1],
            "42"
        );
        assert!(pattern.matches(&request("PUT", "/v1/x", "")).is_none());
    }

    #[test]
    fn every_condition_has_to_hold() {
        let matcher = route(json!({"method": "post", "path": "/c", "respond": {},
            "when": {"header": {"x-mode": "test"}, "query": {"q": "a b"}, "json": {"/n": 100, "/o": {"k": [1.0]}}}}));
        let body = r#"{"n":100.0,"o":{"k":[1]}}"#;
        assert!(
            matcher
                .matches(&request("POST", "/c?q=a+b", body))
                .is_some()
        );
        assert!(
            matcher
                .matches(&request("POST", "/c?q=a%20b", body))
                .is_some()
        );
        assert!(matcher.matches(&request("GET", "/c?q=a+b", body)).is_none());
        assert!(matcher.matches(&request("POST", "/c?q=b", body)).is_none());
        assert!(
            matcher
                .matches(&request("POST", "/c?q=a+b", "not json"))
                .is_none()
        );
    }

    #[test]
    fn bad_conditions_are_refused() {
        let bad = |value| Matcher::compile(&serde_json::from_value(value).unwrap()).is_err();
        assert!(bad(json!({"path": "~(", "respond": {}})));
        assert!(bad(
            json!({"path": "/", "when": {"json": {"n": 1}}, "respond": {}})
        ));
    }

    #[test]
    fn broken_escapes_stay() {
        assert_eq!(decode("%4"), "%4");
        assert_eq!(decode("%zz+%41"), "%zz A");
        assert_eq!(decode("100%"), "100%");
    }
}
