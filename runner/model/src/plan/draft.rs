//! A container on its way from what Compose sends to what the mirror runs.

use std::path::Path;

use serde_json::{Map, Value as Json, json};

use super::body::{BodyRequest, Naming, compose_body};
use super::deviations::Deviation;
use super::{FilePlan, PlanOptions, VolumePlan};
use crate::diag::Problems;
use crate::fidelity::{Record, Severity};
use crate::mirror::{Mirror, Service};
use crate::source::Span;

/// What the rules change, and what they leave behind.
pub(super) struct Draft<'a> {
    /// The whole project.
    pub(super) mirror: &'a Mirror,
    /// The service as the spec has it.
    pub(super) service: &'a Service,
    /// Which of its containers.
    pub(super) replica: u32,
    /// The name under which production's containers run.
    pub(super) project: &'a str,
    /// The engine and its surroundings.
    pub(super) options: &'a PlanOptions,
    /// The body.
    pub(super) body: Map<String, Json>,
    /// Files that are put into the container.
    pub(super) files: Vec<FilePlan>,
    /// Volumes that stand for directories.
    pub(super) volumes: Vec<VolumePlan>,
    /// What differs from production.
    pub(super) records: Vec<Record>,
    /// What is wrong.
    pub(super) problems: Problems,
}

/// A difference that a rule makes.
pub(super) struct Note<'a> {
    /// The field in the words of the spec.
    pub(super) field: &'a str,
    /// What production says.
    pub(super) declared: String,
    /// What the mirror has.
    pub(super) actual: String,
    /// Where production says it.
    pub(super) span: &'a Span,
}

impl<'a> Draft<'a> {
    /// A container as Docker Compose would create it, its networks and volumes named by keys.
    pub(super) fn new(
        project: &'a str,
        mirror: &'a Mirror,
        service: &'a Service,
        options: &'a PlanOptions,
    ) -> Self {
        Self {
            mirror,
            service,
            replica: 1,
            project,
            options,
            body: Map::new(),
            files: Vec::new(),
            volumes: Vec::new(),
            records: Vec::new(),
            problems: Problems::default(),
        }
    }

    /// Makes it that of a replica.
    pub(super) fn of_replica(mut self, replica: u32) -> Result<Self, Problems> {
        self.replica = replica;
        if let Json::Object(body) = compose_body(&self.request())?.body {
            self.body = body;
        }
        Ok(self)
    }

    /// What the body was made from.
    pub(super) fn request(&self) -> BodyRequest<'a> {
        BodyRequest {
            mirror: self.mirror,
            service: self.service,
            replica: self.replica,
            project: self.project,
            project_dir: &self.options.project_dir,
            naming: Naming::Keys,
        }
    }

    /// `HostConfig`.
    pub(super) fn host(&mut self) -> &mut Map<String, Json> {
        let host = self.body.entry("HostConfig").or_insert_with(|| json!({}));
        if !host.is_object() {
            *host = json!({});
        }
        match host {
            Json::Object(map) => map,
            _ => unreachable!("it was made an object above"),
        }
    }

    /// A whole number of `HostConfig`; 0 when it is not there.
    pub(super) fn host_number(&mut self, key: &str) -> i64 {
        self.host().get(key).and_then(Json::as_i64).unwrap_or(0)
    }

    /// Whether a path of the host belongs to the project, so that it is copied.
    pub(super) fn is_copied(&self, path: &Path) -> bool {
        std::iter::once(&self.options.project_dir)
            .chain(&self.options.copied)
            .any(|root| !root.as_os_str().is_empty() && path.starts_with(root))
    }

    /// Notes a difference that a rule made.
    pub(super) fn note(&mut self, rule: &Deviation, note: Note<'_>) {
        self.note_as(rule, rule.severity, note);
    }

    /// Notes a difference that is worse (or better) than the rule's usual one.
    pub(super) fn note_as(&mut self, rule: &Deviation, severity: Severity, note: Note<'_>) {
        let object = format!("service:{}", self.service.name.value);
        let mut record = Record::new(object, note.field, rule.class, severity).at(note.span);
        record.declared = note.declared;
        record.actual = note.actual;
        record.reason = rule.reason.into();
        record.raise = rule.raise.into();
        record.rule = rule.name.into();
        self.records.push(record);
    }
}
