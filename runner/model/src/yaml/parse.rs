//! Text to tree: anchors, merge keys, duplicate keys, and limits on size and depth.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span as RawSpan, Tag};

use super::{Entry, Mapping, Node, Value, ViaKind, resolve_plain};
use crate::diag::{Problem, ProblemKind};
use crate::source::{SourceFile, Span};

/// Nesting beyond this is refused.
pub const MAX_DEPTH: usize = 128;
/// Values beyond this, aliases expanded, are refused.
pub const MAX_NODES: usize = 1_000_000;

/// Reads every document of a file. Empty documents are null.
///
/// # Errors
/// The first problem: syntax, a duplicate key, an unknown alias, too deep or too large.
pub fn parse_all(file: &Arc<SourceFile>) -> Result<Vec<Node>, Problem> {
    let mut reader = Reader {
        file,
        parser: Parser::new_from_str(&file.text),
        anchors: HashMap::new(),
        nodes: 0,
        ahead: None,
    };
    let mut docs = Vec::new();
    loop {
        let (event, _) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(docs),
            Event::DocumentStart(_) => {
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
    nodes: usize,
}

struct Reader<'f> {
    file: &'f Arc<SourceFile>,
    parser: Parser<'f, saphyr_parser::StrInput<'f>>,
    anchors: HashMap<usize, Option<Anchor>>,
    nodes: usize,
    ahead: Option<(Event<'f>, RawSpan)>,
}

impl<'f> Reader<'f> {
    fn next(&mut self) -> Result<(Event<'f>, RawSpan), Problem> {
        if let Some(e) = self.ahead.take() {
            return Ok(e);
        }
        match self.parser.next_event() {
            None => Ok((Event::StreamEnd, RawSpan::default())),
            Some(Ok(e)) => Ok(e),
            Some(Err(e)) => {
                let m = e.marker();
                let span = Span::in_line(self.file, m.line().max(1) as u32, m.col() as u32 + 1, 1);
                Err(Problem::at(
                    ProblemKind::Syntax,
                    &span,
                    format!("invalid YAML: {}", e.info()),
                ))
            }
        }
    }

    fn span(&self, raw: RawSpan) -> Span {
        Span {
            file: self.file.clone(),
            line: raw.start.line().max(1) as u32,
            col: raw.start.col() as u32 + 1,
            end_line: raw.end.line().max(1) as u32,
            end_col: raw.end.col() as u32 + 1,
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
        let (event, raw) = self.next()?;
        let span = self.span(raw);
        if depth > MAX_DEPTH {
            return Err(Problem::at(
                ProblemKind::TooLarge,
                &span,
                format!("nested deeper than {MAX_DEPTH} levels"),
            ));
        }
        self.count(1, &span)?;
        let before = self.nodes;
        match event {
            Event::Alias(id) => self.alias(id, span),
            Event::Scalar(text, style, id, tag) => {
                let node = scalar(&text, style, tag.as_deref(), span)?;
                self.anchor(id, &node, 1);
                Ok(node)
            }
            Event::SequenceStart(id, tag) => {
                self.reserve(id);
                let mut items = Vec::new();
                let end = loop {
                    let (event, raw) = self.next()?;
                    if matches!(event, Event::SequenceEnd) {
                        break self.span(raw);
                    }
                    self.ahead = Some((event, raw));
                    items.push(self.node(depth + 1)?);
                };
                let end = items.last().map_or(end, |n| n.span.clone());
                let mut node = Node::new(Value::Seq(items), span.to(&end));
                node.tag = app_tag(tag.as_deref());
                self.anchor(id, &node, self.nodes - before + 1);
                Ok(node)
            }
            Event::MappingStart(id, tag) => {
                self.reserve(id);
                let mut node = self.mapping(span, depth)?;
                node.tag = app_tag(tag.as_deref());
                self.anchor(id, &node, self.nodes - before + 1);
                Ok(node)
            }
            _ => Ok(Node::new(Value::Null, span)),
        }
    }

    fn mapping(&mut self, start: Span, depth: usize) -> Result<Node, Problem> {
        let mut map = Mapping::default();
        let mut merges: Vec<(Span, Node)> = Vec::new();
        let mut end = start.clone();
        loop {
            let (event, raw) = self.next()?;
            let key_span = self.span(raw);
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let (key, key_is_string, is_merge) = match event {
                Event::Scalar(text, style, id, tag) => {
                    let key = scalar(&text, style, tag.as_deref(), key_span.clone())?;
                    self.anchor(id, &key, 1);
                    let is_merge = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
                    (
                        text.into_owned(),
                        matches!(key.value, Value::Str(_)),
                        is_merge,
                    )
                }
                Event::Alias(id) => {
                    let key = self.alias(id, key_span.clone())?;
                    let is_string = matches!(key.value, Value::Str(_));
                    match key.scalar_text() {
                        Some(text) => (text, is_string, false),
                        None => return Err(complex_key(&key_span)),
                    }
                }
                _ => return Err(complex_key(&key_span)),
            };
            let node = self.node(depth + 1)?;
            end = if node.span.line >= end.line {
                node.span.clone()
            } else {
                end
            };
            if is_merge {
                merges.push((key_span, node));
                continue;
            }
            if let Some(first) = map.0.get(&key) {
                return Err(Problem::at(
                    ProblemKind::DuplicateKey,
                    &key_span,
                    format!("the key `{key}` stands here twice"),
                )
                .related(&first.key, "it is first set here")
                .help("keep one of the two"));
            }
            map.0.insert(
                key,
                Entry {
                    key: key_span,
                    key_is_string,
                    node,
                },
            );
        }
        for (span, source) in merges {
            merge(&mut map, &span, source)?;
        }
        let span = if end.line >= start.line {
            start.to(&end)
        } else {
            start
        };
        Ok(Node::new(Value::Map(map), span))
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<Node, Problem> {
        match self.anchors.get(&id) {
            Some(Some(anchor)) => {
                let (mut node, nodes) = (anchor.node.clone(), anchor.nodes);
                self.count(nodes, &span)?;
                node.add_via(ViaKind::Alias, span);
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

    fn reserve(&mut self, id: usize) {
        if id != 0 {
            self.anchors.insert(id, None);
        }
    }

    fn anchor(&mut self, id: usize, node: &Node, nodes: usize) {
        if id != 0 {
            self.anchors.insert(
                id,
                Some(Anchor {
                    node: node.clone(),
                    nodes,
                }),
            );
        }
    }
}

/// `<<`: keys that are already there win; of several sources the earlier wins.
fn merge(map: &mut Mapping, span: &Span, source: Node) -> Result<(), Problem> {
    match source.value {
        Value::Map(from) => {
            for (k, mut e) in from.0 {
                if !map.0.contains_key(&k) {
                    e.node.add_via(ViaKind::MergeKey, span.clone());
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

fn complex_key(span: &Span) -> Problem {
    Problem::at(
        ProblemKind::Syntax,
        span,
        "a key must be a single word or a quoted string",
    )
}

fn app_tag(tag: Option<&Tag>) -> Option<String> {
    tag.filter(|t| !t.is_yaml_core_schema())
        .map(|t| format!("{}{}", t.handle, t.suffix))
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Node, Problem> {
    let core = tag
        .filter(|t| t.is_yaml_core_schema())
        .map(|t| t.suffix.as_str());
    let plain = style == ScalarStyle::Plain;
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
        _ if plain => resolve_plain(text),
        _ => Value::Str(text.into()),
    };
    let mut node = Node::new(value, span);
    node.tag = app_tag(tag);
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
    fn an_alias_inside_its_own_anchor_is_a_cycle() {
        assert_eq!(one("a: &a [*a]\n").unwrap_err().kind, ProblemKind::Cycle);
    }

    #[test]
    fn tags_of_applications_are_kept() {
        let n = one("ports: !override [1]\ncmd: !reset null\ns: !!str 12\n").unwrap();
        assert_eq!(n.get("ports").unwrap().tag.as_deref(), Some("!override"));
        assert_eq!(n.get("cmd").unwrap().tag.as_deref(), Some("!reset"));
        assert_eq!(n.get("s").unwrap().as_str(), Some("12"));
    }
}
