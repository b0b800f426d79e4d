//! What a matcher may ask of a value: one file for each family, one line in [`KINDS`].

mod containment;
mod date;
mod each;
mod equality;
mod format;
mod hash;
mod list;
mod order;
mod presence;
mod schema;
mod size;
mod text;

use std::fmt;

use serde_json::Value as Json;

pub(crate) use schema::pointer;
pub use text::Pattern;

use super::subject::{self, Subject};
use crate::diag::{Problem, ProblemKind, nearest};
use crate::source::Span;
use crate::template::Scope;
use crate::yaml::{Mapping, Node};

/// What is told of a value that is not there.
pub(crate) const NOTHING: &str = "nothing is there";

/// One thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Path inside the value, from its root: `[2].sku`; empty for the value itself.
    pub path: String,
    /// What was expected.
    pub expected: String,
    /// What is there.
    pub actual: String,
    /// A frequent cause.
    pub hint: Option<String>,
}

impl Finding {
    /// Without a hint.
    pub fn new(
        path: impl Into<String>,
        expected: impl Into<String>,
        actual: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into(),
            expected: expected.into(),
            actual: actual.into(),
            hint: None,
        }
    }

    /// With a hint.
    #[must_use]
    pub fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

/// A question about a value.
pub trait Predicate: fmt::Debug + Send + Sync {
    /// Tells all that does not hold. `value` is `None` when the value is not there; only
    /// predicates about presence see that (see [`Kind::absent`]).
    ///
    /// # Errors
    /// A template in an expected value that has no value.
    fn check(
        &self,
        value: Option<&Json>,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem>;

    /// As [`Predicate::check`], of bytes: most predicates see their hexadecimal digits.
    ///
    /// # Errors
    /// As [`Predicate::check`].
    fn check_bytes(
        &self,
        bytes: &[u8],
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        self.check(Some(&Json::from(subject::hex(bytes))), scope, out)
    }

    /// The names that its expected values use.
    fn roots(&self, _to: &mut Vec<(String, Span)>) {}
}

/// A kind of predicate.
#[derive(Debug)]
pub struct Kind {
    /// Its key.
    pub name: &'static str,
    /// What it asks, for messages and the reference.
    pub help: &'static str,
    /// Whether it is also asked of a value that is not there.
    pub absent: bool,
    read: Read,
}

/// Reads what a kind is compared with.
type Read = fn(&Node) -> Result<Box<dyn Predicate>, Vec<Problem>>;

/// All kinds.
pub static KINDS: &[Kind] = &[
    Kind {
        name: "equals",
        help: "is exactly this value",
        absent: false,
        read: equality::equals,
    },
    Kind {
        name: "not_equals",
        help: "is not this value",
        absent: true,
        read: equality::not_equals,
    },
    Kind {
        name: "one_of",
        help: "is one of these values",
        absent: false,
        read: equality::one_of,
    },
    Kind {
        name: "unordered",
        help: "is a list of exactly these items in any order",
        absent: false,
        read: equality::unordered,
    },
    Kind {
        name: "approx",
        help: "is a number near `value`, at most `within` away",
        absent: false,
        read: order::approx,
    },
    Kind {
        name: "gt",
        help: "is greater than",
        absent: false,
        read: order::gt,
    },
    Kind {
        name: "ge",
        help: "is greater than or equal to",
        absent: false,
        read: order::ge,
    },
    Kind {
        name: "lt",
        help: "is less than",
        absent: false,
        read: order::lt,
    },
    Kind {
        name: "le",
        help: "is less than or equal to",
        absent: false,
        read: order::le,
    },
    Kind {
        name: "contains",
        help: "holds this part: a piece of a text, an item of a list, keys of an object",
        absent: false,
        read: containment::contains,
    },
    Kind {
        name: "not_contains",
        help: "does not hold this part",
        absent: false,
        read: containment::not_contains,
    },
    Kind {
        name: "partial",
        help: "has at least these keys, in all its objects",
        absent: false,
        read: containment::partial,
    },
    Kind {
        name: "matches",
        help: "is a text in which this regular expression is found",
        absent: false,
        read: text::matches,
    },
    Kind {
        name: "not_matches",
        help: "is a text in which this regular expression is not found",
        absent: false,
        read: text::not_matches,
    },
    Kind {
        name: "starts_with",
        help: "is a text that starts so",
        absent: false,
        read: text::starts_with,
    },
    Kind {
        name: "ends_with",
        help: "is a text that ends so",
        absent: false,
        read: text::ends_with,
    },
    Kind {
        name: "length",
        help: "has this many characters, items or keys (a number, or predicates on it)",
        absent: false,
        read: size::length,
    },
    Kind {
        name: "size",
        help: "has this many bytes (a number, or predicates on it)",
        absent: false,
        read: size::bytes,
    },
    Kind {
        name: "empty",
        help: "is an empty text, list or object (true), or is not (false)",
        absent: false,
        read: size::empty,
    },
    Kind {
        name: "exists",
        help: "is there (true), or is not (false)",
        absent: true,
        read: presence::exists,
    },
    Kind {
        name: "type",
        help: "is of this type or format",
        absent: false,
        read: presence::type_of,
    },
    Kind {
        name: "format",
        help: "is a date or time of this format, such as %Y-%m-%d",
        absent: false,
        read: date::format,
    },
    Kind {
        name: "before",
        help: "is a time before this one",
        absent: false,
        read: date::before,
    },
    Kind {
        name: "after",
        help: "is a time after this one",
        absent: false,
        read: date::after,
    },
    Kind {
        name: "within",
        help: "is a time at most so far away: `5s of now`",
        absent: false,
        read: date::within,
    },
    Kind {
        name: "sha256",
        help: "has this SHA-256",
        absent: false,
        read: hash::sha256,
    },
    Kind {
        name: "sorted",
        help: "is a list in order (true, asc or desc)",
        absent: false,
        read: list::sorted,
    },
    Kind {
        name: "unique",
        help: "is a list without an item that is there twice (true), or with one (false)",
        absent: false,
        read: list::unique,
    },
    Kind {
        name: "schema",
        help: "is valid by this JSON Schema",
        absent: false,
        read: schema::schema,
    },
    Kind {
        name: "each",
        help: "is a list of which each item holds these predicates",
        absent: false,
        read: each::each,
    },
    Kind {
        name: "any",
        help: "is a list of which at least one item holds these predicates",
        absent: false,
        read: each::any,
    },
    Kind {
        name: "not",
        help: "does not hold these predicates",
        absent: true,
        read: each::not,
    },
];

/// Types and formats that `type` knows.
pub(crate) fn types() -> impl Iterator<Item = &'static str> {
    format::TYPES.iter().map(|t| t.name)
}

/// The kind of a name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|k| k.name == name)
}

/// A predicate as it stands in a matcher.
#[derive(Debug)]
pub struct Asked {
    /// Its kind.
    pub kind: &'static Kind,
    /// Where its key stands.
    pub span: Span,
    predicate: Box<dyn Predicate>,
}

impl Asked {
    /// Reads a predicate.
    ///
    /// # Errors
    /// An unknown predicate, or a value that it does not take.
    pub fn read(name: &str, span: &Span, node: &Node) -> Result<Self, Vec<Problem>> {
        let kind = kind(name).ok_or_else(|| vec![unknown(name, span)])?;
        let predicate = (kind.read)(node)?;
        Ok(Self {
            kind,
            span: span.clone(),
            predicate,
        })
    }

    /// Tells all that does not hold.
    ///
    /// # Errors
    /// As [`Predicate::check`].
    pub fn check(
        &self,
        value: Option<&Json>,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        if value.is_none() && !self.kind.absent {
            out.push(Finding::new("", self.kind.help, NOTHING));
            return Ok(());
        }
        self.predicate.check(value, scope, out)
    }

    /// As [`Asked::check`], of what a source found.
    ///
    /// # Errors
    /// As [`Predicate::check`].
    pub fn ask(
        &self,
        found: Option<&Subject<'_>>,
        scope: &Scope,
        out: &mut Vec<Finding>,
    ) -> Result<(), Problem> {
        match found {
            None => self.check(None, scope, out),
            Some(Subject::Json(json)) => self.check(Some(json), scope, out),
            Some(Subject::Bytes(bytes)) => self.predicate.check_bytes(bytes, scope, out),
        }
    }

    /// The names that it uses.
    pub fn roots(&self, to: &mut Vec<(String, Span)>) {
        self.predicate.roots(to);
    }
}

/// Reads a mapping in which every key is a predicate.
pub(crate) fn read_all(map: &Mapping) -> Result<Vec<Asked>, Vec<Problem>> {
    let mut asked = Vec::new();
    let mut problems = Vec::new();
    for (key, entry) in &map.0 {
        match Asked::read(key, &entry.key, &entry.node) {
            Ok(a) => asked.push(a),
            Err(p) => problems.extend(p),
        }
    }
    if problems.is_empty() {
        Ok(asked)
    } else {
        Err(problems)
    }
}

/// An unknown predicate, with the nearest known one.
pub(crate) fn unknown(name: &str, span: &Span) -> Problem {
    let p = Problem::at(
        ProblemKind::UnknownKey,
        span,
        format!("unknown predicate `{name}`"),
    );
    let other = match name {
        "eq" | "==" | "is" | "equal" => Some("equals"),
        "ne" | "!=" => Some("not_equals"),
        "gte" | ">=" | "min" => Some("ge"),
        "lte" | "<=" | "max" => Some("le"),
        "in" => Some("one_of"),
        "regex" | "match" | "pattern" => Some("matches"),
        "count" | "len" => Some("length"),
        "includes" | "has" => Some("contains"),
        "date_format" | "strftime" => Some("format"),
        "earlier" | "earlier_than" => Some("before"),
        "later" | "later_than" => Some("after"),
        "hash" | "digest" => Some("sha256"),
        "distinct" | "uniq" => Some("unique"),
        "ordered" | "sort" => Some("sorted"),
        "bytes" | "byte_length" => Some("size"),
        "subset" | "superset" | "like" => Some("partial"),
        _ => nearest(name, KINDS.iter().map(|k| k.name)),
    };
    match other {
        Some(n) => p.help(format!("did you mean `{n}`?")),
        None => p.help(format!(
            "known here: {}",
            KINDS.iter().map(|k| k.name).collect::<Vec<_>>().join(", ")
        )),
    }
}

/// A value of the wrong type for a predicate.
fn wrong_type(node: &Node, what: &str) -> Vec<Problem> {
    vec![Problem::at(
        ProblemKind::WrongType,
        &node.span,
        format!("{what}, found {}", node.kind()),
    )]
}
