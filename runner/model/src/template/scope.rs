//! The names that templates and expressions see.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::check::Hooks;

/// Names of the scope itself, which no variable or capture may have.
pub(crate) const RESERVED: [&str; 5] = ["steps", "vars", "secrets", "race", "each"];

/// Whether a name belongs to the scope itself.
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// What a step gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Document {
    /// Its fields: `status`, `json`, `rows`…
    pub fields: Map<String, Json>,
    /// How long the act took.
    pub duration: Duration,
    /// The bytes of `body`, where they are not exactly its text.
    pub raw: Option<Arc<[u8]>>,
}

impl Document {
    /// A field.
    pub fn get(&self, field: &str) -> Option<&Json> {
        self.fields.get(field)
    }

    /// Sets a field.
    pub fn set(&mut self, field: &str, value: impl Into<Json>) {
        self.fields.insert(field.to_owned(), value.into());
    }

    /// The document with a field added.
    #[must_use]
    pub fn with(mut self, field: &str, value: impl Into<Json>) -> Self {
        self.set(field, value);
        self
    }

    /// Sets the duration, also as the field `duration` (text such as `12.5ms`, which
    /// `duration()` of an expression reads).
    pub fn took(&mut self, duration: Duration) {
        self.duration = duration;
        self.set(
            "duration",
            format!("{}ms", duration.as_micros() as f64 / 1000.0),
        );
    }
}

/// Variables, captures and the documents of earlier steps. Cloning is cheap: values are
/// shared.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    names: BTreeMap<String, Arc<Json>>,
    steps: BTreeMap<String, Arc<Document>>,
    secrets: Arc<BTreeMap<String, Json>>,
    hooks: Hooks,
    step: Option<Arc<str>>,
}

impl Scope {
    /// Sets what expectations do outside of their values.
    pub fn set_hooks(&mut self, hooks: Hooks) {
        self.hooks = hooks;
    }

    /// What expectations do outside of their values.
    pub fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Says which step is judged: its id or name.
    pub fn stand_at(&mut self, step: Option<&str>) {
        self.step = step.map(Arc::from);
    }

    /// The id or name of the step that is judged.
    pub fn standing_at(&self) -> Option<&str> {
        self.step.as_deref()
    }

    /// A scope with the values of `secrets.<name>`. The caller has given them to the
    /// redactor.
    pub fn with_secrets(secrets: BTreeMap<String, Json>) -> Self {
        Self {
            secrets: Arc::new(secrets),
            ..Self::default()
        }
    }

    /// Sets a variable or capture.
    pub fn set(&mut self, name: impl Into<String>, value: Json) {
        self.names.insert(name.into(), Arc::new(value));
    }

    /// Sets a name to what it was before, or takes it away.
    pub fn put_back(&mut self, name: &str, before: Option<Arc<Json>>) {
        match before {
            Some(v) => self.names.insert(name.to_owned(), v),
            None => self.names.remove(name),
        };
    }

    /// The value of a name, shared.
    pub fn shared(&self, name: &str) -> Option<Arc<Json>> {
        self.names.get(name).cloned()
    }

    /// An empty scope with the same secrets.
    #[must_use]
    pub fn fresh(&self) -> Self {
        Self {
            secrets: self.secrets.clone(),
            ..Self::default()
        }
    }

    /// Keeps the document of a step as `steps.<id>`.
    pub fn keep(&mut self, id: impl Into<String>, document: Arc<Document>) {
        self.steps.insert(id.into(), document);
    }

    /// The value of a variable or capture.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.names.get(name).map(AsRef::as_ref)
    }

    /// The document of an earlier step.
    pub fn step(&self, id: &str) -> Option<&Document> {
        self.steps.get(id).map(AsRef::as_ref)
    }

    /// The value of a secret.
    pub fn secret(&self, name: &str) -> Option<&Json> {
        self.secrets.get(name)
    }

    /// All variables and captures.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// The ids of the steps that are kept.
    pub fn step_ids(&self) -> impl Iterator<Item = &str> {
        self.steps.keys().map(String::as_str)
    }

    /// The names of the secrets.
    pub fn secret_names(&self) -> impl Iterator<Item = &str> {
        self.secrets.keys().map(String::as_str)
    }

    /// Takes over what a branch set.
    pub fn merge(&mut self, other: Scope) {
        self.names.extend(other.names);
        self.steps.extend(other.steps);
    }
}
