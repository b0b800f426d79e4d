//! A text of several statements, taken apart as the clients of each engine do it.

use super::Engine;

/// One statement of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub text: String,
    /// The line on which it begins, from 1.
    pub line: usize,
}

/// What a text holds that is for a client and not for a server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotSql {
    pub line: usize,
    pub what: String,
    pub help: &'static str,
}

/// Takes a text apart at the semicolons that end statements: not at those in quotes, in
/// comments, or in bodies between `$$`. `DELIMITER` of MySQL's client is honoured.
pub(super) fn split(text: &str, engine: Engine) -> Result<Vec<Piece>, NotSql> {
    let mut s = Splitter {
        text,
        engine,
        at: 0,
        delimiter: ";".to_owned(),
        real: None,
        counted: (0, 1),
        pieces: Vec::new(),
    };
    while s.at < text.len() {
        s.step()?;
    }
    s.end(text.len(), 0);
    Ok(s.pieces)
}

struct Splitter<'t> {
    text: &'t str,
    engine: Engine,
    at: usize,
    delimiter: String,
    /// Where its first word begins, when there is one yet.
    real: Option<usize>,
    /// A place and its line, so that lines are counted once.
    counted: (usize, usize),
    pieces: Vec<Piece>,
}

impl Splitter<'_> {
    fn step(&mut self) -> Result<(), NotSql> {
        let rest = &self.text[self.at..];
        let first = rest.chars().next().unwrap_or(' ');
        if first.is_whitespace() {
            self.at += first.len_utf8();
            return Ok(());
        }
        if self.real.is_none() && self.client_command(rest)? {
            return Ok(());
        }
        if rest.starts_with(&self.delimiter) {
            self.end(self.at, self.delimiter.len());
            return Ok(());
        }
        let mysql = self.engine == Engine::MySql;
        let length = match first {
            '-' if rest.starts_with("--") && (!mysql || dashes_are_a_comment(rest)) => line(rest),
            '#' if mysql => line(rest),
            '/' if rest.starts_with("/*") => {
                // MySQL runs what stands in `/*! … */`.
                if mysql && (rest.starts_with("/*!") || rest.starts_with("/*M!")) {
                    self.real.get_or_insert(self.at);
                }
                comment(rest, self.engine == Engine::Postgres)
            }
            _ => {
                self.real.get_or_insert(self.at);
                self.word(rest, first)
            }
        };
        self.at += length;
        Ok(())
    }

    /// How long the quoted text, word or sign is that begins here.
    fn word(&self, rest: &str, first: char) -> usize {
        let postgres = self.engine == Engine::Postgres;
        match first {
            '\'' => {
                let before = self.text[..self.at]
                    .chars()
                    .rev()
                    .take(2)
                    .collect::<Vec<_>>();
                // `E'…'` of PostgreSQL, unless the `E` is the end of a word.
                let escapes = matches!(before.first(), Some('e' | 'E'))
                    && !before.get(1).is_some_and(|c| is_name(*c));
                quoted(
                    rest,
                    '\'',
                    self.engine == Engine::MySql || postgres && escapes,
                )
            }
            '"' => quoted(rest, '"', self.engine == Engine::MySql),
            '`' if !postgres => quoted(rest, '`', false),
            '$' if postgres => dollars(rest).unwrap_or(1),
            c if is_name(c) => rest.find(|c| !is_name(c) && c != '$').unwrap_or(rest.len()),
            c => c.len_utf8(),
        }
    }

    /// Commands of `psql` and `mysql`, which no server knows.
    fn client_command(&mut self, rest: &str) -> Result<bool, NotSql> {
        let words = rest[..line(rest)].trim();
        let first = words.split_whitespace().next().unwrap_or_default();
        let line_number = self.line(self.at);
        let refuse = |help| {
            Err(NotSql {
                line: line_number,
                what: words.chars().take(60).collect(),
                help,
            })
        };
        match self.engine {
            Engine::Postgres if first.starts_with('\\') => {
                refuse("it is a command of `psql`, and no statement; leave it out")
            }
            Engine::Postgres if first.eq_ignore_ascii_case("copy") && from_stdin(rest) => {
                refuse("its rows are no statements; write them as `insert` (`pg_dump --inserts`)")
            }
            Engine::MySql if first.eq_ignore_ascii_case("delimiter") => {
                match words.split_whitespace().nth(1) {
                    Some(d) => self.delimiter = d.to_owned(),
                    None => return refuse("`delimiter` is followed by the new delimiter"),
                }
                self.at += line(rest);
                Ok(true)
            }
            Engine::MySql if first.eq_ignore_ascii_case("source") || first.starts_with("\\.") => {
                refuse("it is a command of `mysql`, and no statement; write the statements here")
            }
            _ => Ok(false),
        }
    }

    fn end(&mut self, at: usize, delimiter: usize) {
        if let Some(real) = self.real.take() {
            let line = self.line(real);
            let text = self.text[real..at].trim_end().to_owned();
            self.pieces.push(Piece { text, line });
        }
        self.at = at + delimiter;
    }

    fn line(&mut self, at: usize) -> usize {
        let (from, line) = self.counted;
        self.counted = (at, line + self.text[from..at].matches('\n').count());
        self.counted.1
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// To the end of the line, the line break included.
fn line(rest: &str) -> usize {
    rest.find('\n').map_or(rest.len(), |n| n + 1)
}

/// MySQL takes `--` for a comment only before a blank: `5--3` is 8.
fn dashes_are_a_comment(rest: &str) -> bool {
    rest[2..].chars().next().is_none_or(char::is_whitespace)
}

fn comment(rest: &str, nests: bool) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") && (nests || depth == 0) {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted(rest: &str, quote: char, escapes: bool) -> usize {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((i, c)) = chars.next() {
        if c == '\\' && escapes {
            chars.next();
        } else if c == quote {
            match chars.peek() {
                Some((_, next)) if *next == quote => {
                    chars.next();
                }
                _ => return i + c.len_utf8(),
            }
        }
    }
    rest.len()
}

/// `$$ … $$` or `$name$ … $name$`.
fn dollars(rest: &str) -> Option<usize> {
    let end = rest[1..].find('$')? + 2;
    let tag = &rest[..end];
    let name = &tag[1..end - 1];
    if !name.chars().all(is_name) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some(
        rest[end..]
            .find(tag)
            .map_or(rest.len(), |n| end + n + tag.len()),
    )
}

fn from_stdin(rest: &str) -> bool {
    let statement = &rest[..rest.find(';').unwrap_or(rest.len())];
    statement
        .to_ascii_lowercase()
        .split_whitespace()
        .any(|w| w == "stdin")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str, engine: Engine) -> Vec<String> {
        let pieces = split(text, engine).unwrap();
        pieces.into_iter().map(|p| p.text).collect()
    }

    #[test]
    fn semicolons_in_quotes_comments_and_bodies_end_nothing() {
        use Engine::{MySql, Postgres, Sqlite};
        for (engine, text, wanted) in [
            (
                Postgres,
                "select 1; select 2",
                &["select 1", "select 2"][..],
            ),
            (Postgres, " ;; -- nothing; at all\n/* ; /* ; */ ; */", &[]),
            (
                Postgres,
                "select ';' , 'it''s;'; select \"a;b\"",
                &["select ';' , 'it''s;'", "select \"a;b\""],
            ),
            (
                Postgres,
                r"select 'a\'; select 2",
                &[r"select 'a\'", "select 2"],
            ),
            (
                Postgres,
                r"select e'a\';'; select 2",
                &[r"select e'a\';'", "select 2"],
            ),
            (
                Postgres,
                "do $$ begin; end $$; select 1",
                &["do $$ begin; end $$", "select 1"],
            ),
            (
                Postgres,
                "do $a$ ; $$ ; $a$; select $1",
                &["do $a$ ; $$ ; $a$", "select $1"],
            ),
            (Postgres, "select a$b;c", &["select a$b", "c"]),
            (Postgres, "select '\u{e9};", &["select '\u{e9};"]),
            (
                MySql,
                r#"select 'a\';', "b\";"; select `c;`"#,
                &[r#"select 'a\';', "b\";""#, "select `c;`"],
            ),
            (
                MySql,
                "select 5--3; # a ; b\nselect 2 -- c;\n;",
                &["select 5--3", "select 2 -- c;"],
            ),
            (
                MySql,
                "/*!40101 SET NAMES utf8 */;\n/* no; */;",
                &["/*!40101 SET NAMES utf8 */"],
            ),
            (
                MySql,
                "DELIMITER //\ncreate trigger t begin x; y; end//\ndelimiter ;\nselect 1;",
                &["create trigger t begin x; y; end", "select 1"],
            ),
            (
                Sqlite,
                "select [a], `b;` from t; -- x\nselect 2",
                &["select [a], `b;` from t", "select 2"],
            ),
        ] {
            assert_eq!(texts(text, engine), wanted, "{text}");
        }
    }

    #[test]
    fn lines_are_those_of_the_first_word() {
        let pieces = split("-- a\n\nselect 1;\n/* b\n*/ select\n2", Engine::Postgres).unwrap();
        let lines: Vec<usize> = pieces.iter().map(|p| p.line).collect();
        assert_eq!(lines, [3, 5]);
        assert_eq!(pieces[1].text, "select\n2");
    }

    #[test]
    fn commands_of_clients_are_told() {
        for (engine, text, line, what) in [
            (
                Engine::Postgres,
                "select 1;\n\\connect shop",
                2,
                "\\connect shop",
            ),
            (
                Engine::Postgres,
                "\ncopy a (b) from stdin;\n1\n\\.\n",
                2,
                "copy a (b) from stdin;",
            ),
            (Engine::MySql, "source b.sql", 1, "source b.sql"),
        ] {
            let e = split(text, engine).unwrap_err();
            assert_eq!((e.line, e.what.as_str()), (line, what));
        }
        assert_eq!(texts("copy a to '/tmp/x'", Engine::Postgres).len(), 1);
    }
}
