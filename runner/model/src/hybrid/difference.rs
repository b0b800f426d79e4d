//! One difference between two environments, and how people call it.

use serde_json::Value as Json;

use super::parts::Key;
use super::text::shown;

/// A difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// What differs.
    pub what: What,
    /// What the first side has: as it is written, with variables in the place of secrets.
    pub a: Option<Json>,
    /// What the second side has.
    pub b: Option<Json>,
    /// Whether the value itself is secret.
    pub secret: bool,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A part of a service that both sides have.
    Part {
        /// The service.
        service: String,
        /// The part.
        key: Key,
    },
    /// A service that only one side has.
    Service(String),
    /// The networks, and which service is in which; and what may leave them.
    Networks,
    /// How a volume is made.
    Volume(String),
    /// What a volume holds at the start.
    Data(String),
    /// The content of a configuration file.
    Config(String),
    /// The value of a secret.
    Secret(String),
}

impl Difference {
    /// Whether the second side adds it.
    pub fn is_added(&self) -> bool {
        self.a.is_none()
    }

    /// Whether the second side lacks it.
    pub fn is_removed(&self) -> bool {
        self.b.is_none()
    }

    /// What differs, without the values: `orders: env LOG_LEVEL`.
    pub fn title(&self) -> String {
        match &self.what {
            What::Part { service, key } => format!("{service}: {}", title_of(key)),
            What::Service(name) => format!("service {name}"),
            What::Networks => "networks".to_owned(),
            What::Volume(name) => format!("volume {name}"),
            What::Data(name) => format!("data of volume {name}"),
            What::Config(name) => format!("content of config {name}"),
            What::Secret(name) => format!("value of secret {name}"),
        }
    }

    /// It in one line: `db: image postgres:17 → postgres:15`.
    pub fn label(&self) -> String {
        let title = self.title();
        match (&self.what, &self.a, &self.b) {
            (What::Service(_), None, _) => format!("{title}: only in B"),
            (What::Service(_), ..) => format!("{title}: only in A"),
            (What::Networks | What::Config(_) | What::Secret(_), ..) => format!("{title} differs"),
            (_, a, b) => {
                let (ours, theirs) = (self.value(a.as_ref()), self.value(b.as_ref()));
                // The same words for other files, or for another secret.
                if ours == theirs {
                    format!("{title} {ours} differs")
                } else {
                    format!("{title} {ours} → {theirs}")
                }
            }
        }
    }

    /// Why a scenario fails where it is the cause: a clause with the names of the sides.
    pub fn because(&self, a: &str, b: &str) -> String {
        let (ours, theirs) = (self.value(self.a.as_ref()), self.value(self.b.as_ref()));
        match &self.what {
            What::Part { service, key } => self.of_part(service, key, (a, b)),
            What::Service(name) if self.is_added() => {
                format!("`{name}` runs in {b} and not in {a}")
            }
            What::Service(name) => format!("`{name}` does not run in {b}, and does in {a}"),
            What::Networks => format!("the networks of {b} are other ones than those of {a}"),
            What::Volume(name) => {
                format!("the volume `{name}` is {theirs} in {b} and {ours} in {a}")
            }
            What::Data(name) => {
                format!("the volume `{name}` begins with {theirs} in {b} and with {ours} in {a}")
            }
            What::Config(name) => {
                format!("the file `{name}` has another content in {b} than in {a}")
            }
            What::Secret(name) => {
                format!("the secret `{name}` has another value in {b} than in {a}")
            }
        }
    }

    fn of_part(&self, service: &str, key: &Key, (a, b): (&str, &str)) -> String {
        let (ours, theirs) = (self.value(self.a.as_ref()), self.value(self.b.as_ref()));
        let given = |what: String| match (&self.a, &self.b) {
            (None, _) => format!("`{service}` has {what} in {b}, and not in {a}"),
            (_, None) => format!("`{service}` has no {what} in {b}, and has it in {a}"),
            _ => format!("`{service}` has another {what} in {b} than in {a}: {theirs}, not {ours}"),
        };
        match key {
            Key::Image => format!("`{service}` runs {theirs} in {b} and {ours} in {a}"),
            Key::Env(name) if self.secret || self.is_removed() => given(format!("variable {name}")),
            Key::Env(name) if self.is_added() => {
                format!("`{service}` has {name}={theirs} in {b}, and no {name} in {a}")
            }
            Key::Env(name) => {
                format!("`{service}` has {name}={theirs} in {b} and {name}={ours} in {a}")
            }
            Key::Mount(path) if snapshot(&self.a) != snapshot(&self.b) => {
                let held =
                    |side| snapshot(side).map_or("none".to_owned(), |s| format!("snapshot {s}"));
                let (ours, theirs) = (held(&self.a), held(&self.b));
                format!(
                    "`{service}` has the data of {theirs} at {path} in {b}, and of {ours} in {a}"
                )
            }
            Key::Mount(path) if ours == theirs => {
                format!("`{service}` finds something else at {path} in {b} than in {a}: {theirs}")
            }
            Key::Mount(path) => given(format!("mount at {path}")),
            Key::Config(path) => given(format!("file {path}")),
            Key::Secret(path) => given(format!("secret {path}")),
            Key::Tmpfs(path) => given(format!("tmpfs at {path}")),
            Key::Field(name) if name == "user" => {
                format!("`{service}` runs as {theirs} in {b} and as {ours} in {a}")
            }
            Key::Deploy(path) if path.first().is_some_and(|p| p == "resources") => {
                let name = path.join(".");
                let name = name.trim_start_matches("resources.");
                match (self.is_added(), self.is_removed()) {
                    (true, _) => format!("`{service}` has {name} {theirs} in {b}, and none in {a}"),
                    (_, true) => format!("`{service}` has no {name} in {b}, and {ours} in {a}"),
                    _ => format!("`{service}` has {name} {theirs} in {b} and {ours} in {a}"),
                }
            }
            key => format!(
                "`{service}` has {} {theirs} in {b} and {ours} in {a}",
                title_of(key)
            ),
        }
    }

    fn value(&self, value: Option<&Json>) -> String {
        match value {
            None => match &self.what {
                What::Part {
                    key: Key::Field(name),
                    ..
                } if name == "user" => "the image's user".to_owned(),
                What::Data(_) => "nothing".to_owned(),
                _ => "none".to_owned(),
            },
            Some(_) if self.secret => "***".to_owned(),
            Some(value) => match &self.what {
                What::Part {
                    key: Key::Mount(_), ..
                } => mount(value),
                What::Part {
                    key: Key::Config(_) | Key::Secret(_),
                    ..
                } => shown(&value["source"]),
                What::Part {
                    key: Key::Order, ..
                } => {
                    let names: Vec<&str> = value
                        .as_object()
                        .into_iter()
                        .flat_map(|m| m.keys())
                        .map(String::as_str)
                        .collect();
                    names.join(", ")
                }
                What::Data(_) => data(value),
                _ => shown(value),
            },
        }
    }

    /// The path by which `explain` finds it in one of its sides.
    pub fn path(&self) -> Option<String> {
        Some(match &self.what {
            What::Part { service, key } => match key {
                Key::Image => format!("{service}.image"),
                Key::Env(name) => format!("{service}.environment.{name}"),
                Key::Labels => format!("{service}.labels"),
                Key::Deploy(path) => format!("{service}.deploy.{}", path.join(".")),
                Key::Mount(path) => format!("{service}.volumes[{path}]"),
                Key::Config(path) => format!("{service}.configs[{path}]"),
                Key::Secret(path) => format!("{service}.secrets[{path}]"),
                Key::Tmpfs(_) => format!("{service}.tmpfs"),
                Key::Order => format!("{service}.depends_on"),
                Key::Field(name) => format!("{service}.{name}"),
                Key::Extra(_) => service.clone(),
            },
            What::Service(name) => name.clone(),
            What::Volume(name) | What::Data(name) => format!("volume.{name}"),
            What::Config(name) => format!("config.{name}"),
            What::Secret(name) => format!("secret.{name}"),
            What::Networks => return None,
        })
    }
}

fn title_of(key: &Key) -> String {
    match key {
        Key::Image => "image".to_owned(),
        Key::Env(name) => format!("env {name}"),
        Key::Labels => "labels".to_owned(),
        Key::Deploy(path) => format!("deploy.{}", path.join(".")),
        Key::Mount(path) => format!("mount {path}"),
        Key::Config(path) => format!("config {path}"),
        Key::Secret(path) => format!("secret {path}"),
        Key::Tmpfs(path) => format!("tmpfs {path}"),
        Key::Order => "depends_on".to_owned(),
        Key::Extra(field) => format!("x-prodmirror.{field}"),
        Key::Field(name) => name.clone(),
    }
}

fn mount(value: &Json) -> String {
    let from = value["source"]
        .as_str()
        .map_or_else(|| "anonymous".to_owned(), |s| shown(&s.into()));
    let kind = value["type"].as_str().unwrap_or("volume");
    let only = if value["read_only"].as_bool() == Some(true) {
        " (read-only)"
    } else {
        ""
    };
    let data = match value["snapshot"].as_str() {
        Some(name) => format!(" with the snapshot {name}"),
        None => String::new(),
    };
    format!("{kind} {from}{data}{only}")
}

/// What a mounted volume starts from.
fn snapshot(mount: &Option<Json>) -> Option<&str> {
    mount.as_ref()?.get("snapshot")?.as_str()
}

fn data(value: &Json) -> String {
    match value["snapshot"].as_str() {
        Some(name) => format!("the snapshot {name}"),
        None => "nothing".to_owned(),
    }
}
