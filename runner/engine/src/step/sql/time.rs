//! PostgreSQL's dates and times in their binary form: microseconds and days since 2000.

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Span, Timestamp, ToSpan};

/// Microseconds from 1970 to 2000.
const EPOCH: i64 = 946_684_800_000_000;
const DAY: i64 = 86_400_000_000;

fn epoch_day() -> Date {
    Date::constant(2000, 1, 1)
}

/// A `timestamptz`, in UTC.
pub(super) fn timestamptz(micros: i64) -> String {
    infinite(micros).unwrap_or_else(|| {
        micros
            .checked_add(EPOCH)
            .and_then(|m| Timestamp::from_microsecond(m).ok())
            .map_or_else(|| "out of range".into(), |t| t.to_string())
    })
}

/// A `timestamp`.
pub(super) fn timestamp(micros: i64) -> String {
    infinite(micros).unwrap_or_else(|| {
        epoch_day()
            .to_datetime(Time::midnight())
            .checked_add(SignedDuration::from_micros(micros))
            .map_or_else(|_| "out of range".into(), |t| t.to_string())
    })
}

fn infinite(micros: i64) -> Option<String> {
    match micros {
        i64::MAX => Some("infinity".into()),
        i64::MIN => Some("-infinity".into()),
        _ => None,
    }
}

/// A `date`.
pub(super) fn date(days: i32) -> String {
    match days {
        i32::MAX => "infinity".into(),
        i32::MIN => "-infinity".into(),
        _ => Span::new()
            .try_days(days)
            .and_then(|s| epoch_day().checked_add(s))
            .map_or_else(|_| "out of range".into(), |d| d.to_string()),
    }
}

/// A `time`.
pub(super) fn time(micros: i64) -> String {
    if micros == DAY {
        return "24:00:00".into();
    }
    Time::midnight()
        .checked_add(SignedDuration::from_micros(micros))
        .map_or_else(|_| "out of range".into(), |t| t.to_string())
}

/// An `interval`, as ISO 8601.
pub(super) fn interval(micros: i64, days: i32, months: i32) -> String {
    let hours = micros / 3_600_000_000;
    let rest = micros % 3_600_000_000;
    let span = Span::new()
        .try_years(months / 12)
        .and_then(|s| s.try_months(months % 12))
        .and_then(|s| s.try_days(days))
        .and_then(|s| s.try_hours(hours))
        .and_then(|s| s.try_minutes(rest / 60_000_000))
        .and_then(|s| s.try_seconds(rest % 60_000_000 / 1_000_000))
        .and_then(|s| s.try_microseconds(rest % 1_000_000));
    match span {
        Ok(s) => s.to_string(),
        Err(_) => format!("{months} months {days} days {micros} microseconds"),
    }
}

/// From text to a `timestamptz`; a time without an offset is UTC.
pub(super) fn to_timestamptz(text: &str) -> Option<i64> {
    if let Some(m) = to_infinite(text) {
        return Some(m);
    }
    let at = text.parse::<Timestamp>().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        local
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|z| z.timestamp())
    })?;
    at.as_microsecond().checked_sub(EPOCH)
}

/// From text to a `timestamp`.
pub(super) fn to_timestamp(text: &str) -> Option<i64> {
    if let Some(m) = to_infinite(text) {
        return Some(m);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return at.as_microsecond().checked_sub(EPOCH);
    }
    let local: DateTime = text.parse().ok()?;
    let since = local.duration_since(epoch_day().to_datetime(Time::midnight()));
    i64::try_from(since.as_micros()).ok()
}

fn to_infinite(text: &str) -> Option<i64> {
    match text {
        "infinity" => Some(i64::MAX),
        "-infinity" => Some(i64::MIN),
        _ => None,
    }
}

/// From text to a `date`.
pub(super) fn to_date(text: &str) -> Option<i32> {
    let date: Date = text.parse().ok()?;
    (date - epoch_day()).get_days().into()
}

/// From text to a `time`.
pub(super) fn to_time(text: &str) -> Option<i64> {
    let time: Time = text.parse().ok()?;
    i64::try_from(time.duration_since(Time::midnight()).as_micros()).ok()
}

/// From text (`5 minutes`, `1h 30m`, `P1DT2H`) to an `interval`: microseconds, days, months.
pub(super) fn to_interval(text: &str) -> Option<(i64, i32, i32)> {
    let span: Span = text.parse().ok()?;
    let months = i32::from(span.get_years()) * 12 + span.get_months();
    let days = span.get_weeks() * 7 + span.get_days();
    let time = 0
        .hours()
        .try_hours(span.get_hours())
        .and_then(|s| s.try_minutes(span.get_minutes()))
        .and_then(|s| s.try_seconds(span.get_seconds()))
        .and_then(|s| s.try_milliseconds(span.get_milliseconds()))
        .and_then(|s| s.try_microseconds(span.get_microseconds()))
        .ok()?;
    let micros = SignedDuration::try_from(time).ok()?.as_micros();
    Some((i64::try_from(micros).ok()?, days, months))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for t in [
            "2024-02-29T12:34:56.789012Z",
            "1999-12-31T23:59:59Z",
            "2000-01-01T00:00:00Z",
        ] {
            assert_eq!(timestamptz(to_timestamptz(t).unwrap()), t);
        }
        assert_eq!(to_timestamptz("2000-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(to_timestamptz("2000-01-01 00:00:01"), Some(1_000_000));
        assert_eq!(
            timestamp(to_timestamp("1970-01-01T00:00:00").unwrap()),
            "1970-01-01T00:00:00"
        );
        for d in ["2024-02-29", "1960-06-01"] {
            assert_eq!(date(to_date(d).unwrap()), d);
        }
        assert_eq!(time(to_time("23:59:59.5").unwrap()), "23:59:59.5");
        assert_eq!(
            to_interval("1 hour 30 minutes"),
            Some((5_400_000_000, 0, 0))
        );
        assert_eq!(to_interval("P1Y2M3DT4H"), Some((14_400_000_000, 3, 14)));
        assert_eq!(interval(14_400_000_000, 3, 14), "P1Y2M3DT4H");
        assert_eq!(timestamptz(i64::MAX), "infinity");
        assert_eq!(timestamptz(i64::MAX - 1), "out of range");
    }
}
