//! Text to tree: anchors, merge keys, duplicate keys, and limits on size and depth.
//!
//! The grammar is libyaml's: closing brackets may stand at any column, for one thing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::libyaml::{Event, Events, Mark, Style};
use super::{Entry, Mapping, Node, Value, ViaKind, resolve_plain};
use crate::diag::{Problem, ProblemKind};
use crate::source::{SourceFile, Span};

/// Nesting beyond this is refused.
pub const MAX_DEPTH: usize = 128;
/// Values beyond this, aliases expanded, are refused.
pub const MAX_NODES: usize = 1_000_000;

const CORE: &str = "tag:yaml.org,2002:";

/// Reads every document of a file. Empty documents are null.
///
/// # Errors
/// The first problem: syntax, a duplicate key, an unknown alias, too deep or too large.
pub fn parse_all(file: &Arc<SourceFile>) -> Result<Vec<Node>, Problem> {
    let mut text = Cow::Borrowed(file.text.as_str());
    for _ in 0..MAX_TAB_LINES {
        match parse_text(file, &text) {
            Err(p) if p.kind == ProblemKind::Syntax => match without_tabs(&text, &p) {
                Some(mended) => text = Cow::Owned(mended),
                None => return Err(p),
            },
            result => return result,
        }
    }
    parse_text(file, &text)
}

/// How many lines of a file are mended by [`without_tabs`].
const MAX_TAB_LINES: usize = 50;

/// The text without the tabs of the blank line at which it is refused, when that follows a
/// comment: Go's library takes such lines for parts of the comment.
fn without_tabs(text: &str, refused: &Problem) -> Option<String> {
    let at = refused.span.as_ref()?.line as usize - 1;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let rest = lines.get(at)?.trim_start_matches([' ', '\t']);
    let blank = &lines[at][..lines[at].len() - rest.len()];
    // Not empty: blank lines that were mended before are such.
    let before = lines[..at]
        .iter()
        .rev()
        .map(|line| line.trim_end_matches(['\n', '\r']));
    let comment = before.map(str::trim_start).zip(lines[..at].iter().rev());
    let mut comment =
        comment.skip_while(|(rest, line)| rest.is_empty() && line.starts_with([' ', '\t']));
    let after_comment = comment.next()?.0.starts_with('#');
    let nothing = rest.trim_end().is_empty() || rest.starts_with('#');
    if !(blank.contains('\t') && nothing && after_comment) {
        return None;
    }
    let (head, tail) = (lines[..at].concat(), lines[at + 1..].concat());
    Some(format!("{head}{}{rest}{tail}", blank.replace('\t', " ")))
}

fn parse_text(file: &Arc<SourceFile>, text: &str) -> Result<Vec<Node>, Problem> {
    let mut reader = Reader {
        file,
        events: Events::new(text),
        anchors: HashMap::new(),
        nodes: 0,
        ahead: None,
    };
    let mut docs = Vec::new();
    loop {
        match reader.next()?.0 {
            Event::StreamEnd => return Ok(docs),
            Event::DocumentStart => {
                reader.anchors.clear();
                docs.push(reader.node(0)?);
            }
            _ => {}
        }
    }
}

/// Reads a file that holds one document; an empty file is null.
///
/// # Errors
/// As [`parse_all`], and when there are several documents.
pub fn parse_one(file: &Arc<SourceFile>) -> Result<Node, Problem> {
    let mut docs = parse_all(file)?;
    if docs.len() > 1 {
        return Err(Problem::at(
            ProblemKind::Syntax,
            &docs[1].span,
            format!(
                "{} holds {} YAML documents; one is expected",
                file.name,
                docs.len()
            ),
        ));
    }
    Ok(docs.pop().unwrap_or_else(|| {
        let mut n = Node::generated(Value::Null);
        n.span = Span::in_line(file, 1, 1, 0);
        n
    }))
}

struct Anchor {
    node: Node,
    /// How many values it holds, itself included.
    nodes: usize,
    /// How deep it is nested.
    height: usize,
}

struct Reader<'f> {
    file: &'f Arc<SourceFile>,
    events: Events<'f>,
    /// None while the value of the anchor is being read.
    anchors: HashMap<String, Option<Anchor>>,
    nodes: usize,
    ahead: Option<(Event, Span)>,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<(Event, Span), Problem> {
        if let Some(event) = self.ahead.take() {
            return Ok(event);
        }
        match self.events.next() {
            Ok((event, start, end)) => Ok((event, self.span(start, end))),
            Err(e) => {
                let one = |at: Mark| {
                    let mut end = at;
                    end.column += 1;
                    self.span(at, end)
                };
                let problem = Problem::at(
                    ProblemKind::Syntax,
                    &one(e.at),
                    format!("invalid YAML: {}", e.what),
                );
                let line = self.file.text.lines().nth(e.at.line as usize);
                let problem = match e.within {
                    Some((begins, what)) if begins.line < e.at.line => {
                        problem.related(&one(begins), format!("{what} begins here"))
                    }
                    _ => problem,
                };
                let indent = line.map_or("", |l| &l[..l.len() - l.trim_start().len()]);
                Err(if indent.contains('\t') {
                    problem.help(
                        "YAML is indented with spaces; there is a tab at the start of this line",
                    )
                } else {
                    problem
                })
            }
        }
    }

    fn span(&self, start: Mark, end: Mark) -> Span {
        Span {
            file: self.file.clone(),
            line: start.line as u32 + 1,
            col: start.column as u32 + 1,
            end_line: end.line as u32 + 1,
            end_col: end.column as u32 + 1,
        }
    }

    fn count(&mut self, n: usize, span: &Span) -> Result<(), Problem> {
        self.nodes += n;
        if self.nodes > MAX_NODES {
            return Err(Problem::at(
                ProblemKind::TooLarge,
                span,
                format!(
                    "the document has more than {MAX_NODES} values once its aliases are expanded"
                ),
            )
            .help("remove nested aliases that multiply each other"));
        }
        Ok(())
    }

    fn node(&mut self, depth: usize) -> Result<Node, Problem> {
        let (event, span) = self.next()?;
        if depth > MAX_DEPTH {
            return Err(too_deep(&span));
        }
        self.count(1, &span)?;
        let before = self.nodes;
        match event {
            Event::Alias(anchor) => self.alias(&anchor, span, depth),
            Event::Scalar {
                anchor,
                tag,
                text,
                style,
            } => {
                let node = scalar(&text, style, tag.as_deref(), span)?;
                self.anchor(anchor, &node, 1);
                Ok(node)
            }
            Event::SequenceStart { anchor, tag } => {
                self.reserve(anchor.as_deref());
                let mut node = self.sequence(span, depth)?;
                node.tag = app_tag(tag);
                self.anchor(anchor, &node, self.nodes - before + 1);
                Ok(node)
            }
            Event::MappingStart { anchor, tag } => {
                self.reserve(anchor.as_deref());
                let mut node = self.mapping(span, depth)?;
                node.tag = app_tag(tag);
                self.anchor(anchor, &node, self.nodes - before + 1);
                Ok(node)
            }
            _ => Ok(Node::new(Value::Null, span)),
        }
    }

    fn sequence(&mut self, start: Span, depth: usize) -> Result<Node, Problem> {
        let mut items: Vec<Node> = Vec::new();
        let end = loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                break span;
            }
            self.ahead = Some((event, span));
            items.push(self.node(depth + 1)?);
        };
        let end = items.last().map_or(end, |n| n.span.clone());
        Ok(Node::new(Value::Seq(items), start.to(&end)))
    }

    fn mapping(&mut self, start: Span, depth: usize) -> Result<Node, Problem> {
        let mut map = Mapping::default();
        let mut merge_key: Option<(Span, Node)> = None;
        let mut end = start.clone();
        loop {
            let (event, key_span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let (key, key_is_string, is_merge) = self.key(event, &key_span, depth)?;
            let node = self.node(depth + 1)?;
            if node.span.line >= end.line {
                end = node.span.clone();
            }
            if is_merge {
                if let Some((first, _)) = &merge_key {
                    return Err(twice(&key, &key_span, first)
                        .help("merge several mappings by one list: `<<: [*a, *b]`"));
                }
                merge_key = Some((key_span, node));
                continue;
            }
            if let Some(first) = map.0.get(&key) {
                return Err(twice(&key, &key_span, &first.key).help("keep one of the two"));
            }
            let entry = Entry {
                key: key_span,
                key_is_string,
                node,
            };
            map.0.insert(key, entry);
        }
        if let Some((span, source)) = merge_key {
            merge(&mut map, &span, source)?;
        }
        let span = if end.line >= start.line {
            start.to(&end)
        } else {
            start
        };
        Ok(Node::new(Value::Map(map), span))
    }

    /// A key as text, whether it is text in YAML, and whether it is the merge key.
    fn key(
        &mut self,
        event: Event,
        span: &Span,
        depth: usize,
    ) -> Result<(String, bool, bool), Problem> {
        match event {
            Event::Scalar {
                anchor,
                tag,
                text,
                style,
            } => {
                let key = scalar(&text, style, tag.as_deref(), span.clone())?;
                self.anchor(anchor, &key, 1);
                let is_merge = text == "<<" && style == Style::Plain && tag.is_none();
                Ok((text, key.as_str().is_some(), is_merge))
            }
            Event::Alias(anchor) => {
                let key = self.alias(&anchor, span.clone(), depth)?;
                let text = key.scalar_text().ok_or_else(|| complex_key(span))?;
                Ok((text, key.as_str().is_some(), false))
            }
            _ => Err(complex_key(span)),
        }
    }

    fn alias(&mut self, name: &str, span: Span, depth: usize) -> Result<Node, Problem> {
        match self.anchors.get(name) {
            Some(Some(anchor)) => {
                let (nodes, height) = (anchor.nodes, anchor.height);
                self.count(nodes, &span)?;
                if depth + height > MAX_DEPTH {
                    return Err(too_deep(&span));
                }
                let Some(Some(anchor)) = self.anchors.get(name) else {
                    return Ok(Node::new(Value::Null, span));
                };
                let mut node = anchor.node.clone();
                node.add_via_leaves(&ViaKind::Alias, &span);
                Ok(node)
            }
            Some(None) => Err(Problem::at(
                ProblemKind::Cycle,
                &span,
                "this alias stands inside the very value that it names",
            )),
            None => Err(Problem::at(
                ProblemKind::Syntax,
                &span,
                "this alias names no anchor",
            )),
        }
    }

    fn reserve(&mut self, name: Option<&str>) {
        if let Some(name) = name {
            self.anchors.insert(name.to_owned(), None);
        }
    }

    fn anchor(&mut self, name: Option<String>, node: &Node, nodes: usize) {
        if let Some(name) = name {
            let anchor = Anchor {
                node: node.clone(),
                nodes,
                height: height(node),
            };
            self.anchors.insert(name, Some(anchor));
        }
    }
}

/// `<<`: keys that are already there win; of several sources the earlier wins.
fn merge(map: &mut Mapping, span: &Span, source: Node) -> Result<(), Problem> {
    match source.value {
        Value::Map(from) => {
            for (k, mut e) in from.0 {
                if !map.0.contains_key(&k) {
                    e.node.add_via_leaves(&ViaKind::MergeKey, span);
                    map.0.insert(k, e);
                }
            }
            Ok(())
        }
        Value::Seq(items) => items.into_iter().try_for_each(|item| match item.value {
            Value::Map(_) => merge(map, span, item),
            _ => Err(bad_merge(span, &item)),
        }),
        _ => Err(bad_merge(span, &source)),
    }
}

fn bad_merge(span: &Span, found: &Node) -> Problem {
    Problem::at(
        ProblemKind::WrongType,
        span,
        format!(
            "`<<` merges a mapping or a list of mappings, not {}",
            found.kind()
        ),
    )
}

fn too_deep(span: &Span) -> Problem {
    Problem::at(
        ProblemKind::TooLarge,
        span,
        format!("nested deeper than {MAX_DEPTH} levels"),
    )
}

fn height(node: &Node) -> usize {
    match &node.value {
        Value::Seq(items) => 1 + items.iter().map(height).max().unwrap_or(0),
        Value::Map(map) => 1 + map.iter().map(|(_, n)| height(n)).max().unwrap_or(0),
        _ => 1,
    }
}

fn twice(key: &str, again: &Span, first: &Span) -> Problem {
    Problem::at(
        ProblemKind::DuplicateKey,
        again,
        format!("the key `{key}` stands here twice"),
    )
    .related(first, "it is first set here")
}

fn complex_key(span: &Span) -> Problem {
    Problem::at(
        ProblemKind::Syntax,
        span,
        "a key must be a single word or a quoted string",
    )
}

fn app_tag(tag: Option<String>) -> Option<String> {
    tag.filter(|t| !t.starts_with(CORE))
}

fn scalar(text: &str, style: Style, tag: Option<&str>, span: Span) -> Result<Node, Problem> {
    let core = tag.and_then(|t| t.strip_prefix(CORE));
    let plain = style == Style::Plain;
    let value = match core {
        Some("str") => Value::Str(text.into()),
        Some(kind @ ("int" | "float" | "bool" | "null")) => {
            let value = resolve_plain(text);
            let fits = matches!(
                (kind, &value),
                ("int", Value::Int { .. })
                    | ("float", Value::Float { .. } | Value::Int { .. })
                    | ("bool", Value::Bool(_))
                    | ("null", Value::Null)
            );
            if !fits {
                return Err(Problem::at(
                    ProblemKind::WrongType,
                    &span,
                    format!("`{text}` is tagged !!{kind} but is not one"),
                ));
            }
            value
        }
        // A tag of an application makes text of a scalar, as in Go's `yaml.v3`.
        None if plain && tag.is_none() => resolve_plain(text),
        _ => Value::Str(text.into()),
    };
    let mut node = Node::new(value, span);
    node.tag = app_tag(tag.map(str::to_owned));
    Ok(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Node, Problem> {
        parse_one(&SourceFile::new("t.yaml", text))
    }

    #[test]
    fn places_are_those_of_the_text() {
        let n = one("a:\n  b: [1, two]\n  c: 'x'\n").unwrap();
        let b = n.at(&["a", "b"]).unwrap();
        assert_eq!(b.as_seq().unwrap()[1].span.to_string(), "t.yaml:2:10");
        assert_eq!(b.as_seq().unwrap()[1].span.text(), "two");
        assert_eq!(n.at(&["a", "c"]).unwrap().span.text(), "'x'");
        assert_eq!(n.as_map().unwrap().0["a"].key.to_string(), "t.yaml:1:1");
    }

    #[test]
    fn merge_keys_lose_against_keys_and_earlier_sources() {
        let n =
            one("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz:\n  <<: [*x, *y]\n  a: 0\n").unwrap();
        assert_eq!(
            n.get("z").unwrap().to_json(),
            serde_json::json!({"a": 0, "b": 1, "c": 2})
        );
    }

    #[test]
    fn a_key_twice_names_both_places() {
        let p = one("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(p.kind, ProblemKind::DuplicateKey);
        assert_eq!(p.span.unwrap().line, 3);
        assert_eq!(p.related[0].0.line, 1);
    }

    #[test]
    fn aliases_that_multiply_are_refused() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for i in 1..10 {
            let p = i - 1;
            let items = vec![format!("*a{p}"); 10].join(",");
            text.push_str(&format!("a{i}: &a{i} [{items}]\n"));
        }
        assert_eq!(one(&text).unwrap_err().kind, ProblemKind::TooLarge);
    }

    #[test]
    fn deep_nesting_is_refused_without_overflow() {
        let text = format!("a: {}{}", "[".repeat(200), "]".repeat(200));
        assert_eq!(one(&text).unwrap_err().kind, ProblemKind::TooLarge);
    }

    #[test]
    fn aliases_that_nest_are_refused_without_overflow() {
        let mut text = String::from("a0: &a0 [x]\n");
        for i in 1..1400 {
            text.push_str(&format!("a{i}: &a{i} [*a{}]\n", i - 1));
        }
        assert_eq!(one(&text).unwrap_err().kind, ProblemKind::TooLarge);
    }

    #[test]
    fn blank_lines_with_tabs_belong_to_the_comment_before() {
        assert!(one("a: 1\n# note\n\t\n \t # more\nb: 2\n").is_ok());
        assert!(one("a: 1\n\t\nb: 2\n").is_err());
        assert!(one("# note\n\n\t\nb: 2\n").is_err());
        assert!(one("# note\n\ta: 1\n").is_err());
    }

    #[test]
    fn two_merge_keys_in_one_mapping_are_a_duplicate() {
        let p = one("a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a\n").unwrap_err();
        assert_eq!(p.kind, ProblemKind::DuplicateKey);
    }

    #[test]
    fn an_alias_inside_its_own_anchor_is_a_cycle() {
        assert_eq!(one("a: &a [*a]\n").unwrap_err().kind, ProblemKind::Cycle);
    }

    #[test]
    fn tags_of_applications_are_kept() {
        let n = one("ports: !override [1]\ncmd: !reset null\ns: !!str 12\n").unwrap();
        assert_eq!(n.get("ports").unwrap().tag.as_deref(), Some("!override"));
        assert_eq!(n.get("cmd").unwrap().tag.as_deref(), Some("!reset"));
        assert_eq!(n.get("s").unwrap().as_str(), Some("12"));
        let n = one("a: !override 5").unwrap();
        assert_eq!(n.get("a").unwrap().as_str(), Some("5"));
    }
}
