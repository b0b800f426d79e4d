//! Finding the tags of a template in a text.

use std::ops::Range;

/// One `{{ … }}`, `{% … %}` or `{# … #}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// `{`, `%` or `#`: the character after the opening brace.
    pub kind: char,
    /// Bytes of the whole tag.
    pub range: Range<usize>,
    /// Bytes of what stands inside, without blanks and whitespace control.
    pub inner: Range<usize>,
}

/// Whether a text may hold a template at all.
pub fn has_tags(text: &str) -> bool {
    text.as_bytes()
        .windows(2)
        .any(|w| w[0] == b'{' && matches!(w[1], b'{' | b'%' | b'#'))
}

/// The tags of a text, in order. A tag that is not closed ends the list and is returned as
/// the error: the byte at which it opens.
pub fn tags(text: &str) -> Result<Vec<Tag>, usize> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at + 1 < bytes.len() {
        let kind = bytes[at + 1];
        if bytes[at] != b'{' || !matches!(kind, b'{' | b'%' | b'#') {
            at += 1;
            continue;
        }
        let end = close(bytes, at + 2, kind).ok_or(at)?;
        found.push(Tag {
            kind: kind as char,
            range: at..end,
            inner: trim(text, at + 2, end - 2),
        });
        at = end;
    }
    Ok(found)
}

/// The byte after the tag's closing pair; quotes inside an expression hide it.
fn close(bytes: &[u8], from: usize, kind: u8) -> Option<usize> {
    let last = if kind == b'{' { b'}' } else { kind };
    let mut quote = None;
    let mut at = from;
    while at + 1 < bytes.len() {
        let b = bytes[at];
        match quote {
            Some(q) if b == q => quote = None,
            Some(_) => {}
            None if kind != b'#' && matches!(b, b'"' | b'\'' | b'`') => quote = Some(b),
            None if b == last && bytes[at + 1] == b'}' => return Some(at + 2),
            None => {}
        }
        at += 1;
    }
    None
}

fn trim(text: &str, start: usize, end: usize) -> Range<usize> {
    let raw = &text[start..end.max(start)];
    let inner = raw.strip_prefix('-').unwrap_or(raw);
    let inner = inner.strip_suffix('-').unwrap_or(inner);
    let lead = inner.len() - inner.trim_start().len();
    let from = start + (raw.len() - raw.strip_prefix('-').unwrap_or(raw).len()) + lead;
    from..from + inner.trim().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner(text: &str) -> Vec<&str> {
        tags(text)
            .unwrap()
            .into_iter()
            .map(|t| &text[t.inner])
            .collect()
    }

    #[test]
    fn tags_are_found_with_their_insides() {
        assert_eq!(inner("a {{ b }} c {{d}}"), ["b", "d"]);
        assert_eq!(inner("{{- x -}}"), ["x"]);
        assert_eq!(inner("{{ '}}' ~ b }}{# c #}"), ["'}}' ~ b", "c"]);
        assert_eq!(inner("{% if a %}x{% endif %}"), ["if a", "endif"]);
        assert_eq!(inner("{ {} }"), [""; 0]);
        assert_eq!(tags("ab {{ c"), Err(3));
        assert_eq!(tags("{{ 'x }}"), Err(0));
    }
}
