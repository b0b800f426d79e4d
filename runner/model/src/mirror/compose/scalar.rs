//! Single values: texts, numbers, and texts with a grammar.

use std::time::Duration;

use serde_json::Value as Json;

use super::codec::{Context, Field, JsonMap, Value};
use crate::mirror::quantity::{format_duration, parse_duration};
use crate::mirror::{
    Argv, Bytes, Condition, Cpus, FileMode, HostEntry, Link, MountKind, NamespaceMode, Restart,
    Sourced, Tmpfs, Ulimit,
};
use crate::yaml::{Node, Value as Yaml};

impl Value for String {
    fn read(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = node.scalar_text();
        if text.is_none() {
            cx.wrong_type(node, "a string");
        }
        text
    }

    fn write(&self) -> Json {
        Json::String(self.clone())
    }
}

impl Value for bool {
    fn read(node: &Node, cx: &mut Context) -> Option<Self> {
        let value = match node.as_str() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            _ => node.as_bool(),
        };
        if value.is_none() {
            cx.wrong_type(node, "true or false");
        }
        value
    }

    fn write(&self) -> Json {
        Json::Bool(*self)
    }
}

/// A whole number, be it written as a number or as a text.
fn integer(node: &Node, cx: &mut Context) -> Option<i64> {
    let value = match &node.value {
        Yaml::Float { value, .. } if value.fract() == 0.0 && value.abs() < 9e15 => {
            Some(*value as i64)
        }
        Yaml::Str(text) => text.parse().ok(),
        _ => node.as_int(),
    };
    if value.is_none() {
        cx.wrong_type(node, "an integer");
    }
    value
}

impl Value for i64 {
    fn read(node: &Node, cx: &mut Context) -> Option<Self> {
        integer(node, cx)
    }

    fn write(&self) -> Json {
        Json::from(*self)
    }
}

/// Whole numbers with narrower limits.
macro_rules! narrow {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn read(node: &Node, cx: &mut Context) -> Option<Self> {
                let value = integer(node, cx)?;
                let fits = Self::try_from(value).ok();
                if fits.is_none() {
                    cx.invalid(node, &format!("{value} is not between 0 and {}", Self::MAX));
                }
                fits
            }

            fn write(&self) -> Json {
                Json::from(*self)
            }
        }
    )*};
}
narrow!(u16, u32, u64);

/// Values with a text of their own: how it is read, and what is said when it cannot be.
macro_rules! textual {
    ($($type:ty: $parse:expr, $complaint:literal;)*) => {$(
        impl Value for $type {
            fn read(node: &Node, cx: &mut Context) -> Option<Self> {
                let text = String::read(node, cx)?;
                let value: Option<Self> = ($parse)(&text);
                if value.is_none() {
                    cx.invalid(node, &format!(concat!("{:?} is ", $complaint), text));
                }
                value
            }

            fn write(&self) -> Json {
                Json::String(self.to_string())
            }
        }
    )*};
}
textual! {
    Bytes: |t: &str| t.parse().ok().map(Bytes), "not a number of bytes";
    HostEntry: HostEntry::parse, "not of the form name=address";
    Link: |t: &str| Some(Link::parse(t)), "no link";
    MountKind: MountKind::parse, "no kind of mount (volume, bind, tmpfs, image, npipe, cluster)";
    NamespaceMode: |t: &str| Some(NamespaceMode::parse(t)), "no namespace";
    Restart: |t: &str| Some(Restart::parse(t)), "no restart policy";
    Tmpfs: |t: &str| Some(Tmpfs::parse(t)), "no tmpfs";
}

impl Value for Cpus {
    fn read(node: &Node, cx: &mut Context) -> Option<Self> {
        let value = match &node.value {
            Yaml::Int { value, .. } => Some(*value as f64),
            Yaml::Float { value, .. } => Some(*value),
            Yaml::Str(text) => text.parse().ok(),
            _ => None,
        };
        let value = value.filter(|v| v.is_finite());
        if value.is_none() {
            cx.wrong_type(node, "a number");
        }
        value.map(Cpus)
    }

    fn write(&self) -> Json {
        if self.0.fract() == 0.0 && self.0.abs() < 9e15 {
            Json::from(self.0 as i64)
        } else {
            Json::from(self.0)
        }
    }
}

impl Value for FileMode {
    fn read(node: &Node, cx: &mut Context) -> Option<Self> {
        let mode = match &node.value {
            // A number has been read from its octal digits already.
            Yaml::Int { value, .. } => u32::try_from(*value).ok().map(Self),
            _ => Self::parse(&String::read(node, cx)?),
        };
        if mode.is_none() {
            cx.invalid(node, "permission bits are octal, such as 0440");
        }
        mode
    }

    fn write(&self) -> Json {
        Json::String(self.to_string())
    }
}

impl Value for Duration {
    fn read(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = String::read(node, cx)?;
        let value = parse_duration(&text);
        if value.is_none() {
            cx.invalid(node, &format!("{text:?} is not a duration such as 1m30s"));
        }
        value
    }

    fn write(&self) -> Json {
        Json::String(format_duration(*self))
    }
}

/// Conditions with their names.
const CONDITIONS: [(Condition, &str); 4] = [
    (Condition::Started, "service_started"),
    (Condition::Healthy, "service_healthy"),
    (
        Condition::CompletedSuccessfully,
        "service_completed_successfully",
    ),
    // Written only; the stack's extension says what Compose cannot.
    (Condition::Ended, "service_started"),
];

/// The name that Compose has for a condition.
pub(crate) fn condition_name(condition: Condition) -> &'static str {
    CONDITIONS
        .iter()
        .find(|(c, _)| *c == condition)
        .map_or("", |(_, name)| name)
}

impl Value for Condition {
    fn read(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = String::read(node, cx)?;
        let found = CONDITIONS.iter().find(|(_, name)| *name == text);
        if found.is_none() {
            cx.invalid(node, &format!("{text:?} is no condition"));
        }
        found.map(|(condition, _)| *condition)
    }

    fn write(&self) -> Json {
        Json::from(condition_name(*self))
    }
}

impl Value for Ulimit {
    fn read(node: &Node, cx: &mut Context) -> Option<Self> {
        if node.as_map().is_none() {
            return integer(node, cx).map(Self::Single);
        }
        let mut side = |key| node.get(key).and_then(|n| integer(n, cx));
        Some(Self::Pair {
            soft: side("soft"),
            hard: side("hard"),
        })
    }

    fn write(&self) -> Json {
        match *self {
            Self::Single(n) => Json::from(n),
            Self::Pair { soft, hard } => {
                let mut out = JsonMap::new();
                for (key, value) in [("soft", soft), ("hard", hard)] {
                    if let Some(value) = value {
                        out.insert(key.into(), Json::from(value));
                    }
                }
                Json::Object(out)
            }
        }
    }
}

impl Value for Node {
    fn read(node: &Node, _: &mut Context) -> Option<Self> {
        Some(node.clone())
    }

    fn write(&self) -> Json {
        self.to_json()
    }
}

/// The key of a program or its arguments is always written: null means the image's.
impl Field for Sourced<Argv> {
    fn read_field(node: Option<&Node>, cx: &mut Context) -> Self {
        let Some(node) = node.filter(|n| !n.is_null()) else {
            return Self::default();
        };
        let argv = match Vec::<Sourced<String>>::read(node, cx) {
            None => Argv::Inherit,
            Some(args) if args.is_empty() => Argv::Clear,
            Some(args) => Argv::Set(args),
        };
        Self::of_node(argv, node)
    }

    fn write_field(&self, key: &str, out: &mut JsonMap) {
        let value = match &self.value {
            Argv::Inherit => Json::Null,
            Argv::Clear => Json::Array(Vec::new()),
            Argv::Set(args) => args.write(),
        };
        out.insert(key.to_owned(), value);
    }
}
