//! Problems: what is wrong, where, why, and what to do next.
//!
//! One value type serves every phase, as in a compiler; the front draws it, JSON output
//! serialises it, and the [`ProblemKind`] decides exit codes and groups of tests.

use std::fmt;

use serde::Serialize;

use crate::source::Span;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; nothing is refused.
    Warning,
    /// The input is refused.
    Error,
}

/// The class of a problem. Stable: it is written to JSON output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The text is not valid YAML, JSON, dotenv, or template syntax.
    Syntax,
    /// A mapping holds the same key twice.
    DuplicateKey,
    /// A key that the format does not have.
    UnknownKey,
    /// A value of another type than the format asks for.
    WrongType,
    /// A value of the right type that is not allowed.
    InvalidValue,
    /// Something required is absent.
    Missing,
    /// Production has no service: there is nothing to start.
    NothingRuns,
    /// A file that is named cannot be read.
    MissingFile,
    /// A required variable (`${NAME:?}`) is unset or empty.
    RequiredVariable,
    /// A variable that is unset; the empty string took its place.
    UnsetVariable,
    /// A reference (service, network, volume, secret, step…) to something not declared.
    UnknownReference,
    /// Definitions depend on each other in a circle.
    Cycle,
    /// Two values exclude each other.
    Conflict,
    /// Too large, too deep, or expands to too much.
    TooLarge,
    /// A path leads out of the project.
    PathEscape,
    /// Valid, but this tool or engine cannot honour it.
    Unsupported,
    /// Refused because it would reach production or the host; can be allowed by name.
    Forbidden,
    /// Said, and of no effect: a name that nothing uses, a step that is never reached.
    Unused,
    /// Legal, but soon removed or obsolete.
    Deprecated,
    /// Something is no longer what the lock says.
    Drift,
    /// The container engine cannot be reached, is too old, or was lost.
    Engine,
    /// A stack could not be started or removed.
    Start,
}

/// One problem with its place and its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Class of the problem.
    pub kind: ProblemKind,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong and why: a lowercase sentence fragment.
    pub message: String,
    /// Where.
    pub span: Option<Span>,
    /// Text under the caret; the message is used when this is empty.
    pub label: Option<String>,
    /// Other places that matter, each with what it shows.
    pub related: Vec<(Span, String)>,
    /// What to do next.
    pub help: Option<String>,
    /// The name that it is about (a variable), for those who act on it.
    pub subject: Option<String>,
}

impl Problem {
    /// An error without a place yet.
    pub fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            severity: Severity::Error,
            message: message.into(),
            span: None,
            label: None,
            related: Vec::new(),
            help: None,
            subject: None,
        }
    }

    /// An error at a place.
    pub fn at(kind: ProblemKind, span: &Span, message: impl Into<String>) -> Self {
        let mut p = Self::new(kind, message);
        if span.is_real() {
            p.span = Some(span.clone());
        }
        p
    }

    /// Makes it a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Sets the text under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says which name it is about.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Adds another place that matters.
    #[must_use]
    pub fn related(mut self, span: &Span, what: impl Into<String>) -> Self {
        if span.is_real() {
            self.related.push((span.clone(), what.into()));
        }
        self
    }

    /// Gives it a place if it has none.
    #[must_use]
    pub fn or_at(mut self, span: &Span) -> Self {
        if self.span.is_none() && span.is_real() {
            self.span = Some(span.clone());
        }
        self
    }

    /// Whether this refuses the input.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(span) = &self.span {
            write!(f, "{span}: ")?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)?;
        for (span, what) in &self.related {
            write!(f, "\n  {span}: {what}")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut o = s.serialize_struct("Problem", 7)?;
        o.serialize_field("kind", &self.kind)?;
        o.serialize_field("severity", &self.severity)?;
        o.serialize_field("message", &self.message)?;
        o.serialize_field("file", &self.span.as_ref().map(|s| s.file.name.as_str()))?;
        o.serialize_field("line", &self.span.as_ref().map(|s| s.line))?;
        o.serialize_field("column", &self.span.as_ref().map(|s| s.col))?;
        o.serialize_field("help", &self.help)?;
        o.end()
    }
}

/// Several problems at once: all that were found, not only the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Whether any of them refuses the input.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(Problem::is_error)
    }

    /// Adds one.
    pub fn push(&mut self, p: Problem) {
        self.0.push(p);
    }
}

impl From<Problem> for Problems {
    fn from(p: Problem) -> Self {
        Self(vec![p])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, p) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{p}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The known name that is nearest to a mistyped one, when one is near enough to be meant.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = match wanted.chars().count() {
        0..=2 => 1,
        3..=5 => 2,
        _ => 3,
    };
    known
        .into_iter()
        .map(|k| {
            (
                strsim::damerau_levenshtein(&wanted.to_lowercase(), &k.to_lowercase()),
                k,
            )
        })
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}
