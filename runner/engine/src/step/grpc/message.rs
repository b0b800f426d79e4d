//! Between values of a scenario and messages, by the descriptors of the server.

use prodmirror_model::diag::{Problem, ProblemKind, nearest};
use prodmirror_model::source::Span;
use prodmirror_model::template::has_tags;
use prodmirror_model::yaml::{Node, Value as Yaml};
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, SerializeOptions,
};
use serde_json::{Map, Number, Value as Json};

/// Why a value does not fit a message.
#[derive(Debug)]
pub(super) struct Misfit {
    what: String,
    help: Option<String>,
    /// The path inside the message: `items[0].sku`.
    path: String,
}

impl Misfit {
    fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            help: None,
            path: String::new(),
        }
    }

    fn maybe(mut self, near: Option<&str>, all: impl FnOnce() -> String) -> Self {
        self.help = Some(match near {
            Some(n) => format!("did you mean `{n}`?"),
            None => all(),
        });
        self
    }

    fn under(mut self, segment: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{segment}{dot}{}", self.path);
        self
    }

    /// As a problem at a place.
    pub fn at(self, span: &Span) -> Problem {
        let message = if self.path.is_empty() {
            self.what
        } else {
            format!("`{}`: {}", self.path, self.what)
        };
        let mut p = Problem::at(ProblemKind::InvalidValue, span, message);
        p.help = self.help;
        p
    }
}

/// Makes a message of a value. Texts, numbers and booleans take the type of their field
/// where they can.
pub(super) fn from_json(value: Json, kind: &MessageDescriptor) -> Result<DynamicMessage, Misfit> {
    let fitted = message(value, kind)?;
    DynamicMessage::deserialize(kind.clone(), fitted).map_err(|e| Misfit::new(e.to_string()))
}

/// A message as JSON: as proto3 has it, with whole numbers of 64 bits as numbers, and with
/// fields that have their default value.
pub(super) fn to_json(message: &DynamicMessage) -> Result<Json, serde_json::Error> {
    const OPTIONS: SerializeOptions = SerializeOptions::new()
        .stringify_64_bit_integers(false)
        .skip_default_fields(false);
    message.serialize_with_options(serde_json::value::Serializer, &OPTIONS)
}

fn message(value: Json, kind: &MessageDescriptor) -> Result<Json, Misfit> {
    match kind.full_name() {
        "google.protobuf.Any"
        | "google.protobuf.Struct"
        | "google.protobuf.Value"
        | "google.protobuf.ListValue" => return Ok(plain(value)),
        "google.protobuf.Timestamp" | "google.protobuf.Duration" | "google.protobuf.FieldMask" => {
            return match value {
                Json::String(_) => Ok(value),
                other => Err(Misfit::new(format!(
                    "{} is written as a text, found {other}",
                    kind.full_name()
                ))),
            };
        }
        name if name.starts_with("google.protobuf.") && name.ends_with("Value") => {
            return match kind.get_field_by_name("value") {
                Some(field) if !value.is_null() => single(value, &field.kind()),
                _ => Ok(value),
            };
        }
        _ => {}
    }
    let Json::Object(fields) = value else {
        return Err(Misfit::new(format!(
            "a {} is a mapping, found {value}",
            kind.full_name()
        )));
    };
    let mut fitted = Map::with_capacity(fields.len());
    for (name, value) in fields {
        let field = find(kind, &name)?;
        if value.is_null() && !takes_null(&field) {
            continue;
        }
        let value = entry(value, &field).map_err(|m| m.under(&name))?;
        fitted.insert(name, value);
    }
    Ok(Json::Object(fitted))
}

fn takes_null(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(m) => m.full_name() == "google.protobuf.Value",
        Kind::Enum(e) => e.full_name() == "google.protobuf.NullValue",
        _ => false,
    }
}

fn find(kind: &MessageDescriptor, name: &str) -> Result<FieldDescriptor, Misfit> {
    if let Some(field) = kind
        .get_field_by_json_name(name)
        .or_else(|| kind.get_field_by_name(name))
    {
        return Ok(field);
    }
    let names: Vec<String> = kind.fields().map(|f| f.name().to_owned()).collect();
    let what = format!("{} has no field `{name}`", kind.full_name());
    let near = nearest(name, names.iter().map(String::as_str));
    Err(Misfit::new(what).maybe(near, || match names.as_slice() {
        [] => "it has no fields at all".into(),
        _ => format!("its fields: {}", names.join(", ")),
    }))
}

fn entry(value: Json, field: &FieldDescriptor) -> Result<Json, Misfit> {
    if field.is_map() {
        let Kind::Message(pair) = field.kind() else {
            return Ok(value);
        };
        let kind = pair.map_entry_value_field().kind();
        let Json::Object(map) = value else {
            return Err(Misfit::new(format!("expected a mapping, found {value}")));
        };
        let fitted = map.into_iter().map(|(k, v)| {
            let v = single(v, &kind).map_err(|m| m.under(&k))?;
            Ok((k, v))
        });
        return fitted.collect::<Result<_, _>>().map(Json::Object);
    }
    if field.is_list() {
        let Json::Array(items) = value else {
            return Err(Misfit::new(format!("expected a list, found {value}")));
        };
        let kind = field.kind();
        let fitted = items
            .into_iter()
            .enumerate()
            .map(|(i, v)| single(v, &kind).map_err(|m| m.under(&format!("[{i}]"))));
        return fitted.collect::<Result<_, _>>().map(Json::Array);
    }
    single(value, &field.kind())
}

fn single(value: Json, kind: &Kind) -> Result<Json, Misfit> {
    match kind {
        Kind::Message(m) => message(value, m),
        Kind::Enum(e) => enumeration(value, e),
        Kind::String => match value {
            Json::String(_) => Ok(value),
            Json::Number(n) => Ok(Json::String(n.to_string())),
            Json::Bool(b) => Ok(Json::String(b.to_string())),
            other => Err(wrong("a text", &other)),
        },
        Kind::Bytes => match value {
            Json::String(_) => Ok(value),
            other => Err(wrong("bytes as a text in base64", &other)),
        },
        Kind::Bool => match value {
            Json::Bool(_) => Ok(value),
            Json::String(s) if s == "true" => Ok(Json::Bool(true)),
            Json::String(s) if s == "false" => Ok(Json::Bool(false)),
            other => Err(wrong("true or false", &other)),
        },
        Kind::Double | Kind::Float => match &value {
            Json::Number(n) => Ok(decimal(n).unwrap_or(value)),
            Json::String(s)
                if matches!(s.as_str(), "NaN" | "Infinity" | "-Infinity")
                    || s.trim().parse::<f64>().is_ok() =>
            {
                Ok(Json::String(s.trim().to_owned()))
            }
            other => Err(wrong("a number", other)),
        },
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
            whole(&value, i32::MIN.into(), i32::MAX.into())
        }
        Kind::Uint32 | Kind::Fixed32 => whole(&value, 0, u32::MAX.into()),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            whole(&value, i64::MIN.into(), i64::MAX.into())
        }
        Kind::Uint64 | Kind::Fixed64 => whole(&value, 0, u64::MAX.into()),
    }
}

fn wrong(wanted: &str, found: &Json) -> Misfit {
    Misfit::new(format!("expected {wanted}, found {found}"))
}

/// A whole number within bounds; `3.0` and `"3"` are whole.
fn whole(value: &Json, least: i128, most: i128) -> Result<Json, Misfit> {
    let text = match value {
        Json::Number(n) => n.to_string(),
        Json::String(s) => s.trim().to_owned(),
        other => return Err(wrong("a whole number", other)),
    };
    let number = text.parse::<i128>().ok().or_else(|| {
        // Larger decimals are not exact.
        let f = text.parse::<f64>().ok()?;
        (f.fract() == 0.0 && f.abs() < 9e15).then_some(f as i128)
    });
    match number {
        Some(n) if n >= least && n <= most => Ok(Json::String(n.to_string())),
        Some(_) => Err(wrong(
            &format!("a whole number from {least} to {most}"),
            value,
        )),
        None => Err(wrong("a whole number", value)),
    }
}

fn enumeration(value: Json, kind: &EnumDescriptor) -> Result<Json, Misfit> {
    let Json::String(name) = &value else {
        return match &value {
            Json::Number(n) => n
                .as_i64()
                .map(Json::from)
                .ok_or_else(|| wrong("a value of an enumeration", &value)),
            Json::Null => Ok(value),
            other => Err(wrong("the name of a value", other)),
        };
    };
    if kind.get_value_by_name(name).is_some() {
        return Ok(value);
    }
    if let Ok(number) = name.parse::<i32>() {
        return Ok(number.into());
    }
    let names: Vec<String> = kind.values().map(|v| v.name().to_owned()).collect();
    let what = format!("{} has no value `{name}`", kind.full_name());
    let near = nearest(name, names.iter().map(String::as_str));
    Err(Misfit::new(what).maybe(near, || format!("its values: {}", names.join(", "))))
}

/// A number that every reader of JSON takes for one: numbers of scenarios keep their digits,
/// which those of other libraries do not know.
fn decimal(n: &Number) -> Option<Json> {
    Number::from_f64(n.as_f64()?).map(Json::Number)
}

/// Any value, with numbers that others can read.
fn plain(value: Json) -> Json {
    match value {
        Json::Number(n) if n.is_i64() || n.is_u64() => Json::Number(n),
        Json::Number(n) => decimal(&n).unwrap_or(Json::Null),
        Json::Array(items) => Json::Array(items.into_iter().map(plain).collect()),
        Json::Object(map) => Json::Object(map.into_iter().map(|(k, v)| (k, plain(v))).collect()),
        other => other,
    }
}

/// Reports all that does not fit, each at its own place. Values with templates are looked at
/// when the step runs.
pub(super) fn check(node: &Node, kind: &MessageDescriptor, problems: &mut Vec<Problem>) {
    let own = kind.full_name().starts_with("google.protobuf.") && kind.fields().len() > 0;
    let (Yaml::Map(map), false) = (&node.value, own) else {
        leaf(node, problems, |value| message(value, kind));
        return;
    };
    for (name, e) in &map.0 {
        if has_tags(name) {
            continue;
        }
        match find(kind, name) {
            Err(misfit) => problems.push(misfit.at(&e.key)),
            Ok(field) => check_entry(&e.node, &field, problems),
        }
    }
}

fn check_entry(node: &Node, field: &FieldDescriptor, problems: &mut Vec<Problem>) {
    match (&node.value, field.kind()) {
        (Yaml::Map(map), Kind::Message(pair)) if field.is_map() => {
            let kind = pair.map_entry_value_field().kind();
            for (_, e) in &map.0 {
                check_single(&e.node, &kind, problems);
            }
        }
        (Yaml::Seq(items), kind) if field.is_list() => {
            for item in items {
                check_single(item, &kind, problems);
            }
        }
        (Yaml::Null, _) => {}
        (_, kind) if !field.is_list() && !field.is_map() => check_single(node, &kind, problems),
        _ => leaf(node, problems, |value| entry(value, field)),
    }
}

fn check_single(node: &Node, kind: &Kind, problems: &mut Vec<Problem>) {
    match kind {
        Kind::Message(m) => check(node, m, problems),
        kind => leaf(node, problems, |value| single(value, kind)),
    }
}

fn leaf(node: &Node, problems: &mut Vec<Problem>, fit: impl FnOnce(Json) -> Result<Json, Misfit>) {
    if any_tags(node) {
        return;
    }
    if let Err(misfit) = fit(node.to_json()) {
        problems.push(misfit.at(&node.span));
    }
}

fn any_tags(node: &Node) -> bool {
    match &node.value {
        Yaml::Str(s) => has_tags(s),
        Yaml::Seq(items) => items.iter().any(any_tags),
        Yaml::Map(map) => map.0.iter().any(|(k, e)| has_tags(k) || any_tags(&e.node)),
        _ => false,
    }
}
