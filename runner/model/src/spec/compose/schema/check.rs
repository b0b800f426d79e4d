//! A document against the table: unknown keys, wrong kinds of values, what is missing.

use std::collections::HashMap;

use super::super::rules::Trail;
use super::kind::{BOOLEAN, INTEGER, NULL, NUMBER, STRING};
use super::{Fields, List, Map, Rule, Shape, is_name};
use crate::diag::{Problem, ProblemKind, Problems, nearest};
use crate::source::Span;
use crate::yaml::{Mapping, Node, Value};

/// Everything in a document that the table does not allow.
pub(in crate::spec::compose) fn check(document: &Node) -> Problems {
    let mut check = Check::default();
    if let Value::Map(map) = &document.value {
        check.fields(map, &super::FILE, &document.span, &Trail::Top);
    }
    check.problems
}

#[derive(Default)]
struct Check {
    problems: Problems,
}

impl Check {
    fn add(&mut self, kind: ProblemKind, span: &Span, what: String) {
        self.problems.push(Problem::at(kind, span, what));
    }

    fn shape(&mut self, node: &Node, shape: &Shape, trail: &Trail<'_>) {
        let fits = match &node.value {
            Value::Null => shape.scalars & NULL != 0,
            Value::Bool(_) => shape.scalars & BOOLEAN != 0,
            Value::Int { .. } => shape.scalars & (INTEGER | NUMBER) != 0,
            Value::Float { value, .. } => {
                shape.scalars & NUMBER != 0
                    || (shape.scalars & INTEGER != 0 && value.fract() == 0.0)
            }
            Value::Str(_) => shape.scalars & STRING != 0,
            Value::Seq(_) => shape.list.is_some(),
            Value::Map(_) => shape.map.is_some(),
        };
        if !fits {
            self.wrong_kind(node, shape, trail);
            return;
        }
        match (&node.value, &shape.list, &shape.map) {
            (Value::Seq(items), Some(list), _) => self.list(items, list, trail),
            (Value::Map(map), _, Some(of)) => self.map(map, of, &node.span, trail),
            _ => self.scalar(node, shape.rule, trail),
        }
    }

    fn wrong_kind(&mut self, node: &Node, shape: &Shape, trail: &Trail<'_>) {
        let kinds = [
            (shape.scalars & STRING != 0, "a string"),
            (shape.scalars & NUMBER != 0, "a number"),
            (shape.scalars & INTEGER != 0, "an integer"),
            (shape.scalars & BOOLEAN != 0, "a boolean"),
            (shape.list.is_some(), "a list"),
            (shape.map.is_some(), "a mapping"),
            (shape.scalars & NULL != 0, "null"),
        ];
        let wanted: Vec<&str> = kinds.iter().filter(|k| k.0).map(|k| k.1).collect();
        let wanted = match wanted.as_slice() {
            [one] => (*one).to_owned(),
            [most @ .., last] => format!("{} or {last}", most.join(", ")),
            [] => "left out".into(),
        };
        let mut problem = Problem::at(
            ProblemKind::WrongType,
            &node.span,
            format!("`{trail}` must be {wanted}, not {}", node.kind()),
        );
        if shape.scalars & STRING != 0
            && let Some(text) = node.scalar_text()
        {
            problem = problem.help(format!("put it in quotes: \"{text}\""));
        }
        self.problems.push(problem);
    }

    fn scalar(&mut self, node: &Node, rule: Rule, trail: &Trail<'_>) {
        if let Value::Str(text) = &node.value
            && is_date(text)
            && node.span.text() == text
        {
            self.problems.push(
                Problem::at(
                    ProblemKind::WrongType,
                    &node.span,
                    format!("`{trail}`: an unquoted date is not text to Compose"),
                )
                .help(format!("put it in quotes: \"{text}\"")),
            );
        }
        let number = match &node.value {
            Value::Int { value, .. } => Some(*value),
            Value::Float { value, .. } => Some(*value as i64),
            _ => None,
        };
        match (rule, node.as_str(), number) {
            (Rule::OneOf(known), Some(text), _) if !known.contains(&text) => {
                let help = match nearest(text, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("use one of: {}", known.join(", ")),
                };
                let what = format!("`{trail}` cannot be `{text}`");
                let problem = Problem::at(ProblemKind::InvalidValue, &node.span, what);
                self.problems.push(problem.help(help));
            }
            (Rule::Fits(fits, wanted), Some(text), _) if !fits(text) => {
                let what = format!("`{trail}` cannot be `{text}`; it must be {wanted}");
                self.add(ProblemKind::InvalidValue, &node.span, what);
            }
            (Rule::Between(low, _), _, Some(n)) if n < low => {
                let what = format!("`{trail}` must be {low} or more");
                self.add(ProblemKind::InvalidValue, &node.span, what);
            }
            (Rule::Between(_, high), _, Some(n)) if n > high => {
                let what = format!("`{trail}` must be {high} or less");
                self.add(ProblemKind::InvalidValue, &node.span, what);
            }
            _ => {}
        }
    }

    fn list(&mut self, items: &[Node], list: &List, trail: &Trail<'_>) {
        for (i, item) in items.iter().enumerate() {
            self.shape(item, list.item, &trail.item(i));
        }
        if !list.unique {
            return;
        }
        let mut seen: HashMap<String, &Node> = HashMap::new();
        for item in items {
            if let Some(first) = seen.insert(item.to_json().to_string(), item) {
                self.problems.push(
                    Problem::at(
                        ProblemKind::InvalidValue,
                        &item.span,
                        format!("`{trail}` holds the same twice"),
                    )
                    .related(&first.span, "the first"),
                );
            }
        }
    }

    fn map(&mut self, map: &Mapping, of: &Map, span: &Span, trail: &Trail<'_>) {
        match of {
            Map::Free => {}
            Map::Of(value) => {
                for (key, node) in map.iter() {
                    self.shape(node, value, &trail.key(key));
                }
            }
            Map::Names { value, strict } => {
                for (key, entry) in &map.0 {
                    if is_name(key) {
                        self.shape(&entry.node, value, &trail.key(key));
                    } else if *strict {
                        let what = format!("`{trail}`: `{key}` cannot be a name");
                        self.problems.push(
                            Problem::at(ProblemKind::UnknownKey, &entry.key, what)
                                .help("use letters, digits, `.`, `_` and `-`"),
                        );
                    }
                }
            }
            Map::Fields(fields) => self.fields(map, fields, span, trail),
        }
    }

    fn fields(&mut self, map: &Mapping, fields: &Fields, span: &Span, trail: &Trail<'_>) {
        for (name, entry) in &map.0 {
            let known = fields.keys.iter().find(|k| k.name == name);
            match known {
                Some(key) => self.shape(&entry.node, &key.shape, &trail.key(name)),
                None if fields.extensions && name.starts_with("x-") => {}
                None if fields.closed => self.unknown(name, &entry.key, fields, trail),
                None => {}
            }
        }
        for name in fields.required {
            if !map.contains_key(name) {
                let what = format!("`{trail}` lacks `{name}`");
                self.add(ProblemKind::Missing, span, what);
            }
        }
    }

    fn unknown(&mut self, name: &str, span: &Span, fields: &Fields, trail: &Trail<'_>) {
        let known = fields.keys.iter().map(|k| k.name);
        let help = match nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if fields.keys.len() <= 10 => {
                let names: Vec<&str> = fields.keys.iter().map(|k| k.name).collect();
                format!("{} has: {}", fields.of, names.join(", "))
            }
            None if fields.extensions => {
                format!("{} has no such key; name it x-{name} to keep it", fields.of)
            }
            None => format!("{} has no such key", fields.of),
        };
        let what = match trail {
            Trail::Top => format!("unknown key `{name}`"),
            _ => format!("unknown key `{name}` in `{trail}`"),
        };
        self.problems
            .push(Problem::at(ProblemKind::UnknownKey, span, what).help(help));
    }
}

/// Whether an unquoted text is a date to YAML 1.1.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |s: &str| (1..=2).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return false;
    }
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, ""),
    };
    let day = date[5..].split_once('-');
    let time_fits = time.is_empty() || time.split(':').count() >= 3;
    time_fits && day.is_some_and(|(month, day)| digits(month) && digits(day))
}
