//! Messages as documents, and documents as messages.

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use prodmirror_model::template::{Scope, Text};
use serde::Deserialize;
use serde_json::{Map, Number, Value as Json, json};

use super::short;
use crate::step::StepError;
use crate::step::fields::Pairs;

/// Properties that a message can be given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Properties {
    #[serde(default)]
    content_type: Option<Text>,
    #[serde(default)]
    correlation_id: Option<Text>,
    #[serde(default)]
    reply_to: Option<Text>,
    #[serde(default)]
    message_id: Option<Text>,
    #[serde(default)]
    expiration: Option<Text>,
    #[serde(default)]
    r#type: Option<Text>,
    #[serde(default)]
    app_id: Option<Text>,
    #[serde(default)]
    priority: Option<u8>,
    #[serde(default)]
    persistent: Option<bool>,
}

impl Properties {
    pub fn set(&self, mut p: BasicProperties, scope: &Scope) -> Result<BasicProperties, StepError> {
        type Set = fn(BasicProperties, ShortString) -> BasicProperties;
        let texts: [(&Option<Text>, Set); 7] = [
            (&self.content_type, BasicProperties::with_content_type),
            (&self.correlation_id, BasicProperties::with_correlation_id),
            (&self.reply_to, BasicProperties::with_reply_to),
            (&self.message_id, BasicProperties::with_message_id),
            (&self.expiration, BasicProperties::with_expiration),
            (&self.r#type, BasicProperties::with_type),
            (&self.app_id, BasicProperties::with_app_id),
        ];
        for (text, set) in texts {
            if let Some(t) = text {
                p = set(p, short(t, scope)?);
            }
        }
        if let Some(n) = self.priority {
            p = p.with_priority(n);
        }
        if let Some(persistent) = self.persistent {
            p = p.with_delivery_mode(if persistent { 2 } else { 1 });
        }
        Ok(p)
    }
}

/// Headers with their types.
pub(super) fn headers(pairs: &Pairs, scope: &Scope) -> Result<FieldTable, StepError> {
    let mut table = FieldTable::default();
    for (k, v) in &pairs.0 {
        table.insert(short(k, scope)?, value(&v.render(scope)?));
    }
    Ok(table)
}

fn value(json: &Json) -> AMQPValue {
    match json {
        Json::Null => AMQPValue::Void,
        Json::Bool(b) => AMQPValue::Boolean(*b),
        Json::Number(n) => match n.as_i64() {
            Some(i) => AMQPValue::LongLongInt(i),
            None => AMQPValue::Double(n.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(s) => AMQPValue::LongString(s.as_str().into()),
        Json::Array(items) => {
            let mut array = lapin::types::FieldArray::default();
            items.iter().for_each(|i| array.push(value(i)));
            AMQPValue::FieldArray(array)
        }
        Json::Object(o) => {
            let mut table = FieldTable::default();
            for (k, v) in o {
                if let Ok(k) = ShortString::try_new(k.as_str()) {
                    table.insert(k, value(v));
                }
            }
            AMQPValue::FieldTable(table)
        }
    }
}

/// A message as a document.
pub(super) fn document(d: &Delivery) -> Json {
    let body = String::from_utf8_lossy(&d.data).into_owned();
    let p = &d.properties;
    let text = |s: &Option<ShortString>| s.as_ref().map(|s| s.to_string());
    json!({
        "exchange": d.exchange.as_str(),
        "routing_key": d.routing_key.as_str(),
        "redelivered": d.redelivered,
        "json": serde_json::from_slice::<Json>(&d.data).unwrap_or(Json::Null),
        "body": body,
        "headers": p.headers().as_ref().map_or_else(|| Json::Object(Map::new()), table),
        "content_type": text(p.content_type()),
        "correlation_id": text(p.correlation_id()),
        "reply_to": text(p.reply_to()),
        "message_id": text(p.message_id()),
        "type": text(p.kind()),
        "app_id": text(p.app_id()),
        "priority": p.priority(),
        "persistent": *p.delivery_mode() == Some(2),
    })
}

fn table(t: &FieldTable) -> Json {
    Json::Object(
        t.inner()
            .iter()
            .map(|(k, v)| (k.to_string(), json_of(v)))
            .collect(),
    )
}

fn json_of(v: &AMQPValue) -> Json {
    let float = |f: f64| Number::from_f64(f).map_or(Json::Null, Json::Number);
    match v {
        AMQPValue::Boolean(b) => Json::Bool(*b),
        AMQPValue::ShortShortInt(i) => Json::from(*i),
        AMQPValue::ShortShortUInt(i) => Json::from(*i),
        AMQPValue::ShortInt(i) => Json::from(*i),
        AMQPValue::ShortUInt(i) => Json::from(*i),
        AMQPValue::LongInt(i) => Json::from(*i),
        AMQPValue::LongUInt(i) => Json::from(*i),
        AMQPValue::LongLongInt(i) => Json::from(*i),
        AMQPValue::Timestamp(t) => Json::from(*t),
        AMQPValue::Float(f) => float(f64::from(*f)),
        AMQPValue::Double(f) => float(*f),
        AMQPValue::DecimalValue(d) => float(f64::from(d.value) / 10f64.powi(i32::from(d.scale))),
        AMQPValue::ShortString(s) => Json::from(s.as_str()),
        AMQPValue::LongString(s) => Json::from(String::from_utf8_lossy(s.as_bytes()).into_owned()),
        AMQPValue::FieldArray(a) => Json::Array(a.as_slice().iter().map(json_of).collect()),
        AMQPValue::FieldTable(t) => table(t),
        AMQPValue::ByteArray(b) => Json::from(String::from_utf8_lossy(b.as_slice()).into_owned()),
        AMQPValue::Void => Json::Null,
    }
}
