//! Writing a value as YAML so that Compose reads back exactly what went in.
//!
//! A `$` in a value is doubled (Compose interpolates values, not keys); a secret's token is
//! written as `${NAME:?…}`.

use serde_json::{Map, Value as Json};

use super::secret_ref::{Part, parts};
use crate::yaml::{Value, resolve_plain};

/// Ends the name of a variable that holds the path of a file with a secret.
pub const FILE_SUFFIX: &str = "_FILE";

/// Words that some reader of YAML takes for something else than text.
const YAML_1_1_WORDS: [&str; 12] = [
    "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "<<",
];

/// A text in the place of a value.
pub fn text(value: &str) -> String {
    if is_plain(value) {
        return value.to_owned();
    }
    let mut out = String::with_capacity(value.len() + 8);
    out.push('"');
    for part in parts(value) {
        match part {
            Part::Text(t) => t.chars().for_each(|c| {
                if c == '$' {
                    out.push('$');
                }
                quoted_char(c, &mut out);
            }),
            Part::Secret(name) => out.push_str(&placeholder(name)),
        }
    }
    out.push('"');
    out
}

/// What asks for a secret in a rendered stack.
pub fn placeholder(name: &str) -> String {
    let what = match name.ends_with(FILE_SUFFIX) {
        true => "is the path of a file with a secret of this stack",
        false => "is a secret of this stack",
    };
    format!("${{{name}:?{name} {what}}}")
}

/// A text in the place of a key, where nothing is interpolated.
pub fn key(name: &str) -> String {
    if is_plain(name) {
        return name.to_owned();
    }
    let mut out = String::with_capacity(name.len() + 2);
    out.push('"');
    name.chars().for_each(|c| quoted_char(c, &mut out));
    out.push('"');
    out
}

/// Whether a text can stand without quotes for every reader of YAML.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_./:@+-".contains(&b))
        && !text.ends_with(':')
        && text.len() <= 200
        && !YAML_1_1_WORDS.contains(&text.to_ascii_lowercase().as_str())
        && matches!(resolve_plain(text), Value::Str(_))
        && !super::secret_ref::holds_secret(text)
}

fn quoted_char(c: char, out: &mut String) {
    use std::fmt::Write as _;
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\t' => out.push_str("\\t"),
        '\r' => out.push_str("\\r"),
        '\0' => out.push_str("\\0"),
        ' '..='~' => out.push(c),
        c if is_printable(c) => out.push(c),
        c => {
            let n = u32::from(c);
            let _ = match n {
                0..=0xff => write!(out, "\\x{n:02X}"),
                0x100..=0xffff => write!(out, "\\u{n:04X}"),
                _ => write!(out, "\\U{n:08X}"),
            };
        }
    }
}

/// Whether YAML's readers take a character as it is, and not as a line break.
fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{10000}'..='\u{10ffff}' | '\u{f900}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
        && !matches!(c, '\u{2028}' | '\u{2029}')
        && (u32::from(c) & 0xfffe) != 0xfffe
}

/// A value on one line.
pub fn flow(value: &Json) -> String {
    match value {
        Json::String(s) => text(s),
        Json::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Json::Object(map) if map.is_empty() => "{}".to_owned(),
        Json::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(k, v)| {
                    // A plain key may not touch a `,` or bracket; quoting all is simplest.
                    let k = if is_plain(k) { k.clone() } else { key(k) };
                    let explicit = if k.len() > 1000 { "? " } else { "" };
                    format!("{explicit}{k}: {}", flow(v))
                })
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// The lines of a value, each to stand `indent` columns in; the first line too.
pub fn block(value: &Json, indent: usize) -> Vec<String> {
    let pad = " ".repeat(indent);
    match value {
        Json::Object(map) if !map.is_empty() => entries(map)
            .into_iter()
            .map(|line| indented(&pad, line))
            .collect(),
        Json::Array(items) if !items.is_empty() => items
            .iter()
            .flat_map(item)
            .map(|line| indented(&pad, line))
            .collect(),
        other => vec![indented(&pad, flow(other))],
    }
}

fn indented(pad: &str, line: String) -> String {
    if line.is_empty() {
        line
    } else {
        format!("{pad}{line}")
    }
}

/// The lines of a value behind `key:` (whose column is `indent`); the first line continues
/// that of the key.
pub fn after_key(value: &Json, indent: usize) -> Vec<String> {
    match value {
        Json::Object(map) if !map.is_empty() => {
            let mut lines = vec![String::new()];
            lines.extend(block(value, indent + 2));
            lines
        }
        Json::Array(items) if !items.is_empty() => {
            let mut lines = vec![String::new()];
            lines.extend(block(value, indent + 2));
            lines
        }
        Json::String(s) => match literal(s) {
            Some(body) => {
                let pad = " ".repeat(indent + 2);
                let mut lines = vec![if s.ends_with('\n') { " |" } else { " |-" }.to_owned()];
                lines.extend(body.into_iter().map(|l| indented(&pad, l)));
                lines
            }
            None => vec![format!(" {}", text(s))],
        },
        other => vec![format!(" {}", flow(other))],
    }
}

fn entries(map: &Map<String, Json>) -> Vec<String> {
    map.iter()
        .flat_map(|(k, v)| {
            let k = key(k);
            if k.len() > 1000 {
                return vec![format!("? {k}"), format!(": {}", flow(v))];
            }
            let mut lines = after_key(v, 0);
            lines[0].insert_str(0, &format!("{k}:"));
            lines
        })
        .collect()
}

fn item(value: &Json) -> Vec<String> {
    match value {
        Json::Object(map) if !map.is_empty() => {
            let mut lines = block(value, 2);
            lines[0].replace_range(..2, "- ");
            lines
        }
        other => vec![format!("- {}", flow(other))],
    }
}

/// The lines of a text that can be written as a literal block.
fn literal(value: &str) -> Option<Vec<String>> {
    let body = value.strip_suffix('\n').unwrap_or(value);
    let lines: Vec<&str> = body.split('\n').collect();
    let fits = lines.len() > 1
        && !body.ends_with('\n')
        && lines
            .iter()
            .all(|l| l.chars().all(is_printable) && !l.starts_with(' ') | !l.trim().is_empty())
        && lines
            .iter()
            .find(|l| !l.is_empty())
            .is_some_and(|l| !l.starts_with(' '))
        && lines.last().is_some_and(|l| !l.is_empty());
    fits.then(|| {
        lines
            .iter()
            .map(|l| {
                parts(l)
                    .into_iter()
                    .map(|p| match p {
                        Part::Text(t) => t.replace('$', "$$"),
                        Part::Secret(name) => placeholder(name),
                    })
                    .collect()
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::source::SourceFile;
    use crate::yaml::parse_one;

    /// What a reader of YAML makes of a text.
    fn read(text: &str) -> Json {
        parse_one(&SourceFile::new("t", text)).unwrap().to_json()
    }

    /// A value with each `$` of its texts doubled, as it stands before interpolation.
    fn doubled(value: &Json) -> Json {
        match value {
            Json::String(s) => json!(s.replace('$', "$$")),
            Json::Array(a) => a.iter().map(doubled).collect(),
            Json::Object(o) => {
                Json::Object(o.iter().map(|(k, v)| (k.clone(), doubled(v))).collect())
            }
            other => other.clone(),
        }
    }

    #[test]
    fn texts_that_look_like_something_else_are_quoted() {
        for t in [
            "",
            "yes",
            "No",
            "on",
            "null",
            "~",
            "1",
            "1.0",
            "0x1F",
            "1_000",
            "12:30",
            "true",
            "- a",
            "a: b",
            "a #b",
            "#a",
            "a:",
            "!tag",
            "&a",
            "*a",
            "@a",
            "`a",
            "%a",
            "{a",
            "[a",
            " a",
            "a ",
            "<<",
            "=",
            "2001-01-01",
            "?",
            "|",
            ">",
            "'",
            "\"",
            ".inf",
            "a\u{85}b",
            "\u{feff}a",
            "a\u{2028}b",
            "\u{fffe}",
            "\u{e000}",
            "\u{1f600}",
            "é",
        ] {
            let written = text(t);
            assert_eq!(read(&format!("k: {written}\n"))["k"], json!(t), "{written}");
            assert_eq!(read(&format!("[{written}, {written}]"))[0], json!(t));
            let k = key(t);
            assert_eq!(read(&format!("{k}: 1\n"))[t], json!(1), "{k}");
        }
        assert_eq!(
            text("registry.example.com/shop/orders:1.2"),
            "registry.example.com/shop/orders:1.2"
        );
        assert_eq!(text("a$b"), "\"a$$b\"");
        assert_eq!(key("a$b"), "\"a$b\"");
    }

    #[test]
    fn literal_blocks_keep_their_text() {
        for t in [
            "a\nb\n",
            "a\nb",
            "a\n\n  b\nc",
            "\na\nb\n",
            "a \nb\t\n",
            "a\n b$c\n",
            "a\n\n",
            "a\n ",
            " a\nb",
            "\n",
            "a\r\nb",
        ] {
            let mut lines = after_key(&json!(t), 0);
            lines[0].insert_str(0, "k:");
            let written = lines.join("\n") + "\n";
            assert_eq!(read(&written)["k"], doubled(&json!(t)), "{written}");
        }
    }

    #[test]
    fn a_long_key_is_read_back() {
        let long = "k y".repeat(600);
        let value = json!({ long.clone(): { long: 1 } });
        assert_eq!(read(&block(&value, 2).join("\n")), value);
        assert_eq!(read(&flow(&value)), value);
    }

    #[test]
    fn a_secret_is_asked_for() {
        let t = format!("a$b{}", super::super::secret_ref::token("KEY"));
        assert_eq!(text(&t), "\"a$$b${KEY:?KEY is a secret of this stack}\"");
    }

    fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            any::<String>().prop_map(Json::from),
            "[a-z$ \\n\\t:#\"'-]{0,12}".prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|v| Json::Object(v.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_text_is_read_back(t in any::<String>()) {
            let written = text(&t);
            prop_assert!(!written.contains('\n'));
            prop_assert_eq!(&read(&format!("k: {written}\n"))["k"], &doubled(&json!(t)));
        }

        #[test]
        fn any_value_is_read_back(v in any_json()) {
            prop_assert_eq!(read(&flow(&v)), doubled(&v));
            prop_assert_eq!(read(&(block(&v, 4).join("\n") + "\n")), doubled(&v));
            let mut lines = after_key(&v, 2);
            lines[0].insert_str(0, "  k:");
            prop_assert_eq!(&read(&(lines.join("\n") + "\n"))["k"], &doubled(&v));
        }
    }
}
