//! Points in time, as they are written in results and scenarios.

use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

/// Numbers from here on are milliseconds since 1970, smaller ones are seconds.
const MILLIS: f64 = 100_000_000_000.0;

/// The point in time that a value tells: RFC 3339, a date (its start in UTC), a date with a
/// time (in UTC), the date of an HTTP header, or seconds or milliseconds since 1970.
pub(crate) fn moment(value: &Json) -> Option<Timestamp> {
    match value {
        Json::String(s) => of_text(s.trim()),
        Json::Number(n) => {
            let n = n.as_f64()?;
            let seconds = if n.abs() >= MILLIS { n / 1000.0 } else { n };
            Timestamp::from_duration(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()
        }
        _ => None,
    }
}

fn of_text(s: &str) -> Option<Timestamp> {
    let utc = |d: DateTime| d.to_zoned(TimeZone::UTC).ok().map(|z| z.timestamp());
    if let Ok(t) = s.parse::<Timestamp>() {
        return Some(t);
    }
    if is_date(s) {
        return s
            .parse::<Date>()
            .ok()
            .and_then(|d| utc(d.to_datetime(jiff::civil::Time::MIN)));
    }
    if s.starts_with(|c: char| c.is_ascii_digit()) && s.contains(['T', 't', ' ']) {
        return s.parse::<DateTime>().ok().and_then(utc);
    }
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(s)
        .ok()
}

/// Whether a text is a date alone, `2024-02-29`.
pub(crate) fn is_date(s: &str) -> bool {
    s.len() == 10 && s.parse::<Date>().is_ok()
}

/// Reads a text by a format; what the format does not say is the start (in UTC).
///
/// # Errors
/// Why the text is not of the format.
pub(crate) fn parse(format: &str, text: &str) -> Result<Timestamp, String> {
    let parts = BrokenDownTime::parse(format, text).map_err(|e| e.to_string())?;
    let instant =
        parts
            .to_timestamp()
            .or_else(|first| match (parts.to_datetime(), parts.to_date()) {
                (Ok(d), _) => d.to_zoned(TimeZone::UTC).map(|z| z.timestamp()),
                (_, Ok(d)) => d.to_zoned(TimeZone::UTC).map(|z| z.timestamp()),
                _ => Err(first),
            });
    instant.map_err(|e| e.to_string())
}

/// Whether a text is of a format, whatever it tells: `%H:%M` is enough.
///
/// # Errors
/// Why it is not.
pub(crate) fn fits(format: &str, text: &str) -> Result<(), String> {
    BrokenDownTime::parse(format, text)
        .map(|_| ())
        .map_err(|e| e.to_string())
}

/// A point in time by a format, in UTC.
///
/// # Errors
/// What is wrong with the format.
pub(crate) fn write(format: &str, at: Timestamp) -> Result<String, String> {
    strtime::format(format, &at.to_zoned(TimeZone::UTC)).map_err(|e| e.to_string())
}

/// A point in time of a scenario: `now`, `now + 1h`, or what [`moment`] reads.
pub(crate) fn when(value: &Json, now: Timestamp) -> Option<Timestamp> {
    let Some(text) = value.as_str().map(str::trim) else {
        return moment(value);
    };
    let Some(rest) = text.strip_prefix("now") else {
        return moment(value);
    };
    let rest = rest.trim_start();
    if rest.is_empty() {
        return Some(now);
    }
    if let Some(amount) = rest.strip_prefix('+') {
        return now.checked_add(duration(amount)?).ok();
    }
    now.checked_sub(duration(rest.strip_prefix('-')?)?).ok()
}

/// `5s`, `2h 30m`, `7days`.
pub(crate) fn duration(text: &str) -> Option<SignedDuration> {
    let d = humantime::parse_duration(text.trim()).ok()?;
    SignedDuration::try_from(d).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_ways_to_write_a_point_in_time() {
        let same = "2024-02-29T12:00:00Z";
        for value in [
            json!(same),
            json!("2024-02-29T13:00:00+01:00"),
            json!("2024-02-29 12:00:00"),
            json!("Thu, 29 Feb 2024 12:00:00 GMT"),
            json!(1_709_208_000),
            json!(1_709_208_000_000_i64),
        ] {
            assert_eq!(moment(&value).unwrap().to_string(), same, "{value}");
        }
        assert_eq!(
            moment(&json!("2024-02-29")).unwrap().to_string(),
            "2024-02-29T00:00:00Z"
        );
        for value in [
            json!("soon"),
            json!("2024-02-30"),
            json!(true),
            json!(1e300),
            json!("12:00"),
        ] {
            assert_eq!(moment(&value), None, "{value}");
        }
    }

    #[test]
    fn now_and_what_is_near_it() {
        let now: Timestamp = "2024-02-29T12:00:00Z".parse().unwrap();
        let at = |t: &str| when(&json!(t), now).map(|t| t.to_string());
        assert_eq!(at("now").as_deref(), Some("2024-02-29T12:00:00Z"));
        assert_eq!(at("now + 1h").as_deref(), Some("2024-02-29T13:00:00Z"));
        assert_eq!(at("now-2days").as_deref(), Some("2024-02-27T12:00:00Z"));
        assert_eq!(at("nowhere"), None);
        assert_eq!(at("now + soon"), None);
        assert_eq!(at("now – 1h"), None);
    }

    #[test]
    fn formats() {
        assert_eq!(
            parse("%d.%m.%Y", "29.02.2024").unwrap().to_string(),
            "2024-02-29T00:00:00Z"
        );
        assert_eq!(
            parse("%Y-%m-%d %H:%M:%S %z", "2024-02-29 13:00:00 +0100")
                .unwrap()
                .to_string(),
            "2024-02-29T12:00:00Z"
        );
        assert!(parse("%d.%m.%Y", "2024-02-29").is_err());
        assert!(fits("%H:%M", "12:30").is_ok());
        assert!(fits("%H:%M", "25:30").is_err());
    }
}
