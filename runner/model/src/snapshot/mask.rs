//! How personal data is replaced: rules of columns.

use std::time::Duration;

/// What becomes of the values of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Mask {
    /// A keyed hash, cut to the column's length; numbers and UUIDs stay such.
    Hash,
    /// An address at `example.com`.
    Email,
    /// A first and a last name.
    Name,
    /// A number of the same form.
    Phone,
    /// A card number of the same length, with a right checksum.
    Card,
    /// Words of the same length.
    Text,
    /// Nothing.
    Null,
    /// The same value for all.
    Value(String),
    /// Parts of a JSON value.
    Json(Vec<(JsonPath, Mask)>),
    /// A date or time, moved by at most so much; all of one subject by the same.
    Shift {
        /// At most, to either side.
        most: Duration,
        /// Column that says whose it is.
        by: String,
    },
}

/// A path inside a JSON value: `$.email`, `$.items[*].note`.
pub type JsonPath = Vec<JsonStep>;

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonStep {
    /// A key of an object.
    Key(String),
    /// All items of a list.
    All,
}

/// A mask for a column.
#[derive(Debug, Clone, PartialEq)]
pub struct MaskRule {
    /// Table, which may leave out its schema.
    pub table: String,
    /// Column.
    pub column: String,
    /// What becomes of its values.
    pub mask: Mask,
}

/// A kind of data that people or secrets are recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Personal {
    /// Mail addresses.
    Email,
    /// Telephone numbers.
    Phone,
    /// Card numbers.
    Card,
    /// Account numbers (IBAN).
    Iban,
    /// Internet addresses.
    Address,
    /// Keys, tokens and passwords.
    Secret,
    /// A column that is called like one of a person's data.
    Named,
}

impl Personal {
    /// For people: what values look like.
    pub fn words(self) -> &'static str {
        match self {
            Self::Email => "mail addresses",
            Self::Phone => "telephone numbers",
            Self::Card => "card numbers",
            Self::Iban => "account numbers",
            Self::Address => "internet addresses",
            Self::Secret => "keys or passwords",
            Self::Named => "a person's data, by its name",
        }
    }

    /// The mask that is proposed.
    pub fn mask(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Iban | Self::Address | Self::Secret => "hash",
            Self::Named => "text",
        }
    }
}

impl Mask {
    /// The mask of a word of `mirror.yaml`.
    pub fn of_word(word: &str) -> Option<Self> {
        Some(match word {
            "hash" => Self::Hash,
            "email" => Self::Email,
            "name" => Self::Name,
            "phone" => Self::Phone,
            "card" => Self::Card,
            "text" => Self::Text,
            "null" => Self::Null,
            _ => return None,
        })
    }

    /// The words that there are.
    pub const WORDS: [&'static str; 7] = ["hash", "email", "name", "phone", "card", "text", "null"];

    /// Its name, for the manifest.
    pub fn word(&self) -> String {
        match self {
            Self::Hash => "hash".into(),
            Self::Email => "email".into(),
            Self::Name => "name".into(),
            Self::Phone => "phone".into(),
            Self::Card => "card".into(),
            Self::Text => "text".into(),
            Self::Null => "null".into(),
            Self::Value(_) => "value".into(),
            Self::Shift { by, .. } => format!("shift by {by}"),
            Self::Json(parts) => {
                let parts: Vec<String> = parts
                    .iter()
                    .map(|(path, mask)| format!("{} {}", path_text(path), mask.word()))
                    .collect();
                parts.join(", ")
            }
        }
    }
}

/// Reads `$.a.b[*].c`.
pub fn json_path(text: &str) -> Option<JsonPath> {
    let mut rest = text.strip_prefix('$')?;
    let mut path = JsonPath::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix("[*]") {
            path.push(JsonStep::All);
            rest = after;
            continue;
        }
        let after = rest.strip_prefix('.')?;
        let end = after.find(['.', '[']).unwrap_or(after.len());
        let key = &after[..end];
        if key.is_empty() || key.contains(['\'', '"', '\\']) {
            return None;
        }
        path.push(JsonStep::Key(key.to_owned()));
        rest = &after[end..];
    }
    (!path.is_empty()).then_some(path)
}

fn path_text(path: &JsonPath) -> String {
    let mut text = String::from("$");
    for step in path {
        match step {
            JsonStep::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            JsonStep::All => text.push_str("[*]"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_json() {
        let path = json_path("$.items[*].note").unwrap();
        assert_eq!(path_text(&path), "$.items[*].note");
        assert_eq!(path.len(), 3);
        for wrong in ["", "$", "a", "$a", "$.", "$..a", "$.a[1]", "$.it's"] {
            assert_eq!(json_path(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_word_is_a_mask() {
        for word in Mask::WORDS {
            assert_eq!(Mask::of_word(word).unwrap().word(), word);
        }
    }
}
