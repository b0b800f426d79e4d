//! Spans of OTLP in JSON, with the names of attributes that are and were usual.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value as Json;

use crate::cmd::new::draft::split_url;
use crate::cmd::new::host::Hosts;
use crate::cmd::new::kind;

/// A span.
#[derive(Debug, Default)]
pub struct Span {
    /// The trace that it is part of.
    pub trace: String,
    /// Its id.
    pub id: String,
    /// The span that it is part of.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// When it began, in nanoseconds.
    pub start: u64,
    /// Whether a server answered something.
    is_server: bool,
    /// What its service is called.
    service: String,
    attributes: BTreeMap<String, Json>,
}

/// All spans of a file: one JSON object, several, or one in each line; and how many lines are
/// none.
///
/// # Errors
/// Nothing in it is JSON.
pub fn read(text: &str) -> Result<(Vec<Span>, usize), String> {
    let whole: Result<Vec<Json>, _> = serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect();
    let (documents, unread) = match whole {
        Ok(all) => (all, 0),
        Err(e) => {
            let lines = text.lines().filter(|l| !l.trim().is_empty());
            let (mut all, mut unread) = (Vec::new(), 0);
            for line in lines {
                match serde_json::from_str(line) {
                    Ok(json) => all.push(json),
                    Err(_) => unread += 1,
                }
            }
            if all.is_empty() {
                return Err(format!("it is not JSON: {e}"));
            }
            (all, unread)
        }
    };
    let mut spans = Vec::new();
    for document in &documents {
        let each = document
            .as_array()
            .map_or(std::slice::from_ref(document), |a| a);
        for export in each {
            let resources = list(export, &["resourceSpans", "resource_spans"]);
            for resource in resources {
                of_resource(resource, &mut spans);
            }
        }
    }
    Ok((spans, unread))
}

fn list<'j>(json: &'j Json, names: &[&str]) -> impl Iterator<Item = &'j Json> {
    let found = names.iter().find_map(|n| json[*n].as_array());
    found.into_iter().flatten()
}

fn of_resource(resource: &Json, spans: &mut Vec<Span>) {
    let about = attributes(&resource["resource"]);
    let service = about
        .get("service.name")
        .and_then(Json::as_str)
        .unwrap_or("");
    const SCOPES: [&str; 3] = ["scopeSpans", "instrumentationLibrarySpans", "scope_spans"];
    for scope in list(resource, &SCOPES) {
        for span in list(scope, &["spans"]) {
            let text = |name: &str| span[name].as_str().unwrap_or("").to_owned();
            let kind = &span["kind"];
            let is_server = kind == 2 || kind == "SPAN_KIND_SERVER" || kind == "2";
            spans.push(Span {
                trace: text("traceId"),
                id: text("spanId"),
                parent: text("parentSpanId"),
                name: text("name"),
                start: nanos(&span["startTimeUnixNano"]),
                is_server,
                service: service.to_owned(),
                attributes: attributes(span).into_iter().chain(about.clone()).collect(),
            });
        }
    }
}

fn nanos(json: &Json) -> u64 {
    let text = json.as_str().and_then(|s| s.parse().ok());
    text.or(json.as_u64()).unwrap_or(0)
}

fn attributes(of: &Json) -> BTreeMap<String, Json> {
    let all = of["attributes"].as_array().into_iter().flatten();
    all.filter_map(|a| Some((a["key"].as_str()?.to_owned(), value(&a["value"])?)))
        .collect()
}

/// `{ "stringValue": "x" }`, `{ "intValue": "7" }`, …
fn value(json: &Json) -> Option<Json> {
    let (kind, value) = json.as_object()?.iter().next()?;
    Some(match kind.as_str() {
        "intValue" => {
            let text = value.as_str().and_then(|s| s.parse::<i64>().ok());
            text.map_or_else(|| value.clone(), Json::from)
        }
        "arrayValue" => {
            let all = value["values"].as_array().into_iter().flatten();
            // Lists of lists are no attributes.
            all.filter(|v| v.get("arrayValue").is_none())
                .filter_map(self::value)
                .collect()
        }
        _ => value.clone(),
    })
}

/// Spans by their ids.
#[derive(Debug)]
pub struct Tree<'s>(HashMap<(&'s str, &'s str), &'s Span>);

impl<'s> Tree<'s> {
    /// Of all spans of a file.
    pub fn new(spans: &'s [Span]) -> Self {
        let all = spans.iter();
        Self(
            all.map(|s| ((s.trace.as_str(), s.id.as_str()), s))
                .collect(),
        )
    }

    /// The spans that a span is part of, the nearest first.
    pub fn above(&self, of: &'s Span) -> impl Iterator<Item = &'s Span> {
        let mut seen: HashSet<&str> = HashSet::from([of.id.as_str()]);
        let mut at = of;
        std::iter::from_fn(move || {
            let parent = at.parent.as_str();
            // A span that is above itself is of no use.
            if parent.is_empty() || !seen.insert(parent) {
                return None;
            }
            at = self.0.get(&(of.trace.as_str(), parent)).copied()?;
            Some(at)
        })
    }
}

impl Span {
    fn get(&self, names: &[&str]) -> Option<&Json> {
        names.iter().find_map(|n| self.attributes.get(*n))
    }

    /// The text of one of some attributes.
    pub fn text(&self, names: &[&str]) -> Option<&str> {
        self.get(names)?.as_str().filter(|t| !t.is_empty())
    }

    fn number(&self, names: &[&str]) -> Option<i64> {
        let found = self.get(names)?;
        found.as_i64().or_else(|| found.as_str()?.parse().ok())
    }

    /// The method.
    pub fn method(&self) -> Option<&str> {
        let method = self.text(&["http.request.method", "http.method"])?;
        let other = self.text(&["http.request.method_original"]);
        let method = if method == "_OTHER" { other? } else { method };
        method
            .bytes()
            .all(|b| b.is_ascii_alphabetic())
            .then_some(method)
    }

    /// The status.
    pub fn status(&self) -> Option<i64> {
        let status = self.number(&["http.response.status_code", "http.status_code"]);
        status.filter(|s| (100..600).contains(s))
    }

    /// Whether it is a request that a server answered.
    pub fn is_request(&self) -> bool {
        self.is_server && self.method().is_some() && self.path().is_some()
    }

    /// The whole URL, where it is known.
    fn full(&self) -> Option<&str> {
        let full = self.text(&["url.full", "http.url"])?;
        (full.starts_with("http://") || full.starts_with("https://")).then_some(full)
    }

    fn path(&self) -> Option<String> {
        let path = self.text(&["url.path"]).map(|path| {
            let query = self.text(&["url.query"]).unwrap_or("");
            match query.trim_start_matches('?') {
                "" => path.to_owned(),
                query => format!("{path}?{query}"),
            }
        });
        let target = || self.text(&["http.target"]).map(str::to_owned);
        let full = || Some(split_url(self.full()?).1.to_owned());
        let path = path.or_else(target).or_else(full)?;
        let path = match path.is_empty() {
            true => "/".to_owned(),
            false => path,
        };
        let path = path.split('#').next().unwrap_or("").to_owned();
        let plain = !path.chars().any(|c| c.is_whitespace() || c.is_control());
        (path.starts_with('/') && plain).then_some(path)
    }

    /// Where the request goes.
    pub fn url(&self, hosts: &mut Hosts, warnings: &mut Vec<String>) -> String {
        let path = self.path().unwrap_or_else(|| "/".into());
        let host = self.text(&["server.address", "http.host", "net.host.name"]);
        let host = host.filter(|h| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
            h.chars().all(fits)
        });
        if let Some(full) = self.full() {
            return hosts.rewrite(&format!("{}{path}", split_url(full).0), warnings);
        }
        let Some(host) = host else {
            return format!("{}{path}", hosts.front());
        };
        let scheme = self.text(&["url.scheme", "http.scheme"]).unwrap_or("http");
        let scheme = if scheme == "https" { "https" } else { "http" };
        let usual = if scheme == "https" { 443 } else { 80 };
        let port = self.number(&["server.port", "net.host.port"]);
        let port = port.filter(|p| *p != usual && !host.contains(':') && (1..65536).contains(p));
        let port = port.map_or(String::new(), |p| format!(":{p}"));
        hosts.rewrite(&format!("{scheme}://{host}{port}{path}"), warnings)
    }

    /// Headers that were captured.
    pub fn headers<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = (String, String)> + 's {
        self.attributes.iter().filter_map(move |(key, value)| {
            let name = key.strip_prefix(prefix)?.replace('_', "-");
            let first = value.as_array().map_or(Some(value), |a| a.first())?;
            Some((name, first.as_str()?.to_owned()))
        })
    }

    /// Whether it has an attribute of this value.
    pub fn has(&self, key: &str, value: &str) -> bool {
        let of_trace = ["trace", "trace_id", "traceId"].contains(&key);
        let found = self.attributes.get(key);
        let text = found.map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
        (of_trace && self.trace.eq_ignore_ascii_case(value)) || text.as_deref() == Some(value)
    }

    /// What a database was asked.
    pub fn statement(&self) -> Option<&str> {
        self.get(&["db.system.name", "db.system"])?;
        self.text(&["db.query.text", "db.statement"])
    }

    /// Which database, for people.
    pub fn database(&self) -> String {
        let system = self
            .text(&["db.system.name", "db.system"])
            .unwrap_or("database");
        let name = self.text(&["db.namespace", "db.name"]);
        let name = name.map_or(String::new(), |n| format!(" {n}"));
        match self.service.is_empty() {
            true => format!("{system}{name}"),
            false => format!("{} -> {system}{name}", self.service),
        }
    }

    /// How many rows the database gave.
    pub fn rows(&self) -> Option<i64> {
        self.number(&["db.response.returned_rows"])
    }

    /// The values of a statement's parameters, when all of them are known.
    pub fn parameters(&self, places: usize) -> Option<Vec<Json>> {
        (0..places)
            .map(|i| {
                let name = format!("db.query.parameter.{i}");
                self.attributes.get(&name).cloned()
            })
            .collect()
    }

    /// The service that the database is, when it is one of SQL.
    pub fn service_of_database(&self, hosts: &Hosts) -> Option<String> {
        const SQL: [&str; 4] = ["postgresql", "mysql", "mariadb", "postgres"];
        let system = self.text(&["db.system.name", "db.system"])?;
        if !SQL.contains(&system.to_ascii_lowercase().as_str()) {
            return None;
        }
        let address = ["server.address", "net.peer.name", "peer.service"];
        let named = address.iter().find_map(|n| {
            let host = self.text(&[n])?;
            hosts.services.iter().find(|(name, _)| name == host)
        });
        let databases: Vec<_> = hosts
            .services
            .iter()
            .filter(|(_, image)| kind::runs("sql", image))
            .collect();
        let only = match &databases[..] {
            [one] => Some(*one),
            _ => None,
        };
        named.or(only).map(|(name, _)| name.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_collector_and_single_objects() {
        let one = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"orders"}}]},"scopeSpans":[{"spans":[{"traceId":"t","spanId":"a","kind":2,"startTimeUnixNano":"5","attributes":[{"key":"http.method","value":{"stringValue":"GET"}},{"key":"http.target","value":{"stringValue":"/a?b"}},{"key":"http.status_code","value":{"intValue":"200"}}]}]}]}]}"#;
        let old = r#"{"resourceSpans":[{"instrumentationLibrarySpans":[{"spans":[{"spanId":"b","kind":"SPAN_KIND_SERVER","startTimeUnixNano":7,"attributes":[{"key":"http.request.method","value":{"stringValue":"PUT"}},{"key":"url.full","value":{"stringValue":"https://shop.example"}},{"key":"http.response.status_code","value":{"intValue":204}}]}]}]}]}"#;
        let said = |text: &str| {
            let (spans, unread) = read(text).unwrap();
            let all: Vec<String> = spans
                .iter()
                .map(|s| {
                    format!(
                        "{:?} {:?} {:?} {}",
                        s.method(),
                        s.path(),
                        s.status(),
                        s.start
                    )
                })
                .collect();
            (all.join("; "), unread)
        };
        let first = "Some(\"GET\") Some(\"/a?b\") Some(200) 5".to_owned();
        let second = "Some(\"PUT\") Some(\"/\") Some(204) 7".to_owned();
        assert_eq!(said(one), (first.clone(), 0));
        assert_eq!(
            said(&format!("{one}\n{old}\n")),
            (format!("{first}; {second}"), 0)
        );
        assert_eq!(
            said(&format!("[{one},{old}]")),
            (format!("{first}; {second}"), 0)
        );
        // The last line of a file that is being written.
        assert_eq!(said(&format!("{one}\n{}", &old[..40])), (first, 1));
        assert!(read("no").is_err());
        assert_eq!(said("{}"), (String::new(), 0));
        assert_eq!(said("7 [] \"x\""), (String::new(), 0));
    }

    #[test]
    fn spans_that_are_above_themselves() {
        let span = |id: &str, parent: &str| Span {
            id: id.into(),
            parent: parent.into(),
            ..Span::default()
        };
        let spans = [
            span("a", "b"),
            span("b", "a"),
            span("c", "c"),
            span("d", "x"),
        ];
        let tree = Tree::new(&spans);
        let ids = |of: usize| -> Vec<&str> {
            let all = tree.above(&spans[of]);
            all.map(|s| s.id.as_str()).collect()
        };
        assert_eq!(ids(0), ["b"]);
        assert!(ids(2).is_empty() && ids(3).is_empty());
    }
}
