//! Fidelity from what runs: what was read back from a container, field by field.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::agree::{AgreeRequest, Agreement, agree};
use super::facts::Facts;
use crate::fidelity::{Class, Record, Severity};

/// How many characters of a value a record shows.
const SHOWN: usize = 200;

/// Records of a running container: one for each field that Docker Compose would set and that
/// is as it would be, and one for each difference that no rule of the deviation table
/// explains. (Those that a rule explains are in the plan's own records.)
///
/// `object` is the service as records call it, such as `service:db`. Values of environment
/// variables and labels are never shown, only how many there are.
pub fn read_back(object: &str, request: &AgreeRequest<'_>) -> Vec<Record> {
    let found = agree(request);
    let expected = Facts::of_body(request.body);
    let mut records = mirrored(object, &expected, &found);
    for difference in &found.differences {
        let mut record = Record::new(
            object,
            difference.field.clone(),
            Class::Substituted,
            Severity::High,
        );
        record.declared = shown(&difference.field, difference.expected.as_ref());
        record.actual = shown(&difference.field, difference.actual.as_ref());
        record.reason = "the container is not what was asked for".into();
        records.push(record);
    }
    records
}

fn mirrored(object: &str, expected: &Facts, found: &Agreement) -> Vec<Record> {
    let other: BTreeSet<&str> = found
        .differences
        .iter()
        .map(|d| d.field.as_str())
        .chain(found.explained.iter().map(String::as_str))
        .collect();
    let same = expected
        .0
        .iter()
        .filter(|(path, _)| !other.contains(path.as_str()));
    same.map(|(path, value)| {
        let mut record = Record::new(object, path.clone(), Class::Mirrored, Severity::Info);
        record.declared = shown(path, Some(value));
        record.actual = record.declared.clone();
        record
    })
    .collect()
}

/// A value as a record shows it.
fn shown(field: &str, value: Option<&Json>) -> String {
    let text = match value {
        None => return String::new(),
        Some(Json::Array(list)) if field == "Env" => format!("{} variables", list.len()),
        Some(_) if field.starts_with("Labels.") => "***".to_owned(),
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if text.chars().count() <= SHOWN {
        return text;
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_read_back_is_told_field_by_field() {
        let body = json!({
            "Image": "i", "User": "7", "Env": ["KEY=s3cret"],
            "HostConfig": {"Memory": 64, "RestartPolicy": {"Name": "always"}},
        });
        let inspect = json!({
            "Config": {"Image": "i", "User": "8", "Env": ["KEY=s3cret"]},
            "HostConfig": {"Memory": 64, "MemorySwap": 128, "NetworkMode": "container:x"},
        });
        let records = read_back(
            "service:a",
            &AgreeRequest {
                body: &body,
                service: &inspect,
                sandbox: None,
                image: None,
                networks: &BTreeMap::new(),
                copied: &[],
            },
        );
        let told: Vec<_> = records
            .iter()
            .map(|r| (r.field.as_str(), r.class, r.actual.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                ("Env", Class::Mirrored, "1 variables"),
                ("HostConfig.Memory", Class::Mirrored, "64"),
                ("HostConfig.MemorySwap", Class::Mirrored, "128"),
                ("Image", Class::Mirrored, "i"),
                ("User", Class::Substituted, "8"),
            ]
        );
    }
}
