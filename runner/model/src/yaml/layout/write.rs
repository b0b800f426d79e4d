//! Layout to text.

use super::{Beside, Body, Document, Item, Items, Layout, Line, Part};

/// Blanks of a level.
const STEP: usize = 2;

/// Writes a layout: two blanks for each level, lists deeper than their key, `{ a: b }`, `[a]`,
/// at most one blank line. What is in brackets over several lines has a line for each item.
pub fn write(layout: &Layout) -> String {
    let mut w = Writer::default();
    for (i, d) in layout.documents.iter().enumerate() {
        w.document(d, i > 0);
    }
    if layout.open_end && w.block_last && w.out.ends_with('\n') {
        w.out.pop();
    }
    w.out
}

#[derive(Default)]
struct Writer {
    out: String,
    /// Whether the last thing is a block scalar.
    block_last: bool,
}

impl Writer {
    fn document(&mut self, d: &Document, later: bool) {
        self.lines(&d.before, 0, !later);
        if d.explicit || later {
            self.out.push_str("---");
            self.beside(&d.beside);
            self.end();
        }
        match &d.root.body {
            Body::Empty if d.root.props.is_empty() => {}
            Body::Map(items) | Body::Seq(items) if !items.flow => {
                if !d.root.props.is_empty() {
                    // Properties of the whole document stand before it.
                    if self.out.ends_with("---\n") {
                        self.out.pop();
                        self.out.push(' ');
                    }
                    self.out.push_str(&d.root.props);
                    self.end();
                }
                self.block(&d.root.body, 0, false);
            }
            _ => {
                self.inline(&d.root, None);
                self.end();
            }
        }
        self.lines(&d.after, 0, false);
    }

    fn end(&mut self) {
        if !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }

    fn indent(&mut self, column: usize) {
        self.out.extend(std::iter::repeat_n(' ', column));
    }

    fn blank(&mut self, blank: bool, first: bool) {
        // After a block scalar that keeps its blank lines, another one would be part of it.
        if blank && !first && !self.out.ends_with("\n\n") && !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    fn lines(&mut self, lines: &[Line], column: usize, first: bool) {
        for (i, line) in lines.iter().enumerate() {
            self.blank(line.blank, first && i == 0);
            self.indent(column);
            self.out.push_str(&line.text);
            self.out.push('\n');
            self.block_last = false;
        }
    }

    fn beside(&mut self, comment: &Option<Beside>) {
        if let Some(c) = comment {
            self.indent(c.gap);
            self.out.push_str(&c.text);
        }
    }

    /// A block collection at a column. `begun`: the first line is indented already.
    fn block(&mut self, body: &Body, column: usize, begun: bool) {
        let (Body::Map(items) | Body::Seq(items)) = body else {
            return;
        };
        for (i, item) in items.all.iter().enumerate() {
            let first = i == 0;
            if !(first && begun) {
                self.lines(&item.lead, column, first);
                self.blank(item.blank, first && item.lead.is_empty());
                self.indent(column);
            }
            match &item.key {
                Some(key) => self.entry(key, item, column),
                None => self.item(item, column),
            }
        }
        self.lines(&items.tail, column, false);
    }

    fn key(&mut self, key: &Part) {
        if !key.props.is_empty() {
            self.out.push_str(&key.props);
            self.out.push(' ');
        }
        match &key.body {
            Body::Scalar(raw) => self.out.push_str(raw),
            Body::Alias(name) => {
                self.out.push('*');
                self.out.push_str(name);
                self.out.push(' ');
            }
            _ => {}
        }
        self.out.push(':');
    }

    fn entry(&mut self, key: &Part, item: &Item, column: usize) {
        self.key(key);
        let value = &item.value;
        if is_block(value) {
            if !value.props.is_empty() {
                self.out.push(' ');
                self.out.push_str(&value.props);
            }
            self.beside(&item.beside_key);
            self.end();
            self.block(&value.body, column + STEP, false);
            return;
        }
        if !is_nothing(value) {
            self.out.push(' ');
            self.inline(value, Some(column));
        }
        self.beside(&item.beside);
        self.end();
    }

    fn item(&mut self, item: &Item, column: usize) {
        self.out.push('-');
        let value = &item.value;
        if is_block(value) {
            if value.props.is_empty() {
                self.out.push(' ');
                self.block(&value.body, column + STEP, true);
            } else {
                self.out.push(' ');
                self.out.push_str(&value.props);
                self.end();
                self.block(&value.body, column + STEP, false);
            }
            return;
        }
        if !is_nothing(value) {
            self.out.push(' ');
            self.inline(value, Some(column));
        }
        self.beside(&item.beside);
        self.end();
    }

    /// A value that begins in this line. `column` is that of the block around it.
    fn inline(&mut self, part: &Part, column: Option<usize>) {
        self.block_last = false;
        self.out.push_str(&part.props);
        if !part.props.is_empty() && !matches!(part.body, Body::Empty) {
            self.out.push(' ');
        }
        let inner = column.map_or(0, |c| c + STEP);
        match &part.body {
            Body::Empty => {}
            Body::Alias(name) => {
                self.out.push('*');
                self.out.push_str(name);
            }
            Body::Scalar(raw) => self.scalar(raw, inner),
            Body::Block { head, lines, digit } => {
                let inner = digit.map_or(inner, |d| column.unwrap_or(0) + d);
                self.out.push_str(head);
                self.out.push('\n');
                for line in lines {
                    if !line.is_empty() {
                        self.indent(inner);
                        self.out.push_str(line);
                    }
                    self.out.push('\n');
                }
                self.block_last = true;
            }
            Body::Seq(items) => self.in_brackets(items, ("[", "]"), column),
            Body::Map(items) => self.in_brackets(items, ("{", "}"), column),
            Body::Pair(item) => self.flow_entry(item, column),
        }
    }

    /// Lines of a scalar after its first may be indented as one likes.
    fn scalar(&mut self, raw: &str, inner: usize) {
        for (i, line) in raw.split('\n').enumerate() {
            if i == 0 {
                self.out.push_str(line);
                continue;
            }
            self.out.push('\n');
            let line = line.trim_start_matches([' ', '\t']);
            if !line.is_empty() {
                self.indent(inner.max(1));
                self.out.push_str(line);
            }
        }
    }

    fn in_brackets(&mut self, items: &Items, (open, close): (&str, &str), column: Option<usize>) {
        self.out.push_str(open);
        let commented = !items.tail.is_empty()
            || items
                .all
                .iter()
                .any(|i| !i.lead.is_empty() || i.beside.is_some());
        if commented || (items.broken && !items.all.is_empty()) {
            let inner = column.map_or(STEP, |c| c + STEP);
            self.out.push('\n');
            let last = items.all.len().saturating_sub(1);
            for (i, item) in items.all.iter().enumerate() {
                self.lines(&item.lead, inner, i == 0);
                self.blank(item.blank, i == 0 && item.lead.is_empty());
                self.indent(inner);
                self.flow_item(item, Some(inner));
                if i < last {
                    self.out.push(',');
                }
                self.beside(&item.beside);
                self.out.push('\n');
            }
            self.lines(&items.tail, inner, items.all.is_empty());
            // A closing bracket in the first column would end the block around it for some.
            self.indent(column.unwrap_or(0));
            self.out.push_str(close);
            return;
        }
        let padded = open == "{" && !items.all.is_empty();
        if padded {
            self.out.push(' ');
        }
        for (i, item) in items.all.iter().enumerate() {
            if i > 0 {
                self.out.push_str(", ");
            }
            self.flow_item(item, column);
        }
        if padded {
            self.out.push(' ');
        }
        self.out.push_str(close);
    }

    fn flow_item(&mut self, item: &Item, column: Option<usize>) {
        match &item.key {
            Some(_) => self.flow_entry(item, column),
            None => self.inline(&item.value, column),
        }
    }

    fn flow_entry(&mut self, item: &Item, column: Option<usize>) {
        if let Some(key) = &item.key {
            self.key(key);
        }
        if is_nothing(&item.value) {
            return;
        }
        self.out.push(' ');
        self.inline(&item.value, column);
    }
}

fn is_nothing(part: &Part) -> bool {
    matches!(part.body, Body::Empty) && part.props.is_empty()
}

fn is_block(part: &Part) -> bool {
    matches!(&part.body, Body::Map(i) | Body::Seq(i) if !i.flow)
}
