//! What MongoDB answers: documents as JSON, and errors.

use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf};
use futures_util::TryStreamExt;
use mongodb::Cursor;
use mongodb::error::{Error, ErrorKind, WriteFailure};
use prodmirror_model::diag::{Problem, ProblemKind};
use prodmirror_model::source::Span;
use serde_json::{Value as Json, json};

use super::MOST;
use crate::step::StepError;

/// Bytes of documents that a step may read.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// How deep documents may be; MongoDB itself keeps none that is deeper than 100.
const DEEPEST: usize = 200;

/// What the server says is wrong.
#[derive(Debug, Clone, Default)]
pub(super) struct ServerError {
    pub code: i32,
    /// Its name, where the server gives one.
    pub name: Option<String>,
    pub message: String,
    /// Which of several documents, from 0.
    pub index: Option<usize>,
}

impl ServerError {
    /// Whether this is its number or its name.
    pub fn is(&self, code: &str) -> bool {
        self.code.to_string() == code || self.name.as_deref() == Some(code)
    }

    pub fn text(&self) -> String {
        let place = self
            .index
            .map_or_else(String::new, |i| format!("document {i}: "));
        let name = self
            .name
            .as_ref()
            .map_or_else(String::new, |n| format!(" ({n})"));
        format!("{place}error {}{name}: {}", self.code, self.message)
    }

    pub fn json(&self) -> Json {
        json!({ "code": self.code, "name": self.name, "message": self.message, "index": self.index })
    }
}

/// Why an operation gave nothing.
pub(super) enum Failure {
    Server(Box<ServerError>),
    Step(StepError),
    /// Nobody knows in what state the connection is.
    Lost(StepError),
}

impl From<StepError> for Failure {
    fn from(e: StepError) -> Self {
        Failure::Step(e)
    }
}

impl From<Problem> for Failure {
    fn from(p: Problem) -> Self {
        Failure::Step(p.into())
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        let server = |code, name: Option<&String>, message: &str| {
            Failure::Server(Box::new(ServerError {
                code,
                name: name.filter(|n| !n.is_empty()).cloned(),
                message: message.to_owned(),
                index: None,
            }))
        };
        match &*e.kind {
            ErrorKind::Command(c) => server(c.code, Some(&c.code_name), &c.message),
            ErrorKind::Write(WriteFailure::WriteError(w)) => {
                server(w.code, w.code_name.as_ref(), &w.message)
            }
            ErrorKind::Write(WriteFailure::WriteConcernError(w)) => {
                server(w.code, Some(&w.code_name), &w.message)
            }
            ErrorKind::InsertMany(all) => match (
                all.write_errors.as_ref().and_then(|w| w.first()),
                &all.write_concern_error,
            ) {
                (Some(w), _) => Failure::Server(Box::new(ServerError {
                    code: w.code,
                    name: w.code_name.clone(),
                    message: w.message.clone(),
                    index: Some(w.index),
                })),
                (None, Some(w)) => server(w.code, Some(&w.code_name), &w.message),
                (None, None) => Failure::Lost(StepError::transport(reason(&e))),
            },
            ErrorKind::InvalidArgument { message, .. } => {
                Problem::new(ProblemKind::InvalidValue, message.clone()).into()
            }
            _ => Failure::Lost(StepError::transport(reason(&e))),
        }
    }
}

/// The words of an error, without the driver's own.
pub(super) fn reason(e: &Error) -> String {
    let text = match &*e.kind {
        ErrorKind::Io(io) => format!("the connection was lost: {io}"),
        ErrorKind::Command(c) => c.message.clone(),
        ErrorKind::Authentication { message, .. } => message.clone(),
        ErrorKind::ServerSelection { message, .. } => message.clone(),
        other => other.to_string(),
    };
    text.trim().to_owned()
}

/// All documents of a cursor, up to a bound.
pub(super) async fn all(mut cursor: Cursor<RawDocumentBuf>) -> Result<Vec<Json>, Failure> {
    let (mut documents, mut bytes) = (Vec::new(), 0);
    while let Some(raw) = cursor.try_next().await? {
        bytes += raw.as_bytes().len();
        if documents.len() >= MOST || bytes > MOST_BYTES {
            let text = format!(
                "the answer has more than {MOST} documents or {} MiB; add a `limit` or a `projection`, or count them",
                MOST_BYTES / 1024 / 1024
            );
            return Err(Problem::new(ProblemKind::TooLarge, text).into());
        }
        documents.push(document(&raw)?);
    }
    Ok(documents)
}

/// A document as JSON, of which nothing is lost.
fn document(raw: &RawDocument) -> Result<Json, Failure> {
    if !is_flat(raw, DEEPEST) {
        let text = format!("a document is deeper than {DEEPEST} levels, or is none");
        return Err(StepError::transport(text).into());
    }
    let document = Document::try_from(raw)
        .map_err(|e| StepError::transport(format!("a document cannot be read: {e}")))?;
    Ok(Json::from(Bson::Document(document)))
}

fn is_flat(raw: &RawDocument, left: usize) -> bool {
    left > 0
        && raw
            .into_iter()
            .all(|e| e.is_ok_and(|(_, v)| fits(v, left - 1)))
}

fn fits(value: RawBsonRef<'_>, left: usize) -> bool {
    match value {
        RawBsonRef::Document(inner) => is_flat(inner, left),
        RawBsonRef::Array(inner) => {
            left > 0
                && inner
                    .into_iter()
                    .all(|v| v.is_ok_and(|v| fits(v, left - 1)))
        }
        _ => true,
    }
}

/// A value as JSON.
pub(super) fn json_of(value: Bson) -> Json {
    value.into()
}

/// A value of a step as MongoDB takes it: extended JSON is understood.
pub(super) fn bson_of(value: Json, key: &str, span: &Span) -> Result<Bson, StepError> {
    let bad = |why: String| {
        let text = format!("`{key}` cannot be sent: {why}");
        Problem::at(ProblemKind::InvalidValue, span, text)
    };
    if let Some(number) = too_long(&value) {
        return Err(
            bad(format!("{number} has more digits than a number of MongoDB"))
                .help(format!("write `{{ $numberDecimal: \"{number}\" }}`"))
                .into(),
        );
    }
    Bson::try_from(value).map_err(|e| bad(e.to_string()).into())
}

/// The first whole number that would lose digits.
fn too_long(value: &Json) -> Option<String> {
    match value {
        Json::Number(n) => {
            let text = n.to_string();
            let whole = !text.contains(['.', 'e', 'E']);
            (whole && n.as_i64().is_none()).then_some(text)
        }
        Json::Array(items) => items.iter().find_map(too_long),
        Json::Object(map) => map.values().find_map(too_long),
        _ => None,
    }
}

/// A value that must be a document.
pub(super) fn document_of(value: Json, key: &str, span: &Span) -> Result<Document, StepError> {
    match bson_of(value, key, span)? {
        Bson::Document(d) => Ok(d),
        _ => {
            let text = format!("`{key}` takes a mapping");
            Err(Problem::at(ProblemKind::WrongType, span, text).into())
        }
    }
}

/// A value that must be a list of documents; or one document, where that is taken.
pub(super) fn documents_of(
    value: Json,
    key: &str,
    span: &Span,
) -> Result<Vec<Document>, StepError> {
    let items = match value {
        Json::Array(items) => items,
        one => vec![one],
    };
    items
        .into_iter()
        .map(|item| document_of(item, key, span))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(value: Json) -> Json {
        json_of(bson_of(value, "filter", &Span::generated()).unwrap())
    }

    #[test]
    fn what_comes_can_go_back_and_is_the_same() {
        for value in [
            json!({ "_id": { "$oid": "65e0c0ffee65e0c0ffee65e0" } }),
            json!({ "at": { "$date": "2024-02-29T12:00:00.5Z" } }),
            json!({ "price": { "$numberDecimal": "12.50" } }),
            json!({ "raw": { "$binary": { "base64": "AP8K", "subType": "00" } } }),
            json!({ "n": [1, 9_007_199_254_740_993_i64, 1.5, null, true, "x"], "in": { "b": 1, "a": 2 } }),
            json!({ "qty": { "$gt": 5, "$lt": 10 }, "$or": [{ "a": 1 }] }),
        ] {
            assert_eq!(there_and_back(value.clone()), value);
        }
    }

    #[test]
    fn what_would_lose_digits_or_is_no_extended_json_is_told() {
        let told = |text: &str| {
            let value = serde_json::from_str(text).unwrap();
            match bson_of(value, "filter", &Span::generated()) {
                Err(StepError::Refused(p)) => p.message,
                other => format!("{other:?}"),
            }
        };
        let long = told(r#"{"a": [18446744073709551616]}"#);
        assert!(
            long.contains("18446744073709551616 has more digits"),
            "{long}"
        );
        for bad in [
            r#"{"_id": {"$oid": "zz"}}"#,
            r#"{"at": {"$date": "yesterday"}}"#,
        ] {
            let said = told(bad);
            assert!(said.starts_with("`filter` cannot be sent: "), "{said}");
        }
    }

    #[test]
    fn documents_without_an_end_are_refused() {
        let mut deep = Document::new();
        for _ in 0..DEEPEST + 1 {
            deep = Document::from_iter([("a".to_owned(), Bson::Document(deep))]);
        }
        let raw = RawDocumentBuf::try_from(&deep).unwrap();
        assert!(!is_flat(&raw, DEEPEST));
        let Some(Bson::Document(less)) = deep.remove("a") else {
            panic!("a document in it");
        };
        assert!(is_flat(
            &RawDocumentBuf::try_from(&less).unwrap(),
            DEEPEST + 1
        ));
    }
}
