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

/// A hint for two values that look alike but differ in type.
pub(crate) fn type_hint(expected: &Json, actual: &Json) -> Option<String> {
    match (expected, actual) {
        (Json::Number(e), Json::String(a)) if a.trim() == e.to_string() => {
            Some(format!("{actual} is text here, not a number"))
        }
        (Json::String(e), Json::Number(a)) if e.trim() == a.to_string() => {
            Some(format!("{a} is a number here, not text"))
        }
        (Json::Bool(e), Json::String(a)) if a.eq_ignore_ascii_case(&e.to_string()) => {
            Some(format!("{actual} is text here, not a boolean"))
        }
        (Json::String(e), Json::Bool(a)) if e.eq_ignore_ascii_case(&a.to_string()) => {
            Some(format!("{a} is a boolean here, not text"))
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
