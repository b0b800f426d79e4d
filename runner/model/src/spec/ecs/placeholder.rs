//! Texts of templates that nobody filled in.

/// Whether a whole text is a placeholder: `{{name}}`, `<NAME>`, `${NAME}`, `$NAME`, `%NAME%`.
pub(super) fn is_whole(text: &str) -> bool {
    let inside = |open: &str, close: &str| {
        let inner = text.strip_prefix(open).and_then(|t| t.strip_suffix(close));
        inner.is_some_and(is_word)
    };
    let brackets = [
        ("{{", "}}"),
        ("<", ">"),
        ("${", "}"),
        ("%", "%"),
        ("{", "}"),
        ("@", "@"),
    ];
    brackets.iter().any(|(open, close)| inside(open, close))
        || text.strip_prefix('$').is_some_and(is_word)
}

fn is_word(text: &str) -> bool {
    let text = text.trim();
    text.starts_with(|c: char| c.is_ascii_alphabetic() || "_.-".contains(c))
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_.-: ".contains(c))
}

/// How to give the values of the placeholders in a text.
pub(super) fn help(text: &str) -> String {
    let key = serde_json::Value::from(text).to_string();
    format!(
        "give its value in mirror.yaml:\nsupply:\n  ecs:\n    placeholders:\n      {key}: VALUE"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_texts_only() {
        for text in [
            "{{image}}",
            "<IMAGE_NAME>",
            "${A}",
            "$ECR_REPO",
            "%X%",
            "{will-be-replaced-by-ci}",
        ] {
            assert!(is_whole(text), "{text}");
        }
        for text in [
            "",
            "$",
            "a$B",
            "<a><b>",
            "{\"a\": 1}",
            "$5.00",
            "{}",
            "%",
            "price: <5>",
        ] {
            assert!(!is_whole(text), "{text}");
        }
    }
}
