//! The requests that a stub keeps to be read back.

use std::cell::RefCell;
use std::collections::VecDeque;

use hyper::HeaderMap;
use serde_json::{Map, Value, json};

/// The most of a body that is kept, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// Words in a header's name that show its value to be a secret.
const SECRET_WORDS: [&str; 6] = [
    "authorization",
    "cookie",
    "key",
    "token",
    "secret",
    "signature",
];

/// The last requests.
#[derive(Debug)]
pub struct Log {
    most: usize,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    total: u64,
    last: VecDeque<Value>,
}

/// A request and what it was answered.
#[derive(Debug)]
pub struct Entry<'a> {
    /// HTTP method.
    pub method: &'a str,
    /// Path without the query.
    pub path: &'a str,
    /// Query string.
    pub query: &'a str,
    /// Headers of the request.
    pub headers: &'a HeaderMap,
    /// Body of the request.
    pub body: &'a [u8],
    /// Status of the answer.
    pub status: u16,
    /// Milliseconds it took.
    pub ms: f64,
    /// Index of the route.
    pub route: Option<usize>,
}

impl Log {
    /// Keeps the last `most` requests.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            state: RefCell::default(),
        }
    }

    /// Adds a request.
    pub fn push(&self, entry: &Entry<'_>) {
        let mut state = self.state.borrow_mut();
        state.total += 1;
        if self.most == 0 {
            return;
        }
        if state.last.len() >= self.most {
            state.last.pop_front();
        }
        state.last.push_back(entry.to_json());
    }

    /// All that is kept, the oldest first.
    pub fn to_json(&self) -> Value {
        let state = self.state.borrow();
        json!({ "total": state.total, "requests": state.last })
    }
}

impl Entry<'_> {
    fn to_json(&self) -> Value {
        let headers: Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| {
                let secret = SECRET_WORDS.iter().any(|word| name.as_str().contains(word));
                let text = if secret {
                    "***".into()
                } else {
                    String::from_utf8_lossy(value.as_bytes())
                };
                (name.as_str().to_owned(), Value::from(text))
            })
            .collect();
        let cut = &self.body[..self.body.len().min(MAX_BODY)];
        let body = serde_json::from_slice(cut)
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(cut)));
        json!({
            "method": self.method, "path": self.path, "query": self.query, "status": self.status,
            "ms": self.ms, "route": self.route, "headers": headers, "body": body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_kept_without_secrets() {
        let log = Log::new(2);
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer abc".parse().unwrap());
        headers.insert("x-api-key", "abc".parse().unwrap());
        headers.insert("accept", "*/*".parse().unwrap());
        for path in ["/1", "/2", "/3"] {
            log.push(&Entry {
                method: "POST",
                path,
                query: "",
                headers: &headers,
                body: br#"{"a":1}"#,
                status: 200,
                ms: 1.0,
                route: Some(0),
            });
        }
        let json = log.to_json();
        assert_eq!(json["total"], 3);
        assert_eq!(json["requests"].as_array().unwrap().len(), 2);
        assert_eq!(json["requests"][0]["path"], "/2");
        assert_eq!(json["requests"][0]["body"]["a"], 1);
        assert!(!json.to_string().contains("abc"));
        assert_eq!(json["requests"][0]["headers"]["accept"], "*/*");
    }
}
