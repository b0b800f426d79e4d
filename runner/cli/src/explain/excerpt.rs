//! The text around some places of a file, fit to be shown: without secrets and control
//! characters, and without the far ends of very long lines.

use std::ops::Range;
use std::sync::Arc;

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};
use prodmirror_model::policy::sensitive::{has_password, is_secret_name};
use prodmirror_model::redact::Redactor;
use prodmirror_model::source::{SourceFile, Span};
use prodmirror_model::yaml::{Node, Value, parse_all};

/// Lines beside a place that may be shown; a little more than the drawing asks for.
const AROUND: u32 = 6;
/// Characters of a line beyond which it is cut.
const LONG: usize = 300;
/// Characters that are kept before a place in a long line.
const LEAD: usize = 60;

/// Some lines of a file that know their numbers. Lines between far places are left out.
#[derive(Debug)]
pub struct Excerpt {
    name: String,
    text: String,
    /// For each shown line its number from 0, the byte where it begins, and how many
    /// characters were cut off before it.
    lines: Vec<(usize, usize, usize)>,
}

impl Excerpt {
    /// The lines around places of one file, with the bytes in them that each place covers.
    pub fn new(spans: &[&Span], redactor: &Redactor) -> (Self, Vec<Range<usize>>) {
        let Some(file) = spans.first().map(|s| &s.file) else {
            return (
                Self {
                    name: String::new(),
                    text: String::new(),
                    lines: Vec::new(),
                },
                Vec::new(),
            );
        };
        let near = |line: u32| {
            spans
                .iter()
                .any(|s| line + AROUND >= s.line && line <= s.end_line.max(s.line) + AROUND)
        };
        let manifests = without_manifest_secrets(file);
        let blotted = redactor.blot(manifests.as_deref().unwrap_or(&file.text));
        let hide_values = is_env_file(&file.name);
        let is_capture = file.name.ends_with(".json");
        let mut excerpt = Self {
            name: file.name.clone(),
            text: String::new(),
            lines: Vec::new(),
        };
        for (number, line) in (1u32..).zip(blotted.split('\n')) {
            if !near(number) {
                continue;
            }
            let line = if hide_values {
                without_values(line)
            } else if is_capture {
                without_variables(line)
            } else {
                line.to_owned()
            };
            let at = spans.iter().filter(|s| s.line == number);
            let first = at.map(|s| s.col.max(1) as usize - 1).min();
            excerpt.push(number as usize - 1, &line, first);
        }
        let ranges = spans.iter().map(|s| excerpt.range(s)).collect();
        (excerpt, ranges)
    }

    fn push(&mut self, number: usize, line: &str, wanted: Option<usize>) {
        let length = line.chars().count();
        let skip = match wanted {
            Some(col) if length > LONG => col.saturating_sub(LEAD).min(length),
            _ => 0,
        };
        self.lines.push((number, self.text.len(), skip));
        self.text.extend(
            line.chars()
                .skip(skip)
                .take(LONG)
                .map(|c| if c.is_control() && c != '\t' { ' ' } else { c }),
        );
        self.text.push('\n');
    }

    fn range(&self, span: &Span) -> Range<usize> {
        let start = self.offset(span.line, span.col);
        let end = self.offset(span.end_line, span.end_col).max(start);
        start..end
    }

    /// The byte of a place, or the nearest one that is shown.
    fn offset(&self, line: u32, col: u32) -> usize {
        let number = (line as usize).saturating_sub(1);
        let Some(&(_, begin, skip)) = self.lines.iter().find(|(n, ..)| *n == number) else {
            return self.text.len().saturating_sub(1);
        };
        let text = self.text[begin..].split('\n').next().unwrap_or("");
        let col = (col as usize).saturating_sub(1 + skip);
        begin
            + text
                .char_indices()
                .nth(col)
                .map_or(text.len(), |(at, _)| at)
    }

    fn index_of(&self, offset: usize) -> usize {
        self.lines
            .partition_point(|(_, begin, _)| *begin <= offset)
            .saturating_sub(1)
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        if self.lines.is_empty() || span.offset() + span.len() > self.text.len() {
            return Err(MietteError::OutOfBounds);
        }
        let at = self.index_of(span.offset());
        let last = self.index_of(
            (span.offset() + span.len())
                .saturating_sub(1)
                .max(span.offset()),
        );
        // Never over a gap: numbers are counted up from the first line.
        let mut first = at;
        while first > 0 && at - first < before && self.lines[first - 1].0 + 1 == self.lines[first].0
        {
            first -= 1;
        }
        let mut end = last;
        while end + 1 < self.lines.len()
            && end - last < after
            && self.lines[end].0 + 1 == self.lines[end + 1].0
        {
            end += 1;
        }
        let from = self.lines[first].1;
        let to = match self.lines.get(end + 1) {
            Some((_, begin, _)) => begin - 1,
            None => self.text.len().saturating_sub(1),
        };
        let to = to.max(from);
        let column = if first == at {
            self.text[self.lines[at].1..span.offset()].chars().count() + self.lines[at].2
        } else {
            0
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name.clone(),
            &self.text.as_bytes()[from..to],
            (from, to - from).into(),
            self.lines[first].0,
            column,
            end - first + 1,
        )))
    }
}

/// Whether a file holds nothing but names and values, and the values may be secret.
fn is_env_file(name: &str) -> bool {
    let base = name.rsplit('/').next().unwrap_or(name);
    base == ".env" || base.starts_with(".env.") || base.ends_with(".env")
}

/// A line of an env file with letters and digits of its value hidden; names inside `${…}` stay.
fn without_values(line: &str) -> String {
    if line.trim_start().starts_with('#') {
        return line.to_owned();
    }
    // A line without `=` may continue a quoted value.
    let (name, value) = match line.split_once('=') {
        Some((name, value)) => (format!("{name}="), value),
        None => (String::new(), line),
    };
    let mut depth = 0usize;
    let mut before = ' ';
    let hidden: String = value
        .chars()
        .map(|c| {
            match c {
                '{' if before == '$' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            before = c;
            if depth == 0 && c.is_alphanumeric() {
                '*'
            } else {
                c
            }
        })
        .collect();
    name + &hidden
}

/// What Kubernetes keeps the values of a Secret under.
const SECRET_VALUES: [&str; 2] = ["data", "stringData"];
/// Where `kubectl apply` keeps all of an object once more.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The text of manifests with the values of Secrets hidden; `None` when it has no Secret. Every
/// character keeps its place.
fn without_manifest_secrets(file: &Arc<SourceFile>) -> Option<String> {
    if !file.text.contains("Secret") {
        return None;
    }
    let mut hidden: Vec<Range<usize>> = Vec::new();
    match parse_all(file) {
        Ok(documents) => documents.iter().for_each(|d| secret_values(d, &mut hidden)),
        // Where the values are is not known: all that may be one is hidden.
        Err(_) => hidden = guessed_values(&file.text),
    }
    if hidden.is_empty() {
        return None;
    }
    hidden.sort_by_key(|r| r.start);
    let mut hidden = hidden.into_iter().peekable();
    let hide = |(at, c): (usize, char)| {
        while hidden.next_if(|r| r.end <= at).is_some() {}
        let inside = hidden.peek().is_some_and(|r| r.contains(&at));
        match inside && !c.is_whitespace() && !matches!(c, '"' | '\'') {
            true => '*',
            false => c,
        }
    };
    Some(file.text.char_indices().map(hide).collect())
}

/// The places of the values of all Secrets in a tree.
fn secret_values(node: &Node, out: &mut Vec<Range<usize>>) {
    match &node.value {
        Value::Map(map) => {
            if map.get("kind").and_then(Node::as_str) == Some("Secret") {
                let sections = SECRET_VALUES.iter().filter_map(|key| map.get(key));
                sections.for_each(|n| leaves(n, out));
                let annotations = map.get("metadata").and_then(|n| n.get("annotations"));
                let copy = annotations.and_then(|n| n.get(LAST_APPLIED));
                out.extend(copy.map(|n| n.span.byte_range()));
            }
            map.iter().for_each(|(_, n)| secret_values(n, out));
        }
        Value::Seq(items) => items.iter().for_each(|n| secret_values(n, out)),
        _ => {}
    }
}

fn leaves(node: &Node, out: &mut Vec<Range<usize>>) {
    match &node.value {
        Value::Map(map) => map.iter().for_each(|(_, n)| leaves(n, out)),
        Value::Seq(items) => items.iter().for_each(|n| leaves(n, out)),
        _ => out.push(node.span.byte_range()),
    }
}

/// All that may be a value, in those documents of a text that speak of a Secret.
fn guessed_values(text: &str) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut documents: Vec<Vec<(usize, &str)>> = vec![Vec::new()];
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        match documents.last_mut() {
            Some(lines) if !line.starts_with("---") => lines.push((at, line)),
            _ => documents.push(vec![(at, line)]),
        }
        at += line.len();
    }
    let is_quote = |c: char| matches!(c, '"' | '\'' | ' ');
    let says_so = |line: &str| {
        line.match_indices("kind").any(|(at, key)| {
            let after = line[at + key.len()..].trim_start_matches(is_quote);
            let kind = after
                .strip_prefix(':')
                .map(|v| v.trim_start_matches(is_quote));
            kind.is_some_and(|k| k.starts_with("Secret"))
        })
    };
    for lines in documents {
        if lines.iter().any(|(_, line)| says_so(line)) {
            for (at, line) in lines {
                let start = if line.starts_with("---") { 3 } else { 0 };
                let value = line.find(':').map_or(start, |colon| colon + 1);
                out.push(at + value..at + line.len());
            }
        }
    }
    out
}

/// A line of JSON with letters and digits hidden in the values of `"NAME=VALUE"` that look like
/// secrets: what `docker inspect` prints of a container's environment.
fn without_variables(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('"') {
        let end = closing_quote(after);
        let (text, tail) = after.split_at(end);
        out.push_str(before);
        out.push('"');
        match text.split_once('=') {
            Some((name, value)) if is_secret_name(name) || has_password(value) => {
                out.push_str(name);
                out.push('=');
                let hide = |c: char| if c.is_alphanumeric() { '*' } else { c };
                out.extend(value.chars().map(hide));
            }
            _ => out.push_str(text),
        }
        rest = match tail.strip_prefix('"') {
            Some(tail) => {
                out.push('"');
                tail
            }
            None => tail,
        };
    }
    out + rest
}

/// Where a JSON string ends whose opening quote is before the text.
fn closing_quote(text: &str) -> usize {
    let mut escaped = false;
    let end = text.find(|c: char| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_captured_environments_are_hidden() {
        for (line, shown) in [
            (
                r#"  "DB_PASSWORD=s3\"c=t", "A=b""#,
                r#"  "DB_PASSWORD=**\"*=*", "A=b""#,
            ),
            (r#""URL=pg://u:pw@h/x"]"#, r#""URL=**://*:**@*/*"]"#),
            (r#""A": "x", "cut"#, r#""A": "x", "cut"#),
            (r#""API_TOKEN=open"#, r#""API_TOKEN=****"#),
        ] {
            assert_eq!(without_variables(line), shown);
        }
    }

    #[test]
    fn values_of_kubernetes_secrets_are_hidden() {
        let said = |text: &str| without_manifest_secrets(&SourceFile::new("x.yaml", text));
        for (text, shown) in [
            (
                "kind: Secret\nstringData: {PORT: 5432, PASSWORD: hunter2}\n",
                "kind: Secret\nstringData: {PORT: ****, PASSWORD: *******}\n",
            ),
            (
                "kind: ConfigMap\ndata: {a: open}\n---\nkind: Secret\ndata:\n  key: |\n    né=\n    x\n  b: 'c d'\ntype: Opaque\n",
                "kind: ConfigMap\ndata: {a: open}\n---\nkind: Secret\ndata:\n  key: *\n    ***\n    *\n  b: '* *'\ntype: Opaque\n",
            ),
            (
                "{\"kind\": \"List\", \"items\": [{\"kind\": \"Secret\", \"data\": {\"a\": \"eA==\"}}]}",
                "{\"kind\": \"List\", \"items\": [{\"kind\": \"Secret\", \"data\": {\"a\": \"****\"}}]}",
            ),
            (
                "kind: Secret\nmetadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: 'a b', o: p}}\n",
                "kind: Secret\nmetadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: '* *', o: p}}\n",
            ),
            // What cannot be read is hidden as a whole, but for its keys.
            (
                "kind: Pod\nname: open\n---\nkind: Secret\ndata:\n  a: hunter2\n  b: \"hunter\n  two\n",
                "kind: Pod\nname: open\n---\nkind: ******\ndata:\n  a: *******\n  b: \"******\n  ***\n",
            ),
        ] {
            assert_eq!(said(text).as_deref(), Some(shown));
        }
        assert_eq!(said("kind: SecretStore\nspec: {a: b}\n"), None);
        assert_eq!(said("# Secret\ndata: {a: b}\n"), None);
    }

    #[test]
    fn values_of_env_files_are_hidden() {
        assert_eq!(without_values("A=s3cret ${B:-x} é"), "A=****** ${B:-x} *");
        assert_eq!(without_values("# A=x"), "# A=x");
        assert!(is_env_file("production/.env") && is_env_file("db.env"));
        assert!(!is_env_file("environment.yaml"));
    }
}
