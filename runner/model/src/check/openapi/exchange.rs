//! A request and its response, held against a file.

use serde_json::{Map, Value as Json};

use super::body::{self, Body};
use super::parameter::{self, Given, scalar};
use super::schema::Way;
use super::spec::{Found, Operation, Spec};
use crate::check::predicate::Finding;
use crate::diag::nearest;
use crate::template::Document;

/// What an `http` step did.
pub(super) struct Exchange<'d> {
    method: &'d str,
    url: url::Url,
    request_headers: Vec<(String, String)>,
    request_body: Body<'d>,
    /// The status of the response.
    pub status: u16,
    headers: Vec<(String, String)>,
    body: Body<'d>,
}

impl<'d> Exchange<'d> {
    /// Takes it from the result of a step.
    pub fn of(document: &'d Document) -> Result<Self, String> {
        let request = document
            .get("request")
            .ok_or("this step sent no HTTP request")?;
        let text = |node: &'d Json, key: &str| node.get(key).and_then(Json::as_str);
        let url = text(request, "url").ok_or("the request has no URL")?;
        let headers = headers(document.get("headers"));
        let request_headers = self::headers(request.get("headers"));
        let body = document
            .get("body")
            .and_then(Json::as_str)
            .unwrap_or_default();
        let request_body = text(request, "body").unwrap_or_default();
        Ok(Self {
            method: text(request, "method").unwrap_or("GET"),
            url: url::Url::parse(url).map_err(|e| format!("`{url}` is no URL: {e}"))?,
            request_body: Body {
                kind: kind(&request_headers),
                text: request_body,
                size: request_body.len(),
            },
            request_headers,
            status: document
                .get("status")
                .and_then(Json::as_u64)
                .and_then(|s| u16::try_from(s).ok())
                .unwrap_or_default(),
            body: Body {
                kind: kind(&headers),
                text: body,
                size: document.raw.as_ref().map_or(body.len(), |r| r.len()),
            },
            headers,
        })
    }

    /// All violations, and which operation it is.
    pub fn check<'s>(
        &self,
        spec: &'s Spec,
        wanted: Option<&str>,
    ) -> (Option<&'s Operation>, Vec<Finding>) {
        let mut out = Vec::new();
        let path = self.url.path();
        let (operation, values) = match spec.find(self.method, path) {
            Found::Operation(o, values) => (o, values),
            Found::Methods(others) => {
                let methods: Vec<&str> = others.iter().map(|o| o.method.as_str()).collect();
                out.push(Finding::new(
                    "request.method",
                    format!("one of {} for {}", methods.join(", "), others[0].path),
                    self.method,
                ));
                return (None, out);
            }
            Found::Nothing => {
                let paths = spec.operations().iter().map(|o| o.path.as_str());
                let hint = nearest(path, paths).map(|n| format!("there is {n}"));
                out.push(
                    Finding::new("request.path", format!("a path of {}", spec.name), path)
                        .hint(hint),
                );
                return (None, out);
            }
        };
        if let Some(wanted) = wanted
            && operation.id.as_deref() != Some(wanted)
        {
            let own = operation
                .id
                .as_deref()
                .unwrap_or("one without an operationId");
            out.push(Finding::new(
                "request",
                format!("the operation {wanted}"),
                format!("{own} ({operation})"),
            ));
        }
        let Some((item, node)) = spec.nodes(operation) else {
            return (None, out);
        };
        // A request that was refused was meant to be wrong.
        if !(400..500).contains(&self.status) {
            self.request(spec, item, node, values, &mut out);
        }
        self.response(spec, node, &mut out);
        (Some(operation), out)
    }

    fn request(
        &self,
        spec: &Spec,
        item: &Json,
        node: &Json,
        path: Vec<(String, String)>,
        out: &mut Vec<Finding>,
    ) {
        let query = self.url.query_pairs();
        let cookies = self
            .request_headers
            .iter()
            .filter(|(k, _)| k == "cookie")
            .flat_map(|(_, v)| v.split(';'))
            .filter_map(|c| c.split_once('='))
            .map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned()));
        let given = Given {
            path,
            query: query
                .map(|(k, v)| (k.into_owned(), v.into_owned()))
                .collect(),
            headers: self.request_headers.clone(),
            cookies: cookies.collect(),
        };
        parameter::check(spec, item, node, &given, out);
        let at = "request.body";
        let Some(described) = node.get("requestBody").map(|b| spec.resolve(b)) else {
            if self.request_body.size > 0 {
                out.push(Finding::new(
                    at,
                    "no body, by the OpenAPI file",
                    self.sent(),
                ));
            }
            return;
        };
        if self.request_body.size == 0 {
            if described.get("required") == Some(&Json::Bool(true)) {
                out.push(Finding::new(at, "a required body", "nothing"));
            }
            return;
        }
        if let Some(content) = described.get("content").and_then(Json::as_object) {
            body::check(spec, content, Way::Request, &self.request_body, at, out);
        }
    }

    fn sent(&self) -> String {
        crate::check::show::show(&Json::from(self.request_body.text))
    }

    fn response(&self, spec: &Spec, node: &Json, out: &mut Vec<Finding>) {
        let empty = Map::new();
        let responses = node
            .get("responses")
            .and_then(Json::as_object)
            .unwrap_or(&empty);
        let range = format!("{}XX", self.status / 100);
        let found = responses
            .get(&self.status.to_string())
            .or_else(|| responses.get(&range))
            .or_else(|| responses.get(&range.to_ascii_lowercase()))
            .or_else(|| responses.get("default"));
        let Some(described) = found.map(|r| spec.resolve(r)) else {
            let known: Vec<&str> = responses.keys().map(String::as_str).collect();
            out.push(Finding::new(
                "response.status",
                format!("one of {}", known.join(", ")),
                self.status.to_string(),
            ));
            return;
        };
        for (name, header) in described
            .get("headers")
            .and_then(Json::as_object)
            .into_iter()
            .flatten()
        {
            self.header(spec, name, spec.resolve(header), out);
        }
        if self.method == "HEAD" {
            return;
        }
        match described.get("content").and_then(Json::as_object) {
            Some(content) if !content.is_empty() => {
                if self.body.size == 0 {
                    out.push(Finding::new("response.body", "a body", "nothing"));
                } else {
                    body::check(
                        spec,
                        content,
                        Way::Response,
                        &self.body,
                        "response.body",
                        out,
                    );
                }
            }
            _ if self.body.size > 0 => out.push(Finding::new(
                "response.body",
                "no body, by the OpenAPI file",
                crate::check::show::show(&Json::from(self.body.text)),
            )),
            _ => {}
        }
    }

    fn header(&self, spec: &Spec, name: &str, described: &Json, out: &mut Vec<Finding>) {
        if name.eq_ignore_ascii_case("content-type") {
            return;
        }
        let at = format!("response.headers.{}", name.to_ascii_lowercase());
        let value = self
            .headers
            .iter()
            .find(|(k, _)| k.eq_ignore_ascii_case(name));
        match (value, described.get("schema")) {
            (None, _) if described.get("required") == Some(&Json::Bool(true)) => {
                out.push(Finding::new(at, "a required header", "nothing"));
            }
            (Some((_, text)), Some(schema)) => {
                let value = scalar(spec, spec.resolve(schema), text);
                spec.schemas.check(schema, Way::Response, &value, &at, out);
            }
            _ => {}
        }
    }
}

/// Names in lower case; a list is several of one name.
fn headers(node: Option<&Json>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, value) in node.and_then(Json::as_object).into_iter().flatten() {
        let name = name.to_ascii_lowercase();
        match value {
            Json::Array(all) => found.extend(
                all.iter()
                    .filter_map(Json::as_str)
                    .map(|v| (name.clone(), v.to_owned())),
            ),
            Json::String(s) => found.push((name, s.clone())),
            other => found.push((name, other.to_string())),
        }
    }
    found
}

fn kind(headers: &[(String, String)]) -> Option<String> {
    let (_, value) = headers.iter().find(|(k, _)| k == "content-type")?;
    Some(
        value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase(),
    )
}
