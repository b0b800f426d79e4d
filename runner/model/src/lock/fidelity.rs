//! How sure it is that an image is production's.

use std::collections::BTreeMap;

use super::{Lock, Needed, Pin, Reference};
use crate::fidelity::{Class, Record, Severity};
use crate::mirror::Mirror;

/// The field that these records are about; `image` in `fidelity.accept` covers it.
const FIELD: &str = "image.digest";

/// A record for each service of a mirror that runs one of the images `needed`: a digest, or a
/// tag that a lock pins, is production's; any other tag may have moved since production took
/// it. `production` has the places. The images under test are another change than production's, and have no record here.
pub fn records(
    mirror: &Mirror,
    production: &Mirror,
    needed: &BTreeMap<String, Needed>,
    lock: Option<&Lock>,
) -> Vec<Record> {
    let mut records = Vec::new();
    for (service, s) in &mirror.services {
        let Some(image) = &s.image.reference else {
            continue;
        };
        let needed = needed.get(image.as_str());
        if needed.is_none_or(|n| n.under_test || n.given) {
            continue;
        }
        let pin = lock.and_then(|l| l.images.get(image.as_str()));
        let mut record = judge(service, image, pin.map(|p| &p.value));
        let declared = production.services.get(service);
        if let Some(declared) = declared.and_then(|s| s.image.reference.as_ref()) {
            record = record.at(&declared.span);
        }
        record.declared.clone_from(&image.value);
        record.rule = "image-digest".to_owned();
        records.push(record);
    }
    records
}

fn judge(service: &str, image: &str, pin: Option<&Pin>) -> Record {
    let reference = Reference::parse(image);
    let new = |class, severity| Record::new(format!("service:{service}"), FIELD, class, severity);
    let pinned = match pin {
        Some(Pin::Registry { digest, .. }) => Some(digest.clone()),
        _ => reference.digest.clone(),
    };
    if let Some(digest) = pinned {
        let mut record = new(Class::Mirrored, Severity::Info);
        record.actual = digest.to_string();
        record.reason = "a digest names exactly these bytes".to_owned();
        return record;
    }
    let floating = reference.is_floating();
    let severity = if floating && pin.is_none() {
        Severity::High
    } else {
        Severity::Medium
    };
    let mut record = new(Class::Unknown, severity);
    match pin {
        Some(Pin::Local { id, .. }) => {
            record.actual = id.to_string();
            record.reason =
                "the lock pins an image that only this engine has: no registry says that it is production's".to_owned();
            record.raise =
                "push it, or pull production's, then run `prodmirror lock --update`".to_owned();
        }
        _ => {
            record.reason = if floating {
                "it names no release: nobody knows which one production runs".to_owned()
            } else {
                "a tag may have moved since production took it".to_owned()
            };
            record.raise = "pin it: `prodmirror lock`".to_owned();
        }
    }
    record
}
