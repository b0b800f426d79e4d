//! How the parts of the model are read from and written to the normal form of Compose.
//!
//! A [`Value`] stands for one YAML value, a [`Field`] for a key that may be absent, a
//! [`Record`] for (a part of) a mapping with fixed keys.

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::diag::{Problem, ProblemKind, Problems};
use crate::mirror::{Sourced, Unmapped};
use crate::source::Span;
use crate::yaml::{Mapping, Node};

/// A JSON object.
pub(super) type JsonMap = serde_json::Map<String, Json>;

/// What is gathered while reading.
#[derive(Default)]
pub(super) struct Context {
    pub(super) problems: Problems,
    pub(super) unmapped: Vec<Unmapped>,
    path: Vec<String>,
}

impl Context {
    /// Runs `f` one step further down.
    pub(super) fn under<T>(&mut self, step: &str, f: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step.to_owned());
        let result = f(self);
        self.path.pop();
        result
    }

    /// Where we are, such as `services.web.ports.0`.
    pub(super) fn place(&self) -> String {
        self.path.join(".")
    }

    /// Notes that a value has another type than it must have.
    pub(super) fn wrong_type(&mut self, node: &Node, wanted: &str) {
        let message = format!("{}: expected {wanted}, found {}", self.place(), node.kind());
        self.problems
            .push(Problem::at(ProblemKind::WrongType, &node.span, message));
    }

    /// Notes that a value has the right type and is not allowed.
    pub(super) fn invalid(&mut self, node: &Node, what: &str) {
        let message = format!("{}: {what}", self.place());
        self.problems
            .push(Problem::at(ProblemKind::InvalidValue, &node.span, message));
    }

    fn leave_over(&mut self, key: &str, span: &Span, node: &Node) {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        self.unmapped.push(Unmapped {
            path,
            span: span.clone(),
            node: node.clone(),
        });
    }
}

/// One YAML value.
pub(super) trait Value: Sized {
    /// Reads it; when that fails, the problem is noted and there is none.
    fn read(node: &Node, cx: &mut Context) -> Option<Self>;
    /// Writes it.
    fn write(&self) -> Json;
    /// Is told its own key in the mapping that it stands in, and where that is.
    fn set_key(&mut self, _name: &str, _place: &Span) {}
}

/// The value of a key that may be absent.
pub(super) trait Field: Sized {
    /// Reads it; an absent key is a matter of course.
    fn read_field(node: Option<&Node>, cx: &mut Context) -> Self;
    /// Writes it, or nothing when it is absent.
    fn write_field(&self, key: &str, out: &mut JsonMap);
}

/// A part of a mapping with fixed keys.
pub(super) trait Record: Sized + Default {
    /// Takes its keys.
    fn take(reader: &mut Reader<'_>, cx: &mut Context) -> Self;
    /// Writes its keys.
    fn put(&self, out: &mut JsonMap);
}

/// A mapping whose keys are taken one by one.
pub(super) struct Reader<'a> {
    map: &'a Mapping,
    taken: Vec<&'static str>,
    extensions_taken: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(map: &'a Mapping) -> Self {
        Self {
            map,
            taken: Vec::new(),
            extensions_taken: false,
        }
    }

    /// The value of a key, which counts as taken.
    pub(super) fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        self.taken.push(key);
        self.map.get(key)
    }

    /// Reads the value of a key.
    pub(super) fn field<F: Field>(&mut self, key: &'static str, cx: &mut Context) -> F {
        let node = self.node(key);
        cx.under(key, |cx| F::read_field(node, cx))
    }

    /// Takes all `x-…` keys.
    pub(super) fn extensions(&mut self) -> IndexMap<String, Node> {
        self.extensions_taken = true;
        self.map
            .iter()
            .filter(|(key, _)| key.starts_with("x-"))
            .map(|(key, node)| (key.to_owned(), node.clone()))
            .collect()
    }

    /// Notes the keys that nobody took.
    pub(super) fn finish(self, cx: &mut Context) {
        for (key, entry) in &self.map.0 {
            let extension = self.extensions_taken && key.starts_with("x-");
            if !extension && !self.taken.contains(&key.as_str()) {
                cx.leave_over(key, &entry.key, &entry.node);
            }
        }
    }
}

/// Reads a mapping with fixed keys; null is an empty one.
pub(super) fn read_record<R: Record>(node: &Node, cx: &mut Context) -> Option<R> {
    if node.is_null() {
        return Some(R::default());
    }
    let Some(map) = node.as_map() else {
        cx.wrong_type(node, "a mapping");
        return None;
    };
    let mut reader = Reader::new(map);
    let record = R::take(&mut reader, cx);
    reader.finish(cx);
    Some(record)
}

/// Writes a mapping with fixed keys.
pub(super) fn write_record<R: Record>(record: &R) -> Json {
    let mut out = JsonMap::new();
    record.put(&mut out);
    Json::Object(out)
}

/// Says which field of a type has which key: `record!(Type { field: "key", … })`. Behind it
/// may stand
/// - `parts a, b`: fields whose own keys are in the same mapping;
/// - `extensions e`: the field that takes `x-…` keys;
/// - `place p`: the field that keeps where the value's own key stands;
/// - `explicit x`: the field that says whether a mapping was written rather than null.
macro_rules! record {
    (
        $type:ty { $($field:ident: $key:literal),* $(,)? }
        $(parts $($part:ident),+)?
        $(; extensions $ext:ident)?
        $(; place $place:ident)?
        $(; explicit $explicit:ident)?
    ) => {
        impl Record for $type {
            fn take(reader: &mut Reader<'_>, cx: &mut Context) -> Self {
                let mut it = Self::default();
                $(it.$field = reader.field($key, cx);)*
                $($(it.$part = Record::take(reader, cx);)+)?
                $(it.$ext = reader.extensions();)?
                it
            }

            fn put(&self, out: &mut JsonMap) {
                $(Field::write_field(&self.$field, $key, out);)*
                $($(Record::put(&self.$part, out);)+)?
                $(for (key, node) in &self.$ext {
                    out.insert(key.clone(), node.to_json());
                })?
            }
        }

        impl Value for $type {
            fn read(node: &Node, cx: &mut Context) -> Option<Self> {
                let record: Option<Self> = read_record(node, cx);
                $(let record = record.map(|mut it| {
                    it.$explicit = !node.is_null();
                    it
                });)?
                record
            }

            fn write(&self) -> Json {
                let written = write_record(self);
                $(if !self.$explicit && written.as_object().is_some_and(JsonMap::is_empty) {
                    return Json::Null;
                })?
                written
            }

            $(fn set_key(&mut self, _: &str, key: &Span) {
                self.$place.span = key.clone();
            })?
        }
    };
}
pub(super) use record;

impl<T: Value> Value for Sourced<T> {
    fn read(node: &Node, cx: &mut Context) -> Option<Self> {
        T::read(node, cx).map(|value| Self::of_node(value, node))
    }

    fn write(&self) -> Json {
        self.value.write()
    }
}

impl<T: Value> Value for Vec<T> {
    fn read(node: &Node, cx: &mut Context) -> Option<Self> {
        let Some(items) = node.as_seq() else {
            cx.wrong_type(node, "a list");
            return None;
        };
        let mut list = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            list.extend(cx.under(&i.to_string(), |cx| T::read(item, cx)));
        }
        Some(list)
    }

    fn write(&self) -> Json {
        Json::Array(self.iter().map(Value::write).collect())
    }
}

impl<T: Value> Value for IndexMap<String, T> {
    fn read(node: &Node, cx: &mut Context) -> Option<Self> {
        let Some(map) = node.as_map() else {
            cx.wrong_type(node, "a mapping");
            return None;
        };
        let mut entries = Self::with_capacity(map.len());
        for (key, entry) in &map.0 {
            if let Some(mut value) = cx.under(key, |cx| T::read(&entry.node, cx)) {
                value.set_key(key, &entry.key);
                entries.insert(key.to_owned(), value);
            }
        }
        Some(entries)
    }

    fn write(&self) -> Json {
        Json::Object(self.iter().map(|(k, v)| (k.clone(), v.write())).collect())
    }
}

impl<T: Value> Field for Option<T> {
    fn read_field(node: Option<&Node>, cx: &mut Context) -> Self {
        node.filter(|n| !n.is_null())
            .and_then(|node| T::read(node, cx))
    }

    fn write_field(&self, key: &str, out: &mut JsonMap) {
        if let Some(value) = self {
            out.insert(key.to_owned(), value.write());
        }
    }
}

impl<T: Value> Field for Vec<T> {
    fn read_field(node: Option<&Node>, cx: &mut Context) -> Self {
        Option::read_field(node, cx).unwrap_or_default()
    }

    fn write_field(&self, key: &str, out: &mut JsonMap) {
        if !self.is_empty() {
            out.insert(key.to_owned(), self.write());
        }
    }
}

impl<T: Value> Field for IndexMap<String, T> {
    fn read_field(node: Option<&Node>, cx: &mut Context) -> Self {
        Option::read_field(node, cx).unwrap_or_default()
    }

    fn write_field(&self, key: &str, out: &mut JsonMap) {
        if !self.is_empty() {
            out.insert(key.to_owned(), self.write());
        }
    }
}
