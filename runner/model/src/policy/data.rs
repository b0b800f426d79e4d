//! What volumes hold at the start.

use super::rule::Report;
use crate::diag::{Problem, ProblemKind, nearest};
use crate::fidelity::{Class, Record, Severity};
use crate::mirror::{Mirror, MountKind};
use crate::project::{Data, Project, find};
use crate::stack::extension::{DataSpec, Extension};

/// Images whose volumes are a database's.
const DATABASES: [&str; 12] = [
    "postgres",
    "mysql",
    "mariadb",
    "mongo",
    "percona",
    "mssql",
    "oracle",
    "cassandra",
    "elasticsearch",
    "opensearch",
    "clickhouse",
    "cockroach",
];

/// Notes the project's data in the extension, and reports volumes about which it says nothing.
pub fn apply(mirror: &Mirror, project: &Project, extension: &mut Extension, report: &mut Report) {
    for e in &project.data {
        if !mirror.volumes.contains_key(e.name.as_str()) {
            let known = mirror.volumes.keys().map(String::as_str);
            let help = match nearest(&e.name, known.clone()) {
                Some(k) => format!("did you mean `{k}`?"),
                None => format!("volumes: {}", known.collect::<Vec<_>>().join(", ")),
            };
            report.problems.push(
                Problem::at(
                    ProblemKind::UnknownReference,
                    &e.name.span,
                    format!("production has no volume `{}`", e.name.as_str()),
                )
                .help(help),
            );
            continue;
        }
        let spec = match &e.value.value {
            Data::Snapshot(name) => DataSpec::Snapshot(name.clone()),
            Data::Empty(on) => DataSpec::Empty(*on),
        };
        extension.data.insert(e.name.value.clone(), spec);
    }
    services(mirror, project, report);
    for (key, volume) in &mirror.volumes {
        let made_here = report.new_volumes.contains_key(key);
        let reported = report
            .records
            .iter()
            .any(|r| r.object == format!("volume:{key}") && r.severity >= Severity::Medium);
        if volume.is_external() || made_here || reported || find(&project.data, key).is_some() {
            continue;
        }
        let severity = match database_on(mirror, key) {
            true => Severity::High,
            false => Severity::Medium,
        };
        let object = format!("volume:{key}");
        let mut r =
            Record::new(object, "content", Class::Unknown, severity).at(&volume.declared.span);
        r.declared = "production's data".to_owned();
        r.actual = "empty at the start".to_owned();
        r.reason = "nothing says what it holds in production".to_owned();
        let name = crate::stack::encode::key(key);
        r.raise = format!(
            "name its data in mirror.yaml:\ndata:\n  {name}: {{ snapshot: NAME }}   # or {{ empty: true }}"
        );
        r.rule = "empty-data".to_owned();
        report.records.push(r);
    }
}

/// Services that load snapshots must be production's.
fn services(mirror: &Mirror, project: &Project, report: &mut Report) {
    for recipe in project.snapshots.iter().map(|s| &s.value) {
        let Some(service) = &recipe.service else {
            continue;
        };
        if mirror.services.contains_key(service.as_str()) {
            continue;
        }
        let known: Vec<&str> = mirror.services.keys().map(String::as_str).collect();
        let help = match nearest(service, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("services: {}", known.join(", ")),
        };
        let message = format!("production has no service `{}`", service.as_str());
        report
            .problems
            .push(Problem::at(ProblemKind::UnknownReference, &service.span, message).help(help));
    }
}

fn database_on(mirror: &Mirror, volume: &str) -> bool {
    mirror.services.values().any(|s| {
        let uses = s.mounts.list.iter().any(|m| {
            m.kind.value == MountKind::Volume
                && m.source.as_ref().is_some_and(|s| s.value == volume)
        });
        let image = s.image.reference.as_ref().map_or("", |r| r.as_str());
        uses && DATABASES.iter().any(|d| image.contains(d))
    })
}
