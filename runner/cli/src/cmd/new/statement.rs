//! Statements of SQL as traces hold them: their literals, and whether they only read.

use super::draft::is_secret;
use super::link::is_id;

/// A literal in a statement.
pub struct Literal<'s> {
    /// The column or parameter that it is compared with or given to, as far as it can be told.
    pub of: &'s str,
    /// Its value, without quotes.
    pub value: String,
}

/// A statement with its literals replaced by what `by` gives for them; comments are left out.
pub fn replaced(statement: &str, mut by: impl FnMut(&Literal<'_>) -> Option<String>) -> String {
    let mut out = String::new();
    let (mut word, mut before) = ("", ' ');
    let mut rest = statement;
    while let Some(c) = rest.chars().next() {
        let len = match c {
            '\'' => quoted(rest),
            '"' | '`' => rest[1..].find(c).map_or(rest.len(), |i| i + 2),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |i| i + 2),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '$' => dollar(rest),
            c if c.is_ascii_digit() => length(rest, |c| c.is_ascii_digit() || c == '.'),
            c if is_word(c) => length(rest, |c| is_word(c) || c == '.'),
            c => c.len_utf8(),
        };
        let (token, behind) = rest.split_at(len);
        rest = behind;
        match c {
            '\'' => {
                let inner = token.get(1..token.len() - 1).unwrap_or("");
                let value = inner.replace("''", "'");
                match by(&Literal { of: word, value }) {
                    Some(new) => out.push_str(&format!("'{new}'")),
                    None => out.push_str(token),
                }
            }
            '$' if len > 1 && !token[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                out.push_str("'***'");
            }
            c if c.is_ascii_digit() => {
                let value = token.to_owned();
                out.push_str(&by(&Literal { of: word, value }).unwrap_or(token.to_owned()));
            }
            '/' | '-' if len > 1 && before.is_whitespace() => {}
            '/' | '-' if len > 1 => out.push(' '),
            c if is_word(c) => {
                let key = [
                    "and", "or", "in", "like", "ilike", "between", "not", "is", "any",
                ];
                if !key.contains(&token.to_ascii_lowercase().as_str()) {
                    word = token.rsplit('.').next().unwrap_or(token);
                }
                out.push_str(token);
            }
            '"' | '`' => {
                word = token.trim_matches(c);
                out.push_str(token);
            }
            c if c.is_whitespace() && before.is_whitespace() => {}
            c if c.is_whitespace() => out.push(' '),
            _ => out.push_str(token),
        }
        before = out.chars().next_back().unwrap_or(' ');
    }
    out.trim().trim_end_matches(';').trim_end().to_owned()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn length(text: &str, fits: impl Fn(char) -> bool) -> usize {
    text.find(|c| !fits(c)).unwrap_or(text.len())
}

/// `'it''s'`. A backslash before a quote is of MySQL, or of `E'…'`.
fn quoted(text: &str) -> usize {
    let b = text.as_bytes();
    let mut i = 1;
    while i < b.len() {
        match b[i] {
            b'\\' if b.get(i + 1) == Some(&b'\'') && b.get(i + 2).is_some() => i += 2,
            b'\'' if b.get(i + 1) == Some(&b'\'') => i += 2,
            b'\'' => return i + 1,
            _ => i += 1,
        }
    }
    text.len()
}

/// `$1`, or `$tag$ … $tag$`.
fn dollar(text: &str) -> usize {
    let digits = length(&text[1..], |c| c.is_ascii_digit());
    if digits > 0 {
        return 1 + digits;
    }
    let tag = 1 + length(&text[1..], is_word);
    if !text[tag..].starts_with('$') {
        return 1;
    }
    let tag = &text[..=tag];
    text[tag.len()..]
        .find(tag)
        .map_or(text.len(), |i| i + 2 * tag.len())
}

/// Whether a literal does not belong into a file.
pub fn hides(literal: &Literal<'_>) -> bool {
    is_secret(literal.of) || is_id("", &serde_json::Value::from(literal.value.as_str()))
}

/// A statement for people: in one line, without secrets.
pub fn shown(statement: &str) -> String {
    // The values of an insert stand apart from their columns.
    let writes = first_word(statement) == "insert" || first_word(statement) == "replace";
    let any = writes && words(statement).iter().any(|w| is_secret(w));
    let text = replaced(statement, |l| (any || hides(l)).then(|| "***".to_owned()));
    match text.char_indices().nth(160) {
        Some((i, _)) => format!("{}…", &text[..i]),
        None => text,
    }
}

/// The words of a statement outside of its literals, in lower case.
fn words(statement: &str) -> Vec<String> {
    let bare = replaced(statement, |_| Some(String::new()));
    let words = bare.split(|c| !is_word(c)).filter(|w| !w.is_empty());
    words.map(str::to_ascii_lowercase).collect()
}

fn first_word(statement: &str) -> String {
    words(statement).into_iter().next().unwrap_or_default()
}

/// Whether a statement is one `select` that changes nothing.
pub fn only_reads(statement: &str) -> bool {
    const CHANGES: [&str; 18] = [
        "into",
        "update",
        "delete",
        "insert",
        "share",
        "nextval",
        "setval",
        "lock",
        "call",
        "truncate",
        "drop",
        "alter",
        "create",
        "copy",
        "sleep",
        "get_lock",
        "load_file",
        "exec",
    ];
    if statement.contains("/*!") || first_word(statement) != "select" {
        return false;
    }
    let bare = replaced(statement, |_| Some(String::new()));
    let words = words(statement);
    let own = |w: &String| {
        ["pg_", "lo_", "dblink", "xp_"]
            .iter()
            .any(|p| w.starts_with(p))
    };
    !bare.contains(';')
        && !words
            .iter()
            .any(|w| CHANGES.contains(&w.as_str()) || own(w))
}

/// How many values a statement waits for: `$1` and `$2`, or `?`.
pub fn places(statement: &str) -> usize {
    let bare = replaced(statement, |_| Some(String::new()));
    let numbered = bare.split('$').skip(1).filter_map(|p| {
        let digits = length(p, |c| c.is_ascii_digit());
        p[..digits].parse::<usize>().ok()
    });
    let marks = bare.matches(['?', '%', '@']).count();
    numbered.max().unwrap_or(0).max(marks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_statements_are_hidden() {
        for (statement, wanted) in [
            (
                "SELECT *\n  FROM users WHERE name = 'ann' AND password = 'hunter22'",
                "SELECT * FROM users WHERE name = 'ann' AND password = '***'",
            ),
            (
                "insert into users (name, api_key) values ('it''s', 'k')",
                "insert into users (name, api_key) values ('***', '***')",
            ),
            ("select 1 /* traceparent='00-abc' */ ;", "select 1"),
            ("select 1 -- x\n, 2", "select 1 , 2"),
            ("select $$a secret$$, $1", "select '***', $1"),
            (
                "select id from s where t.token in ('a', 'b') and qty > 2",
                "select id from s where t.token in ('***', '***') and qty > 2",
            ),
            (
                "select id from s where k = 'a1b2c3d4e5f6a7b8c9'",
                "select id from s where k = '***'",
            ),
            (
                "select pin from s where \"pin\" = 1234",
                "select pin from s where \"pin\" = ***",
            ),
            ("select 'open", "select 'open"),
            ("'", "'"),
            ("", ""),
            ("$", "$"),
            ("$é$x", "'***'"),
        ] {
            assert_eq!(shown(statement), wanted, "{statement}");
        }
        assert_eq!(shown(&"é".repeat(300)).chars().count(), 161);
    }

    #[test]
    fn what_only_reads() {
        for (statement, wanted) in [
            ("select state from orders where id = 7;", true),
            ("SELECT 'delete' AS x", true),
            ("select 1; select 2", false),
            ("select * into t from s", false),
            ("select * from s for update", false),
            ("select nextval('s')", false),
            ("select pg_terminate_backend(1)", false),
            ("/*! delete from s */ select 1", false),
            (
                "with x as (delete from s returning 1) select * from x",
                false,
            ),
            ("delete from s", false),
            ("", false),
        ] {
            assert_eq!(only_reads(statement), wanted, "{statement}");
        }
    }

    #[test]
    fn places_for_values() {
        for (statement, wanted) in [
            ("select 1", 0),
            ("select '?' from s where a = $2 and b = $1", 2),
            ("select 1 from s where a = ? and b = ?", 2),
            ("select 1 from s where a = %s", 1),
        ] {
            assert_eq!(places(statement), wanted, "{statement}");
        }
    }
}
