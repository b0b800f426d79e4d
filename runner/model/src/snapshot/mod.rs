//! Snapshots of data volumes: what is known of one, and what a scenario asks of it.

mod mask;
mod need;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::lock::Digest;

pub use mask::{JsonPath, JsonStep, Mask, MaskRule, Personal, json_path};
pub use need::{DataNeed, Measure};

/// Version of the manifest's form.
pub const MANIFEST_VERSION: u32 = 1;
/// Longest name of a snapshot.
const LONGEST_NAME: usize = 128;

/// What a sealed snapshot is: all that is known of it without looking into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this form.
    pub version: u32,
    /// Name.
    pub name: String,
    /// When it was sealed.
    pub created: jiff::Timestamp,
    /// What it was made from.
    pub source: Source,
    /// Image whose program wrote the data, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageUsed>,
    /// What is in it.
    pub content: Content,
    /// Whether it may be given to anybody: nothing in it looks like a person's data.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
    /// Columns whose values were replaced, with how (`email`, `hash`…).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masked: Vec<Masked>,
    /// Databases in it, as far as they were measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<Database>,
}

/// What a snapshot was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// `volume`, `directory`, `tar`, `dump`, `script`, `stack`, `subset`, `grown`.
    pub kind: String,
    /// Its name: of the volume, of the file.
    pub name: String,
    /// SHA-256 of the file, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// An image that wrote data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageUsed {
    /// Reference.
    pub reference: String,
    /// Digest (or the engine's id) of it.
    pub digest: String,
}

/// What a volume holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// SHA-256 of the list of its entries, in hexadecimal digits.
    pub hash: String,
    /// Files, directories and all else.
    pub entries: u64,
    /// Bytes of all files, holes included.
    pub bytes: u64,
}

/// A masked column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Masked {
    /// `schema.table.column`, with a path for parts of JSON.
    pub column: String,
    /// How.
    pub rule: String,
}

/// A database.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `postgresql`, `mariadb`, `mysql`, `redis`.
    pub engine: String,
    /// Version of the server that wrote it.
    pub version: String,
    /// Name.
    pub name: String,
    /// Encoding.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub encoding: String,
    /// Collation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub collation: String,
    /// Its tables.
    pub tables: Vec<Table>,
}

/// A table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// `schema.table`.
    pub name: String,
    /// Rows, counted.
    pub rows: u64,
    /// Bytes on disk, indexes included.
    pub bytes: u64,
    /// Its columns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<Column>,
}

/// A column.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type as the database writes it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Rows in which it is null.
    pub nulls: u64,
    /// Different values; an estimate of the database's own where [`Column::estimated`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distinct: Option<u64>,
    /// Whether `distinct` is an estimate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// Bytes of its longest value as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<u64>,
    /// Collation, where it is not the database's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collation: Option<String>,
    /// Oldest value of a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<String>,
    /// Newest value of a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<String>,
}

impl Manifest {
    /// Its digest: of its canonical JSON, so that the order of keys and the layout are no
    /// matter.
    pub fn digest(&self) -> Digest {
        let json = serde_json::to_value(self).unwrap_or_default();
        Digest::of_value(&json)
    }

    /// The table of a name, which may leave out its schema.
    pub fn table(&self, name: &str) -> Option<&Table> {
        let all = || self.databases.iter().flat_map(|d| &d.tables);
        let bare = |t: &&Table| t.name.rsplit('.').next() == Some(name);
        all().find(|t| t.name == name).or_else(|| all().find(bare))
    }

    /// It in a line, the largest tables first: `orders-2026-11 sha256:1f3a…, 1.2 GiB, 1045
    /// files; orders 1,000,000 rows, …`.
    pub fn summary(&self) -> String {
        let digest = self.digest();
        let mut text = format!(
            "{} {}, {} in {} entries",
            self.name,
            digest.short(),
            bytes(self.content.bytes),
            grouped(self.content.entries),
        );
        let mut tables: Vec<&Table> = self.databases.iter().flat_map(|d| &d.tables).collect();
        tables.sort_by_key(|t| std::cmp::Reverse(t.rows));
        for (i, table) in tables.iter().take(3).enumerate() {
            let name = table.name.strip_prefix("public.").unwrap_or(&table.name);
            let before = if i == 0 { "; " } else { ", " };
            let _ = write!(text, "{before}{name} {} rows", grouped(table.rows));
        }
        if !self.masked.is_empty() {
            let _ = write!(text, "; {} columns masked", self.masked.len());
        }
        text
    }
}

/// What is wrong with the name of a snapshot: it is a part of the names of the engine's objects.
pub fn wrong_name(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || name.len() > LONGEST_NAME {
        Some("a name has 1 to 128 characters")
    } else if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Some("a name starts with a letter or a digit")
    } else if !name.chars().all(allowed) {
        Some("a name has letters, digits, `.`, `_` and `-`")
    } else {
        None
    }
}

/// Bytes for people, in binary units.
pub fn bytes(count: u64) -> String {
    let mut value = count;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 10 * 1024 || unit == "GiB" {
            return format!("{} {unit}", grouped(value));
        }
        value = value.div_ceil(1024);
    }
    String::new()
}

/// A number with a comma between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn manifest() -> Manifest {
        let column = |name: &str, nulls, distinct| Column {
            name: name.into(),
            kind: "text".into(),
            nulls,
            distinct: Some(distinct),
            longest: Some(40),
            ..Column::default()
        };
        Manifest {
            version: MANIFEST_VERSION,
            name: "orders-2026-11".into(),
            created: jiff::Timestamp::UNIX_EPOCH,
            source: Source {
                kind: "dump".into(),
                name: "orders.dump".into(),
                digest: None,
            },
            image: None,
            content: Content {
                hash: "ab".repeat(32),
                entries: 1045,
                bytes: 1 << 30,
            },
            public: false,
            masked: Vec::new(),
            databases: vec![Database {
                engine: "postgresql".into(),
                version: "15.14".into(),
                name: "shop".into(),
                tables: vec![
                    Table {
                        name: "public.products".into(),
                        rows: 5,
                        ..Table::default()
                    },
                    Table {
                        name: "public.orders".into(),
                        rows: 1_000_000,
                        bytes: 300 << 20,
                        columns: vec![column("state", 12, 3), column("reference", 0, 999_990)],
                    },
                ],
                ..Database::default()
            }],
        }
    }

    #[test]
    fn the_digest_is_of_what_it_says_and_not_of_its_layout() {
        let a = manifest();
        let text = serde_json::to_string_pretty(&a).unwrap();
        let b: Manifest = serde_json::from_str(&text).unwrap();
        assert_eq!(a.digest(), b.digest());
        let mut c = a.clone();
        c.databases[0].tables[1].rows -= 1;
        assert_ne!(a.digest(), c.digest());
    }

    #[test]
    fn it_is_told_in_a_line() {
        let text = manifest().summary();
        let rest = text.strip_prefix("orders-2026-11 sha256:").unwrap();
        assert!(
            rest.ends_with(", 1,024 MiB in 1,045 entries; orders 1,000,000 rows, products 5 rows"),
            "{text}"
        );
    }

    #[test]
    fn names_are_those_of_the_engine() {
        for good in ["a", "orders-2026.11_b"] {
            assert_eq!(wrong_name(good), None);
        }
        for bad in ["", "-a", "a/b", "ä", "a b", &"x".repeat(129)] {
            assert!(wrong_name(bad).is_some(), "{bad}");
        }
    }
}
