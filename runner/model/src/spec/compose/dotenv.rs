//! The grammar of `.env` files and `env_file`s.
//!
//! A statement is `NAME=value` or `NAME: value`, with `export` before it if one likes, or
//! `NAME` alone, which takes the value around the file and is nothing without one. Unquoted
//! values end at the line's end or at ` #`; in single quotes everything stands for itself; in
//! double quotes `\n` and its like and `$` work; quoted values may hold line breaks. Variables
//! in values are looked up around the file first, then in what stands before.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::request::{Setting, ValueSource};
use super::template::{Outcome, Scope, TemplateError, substitute};
use crate::diag::{Problem, ProblemKind};
use crate::source::{SourceFile, Span};

/// Variables by name while they are read.
pub(super) type Vars = BTreeMap<String, Setting>;

/// What is around a file of variables.
pub(super) trait Around {
    /// A variable that wins over those of the file.
    fn value(&self, name: &str) -> Option<Setting>;
    /// Hears of a variable that is unset.
    fn unset(&mut self, name: &str, at: &Span);
}

/// Reads a file's variables into `vars`.
pub(super) fn read(
    file: &Arc<SourceFile>,
    vars: &mut Vars,
    around: &mut dyn Around,
) -> Result<(), Problem> {
    let mut cursor = Cursor {
        file,
        pos: 0,
        line: 1,
        line_start: 0,
    };
    while cursor.next_statement() {
        cursor.skip_export();
        let span = cursor.span();
        match cursor.name()? {
            Name::Alone(name) => {
                if let Some(setting) = around.value(name) {
                    vars.insert(name.to_owned(), setting);
                }
            }
            Name::Assigned(name) => {
                let (text, expand) = cursor.value()?;
                let text = if expand {
                    expanded(&text, vars, around, &span)?
                } else {
                    text
                };
                let source = ValueSource::File {
                    name: file.name.clone(),
                    span,
                };
                vars.insert(name.to_owned(), Setting { text, source });
            }
            Name::Lost => return Ok(()),
        }
    }
    Ok(())
}

/// Reads a file in the `raw` format: each line is a name, `=` and a value that stands for
/// itself.
pub(super) fn read_raw(
    file: &Arc<SourceFile>,
    vars: &mut Vars,
    around: &dyn Around,
) -> Result<(), Problem> {
    for (i, line) in file.text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let span = Span::in_line(file, i as u32 + 1, 1, line.chars().count() as u32);
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line, None),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(Problem::at(
                ProblemKind::Syntax,
                &span,
                format!("`{name}` is not a variable's name"),
            )
            .help("write NAME=value, without spaces around the name"));
        }
        let source = ValueSource::File {
            name: file.name.clone(),
            span,
        };
        match value {
            Some(text) => {
                let text = text.to_owned();
                vars.insert(name.to_owned(), Setting { text, source });
            }
            None => {
                if let Some(setting) = around.value(name) {
                    vars.insert(name.to_owned(), setting);
                }
            }
        }
    }
    Ok(())
}

fn expanded(
    text: &str,
    vars: &Vars,
    around: &mut dyn Around,
    span: &Span,
) -> Result<String, Problem> {
    struct Both<'a> {
        vars: &'a Vars,
        around: &'a mut dyn Around,
        span: &'a Span,
    }
    impl Scope for Both<'_> {
        fn value(&self, name: &str) -> Option<String> {
            let setting = self.around.value(name);
            setting
                .or_else(|| self.vars.get(name).cloned())
                .map(|s| s.text)
        }
        fn note(&mut self, name: &str, outcome: Outcome) {
            if outcome == Outcome::Unset {
                self.around.unset(name, self.span);
            }
        }
    }
    substitute(text, &mut Both { vars, around, span }).map_err(|e| template_problem(e, span))
}

/// The problem of a template at a place.
pub(super) fn template_problem(e: TemplateError, span: &Span) -> Problem {
    match e {
        TemplateError::Invalid { part } => Problem::at(
            ProblemKind::Syntax,
            span,
            format!("invalid variable at `{part}`"),
        )
        .help("write ${NAME}, or $$ for a `$` that stands for itself"),
        TemplateError::Required { name, reason } => {
            let why = if reason.is_empty() {
                String::new()
            } else {
                format!(": {reason}")
            };
            Problem::at(
                ProblemKind::RequiredVariable,
                span,
                format!("the required variable {name} has no value{why}"),
            )
            .about(&name)
            .help(format!(
                "set {name} in an env file, or pass it from the shell"
            ))
        }
        TemplateError::TooDeep => Problem::at(
            ProblemKind::TooLarge,
            span,
            "defaults of variables are nested too deep",
        ),
    }
}

enum Name<'t> {
    /// `NAME=` or `NAME:`
    Assigned(&'t str),
    /// `NAME` and the line's end.
    Alone(&'t str),
    /// A last line that has neither.
    Lost,
}

struct Cursor<'t> {
    file: &'t Arc<SourceFile>,
    pos: usize,
    line: u32,
    line_start: usize,
}

impl<'t> Cursor<'t> {
    fn rest(&self) -> &'t str {
        &self.file.text[self.pos..]
    }

    fn advance(&mut self, bytes: usize) {
        let passed = &self.file.text.as_bytes()[self.pos..self.pos + bytes];
        for (i, b) in passed.iter().enumerate() {
            if *b == b'\n' {
                self.line += 1;
                self.line_start = self.pos + i + 1;
            }
        }
        self.pos += bytes;
    }

    fn span(&self) -> Span {
        let col = self.file.text[self.line_start..self.pos].chars().count();
        let len = self.rest().lines().next().unwrap_or("").chars().count();
        Span::in_line(self.file, self.line, col as u32 + 1, len as u32)
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.advance(rest.len() - rest.trim_start_matches(is_blank).len());
    }

    fn next_statement(&mut self) -> bool {
        loop {
            let rest = self.rest();
            self.advance(rest.len() - rest.trim_start().len());
            if !self.rest().starts_with('#') {
                return !self.rest().is_empty();
            }
            let rest = self.rest();
            self.advance(rest.find('\n').unwrap_or(rest.len()));
        }
    }

    fn skip_export(&mut self) {
        let after = self.rest().strip_prefix("export");
        if after.is_some_and(|r| r.starts_with(['\t', '\n', '\x0c', '\r', ' '])) {
            self.advance("export".len());
            self.skip_blanks();
        }
    }

    fn name(&mut self) -> Result<Name<'t>, Problem> {
        let rest = self.rest();
        for (i, c) in rest.char_indices() {
            match c {
                c if is_blank(c) || c.is_alphanumeric() => {}
                '_' | '.' | '-' | '[' | ']' => {}
                '=' | ':' | '\n' => {
                    let name = rest[..i].trim_end();
                    if name.contains(' ') {
                        return Err(self.bad_name(&format!("the name `{name}` has a space in it")));
                    }
                    self.advance(i + 1);
                    self.skip_blanks();
                    return Ok(if c == '\n' {
                        Name::Alone(name)
                    } else {
                        Name::Assigned(name)
                    });
                }
                c => {
                    let what = format!("`{}` cannot stand in a name", c.escape_debug());
                    return Err(self.bad_name(&what));
                }
            }
        }
        self.advance(rest.len());
        Ok(Name::Lost)
    }

    fn bad_name(&self, what: &str) -> Problem {
        Problem::at(ProblemKind::Syntax, &self.span(), what)
            .help("write NAME=value; quote values that hold line breaks")
    }

    /// The value, and whether variables in it are replaced.
    fn value(&mut self) -> Result<(String, bool), Problem> {
        let rest = self.rest();
        match rest.bytes().next() {
            Some(quote @ (b'"' | b'\'')) => self.quoted(quote),
            _ => {
                let end = rest.find('\n').unwrap_or(rest.len());
                let line = &rest[..end];
                let value = line.split_once(" #").map_or(line, |(v, _)| v).trim_end();
                self.advance((end + 1).min(rest.len()));
                Ok((value.to_owned(), true))
            }
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<(String, bool), Problem> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let mut value = Vec::new();
        let mut escaped = false;
        for (i, b) in bytes.iter().copied().enumerate().skip(1) {
            if b == quote && !escaped {
                // Only whole quotes and backslashes were left out: it is UTF-8 still.
                let text = String::from_utf8_lossy(&value).into_owned();
                self.advance(i + 1);
                return Ok(if quote == b'"' {
                    (unescape(&text), true)
                } else {
                    (text, false)
                });
            }
            if !escaped && b == b'\\' {
                escaped = true;
                continue;
            }
            if escaped && b != quote {
                value.push(b'\\');
            }
            escaped = false;
            value.push(b);
        }
        Err(Problem::at(
            ProblemKind::Syntax,
            &self.span(),
            "this quoted value is never closed",
        )
        .help("close the quotes, or write a backslash before quotes inside"))
    }
}

/// A space that does not end a line.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\x0b' | '\x0c' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

/// The escapes of double quotes: Go's single-letter ones, `\$` (a `$` that stands for
/// itself), and `\0` with three octal digits.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let letter = after.bytes().next();
        let plain = match letter {
            Some(b'a') => "\x07",
            Some(b'b') => "\x08",
            Some(b'f') => "\x0c",
            Some(b'n') => "\n",
            Some(b'r') => "\r",
            Some(b't') => "\t",
            Some(b'v') => "\x0b",
            Some(b'$') => "$$",
            Some(b'"') => "\"",
            Some(b'\\') => "\\",
            Some(b'0') => {
                rest = &after[push_octal(&mut out, after)..];
                continue;
            }
            _ => {
                out.push('\\');
                rest = after;
                continue;
            }
        };
        out.push_str(plain);
        rest = &after[1..];
    }
    out.push_str(rest);
    out
}

/// Reads `0` and up to three digits; returns how many bytes that were.
fn push_octal(out: &mut String, after: &str) -> usize {
    let digits: &str = {
        let end = after[1..]
            .bytes()
            .take(3)
            .take_while(u8::is_ascii_digit)
            .count();
        &after[1..=end]
    };
    let code = u32::from_str_radix(digits, 8).ok();
    match code.and_then(char::from_u32) {
        Some(c) if digits.len() == 3 && (c as u32) < 256 => out.push(c),
        _ => {
            out.push('\\');
            out.push_str(digits);
        }
    }
    1 + digits.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Shell(Vec<String>);

    impl Around for Shell {
        fn value(&self, name: &str) -> Option<Setting> {
            (name == "HOST").then(|| Setting {
                text: "outside".into(),
                source: ValueSource::Shell,
            })
        }
        fn unset(&mut self, name: &str, at: &Span) {
            self.0.push(format!("{name}@{}", at.line));
        }
    }

    fn vars(text: &str) -> Result<Vec<(String, String)>, Problem> {
        let file = SourceFile::new("t.env", text);
        let mut vars = Vars::new();
        read(&file, &mut vars, &mut Shell(vec![]))?;
        Ok(vars.into_iter().map(|(k, v)| (k, v.text)).collect())
    }

    fn one(text: &str) -> String {
        vars(text).unwrap().remove(0).1
    }

    #[test]
    fn values_of_every_kind() {
        for (text, want) in [
            ("A=b", "b"),
            ("export A=b", "b"),
            ("A: b", "b"),
            ("A = b c ", "b c"),
            ("A=b # note", "b"),
            ("A=b#c", "b#c"),
            ("A=#c", "#c"),
            ("A=", ""),
            ("A='$X\\n'", "$X\\n"),
            ("A='it\\'s'", "it's"),
            ("A=\"x\\ty\\\"z\\\\\"", "x\ty\"z\\"),
            ("A=\"\\$X $$Y\"", "$X $Y"),
            ("A=\"\\0101\\08\"", "A\\8"),
            ("A=\"one\ntwo\"", "one\ntwo"),
            ("A=$HOST/${NO:-d}", "outside/d"),
            ("A=a\\nb", "a\\nb"),
            ("A=b\r\n", "b"),
        ] {
            assert_eq!(one(text), want, "{text:?}");
        }
    }

    #[test]
    fn names_alone_inherit_or_vanish() {
        let got = vars("HOST\nGONE\n# note\nB=1\nLAST").unwrap();
        let got: Vec<_> = got.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(got, [("B", "1"), ("HOST", "outside")]);
    }

    #[test]
    fn later_values_see_earlier_ones_but_the_outside_wins() {
        assert_eq!(
            vars("A=1\nB=$A$HOST\nHOST=in\nC=$HOST").unwrap()[1].1,
            "1outside"
        );
        assert_eq!(vars("HOST=in\nC=$HOST").unwrap()[0].1, "outside");
    }

    #[test]
    fn bad_lines_are_named() {
        for (text, line) in [("A=1\nB!=2", 2), ("A B=2", 1), ("\n\nA=\"x", 3)] {
            let p = vars(text).unwrap_err();
            assert_eq!(
                (p.kind, p.span.unwrap().line),
                (ProblemKind::Syntax, line),
                "{text:?}"
            );
        }
    }

    #[test]
    fn raw_files_expand_nothing() {
        let file = SourceFile::new("t.env", "# c\nA='$X' #y\nHOST\nGONE\n");
        let mut vars = Vars::new();
        read_raw(&file, &mut vars, &Shell(vec![])).unwrap();
        assert_eq!(vars["A"].text, "'$X' #y");
        assert_eq!(vars["HOST"].text, "outside");
        assert!(!vars.contains_key("GONE"));
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[\\PC\n\t'\"\\\\$={}:# ]{0,80}") {
            let _ = vars(&text);
        }

        #[test]
        fn single_quotes_keep_everything(text in "[^'\\\\]{0,40}") {
            prop_assert_eq!(one(&format!("A='{text}'")), text);
        }

        #[test]
        fn double_quotes_keep_what_is_escaped(text in "[\\PC\n]{0,40}") {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
            prop_assert_eq!(one(&format!("A=\"{quoted}\"")), text);
        }
    }
}
