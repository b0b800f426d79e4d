//! Single values in the normal form.

use std::sync::Arc;

use super::super::interpolate::{read_boolean, widened};
use super::super::rules::Trail;
use super::super::schema::Form;
use super::super::values::{duration_text, printed, read_duration, read_size, split_words};
use crate::diag::{Problem, ProblemKind};
use crate::source::Span;
use crate::yaml::{Entry, Mapping, Node, Value, Via};

/// A value in its form; none when it is empty and left out.
pub(super) fn write(node: Node, form: Form, trail: &Trail<'_>) -> Result<Option<Node>, Problem> {
    if node.is_null() {
        return Ok(None);
    }
    let place = Place {
        span: node.span.clone(),
        via: node.via.clone(),
    };
    let value = match form {
        Form::Text => text(&node, trail)?
            .filter(|t| !t.is_empty())
            .map(Value::Str),
        Form::Bool => boolean(&node, trail)?.filter(|b| *b).map(Value::Bool),
        Form::BoolOrFalse => boolean(&node, trail)?.map(Value::Bool),
        Form::Int => Some(whole(&node, trail, true)?)
            .filter(|n| *n != 0)
            .map(int),
        Form::Unsigned => Some(unsigned(&node, trail, true)?)
            .filter(|n| *n != 0)
            .map(int),
        Form::UnsignedOrZero => Some(int(unsigned(&node, trail, true)?)),
        Form::Strict => Some(unsigned(&node, trail, false)?)
            .filter(|n| *n != 0)
            .map(int),
        Form::IntOrZero => Some(int(whole(&node, trail, true)?)),
        Form::Single => single(&node, trail)?,
        Form::Size => size(&node, trail)?,
        Form::Duration => Some(duration(&node, trail)?)
            .filter(|t| t != "0s")
            .map(Value::Str),
        Form::DurationOrZero => Some(Value::Str(duration(&node, trail)?)),
        Form::FileMode => Some(Value::Str(file_mode(&node, trail)?)),
        Form::Count => count(&node, trail)?,
        Form::Texts => texts(node, trail)?,
        Form::Command => Some(command(node, trail)?),
        Form::Test => test(node),
        Form::Environment => mapping(node, false, trail)?,
        Form::Mapping => mapping(node, true, trail)?,
        Form::TextMapping => {
            require_texts(&node, trail)?;
            mapping(node, true, trail)?
        }
        Form::MultiMapping => multi_mapping(node),
        Form::Hosts => hosts(node, trail)?,
        Form::Ulimits => ulimits(node, trail)?,
        Form::Ssh => ssh(node),
        Form::Fields | Form::FieldsAlways | Form::List | Form::Named | Form::LeftOut => None,
    };
    Ok(value.map(|value| place.node(value)))
}

struct Place {
    span: Span,
    via: Option<Arc<Via>>,
}

impl Place {
    fn of(node: &Node) -> Self {
        Self {
            span: node.span.clone(),
            via: node.via.clone(),
        }
    }

    fn node(self, value: Value) -> Node {
        let mut node = Node::new(value, self.span);
        node.via = self.via;
        node
    }
}

fn invalid(node: &Node, trail: &Trail<'_>, why: impl std::fmt::Display) -> Problem {
    let what = format!("`{trail}`: {why}");
    Problem::at(ProblemKind::InvalidValue, &node.span, what)
}

fn wrong(node: &Node, trail: &Trail<'_>, wanted: &str) -> Problem {
    Problem::at(
        ProblemKind::WrongType,
        &node.span,
        format!("`{trail}` must be {wanted}, not {}", node.kind()),
    )
}

fn int(value: i64) -> Value {
    Value::Int {
        value,
        raw: value.to_string(),
    }
}

fn text(node: &Node, trail: &Trail<'_>) -> Result<Option<String>, Problem> {
    match &node.value {
        Value::Str(text) => Ok(Some(text.clone())),
        Value::Int { value, .. } => Ok(Some(value.to_string())),
        _ => Err(wrong(node, trail, "a text")),
    }
}

fn boolean(node: &Node, trail: &Trail<'_>) -> Result<Option<bool>, Problem> {
    match &node.value {
        Value::Bool(b) => Ok(Some(*b)),
        Value::Str(text) => match read_boolean(text) {
            Some((value, _)) => Ok(Some(value)),
            None => Err(invalid(
                node,
                trail,
                format!("`{text}` is not true or false"),
            )),
        },
        _ => Err(wrong(node, trail, "a boolean")),
    }
}

fn whole(node: &Node, trail: &Trail<'_>, from_text: bool) -> Result<i64, Problem> {
    match &node.value {
        Value::Int { value, .. } => Ok(*value),
        Value::Float { value, .. } => Ok(*value as i64),
        Value::Str(text) if from_text => text
            .parse()
            .map_err(|_| invalid(node, trail, format!("`{text}` is not a whole number"))),
        Value::Str(text) => Err(invalid(
            node,
            trail,
            format!("the number `{text}` must be written without quotes"),
        )),
        _ => Err(wrong(node, trail, "a whole number")),
    }
}

fn unsigned(node: &Node, trail: &Trail<'_>, from_text: bool) -> Result<i64, Problem> {
    match whole(node, trail, from_text)? {
        number @ ..0 => Err(invalid(
            node,
            trail,
            format!("{number} is less than nothing"),
        )),
        number => Ok(number),
    }
}

fn require_texts(node: &Node, trail: &Trail<'_>) -> Result<(), Problem> {
    let map = node.as_map().into_iter().flat_map(Mapping::iter);
    for (key, value) in map {
        if !matches!(value.value, Value::Str(_) | Value::Int { .. } | Value::Null) {
            return Err(wrong(value, &trail.key(key), "a text"));
        }
    }
    Ok(())
}

fn single(node: &Node, trail: &Trail<'_>) -> Result<Option<Value>, Problem> {
    let number = match &node.value {
        Value::Int { value, .. } => *value as f32,
        Value::Float { value, .. } => *value as f32,
        Value::Str(text) => match text.parse::<f64>() {
            Ok(number) => number as f32,
            Err(_) => return Err(invalid(node, trail, format!("`{text}` is not a number"))),
        },
        _ => return Err(wrong(node, trail, "a number")),
    };
    let number = widened(number);
    Ok((number != 0.0).then(|| Value::Float {
        value: number,
        raw: number.to_string(),
    }))
}

fn size(node: &Node, trail: &Trail<'_>) -> Result<Option<Value>, Problem> {
    let bytes = match &node.value {
        Value::Int { value, .. } => *value,
        Value::Str(text) => read_size(text).map_err(|why| invalid(node, trail, why))?,
        // Compose takes no number with a point for a size.
        _ => 0,
    };
    Ok((bytes != 0).then(|| Value::Str(bytes.to_string())))
}

fn duration(node: &Node, trail: &Trail<'_>) -> Result<String, Problem> {
    let text = printed(node).unwrap_or_default();
    let nanos = read_duration(&text).map_err(|why| invalid(node, trail, why))?;
    Ok(duration_text(nanos))
}

fn file_mode(node: &Node, trail: &Trail<'_>) -> Result<String, Problem> {
    let mode = match &node.value {
        Value::Int { value, .. } => *value,
        Value::Str(text) => i64::from_str_radix(text, 8)
            .map_err(|_| invalid(node, trail, format!("`{text}` is not an octal number")))?,
        _ => return Err(wrong(node, trail, "an octal number")),
    };
    let sign = if mode < 0 { "-" } else { "" };
    Ok(format!("0{sign}{:o}", mode.unsigned_abs()))
}

fn count(node: &Node, trail: &Trail<'_>) -> Result<Option<Value>, Problem> {
    let number = match &node.value {
        Value::Str(text) if text.eq_ignore_ascii_case("all") => -1,
        Value::Str(text) => text
            .parse()
            .map_err(|_| invalid(node, trail, format!("`{text}` is not `all` or a number")))?,
        Value::Int { value, .. } => *value,
        _ => return Err(wrong(node, trail, "`all` or a whole number")),
    };
    Ok((number != 0).then(|| int(number)))
}

fn texts(node: Node, trail: &Trail<'_>) -> Result<Option<Value>, Problem> {
    let place = Place::of(&node);
    let items = match node.value {
        Value::Seq(items) => items,
        Value::Str(_) => return Ok(Some(Value::Seq(vec![place.node(node.value)]))),
        _ => return Err(wrong(&node, trail, "a text or a list")),
    };
    let mut out = Vec::with_capacity(items.len());
    for item in items {
        let text = printed(&item).unwrap_or_default();
        out.push(Place::of(&item).node(Value::Str(text)));
    }
    Ok((!out.is_empty()).then_some(Value::Seq(out)))
}

fn command(node: Node, trail: &Trail<'_>) -> Result<Value, Problem> {
    match &node.value {
        Value::Str(line) => {
            let words = split_words(line).map_err(|why| invalid(&node, trail, why))?;
            let words = words.into_iter().map(Value::Str);
            Ok(Value::Seq(
                words.map(|w| Place::of(&node).node(w)).collect(),
            ))
        }
        Value::Seq(_) => Ok(node.value),
        _ => Err(wrong(&node, trail, "a text or a list")),
    }
}

fn test(node: Node) -> Option<Value> {
    match &node.value {
        Value::Str(line) => {
            let words = ["CMD-SHELL".to_owned(), line.clone()];
            let words = words.map(|w| Place::of(&node).node(Value::Str(w)));
            Some(Value::Seq(words.into()))
        }
        Value::Seq(items) if !items.is_empty() => Some(node.value),
        _ => None,
    }
}

/// Names and texts, from a mapping or from a list of `name=text`. A name alone is null, or
/// empty when null is not allowed.
fn mapping(node: Node, no_null: bool, trail: &Trail<'_>) -> Result<Option<Value>, Problem> {
    let mut out = Mapping::default();
    let mut add = |name: String, key: Span, place: Place, text: Option<String>| {
        let value = match text {
            Some(text) => Value::Str(text),
            None if no_null => Value::Str(String::new()),
            None => Value::Null,
        };
        let entry = Entry {
            key,
            key_is_string: true,
            node: place.node(value),
        };
        out.0.insert(name, entry);
    };
    match node.value {
        Value::Map(map) => {
            for (name, entry) in map.0 {
                let text = printed(&entry.node);
                add(name, entry.key, Place::of(&entry.node), text);
            }
        }
        Value::Seq(items) => {
            for item in items {
                let pair = printed(&item).unwrap_or_default();
                let (name, text) = match pair.split_once('=') {
                    Some((name, text)) => (name, Some(text.to_owned())),
                    None => (pair.as_str(), None),
                };
                if !no_null && name.ends_with(char::is_whitespace) {
                    return Err(invalid(&item, trail, format!("`{name}` ends in a space")));
                }
                add(name.to_owned(), item.span.clone(), Place::of(&item), text);
            }
        }
        _ => return Err(wrong(&node, trail, "a list or a mapping")),
    }
    Ok((!out.is_empty()).then_some(Value::Map(out)))
}

fn multi_mapping(node: Node) -> Option<Value> {
    let Value::Map(map) = node.value else {
        return None;
    };
    let mut out = Mapping::default();
    for (name, mut entry) in map.0 {
        let place = Place::of(&entry.node);
        let items = match entry.node.value {
            Value::Seq(items) => items,
            _ => vec![entry.node],
        };
        let texts = items.iter().map(|item| {
            let text = printed(item).unwrap_or_default();
            Place::of(item).node(Value::Str(text))
        });
        let list = Value::Seq(texts.collect());
        entry.node = place.node(list);
        out.0.insert(name, entry);
    }
    (!out.is_empty()).then_some(Value::Map(out))
}

/// Host names and their addresses, as sorted `host=address`.
fn hosts(node: Node, trail: &Trail<'_>) -> Result<Option<Value>, Problem> {
    let mut pairs: Vec<(String, Node)> = Vec::new();
    let mut none = true;
    match node.value {
        Value::Map(map) => {
            none = map.is_empty();
            for (host, entry) in map.0 {
                let addresses = match entry.node.value {
                    Value::Seq(items) => items,
                    _ => vec![entry.node],
                };
                pairs.extend(addresses.into_iter().map(|a| (host.clone(), a)));
            }
        }
        Value::Seq(items) => {
            for item in items {
                let text = printed(&item).unwrap_or_default();
                let split = text.split_once('=').or_else(|| text.split_once(':'));
                let Some((host, addresses)) = split else {
                    return Err(invalid(&item, trail, format!("`{text}` has no address"))
                        .help("write host=address"));
                };
                for address in addresses.split(',') {
                    let node = Place::of(&item).node(Value::Str(address.to_owned()));
                    pairs.push((host.to_owned(), node));
                }
            }
        }
        _ => return Err(wrong(&node, trail, "a list or a mapping")),
    }
    let mut out = Vec::with_capacity(pairs.len());
    for (host, node) in pairs {
        if host.is_empty() || host.contains([':', '=']) {
            return Err(invalid(
                &node,
                trail,
                format!("`{host}` is not a host's name"),
            ));
        }
        let address = printed(&node).unwrap_or_default();
        let inner = address.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
        let address = inner.filter(|a| !a.is_empty()).unwrap_or(&address);
        out.push(Place::of(&node).node(Value::Str(format!("{host}={address}"))));
    }
    out.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
    Ok((!(none && out.is_empty())).then_some(Value::Seq(out)))
}

fn ulimits(node: Node, trail: &Trail<'_>) -> Result<Option<Value>, Problem> {
    let Value::Map(map) = node.value else {
        return Ok(None);
    };
    let mut out = Mapping::default();
    for (name, mut entry) in map.0 {
        let trail = trail.key(&name);
        let place = Place::of(&entry.node);
        entry.node = match entry.node.value {
            Value::Map(pair) => {
                let mut both = Mapping::default();
                for side in ["soft", "hard"] {
                    if let Some(limit) = pair.get(side) {
                        let number = whole(limit, &trail.key(side), true)?;
                        if number != 0 {
                            both.insert(side, Place::of(limit).node(int(number)));
                        }
                    }
                }
                place.node(Value::Map(both))
            }
            _ => match whole(&entry.node, &trail, true)? {
                0 => place.node(Value::Map(Mapping::default())),
                number => place.node(int(number)),
            },
        };
        out.0.insert(name, entry);
    }
    Ok((!out.is_empty()).then_some(Value::Map(out)))
}

/// Keys for builds as `id` or `id=path`.
fn ssh(node: Node) -> Option<Value> {
    let Value::Map(map) = node.value else {
        return None;
    };
    let keys = map.0.into_iter().map(|(id, entry)| {
        let text = match printed(&entry.node) {
            Some(path) if !path.is_empty() => format!("{id}={path}"),
            _ => id,
        };
        Place::of(&entry.node).node(Value::Str(text))
    });
    let keys: Vec<Node> = keys.collect();
    (!keys.is_empty()).then_some(Value::Seq(keys))
}
