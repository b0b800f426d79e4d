//! Values of MySQL as JSON, and back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mysql_async::consts::{ColumnFlags, ColumnType};
use mysql_async::{Column, Value};
use serde_json::{Number, Value as Json};

/// The character set of what is no text.
const BINARY: u16 = 63;

/// A parameter. The server takes it to the type of its place.
pub(super) fn param(json: &Json) -> Value {
    match json {
        Json::Null => Value::NULL,
        Json::Bool(b) => Value::Int(i64::from(*b)),
        Json::Number(n) => number_param(n),
        Json::String(s) => Value::Bytes(s.clone().into_bytes()),
        other => Value::Bytes(other.to_string().into_bytes()),
    }
}

/// Digits that a float would lose are sent as text, which a decimal column takes exactly.
fn number_param(n: &Number) -> Value {
    if let Some(i) = n.as_i64() {
        return Value::Int(i);
    }
    if let Some(u) = n.as_u64() {
        return Value::UInt(u);
    }
    let digits = n.to_string();
    let significant = digits.bytes().filter(u8::is_ascii_digit).count();
    match n.as_f64() {
        Some(f) if significant <= 15 => Value::Double(f),
        _ => Value::Bytes(digits.into_bytes()),
    }
}

/// Whether a column holds text.
pub(super) fn is_text(column: &Column) -> bool {
    use ColumnType as T;
    column.character_set() != BINARY
        && matches!(
            column.column_type(),
            T::MYSQL_TYPE_VAR_STRING
                | T::MYSQL_TYPE_STRING
                | T::MYSQL_TYPE_VARCHAR
                | T::MYSQL_TYPE_BLOB
                | T::MYSQL_TYPE_TINY_BLOB
                | T::MYSQL_TYPE_MEDIUM_BLOB
                | T::MYSQL_TYPE_LONG_BLOB
        )
}

/// Whether a value may be an object or a list.
pub(super) fn looks_like_json(value: &Json) -> bool {
    value
        .as_str()
        .is_some_and(|s| s.trim_start().starts_with(['{', '[']))
}

/// A value by the type of its column.
pub(super) fn json(column: &Column, value: Value) -> Json {
    match value {
        Value::NULL => Json::Null,
        Value::Int(i) => Json::from(i),
        Value::UInt(u) => Json::from(u),
        Value::Float(f) => number(&f.to_string()),
        Value::Double(f) => number(&f.to_string()),
        Value::Date(year, month, day, hour, minute, second, micros) => {
            let date = format!("{year:04}-{month:02}-{day:02}");
            Json::from(match column.column_type() {
                ColumnType::MYSQL_TYPE_DATE | ColumnType::MYSQL_TYPE_NEWDATE => date,
                _ => format!(
                    "{date}T{hour:02}:{minute:02}:{second:02}{}",
                    fraction(micros)
                ),
            })
        }
        Value::Time(negative, days, hours, minutes, seconds, micros) => {
            let sign = if negative { "-" } else { "" };
            let hours = u64::from(days) * 24 + u64::from(hours);
            let rest = format!("{minutes:02}:{seconds:02}{}", fraction(micros));
            Json::from(format!("{sign}{hours:02}:{rest}"))
        }
        Value::Bytes(bytes) => of_bytes(column, bytes),
    }
}

/// What came as text, or is of a type that always does.
fn of_bytes(column: &Column, bytes: Vec<u8>) -> Json {
    use ColumnType as T;
    match column.column_type() {
        T::MYSQL_TYPE_TINY
        | T::MYSQL_TYPE_SHORT
        | T::MYSQL_TYPE_INT24
        | T::MYSQL_TYPE_LONG
        | T::MYSQL_TYPE_LONGLONG
        | T::MYSQL_TYPE_YEAR
        | T::MYSQL_TYPE_FLOAT
        | T::MYSQL_TYPE_DOUBLE
        | T::MYSQL_TYPE_DECIMAL
        | T::MYSQL_TYPE_NEWDECIMAL => {
            let text = String::from_utf8_lossy(&bytes);
            // `zerofill` puts zeros in front.
            match column.flags().contains(ColumnFlags::ZEROFILL_FLAG) {
                true => number(match text.trim_start_matches('0') {
                    "" => "0",
                    rest if rest.starts_with('.') => &text[text.len() - rest.len() - 1..],
                    rest => rest,
                }),
                false => number(&text),
            }
        }
        T::MYSQL_TYPE_BIT if bytes.len() <= 8 => {
            Json::from(bytes.iter().fold(0u64, |n, b| n << 8 | u64::from(*b)))
        }
        T::MYSQL_TYPE_JSON => serde_json::from_slice(&bytes).unwrap_or_else(|_| text(bytes)),
        T::MYSQL_TYPE_DATETIME
        | T::MYSQL_TYPE_TIMESTAMP
        | T::MYSQL_TYPE_DATETIME2
        | T::MYSQL_TYPE_TIMESTAMP2 => {
            let text = String::from_utf8_lossy(&bytes).replacen(' ', "T", 1);
            Json::from(short_fraction(&text))
        }
        T::MYSQL_TYPE_TIME | T::MYSQL_TYPE_TIME2 => {
            Json::from(short_fraction(&String::from_utf8_lossy(&bytes)))
        }
        T::MYSQL_TYPE_DATE | T::MYSQL_TYPE_NEWDATE => text(bytes),
        _ if column.character_set() == BINARY => Json::from(STANDARD.encode(bytes)),
        _ => text(bytes),
    }
}

fn text(bytes: Vec<u8>) -> Json {
    Json::from(match String::from_utf8(bytes) {
        Ok(s) => s,
        Err(e) => String::from_utf8_lossy(e.as_bytes()).into_owned(),
    })
}

/// A number with all its digits.
fn number(digits: &str) -> Json {
    serde_json::from_str::<Number>(digits).map_or_else(|_| Json::from(digits), Json::Number)
}

/// Parts of a second without zeros at the end.
fn fraction(micros: u32) -> String {
    match micros {
        0 => String::new(),
        m => format!(".{}", format!("{m:06}").trim_end_matches('0')),
    }
}

/// The same for what came as text.
fn short_fraction(time: &str) -> &str {
    match time.contains('.') {
        true => time.trim_end_matches('0').trim_end_matches('.'),
        false => time,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_read_by_the_type_of_its_column() {
        use ColumnType as T;
        for (ty, charset, raw, wanted) in [
            (
                T::MYSQL_TYPE_LONGLONG,
                BINARY,
                "18446744073709551615",
                json!(u64::MAX),
            ),
            (
                T::MYSQL_TYPE_DATETIME,
                BINARY,
                "2024-02-29 12:00:00.500000",
                json!("2024-02-29T12:00:00.5"),
            ),
            (
                T::MYSQL_TYPE_DATETIME,
                BINARY,
                "2024-02-29 12:00:00",
                json!("2024-02-29T12:00:00"),
            ),
            (
                T::MYSQL_TYPE_TIME,
                BINARY,
                "-101:00:10",
                json!("-101:00:10"),
            ),
            (T::MYSQL_TYPE_BLOB, BINARY, "\u{0}ab", json!("AGFi")),
            (T::MYSQL_TYPE_BLOB, 45, "ab", json!("ab")),
            (T::MYSQL_TYPE_BIT, BINARY, "\u{1}\u{2}", json!(258)),
            (
                T::MYSQL_TYPE_JSON,
                BINARY,
                r#"{"a": [1]}"#,
                json!({ "a": [1] }),
            ),
        ] {
            let column = Column::new(ty).with_character_set(charset);
            assert_eq!(json(&column, Value::Bytes(raw.into())), wanted, "{raw}");
        }
        let zerofill = Column::new(T::MYSQL_TYPE_NEWDECIMAL).with_flags(ColumnFlags::ZEROFILL_FLAG);
        for (raw, wanted) in [("00012.50", "12.50"), ("00000", "0"), ("0000.05", "0.05")] {
            assert_eq!(
                json(&zerofill, Value::Bytes(raw.into())).to_string(),
                wanted
            );
        }
    }

    #[test]
    fn parameters_lose_no_digits() {
        let of = |s: &str| param(&serde_json::from_str(s).unwrap());
        assert_eq!(of("12.5"), Value::Double(12.5));
        assert_eq!(of("18446744073709551615"), Value::UInt(u64::MAX));
        let long = "123456789012345678901234567890.05";
        assert_eq!(of(long), Value::Bytes(long.into()));
        assert_eq!(of("[1,null]"), Value::Bytes(b"[1,null]".to_vec()));
        assert_eq!(of("true"), Value::Int(1));
    }
}
