//! The normal form: every value in the type and the writing that Compose gives it, without
//! what is empty.

mod field;

use super::rules::Trail;
use super::schema::{FILE, Fields, Form, Key, Map, Shape};
use super::session::Notes;
use crate::diag::{Problem, ProblemKind};
use crate::source::Span;
use crate::yaml::{Entry, Mapping, Node, Value};

/// Brings a canonical document into its normal form. Gives that, and the `x-` keys that it
/// does not hold.
pub(super) fn normal_form(document: Node, notes: &mut Notes) -> Result<(Node, Node), Problem> {
    let span = document.span.clone();
    let Value::Map(mut map) = document.value else {
        return Ok((document, Node::map(span)));
    };
    let mut own = Mapping::default();
    map.0.retain(|key, entry| {
        if !key.starts_with("x-") {
            return true;
        }
        own.0.insert(key.clone(), entry.clone());
        false
    });
    let mut writer = Writer {
        notes,
        extensions: Node::map(span.clone()),
        path: Vec::new(),
    };
    let mut root = writer.fields(map, &FILE, &Trail::Top)?;
    if !root.contains_key("services") {
        root.insert("services", Node::map(span.clone()));
    }
    root.0.extend(own.0);
    Ok((Node::new(Value::Map(root), span), writer.extensions))
}

struct Writer<'a> {
    notes: &'a mut Notes,
    extensions: Node,
    /// The keys above the current place, as they stand in the normal form.
    path: Vec<String>,
}

impl Writer<'_> {
    fn fields(
        &mut self,
        mut map: Mapping,
        fields: &'static Fields,
        trail: &Trail<'_>,
    ) -> Result<Mapping, Problem> {
        let mut out = Mapping::default();
        for key in fields.keys {
            let name = key.output.unwrap_or(key.name);
            let Some(at) = map.0.get_index_of(key.name) else {
                if let Some(node) = always(key) {
                    out.insert(name, node);
                }
                continue;
            };
            let Some((_, entry)) = map.0.swap_remove_index(at) else {
                continue;
            };
            self.path.push(name.to_owned());
            let node = self.value(entry.node, key, &trail.key(key.name))?;
            self.path.pop();
            if let Some(node) = node.or_else(|| always(key)) {
                let entry = Entry {
                    key: entry.key,
                    key_is_string: true,
                    node,
                };
                out.0.insert(name.to_owned(), entry);
            }
        }
        map.0.sort_keys();
        for (key, entry) in map.0 {
            if key.starts_with("x-") {
                self.keep_extension(key, entry);
            }
        }
        Ok(out)
    }

    fn keep_extension(&mut self, key: String, entry: Entry) {
        let mut at = &mut self.extensions;
        for part in &self.path {
            let Value::Map(map) = &mut at.value else {
                return;
            };
            if !map.contains_key(part) {
                map.insert(part.clone(), Node::map(entry.key.clone()));
            }
            let Some(below) = map.get_mut(part) else {
                return;
            };
            at = below;
        }
        if let Value::Map(map) = &mut at.value {
            map.0.insert(key, entry);
        }
    }

    fn value(
        &mut self,
        node: Node,
        key: &'static Key,
        trail: &Trail<'_>,
    ) -> Result<Option<Node>, Problem> {
        match key.form {
            Form::LeftOut => {
                self.left_out(key.name, &node, trail);
                Ok(None)
            }
            Form::Fields | Form::FieldsAlways => match (node.value, fields_of(&key.shape)) {
                (Value::Map(map), Some(fields)) => {
                    let map = self.fields(map, fields, trail)?;
                    Ok(Some(with(Value::Map(map), node.span, node.via)))
                }
                _ => Ok(None),
            },
            Form::List => self.list(node, key, trail),
            Form::Named => self.named(node, key, trail),
            form => field::write(node, form, trail),
        }
    }

    fn list(
        &mut self,
        node: Node,
        key: &'static Key,
        trail: &Trail<'_>,
    ) -> Result<Option<Node>, Problem> {
        let item_fields = key.shape.list.as_ref().and_then(|l| fields_of(l.item));
        let (Value::Seq(items), Some(fields)) = (node.value, item_fields) else {
            return Ok(None);
        };
        let mut out = Vec::with_capacity(items.len());
        for (i, item) in items.into_iter().enumerate() {
            let Value::Map(map) = item.value else {
                continue;
            };
            self.path.push(i.to_string());
            let map = self.fields(map, fields, &trail.item(i))?;
            self.path.pop();
            out.push(with(Value::Map(map), item.span, item.via));
        }
        let list = with(Value::Seq(out), node.span, node.via);
        Ok(list.as_seq().is_some_and(|l| !l.is_empty()).then_some(list))
    }

    fn named(
        &mut self,
        node: Node,
        key: &'static Key,
        trail: &Trail<'_>,
    ) -> Result<Option<Node>, Problem> {
        let Some(Map::Names { value, .. }) = &key.shape.map else {
            return Ok(None);
        };
        let (Value::Map(map), Some(fields)) = (node.value, fields_of(value)) else {
            return Ok(None);
        };
        let mut out = Mapping::default();
        for (name, mut entry) in map.0 {
            if let Value::Map(inner) = entry.node.value {
                self.path.push(name.clone());
                let inner = self.fields(inner, fields, &trail.key(&name))?;
                self.path.pop();
                entry.node = with(Value::Map(inner), entry.node.span, entry.node.via);
            }
            out.0.insert(name, entry);
        }
        let empty = out.is_empty() && key.name != "services";
        Ok((!empty).then(|| with(Value::Map(out), node.span, node.via)))
    }

    fn left_out(&mut self, name: &str, node: &Node, trail: &Trail<'_>) {
        if matches!(name, "version" | "include") {
            return;
        }
        self.notes.warn(
            Problem::at(
                ProblemKind::Unsupported,
                &node.span,
                format!("`{trail}` is read, but has no effect"),
            )
            .help("Docker Compose leaves it out of what it runs, too"),
        );
    }
}

fn with(value: Value, span: Span, via: Option<std::sync::Arc<crate::yaml::Via>>) -> Node {
    let mut node = Node::new(value, span);
    node.via = via;
    node
}

fn fields_of(shape: &Shape) -> Option<&'static Fields> {
    match &shape.map {
        Some(Map::Fields(fields)) => Some(fields),
        _ => None,
    }
}

/// What stands in the normal form even when nothing is given.
fn always(key: &Key) -> Option<Node> {
    match key.form {
        Form::Command => Some(Node::generated(Value::Null)),
        Form::FieldsAlways => {
            let mut map = Mapping::default();
            for key in fields_of(&key.shape).map_or(&[][..], |fields| fields.keys) {
                if let Some(node) = always(key) {
                    map.insert(key.name, node);
                }
            }
            Some(Node::generated(Value::Map(map)))
        }
        _ => None,
    }
}
