//! Finding what looks like a person's data, or a secret, and is not masked.

use std::fmt::Write as _;

use prodmirror_model::diag::Problem;
use prodmirror_model::snapshot::{Masked, Personal, grouped};

use super::names::{Column, Table};
use super::{Server, ident};

/// What looks like a person's data or a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// `schema.table.column`.
    pub column: String,
    /// As what it was recognised.
    pub kind: Personal,
    /// How many values; 0 = by the column's name.
    pub count: u64,
    /// Whether it holds dates.
    pub dated: bool,
}

impl Finding {
    /// For people.
    pub fn words(&self) -> String {
        match self.count {
            0 => format!("{} looks like {}", self.column, self.kind.words()),
            1 => format!("{}: 1 value looks like {}", self.column, self.kind.words()),
            n => format!(
                "{}: {} values look like {}",
                self.column,
                grouped(n),
                self.kind.words()
            ),
        }
    }

    /// The rule that would cover it.
    pub fn rule(&self) -> String {
        let column = self.column.strip_prefix("public.").unwrap_or(&self.column);
        match self.dated {
            true => format!("{column}: {{ shift: 30d, by: COLUMN }}"),
            false => format!("{column}: {}", self.kind.mask()),
        }
    }
}

/// What values are recognised by, as regular expressions of the server (ARE). Those that stand
/// for nobody (`example.com`, RFC 2606) are none.
const VALUES: [(Personal, &str); 6] = [
    (
        Personal::Email,
        r"[[:alnum:]._%+-]+@(?!([[:alnum:]-]+\.)*(example\.(com|org|net)|[[:alnum:]-]+\.(example|invalid|test)|localhost)\M)[[:alnum:]-]+(\.[[:alnum:]-]+)*\.[[:alpha:]]{2,}",
    ),
    (
        Personal::Iban,
        r"\m[A-Z]{2}[0-9]{2}( ?[A-Z0-9]{4}){3,7}( ?[A-Z0-9]{1,3})?\M",
    ),
    (
        Personal::Phone,
        r"(^|[^[:alnum:].+-])(\+(?!1555)[1-9][0-9]{0,2}[ ()./-]{0,2}([0-9][ ()./-]{0,2}){6,11}[0-9]|\(?0[1-9][0-9]{1,4}[)/ -]+[0-9]{3,4}[ -]?[0-9]{3,5})($|[^[:alnum:]])",
    ),
    (
        Personal::Card,
        r"(^|[^[:alnum:].-])(?!400000)(4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|3[47][0-9]{2}|6(011|5[0-9]{2}))[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{3,4}($|[^[:alnum:].-])",
    ),
    (
        Personal::Address,
        r"\m(?!(10|127|0|255|169\.254|192\.168|172\.(1[6-9]|2[0-9]|3[01])|192\.0\.2|198\.51\.100|203\.0\.113)\.)((25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})\.){3}(25[0-5]|2[0-4][0-9]|1?[0-9]{1,2})\M(?!\.)",
    ),
    (
        Personal::Secret,
        r"(-----BEGIN [A-Z ]*PRIVATE KEY|\mAKIA[0-9A-Z]{16}\M|\mgh[pousr]_[A-Za-z0-9]{36}|\msk_live_[A-Za-z0-9]{16,}|\mxox[abprs]-[A-Za-z0-9-]{10,}|\meyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.|\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}|\$argon2(id|i|d)\$)",
    ),
];

/// Words of columns that hold a person's data.
const NAMES: [(&str, Personal); 24] = [
    ("email", Personal::Email),
    ("e_mail", Personal::Email),
    ("phone", Personal::Phone),
    ("mobile", Personal::Phone),
    ("fax", Personal::Phone),
    ("firstname", Personal::Named),
    ("first_name", Personal::Named),
    ("lastname", Personal::Named),
    ("last_name", Personal::Named),
    ("surname", Personal::Named),
    ("full_name", Personal::Named),
    ("street", Personal::Named),
    ("address", Personal::Named),
    ("birth", Personal::Named),
    ("born", Personal::Named),
    ("ssn", Personal::Named),
    ("passport", Personal::Named),
    ("iban", Personal::Iban),
    ("card_number", Personal::Card),
    ("password", Personal::Secret),
    ("passwd", Personal::Secret),
    ("secret", Personal::Secret),
    ("api_key", Personal::Secret),
    ("token", Personal::Secret),
];

/// Looks through all texts and JSON of a database, except what is masked.
///
/// # Errors
/// The server's.
pub async fn scan(server: &Server<'_>, masked: &[Masked]) -> Result<Vec<Finding>, Problem> {
    let mut found = Vec::new();
    for table in server.tables().await? {
        let covered = |c: &Column| {
            let name = format!("{}.{}", table.full(), c.name);
            // Of JSON only parts are.
            masked.iter().any(|m| m.column == name) && !c.is_json()
        };
        let columns: Vec<&Column> = table.columns.iter().filter(|c| !covered(c)).collect();
        found.extend(columns.iter().filter_map(|c| by_name(&table, c)));
        let Some(sql) = query(&table, &columns) else {
            continue;
        };
        let doing = format!("look through the table {}", table.full());
        let row = server.json(&doing, &sql).await?;
        for (i, column) in columns.iter().enumerate() {
            for (k, (kind, _)) in VALUES.iter().enumerate() {
                let count = row[format!("c{i}_{k}")].as_u64().unwrap_or_default();
                if count > 0 {
                    let column = format!("{}.{}", table.full(), column.name);
                    found.retain(|f: &Finding| f.column != column || f.count > 0);
                    found.push(Finding {
                        column,
                        kind: *kind,
                        count,
                        dated: false,
                    });
                }
            }
        }
    }
    Ok(found)
}

fn by_name(table: &Table, column: &Column) -> Option<Finding> {
    let dated = column.category == "D";
    if !column.is_text() && !dated {
        return None;
    }
    let name = column.name.to_lowercase();
    let is = |word: &str| {
        // `billing_address` is one, `addressed` is none.
        name.match_indices(word).any(|(at, _)| {
            let edge = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_lowercase());
            edge(name[..at].chars().next_back()) && edge(name[at + word.len()..].chars().next())
        })
    };
    let (_, kind) = NAMES.iter().find(|(word, _)| is(word))?;
    let of_dates = matches!(kind, Personal::Named);
    (!dated || of_dates).then(|| Finding {
        column: format!("{}.{}", table.full(), column.name),
        kind: *kind,
        count: 0,
        dated,
    })
}

/// One pass over a table; nothing when it has no texts.
fn query(table: &Table, columns: &[&Column]) -> Option<String> {
    let mut counts = String::new();
    for (i, column) in columns.iter().enumerate() {
        let list = matches!(
            column.base.as_str(),
            "_text" | "_varchar" | "hstore" | "xml"
        );
        if !column.is_text() && !column.is_json() && !list {
            continue;
        }
        let name = ident(&column.name);
        for (k, (_, pattern)) in VALUES.iter().enumerate() {
            if !counts.is_empty() {
                counts.push_str(", ");
            }
            let pattern = pattern.replace('\'', "''");
            let _ = write!(
                counts,
                "count(*) FILTER (WHERE {name}::text ~ '{pattern}') AS c{i}_{k}"
            );
        }
    }
    if counts.is_empty() {
        return None;
    }
    Some(format!(
        "SET standard_conforming_strings = on;\nSELECT row_to_json(t) FROM (SELECT {counts} FROM {}) t;",
        table.sql()
    ))
}
