//! Preparing a template's text, so that values can leave it only through the encoding filter
//! and every line of the result knows the template line that it came from.
//!
//! Tera itself stays as it is: `{{ x }}` becomes `{{ (x) | yaml(at=N) }}`, and an invisible
//! mark goes before the first character of each line of literal text.

use std::sync::Arc;

use crate::diag::{Problem, ProblemKind};
use crate::source::{SourceFile, Span};

/// Begins and ends the mark of a line of literal text.
pub const LINE_MARK: (char, char) = ('\u{e000}', '\u{e001}');
/// Begins and ends the mark of a value.
pub const VALUE_MARK: (char, char) = ('\u{e002}', '\u{e003}');

/// Whether a character is one of the marks.
pub fn is_mark(c: char) -> bool {
    ('\u{e000}'..='\u{e003}').contains(&c)
}

/// A place in a template, of a value or of a line of literal text.
pub type Sites = Vec<Span>;

/// A template as Tera gets it.
#[derive(Debug)]
pub struct Prepared {
    /// The text for Tera.
    pub text: String,
    /// The template that it came from.
    pub file: Arc<SourceFile>,
    /// Where bytes were put in: (offset in `text`, how many).
    inserted: Vec<(usize, usize)>,
}

impl Prepared {
    /// The place in the template of an offset in the prepared text.
    pub fn place(&self, offset: usize, len: usize) -> Span {
        let back = |offset: usize| {
            let added: usize = self
                .inserted
                .iter()
                .take_while(|(at, _)| *at < offset)
                .map(|(at, n)| (*n).min(offset - at))
                .sum();
            offset - added
        };
        let start = back(offset);
        let end = back(offset + len).max(start + 1);
        span_of(&self.file, start, end)
    }
}

/// The place of a range of bytes; it ends on the line on which it begins.
fn span_of(file: &Arc<SourceFile>, start: usize, end: usize) -> Span {
    let text = &file.text;
    let start = floor(text, start);
    let line_start = text[..start].rfind('\n').map_or(0, |i| i + 1);
    let line = text[..start].matches('\n').count() + 1;
    let col = text[line_start..start].chars().count() + 1;
    let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
    let len = text[start..floor(text, end.min(line_end)).max(start)]
        .chars()
        .count();
    Span::in_line(file, line as u32, col as u32, len.max(1) as u32)
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|i| text.is_char_boundary(*i))
        .unwrap_or(0)
}

/// Prepares a template; places of its values and lines are added to `sites`.
///
/// # Errors
/// A tag that does not end, or characters that only marks may have.
pub fn prepare(file: &Arc<SourceFile>, sites: &mut Sites) -> Result<Prepared, Problem> {
    if let Some(at) = file.text.find(is_mark) {
        return Err(Problem::at(
            ProblemKind::Syntax,
            &span_of(file, at, at + 3),
            "a template may not hold the private characters U+E000 to U+E003",
        ));
    }
    let mut scan = Scan {
        file,
        sites,
        at: 0,
        out: String::with_capacity(file.text.len() * 2),
        inserted: Vec::new(),
    };
    scan.run()?;
    Ok(Prepared {
        text: scan.out,
        inserted: scan.inserted,
        file: file.clone(),
    })
}

struct Scan<'f> {
    file: &'f Arc<SourceFile>,
    sites: &'f mut Sites,
    at: usize,
    out: String,
    inserted: Vec<(usize, usize)>,
}

impl<'f> Scan<'f> {
    fn rest(&self) -> &'f str {
        &self.file.text[self.at..]
    }

    fn run(&mut self) -> Result<(), Problem> {
        while !self.rest().is_empty() {
            let open = ["{{", "{%", "{#"]
                .iter()
                .filter_map(|t| self.rest().find(t))
                .min();
            let end = open.unwrap_or(self.rest().len());
            self.literal(end);
            if open.is_none() {
                break;
            }
            match self.rest().as_bytes().get(1) {
                Some(b'#') => {
                    let end = self.close("#}", false)?;
                    self.copy(end);
                }
                Some(b'%') => {
                    let end = self.close("%}", true)?;
                    let raw = is_tag(&self.rest()[..end], "raw");
                    self.copy(end);
                    if raw {
                        self.raw()?;
                    }
                }
                _ => self.value()?,
            }
        }
        Ok(())
    }

    /// Copies text as it is.
    fn copy(&mut self, len: usize) {
        self.out.push_str(&self.rest()[..len]);
        self.at += len;
    }

    /// Puts in what the template does not have.
    fn insert(&mut self, text: &str) {
        self.inserted.push((self.out.len(), text.len()));
        self.out.push_str(text);
    }

    /// Copies literal text, with a mark before the first character of each of its lines.
    fn literal(&mut self, len: usize) {
        let end = self.at + len;
        while self.at < end {
            let line = &self.file.text[self.at..end];
            let line = line.split_inclusive('\n').next().unwrap_or(line);
            match line.find(|c: char| !c.is_whitespace()) {
                Some(first) => {
                    self.copy(first);
                    let n = self.site(self.at, self.at + line.trim_end().len() - first);
                    self.insert(&format!("{}{n}{}", LINE_MARK.0, LINE_MARK.1));
                    self.copy(line.len() - first);
                }
                None => self.copy(line.len()),
            }
        }
    }

    fn site(&mut self, start: usize, end: usize) -> usize {
        self.sites.push(span_of(self.file, start, end));
        self.sites.len() - 1
    }

    /// `{% raw %}` was copied: the text up to `{% endraw %}` is literal.
    fn raw(&mut self) -> Result<(), Problem> {
        let mut from = 0;
        while let Some(open) = self.rest()[from..].find("{%").map(|i| from + i) {
            let tag = &self.rest()[open..];
            let end = tag.find("%}").map_or(tag.len(), |i| i + 2);
            if is_tag(&tag[..end], "endraw") {
                self.literal(open);
                self.copy(end);
                return Ok(());
            }
            from = open + 2;
        }
        Err(self.unclosed("{% raw %}", "{% endraw %}"))
    }

    /// `{{ x }}` becomes `{{ (x) | yaml(at=N) }}`, but for what renders template text.
    fn value(&mut self) -> Result<(), Problem> {
        let end = self.close("}}", true)?;
        let whole = &self.rest()[..end];
        let inner = &whole[2..end - 2];
        let lead = usize::from(inner.starts_with('-'));
        let tail = usize::from(inner.len() > lead && inner.ends_with('-'));
        let expr = inner[lead..inner.len() - tail].trim();
        let renders_text = expr.starts_with('<') || expr.replace(' ', "") == "super()";
        if renders_text || expr.is_empty() {
            self.copy(end);
            return Ok(());
        }
        let n = self.site(self.at, self.at + end);
        self.copy(2 + lead);
        self.insert("(");
        self.copy(inner.len() - lead - tail);
        self.insert(&format!(") | yaml(at={n})"));
        self.copy(tail + 2);
        Ok(())
    }

    /// The length of the tag that begins here, its end included; quoted texts are skipped.
    fn close(&self, end: &str, with_strings: bool) -> Result<usize, Problem> {
        let text = self.rest();
        let mut quote: Option<char> = None;
        let mut escaped = false;
        // Braces of map literals that are open: `}}` ends them first.
        let mut depth = 0_usize;
        for (i, c) in text.char_indices().skip(2) {
            match quote {
                Some(_) if escaped => escaped = false,
                Some(_) if c == '\\' => escaped = true,
                Some(q) if c == q => quote = None,
                Some(_) => {}
                None if with_strings && matches!(c, '"' | '\'' | '`') => quote = Some(c),
                None if depth == 0 && text[i..].starts_with(end) => return Ok(i + end.len()),
                None if end == "}}" && c == '{' => depth += 1,
                None if end == "}}" && c == '}' => depth = depth.saturating_sub(1),
                None => {}
            }
        }
        Err(self.unclosed(&text[..2], end))
    }

    fn unclosed(&self, open: &str, close: &str) -> Problem {
        let span = span_of(self.file, self.at, self.at + 2);
        Problem::at(
            ProblemKind::Syntax,
            &span,
            format!("`{open}` is not closed by `{close}`"),
        )
        .label("opened here")
        .help(format!(
            "close it, or write {{% raw %}}{open}{{% endraw %}} for the characters themselves"
        ))
    }
}

/// Whether a tag (`{%- name … -%}`) has this name.
fn is_tag(tag: &str, name: &str) -> bool {
    tag.trim_start_matches("{%")
        .trim_end_matches("%}")
        .trim_matches('-')
        .trim()
        == name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(text: &str) -> String {
        let mut sites = Sites::new();
        let p = prepare(&SourceFile::new("t", text), &mut sites).unwrap();
        p.text.replace(LINE_MARK.0, "<").replace(LINE_MARK.1, ">")
    }

    #[test]
    fn values_and_lines_are_marked() {
        assert_eq!(
            prepared("a: {{ b }}\n  c\n\n"),
            "<0>a: {{( b ) | yaml(at=1)}}\n  <2>c\n\n"
        );
        assert_eq!(prepared("{{- x -}}"), "{{-( x ) | yaml(at=0)-}}");
        assert_eq!(
            prepared("{{ \"}}\" ~ a }}"),
            "{{( \"}}\" ~ a ) | yaml(at=0)}}"
        );
        assert_eq!(
            prepared("{{ {\"a\": {\"b\": 1}} }}"),
            "{{( {\"a\": {\"b\": 1}} ) | yaml(at=0)}}"
        );
        assert_eq!(
            prepared("{{ super() }}{{ <c/> }}{# {{ x }} #}"),
            "{{ super() }}{{ <c/> }}{# {{ x }} #}"
        );
        assert_eq!(
            prepared("{% raw %}{{ x }}{% endraw %}"),
            "{% raw %}<0>{{ x }}{% endraw %}"
        );
        assert_eq!(
            prepared("{% if a == \"%}\" %}b{% endif %}"),
            "{% if a == \"%}\" %}<0>b{% endif %}"
        );
    }

    #[test]
    fn places_lead_back_to_the_template() {
        let mut sites = Sites::new();
        let file = SourceFile::new("t", "é: {{ bb }}\nk: {{ c }}\n");
        let p = prepare(&file, &mut sites).unwrap();
        let at = p.text.find("bb").unwrap();
        assert_eq!(p.place(at, 2).to_string(), "t:1:7");
        let at = p.text.find("c )").unwrap();
        assert_eq!(p.place(at, 1).text(), "c");
        assert_eq!(sites[1].text(), "{{ bb }}");
    }

    #[test]
    fn an_open_tag_is_named() {
        for text in [
            "a {{ b",
            "a {% if",
            "a {# b",
            "{% raw %} {{ x }}",
            "{{ \"}}",
        ] {
            let p = prepare(&SourceFile::new("t", text), &mut Sites::new()).unwrap_err();
            assert!(p.message.contains("is not closed by"), "{p}");
        }
        let p = prepare(&SourceFile::new("t", "a\u{e002}"), &mut Sites::new()).unwrap_err();
        assert!(p.message.contains("private characters"), "{p}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in proptest::prelude::any::<String>(), braces in "[{}%#\"\\- a-c\\n]{0,40}") {
            for t in [text, braces] {
                if let Ok(p) = prepare(&SourceFile::new("t", t), &mut Sites::new()) {
                    for i in 0..=p.text.len() {
                        let _ = p.place(i, 3);
                    }
                }
            }
        }
    }
}
