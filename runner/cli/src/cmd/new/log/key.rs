//! Who asked, as part of what, and when: as far as the format of a log has it.

use jiff::Timestamp;
use jiff::fmt::strtime;
use serde_json::Value as Json;

use super::{field, text_of};

/// What requests have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A session.
    Session,
    /// A user.
    User,
    /// An address.
    Client,
    /// A trace.
    Trace,
    /// A request that several services logged.
    Request,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Session,
        Self::User,
        Self::Client,
        Self::Trace,
        Self::Request,
    ];
    /// Those by which requests are put together when nobody says how.
    pub const DEFAULTS: [Self; 4] = [Self::Session, Self::User, Self::Client, Self::Trace];

    /// The kind of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.word() == word)
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::User => "user",
            Self::Client => "client",
            Self::Trace => "trace",
            Self::Request => "request",
        }
    }

    /// A value for people: who has a session is who it belongs to.
    pub fn shown(self, value: &str) -> String {
        let plain = value.chars().filter(|c| !c.is_control());
        match self {
            Self::Session => {
                let first: String = plain.take(4).collect();
                format!("{first}…")
            }
            _ => plain.take(60).collect(),
        }
    }

    fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Session => &["session", "session_id", "sessionId", "session.id", "sid"],
            Self::User => &[
                "user",
                "remote_user",
                "user_id",
                "userId",
                "user.id",
                "user.name",
                "enduser.id",
                "ClientUsername",
            ],
            Self::Client => &[
                "client",
                "client_ip",
                "clientip",
                "remote_addr",
                "remote_ip",
                "remoteIp",
                "ip",
                "request.client_ip",
                "request.remote_ip",
                "request.remote_addr",
                "req.remoteAddress",
                "ClientHost",
                "ClientAddr",
                "client.address",
                "client.ip",
                "source.ip",
                "http.client_ip",
                "httpRequest.remoteIp",
                "c-ip",
            ],
            Self::Trace => &[
                "trace",
                "trace_id",
                "traceId",
                "traceID",
                "trace.id",
                "traceparent",
                "dd.trace_id",
            ],
            Self::Request => &[
                "request_id",
                "requestId",
                "x_request_id",
                "req.id",
                "reqId",
                "correlation_id",
                "http.request.id",
            ],
        }
    }
}

/// The keys of a line of JSON.
pub fn keys_of_json(json: &Json) -> Vec<(Kind, String)> {
    let all = Kind::ALL.into_iter();
    all.filter_map(|kind| {
        let value = field(json, kind.fields()).and_then(text_of)?;
        // `00-TRACE-SPAN-01`.
        let value = match (kind, value.split('-').collect::<Vec<_>>().as_slice()) {
            (Kind::Trace, [_, trace, _, _]) if trace.len() == 32 => (*trace).to_owned(),
            _ => value,
        };
        (!value.is_empty() && value != "-").then_some((kind, value))
    })
    .collect()
}

/// The keys of a line of nginx or Apache: `[vhost] client ident user [time] …`.
pub fn keys_of_text(line: &str) -> Vec<(Kind, String)> {
    let Some((before, _)) = line.split_once(" [") else {
        return Vec::new();
    };
    // A log driver may have put something before it: the last three are the format's own.
    let words: Vec<&str> = before.split_whitespace().collect();
    let [.., client, _, user] = words[..] else {
        return Vec::new();
    };
    let mut all = Vec::new();
    let is_name = |t: &str| t != "-" && !t.is_empty();
    if is_name(user) {
        all.push((Kind::User, user.to_owned()));
    }
    if is_name(client) {
        all.push((Kind::Client, client.to_owned()));
    }
    all
}

/// When a line of nginx or Apache was written.
pub fn time_of_text(line: &str) -> Option<Timestamp> {
    let (_, behind) = line.split_once('[')?;
    common(behind.split_once(']')?.0)
}

/// `10/Oct/2026:13:55:36 +0000`.
fn common(text: &str) -> Option<Timestamp> {
    let time = strtime::parse("%d/%b/%Y:%H:%M:%S %z", text).ok()?;
    time.to_timestamp().ok()
}

/// When a line of JSON was written.
pub fn time_of_json(json: &Json) -> Option<Timestamp> {
    const TIME: [&str; 16] = [
        "time",
        "timestamp",
        "@timestamp",
        "ts",
        "time_iso8601",
        "time_local",
        "StartUTC",
        "start_time",
        "datetime",
        "date",
        "msec",
        "requestTime",
        "t",
        "timeUnixNano",
        "attributes.time",
        "asctime",
    ];
    let text = field(json, &TIME).and_then(text_of)?;
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    // Since 1970, in whatever unit makes it a time of ours.
    if let Ok(number) = text.parse::<f64>() {
        if !number.is_finite() {
            return None;
        }
        let seconds = match number.abs() {
            n if n < 1e11 => number,
            n if n < 1e14 => number / 1e3,
            n if n < 1e17 => number / 1e6,
            _ => number / 1e9,
        };
        return Timestamp::from_millisecond((seconds * 1e3).round() as i64).ok();
    }
    common(text.trim_matches(['[', ']']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_asked() {
        let of = |line: &str| {
            let all = keys_of_text(line).into_iter();
            let all: Vec<String> = all.map(|(k, v)| format!("{}={v}", k.word())).collect();
            all.join(" ")
        };
        let common = "203.0.113.9 - ann [10/Oct/2026:13:55:36 +0000] \"GET / HTTP/1.1\" 200 5";
        assert_eq!(of(common), "user=ann client=203.0.113.9");
        assert_eq!(
            of(&format!("shop.example:443 {common}")),
            "user=ann client=203.0.113.9"
        );
        assert_eq!(of("::1 - - [x] \"GET / HTTP/1.1\" 200 5"), "client=::1");
        assert_eq!(of("- [x]"), "");
        assert_eq!(of(""), "");
        let json = json!({
            "request": { "remote_ip": "::1" }, "user": "-", "session.id": "s",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        });
        let keys = keys_of_json(&json);
        assert_eq!(
            keys,
            [
                (Kind::Session, "s".to_owned()),
                (Kind::Client, "::1".to_owned()),
                (Kind::Trace, "4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
            ]
        );
    }

    #[test]
    fn when() {
        let at = time_of_text("x [10/Oct/2026:15:55:36 +0200] y").unwrap();
        assert_eq!(at.to_string(), "2026-10-10T13:55:36Z");
        for (value, wanted) in [
            (json!("2026-10-10T13:55:36.25Z"), "2026-10-10T13:55:36.25Z"),
            (json!(1_791_640_536.25), "2026-10-10T13:55:36.25Z"),
            (json!(1_791_640_536_250_u64), "2026-10-10T13:55:36.25Z"),
            (json!("1791640536250000000"), "2026-10-10T13:55:36.25Z"),
            (json!("10/Oct/2026:13:55:36 +0000"), "2026-10-10T13:55:36Z"),
        ] {
            let at = time_of_json(&json!({ "ts": value })).unwrap();
            assert_eq!(at.to_string(), wanted, "{value}");
        }
        for none in [
            json!("soon"),
            json!(1e300),
            json!("NaN"),
            json!(null),
            json!({}),
        ] {
            assert_eq!(time_of_json(&json!({ "ts": none })), None, "{none}");
        }
        for none in ["", "[", "[x]", "[99/Foo/2026:99:99:99 +0000]", "]["] {
            assert_eq!(time_of_text(none), None, "{none}");
        }
    }
}
