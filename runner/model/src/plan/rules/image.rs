//! Rules about the image, labels and environment.

use std::collections::BTreeSet;

use serde_json::Value as Json;

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

/// Takes out the labels of Docker Compose.
pub(in crate::plan) fn labels(draft: &mut Draft<'_>, _: &Deviation) {
    if let Some(Json::Object(labels)) = draft.body.get_mut("Labels") {
        labels.retain(|name, _| !name.starts_with(COMPOSE_LABELS));
        if labels.is_empty() {
            draft.body.shift_remove("Labels");
        }
    }
}

/// A label of Docker Compose is missing, or one of ours is there.
pub(in crate::plan) fn allows_label(pair: Pair<'_>) -> bool {
    let name = pair.path.strip_prefix("Labels.").unwrap_or("");
    match (pair.expected, pair.actual) {
        (Some(_), None) => name.starts_with(COMPOSE_LABELS),
        (None, Some(_)) => name.starts_with(OWN_LABELS),
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
