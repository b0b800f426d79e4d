//! JSON as the same tree, by JSON's own grammar.
//!
//! YAML's reader refuses some JSON (surrogate pairs in escapes) and takes text that is no JSON
//! (comments, bare words). Specs that are JSON by definition are read here. Files of that kind
//! are often templates with bare `$NAME` or `{{name}}` in the place of values: whoever reads
//! them may give such a placeholder a value, and hears of all that have none.

use std::sync::Arc;

use super::parse::{MAX_DEPTH, MAX_NODES};
use super::{Entry, Mapping, Node, Value};
use crate::diag::{Problem, ProblemKind, Problems};
use crate::source::{SourceFile, Span};

/// Reads a file that holds one JSON value.
///
/// # Errors
/// The first problem: syntax, a duplicate key, too deep or too large.
pub fn parse_one(file: &Arc<SourceFile>) -> Result<Node, Problem> {
    let mut refuse = |text: &str, span: &Span| Err(bare_word(text, span));
    let mut reader = Reader::new(file, &mut refuse);
    let node = reader.whole();
    match reader.refused.into_iter().next() {
        Some(first) => Err(first),
        None => node,
    }
}

/// Reads a file of JSON values one after the other (JSON lines, for one).
///
/// # Errors
/// As [`parse_one`].
pub fn parse_all(file: &Arc<SourceFile>) -> Result<Vec<Node>, Problem> {
    let mut refuse = |text: &str, span: &Span| Err(bare_word(text, span));
    let mut reader = Reader::new(file, &mut refuse);
    let mut nodes = Vec::new();
    loop {
        reader.blank();
        if reader.rest.is_empty() {
            return Ok(nodes);
        }
        nodes.push(reader.value(0)?);
        if let Some(first) = reader.refused.drain(..).next() {
            return Err(first);
        }
    }
}

/// Reads a file that holds one JSON value with placeholders: `placeholder` is asked for the
/// value of each bare text (`$NAME`, `{{name}}`, `<NAME>`) that stands in the place of one.
///
/// # Errors
/// What `placeholder` refuses, all of it; and what refuses the file beside that.
pub fn parse_template(
    file: &Arc<SourceFile>,
    placeholder: &mut dyn FnMut(&str, &Span) -> Result<Node, Problem>,
) -> Result<Node, Problems> {
    let mut reader = Reader::new(file, placeholder);
    let node = reader.whole();
    let mut problems = Problems(reader.refused);
    match node {
        Ok(node) if problems.0.is_empty() => Ok(node),
        Ok(_) => Err(problems),
        Err(p) => {
            problems.push(p);
            Err(problems)
        }
    }
}

fn bare_word(text: &str, span: &Span) -> Problem {
    Problem::at(
        ProblemKind::Syntax,
        span,
        format!("invalid JSON: `{text}` stands where a value is expected"),
    )
}

struct Reader<'f, 'p> {
    file: &'f Arc<SourceFile>,
    rest: &'f str,
    line: u32,
    col: u32,
    nodes: usize,
    placeholder: &'p mut dyn FnMut(&str, &Span) -> Result<Node, Problem>,
    refused: Vec<Problem>,
}

/// A place in the text.
#[derive(Clone, Copy)]
struct Mark {
    line: u32,
    col: u32,
}

impl<'f, 'p> Reader<'f, 'p> {
    fn new(
        file: &'f Arc<SourceFile>,
        placeholder: &'p mut dyn FnMut(&str, &Span) -> Result<Node, Problem>,
    ) -> Self {
        Self {
            file,
            rest: &file.text,
            line: 1,
            col: 1,
            nodes: 0,
            placeholder,
            refused: Vec::new(),
        }
    }

    fn whole(&mut self) -> Result<Node, Problem> {
        let node = self.value(0)?;
        self.blank();
        match self.rest.chars().next() {
            None => Ok(node),
            Some(c) => Err(self.unexpected(c, "the end of the file")),
        }
    }

    fn mark(&self) -> Mark {
        Mark {
            line: self.line,
            col: self.col,
        }
    }

    fn span_from(&self, start: Mark) -> Span {
        Span {
            file: self.file.clone(),
            line: start.line,
            col: start.col,
            end_line: self.line,
            end_col: self.col,
        }
    }

    fn here(&self) -> Span {
        let mut span = self.span_from(self.mark());
        span.end_col += 1;
        span
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.line += 1;
            self.col = 1;
        } else {
            self.col += 1;
        }
        Some(c)
    }

    fn skip(&mut self, text: &str) {
        for _ in text.chars() {
            self.bump();
        }
    }

    fn blank(&mut self) {
        while self.peek().is_some_and(|c| " \t\r\n".contains(c)) {
            self.bump();
        }
    }

    fn fail(&self, what: impl std::fmt::Display) -> Problem {
        Problem::at(
            ProblemKind::Syntax,
            &self.here(),
            format!("invalid JSON: {what}"),
        )
    }

    fn unexpected(&self, found: char, expected: &str) -> Problem {
        let problem = self.fail(format!("expected {expected}, found `{found}`"));
        if self.rest.starts_with("//") || self.rest.starts_with("/*") {
            return problem.help("JSON has no comments: remove it");
        }
        problem
    }

    fn ended(&self, expected: &str) -> Problem {
        self.fail(format!("the text ends where {expected} is expected"))
    }

    fn count(&mut self) -> Result<(), Problem> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Problem::at(
                ProblemKind::TooLarge,
                &self.here(),
                format!("the file has more than {MAX_NODES} values"),
            ));
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Node, Problem> {
        self.blank();
        self.count()?;
        if depth > MAX_DEPTH {
            return Err(Problem::at(
                ProblemKind::TooLarge,
                &self.here(),
                format!("nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        let start = self.mark();
        let value = match self.peek() {
            None => return Err(self.ended("a value")),
            Some('{') if !self.rest.starts_with("{{") => self.object(depth)?,
            Some('[') => self.array(depth)?,
            Some('"') => Value::Str(self.string()?),
            Some('-' | '0'..='9') => self.number()?,
            Some(c) if ",]}:".contains(c) => return Err(self.unexpected(c, "a value")),
            Some(_) => return self.word(start),
        };
        Ok(Node::new(value, self.span_from(start)))
    }

    /// `true`, `false`, `null`, or a placeholder.
    fn word(&mut self, start: Mark) -> Result<Node, Problem> {
        if self.rest.starts_with("//") || self.rest.starts_with("/*") {
            return Err(self.unexpected('/', "a value"));
        }
        let word = bare(self.rest);
        self.skip(word);
        let span = self.span_from(start);
        let value = match word {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            _ => match (self.placeholder)(word, &span) {
                Ok(node) => return Ok(node),
                Err(problem) => {
                    self.refused.push(problem);
                    Value::Null
                }
            },
        };
        Ok(Node::new(value, span))
    }

    fn array(&mut self, depth: usize) -> Result<Value, Problem> {
        self.bump();
        let mut items = Vec::new();
        self.blank();
        if self.peek() == Some(']') {
            self.bump();
            return Ok(Value::Seq(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.after_item(']')? {
                return Ok(Value::Seq(items));
            }
        }
    }

    /// Whether the list or object ends here; false behind a comma.
    fn after_item(&mut self, end: char) -> Result<bool, Problem> {
        self.blank();
        match self.peek() {
            Some(c) if c == end => {
                self.bump();
                Ok(true)
            }
            Some(',') => {
                let comma = self.here();
                self.bump();
                self.blank();
                if self.peek() == Some(end) {
                    return Err(Problem::at(
                        ProblemKind::Syntax,
                        &comma,
                        format!("invalid JSON: a comma stands before `{end}`"),
                    )
                    .help("remove the comma"));
                }
                Ok(false)
            }
            Some(c) => Err(self.unexpected(c, &format!("`,` or `{end}`"))),
            None => Err(self.ended(&format!("`,` or `{end}`"))),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Problem> {
        self.bump();
        let mut map = Mapping::default();
        self.blank();
        if self.peek() == Some('}') {
            self.bump();
            return Ok(Value::Map(map));
        }
        loop {
            self.blank();
            let start = self.mark();
            match self.peek() {
                Some('"') => {}
                Some(c) => return Err(self.unexpected(c, "a key in double quotes")),
                None => return Err(self.ended("a key")),
            }
            let key = self.string()?;
            let span = self.span_from(start);
            self.blank();
            match self.peek() {
                Some(':') => self.bump(),
                Some(c) => return Err(self.unexpected(c, "`:`")),
                None => return Err(self.ended("`:`")),
            };
            let node = self.value(depth + 1)?;
            if let Some(first) = map.0.get(&key) {
                return Err(Problem::at(
                    ProblemKind::DuplicateKey,
                    &span,
                    format!("the key `{key}` stands here twice"),
                )
                .related(&first.key, "it is first set here")
                .help("keep one of the two"));
            }
            let entry = Entry {
                key: span,
                key_is_string: true,
                node,
            };
            map.0.insert(key, entry);
            if self.after_item('}')? {
                return Ok(Value::Map(map));
            }
        }
    }

    fn string(&mut self) -> Result<String, Problem> {
        self.bump();
        let mut text = String::new();
        loop {
            match self.peek() {
                None => return Err(self.ended("the end of a string")),
                Some('"') => {
                    self.bump();
                    return Ok(text);
                }
                Some('\\') => text.push(self.escape()?),
                Some(c) if (c as u32) < 0x20 => {
                    let what =
                        "a string goes over the end of its line or holds a control character";
                    return Err(self
                        .fail(what)
                        .help("write it as `\\n`, `\\t` or `\\u00XX`"));
                }
                Some(c) => {
                    self.bump();
                    text.push(c);
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Problem> {
        let bad = self.fail("this escape is not one of JSON's");
        self.bump();
        Ok(match self.bump() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let high = self.unit(&bad)?;
                let is_high = (0xD800..0xDC00).contains(&high);
                if is_high && self.rest.starts_with("\\u") {
                    self.skip("\\u");
                    let low = self.unit(&bad)?;
                    let low = low.checked_sub(0xDC00).filter(|l| *l < 0x400);
                    let code = low.map(|low| 0x10000 + ((high - 0xD800) << 10) + low);
                    return code.and_then(char::from_u32).ok_or(bad);
                }
                char::from_u32(high).ok_or(bad)?
            }
            _ => return Err(bad),
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self, bad: &Problem) -> Result<u32, Problem> {
        let digits = self
            .rest
            .get(..4)
            .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let digits = digits.ok_or_else(|| bad.clone())?;
        self.skip(digits);
        u32::from_str_radix(digits, 16).map_err(|_| bad.clone())
    }

    fn number(&mut self) -> Result<Value, Problem> {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || "+-._".contains(c)));
        let raw = &self.rest[..end.unwrap_or(self.rest.len())];
        if !is_number(raw) {
            return Err(self.fail(format!("`{raw}` is not a number")));
        }
        self.skip(raw);
        let raw = raw.to_owned();
        if let Ok(value) = raw.parse::<i64>() {
            return Ok(Value::Int { value, raw });
        }
        let value = raw.parse().unwrap_or(f64::NAN);
        Ok(Value::Float { value, raw })
    }
}

/// JSON's grammar of numbers.
fn is_number(text: &str) -> bool {
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((m, e)) => (m, Some(e.strip_prefix(['+', '-']).unwrap_or(e))),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((w, f)) => (w, Some(f)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}

/// The bare text at the beginning, up to its own closing bracket, else to the next blank or
/// sign of JSON.
fn bare(rest: &str) -> &str {
    for (open, close) in [("{{", "}}"), ("${", "}"), ("<", ">"), ("$(", ")")] {
        if rest.starts_with(open)
            && let Some(at) = rest.find(close)
            && !rest[..at].contains(['\n', '"'])
        {
            return &rest[..at + close.len()];
        }
    }
    let end = rest.find(|c: char| c.is_whitespace() || ",:\"[]{}".contains(c));
    match end {
        Some(0) => &rest[..rest.chars().next().map_or(0, char::len_utf8)],
        Some(end) => &rest[..end],
        None => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Node, Problem> {
        parse_one(&SourceFile::new("t.json", text))
    }

    #[test]
    fn values_and_places() {
        let n =
            one("{\r\n\t\"a\": [1, -2.5e3, true, null, \"x\\/\\ud83d\\ude00\\u00e9\"]}\n").unwrap();
        let items = n.get("a").unwrap().as_seq().unwrap();
        assert_eq!(items[0].as_int(), Some(1));
        assert_eq!(items[1].scalar_text().as_deref(), Some("-2.5e3"));
        assert_eq!(items[4].as_str(), Some("x/😀é"));
        assert_eq!(items[4].span.to_string(), "t.json:2:31");
        assert_eq!(n.as_map().unwrap().0["a"].key.text(), "\"a\"");
        assert_eq!(n.get("a").unwrap().span.end_line, 2);
    }

    #[test]
    fn what_is_no_json_is_refused_where_it_stands() {
        for (text, place, word) in [
            ("{\"a\": 1,\n \"a\": 2}", "t.json:2:2", "twice"),
            ("[1,\n]", "t.json:1:3", "comma"),
            ("{\"a\": 1,}", "t.json:1:8", "comma"),
            ("{a: 1}", "t.json:1:2", "double quotes"),
            ("[01]", "t.json:1:2", "number"),
            ("[1.]", "t.json:1:2", "number"),
            ("[NaN]", "t.json:1:2", "NaN"),
            ("\"\\ud83d\"", "t.json:1:2", "escape"),
            ("\"\\ud83d\\u0041\"", "t.json:1:2", "escape"),
            ("\"\\u12\u{e9}\"", "t.json:1:2", "escape"),
            ("\"a\nb\"", "t.json:1:3", "line"),
            ("[1] x", "t.json:1:5", "end of the file"),
            ("[1 // one\n]", "t.json:1:4", "`,` or `]`"),
            ("[", "t.json:1:2", "ends"),
            ("", "t.json:1:1", "ends"),
            ("{\"a\"", "t.json:1:5", "ends"),
            ("[}", "t.json:1:2", "a value"),
        ] {
            let p = one(text).expect_err(text);
            assert_eq!(p.span.as_ref().unwrap().to_string(), place, "{text}: {p}");
            assert!(p.message.contains(word), "{text}: {p}");
        }
        let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
        assert_eq!(one(&deep).unwrap_err().kind, ProblemKind::TooLarge);
    }

    #[test]
    fn placeholders_get_values_or_are_all_named() {
        let file = SourceFile::new(
            "t.json",
            "{\"a\": $NAME, \"b\": [{{ x.y }}, <IMG>, ${Z}], \"c\": true}",
        );
        let mut seen = Vec::new();
        let node = parse_template(&file, &mut |text, span| {
            seen.push((text.to_owned(), span.to_string()));
            Ok(Node::str(text, span.clone()))
        });
        assert_eq!(
            node.unwrap().to_json(),
            serde_json::json!({"a": "$NAME", "b": ["{{ x.y }}", "<IMG>", "${Z}"], "c": true})
        );
        assert_eq!(seen[0].1, "t.json:1:7");
        let refused = parse_template(&file, &mut |text, span| Err(bare_word(text, span)));
        assert_eq!(refused.unwrap_err().0.len(), 4);
    }

    #[test]
    fn several_values_in_one_file() {
        let file = SourceFile::new("t.json", "{\"a\": 1}\n{\"a\": 2}\n");
        assert_eq!(parse_all(&file).unwrap().len(), 2);
        assert!(parse_all(&SourceFile::new("t.json", "{} x")).is_err());
    }

    #[test]
    fn any_text_is_read_or_refused() {
        let text = "{\"a\": [1, {\"é\": \"\\u00e9\\ud83d\\ude00\"}, null], \"b\": -1e5, $x}";
        let ends = text.char_indices().map(|(i, _)| i);
        for end in ends {
            let _ = one(&text[..end]);
            for extra in ["\\", "\"", "{", "}", "é", "$", "{{", "<"] {
                let _ = one(&format!("{}{extra}{}", &text[..end], &text[end..]));
            }
        }
    }
}
