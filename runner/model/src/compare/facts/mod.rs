//! The aspects of a service, one small function for each.

pub(super) mod content;
mod depends;
mod deploy;
mod env;
mod health;
mod hosts;
mod image;
mod mounts;
mod network;
mod process;
mod rest;
mod time;

use super::fact::Aspect;

macro_rules! aspects {
    ($($id:literal $facts:path: $means:literal;)*) => {
        &[$(Aspect { id: $id, means: $means, facts: $facts }),*]
    };
}

/// All aspects, in the order in which they are told.
pub static ASPECTS: &[Aspect] = aspects! {
    "image" image::facts:
        "another version may answer, store or refuse differently";
    "environment" env::facts:
        "the program is told something else";
    "config" content::facts:
        "it reads another configuration";
    "mounts" mounts::facts:
        "files are there on one side only, or written elsewhere";
    "user" process::user:
        "files that the one may write the other may not";
    "security" process::security:
        "what the one may do is refused to the other";
    "process" process::facts:
        "another program is run, or run differently";
    "limits" deploy::limits:
        "what fits on the one side is killed or throttled on the other";
    "replicas" deploy::replicas:
        "several at once race, share state and take turns";
    "restart" deploy::restart:
        "a crash is repaired on one side only";
    "health" health::facts:
        "readiness and repair are decided differently";
    "depends_on" depends::facts:
        "it starts earlier or later";
    "networks" network::facts:
        "it reaches and is reached by others";
    "ports" network::ports:
        "it is reached elsewhere from outside";
    "hosts" hosts::facts:
        "it depends on a host that the other side does not name";
    "time_zone" time::facts:
        "the same moment is another day or hour";
    "other" rest::facts:
        "";
};

/// What a difference in a field means.
pub(super) fn means(aspect: &str, field: &str) -> &'static str {
    let known = match field {
        "read_only" => "a program that writes beside its code fails on the read-only side",
        "user" => "files that root may write another user may not",
        "limits.memory" => "what fits on the one side is killed on the other",
        "limits.cpus" => "what is fast enough on the one side is too slow on the other",
        _ if field.starts_with("mounts[") => {
            "what is mounted on one side only is missing, or the image's own, on the other"
        }
        _ => "",
    };
    if !known.is_empty() {
        return known;
    }
    let of = ASPECTS.iter().find(|a| a.id == aspect);
    of.map_or("", |a| a.means)
}
