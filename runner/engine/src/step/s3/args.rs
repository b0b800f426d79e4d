//! What an `s3` step says.

use bytes::Bytes;
use hyper::header::HeaderMap;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::{Data, Scope, Text};
use prodmirror_model::yaml::{Node, Spanned, from_node};
use serde::Deserialize;
use url::Url;

use super::{KIND, header};
use crate::step::StepError;
use crate::step::fields::{Pairs, args, helped};

/// MinIO's port, which most stores have.
const PORT: u16 = 9000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default)]
    service: Option<Spanned<String>>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    url: Option<Text>,
    #[serde(default)]
    verify: Option<bool>,
    #[serde(default)]
    region: Option<Text>,
    #[serde(default)]
    access_key: Option<Text>,
    #[serde(default)]
    secret_key: Option<Text>,
    #[serde(default)]
    session_token: Option<Text>,
    #[serde(default)]
    path_style: Option<bool>,
    #[serde(default)]
    bucket: Option<Text>,
    #[serde(default)]
    put: Option<Put>,
    #[serde(default)]
    get: Option<Text>,
    #[serde(default)]
    head: Option<Text>,
    #[serde(default)]
    list: Option<Node>,
    #[serde(default)]
    delete: Option<Text>,
    #[serde(default)]
    create_bucket: Option<Text>,
}

/// An object that is put.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Put {
    pub key: Text,
    #[serde(default)]
    json: Option<Data>,
    #[serde(default)]
    text: Option<Text>,
    #[serde(default)]
    base64: Option<Text>,
    #[serde(default)]
    r#type: Option<Text>,
    #[serde(default)]
    metadata: Pairs,
}

/// Which objects are listed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    #[serde(default)]
    pub prefix: Option<Text>,
    #[serde(default)]
    pub delimiter: Option<Text>,
    #[serde(default)]
    pub most: Option<usize>,
}

/// What is done.
pub(super) enum Operation {
    Put(Box<Put>),
    Get(Text),
    Head(Text),
    List(List),
    Delete(Text),
    CreateBucket(Text),
}

/// Where the store is.
pub(super) enum Endpoint {
    Service(Spanned<String>, u16),
    Url(Text),
}

/// A request to a store, ready to send.
pub(super) struct S3Act {
    pub endpoint: Endpoint,
    pub verify: bool,
    pub region: Option<Text>,
    pub access_key: Option<Text>,
    pub secret_key: Option<Text>,
    pub session_token: Option<Text>,
    pub path_style: bool,
    pub bucket: Option<Text>,
    pub operation: Operation,
}

/// Decodes a request.
pub(super) fn act(node: &Node) -> Result<S3Act, Vec<Problem>> {
    let a: Args = args(node, KIND.name, KIND.example)?;
    let mut problems = Vec::new();
    let mut bad = |kind, text: &str, help: &str| {
        problems.push(Problem::at(kind, &node.span, text).help(help));
    };
    let list = a.list.as_ref().map(list).transpose();
    let mut operations = Vec::new();
    operations.extend(a.put.map(|p| Operation::Put(Box::new(p))));
    operations.extend(a.get.map(Operation::Get));
    operations.extend(a.head.map(Operation::Head));
    operations.extend(a.delete.map(Operation::Delete));
    operations.extend(a.create_bucket.map(Operation::CreateBucket));
    match list {
        Ok(l) => operations.extend(l.map(Operation::List)),
        Err(p) => return Err(vec![p]),
    }
    const ONE: &str = "give one of: put, get, head, list, delete, create_bucket";
    match operations.len() {
        1 => {}
        0 => bad(ProblemKind::Missing, "this `s3` step does nothing", ONE),
        _ => bad(ProblemKind::Conflict, "an `s3` step does one thing", ONE),
    }
    let operation = operations.pop();
    match (&operation, &a.bucket) {
        (Some(Operation::CreateBucket(_)) | None, _) | (_, Some(_)) => {}
        _ => bad(
            ProblemKind::Missing,
            "the step does not say in which `bucket`",
            "add `bucket: name`",
        ),
    }
    if let Some(Operation::Put(p)) = &operation {
        let bodies = usize::from(p.json.is_some())
            + usize::from(p.text.is_some())
            + usize::from(p.base64.is_some());
        if bodies != 1 {
            bad(
                ProblemKind::Conflict,
                "an object has one body",
                "give one of `json`, `text` and `base64`",
            );
        }
    }
    if a.access_key.is_some() != a.secret_key.is_some() {
        bad(
            ProblemKind::Missing,
            "an access key goes with its secret",
            "give `access_key` and `secret_key`, or neither",
        );
    }
    let endpoint = match (a.service, a.url) {
        (Some(s), None) => Some(Endpoint::Service(s, a.port.unwrap_or(PORT))),
        (None, Some(u)) => {
            if a.port.is_some() {
                bad(
                    ProblemKind::Conflict,
                    "the port stands in the `url`",
                    "leave out `port`",
                );
            }
            if let Some(plain) = u.plain()
                && Url::parse(plain).is_err()
            {
                let text = format!("`{plain}` is not a URL");
                bad(
                    ProblemKind::InvalidValue,
                    &text,
                    "for example `url: \"https://s3.eu-west-1.amazonaws.com\"`",
                );
            }
            Some(Endpoint::Url(u))
        }
        _ => {
            bad(
                ProblemKind::Missing,
                "the step names its store once",
                "give `service`, or the `url` of a declared name",
            );
            None
        }
    };
    match (operation, endpoint) {
        (Some(operation), Some(endpoint)) if problems.is_empty() => Ok(S3Act {
            endpoint,
            verify: a.verify.unwrap_or(true),
            region: a.region,
            access_key: a.access_key,
            secret_key: a.secret_key,
            session_token: a.session_token,
            path_style: a.path_style.unwrap_or(true),
            bucket: a.bucket,
            operation,
        }),
        _ => Err(problems),
    }
}

/// A prefix, or a mapping.
fn list(node: &Node) -> Result<List, Problem> {
    let list: List = match node.as_str() {
        Some(prefix) => List {
            prefix: Some(Text::new(prefix, &node.span)?),
            ..List::default()
        },
        None => from_node(node).map_err(|p| {
            helped(
                p,
                "write `list: \"orders/\"`, or `list: { prefix: \"orders/\", most: 100 }`",
            )
        })?,
    };
    if list.most.is_some_and(|m| m == 0 || m > super::MOST) {
        let text = format!("`most` is from 1 to {}", super::MOST);
        return Err(Problem::at(ProblemKind::InvalidValue, &node.span, text));
    }
    Ok(list)
}

impl Put {
    /// Its key, its body and its headers.
    pub fn render(&self, scope: &Scope) -> Result<(String, Bytes, HeaderMap), StepError> {
        let key = self.key.render(scope)?;
        let (body, usual): (Bytes, &str) = match (&self.json, &self.text, &self.base64) {
            (Some(j), ..) => (j.render(scope)?.to_string().into(), "application/json"),
            (_, Some(t), _) => (t.render(scope)?.into(), "text/plain; charset=utf-8"),
            (.., Some(b)) => (decode(b, scope)?, "application/octet-stream"),
            _ => (Bytes::new(), "application/octet-stream"),
        };
        let mut headers = HeaderMap::new();
        let given = self.r#type.as_ref().map(|t| t.render(scope)).transpose()?;
        let (name, value) = header("content-type", given.as_deref().unwrap_or(usual))?;
        headers.insert(name, value);
        for (name, value) in &self.metadata.0 {
            let name = format!("x-amz-meta-{}", name.render(scope)?.to_ascii_lowercase());
            let (name, value) = header(&name, &value.render_text(scope)?)?;
            headers.insert(name, value);
        }
        Ok((key, body, headers))
    }
}

fn decode(text: &Text, scope: &Scope) -> Result<Bytes, StepError> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text.render(scope)?.trim());
    bytes.map(Bytes::from).map_err(|e| {
        let what = format!("`base64` cannot be decoded: {e}");
        Problem::at(ProblemKind::InvalidValue, text.span(), what).into()
    })
}
