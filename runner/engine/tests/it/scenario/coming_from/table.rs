//! The tables of a page, and how a row becomes a scenario and responses.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// A row with four columns.
#[derive(Debug, Clone)]
pub struct Row {
    pub number: usize,
    /// The first column as it is written.
    pub theirs: String,
    /// The pieces of code in it.
    pub their_code: Vec<String>,
    pub our_code: Vec<String>,
    pub holds: Answer,
    pub fails: Answer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Holds,
    Fails,
}

impl Side {
    pub fn name(self) -> &'static str {
        match self {
            Side::Holds => "holds",
            Side::Fails => "fails",
        }
    }
}

/// A response, as a cell tells it.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub status: Option<u16>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub after: Duration,
    /// The first responses have this status.
    pub first: Option<(u32, u16)>,
    /// The request, as JSON.
    pub echo: bool,
    /// Over TLS, by the server of this name.
    pub tls: Option<String>,
}

pub fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// A file beside the tests.
pub fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/scenario/coming_from")
        .join(name)
}

/// The rows of all tables with so many columns.
pub fn cells(page: &str, columns: usize) -> Vec<Vec<String>> {
    page.lines()
        .filter(|l| l.starts_with("| ") && l.ends_with(" |"))
        .map(split)
        .filter(|c| c.len() == columns && c.iter().any(|c| c.contains('`')))
        .collect()
}

fn split(line: &str) -> Vec<String> {
    let inner = &line[1..line.len() - 1];
    let mut cells = vec![String::new()];
    let mut rest = inner.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.peek() == Some(&'|') => {
                rest.next();
                cells.last_mut().unwrap().push('|');
            }
            '|' => cells.push(String::new()),
            other => cells.last_mut().unwrap().push(other),
        }
    }
    cells.into_iter().map(|c| c.trim().to_owned()).collect()
}

/// The pieces of code in a cell.
fn code(cell: &str) -> Vec<String> {
    let parts: Vec<&str> = cell.split('`').collect();
    assert!(parts.len() % 2 == 1 && parts.len() > 1, "no code: {cell}");
    parts
        .iter()
        .skip(1)
        .step_by(2)
        .map(|s| (*s).to_owned())
        .collect()
}

pub fn rows(page: &str) -> Vec<Row> {
    cells(page, 4)
        .into_iter()
        .enumerate()
        .map(|(number, c)| Row {
            number,
            theirs: c[0].clone(),
            their_code: code(&c[0]),
            our_code: code(&c[1]),
            holds: Answer::read(&code(&c[2])),
            fails: Answer::read(&code(&c[3])),
        })
        .collect()
}

impl Answer {
    fn read(pieces: &[String]) -> Self {
        let mut a = Self::default();
        for piece in pieces {
            let header = piece.split_once(": ").filter(|(name, _)| {
                name.starts_with(|c: char| c.is_ascii_uppercase())
                    && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                    && name.contains(['-', 'o'])
            });
            if let Some(status) = piece.strip_prefix("HTTP ") {
                a.status = Some(status.parse().unwrap());
            } else if let Some(status) = piece.strip_prefix("twice HTTP ") {
                a.first = Some((2, status.parse().unwrap()));
            } else if let Some(time) = piece.strip_prefix("after ") {
                a.after = humantime::parse_duration(time).unwrap();
            } else if let Some(digits) = piece.strip_prefix("bytes ") {
                a.body = (0..digits.len() / 2)
                    .map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap())
                    .collect();
            } else if let Some(name) = piece.strip_prefix("TLS ") {
                a.tls = Some(name.to_owned());
            } else if piece == "echo" {
                a.echo = true;
            } else if let Some((name, value)) = header {
                a.headers.push((name.to_owned(), value.to_owned()));
            } else {
                assert!(a.body.is_empty(), "two bodies: {pieces:?}");
                a.body = piece.clone().into_bytes();
            }
        }
        a
    }

    /// The type of the body, by how it begins.
    pub fn kind(&self) -> &'static str {
        match self.body.as_slice() {
            [b'{' | b'[', ..] => "application/json",
            b if b.starts_with(b"<html") => "text/html; charset=utf-8",
            b if b.starts_with(b"<?xml") => "application/xml",
            b if std::str::from_utf8(b).is_ok() => "text/plain",
            _ => "application/octet-stream",
        }
    }
}

impl Row {
    pub fn answer(&self, side: Side) -> &Answer {
        match side {
            Side::Holds => &self.holds,
            Side::Fails => &self.fails,
        }
    }

    /// The path at which a tool finds the response.
    pub fn path(&self, side: Side, tool: &str) -> String {
        format!("/{}/{}/{tool}", self.number, side.name())
    }

    /// The row's step as a scenario.
    pub fn scenario(&self, side: Side) -> String {
        let base = match &self.answer(side).tls {
            Some(name) => format!("https://{name}"),
            None => "http://site".to_owned(),
        };
        let mut http = format!("url: \"{base}{}\"", self.path(side, "ours"));
        if self.answer(side).tls.is_some() {
            http += ", verify: false";
        }
        let (mut keys, mut expect) = (String::new(), String::new());
        for piece in &self.our_code {
            if let Some(args) = piece.strip_prefix("http: {") {
                http += &format!(", {}", args.trim_end().strip_suffix('}').unwrap());
            } else if piece.starts_with("capture: ") || piece.starts_with("eventually: ") {
                keys += &format!("    {piece}\n");
            } else {
                expect += &format!("      - {piece}\n");
            }
        }
        if !expect.is_empty() {
            expect = format!("    expect:\n{expect}");
        }
        format!("scenario: it\nsteps:\n  - http: {{ {http} }}\n{keys}{expect}")
    }
}
