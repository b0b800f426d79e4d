//! Statuses and what is told beside them.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use protox::file::{File, FileResolver, GoogleFileResolver};
use serde_json::{Map, Value as Json, json};
use tonic::Code;
use tonic::metadata::{KeyAndValueRef, MetadataMap};

use super::message;

/// The name of a code, as the specification writes it.
pub(super) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Metadata as a field: names in lower case, values that are bytes in base64.
pub(super) fn metadata(map: &MetadataMap) -> Map<String, Json> {
    let mut fields: Map<String, Json> = Map::with_capacity(map.len());
    let mut add = |key: &str, text: String| match fields.get_mut(key) {
        Some(Json::String(all)) => {
            all.push_str(", ");
            all.push_str(&text);
        }
        _ => {
            fields.insert(key.to_owned(), text.into());
        }
    };
    for pair in map.iter() {
        match pair {
            KeyAndValueRef::Ascii(key, value) => {
                let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                add(key.as_str(), text);
            }
            KeyAndValueRef::Binary(key, value) => {
                let text = value.to_bytes().map_or_else(
                    |_| String::from_utf8_lossy(value.as_encoded_bytes()).into_owned(),
                    |bytes| STANDARD.encode(bytes),
                );
                add(key.as_str(), text);
            }
        }
    }
    fields
}

/// `google.rpc.Status`, as it stands in `grpc-status-details-bin`.
#[derive(Clone, PartialEq, Message)]
struct Details {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// What a server tells beside an error. A type that nobody describes is shown as bytes.
pub(super) fn details(bytes: &[u8], pool: &DescriptorPool) -> Vec<Json> {
    let Ok(all) = Details::decode(bytes) else {
        return Vec::new();
    };
    all.details.iter().map(|any| detail(any, pool)).collect()
}

fn detail(any: &Any, pool: &DescriptorPool) -> Json {
    let kind = any
        .type_url
        .rsplit_once('/')
        .map_or(any.type_url.as_str(), |(_, name)| name);
    let known = pool
        .get_message_by_name(kind)
        .or_else(|| ERRORS.get_message_by_name(kind));
    let read = known
        .and_then(|d| DynamicMessage::decode(d, any.value.as_slice()).ok())
        .and_then(|m| message::to_json(&m).ok());
    match read {
        Some(Json::Object(fields)) => {
            let mut map = Map::new();
            map.insert("@type".into(), kind.into());
            map.extend(fields);
            Json::Object(map)
        }
        Some(value) => json!({"@type": kind, "value": value}),
        None => json!({"@type": kind, "value": STANDARD.encode(&any.value)}),
    }
}

/// The details that Google's error model has, for servers that use them without describing
/// them.
static ERRORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut compiler = protox::Compiler::with_file_resolver(BuiltIn);
    match compiler.open_file(NAME) {
        Ok(_) => compiler.descriptor_pool(),
        Err(_) => DescriptorPool::new(),
    }
});

const NAME: &str = "google/rpc/error_details.proto";

struct BuiltIn;

impl FileResolver for BuiltIn {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == NAME {
            File::from_source(NAME, include_str!("error_details.proto"))
        } else {
            GoogleFileResolver::new().open_file(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_details_are_whole() {
        let mut names: Vec<_> = ERRORS
            .all_messages()
            .filter(|m| m.parent_message().is_none() && m.package_name() == "google.rpc")
            .map(|m| m.name().to_owned())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "BadRequest",
                "DebugInfo",
                "ErrorInfo",
                "Help",
                "LocalizedMessage",
                "PreconditionFailure",
                "QuotaFailure",
                "RequestInfo",
                "ResourceInfo",
                "RetryInfo",
            ]
        );
    }

    #[test]
    fn details_that_nobody_describes_are_bytes() {
        let any = Any {
            type_url: "type.example/shop.Secret".into(),
            value: vec![1, 2, 255],
        };
        let bytes = Details { details: vec![any] }.encode_to_vec();
        let told = details(&bytes, &DescriptorPool::new());
        assert_eq!(told, [json!({"@type": "shop.Secret", "value": "AQL/"})]);
        assert_eq!(
            details(b"\xff\xff", &DescriptorPool::new()),
            [] as [Json; 0]
        );
    }
}
