//! From a byte of a value to its place in the file.

use crate::source::Span;

/// The place of the bytes `start..end` of a text value that stands at `span`. Falls back to
/// the whole value where the file spells it differently (escapes, folded lines).
pub fn locate(span: &Span, value: &str, start: usize, end: usize) -> Span {
    if !span.is_real() {
        return span.clone();
    }
    let raw = span.text();
    let range = span.byte_range();
    let text = &span.file.text;
    if let Some(at) = raw.find(value) {
        return of_bytes(span, text, range.start + at + start, range.start + at + end);
    }
    by_line(span, value, start, end).unwrap_or_else(|| span.clone())
}

/// The place of a part of the value, found by its text.
pub fn part_of(span: &Span, value: &str, part: &str) -> Span {
    match value.find(part) {
        Some(at) => locate(span, value, at, at + part.len()),
        None => span.clone(),
    }
}

/// Block scalars: the value's line is looked for as a whole line of the file.
fn by_line(span: &Span, value: &str, start: usize, end: usize) -> Option<Span> {
    let before = value.get(..start)?;
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = value[line_start..].lines().next()?;
    if line.is_empty() {
        return None;
    }
    let nth = value[..line_start].lines().filter(|l| *l == line).count();
    let text = &span.file.text;
    let range = span.byte_range();
    let mut at = range.start;
    let mut seen = 0;
    for l in text[range.start..].split_inclusive('\n') {
        if l.trim_end().trim_start() == line.trim() {
            if seen == nth {
                let from = at + l.find(line.trim())?;
                let lead = line.len() - line.trim_start().len();
                let offset = (start - line_start).checked_sub(lead)?;
                let len = end
                    .min(line_start + line.len())
                    .saturating_sub(start)
                    .max(1);
                return Some(of_bytes(span, text, from + offset, from + offset + len));
            }
            seen += 1;
        }
        at += l.len();
    }
    None
}

fn of_bytes(span: &Span, text: &str, start: usize, end: usize) -> Span {
    let (line, col) = line_col(text, start);
    let (end_line, end_col) = line_col(text, end.max(start));
    Span {
        file: span.file.clone(),
        line,
        col,
        end_line,
        end_col,
    }
}

fn line_col(text: &str, byte: usize) -> (u32, u32) {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    let before = &text[..byte];
    let line = before.matches('\n').count() as u32 + 1;
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    (line, before[start..].chars().count() as u32 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;
    use crate::yaml::parse_one;

    fn place(text: &str, key: &str, part: &str) -> String {
        let n = parse_one(&SourceFile::new("t", text)).unwrap();
        let v = n.get(key).unwrap();
        part_of(&v.span, v.as_str().unwrap(), part).to_string()
    }

    #[test]
    fn plain_quoted_and_block_values() {
        assert_eq!(place("a: x == b\n", "a", "b"), "t:1:9");
        assert_eq!(place("a: \"x == b\"\n", "a", "b"), "t:1:10");
        assert_eq!(place("a: |\n  one\n  two b\n", "a", "b"), "t:3:7");
    }
}
