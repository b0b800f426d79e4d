//! `multipart`: fields and files of a form (RFC 7578).

use bytes::{BufMut, Bytes, BytesMut};
use hyper::header::HeaderValue;
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::template::{Data, Scope, Text};
use prodmirror_model::yaml::Node;
use serde::Deserialize;
use serde_json::Value as Json;

use crate::step::{StepError, files};

/// A field, or a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    name: Text,
    #[serde(default)]
    value: Option<Data>,
    #[serde(default)]
    file: Option<Text>,
    #[serde(default)]
    filename: Option<Text>,
    #[serde(default)]
    content_type: Option<Text>,
}

/// What is wrong with the parts.
pub(super) fn check(parts: &[Part], node: &Node, problems: &mut Vec<Problem>) {
    if parts.is_empty() {
        problems.push(
            Problem::at(ProblemKind::Missing, &node.span, "`multipart` has no parts")
                .help("write `multipart: [ { name: note, value: hello } ]`"),
        );
    }
    for part in parts {
        match (&part.value, &part.file) {
            (Some(_), Some(_)) => problems.push(Problem::at(
                ProblemKind::Conflict,
                part.name.span(),
                format!("the part `{}` has a `value` and a `file`", part.name),
            )),
            (None, None) => problems.push(
                Problem::at(
                    ProblemKind::Missing,
                    part.name.span(),
                    format!("the part `{}` has no content", part.name),
                )
                .help("give it a `value` or a `file`"),
            ),
            (None, Some(file)) => problems.extend(files::check(file)),
            (Some(_), None) => {}
        }
        if let Some(t) = &part.content_type
            && t.plain().is_some_and(|t| HeaderValue::from_str(t).is_err())
        {
            problems.push(unfit(t));
        }
    }
}

fn unfit(content_type: &Text) -> Problem {
    Problem::at(
        ProblemKind::InvalidValue,
        content_type.span(),
        "`content_type` holds a line break or another control character",
    )
}

/// The body, and its type with the boundary.
pub(super) async fn render(
    parts: &[Part],
    scope: &Scope,
) -> Result<(Bytes, HeaderValue), StepError> {
    let boundary = format!("prodmirror-{}", uuid::Uuid::new_v4().simple());
    let mut body = BytesMut::new();
    for part in parts {
        let name = quoted(&part.name.render(scope)?);
        let text = |t: &Option<Text>| t.as_ref().map(|t| t.render(scope)).transpose();
        let (mut filename, mut kind) = (text(&part.filename)?, text(&part.content_type)?);
        let content = match (&part.value, &part.file) {
            (Some(value), _) => match value.render(scope)? {
                structured @ (Json::Object(_) | Json::Array(_)) => {
                    kind.get_or_insert_with(|| "application/json".into());
                    structured.to_string().into()
                }
                _ => Bytes::from(value.render_text(scope)?),
            },
            (None, Some(file)) => {
                let path = file.render(scope)?;
                let last = path.rsplit('/').next().unwrap_or(&path);
                let filename = filename.get_or_insert_with(|| last.to_owned());
                kind.get_or_insert_with(|| type_of(filename).into());
                files::read(file, scope).await?
            }
            (None, None) => Bytes::new(),
        };
        let mut head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"");
        if let Some(filename) = filename {
            head.push_str(&format!("; filename=\"{}\"", quoted(&filename)));
        }
        if let Some(kind) = kind {
            if HeaderValue::from_str(&kind).is_err() {
                return Err(part.content_type.as_ref().map_or_else(
                    || StepError::transport("a part has a type that is none"),
                    |t| unfit(t).into(),
                ));
            }
            head.push_str(&format!("\r\nContent-Type: {kind}"));
        }
        head.push_str("\r\n\r\n");
        if (body.len() + head.len() + content.len()) as u64 > files::LARGEST {
            return Err(Problem::at(
                ProblemKind::TooLarge,
                part.name.span(),
                format!(
                    "the parts have more than {} MiB",
                    files::LARGEST / 1024 / 1024
                ),
            )
            .into());
        }
        body.put_slice(head.as_bytes());
        body.put_slice(&content);
        body.put_slice(b"\r\n");
    }
    body.put_slice(format!("--{boundary}--\r\n").as_bytes());
    let content_type = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}"))
        .map_err(|e| StepError::transport(e.to_string()))?;
    Ok((body.freeze(), content_type))
}

/// A name as browsers write it.
fn quoted(name: &str) -> String {
    name.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// The type of a file by its name.
pub(super) fn type_of(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, e)| e);
    match extension.to_ascii_lowercase().as_str() {
        "json" => "application/json",
        "txt" | "log" => "text/plain",
        "csv" => "text/csv",
        "html" | "htm" => "text/html",
        "xml" => "application/xml",
        "yaml" | "yml" => "application/yaml",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "svg" => "image/svg+xml",
        "webp" => "image/webp",
        _ => "application/octet-stream",
    }
}
