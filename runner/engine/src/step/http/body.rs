//! What a request carries.

use std::io::Write;

use bytes::Bytes;
use hyper::header::HeaderValue;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::{Data, Scope, Text};
use prodmirror_model::yaml::Node;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::multipart::{self, Part};
use crate::step::fields::Pairs;
use crate::step::{StepError, files};

/// The body of a request.
pub(super) enum Body {
    None,
    /// JSON without templates, encoded once.
    Encoded(Bytes),
    Json(Data),
    Form(Pairs),
    Text(Text),
    File(Text),
    Multipart(Vec<Part>),
    Graphql(Graphql),
}

/// The keys that give a request its body.
#[derive(Default)]
pub(super) struct Given {
    pub json: Option<Data>,
    pub form: Option<Pairs>,
    pub body: Option<Text>,
    pub body_file: Option<Text>,
    pub multipart: Option<Vec<Part>>,
    pub graphql: Option<Graphql>,
}

/// `graphql: { query, variables, operation }`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Graphql {
    query: Text,
    #[serde(default)]
    variables: Option<Data>,
    #[serde(default)]
    operation: Option<Text>,
}

/// Bytes and their type.
pub(super) struct Rendered {
    pub bytes: Bytes,
    pub content_type: Option<HeaderValue>,
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

impl Body {
    /// The one that is given.
    pub fn choose(given: Given, node: &Node, problems: &mut Vec<Problem>) -> Self {
        let mut found = Vec::new();
        if let Some(json) = given.json {
            found.push(match json.plain() {
                Some(plain) => Body::Encoded(plain.to_string().into()),
                None => Body::Json(json),
            });
        }
        found.extend(given.form.map(Body::Form));
        found.extend(given.body.map(Body::Text));
        if let Some(name) = given.body_file {
            problems.extend(files::check(&name));
            found.push(Body::File(name));
        }
        if let Some(parts) = given.multipart {
            multipart::check(&parts, node, problems);
            found.push(Body::Multipart(parts));
        }
        if let Some(g) = given.graphql {
            let plain = g.variables.as_ref().and_then(Data::plain);
            if let Some(v) = plain.filter(|v| !v.is_object()) {
                problems.push(Problem::at(
                    ProblemKind::WrongType,
                    g.variables.as_ref().map_or(&node.span, Data::span),
                    format!("`variables` is a mapping, found {v}"),
                ));
            }
            found.push(Body::Graphql(g));
        }
        if found.len() > 1 {
            problems.push(
                Problem::at(ProblemKind::Conflict, &node.span, "a request has one body").help(
                    "keep one of `json`, `form`, `body`, `body_file`, `multipart` and `graphql`",
                ),
            );
        }
        found.pop().unwrap_or(Body::None)
    }

    /// Its bytes and their type.
    pub async fn render(&self, scope: &Scope) -> Result<Rendered, StepError> {
        let (bytes, content_type) = match self {
            Body::None => (Bytes::new(), None),
            Body::Encoded(bytes) => (bytes.clone(), Some(JSON)),
            Body::Json(data) => (data.render(scope)?.to_string().into(), Some(JSON)),
            Body::Form(pairs) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (k, v) in &pairs.0 {
                    form.append_pair(&k.render(scope)?, &v.render_text(scope)?);
                }
                (form.finish().into(), Some(FORM))
            }
            Body::Text(text) => (text.render(scope)?.into(), None),
            Body::File(name) => {
                let bytes = files::read(name, scope).await?;
                let kind = multipart::type_of(&name.render(scope)?);
                (bytes, Some(HeaderValue::from_static(kind)))
            }
            Body::Multipart(parts) => {
                let (bytes, content_type) = multipart::render(parts, scope).await?;
                (bytes, Some(content_type))
            }
            Body::Graphql(g) => (g.render(scope)?.into(), Some(JSON)),
        };
        Ok(Rendered {
            bytes,
            content_type,
        })
    }
}

impl Graphql {
    fn render(&self, scope: &Scope) -> Result<String, Problem> {
        let mut map = Map::new();
        map.insert("query".into(), self.query.render(scope)?.into());
        if let Some(v) = &self.variables {
            map.insert("variables".into(), v.render(scope)?);
        }
        if let Some(name) = &self.operation {
            map.insert("operationName".into(), name.render(scope)?.into());
        }
        Ok(Json::Object(map).to_string())
    }
}

/// Bytes as gzip.
pub(super) fn gzip(bytes: &[u8]) -> Bytes {
    let mut z = flate2::write::GzEncoder::new(
        Vec::with_capacity(bytes.len() / 2 + 64),
        flate2::Compression::default(),
    );
    // Writing to memory does not fail.
    let _ = z.write_all(bytes);
    z.finish().unwrap_or_default().into()
}
