//! Messages as records, and records as documents.

use std::collections::BTreeMap;

use prodmirror_model::template::Scope;
use rskafka::chrono::{DateTime, Utc};
use rskafka::record::{Record, RecordAndOffset};
use serde_json::{Map, Value as Json, json};

use super::args::Produce;
use crate::step::StepError;
use crate::step::fields::lossy;

/// The record that a step sends.
pub(super) fn record(p: &Produce, scope: &Scope) -> Result<Record, StepError> {
    let key = p.key.as_ref().map(|k| k.render_text(scope)).transpose()?;
    let value = match (&p.json, &p.text) {
        (Some(j), _) => Some(j.render(scope)?.to_string().into_bytes()),
        (None, Some(t)) => Some(t.render(scope)?.into_bytes()),
        (None, None) => None,
    };
    let mut headers = BTreeMap::new();
    for (name, value) in &p.headers.0 {
        headers.insert(name.render(scope)?, value.render_text(scope)?.into_bytes());
    }
    Ok(Record {
        key: key.map(String::into_bytes),
        value,
        headers,
        timestamp: DateTime::<Utc>::from(std::time::SystemTime::now()),
    })
}

/// A record as people read it.
pub(super) fn shown(record: &Record) -> String {
    let key = record
        .key
        .as_deref()
        .map_or_else(|| "no key".to_owned(), lossy);
    let value = record
        .value
        .as_deref()
        .map_or_else(|| "no body".to_owned(), lossy);
    let mut text = format!("{key}: {value}");
    for (name, value) in &record.headers {
        text.push_str(&format!("\n{name}: {}", lossy(value)));
    }
    text
}

/// A record as it stands in a result.
pub(super) fn document(topic: &str, partition: i32, r: &RecordAndOffset) -> Json {
    let record = &r.record;
    let text = |bytes: &Option<Vec<u8>>| bytes.as_deref().map_or(Json::Null, |b| lossy(b).into());
    let value = record.value.as_deref();
    let headers: Map<String, Json> = record
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), lossy(value).into()))
        .collect();
    json!({
        "topic": topic,
        "partition": partition,
        "offset": r.offset,
        "key": text(&record.key),
        "body": text(&record.value),
        "json": value.and_then(|v| serde_json::from_slice::<Json>(v).ok()),
        "headers": headers,
        "timestamp": record.timestamp.to_rfc3339_opts(rskafka::chrono::SecondsFormat::Millis, true),
    })
}
