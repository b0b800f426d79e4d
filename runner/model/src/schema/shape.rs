//! What keys take, as tables that are written by hand and read by programs.

use serde_json::{Map, Value, json};

/// A key.
#[derive(Debug, Clone, Copy)]
pub struct Arg {
    /// Its name.
    pub name: &'static str,
    /// What it is for, in one line.
    pub help: &'static str,
    /// What it takes.
    pub shape: Shape,
    /// Whether it must be there.
    pub required: bool,
    /// An example of its value, as JSON; empty = none.
    pub example: &'static str,
    /// What is taken where it is absent, in words; empty = nothing is.
    pub default: &'static str,
}

impl Arg {
    /// It must be there.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// With an example of its value, as JSON.
    #[must_use]
    pub const fn eg(mut self, example: &'static str) -> Self {
        self.example = example;
        self
    }

    /// With what is taken where it is absent, in words.
    #[must_use]
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }
}

/// What a key takes.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A text in which templates are rendered; numbers and booleans are taken as texts.
    Text,
    /// A text that is taken as it is: a name.
    Word,
    /// A whole number in a range.
    Integer(i64, i64),
    /// Any number from here on.
    Number(i64),
    /// True or false.
    Flag,
    /// `30s`, `1m30s`.
    Duration,
    /// Any value; templates in it are rendered.
    Any,
    /// An expression (CEL).
    Calc,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Names, each with any value.
    Pairs,
    /// A list of such values.
    List(&'static Shape),
    /// Names, each with such a value.
    Map(&'static Shape),
    /// A mapping with these keys and no others.
    Object(&'static [Arg]),
    /// As [`Shape::Object`], with exactly one of some of its keys.
    One(&'static [Arg], &'static [&'static str]),
    /// As [`Shape::Object`], and `x-` keys are free.
    Open(&'static [Arg]),
    /// A mapping with these keys; others are not looked at.
    Loose(&'static [Arg]),
    /// Nothing.
    Null,
    /// One of several shapes.
    Either(&'static [Shape]),
    /// The arguments of another kind of step.
    Kind(&'static str),
    /// Predicates, as in a matcher.
    Predicates,
    /// A text with this pattern.
    Pattern(&'static str),
}

/// A key that takes a shape.
pub const fn arg(name: &'static str, help: &'static str, shape: Shape) -> Arg {
    Arg {
        name,
        help,
        shape,
        required: false,
        example: "",
        default: "",
    }
}

/// A text with templates.
pub const fn text(name: &'static str, help: &'static str) -> Arg {
    arg(name, help, Shape::Text)
}

/// A name, without templates.
pub const fn word(name: &'static str, help: &'static str) -> Arg {
    arg(name, help, Shape::Word)
}

/// A whole number in a range.
pub const fn integer(name: &'static str, help: &'static str, from: i64, to: i64) -> Arg {
    arg(name, help, Shape::Integer(from, to))
}

/// True or false.
pub const fn flag(name: &'static str, help: &'static str) -> Arg {
    arg(name, help, Shape::Flag)
}

/// A duration.
pub const fn duration(name: &'static str, help: &'static str) -> Arg {
    arg(name, help, Shape::Duration)
}

/// Any value.
pub const fn any(name: &'static str, help: &'static str) -> Arg {
    arg(name, help, Shape::Any)
}

/// An expression.
pub const fn calc(name: &'static str, help: &'static str) -> Arg {
    arg(name, help, Shape::Calc)
}

/// One of some words.
pub const fn choice(name: &'static str, help: &'static str, words: &'static [&'static str]) -> Arg {
    arg(name, help, Shape::Choice(words))
}

/// Names with values.
pub const fn pairs(name: &'static str, help: &'static str) -> Arg {
    arg(name, help, Shape::Pairs)
}

/// A list.
pub const fn list(name: &'static str, help: &'static str, of: &'static Shape) -> Arg {
    arg(name, help, Shape::List(of))
}

/// Names, each with a value of this shape.
pub const fn map(name: &'static str, help: &'static str, of: &'static Shape) -> Arg {
    arg(name, help, Shape::Map(of))
}

/// A mapping with these keys.
pub const fn object(name: &'static str, help: &'static str, keys: &'static [Arg]) -> Arg {
    arg(name, help, Shape::Object(keys))
}

/// One of several shapes.
pub const fn either(name: &'static str, help: &'static str, of: &'static [Shape]) -> Arg {
    arg(name, help, Shape::Either(of))
}

/// The pattern of durations, as `humantime` reads them.
const DURATION: &str = r"^\s*([0-9]+\s*(nsec|ns|usec|us|µs|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|min|m|hours|hour|hrs|hr|h|days|day|d|weeks|week|wk|w|months|month|M|years|year|yr|y)\s*)+$";

impl Shape {
    /// Its schema.
    pub fn schema(self) -> Value {
        match self {
            Shape::Text => json!({ "type": ["string", "number", "boolean"] }),
            Shape::Word => json!({ "type": "string" }),
            Shape::Integer(from, to) => {
                json!({ "type": "integer", "minimum": from, "maximum": to })
            }
            Shape::Number(from) => json!({ "type": "number", "minimum": from }),
            Shape::Flag => json!({ "type": "boolean" }),
            Shape::Duration => json!({ "$ref": "#/$defs/duration" }),
            Shape::Any => json!({}),
            Shape::Calc => json!({ "$ref": "#/$defs/expression" }),
            Shape::Choice(words) => json!({ "enum": words }),
            Shape::Pairs => json!({ "type": "object" }),
            Shape::List(of) => json!({ "type": "array", "items": of.schema() }),
            Shape::Map(of) => json!({ "type": "object", "additionalProperties": of.schema() }),
            Shape::Object(keys) => of_keys(keys, false),
            Shape::One(keys, one) => {
                let mut schema = of_keys(keys, false);
                let each = one.iter().map(|k| json!({ "required": [k] }));
                schema["oneOf"] = each.collect();
                schema
            }
            Shape::Open(keys) => of_keys(keys, true),
            Shape::Loose(keys) => {
                let mut schema = of_keys(keys, false);
                schema["additionalProperties"] = json!(true);
                schema
            }
            Shape::Null => json!({ "type": "null" }),
            Shape::Either(of) => {
                let of: Vec<Value> = of.iter().map(|s| s.schema()).collect();
                json!({ "anyOf": of })
            }
            Shape::Kind(name) => json!({ "$ref": format!("#/$defs/kind.{name}") }),
            Shape::Predicates => json!({ "$ref": "#/$defs/predicates" }),
            Shape::Pattern(pattern) => json!({ "type": "string", "pattern": pattern }),
        }
    }

    /// A value that it takes, as short as can be, for tests and skeletons.
    pub fn sample(self) -> Value {
        match self {
            Shape::Text | Shape::Word | Shape::Any => json!("x"),
            Shape::Integer(from, _) => json!(from.max(1)),
            Shape::Number(from) => json!(from),
            Shape::Flag => json!(true),
            Shape::Duration => json!("1s"),
            Shape::Calc => json!("1 == 1"),
            Shape::Choice(words) => json!(words.first()),
            Shape::Pairs | Shape::Map(_) | Shape::Kind(_) => json!({}),
            Shape::List(of) => json!([of.sample()]),
            Shape::Null => Value::Null,
            Shape::Object(keys) | Shape::Open(keys) | Shape::Loose(keys) | Shape::One(keys, _) => {
                let needed = keys.iter().filter(|a| a.required);
                Value::Object(needed.map(|a| (a.name.to_owned(), a.sample())).collect())
            }
            Shape::Either(of) => of.first().map_or(Value::Null, |s| s.sample()),
            Shape::Predicates => json!({ "exists": true }),
            Shape::Pattern(_) => json!("x:1"),
        }
    }

    /// The keys that it has itself, when it is a mapping of certain keys, or may be one.
    pub fn keys(self) -> Option<&'static [Arg]> {
        match self {
            Shape::Object(keys) | Shape::Open(keys) | Shape::One(keys, _) => Some(keys),
            Shape::Either(of) => of.iter().find_map(|s| s.keys()),
            Shape::List(of) | Shape::Map(of) => of.keys(),
            _ => None,
        }
    }
}

impl Arg {
    /// Its schema, with what it is for.
    pub fn schema(&self) -> Value {
        let mut schema = self.shape.schema();
        if let Some(o) = schema.as_object_mut() {
            o.insert("description".into(), json!(self.said()));
            if let Some(example) = self.example() {
                o.insert("examples".into(), json!([example]));
            }
        }
        schema
    }

    /// What it is for, and what is taken where it is absent.
    fn said(&self) -> String {
        match self.default {
            "" => self.help.to_owned(),
            default => format!("{}; {default} unless said", self.help),
        }
    }

    /// A value that it takes.
    pub fn sample(&self) -> Value {
        self.example().unwrap_or_else(|| self.shape.sample())
    }

    fn example(&self) -> Option<Value> {
        serde_json::from_str(self.example).ok()
    }
}

/// A mapping of these keys.
pub(super) fn of_keys(keys: &[Arg], open: bool) -> Value {
    let properties: Map<String, Value> = keys
        .iter()
        .map(|a| (a.name.to_owned(), a.schema()))
        .collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    let required: Vec<&str> = keys.iter().filter(|a| a.required).map(|a| a.name).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if open {
        schema["patternProperties"] = free();
    }
    schema
}

/// Keys that are free.
pub(super) fn free() -> Value {
    json!({ "^x-": {} })
}

/// Definitions that shapes refer to.
pub(super) fn definitions() -> Map<String, Value> {
    let mut defs = Map::new();
    defs.insert(
        "duration".into(),
        json!({
            "description": "A number with a unit",
            "type": "string",
            "pattern": DURATION,
            "examples": ["800ms", "30s", "1m30s"],
        }),
    );
    defs.insert(
        "expression".into(),
        json!({
            "description": "An expression in CEL on the fields of the result, variables and captures",
            "type": "string",
            "pattern": "\\S",
            "examples": ["status == 200", "size(json.items) > 0"],
        }),
    );
    defs
}
