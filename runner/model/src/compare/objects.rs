//! Networks and volumes.

use super::change::{Change, Kind, between};
use super::fact::{Fact, Value};
use crate::mirror::{Mirror, Network, Texts, Volume};
use crate::source::Span;

/// Adds the differences between networks and volumes.
pub(super) fn compare(left: &Mirror, right: &Mirror, out: &mut Vec<Change>) {
    let keys = |a: Vec<&String>, b: Vec<&String>| -> Vec<String> {
        let more = b.iter().filter(|k| !a.contains(k)).map(|k| (*k).clone());
        a.iter().map(|k| (*k).clone()).chain(more).collect()
    };
    for key in keys(
        left.networks.keys().collect(),
        right.networks.keys().collect(),
    ) {
        let (a, b) = (left.networks.get(&key), right.networks.get(&key));
        let facts = |n: &Network| network(n);
        both(
            &format!("network:{key}"),
            a.map(|n| (facts(n), &n.declared.span)),
            b.map(|n| (facts(n), &n.declared.span)),
            out,
        );
    }
    for key in keys(
        left.volumes.keys().collect(),
        right.volumes.keys().collect(),
    ) {
        let (a, b) = (left.volumes.get(&key), right.volumes.get(&key));
        both(
            &format!("volume:{key}"),
            a.map(|v| (volume(v), &v.declared.span)),
            b.map(|v| (volume(v), &v.declared.span)),
            out,
        );
    }
}

fn both(
    object: &str,
    a: Option<(Vec<Fact>, &Span)>,
    b: Option<(Vec<Fact>, &Span)>,
    out: &mut Vec<Change>,
) {
    match (a, b) {
        (Some((a, _)), Some((b, _))) => between(object, a, b, out),
        (Some((_, span)), None) => out.push(Change::only(object, Kind::LeftOnly, span)),
        (None, Some((_, span))) => out.push(Change::only(object, Kind::RightOnly, span)),
        (None, None) => {}
    }
}

fn fact(aspect: &'static str, field: &str, text: &str, span: &Span) -> Fact {
    Fact {
        aspect,
        field: field.to_owned(),
        value: Value::Text(text.to_owned()),
        span: span.clone(),
    }
}

fn network(n: &Network) -> Vec<Fact> {
    let mut out = Vec::new();
    let flags = [
        ("internal", &n.internal),
        ("external", &n.external),
        ("enable_ipv6", &n.enable_ipv6),
    ];
    for (name, flag) in flags {
        if let Some(flag) = flag.as_ref().filter(|f| f.value) {
            out.push(fact("networks", name, "true", &flag.span));
        }
    }
    if let Some(driver) = &n.driver {
        out.push(fact("networks", "driver", driver, &driver.span));
    }
    options(&n.driver_opts, "networks", &mut out);
    for pool in n.ipam.iter().flat_map(|i| &i.pools) {
        if let Some(subnet) = &pool.subnet {
            out.push(fact("networks", "subnet", subnet, &subnet.span));
        }
    }
    out
}

fn volume(v: &Volume) -> Vec<Fact> {
    let mut out = Vec::new();
    if let Some(external) = v.external.as_ref().filter(|f| f.value) {
        out.push(fact("mounts", "external", "true", &external.span));
    }
    if let Some(driver) = &v.driver {
        out.push(fact("mounts", "driver", driver, &driver.span));
    }
    options(&v.driver_opts, "mounts", &mut out);
    out
}

fn options(options: &Texts, aspect: &'static str, out: &mut Vec<Fact>) {
    for (name, value) in options {
        let text = super::mask::secrets(&format!("{name}={}", value.value));
        let text = text.split_once('=').map_or("", |(_, v)| v);
        out.push(fact(
            aspect,
            &format!("driver_opts.{name}"),
            text,
            &value.span,
        ));
    }
}
