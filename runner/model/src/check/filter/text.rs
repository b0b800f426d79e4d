//! Filters of texts.

use serde_json::Value as Json;

use super::{Boxed, Filter, Made, Simple, text_of, value, wrong};
use crate::check::predicate::Pattern;
use crate::check::show::cut;
use crate::check::subject::Subject;
use crate::diag::{Problem, ProblemKind};
use crate::yaml::{Mapping, Node};

pub(super) fn trim() -> Boxed {
    Box::new(Simple(|v| value(text_of(&v)?.trim())))
}

pub(super) fn lower() -> Boxed {
    Box::new(Simple(|v| value(text_of(&v)?.to_lowercase())))
}

pub(super) fn upper() -> Boxed {
    Box::new(Simple(|v| value(text_of(&v)?.to_uppercase())))
}

#[derive(Debug)]
struct Split(String);

pub(super) fn split(node: &Node) -> Result<Boxed, Problem> {
    match node.as_str() {
        Some("") => Err(Problem::at(
            ProblemKind::InvalidValue,
            &node.span,
            "`split` takes the text between the parts, and it is empty",
        )),
        Some(s) => Ok(Box::new(Split(s.to_owned()))),
        None => Err(wrong(node, "`split` takes the text between the parts")),
    }
}

impl Filter for Split {
    fn apply<'a>(&self, v: Subject<'a>) -> Result<Made<'a>, String> {
        let parts: Vec<Json> = text_of(&v)?.split(&self.0).map(Json::from).collect();
        value(parts)
    }
}

#[derive(Debug)]
struct Regex {
    pattern: Pattern,
    group: Option<usize>,
}

/// `regex` beside a source, as captures have it.
pub(super) fn part(pattern: Pattern, group: Option<usize>) -> Boxed {
    Box::new(Regex { pattern, group })
}

pub(super) fn regex(node: &Node) -> Result<Boxed, Problem> {
    let Some(map) = node.as_map() else {
        let pattern = Pattern::read(node)?;
        return Ok(Box::new(Regex {
            pattern,
            group: None,
        }));
    };
    only(map, &["pattern", "group"], "`regex`")?;
    let pattern = map
        .get("pattern")
        .ok_or_else(|| wrong(node, "`regex` takes a `pattern`"))?;
    let group = match map.get("group") {
        None => None,
        Some(n) => Some(
            n.as_int()
                .and_then(|g| usize::try_from(g).ok())
                .ok_or_else(|| wrong(n, "`group` is the number of a group, from 0"))?,
        ),
    };
    Ok(Box::new(Regex {
        pattern: Pattern::read(pattern)?,
        group,
    }))
}

impl Filter for Regex {
    fn apply<'a>(&self, v: Subject<'a>) -> Result<Made<'a>, String> {
        let json = v.json();
        let written;
        let text = match (&v, json.as_ref()) {
            (Subject::Bytes(_), _) => text_of(&v)?,
            (_, Json::String(s)) => s.as_str(),
            // What is no text is matched as it is written.
            (_, other) => {
                written = other.to_string();
                &written
            }
        };
        let found = self.pattern.regex().captures(text).and_then(|c| {
            // Without a group of its own, the whole match is meant.
            let group = if c.len() > 1 {
                self.group.unwrap_or(1)
            } else {
                0
            };
            c.get(group).map(|m| m.as_str().to_owned())
        });
        match found {
            Some(part) => value(part),
            None => Ok(Made::Nothing(format!(
                "{} does not match {}",
                cut(&Json::from(text).to_string()),
                self.pattern.source()
            ))),
        }
    }
}

#[derive(Debug)]
enum Replace {
    Text(String, String),
    Regex(Pattern, String),
}

pub(super) fn replace(node: &Node) -> Result<Boxed, Problem> {
    let text = |n: Option<&Node>, key: &str| {
        n.and_then(Node::scalar_text)
            .ok_or_else(|| wrong(n.unwrap_or(node), &format!("`{key}` is a text")))
    };
    if let Some([from, to]) = node.as_seq() {
        let from = not_empty(text(Some(from), "from")?, from)?;
        return Ok(Box::new(Replace::Text(from, text(Some(to), "to")?)));
    }
    let Some(map) = node.as_map() else {
        return Err(wrong(node, "`replace` takes `from` (or `regex`) and `to`"));
    };
    only(map, &["from", "regex", "to"], "`replace`")?;
    let to = text(map.get("to"), "to")?;
    match (map.get("from"), map.get("regex")) {
        (Some(n), None) => Ok(Box::new(Replace::Text(
            not_empty(text(Some(n), "from")?, n)?,
            to,
        ))),
        (None, Some(n)) => Ok(Box::new(Replace::Regex(Pattern::read(n)?, to))),
        _ => Err(Problem::at(
            ProblemKind::Conflict,
            &node.span,
            "`replace` takes either `from` or `regex`",
        )),
    }
}

fn not_empty(from: String, node: &Node) -> Result<String, Problem> {
    if from.is_empty() {
        return Err(Problem::at(
            ProblemKind::InvalidValue,
            &node.span,
            "`from` is empty",
        ));
    }
    Ok(from)
}

/// Texts that grow by a replacement are bounded, as bodies are.
const LARGEST: usize = 64 * 1024 * 1024;

impl Filter for Replace {
    fn apply<'a>(&self, v: Subject<'a>) -> Result<Made<'a>, String> {
        let text = text_of(&v)?;
        let (times, to) = match self {
            Replace::Text(from, to) => (text.matches(from.as_str()).count(), to),
            Replace::Regex(p, to) => (p.regex().find_iter(text).count(), to),
        };
        if text.len().saturating_add(times.saturating_mul(to.len())) > LARGEST {
            return Err("a text that is not too large when replaced".into());
        }
        match self {
            Replace::Text(from, to) => value(text.replace(from.as_str(), to)),
            Replace::Regex(p, to) => value(p.regex().replace_all(text, to.as_str()).into_owned()),
        }
    }
}

/// Refuses keys that an argument does not have.
fn only(map: &Mapping, known: &[&str], of: &str) -> Result<(), Problem> {
    match map.0.iter().find(|(k, _)| !known.contains(&k.as_str())) {
        None => Ok(()),
        Some((key, entry)) => Err(Problem::at(
            ProblemKind::UnknownKey,
            &entry.key,
            format!("unknown key `{key}` in {of}"),
        )
        .help(format!("it has {}", known.join(", ")))),
    }
}
