//! Where two values differ.

use serde_json::{Number, Value as Json};

use super::predicate::Finding;
use super::show::{kind, show, type_hint};

/// Differences that are told at most.
const MOST: usize = 20;

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All of it.
    Whole,
    /// Objects may have more keys than expected.
    Part,
}

/// Tells every place where `actual` is not as expected.
pub(crate) fn diff(expected: &Json, actual: &Json, mode: Mode, path: &str, out: &mut Vec<Finding>) {
    if out.len() >= MOST {
        return;
    }
    match (expected, actual) {
        (Json::Object(e), Json::Object(a)) => {
            for (k, v) in e {
                let at = format!("{path}{}", key(k));
                match a.get(k) {
                    Some(found) => diff(v, found, mode, &at, out),
                    None => out.push(Finding {
                        path: at,
                        expected: show(v),
                        actual: "nothing".into(),
                        hint: crate::diag::nearest(k, a.keys().map(String::as_str))
                            .filter(|n| !e.contains_key(*n))
                            .map(|n| format!("there is `{n}`")),
                    }),
                }
            }
            if mode == Mode::Whole {
                for (k, v) in a.iter().filter(|(k, _)| !e.contains_key(*k)) {
                    out.push(Finding {
                        path: format!("{path}{}", key(k)),
                        expected: "nothing".into(),
                        actual: show(v),
                        hint: None,
                    });
                }
            }
        }
        (Json::Array(e), Json::Array(a)) => {
            for (i, v) in e.iter().enumerate() {
                let at = format!("{path}[{i}]");
                match a.get(i) {
                    Some(found) => diff(v, found, mode, &at, out),
                    None => out.push(Finding::new(at, show(v), "nothing")),
                }
            }
            for (i, v) in a.iter().enumerate().skip(e.len()) {
                out.push(Finding::new(format!("{path}[{i}]"), "nothing", show(v)));
            }
        }
        _ if same(expected, actual) => {}
        _ => out.push(Finding {
            path: path.to_owned(),
            expected: show(expected),
            actual: show(actual),
            hint: type_hint(expected, actual).or_else(|| {
                (std::mem::discriminant(expected) != std::mem::discriminant(actual))
                    .then(|| format!("{} is expected, this is {}", kind(expected), kind(actual)))
            }),
        }),
    }
}

/// Whether two values are equal; numbers by their value, so that 1 is 1.0.
pub(crate) fn equal(a: &Json, b: &Json, mode: Mode) -> bool {
    match (a, b) {
        (Json::Object(e), Json::Object(f)) => {
            (mode == Mode::Part || e.len() == f.len())
                && e.iter()
                    .all(|(k, v)| f.get(k).is_some_and(|w| equal(v, w, mode)))
        }
        (Json::Array(e), Json::Array(f)) => {
            e.len() == f.len() && e.iter().zip(f).all(|(v, w)| equal(v, w, mode))
        }
        _ => same(a, b),
    }
}

fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(x), Json::Number(y)) => same_number(x, y),
        _ => a == b,
    }
}

fn same_number(x: &Number, y: &Number) -> bool {
    match (x.as_i64(), y.as_i64()) {
        (Some(i), Some(j)) => i == j,
        _ => x.to_string() == y.to_string() || x.as_f64() == y.as_f64(),
    }
}

/// A key as a step of a path.
pub(crate) fn key(k: &str) -> String {
    let plain = k.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && k.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain {
        format!(".{k}")
    } else {
        format!("[{}]", Json::from(k))
    }
}
