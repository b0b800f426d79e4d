//! Decoding a [`Node`] with serde, keeping places.
//!
//! An error points at the innermost value it concerns; an unknown key names the nearest
//! known one. [`Spanned`] keeps a value's place beside it.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;

use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::{Entry, Node, Value};
use crate::diag::{Problem, ProblemKind, nearest};
use crate::source::Span;

const SPANNED: &str = "$prodmirror::Spanned";

thread_local! {
    static CURRENT: RefCell<Option<Span>> = const { RefCell::new(None) };
}

/// Decodes a node.
///
/// # Errors
/// What does not fit, where, with the path to it.
pub fn from_node<'n, T: de::Deserialize<'n>>(node: &'n Node) -> Result<T, Problem> {
    T::deserialize(De(node)).map_err(|e| {
        let e = e.at(&node.span);
        match CARRIED.take() {
            Some(p) if e.message == CARRIED_MARK => p,
            _ => e.into_problem(),
        }
    })
}

const CARRIED_MARK: &str = "$prodmirror::Carried";

thread_local! {
    static CARRIED: RefCell<Option<Problem>> = const { RefCell::new(None) };
}

/// An error of a `Deserialize` that already knows its place and remedy; [`from_node`] gives
/// it back as it is.
pub fn carried<E: de::Error>(problem: Problem) -> E {
    CARRIED.set(Some(problem));
    E::custom(CARRIED_MARK)
}

/// A value together with its place in its file.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Puts a place beside a value.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: serde::Serialize> serde::Serialize for Spanned<T> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(s)
    }
}

impl<'de, T: de::Deserialize<'de>> de::Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V<T>(std::marker::PhantomData<T>);
        impl<'de, T: de::Deserialize<'de>> Visitor<'de> for V<T> {
            type Value = Spanned<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                d: D,
            ) -> Result<Self::Value, D::Error> {
                let span = CURRENT
                    .with_borrow_mut(Option::take)
                    .unwrap_or_else(Span::generated);
                Ok(Spanned {
                    value: T::deserialize(d)?,
                    span,
                })
            }
        }
        d.deserialize_newtype_struct(SPANNED, V(std::marker::PhantomData))
    }
}

/// A whole sub-tree, kept as it is for a later reader.
impl<'de> de::Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_newtype_struct<D: Deserializer<'de>>(self, _: D) -> Result<Node, D::Error> {
                NODE.with_borrow_mut(Option::take)
                    .ok_or_else(|| de::Error::custom("a sub-tree can be read from YAML only"))
            }
        }
        d.deserialize_newtype_struct(NODE_NAME, V)
    }
}

const NODE_NAME: &str = "$prodmirror::Node";

thread_local! {
    static NODE: RefCell<Option<Node>> = const { RefCell::new(None) };
}

/// Why a node does not fit a type.
#[derive(Debug)]
pub struct DeError {
    kind: ProblemKind,
    message: String,
    span: Option<Span>,
    help: Option<String>,
    path: Vec<String>,
}

impl DeError {
    fn at(mut self, span: &Span) -> Self {
        self.span.get_or_insert_with(|| span.clone());
        self
    }

    fn under(mut self, segment: impl Into<String>) -> Self {
        self.path.push(segment.into());
        self
    }

    fn into_problem(self) -> Problem {
        let mut path = String::new();
        for s in self.path.iter().rev() {
            if !s.starts_with('[') && !path.is_empty() {
                path.push('.');
            }
            path.push_str(s);
        }
        let message = if path.is_empty() || self.kind == ProblemKind::UnknownKey {
            self.message
        } else {
            format!("`{path}`: {}", self.message)
        };
        let span = self.span.unwrap_or_else(Span::generated);
        let mut p = Problem::at(self.kind, &span, message);
        p.help = self.help;
        p
    }
}

impl fmt::Display for DeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DeError {}

impl de::Error for DeError {
    fn custom<T: fmt::Display>(msg: T) -> Self {
        Self {
            kind: ProblemKind::InvalidValue,
            message: msg.to_string(),
            span: None,
            help: None,
            path: Vec::new(),
        }
    }

    fn invalid_type(unexp: de::Unexpected<'_>, exp: &dyn de::Expected) -> Self {
        let mut e = Self::custom(format!(
            "expected {}, found {}",
            wanted(&exp.to_string()),
            in_words(&unexp)
        ));
        e.kind = ProblemKind::WrongType;
        e
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let mut e = Self::custom(format!("unknown key `{field}`"));
        e.kind = ProblemKind::UnknownKey;
        e.help = Some(suggestion(field, expected));
        e
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let mut e = Self::custom(format!("unknown value `{variant}`"));
        e.help = Some(suggestion(variant, expected));
        e
    }

    fn missing_field(field: &'static str) -> Self {
        let mut e = Self::custom(format!("the key `{field}` is missing"));
        e.kind = ProblemKind::Missing;
        e
    }
}

fn suggestion(found: &str, known: &[&str]) -> String {
    match nearest(found, known.iter().copied()) {
        Some(k) => format!("did you mean `{k}`?"),
        None if known.is_empty() => "no keys are known here".into(),
        None => format!("known here: {}", known.join(", ")),
    }
}

/// What serde's visitors of the standard types call themselves, in words.
fn wanted(expected: &str) -> String {
    let range = match expected {
        "u8" => Some((0, u64::from(u8::MAX))),
        "u16" => Some((0, u64::from(u16::MAX))),
        "u32" => Some((0, u64::from(u32::MAX))),
        _ => None,
    };
    match (expected, range) {
        (_, Some((low, high))) => format!("a whole number from {low} to {high}"),
        ("u64" | "usize" | "i64" | "i32" | "isize", _) => "a whole number".into(),
        ("f64" | "f32", _) => "a number".into(),
        ("a string", _) => "a text".into(),
        ("a sequence", _) => "a list".into(),
        ("a boolean", _) => "true or false".into(),
        (struct_name, _) if struct_name.starts_with("struct ") => "a mapping".into(),
        (other, _) => other.to_owned(),
    }
}

fn in_words(u: &de::Unexpected<'_>) -> String {
    match u {
        de::Unexpected::Bool(b) => format!("the boolean {b}"),
        de::Unexpected::Unsigned(n) => format!("the integer {n}"),
        de::Unexpected::Signed(n) => format!("the integer {n}"),
        de::Unexpected::Float(n) => format!("the number {n}"),
        de::Unexpected::Str(s) => format!("the string {s:?}"),
        de::Unexpected::Unit => "null".into(),
        de::Unexpected::Seq => "a list".into(),
        de::Unexpected::Map => "a mapping".into(),
        other => other.to_string(),
    }
}

/// The deserializer over a node.
pub struct De<'n>(pub &'n Node);

impl<'n> De<'n> {
    fn any<V: Visitor<'n>>(self, v: V) -> Result<V::Value, DeError> {
        match &self.0.value {
            Value::Null => v.visit_unit(),
            Value::Bool(b) => v.visit_bool(*b),
            Value::Int { value, .. } => match u64::try_from(*value) {
                Ok(n) => v.visit_u64(n),
                Err(_) => v.visit_i64(*value),
            },
            Value::Float { value, .. } => v.visit_f64(*value),
            Value::Str(s) => v.visit_borrowed_str(s),
            Value::Seq(items) => {
                let mut seq = SeqDe {
                    items: items.iter(),
                    index: 0,
                };
                v.visit_seq(&mut seq)
            }
            Value::Map(m) => v.visit_map(MapDe {
                entries: m.0.iter(),
                value: None,
            }),
        }
        .map_err(|e: DeError| e.at(&self.0.span))
    }
}

macro_rules! forward {
    ($($name:ident)*) => { $(
        fn $name<V: Visitor<'n>>(self, v: V) -> Result<V::Value, DeError> { self.any(v) }
    )* };
}

impl<'n> Deserializer<'n> for De<'n> {
    type Error = DeError;

    forward! {
        deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32
        deserialize_i64 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string
        deserialize_bytes deserialize_byte_buf deserialize_unit deserialize_seq deserialize_map
        deserialize_identifier
    }

    fn deserialize_option<V: Visitor<'n>>(self, v: V) -> Result<V::Value, DeError> {
        if self.0.is_null() {
            v.visit_none()
        } else {
            v.visit_some(self)
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'n>>(
        self,
        name: &'static str,
        v: V,
    ) -> Result<V::Value, DeError> {
        match name {
            SPANNED => CURRENT.set(Some(self.0.span.clone())),
            NODE_NAME => NODE.set(Some(self.0.clone())),
            _ => {}
        }
        let span = self.0.span.clone();
        v.visit_newtype_struct(self)
            .map_err(|e: DeError| e.at(&span))
    }

    fn deserialize_unit_struct<V: Visitor<'n>>(
        self,
        _: &'static str,
        v: V,
    ) -> Result<V::Value, DeError> {
        self.any(v)
    }

    fn deserialize_tuple<V: Visitor<'n>>(self, _: usize, v: V) -> Result<V::Value, DeError> {
        self.any(v)
    }

    fn deserialize_tuple_struct<V: Visitor<'n>>(
        self,
        _: &'static str,
        _: usize,
        v: V,
    ) -> Result<V::Value, DeError> {
        self.any(v)
    }

    fn deserialize_struct<V: Visitor<'n>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        v: V,
    ) -> Result<V::Value, DeError> {
        self.any(v)
    }

    fn deserialize_enum<V: Visitor<'n>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        v: V,
    ) -> Result<V::Value, DeError> {
        let span = self.0.span.clone();
        match &self.0.value {
            Value::Str(s) => v.visit_enum(s.as_str().into_deserializer()),
            Value::Map(m) if m.len() == 1 => match m.0.iter().next() {
                Some((k, e)) => v.visit_enum(EnumDe { key: k, entry: e }),
                None => Err(de::Error::custom("expected one key")),
            },
            Value::Map(m) => Err(DeError::custom_kind(
                ProblemKind::InvalidValue,
                format!("expected a mapping with exactly one key, found {}", m.len()),
            )),
            _ => Err(DeError::custom_kind(
                ProblemKind::WrongType,
                format!(
                    "expected a word or a mapping with one key, found {}",
                    self.0.kind()
                ),
            )),
        }
        .map_err(|e: DeError| e.at(&span))
    }

    fn deserialize_ignored_any<V: Visitor<'n>>(self, v: V) -> Result<V::Value, DeError> {
        v.visit_unit()
    }
}

impl DeError {
    fn custom_kind(kind: ProblemKind, message: String) -> Self {
        let mut e: Self = de::Error::custom(message);
        e.kind = kind;
        e
    }
}

struct SeqDe<'n> {
    items: std::slice::Iter<'n, Node>,
    index: usize,
}

impl<'n> SeqAccess<'n> for &mut SeqDe<'n> {
    type Error = DeError;
    fn next_element_seed<T: DeserializeSeed<'n>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DeError> {
        let Some(node) = self.items.next() else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        seed.deserialize(De(node))
            .map(Some)
            .map_err(|e| e.at(&node.span).under(format!("[{index}]")))
    }
    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct MapDe<'n> {
    entries: indexmap::map::Iter<'n, String, Entry>,
    value: Option<(&'n String, &'n Entry)>,
}

impl<'n> MapAccess<'n> for MapDe<'n> {
    type Error = DeError;
    fn next_key_seed<K: DeserializeSeed<'n>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DeError> {
        let Some((key, entry)) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some((key, entry));
        seed.deserialize(KeyDe(key, &entry.key))
            .map(Some)
            .map_err(|e| e.at(&entry.key))
    }
    fn next_value_seed<V: DeserializeSeed<'n>>(&mut self, seed: V) -> Result<V::Value, DeError> {
        let Some((key, entry)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(De(&entry.node))
            .map_err(|e| e.at(&entry.node.span).under(key.clone()))
    }
    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// A key: a string, and a [`Spanned`] key knows its own place.
struct KeyDe<'n>(&'n str, &'n Span);

impl<'de> Deserializer<'de> for KeyDe<'de> {
    type Error = DeError;
    fn deserialize_any<V: Visitor<'de>>(self, v: V) -> Result<V::Value, DeError> {
        v.visit_borrowed_str(self.0)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        v: V,
    ) -> Result<V::Value, DeError> {
        if name == SPANNED {
            CURRENT.set(Some(self.1.clone()));
        }
        v.visit_newtype_struct(self)
    }
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        v: V,
    ) -> Result<V::Value, DeError> {
        v.visit_enum(self.0.into_deserializer())
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct EnumDe<'n> {
    key: &'n str,
    entry: &'n Entry,
}

impl<'n> EnumAccess<'n> for EnumDe<'n> {
    type Error = DeError;
    type Variant = Self;
    fn variant_seed<V: DeserializeSeed<'n>>(self, seed: V) -> Result<(V::Value, Self), DeError> {
        let key: de::value::BorrowedStrDeserializer<'n, DeError> =
            de::value::BorrowedStrDeserializer::new(self.key);
        let v = seed.deserialize(key).map_err(|mut e| {
            if let Some(rest) = e.message.strip_prefix("unknown value ") {
                e.message = format!("unknown key {rest}");
                e.kind = ProblemKind::UnknownKey;
            }
            e.at(&self.entry.key)
        })?;
        Ok((v, self))
    }
}

impl<'n> VariantAccess<'n> for EnumDe<'n> {
    type Error = DeError;
    fn unit_variant(self) -> Result<(), DeError> {
        if self.entry.node.is_null() {
            Ok(())
        } else {
            Err(DeError::custom_kind(
                ProblemKind::WrongType,
                format!("`{}` takes no value", self.key),
            )
            .at(&self.entry.node.span))
        }
    }
    fn newtype_variant_seed<T: DeserializeSeed<'n>>(self, seed: T) -> Result<T::Value, DeError> {
        seed.deserialize(De(&self.entry.node))
            .map_err(|e| e.at(&self.entry.node.span).under(self.key))
    }
    fn tuple_variant<V: Visitor<'n>>(self, _: usize, v: V) -> Result<V::Value, DeError> {
        De(&self.entry.node).any(v).map_err(|e| e.under(self.key))
    }
    fn struct_variant<V: Visitor<'n>>(
        self,
        _: &'static [&'static str],
        v: V,
    ) -> Result<V::Value, DeError> {
        De(&self.entry.node).any(v).map_err(|e| e.under(self.key))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::source::SourceFile;
    use crate::yaml::parse_one;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Http {
        url: Spanned<String>,
        #[serde(default)]
        body: Option<Node>,
        #[serde(default)]
        retries: u8,
    }

    #[derive(Debug, Deserialize)]
    struct File {
        steps: Vec<Http>,
    }

    fn read(text: &str) -> Result<File, Problem> {
        from_node(&parse_one(&SourceFile::new("s.yaml", text)).unwrap())
    }

    #[test]
    fn spanned_values_and_sub_trees() {
        let f = read("steps:\n  - url: http://x\n    body: {a: [1]}\n").unwrap();
        assert_eq!(f.steps[0].url.span.to_string(), "s.yaml:2:10");
        assert_eq!(f.steps[0].url.as_str(), "http://x");
        assert_eq!(f.steps[0].retries, 0);
        let body = f.steps[0].body.as_ref().unwrap();
        assert_eq!(body.at(&["a"]).unwrap().span.line, 3);
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let p = read("steps:\n  - url: x\n    retires: 2\n").unwrap_err();
        assert_eq!(p.kind, ProblemKind::UnknownKey);
        assert_eq!(p.span.as_ref().unwrap().to_string(), "s.yaml:3:5");
        assert_eq!(p.help.as_deref(), Some("did you mean `retries`?"));
    }

    #[test]
    fn a_wrong_type_says_path_and_place() {
        let p = read("steps:\n  - url: x\n    retries: many\n").unwrap_err();
        assert_eq!(p.kind, ProblemKind::WrongType);
        assert_eq!(
            p.to_string(),
            "s.yaml:3:14: `steps[0].retries`: expected a whole number from 0 to 255, found the string \"many\""
        );
    }

    #[test]
    fn a_missing_key_points_at_the_mapping() {
        let p = read("steps:\n  - retries: 1\n").unwrap_err();
        assert_eq!(p.kind, ProblemKind::Missing);
        assert_eq!(p.span.unwrap().line, 2);
    }
}
