//! Variables in the texts of a stack: `${NAME:?why}`, and `$$` for a dollar.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::secret::Secret;

/// A text with each reference to a variable replaced: `with` gets its name and all of it.
pub fn replaced(text: &str, with: &mut dyn FnMut(&str, &str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        if let Some(behind) = tail.strip_prefix("$$") {
            out.push_str("$$");
            rest = behind;
            continue;
        }
        let whole = tail
            .strip_prefix("${")
            .and_then(|t| t.find('}').map(|end| &tail[..end + 3]));
        let Some(whole) = whole else {
            out.push('$');
            rest = &tail[1..];
            continue;
        };
        out.push_str(&with(name_of(whole), whole));
        rest = &tail[whole.len()..];
    }
    out.push_str(rest);
    out
}

/// The name in `${NAME:?why}`.
fn name_of(whole: &str) -> &str {
    let inner = whole.strip_prefix("${").unwrap_or(whole);
    let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    end.map_or(inner, |end| &inner[..end])
}

/// The name of the variable that a text is, if it is nothing else.
pub fn only_variable(text: &str) -> Option<String> {
    let mut names = Vec::new();
    let rest = replaced(text, &mut |name, _| {
        names.push(name.to_owned());
        String::new()
    });
    names.pop().filter(|_| rest.is_empty() && names.is_empty())
}

/// Changes every text of a value.
pub fn each_text(value: &mut Json, change: &mut dyn FnMut(&str) -> String) {
    match value {
        Json::String(text) => *text = change(text),
        Json::Array(items) => items.iter_mut().for_each(|v| each_text(v, change)),
        Json::Object(map) => map.values_mut().for_each(|v| each_text(v, change)),
        _ => {}
    }
}

/// All texts of a value, and the keys of its mappings.
pub fn texts(value: &Json, to: &mut Vec<String>) {
    match value {
        Json::String(text) => to.push(text.clone()),
        Json::Array(items) => items.iter().for_each(|v| texts(v, to)),
        Json::Object(map) => map.values().for_each(|v| texts(v, to)),
        _ => {}
    }
}

/// A value with the values of variables in their places, as far as they are known: for
/// comparing, never for showing.
pub fn expanded(value: &Json, values: &BTreeMap<String, Secret>) -> Json {
    let mut value = value.clone();
    each_text(&mut value, &mut |text| expanded_text(text, values));
    value
}

/// As [`expanded`], of one text.
pub fn expanded_text(text: &str, values: &BTreeMap<String, Secret>) -> String {
    replaced(text, &mut |name, whole| {
        let of_file = || values.get(name.strip_suffix("_FILE")?);
        let value = values.get(name).or_else(of_file);
        value.map_or_else(|| whole.to_owned(), |v| v.expose().to_owned())
    })
}

/// A value for people, on one line: what a variable stands for is not shown.
pub fn shown(value: &Json) -> String {
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Array(items) if items.iter().all(Json::is_string) => {
            let words: Vec<&str> = items.iter().filter_map(Json::as_str).collect();
            words.join(" ")
        }
        other => other.to_string(),
    };
    let text = replaced(&text, &mut |_, _| "***".to_owned()).replace("$$", "$");
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// How much of a value is shown.
const MOST: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_and_dollars_left() {
        let mut seen = Vec::new();
        let out = replaced("a$$b ${X:?X is missing} $c ${Y}$", &mut |name, _| {
            seen.push(name.to_owned());
            format!("<{name}>")
        });
        assert_eq!(out, "a$$b <X> $c <Y>$");
        assert_eq!(seen, ["X", "Y"]);
    }

    #[test]
    fn a_text_that_is_one_variable() {
        assert_eq!(only_variable("${X:?y}").as_deref(), Some("X"));
        for other in ["", "a${X}", "${X}${Y}", "$${X}"] {
            assert_eq!(only_variable(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_shown_has_no_secret_and_is_short() {
        assert_eq!(shown(&"u:${P:?P}@h $$1".into()), "u:***@h $1");
        assert_eq!(shown(&"é".repeat(500).into()).chars().count(), MOST + 1);
    }
}
