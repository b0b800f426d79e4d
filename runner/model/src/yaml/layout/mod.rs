//! YAML as it is written: every comment, blank line, quote and anchor, for formatting.
//!
//! The events of libyaml say what is where; the text between them is read again for what they
//! leave out. What is too unusual to be written anew is refused with its place, never guessed.

mod read;
mod write;

use std::fmt;

pub use read::read;
pub use write::write;

/// A file.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Its documents.
    pub documents: Vec<Document>,
    /// Whether the text ends without a line break (a block scalar at the end means less then).
    pub open_end: bool,
}

/// A document.
#[derive(Debug, Clone)]
pub struct Document {
    /// Whether it begins with `---`.
    pub explicit: bool,
    /// Comments before `---`.
    pub before: Vec<Line>,
    /// A comment behind `---`.
    pub beside: Option<Beside>,
    /// Its value.
    pub root: Part,
    /// Comments after the value.
    pub after: Vec<Line>,
}

/// A comment in a line of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Whether a blank line stands before it.
    pub blank: bool,
    /// Its text, with `#`.
    pub text: String,
    column: usize,
}

/// A comment behind something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beside {
    /// Blanks before it.
    pub gap: usize,
    /// Its text, with `#`.
    pub text: String,
}

/// A value as it is written.
#[derive(Debug, Clone)]
pub struct Part {
    /// Anchor and tag: `&a !tag`.
    pub props: String,
    /// The value.
    pub body: Body,
    /// The byte at which it begins.
    pub at: usize,
    /// The line at which it begins, from 1.
    pub line: usize,
}

/// What a value is.
#[derive(Debug, Clone)]
pub enum Body {
    /// Nothing is written.
    Empty,
    /// `*name`
    Alias(String),
    /// Plain or in quotes, as written.
    Scalar(String),
    /// `|` or `>`: its first line, and its lines without their indentation.
    Block {
        /// `|`, `>-`, `|2+ # comment`.
        head: String,
        /// The lines; those at the end only where they count.
        lines: Vec<String>,
        /// The indentation that the first line says.
        digit: Option<usize>,
    },
    /// A list.
    Seq(Items),
    /// A mapping.
    Map(Items),
    /// `key: value` without braces in a list in brackets.
    Pair(Box<Item>),
}

/// The items of a list or the entries of a mapping.
#[derive(Debug, Clone)]
pub struct Items {
    /// In brackets or braces.
    pub flow: bool,
    /// Whether it is in brackets that span lines between its items.
    pub broken: bool,
    /// In order.
    pub all: Vec<Item>,
    /// Comments after the last.
    pub tail: Vec<Line>,
}

/// An item of a list, or an entry of a mapping.
#[derive(Debug, Clone)]
pub struct Item {
    /// Comments before it.
    pub lead: Vec<Line>,
    /// Whether a blank line stands right before it.
    pub blank: bool,
    /// The key of an entry.
    pub key: Option<Part>,
    /// A comment behind `:`, when the value begins in a later line.
    pub beside_key: Option<Beside>,
    /// The value.
    pub value: Part,
    /// A comment behind the value.
    pub beside: Option<Beside>,
}

impl Item {
    /// The text of the key, when it is a simple one.
    pub fn name(&self) -> &str {
        match self.key.as_ref().map(|k| &k.body) {
            Some(Body::Scalar(raw)) => raw.trim_matches(['"', '\'']),
            _ => "",
        }
    }
}

/// Why a text cannot be written anew: something unusual, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusual {
    /// What it is.
    pub what: String,
    /// The byte at which it stands.
    pub at: usize,
}

impl fmt::Display for Unusual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// All comments of a layout, in order.
pub fn comments(layout: &Layout) -> Vec<String> {
    let mut all = Vec::new();
    for d in &layout.documents {
        lines(&d.before, &mut all);
        beside(&d.beside, &mut all);
        of_part(&d.root, &mut all);
        lines(&d.after, &mut all);
    }
    all
}

fn lines(from: &[Line], to: &mut Vec<String>) {
    to.extend(from.iter().map(|l| l.text.clone()));
}

fn beside(from: &Option<Beside>, to: &mut Vec<String>) {
    to.extend(from.iter().map(|b| b.text.clone()));
}

fn of_part(part: &Part, to: &mut Vec<String>) {
    match &part.body {
        Body::Seq(items) | Body::Map(items) => {
            items.all.iter().for_each(|i| of_item(i, to));
            lines(&items.tail, to);
        }
        Body::Pair(item) => of_item(item, to),
        Body::Block { head, .. } => to.extend(head.find('#').map(|i| head[i..].to_owned())),
        _ => {}
    }
}

fn of_item(item: &Item, to: &mut Vec<String>) {
    lines(&item.lead, to);
    beside(&item.beside_key, to);
    of_part(&item.value, to);
    beside(&item.beside, to);
}
