//! Values as people read them in a failure.

use serde_json::Value as Json;

/// Characters after which a value is cut.
const LONGEST: usize = 300;

/// A value on one line, cut to a readable length: a text in quotes, the rest as JSON.
pub fn show(value: &Json) -> String {
    cut(&value.to_string())
}

/// Cuts a text, saying how much is missing.
pub(crate) fn cut(text: &str) -> String {
    let total = text.chars().count();
    if total <= LONGEST {
        return text.to_owned();
    }
    let head: String = text.chars().take(LONGEST).collect();
    format!("{head}… ({} characters more)", total - LONGEST)
}

/// What kind of value it is, in words.
pub(crate) fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

/// Whether a text tells a number: `200`, and `200.0` as well.
fn same_number(text: &str, number: &serde_json::Number) -> bool {
    let text = text.trim();
    text == number.to_string()
        || text
            .parse::<f64>()
            .is_ok_and(|t| t.is_finite() && number.as_f64() == Some(t))
}

/// A hint for two values that look alike but differ in type.
pub(crate) fn type_hint(expected: &Json, actual: &Json) -> Option<String> {
    match (expected, actual) {
        (Json::Number(e), Json::String(a)) if same_number(a, e) => {
            Some(format!("{actual} is text here, not a number"))
        }
        (Json::String(e), Json::Number(a)) if same_number(e, a) => {
            Some(format!("{a} is a number here, not text"))
        }
        (Json::Bool(e), Json::String(a)) if a.eq_ignore_ascii_case(&e.to_string()) => {
            Some(format!("{actual} is text here, not a boolean"))
        }
        (Json::String(e), Json::Bool(a)) if e.eq_ignore_ascii_case(&a.to_string()) => {
            Some(format!("{a} is a boolean here, not text"))
        }
        (e, Json::Array(a)) if a.len() == 1 && !e.is_array() && a[0] == *e => {
            Some("this is a list with that one item".into())
        }
        (Json::Array(e), a) if e.len() == 1 && !a.is_array() && e[0] == *a => {
            Some("this is that item itself, not a list of it".into())
        }
        (Json::Null, Json::String(a)) if a == "null" => Some("this is the text \"null\"".into()),
        (Json::String(e), Json::String(a)) if e != a => {
            if e.trim() == a.trim() {
                Some("they differ in blanks around the text only".into())
            } else if e.eq_ignore_ascii_case(a) {
                Some("they differ in upper and lower case only".into())
            } else {
                None
            }
        }
        _ => None,
    }
}
