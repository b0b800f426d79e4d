//! What a rule is, and how it reports.

use std::collections::BTreeMap;

use crate::diag::{Problem, ProblemKind, Problems};
use crate::fidelity::{Class, Record, Severity};
use crate::mirror::{FileObject, Network, Service, Sourced, Volume};
use crate::project::Project;
use crate::source::Span;

/// What a rule does with what it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Nothing starts until the project allows it or the spec changes.
    Refuse,
    /// Something harmless takes its place.
    Substitute,
}

/// The function of a rule, by the kind of object that it looks at.
#[derive(Clone, Copy)]
pub enum Look {
    /// At each service.
    Service(fn(&mut Service, &mut Case<'_>)),
    /// At each network.
    Network(fn(&mut Network, &mut Case<'_>)),
    /// At each volume.
    Volume(fn(&mut Volume, &mut Case<'_>)),
    /// At each configuration file.
    Config(fn(&mut FileObject, &mut Case<'_>)),
    /// At each secret.
    Secret(fn(&mut FileObject, &mut Case<'_>)),
}

impl Look {
    /// The key in `allow` under which the rule's objects stand.
    pub fn section(&self) -> &'static str {
        match self {
            Self::Service(_) => "services",
            Self::Network(_) => "networks",
            Self::Volume(_) => "volumes",
            Self::Config(_) => "configs",
            Self::Secret(_) => "secrets",
        }
    }

    /// The kind of object in words.
    pub fn kind(&self) -> &'static str {
        self.section().trim_end_matches('s')
    }
}

/// A way out of the mirror, and what is done about it.
pub struct Rule {
    /// The name by which a project allows it.
    pub name: &'static str,
    /// What happens unless it is allowed.
    pub does: Does,
    /// What a test could wrongly conclude when it is taken away.
    pub severity: Severity,
    /// Where it would lead, in the words behind "because".
    pub why: &'static str,
    /// Its function.
    pub look: Look,
}

/// What was found, in one object, by one rule.
pub struct Found<'f> {
    /// The field in the words of the spec.
    pub field: String,
    /// The value; a permit may name it.
    pub value: &'f str,
    /// What takes its place; empty = nothing.
    pub actual: String,
    /// Where it stands.
    pub span: &'f Span,
}

impl<'f> Found<'f> {
    /// A sourced text under a field.
    pub fn text(field: impl Into<String>, value: &'f Sourced<String>) -> Self {
        Self::at(field, &value.value, &value.span)
    }

    /// A value at a place.
    pub fn at(field: impl Into<String>, value: &'f str, span: &'f Span) -> Self {
        Self {
            field: field.into(),
            value,
            actual: String::new(),
            span,
        }
    }

    /// What takes its place.
    #[must_use]
    pub fn now(mut self, actual: impl Into<String>) -> Self {
        self.actual = actual.into();
        self
    }
}

/// One rule looking at one object.
pub struct Case<'c> {
    /// The rule.
    pub rule: &'static Rule,
    /// The object's name.
    pub object: &'c str,
    /// The project.
    pub project: &'c Project,
    /// Name of the stack, which begins the names of its objects.
    pub stack: &'c str,
    /// Name of production's project, which begins the names of its objects.
    pub production: &'c str,
    /// Variables of production's project.
    pub environment: &'c BTreeMap<String, String>,
    /// Everything that is reported, and what must be added to the mirror.
    pub report: &'c mut Report,
}

/// What the rules report and ask for.
#[derive(Default)]
pub struct Report {
    /// What differs from production.
    pub records: Vec<Record>,
    /// The places of `records`, for those that rules gave.
    pub spans: Vec<Span>,
    /// What refuses the spec, and warnings.
    pub problems: Problems,
    /// Volumes that stand in for paths, to be added to the mirror.
    pub new_volumes: BTreeMap<String, Volume>,
    /// Binds of the engine's host that are allowed: service and path in it.
    pub host_binds: Vec<(String, String)>,
}

impl Case<'_> {
    /// Reports what was found. True when it must be taken away, false when it is allowed.
    pub fn found(&mut self, found: Found<'_>) -> bool {
        self.found_as(found, self.rule.severity, self.rule.why)
    }

    /// As [`Self::found`], with a severity and a reason of its own.
    pub fn found_as(&mut self, found: Found<'_>, severity: Severity, why: &str) -> bool {
        let kind = self.rule.look.kind();
        let mut record = Record::new(
            format!("{kind}:{}", self.object),
            found.field.clone(),
            Class::Substituted,
            severity,
        )
        .at(found.span);
        record.declared = found.value.to_owned();
        record.rule = self.rule.name.to_owned();
        let section = self.rule.look.section();
        let allow = &self.project.allow;
        if let Some(permit) = allow.permits(section, self.object, self.rule.name, found.value) {
            record.class = Class::Mirrored;
            record.severity = Severity::Info;
            record.actual = record.declared.clone();
            record.reason = match &permit.because {
                Some(because) => format!("allowed in mirror.yaml: {because}"),
                None => "allowed in mirror.yaml".to_owned(),
            };
            self.push(record, found.span);
            return false;
        }
        record.class = if found.actual.is_empty() {
            Class::Dropped
        } else {
            Class::Substituted
        };
        record.actual = found.actual;
        record.reason = why.to_owned();
        let lines = self.allow_lines(found.value);
        record.raise = format!("to allow it, write in mirror.yaml:\n{lines}");
        if self.rule.does == Does::Refuse {
            record.severity = Severity::Blocker;
            let shown = match found.value {
                "" | "true" => format!("`{}`", found.field),
                value => format!("`{}: {value}`", found.field),
            };
            self.report.problems.push(
                Problem::at(
                    ProblemKind::Forbidden,
                    found.span,
                    format!("{kind} `{}`: {shown} is refused: {why}", self.object),
                )
                .help(record.raise.clone()),
            );
        }
        self.push(record, found.span);
        true
    }

    /// As [`Self::found`], for a bind: one that is allowed is noted as the host's own.
    pub fn found_bind(&mut self, found: Found<'_>, target: &str) -> bool {
        let taken = self.found(found);
        if !taken {
            let bind = (self.object.to_owned(), target.to_owned());
            self.report.host_binds.push(bind);
        }
        taken
    }

    /// Notes a difference that no permit could change.
    pub fn note(&mut self, found: Found<'_>, class: Class, severity: Severity, why: &str) {
        let object = format!("{}:{}", self.rule.look.kind(), self.object);
        let mut record = Record::new(object, found.field, class, severity).at(found.span);
        record.declared = found.value.to_owned();
        record.actual = found.actual;
        record.reason = why.to_owned();
        record.rule = self.rule.name.to_owned();
        self.push(record, found.span);
    }

    fn push(&mut self, record: Record, span: &Span) {
        self.report.records.push(record);
        self.report.spans.push(span.clone());
    }

    /// The lines of `mirror.yaml` that would allow a value of this rule.
    fn allow_lines(&self, value: &str) -> String {
        let permit = match value {
            "" | "true" => self.rule.name.to_owned(),
            value => {
                let text = serde_json::Value::String(format!("{}={value}", self.rule.name));
                text.to_string()
            }
        };
        let object = crate::stack::encode::key(self.object);
        let section = self.rule.look.section();
        format!("allow:\n  {section}:\n    {object}: [{permit}]")
    }
}

/// Whether a switch is on.
pub fn is_on(switch: Option<&Sourced<bool>>) -> bool {
    switch.is_some_and(|s| s.value)
}

/// Takes an optional value away when it is found; `keep` says which values are harmless.
pub fn take_unless(
    value: &mut Option<Sourced<String>>,
    field: &str,
    actual: &str,
    case: &mut Case<'_>,
    keep: impl Fn(&str) -> bool,
) {
    if let Some(v) = value
        && !keep(v)
        && case.found(Found::text(field, v).now(actual))
    {
        *value = None;
    }
}
