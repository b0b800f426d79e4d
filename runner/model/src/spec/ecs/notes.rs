//! What a translation finds out on its way: what differs, what refuses, what is worth knowing.

use crate::diag::{Problem, ProblemKind};
use crate::fidelity::{Class, Record, Severity};
use crate::source::Span;
use crate::yaml::{Node, Value};

const AS_ECS: &str = "write it as `aws ecs register-task-definition` takes it";

/// What was found so far, and the object that is being looked at.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// The object in the words of records: `service:web`, `task:shop`.
    pub object: String,
    /// What differs from production.
    pub records: Vec<Record>,
    /// What refuses the files.
    pub problems: Vec<Problem>,
    /// What is worth knowing.
    pub warnings: Vec<Problem>,
}

/// What became of a fact, and why.
pub(super) struct Fact<'f> {
    /// The field in the words of the source.
    pub field: &'f str,
    /// What production says.
    pub declared: String,
    /// What the mirror has; empty = nothing.
    pub actual: &'f str,
    /// Why.
    pub reason: &'f str,
    /// Where production says it.
    pub span: &'f Span,
}

impl Notes {
    /// A fact that the mirror goes without.
    pub fn dropped(&mut self, severity: Severity, field: &str, node: &Node, reason: &str) {
        let fact = Fact {
            field,
            declared: shown(node),
            actual: "",
            reason,
            span: &node.span,
        };
        self.record(Class::Dropped, severity, fact);
    }

    /// A fact of which the mirror has another form.
    pub fn substituted(&mut self, severity: Severity, fact: Fact<'_>) {
        self.record(Class::Substituted, severity, fact);
    }

    /// A fact that the files do not say.
    pub fn unknown(&mut self, severity: Severity, fact: Fact<'_>) {
        self.record(Class::Unknown, severity, fact);
    }

    fn record(&mut self, class: Class, severity: Severity, fact: Fact<'_>) {
        let mut record = Record::new(&self.object, fact.field, class, severity).at(fact.span);
        record.declared = fact.declared;
        record.actual = fact.actual.to_owned();
        record.reason = fact.reason.to_owned();
        record.rule = "ecs".to_owned();
        let same = |r: &Record| r.object == record.object && r.field == record.field;
        if !self.records.iter().any(same) {
            self.records.push(record);
        }
    }

    /// Says of the newest record what would bring the mirror nearer to production.
    pub fn raise(&mut self, how: impl Into<String>) {
        if let Some(record) = self.records.last_mut() {
            record.raise = how.into();
        }
    }

    /// Something that refuses the files.
    pub fn refuse(&mut self, mut problem: Problem) {
        problem.help.get_or_insert_with(|| AS_ECS.to_owned());
        self.problems.push(problem);
    }

    /// A value of the wrong type.
    pub fn wrong_type(&mut self, path: &str, node: &Node, expected: &str) {
        let message = format!("`{path}` is {}; {expected} is expected", node.kind());
        self.refuse(Problem::at(ProblemKind::WrongType, &node.span, message));
    }

    /// A value that is not allowed.
    pub fn invalid(&mut self, span: &Span, message: impl Into<String>) {
        self.refuse(Problem::at(ProblemKind::InvalidValue, span, message));
    }
}

/// A scalar as it stands, anything else by its kind: it may hold a secret.
fn shown(node: &Node) -> String {
    let text = match &node.value {
        Value::Seq(items) => {
            let texts: Option<Vec<String>> = items.iter().map(Node::scalar_text).collect();
            texts.map(|t| t.join(", "))
        }
        _ => node.scalar_text(),
    };
    match text {
        Some(text) if text.chars().count() <= 120 => text,
        Some(text) => format!("{}…", text.chars().take(119).collect::<String>()),
        None => node.kind().to_owned(),
    }
}
