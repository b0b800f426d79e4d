//! Rules about the image, labels and environment.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use crate::plan::body::config::COMPOSE_LABELS;
use crate::plan::deviations::{Deviation, Pair};
use crate::plan::draft::Draft;

/// Prefix of our own labels.
const OWN_LABELS: &str = "dev.prodmirror.";

/// Variables by which programs find certificate authorities.
pub const CERTIFICATE_VARIABLES: [&str; 8] = [
    "AWS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "DENO_CERT",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
];

/// Another image is there.
pub(in crate::plan) fn allows(pair: Pair<'_>) -> bool {
    pair.actual
        .and_then(Json::as_str)
        .is_some_and(|i| !i.is_empty())
}

/// Whether programs go by labels of this name: Docker Compose, or the sweep. A spec that brings
/// them must not hand the stack to the one, nor hide it from the other.
pub(in crate::plan) fn is_reserved(label: &str) -> bool {
    label.starts_with(COMPOSE_LABELS) || label.starts_with(OWN_LABELS)
}

/// Takes out the labels by which programs find what is theirs, of the container and of volumes
/// that come and go with it.
pub(in crate::plan) fn labels(draft: &mut Draft<'_>, _: &Deviation) {
    without_reserved(&mut draft.body, "Labels");
    let mounts = draft
        .body
        .get_mut("HostConfig")
        .and_then(|host| host.get_mut("Mounts"))
        .and_then(Json::as_array_mut);
    for mount in mounts.into_iter().flatten() {
        if let Some(Json::Object(options)) = mount.get_mut("VolumeOptions") {
            without_reserved(options, "Labels");
        }
    }
}

fn without_reserved(object: &mut Map<String, Json>, key: &str) {
    if let Some(Json::Object(labels)) = object.get_mut(key) {
        labels.retain(|name, _| !is_reserved(name));
        if labels.is_empty() {
            object.shift_remove(key);
        }
    }
}

/// A label by which programs find what is theirs is missing, or one of ours is there.
pub(in crate::plan) fn allows_label(pair: Pair<'_>) -> bool {
    let name = pair.path.strip_prefix("Labels.").unwrap_or("");
    match (pair.expected, pair.actual) {
        (Some(_), None) => is_reserved(name),
        (_, Some(_)) => name.starts_with(OWN_LABELS),
        _ => false,
    }
}

/// Only variables for certificates are new, and none is missing.
pub(in crate::plan) fn allows_env(pair: Pair<'_>) -> bool {
    fn entries(list: Option<&Json>) -> BTreeSet<&str> {
        let list = list.and_then(Json::as_array);
        list.into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .collect()
    }
    let name = |entry: &&str| entry.split('=').next().unwrap_or("").to_owned();
    let (expected, actual) = (entries(pair.expected), entries(pair.actual));
    let certificate = |entry: &&str| CERTIFICATE_VARIABLES.contains(&name(entry).as_str());
    expected.difference(&actual).all(&certificate) && actual.difference(&expected).all(certificate)
}
