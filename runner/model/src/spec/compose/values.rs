//! Values as Go writes and reads them: numbers in texts, durations, sizes, command lines.

use crate::yaml::{Node, Value};

/// A scalar as the text that Compose makes of it; none for null, lists and mappings.
pub(super) fn printed(node: &Node) -> Option<String> {
    match &node.value {
        Value::Str(text) => Some(text.clone()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Int { value, .. } => Some(value.to_string()),
        Value::Float { value, raw } => Some(match raw.replace('_', "").parse::<u64>() {
            Ok(whole) if whole > i64::MAX as u64 => whole.to_string(),
            _ => float_text(*value),
        }),
        Value::Null | Value::Seq(_) | Value::Map(_) => None,
    }
}

/// A number in its shortest form, with an exponent outside of 0.0001 to 999999.
fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(e) if !(-4..6).contains(&e) => {
            format!("{digits}e{}{:02}", if e < 0 { '-' } else { '+' }, e.abs())
        }
        _ => value.to_string(),
    }
}

const SECOND: u64 = 1_000_000_000;
const UNITS: [(&str, u64); 10] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3_600 * SECOND),
    ("d", 24 * 3_600 * SECOND),
    ("w", 7 * 24 * 3_600 * SECOND),
];

/// A duration in nanoseconds: numbers with units (`1m30.5s`), also days and weeks.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn read_duration(text: &str) -> Result<i64, String> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    let invalid = || format!("`{text}` is not a duration");
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let number = span_of(rest, |c| c.is_ascii_digit() || c == '.');
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') {
            return Err(invalid());
        }
        rest = &rest[number.len()..];
        let unit = span_of(rest, |c| !c.is_ascii_digit() && c != '.');
        if unit.is_empty() {
            return Err(format!("`{text}` lacks a unit, such as {text}s"));
        }
        rest = &rest[unit.len()..];
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, scale) =
            known.ok_or_else(|| format!("`{unit}` in `{text}` is not a unit of time"))?;
        let whole: u64 = match whole {
            "" => 0,
            digits => digits.parse().map_err(|_| invalid())?,
        };
        let part = match fraction {
            "" => 0,
            digits => {
                let value: f64 = format!("0.{digits}").parse().map_err(|_| invalid())?;
                (value * *scale as f64 + 1e-6) as u64
            }
        };
        total = whole
            .checked_mul(*scale)
            .and_then(|n| n.checked_add(part))
            .and_then(|n| n.checked_add(total))
            .filter(|n| *n <= i64::MAX as u64)
            .ok_or_else(|| format!("`{text}` is too long"))?;
    }
    let total = total as i64;
    Ok(if negative { -total } else { total })
}

fn span_of(text: &str, mut inside: impl FnMut(char) -> bool) -> &str {
    &text[..text.find(|c| !inside(c)).unwrap_or(text.len())]
}

/// A duration as Go prints it: `1h0m0.5s`, `500ms`, `0s`.
pub(super) fn duration_text(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let n = nanos.unsigned_abs();
    if n < SECOND {
        return match n {
            0 => "0s".into(),
            1..1_000 => format!("{sign}{n}ns"),
            1_000..1_000_000 => format!("{sign}{}µs", decimal(n, 1_000)),
            _ => format!("{sign}{}ms", decimal(n, 1_000_000)),
        };
    }
    let (hours, minutes) = (n / (3_600 * SECOND), n / (60 * SECOND) % 60);
    let seconds = decimal(n % (60 * SECOND), SECOND);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, m) => format!("{sign}{m}m{seconds}s"),
        (h, m) => format!("{sign}{h}h{m}m{seconds}s"),
    }
}

fn decimal(n: u64, unit: u64) -> String {
    let (whole, part) = (n / unit, n % unit);
    if part == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{part:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// A size in bytes: a number and `b`, `k`, `m`, `g`, `t` or `p` (also `kb`, `kib`), in
/// powers of 1024.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn read_size(text: &str) -> Result<i64, String> {
    let invalid = || format!("`{text}` is not a size, such as 512m or 1.5gb");
    let is_number = |c: char| c.is_ascii_digit() || c == '.' || c == ' ';
    let at = text.rfind(is_number).ok_or_else(invalid)?;
    let number = text[..=at].strip_suffix(' ').unwrap_or(&text[..=at]);
    let suffix = text[at + 1..].to_ascii_lowercase();
    let size: f64 = number.parse().map_err(|_| invalid())?;
    if size < 0.0 {
        return Err(invalid());
    }
    let power = match suffix.strip_suffix("ib").or(suffix.strip_suffix('b')) {
        Some("") if suffix == "b" => 0,
        stem => match stem.unwrap_or(&suffix) {
            "" if suffix.is_empty() => 0,
            "k" => 1,
            "m" => 2,
            "g" => 3,
            "t" => 4,
            "p" => 5,
            _ => return Err(invalid()),
        },
    };
    Ok((size * 1024f64.powi(power)) as i64)
}

/// The words of a command line, split as a shell would, but nothing is replaced and nothing
/// is run; from `;`, `&`, `|`, `<` or `>` on it is cut off.
///
/// # Errors
/// Says that quotes or brackets are not closed.
pub(super) fn split_words(line: &str) -> Result<Vec<String>, String> {
    let invalid = || format!("`{line}` is not a command line: its quotes or brackets do not match");
    let mut words = Vec::new();
    let mut word = String::new();
    let mut has_word = false;
    let mut escaped = false;
    let (mut double, mut single, mut backtick, mut bracket) = (false, false, false, false);
    for c in line.chars() {
        if escaped {
            word.push(c);
            escaped = false;
            has_word = true;
            continue;
        }
        match c {
            '\\' if single => word.push(c),
            '\\' => escaped = true,
            ' ' | '\t' | '\r' | '\n' => {
                if single || double || backtick || bracket {
                    word.push(c);
                } else if has_word {
                    words.push(std::mem::take(&mut word));
                    has_word = false;
                }
            }
            '"' if !single && !bracket => {
                has_word |= double;
                double = !double;
            }
            '\'' if !double && !bracket => {
                has_word |= single;
                single = !single;
            }
            _ => {
                let quoted = single || double;
                match c {
                    '`' if !quoted && !bracket => backtick = !backtick,
                    ')' if !quoted && !backtick => bracket = !bracket,
                    '(' if !quoted && !backtick => {
                        if bracket || !word.ends_with('$') {
                            return Err(invalid());
                        }
                        bracket = true;
                        word.push(c);
                        continue;
                    }
                    ';' | '&' | '|' | '<' | '>' if !(quoted || backtick || bracket) => {
                        if c == '>' && word.starts_with(|c: char| c.is_ascii_digit()) {
                            has_word = false;
                        }
                        break;
                    }
                    _ => {}
                }
                has_word = true;
                word.push(c);
            }
        }
    }
    if escaped || single || double || backtick || bracket {
        return Err(invalid());
    }
    if has_word {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_in_texts_are_gos() {
        for (text, want) in [
            ("123456.0", "123456"),
            ("2097152.0", "2.097152e+06"),
            ("1e20", "1e+20"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1.10", "1.1"),
            (".inf", "+Inf"),
            ("18446744073709551615", "18446744073709551615"),
            ("99999999999999999999", "1e+20"),
            ("0440", "288"),
            ("true", "true"),
        ] {
            let node = Node::generated(crate::yaml::resolve_plain(text));
            assert_eq!(printed(&node).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn durations_are_read_and_printed() {
        for (text, want) in [
            ("0", "0s"),
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("1d2h3.5s", "26h0m3.5s"),
            ("1w", "168h0m0s"),
            ("1500ms", "1.5s"),
            ("1us", "1µs"),
            ("1.5ms", "1.5ms"),
            ("-2m", "-2m0s"),
            (".5s", "500ms"),
            ("0.1s", "100ms"),
        ] {
            assert_eq!(duration_text(read_duration(text).unwrap()), want, "{text}");
        }
        for text in ["", "5", "s", "1x", "1.2.3s", "-", "99999999999h", "1 s"] {
            assert!(read_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, want) in [
            ("50", 50),
            ("50b", 50),
            ("1k", 1024),
            ("1.5G", 1_610_612_736),
            ("50M", 52_428_800),
            ("50 mb", 52_428_800),
            ("1KiB", 1024),
        ] {
            assert_eq!(read_size(text), Ok(want), "{text}");
        }
        for text in ["", "x", "1x", "1ib", "1bb", "-1", "1 kibb", "k"] {
            assert!(read_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn command_lines_are_split_but_not_run() {
        for (line, want) in [
            ("a b  c", vec!["a", "b", "c"]),
            ("", vec![]),
            ("sh -c 'x \"y\"' \"\"", vec!["sh", "-c", "x \"y\"", ""]),
            ("a\\ b \"c\\\"d\"", vec!["a b", "c\"d"]),
            ("a && b", vec!["a"]),
            ("a 2>x", vec!["a"]),
            ("a $(b c) `d e`", vec!["a", "$(b c)", "`d e`"]),
        ] {
            assert_eq!(split_words(line).unwrap(), want, "{line}");
        }
        for line in ["'a", "a\"", "(a)", "a\\"] {
            assert!(split_words(line).is_err(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,20}") {
            let _ = (read_duration(&text), read_size(&text), split_words(&text));
        }

        #[test]
        fn durations_survive(nanos in any::<i64>().prop_filter("magnitude", |n| *n != i64::MIN)) {
            let back = read_duration(&duration_text(nanos)).unwrap();
            prop_assert!((back - nanos).abs() <= 1 + nanos.abs() / 1_000_000_000_000, "{} {}", back, nanos);
        }
    }
}
