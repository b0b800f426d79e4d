//! Text to layout.

mod flow;

use super::{Beside, Body, Document, Item, Items, Layout, Line, Part, Unusual};
use crate::yaml::libyaml::{Event, Events, Mark};

type Read<T> = Result<T, Unusual>;

/// Reads a text whose YAML is known to be valid; lines end in `\n` only.
///
/// # Errors
/// Something that is too unusual to be written anew.
pub fn read(text: &str) -> Read<Layout> {
    if let Some(at) = text.find(['\r', '\u{85}', '\u{2028}', '\u{2029}', '\u{feff}']) {
        return Err(unusual("an unusual line break or byte order mark", at));
    }
    let lines: Vec<usize> = std::iter::once(0)
        .chain(text.match_indices('\n').map(|(i, _)| i + 1))
        .collect();
    let mut reader = Reader {
        text,
        lines,
        events: Vec::new(),
        next: 0,
        at: 0,
        pending: Vec::new(),
        blank: false,
        nested: Vec::new(),
    };
    reader.collect()?;
    reader.layout()
}

fn unusual(what: impl Into<String>, at: usize) -> Unusual {
    Unusual {
        what: what.into(),
        at,
    }
}

struct Reader<'t> {
    text: &'t str,
    /// Where each line begins.
    lines: Vec<usize>,
    events: Vec<(Event, usize, usize)>,
    next: usize,
    /// Bytes that were read.
    at: usize,
    /// Comments that belong to nothing yet.
    pending: Vec<Line>,
    /// Whether a blank line stands behind the last of them.
    blank: bool,
    /// Columns of the block collections that are open.
    nested: Vec<usize>,
}

impl Reader<'_> {
    fn collect(&mut self) -> Read<()> {
        let mut events = Events::new(self.text);
        loop {
            let (event, start, end) = events.next().map_err(|e| unusual(e.what, 0))?;
            if event == Event::StreamEnd {
                return Ok(());
            }
            let place = (self.byte(start), self.byte(end));
            self.events.push((event, place.0, place.1));
        }
    }

    fn byte(&self, mark: Mark) -> usize {
        let Some(from) = self.lines.get(mark.line as usize) else {
            return self.text.len();
        };
        let rest = &self.text[*from..];
        let within = rest.char_indices().nth(mark.column as usize);
        within.map_or(self.text.len(), |(i, _)| from + i)
    }

    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|l| *l <= at)
    }

    fn column(&self, at: usize) -> usize {
        let from = self.lines[self.line(at) - 1];
        self.text[from..at].chars().count()
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    /// Whether a character of syntax stands here, alone.
    fn sees(&self, c: char) -> bool {
        let mut chars = self.rest().chars();
        chars.next() == Some(c) && chars.next().is_none_or(|c| c.is_ascii_whitespace())
    }

    fn at_marker(&self, marker: &str) -> bool {
        let behind = self.rest().strip_prefix(marker);
        behind.is_some_and(|b| b.is_empty() || b.starts_with([' ', '\t', '\n']))
            && self.column(self.at) == 0
    }

    /// Passes blanks, line breaks and comments, and keeps the comments.
    fn pass(&mut self) {
        let mut breaks = 0;
        while let Some(c) = self.rest().chars().next() {
            match c {
                '\n' => breaks += 1,
                ' ' | '\t' => {}
                '#' => {
                    let end = self.rest().find('\n').unwrap_or(self.rest().len());
                    let comment = Line {
                        blank: breaks > 1 || self.blank,
                        text: self.rest()[..end].trim_end().to_owned(),
                        column: self.column(self.at),
                    };
                    self.pending.push(comment);
                    self.blank = false;
                    self.at += end;
                    breaks = 0;
                    continue;
                }
                _ => break,
            }
            self.at += c.len_utf8();
        }
        self.blank |= breaks > 1;
    }

    /// A comment in what is left of this line.
    fn beside(&mut self) -> Option<Beside> {
        let rest = self.rest();
        let gap = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        if gap == 0 || !rest[gap..].starts_with('#') {
            return None;
        }
        let end = rest.find('\n').unwrap_or(rest.len());
        let text = rest[gap..end].trim_end().to_owned();
        self.at += end;
        Some(Beside { gap, text })
    }

    fn peek(&self) -> &Event {
        match self.events.get(self.next) {
            Some((event, ..)) => event,
            None => &Event::StreamEnd,
        }
    }

    fn take_lead(&mut self) -> (Vec<Line>, bool) {
        (
            std::mem::take(&mut self.pending),
            std::mem::take(&mut self.blank),
        )
    }

    fn layout(&mut self) -> Read<Layout> {
        let mut documents = Vec::new();
        while *self.peek() != Event::StreamEnd {
            if *self.peek() != Event::DocumentStart {
                self.next += 1;
                continue;
            }
            self.next += 1;
            documents.push(self.document()?);
        }
        self.pass();
        if self.at < self.text.len() {
            return Err(unusual("text that belongs to no document", self.at));
        }
        let left = self.take_lead().0;
        match documents.last_mut() {
            Some(last) => last.after.extend(left),
            None if left.is_empty() => {}
            None => return Err(unusual("a file of nothing but comments", 0)),
        }
        Ok(Layout {
            documents,
            open_end: !self.text.is_empty() && !self.text.ends_with('\n'),
        })
    }

    fn document(&mut self) -> Read<Document> {
        self.pass();
        if self.rest().starts_with('%') && self.column(self.at) == 0 {
            return Err(unusual("a directive of YAML", self.at));
        }
        let explicit = self.at_marker("---");
        let (mut before, mut beside) = (Vec::new(), None);
        if explicit {
            before = self.take_lead().0;
            self.at += 3;
            beside = self.beside();
        }
        let root = self.part(false)?;
        self.pass();
        if self.at_marker("...") {
            return Err(unusual("the end of a document, `...`", self.at));
        }
        let is_block = |items: &Items| !items.flow;
        let block = matches!(&root.body, Body::Seq(i) | Body::Map(i) if is_block(i));
        // What stands before the next `---` is asked for there.
        let after = match block || matches!(root.body, Body::Empty) {
            true => Vec::new(),
            false => self.take_lead().0,
        };
        Ok(Document {
            explicit,
            before,
            beside,
            root,
            after,
        })
    }

    /// A value. In brackets, `flow`.
    fn part(&mut self, flow: bool) -> Read<Part> {
        let Some((event, start, end)) = self.events.get(self.next) else {
            return Err(unusual("the end", self.at));
        };
        let (start, end) = (*start, *end);
        let has_props = match event {
            Event::Scalar { anchor, tag, .. }
            | Event::SequenceStart { anchor, tag }
            | Event::MappingStart { anchor, tag } => anchor.is_some() || tag.is_some(),
            _ => false,
        };
        let is_scalar = matches!(event, Event::Scalar { .. });
        let mut part = Part {
            props: String::new(),
            body: Body::Empty,
            at: self.at,
            line: self.line(self.at),
        };
        if is_scalar && start == end {
            self.next += 1;
            return Ok(part);
        }
        self.pass();
        (part.at, part.line) = (self.at, self.line(self.at));
        if has_props {
            part.props = self.props();
            if is_scalar && self.at >= end {
                self.next += 1;
                return Ok(part);
            }
            if let Some(beside) = self.beside() {
                let column = self.column(self.at);
                self.pending.push(Line {
                    blank: false,
                    text: beside.text,
                    column,
                });
            }
            self.pass();
        }
        let (event, ..) = &self.events[self.next];
        self.next += 1;
        part.body = match event {
            Event::Alias(name) => {
                let name = name.clone();
                self.expect('*')?;
                self.at += name.len();
                Body::Alias(name)
            }
            Event::Scalar { .. } => self.scalar(end)?,
            Event::SequenceStart { .. } if self.rest().starts_with('[') => {
                self.in_brackets(']', false)?
            }
            Event::SequenceStart { .. } => self.block_seq()?,
            Event::MappingStart { .. } if self.rest().starts_with('{') => {
                self.in_brackets('}', true)?
            }
            Event::MappingStart { .. } if flow => {
                let item = self.flow_entry()?;
                if *self.peek() != Event::MappingEnd {
                    return Err(unusual("a mapping without braces", self.at));
                }
                self.next += 1;
                Body::Pair(Box::new(item))
            }
            Event::MappingStart { .. } => self.block_map()?,
            _ => return Err(unusual("something that is no value", self.at)),
        };
        Ok(part)
    }

    /// `&anchor !tag`, in any order.
    fn props(&mut self) -> String {
        let mut words: Vec<String> = Vec::new();
        while self.rest().starts_with(['&', '!']) {
            let rest = self.rest();
            let end = rest.find([' ', '\t', '\n', ',', ']', '}']);
            let word = rest[..end.unwrap_or(rest.len())].to_owned();
            self.at += word.len();
            words.push(word);
            let rest = self.rest();
            let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            if rest[blanks..].starts_with(['&', '!']) {
                self.at += blanks;
            }
        }
        words.join(" ")
    }

    fn expect(&mut self, c: char) -> Read<()> {
        if !self.rest().starts_with(c) {
            return Err(unusual(
                format!("something where `{c}` is expected"),
                self.at,
            ));
        }
        self.at += c.len_utf8();
        Ok(())
    }

    fn scalar(&mut self, end: usize) -> Read<Body> {
        let is_block = self.rest().starts_with(['|', '>']);
        let Some(raw) = self.text.get(self.at..end) else {
            return Err(unusual("a value whose place is unclear", self.at));
        };
        if !is_block {
            let raw = raw.trim_end_matches([' ', '\t', '\n']).to_owned();
            self.at += raw.len();
            return Ok(Body::Scalar(raw));
        }
        let head = raw.lines().next().unwrap_or("").trim_end().to_owned();
        let indicators = head.split_whitespace().next().unwrap_or("").to_owned();
        let keeps = indicators.contains('+');
        let digit = indicators.chars().find_map(|c| c.to_digit(10));
        let digit = digit.map(|d| d as usize);
        let mut lines: Vec<&str> = raw.split('\n').skip(1).collect();
        // Behind the last line break there is nothing yet.
        if raw.ends_with('\n') {
            lines.pop();
        }
        let blank = |l: &str| l.trim_matches(' ').is_empty();
        let indent = match digit {
            Some(d) => d + self.nested.last().copied().unwrap_or(0),
            None => {
                let first = lines.iter().find(|l| !blank(l));
                first.map_or(0, |l| l.len() - l.trim_start_matches(' ').len())
            }
        };
        let mut lines: Vec<String> = lines
            .into_iter()
            .map(|l| l.get(indent..).unwrap_or("").to_owned())
            .collect();
        if keeps {
            self.at = end;
        } else {
            let counts = lines.iter().rposition(|l| !l.is_empty());
            lines.truncate(counts.map_or(0, |i| i + 1));
            self.at += raw.trim_end_matches([' ', '\n']).len().max(head.len());
            // Blanks at the end of the last line belong to the value.
            let line_end = self.rest().find('\n').unwrap_or(self.rest().len());
            if self.rest()[..line_end].trim_matches(' ').is_empty() {
                self.at += line_end;
            }
        }
        Ok(Body::Block { head, lines, digit })
    }

    /// Comments that stand deeper than what follows a block belong to the block's end.
    fn tail(&mut self, column: usize) -> Vec<Line> {
        self.pass();
        let over = self.at >= self.text.len() || self.at_marker("---") || self.at_marker("...");
        let next = (!over).then(|| self.column(self.at));
        let own = |l: &Line| l.column >= column && next.is_none_or(|n| l.column > n);
        let count = self.pending.iter().take_while(|l| own(l)).count();
        self.pending.drain(..count).collect()
    }

    fn block_seq(&mut self) -> Read<Body> {
        let column = self.column(self.at);
        self.nested.push(column);
        let mut all = Vec::new();
        while *self.peek() != Event::SequenceEnd {
            self.pass();
            let (mut lead, mut blank) = self.take_lead();
            if !self.sees('-') {
                return Err(unusual("something where `-` is expected", self.at));
            }
            self.at += 1;
            if let Some(beside) = self.beside() {
                lead.push(Line {
                    blank,
                    text: beside.text,
                    column,
                });
                blank = false;
            }
            let mut item = Item {
                lead,
                blank,
                key: None,
                beside_key: None,
                value: self.part(false)?,
                beside: None,
            };
            self.finish(&mut item);
            all.push(item);
        }
        self.next += 1;
        let tail = self.tail(column);
        self.nested.pop();
        Ok(Body::Seq(Items {
            flow: false,
            broken: false,
            all,
            tail,
        }))
    }

    fn block_map(&mut self) -> Read<Body> {
        let column = self.column(self.at);
        self.nested.push(column);
        let mut all = Vec::new();
        while *self.peek() != Event::MappingEnd {
            self.pass();
            let (lead, blank) = self.take_lead();
            if self.sees('?') {
                return Err(unusual("a key with `?`", self.at));
            }
            let key = self.part(false)?;
            self.colon(&key)?;
            let beside_key = self.beside();
            let mut item = Item {
                lead,
                blank,
                key: Some(key),
                beside_key,
                value: self.part(false)?,
                beside: None,
            };
            self.finish(&mut item);
            all.push(item);
        }
        self.next += 1;
        let tail = self.tail(column);
        self.nested.pop();
        Ok(Body::Map(Items {
            flow: false,
            broken: false,
            all,
            tail,
        }))
    }

    fn colon(&mut self, key: &Part) -> Read<()> {
        let simple = matches!(&key.body, Body::Alias(_))
            || matches!(&key.body, Body::Scalar(raw) if !raw.contains('\n'));
        if !simple {
            return Err(unusual("a key that is no simple text", key.at));
        }
        while self.rest().starts_with([' ', '\t']) {
            self.at += 1;
        }
        self.expect(':')
    }

    /// What stands behind a value, and comments that stood between a key and its value.
    fn finish(&mut self, item: &mut Item) {
        let block = match &item.value.body {
            Body::Seq(i) | Body::Map(i) => !i.flow,
            Body::Empty => true,
            _ => false,
        };
        if !block {
            let (stray, _) = self.take_lead();
            item.lead.extend(stray);
        }
        item.beside = self.beside();
        if !block || matches!(item.value.body, Body::Empty) {
            match (&item.beside, item.beside_key.take()) {
                (None, beside) => item.beside = beside,
                (Some(_), Some(b)) => item.lead.push(Line {
                    blank: false,
                    text: b.text,
                    column: 0,
                }),
                (Some(_), None) => {}
            }
        }
    }
}
