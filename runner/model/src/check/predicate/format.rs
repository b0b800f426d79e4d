//! Names of types and formats, for `type`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value as Json;

use crate::check::moment;

/// A type or a format of texts.
#[derive(Debug)]
pub(super) struct Type {
    pub name: &'static str,
    pub test: fn(&Json) -> bool,
    /// What is nearly right about a value.
    pub why: fn(&Json) -> Option<String>,
}

const fn of(name: &'static str, test: fn(&Json) -> bool) -> Type {
    Type {
        name,
        test,
        why: |_| None,
    }
}

const fn explained(
    name: &'static str,
    test: fn(&Json) -> bool,
    why: fn(&Json) -> Option<String>,
) -> Type {
    Type { name, test, why }
}

/// All of them.
pub(super) static TYPES: &[Type] = &[
    of("text", Json::is_string),
    of("string", Json::is_string),
    explained("number", Json::is_number, number_as_text),
    explained("integer", is_integer, number_as_text),
    explained(
        "decimal",
        |v| v.is_number() && !is_integer(v),
        number_as_text,
    ),
    explained("boolean", Json::is_boolean, |v| {
        let s = v.as_str()?;
        matches!(s, "true" | "false").then(|| format!("{v} is text here, not a boolean"))
    }),
    of("list", Json::is_array),
    of("array", Json::is_array),
    of("object", Json::is_object),
    of("null", Json::is_null),
    of("uuid", |v| text(v, is_uuid)),
    explained("date", |v| text(v, moment::is_date), date_nearly),
    explained(
        "timestamp",
        |v| text(v, |s| s.parse::<jiff::Timestamp>().is_ok()),
        date_nearly,
    ),
    of("ip", |v| text(v, |s| s.parse::<IpAddr>().is_ok())),
    explained(
        "ipv4",
        |v| text(v, |s| s.parse::<Ipv4Addr>().is_ok()),
        |v| text(v, |s| s.parse::<Ipv6Addr>().is_ok()).then(|| "this is an IPv6 address".into()),
    ),
    explained(
        "ipv6",
        |v| text(v, |s| s.parse::<Ipv6Addr>().is_ok()),
        |v| text(v, |s| s.parse::<Ipv4Addr>().is_ok()).then(|| "this is an IPv4 address".into()),
    ),
    explained(
        "url",
        |v| text(v, is_url),
        |v| {
            text(v, |s| s.starts_with('/'))
                .then(|| "this is a path, without scheme and host".into())
        },
    ),
    of("email", |v| text(v, is_email)),
    of("hex", |v| text(v, is_hex)),
    of("base64", |v| text(v, is_base64)),
];

fn text(v: &Json, test: impl Fn(&str) -> bool) -> bool {
    v.as_str().is_some_and(test)
}

fn is_integer(v: &Json) -> bool {
    v.as_i64().is_some() || v.as_u64().is_some()
}

fn number_as_text(v: &Json) -> Option<String> {
    let s = v.as_str()?;
    s.trim()
        .parse::<f64>()
        .is_ok()
        .then(|| format!("{v} is text here, not a number"))
}

fn date_nearly(v: &Json) -> Option<String> {
    let s = v.as_str()?;
    if moment::is_date(s) {
        return Some("this is a date without a time".into());
    }
    if s.parse::<jiff::Timestamp>().is_ok() {
        return Some("this is a date with a time".into());
    }
    if s.parse::<jiff::civil::DateTime>().is_ok() {
        return Some("this has no time zone, such as Z".into());
    }
    moment::moment(v).map(|_| "this is a date in another format; see `format`".into())
}

fn is_uuid(s: &str) -> bool {
    s.len() == 36
        && s.bytes().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// With a scheme and something behind it.
fn is_url(s: &str) -> bool {
    s.trim() == s
        && url::Url::parse(s).is_ok_and(|u| u.has_host() || matches!(u.scheme(), "mailto" | "urn"))
}

/// One `@`, a part before it, and a host behind it. What a mail server would take beyond
/// that, nobody can know without asking it.
fn is_email(s: &str) -> bool {
    let Some((user, host)) = s.rsplit_once('@') else {
        return false;
    };
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let plain = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    !user.is_empty()
        && user.len() <= 64
        && user.chars().all(plain)
        && !user.starts_with('.')
        && !user.ends_with('.')
        && !user.contains("..")
        && host.len() <= 255
        && host.split('.').all(label)
}

fn is_hex(s: &str) -> bool {
    !s.is_empty() && s.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_base64(s: &str) -> bool {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(s).is_ok()
}
