//! What a plain scalar means.
//!
//! YAML 1.2's core schema, with the integer forms that Go's `yaml.v3` reads (so that
//! `0440` is octal and `1_000` is a thousand, as Docker Compose and kubectl see them).

use super::Value;

/// The value of an unquoted scalar without a tag.
pub fn resolve_plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Value::Float {
                value: f64::INFINITY,
                raw: text.into(),
            };
        }
        "-.inf" | "-.Inf" | "-.INF" => {
            return Value::Float {
                value: f64::NEG_INFINITY,
                raw: text.into(),
            };
        }
        ".nan" | ".NaN" | ".NAN" => {
            return Value::Float {
                value: f64::NAN,
                raw: text.into(),
            };
        }
        _ => {}
    }
    if let Some(value) = parse_int(text) {
        return Value::Int {
            value,
            raw: text.into(),
        };
    }
    if let Some(value) = parse_float(text) {
        return Value::Float {
            value,
            raw: text.into(),
        };
    }
    Value::Str(text.into())
}

fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let clean: String = digits.chars().filter(|c| *c != '_').collect();
    if !clean.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let lower = clean.to_ascii_lowercase();
    let magnitude = if let Some(hex) = lower.strip_prefix("0x") {
        i128::from_str_radix(hex, 16).ok()?
    } else if let Some(octal) = lower.strip_prefix("0o") {
        i128::from_str_radix(octal, 8).ok()?
    } else if let Some(binary) = lower.strip_prefix("0b") {
        i128::from_str_radix(binary, 2).ok()?
    } else if clean.len() > 1 && clean.starts_with('0') {
        i128::from_str_radix(&clean[1..], 8).ok()?
    } else {
        clean.parse().ok()?
    };
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

fn parse_float(text: &str) -> Option<f64> {
    let plain: std::borrow::Cow<'_, str> = if text.contains('_')
        && text.starts_with(|c: char| c.is_ascii_digit() || "+-".contains(c))
    {
        text.replace('_', "").into()
    } else {
        text.into()
    };
    let body = plain.strip_prefix(['-', '+']).unwrap_or(&plain);
    let shape_ok = body.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && body.contains(|c: char| c.is_ascii_digit())
        && body
            .chars()
            .all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    if !shape_ok {
        return None;
    }
    plain.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(text: &str) -> Option<i64> {
        match resolve_plain(text) {
            Value::Int { value, .. } => Some(value),
            _ => None,
        }
    }

    #[test]
    fn integers_as_go_reads_them() {
        assert_eq!(int("8080"), Some(8080));
        assert_eq!(int("-3"), Some(-3));
        assert_eq!(int("0440"), Some(0o440));
        assert_eq!(int("0o440"), Some(0o440));
        assert_eq!(int("0x1F"), Some(31));
        assert_eq!(int("1_000"), Some(1000));
        assert_eq!(int("1_"), Some(1));
        assert_eq!(int("089"), None);
        assert_eq!(int("1.0"), None);
        assert_eq!(int("99999999999999999999"), None);
    }

    #[test]
    fn other_scalars() {
        assert_eq!(resolve_plain("~"), Value::Null);
        assert_eq!(resolve_plain("yes"), Value::Str("yes".into()));
        assert!(matches!(resolve_plain("1.10"), Value::Float { raw, .. } if raw == "1.10"));
        assert!(matches!(resolve_plain("1e3"), Value::Float { value, .. } if value == 1000.0));
        assert_eq!(resolve_plain("1.2.3"), Value::Str("1.2.3".into()));
        assert_eq!(resolve_plain("12:30"), Value::Str("12:30".into()));
        assert_eq!(resolve_plain("-"), Value::Str("-".into()));
        assert_eq!(resolve_plain("e5"), Value::Str("e5".into()));
    }
}
